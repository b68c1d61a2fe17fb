"""The vocabulary: twelve events in three families, and their parts."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import field
from uuid_utils import uuid4

from bamboo_logmetrics.errors import DecodeError
from bamboo_logmetrics.events import registry
from bamboo_logmetrics.events.base import U16, U32, U64, Id, Millis, Model, model, names_of, snake
from bamboo_logmetrics.events.registry import KINDS
from bamboo_logmetrics.events.statuses import ForwardStatus, RoundStatus, SessionStatus

if TYPE_CHECKING:
    from typing_extensions import Self


def _new_id() -> str:
    return str(uuid4())


_now = partial(datetime.now, timezone.utc)


@model
class EventMeta(Model, frozen=True, kw_only=True):
    """What identifies an event.

    Args:
        event_id: any non-empty text; a UUID v4 is made when it is left out.
        occurred_at: when it happened, an aware datetime, kept as UTC; now when left out.
        trace_id: what links events of one request across services, or None.
    """

    event_id: Id = field(default_factory=_new_id)
    occurred_at: datetime = field(default_factory=_now)
    trace_id: str | None = None

    @classmethod
    def new(cls) -> Self:
        """Make the meta of an event that happens now, without a trace id."""
        return cls()

    @classmethod
    def with_trace_id(cls, trace_id: str) -> Self:
        """Make the meta of an event that happens now, within the trace ``trace_id``."""
        return cls(trace_id=trace_id)


@model
class TokenUsage(Model, frozen=True, kw_only=True):
    """Tokens of one model call, in OpenTelemetry's meaning.

    ``cache_read_tokens`` and ``cache_write_tokens`` are within ``prompt_tokens``,
    ``reasoning_tokens`` within ``completion_tokens``. None means not reported, never zero.
    ``a + b`` adds part by part, where None + n = n. The total is not checked against its parts.
    """

    prompt_tokens: U64
    completion_tokens: U64
    total_tokens: U64
    cache_read_tokens: U64 | None = None
    cache_write_tokens: U64 | None = None
    reasoning_tokens: U64 | None = None

    def __add__(self, other: object) -> TokenUsage:
        if not isinstance(other, TokenUsage):
            return NotImplemented
        parts = names_of(TokenUsage)
        sums: dict[str, Any] = {name: _plus(getattr(self, name), getattr(other, name)) for name in parts}
        return TokenUsage(**sums)

    def __radd__(self, other: object) -> TokenUsage:
        """Let ``sum(usages)`` start from its 0."""
        return self if other == 0 else NotImplemented


def _plus(a: int | None, b: int | None) -> int | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b


class MetricsEvent(Model, frozen=True, kw_only=True):
    """Base of every event.

    ``kind`` is the dotted name, such as ``chat.round_completed``, on the class and on its objects. The bases of the
    families have none. A subclass of one of them is an event of its own kind::

        class CacheWarmed(ChatEvent):  # chat.cache_warmed
            session_id: str
            entries: int

    Its fields are ``str``, ``int`` (64 bits), ``float`` (finite), ``bool``, one of these or None, a ``usage`` of
    TokenUsage or a ``status``. Raises TypeError, when the class is made, for other fields, for a name that a line has
    already, and for a kind that another class has.
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
                return UnknownEvent(family=family, variant=variant, payload=payload)
            except ValueError as error:
                raise DecodeError(str(error)) from None
        # serde writes a unit variant bare, but reads null too
        return tagged.decode(cls, {} if body is None else body)

    @staticmethod
    def from_json(text: str | bytes) -> MetricsEvent:
        """Return the event of a tagged form's JSON text; raises as :meth:`from_dict`."""
        from bamboo_logmetrics.events import tagged

        return MetricsEvent.from_dict(tagged.loads(text))


@model
class ChatEvent(MetricsEvent, frozen=True, kw_only=True):
    """Base of the events of the agent's own chat loop."""

    _family: ClassVar[str] = "Chat"
    meta: EventMeta = field(default_factory=EventMeta)


@model
class ForwardEvent(MetricsEvent, frozen=True, kw_only=True):
    """Base of the events of requests forwarded to a provider."""

    _family: ClassVar[str] = "Forward"
    meta: EventMeta = field(default_factory=EventMeta)


@model
class SystemEvent(MetricsEvent, frozen=True, kw_only=True):
    """Base of the events about the metrics system itself; they carry no meta."""

    _family: ClassVar[str] = "System"
    if TYPE_CHECKING:

        def __init__(self) -> None: ...


@model
class SessionStarted(ChatEvent, frozen=True, kw_only=True):
    """A conversation begins. ``model`` is the model used, such as ``gpt-5-mini``."""

    session_id: str
    model: str


@model
class SessionCompleted(ChatEvent, frozen=True, kw_only=True):
    """A conversation ended, well or not."""

    session_id: str
    status: SessionStatus

    if TYPE_CHECKING:

        def __init__(self, *, session_id: str, status: SessionStatus | str, meta: EventMeta = ...) -> None: ...


@model
class RoundStarted(ChatEvent, frozen=True, kw_only=True):
    """One model call (a request and its answer) begins."""

    round_id: str
    session_id: str
    model: str


@model
class RoundCompleted(ChatEvent, frozen=True, kw_only=True):
    """One model call ended.

    ``latency_ms`` takes any finite number >= 0 and floors it. Where usage or latency is not
    known, give zeros and bind ``usage_source="missing"`` or ``latency_source="missing"``.
    """

    round_id: str
    session_id: str
    status: RoundStatus
    usage: TokenUsage
    latency_ms: Millis
    error: str | None = None

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            round_id: str,
            session_id: str,
            status: RoundStatus | str,
            usage: TokenUsage,
            latency_ms: float,
            error: str | None = None,
            meta: EventMeta = ...,
        ) -> None: ...


@model
class ToolCalled(ChatEvent, frozen=True, kw_only=True):
    """A tool was called and has answered. Its arguments and result are never stored."""

    tool_call_id: str
    round_id: str
    session_id: str
    tool_name: str
    latency_ms: Millis
    success: bool

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            tool_call_id: str,
            round_id: str,
            session_id: str,
            tool_name: str,
            latency_ms: float,
            success: bool,
            meta: EventMeta = ...,
        ) -> None: ...


@model
class MessageCountUpdated(ChatEvent, frozen=True, kw_only=True):
    """The session now holds ``message_count`` messages, of user and assistant."""

    session_id: str
    message_count: U32


@model
class RequestStarted(ForwardEvent, frozen=True, kw_only=True):
    """A request goes to a provider. ``endpoint`` is such as ``openai.chat_completions``."""

    request_id: str
    endpoint: str
    model: str
    is_stream: bool


@model
class RequestCompleted(ForwardEvent, frozen=True, kw_only=True):
    """A forwarded request ended. ``status_code`` 0 means that no response came."""

    request_id: str
    status_code: U16
    status: ForwardStatus
    usage: TokenUsage | None = None
    latency_ms: Millis
    error: str | None = None

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            request_id: str,
            status_code: int,
            status: ForwardStatus | str,
            usage: TokenUsage | None = None,
            latency_ms: float,
            error: str | None = None,
            meta: EventMeta = ...,
        ) -> None: ...


@model
class MetricsDropped(SystemEvent, frozen=True, kw_only=True):
    """``count`` events were dropped since the last such event of this ``reason``."""

    count: U64
    reason: str


@model
class StorageError(SystemEvent, frozen=True, kw_only=True):
    """Storing failed. ``event_type`` is the kind of the event that was in hand."""

    error: str
    event_type: str


@model
class WorkerStarted(SystemEvent, frozen=True, kw_only=True):
    """A worker began to write."""


@model
class WorkerStopped(SystemEvent, frozen=True, kw_only=True):
    """A worker has stopped; in a log, its line carries the final counts."""


@model
class UnknownEvent(MetricsEvent, frozen=True, kw_only=True):
    """An event of a kind that this version does not know, kept as it came.

    Args:
        family: the outer tag, such as ``Chat``.
        variant: the inner tag, such as ``SessionPaused``.
        payload: the JSON text of what stood under the inner tag; None for a bare tag.

    Raises ValueError for a kind that this version knows: its line would pass for that event.
    """

    _family: ClassVar[str] = ""

    family: str
    variant: str
    payload: str | None = None

    def __post_init__(self) -> None:
        self._validate()
        if known := KINDS.get(self.kind):
            msg = f"UnknownEvent must be of an unknown kind; got {self.kind!r}. Pass {known.__name__}(...)."
            raise ValueError(msg)

    def to_dict(self) -> dict[str, Any]:
        """Return the tagged form as it came."""
        from bamboo_logmetrics.events import tagged

        if self.payload is None:
            return {self.family: self.variant}
        return {self.family: {self.variant: tagged.loads(self.payload)}}

    @property
    def kind(self) -> str:  # type: ignore[override]
        """The dotted name, such as ``chat.session_paused``."""
        return f"{snake(self.family)}.{snake(self.variant)}"
