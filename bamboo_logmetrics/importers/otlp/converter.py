"""Turns records of OTLP into events: those of agent programs by their tables, all others by the GenAI conventions.

One call counts once:

- The calls of an agent program are its log events. Its spans, and what else it sends about the same calls, are not
  written.
- Of everybody else a span is a call. A log event about the call of a span has the ids of the span, and so the same id;
  whichever comes first is written. A log event without usage leaves the call to the span.
- Where the span of a call is inside that of another, the inner one counts, if it has usage.
- Metrics sum up calls, and are never counted.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bamboo_logmetrics.importers.base import ImportedEvent
from bamboo_logmetrics.importers.otlp import programs, tables
from bamboo_logmetrics.importers.otlp.attributes import first_label, first_number
from bamboo_logmetrics.importers.otlp.events import Call, note, session_completed, session_started, tool_called
from bamboo_logmetrics.importers.otlp.records import LOG, METRIC, SPAN, TelemetryRecord, UnusableRecordError
from bamboo_logmetrics.importers.values import identifier, label
from bamboo_logmetrics.usage.genai_attributes import (
    AGENT,
    CONVERSATION,
    MODEL,
    PROVIDER,
    ROUND,
    SESSION,
    TOOL_CALL,
    TOOL_NAME,
    facts_of,
    kind_of,
    text_of,
)
from bamboo_logmetrics.usage.provider_names import standard_name

UNKNOWN = "not known, kept as plain lines"
REPEATED = "repeats of what other records tell, not written"
UNUSABLE = "cannot be used, not written"
SUMMED = "metrics of calls that logs and spans count, not written"
_MOST_NAMES = 200  # of each of these; further ones are counted as others
_OTHERS = "others"
_MOST_SESSIONS = 10_000
_MOST_SPANS = 50_000
_NAME = re.compile(r"[\w.:/@+-]{1,100}", re.ASCII)
_MS = 1_000_000  # nanoseconds
_LATEST_NS = 253_402_300_799 * 1_000_000_000  # the end of the year 9999


def _ignore(_category: str, _name: str) -> None:
    """Ignore a name."""


@dataclass(slots=True)
class Session:
    """The state of a session that goes on.

    Args:
        last_round: its last round, to which a tool call belongs.
        rounds: the latest rounds by the provider's id of the request.
        request_ns: the begin of the request that is under way; None if there is none.
        started: True if its begin was made.
    """

    last_round: str = ""
    rounds: OrderedDict[str, str] = field(default_factory=OrderedDict)
    request_ns: int | None = None
    started: bool = False


class Recent(OrderedDict[str, Any]):
    """The latest entries of a mapping without end.

    Args:
        most: how many are kept.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        if len(self) > self._most:
            self.popitem(last=False)


class Converter:
    """Turns records into events; it remembers what came before, in bounded memory.

    Args:
        on_new_name: called with a category and a name when a name is first seen that becomes no event.

    Attributes:
        names: the number of such records, by category and name.
    """

    def __init__(self, on_new_name: Callable[[str, str], None] = _ignore) -> None:
        self._on_new_name = on_new_name
        self.names: dict[str, dict[str, int]] = {UNKNOWN: {}, REPEATED: {}, SUMMED: {}, UNUSABLE: {}}
        self._sessions = Recent(_MOST_SESSIONS)
        self._parents = Recent(_MOST_SPANS)  # of spans of calls, and of what is above them
        self._counted = Recent(_MOST_SPANS)  # spans of calls that are counted, and of what is above them
        self._programs = programs.ProgramEvents(self)

    def events(self, records: Iterable[TelemetryRecord]) -> Iterator[ImportedEvent]:
        """Yield the events of some records that came together, in order of time; count those that cannot be used."""
        for record in self.in_order(records):
            try:
                events = list(self.events_of(record))
            except Exception:  # noqa: BLE001 - one bad record must not cost the others
                self.count(UNUSABLE, shown_name(record))
            else:
                yield from events

    def in_order(self, records: Iterable[TelemetryRecord]) -> list[TelemetryRecord]:
        """Return some records that came together in order of time, and remember which spans are inside others."""
        records = list(records)
        for record in records:
            if record.signal == SPAN and record.parent_id and record.is_usable:
                self._parents[record.key] = f"{record.trace_id}:{record.parent_id}"
        return sorted(records, key=lambda one: one.time_ns)

    def events_of(self, record: TelemetryRecord) -> Iterable[ImportedEvent]:
        """Return the events of a record; those of a batch have to come in its order.

        Raises UnusableRecordError, or anything else by a fault of ours, also on the way.
        """
        if not record.is_usable:
            msg = "its ids are too long"
            raise UnusableRecordError(msg)
        if record.signal == METRIC:
            return self._metric(record)
        program = programs.program_of(record)
        if program is not None:
            return self._programs.events(record, program)
        if record.event_name in tables.MESSAGE_EVENTS:
            return self.repeated(record)
        kind = kind_of(record.attributes)
        if kind is not None:
            return self._call_of_convention(record, kind)
        return self.unknown(record)

    # -- what becomes no event of ours --------------------------------------------------------------

    def count(self, category: str, name: str) -> None:
        """Count a record that becomes no event, and tell of its name once."""
        names = self.names[category]
        if name not in names:
            name = name if len(names) < _MOST_NAMES else _OTHERS
            if name not in names:
                self._on_new_name(category, name)
        names[name] = names.get(name, 0) + 1

    def repeated(self, record: TelemetryRecord) -> list[ImportedEvent]:
        """Count a record that tells again what another one tells."""
        self.count(REPEATED, shown_name(record))
        return []

    def unknown(self, record: TelemetryRecord, session_id: str = "") -> list[ImportedEvent]:
        """Return a record that is not known as a plain line."""
        self.count(UNKNOWN, shown_name(record))
        return self.plain(record, session_id or self.session_id(record))

    def plain(
        self, record: TelemetryRecord, session_id: str, bound: dict[str, Any] | None = None
    ) -> list[ImportedEvent]:
        """Return a plain line: the name of a record, where it comes from, and nothing that it says."""
        values = self.bound(record) if bound is None else bound
        values = {**values, "otlp_signal": record.signal}
        if scope := label(record.source.scope):
            values["otlp_scope"] = scope
        if severity := label(record.severity):
            values["severity"] = severity
        if record.points:
            values["points"] = record.points
        return [note(shown_name(record), session_id, record.key, self.time_ns(record, values), values)]

    def _metric(self, record: TelemetryRecord) -> list[ImportedEvent]:
        name = shown_name(record)
        if name.startswith(tables.METRICS_OF_CALLS) or tables.WORD_OF_TOKENS in name:
            self.count(SUMMED, name)
            return []
        return self.unknown(record)

    # -- sessions -----------------------------------------------------------------------------------

    def session(self, session_id: str) -> Session:
        """Return the state of a session."""
        if session_id not in self._sessions:
            self._sessions[session_id] = Session()
        session: Session = self._sessions[session_id]
        return session

    def begin_session(
        self, session_id: str, model: str, time_ns: int, bound: dict[str, Any]
    ) -> Iterator[ImportedEvent]:
        """Yield the begin of a session that is not known yet."""
        session = self.session(session_id)
        if not session.started:
            session.started = True
            yield session_started(session_id, model, time_ns, bound)

    def forget_begins(self) -> None:
        """Make the begins of sessions anew, because one may not be in the log; they have the same ids again."""
        for session in self._sessions.values():
            session.started = False

    def session_id(self, record: TelemetryRecord) -> str:
        """Return the session of a record by the conventions; an empty text without one."""
        return identifier(text_of(record.attributes, CONVERSATION)) or ""

    # -- what all events have -----------------------------------------------------------------------

    @staticmethod
    def bound(record: TelemetryRecord) -> dict[str, Any]:
        """Return the values that are bound to everything that is made of a record."""
        values: dict[str, Any] = {"importer": "otlp"}
        resource = record.source.resource
        names = {"service_name": ("service.name",), "env": ("deployment.environment.name", "deployment.environment")}
        for name, theirs in names.items():
            if value := first_label(resource, theirs):
                values[name] = value
        if version := first_label(record.attributes, tables.VERSION) or first_label(resource, tables.VERSION):
            values["client_version"] = version
        if record.trace_id:
            values["trace_id"] = record.trace_id
        return values

    @staticmethod
    def time_ns(record: TelemetryRecord, bound: dict[str, Any]) -> int:
        """Return the time of a record; of one without a time now, which is bound as missing."""
        if 0 < record.time_ns <= _LATEST_NS:
            return record.time_ns
        bound["time_source"] = "missing"
        return time.time_ns()

    # -- calls by the conventions -------------------------------------------------------------------

    def _call_of_convention(self, record: TelemetryRecord, kind: str) -> Iterator[ImportedEvent]:
        attributes, bound = record.attributes, self.bound(record)
        if provider := text_of(attributes, PROVIDER):
            bound["provider"] = standard_name(provider)
        if agent := text_of(attributes, AGENT):
            bound["agent"] = agent
        session_id = self.session_id(record) or record.trace_id
        if not session_id:
            session_id, bound["session_source"] = record.key, "missing"
        if kind == ROUND:
            yield from self._round(record, session_id, bound)
        elif kind == SESSION:
            yield from self._agent(record, session_id, bound)
        else:
            yield self._tool(record, session_id, bound)

    def _agent(self, record: TelemetryRecord, session_id: str, bound: dict[str, Any]) -> Iterator[ImportedEvent]:
        ended_ns = self.time_ns(record, bound)
        model = text_of(record.attributes, MODEL)
        yield session_started(session_id, model, record.start_ns or ended_ns, bound)
        if record.signal == SPAN:
            yield session_completed(
                session_id, record.key, ended_ns, {**bound, **_error_type(record)}, failed=record.failed
            )

    def _tool(self, record: TelemetryRecord, session_id: str, bound: dict[str, Any]) -> ImportedEvent:
        key, attributes = _call_key(record), record.attributes
        ids = (
            text_of(attributes, TOOL_CALL) or key.rpartition(":")[2],
            self.session(session_id).last_round,
            session_id,
        )
        name = text_of(attributes, TOOL_NAME) or "unknown"
        bound |= _error_type(record)
        if server := programs.server_of(name):
            bound["mcp_server"] = server
        ended_ns = self.time_ns(record, bound)
        return tool_called(key, ids, name, ended_ns, _latency_ms(record), success=not _failed(record), bound=bound)

    def _round(self, record: TelemetryRecord, session_id: str, bound: dict[str, Any]) -> Iterator[ImportedEvent]:
        key, facts = _call_key(record), facts_of(record.attributes)
        is_left_to_span = record.signal == LOG and record.trace_id and record.span_id and facts.usage is None
        if is_left_to_span or self._is_counted(key):
            self.repeated(record)
            return
        if facts.usage is not None:
            self._count_call(key)
        call = Call(
            key, session_id, text_of(record.attributes, MODEL), self.time_ns(record, bound), _latency_ms(record),
            facts.usage, facts.usage_source, bound=bound, bound_at_end={**facts.bound, **_error_type(record)},
        )  # fmt: skip
        if _failed(record):
            call.error = label(record.message) or text_of(record.attributes, tables.ERROR_TYPE) or "error"
        yield from self.begin_session(session_id, call.model, call.started_ns, bound)
        yield from call.events()
        self.session(session_id).last_round = call.round_id

    def _is_counted(self, key: str) -> bool:
        """Return True if a call inside this one is counted, or one that this one is inside."""
        return self._counted.get(key, key) != key or any(
            self._counted.get(above) == above for above in self._above(key)
        )

    def _count_call(self, key: str) -> None:
        """Note a call that is counted, and everything that it is inside."""
        self._counted[key] = key
        for above in self._above(key):
            self._counted.setdefault(above, key)

    def _above(self, key: str) -> Iterator[str]:
        """Yield the spans that a span is inside, as far as they are known."""
        seen = {key}
        while (key := self._parents.get(key, "")) and key not in seen:
            seen.add(key)
            yield key


def shown_name(record: TelemetryRecord) -> str:
    """Return the name of a record as it may be written; a text that is no name may be a prompt."""
    name = record.event_name
    program = programs.program_of(record)
    if program is not None and record.signal == LOG and not name.startswith((program.prefix, "gen_ai.")):
        name = program.prefix + name
    return name if _NAME.fullmatch(name) else f"otlp {record.signal}"


def _call_key(record: TelemetryRecord) -> str:
    """Return the id of a call: a log event about the call of a span has the ids of the span."""
    return f"{record.trace_id}:{record.span_id}" if record.trace_id and record.span_id else record.key


def _failed(record: TelemetryRecord) -> bool:
    return record.failed or (record.signal == LOG and "error.type" in record.attributes)


def _error_type(record: TelemetryRecord) -> dict[str, str]:
    return {"error_type": text_of(record.attributes, tables.ERROR_TYPE) or "error"} if _failed(record) else {}


def _latency_ms(record: TelemetryRecord) -> float | None:
    if record.signal == SPAN and record.start_ns and record.time_ns >= record.start_ns:
        return (record.time_ns - record.start_ns) / _MS
    return first_number(record.attributes, tables.DURATION)
