"""The base of every event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from bamboo_logmetrics.errors import DecodeError
from bamboo_logmetrics.events import registry
from bamboo_logmetrics.events.base import Model
from bamboo_logmetrics.events.nested import NESTED_CONFIG

if TYPE_CHECKING:
    from typing_extensions import Self


class MetricsEvent(Model, frozen=True, kw_only=True):
    """Base of every event.

    ``kind`` is the dotted name, such as ``chat.round_completed``; the class and its objects have it. ChatEvent,
    ForwardEvent and SystemEvent, the bases of the families, have no kind and cannot be emitted. A subclass of one of
    them is an event of its own kind::

        class CacheWarmed(ChatEvent):  # its kind is chat.cache_warmed
            session_id: str
            entries: int

    A field is a ``str``, ``int`` (signed 64 bits), ``float`` (finite) or ``bool``, or one of these or None. A field
    ``usage`` is a TokenUsage, a field ``status`` one of the statuses of this package. Text fields that no event of this
    package has are masked and cut as bound values are. Making the class raises TypeError for any other field, for a
    name that every line or event has already, and for a kind that another class has.
    """

    kind: ClassVar[str]
    _tag: ClassVar[tuple[str, str]]  # family and variant, as in the tagged form
    _family: ClassVar[str] = ""
    dataclass_json_config: ClassVar[Any] = NESTED_CONFIG  # for classes of the application that hold events

    def __init_subclass__(cls, **config: Any) -> None:
        super().__init_subclass__(**config)
        if "_family" not in vars(cls):
            registry.register(cls)

    @classmethod
    def _check_annotations(cls) -> None:
        registry.check_annotations(cls)

    def __str__(self) -> str:
        return EventText.of(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the tagged form, ``{"Chat": {"SessionStarted": {...}}}``, as plain data.

        Raises TypeError for the base of a family, which has no kind.
        """
        from bamboo_logmetrics.events import tagged  # imports dataclasses-json (150 ms) on first use

        registry.require_kind(self)
        return tagged.encode(self)

    def _tagged(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the tagged form with these fields."""
        from bamboo_logmetrics.events import tagged

        registry.require_kind(self)
        return tagged.tag(*self._tag, body or None)

    def to_json(self, **options: Any) -> str:
        """Return the tagged form as compact JSON, as the Rust system (serde) reads it.

        Args:
            options: keywords of ``json.dumps``, such as ``indent=2``.
        """
        from bamboo_logmetrics.events import tagged

        return tagged.dumps(self.to_dict(), **options)

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Return the event of a tagged form. MetricsEvent reads any; an unknown kind gives an UnknownEvent.

        Raises DecodeError when it is not a tagged form, a value is not right, or it is an event of another class.
        """
        event = MetricsEvent._from_dict(data)
        family = event.family if isinstance(event, registry.unknown) else ""  # type: ignore[arg-type, attr-defined]
        if isinstance(event, cls) or (family and family == cls._family and not hasattr(cls, "kind")):
            return event  # type: ignore[return-value]
        msg = f"not a {cls.__name__} but a {type(event).__name__}; MetricsEvent.from_json reads any event"
        raise DecodeError(msg)

    @staticmethod
    def _from_dict(data: Any) -> MetricsEvent:
        from bamboo_logmetrics.events import tagged

        family, variant, body = tagged.untag(data)
        cls = registry.VARIANTS.get((family, variant))
        if cls is None:
            payload = None if isinstance(data[family], str) else tagged.keep(body)
            try:
                return registry.unknown(family=family, variant=variant, payload=payload)
            except ValueError as error:
                raise DecodeError(str(error)) from None
        # serde writes a unit variant bare, but reads null too
        return tagged.decode(cls, {} if body is None else body)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Return the event of a tagged form's JSON text; raises as :meth:`from_dict`."""
        from bamboo_logmetrics.events import tagged

        return cls.from_dict(tagged.loads(text))


class EventText(str):  # noqa: SLOT000 - it has an attribute, which a str cannot have as a slot
    """The text of an event, which still holds the event.

    Libraries that make a text of every message, as loguru and the stdlib's QueueHandler do, hand it on unchanged where
    the message is the whole text. A traceback that is added to it is kept apart. A plain text can never be taken for an
    event, whatever it says: only an object of this class is.

    Attributes:
        event: the event.
        tail: text that was added at the end.
    """

    event: MetricsEvent
    tail: str = ""

    @classmethod
    def of(cls, event: MetricsEvent) -> EventText:
        """Return the text of an event, which is its repr."""
        text = cls(repr(event))
        text.event = event
        return text

    def __str__(self) -> str:
        return self  # an exact str would be without the event

    def __add__(self, other: str) -> EventText:
        text = EventText(str.__add__(self, other))
        text.event, text.tail = self.event, self.tail + other
        return text

    def __reduce__(self) -> tuple[Any, ...]:
        return _text_of, (self.event, self.tail)


def _text_of(event: MetricsEvent, tail: str) -> EventText:
    """Return the text that a pickle describes."""
    text = EventText.of(event)
    return text + tail if tail else text
