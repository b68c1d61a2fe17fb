"""The base of every event."""

from __future__ import annotations

from typing import Any, ClassVar

from bamboo_logmetrics.errors import DecodeError
from bamboo_logmetrics.events import registry
from bamboo_logmetrics.events.base import Model


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
        return tagged.tag(*self._tag, tagged.encode(self) or None)

    def to_json(self) -> str:
        """Return the tagged form as compact JSON, as the Rust system (serde) reads it."""
        from bamboo_logmetrics.events import tagged

        return tagged.dumps(self.to_dict())

    @staticmethod
    def from_dict(data: Any) -> MetricsEvent:
        """Return the event of a tagged form; an unknown kind gives an UnknownEvent.

        Raises DecodeError when it is not a tagged form, or a value is not right.
        """
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

    @staticmethod
    def from_json(text: str | bytes) -> MetricsEvent:
        """Return the event of a tagged form's JSON text; raises as :meth:`from_dict`."""
        from bamboo_logmetrics.events import tagged

        return MetricsEvent.from_dict(tagged.loads(text))


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
