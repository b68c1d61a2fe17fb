"""Events of agent programs, by their tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from bamboo_logmetrics.importers.base import ImportedEvent
from bamboo_logmetrics.importers.otlp import tables
from bamboo_logmetrics.importers.otlp.attributes import first_label, first_number, is_true, number, tokens_of
from bamboo_logmetrics.importers.otlp.events import Call, request_failed, tool_called
from bamboo_logmetrics.importers.otlp.records import LOG, Attributes, TelemetryRecord
from bamboo_logmetrics.importers.otlp.tables import Action, Program, Rule
from bamboo_logmetrics.importers.values import identifier, label
from bamboo_logmetrics.usage.facts import MISSING

if TYPE_CHECKING:
    from bamboo_logmetrics.importers.otlp.converter import Converter

_MS = 1_000_000  # nanoseconds
_MOST_ROUNDS = 64  # of a session, of which a tool call may name one
_LONGEST_ERROR = 300  # characters
_ERROR_FROM = 400  # status codes
_MCP_PREFIX = "mcp__"
_EXIT_CODE = re.compile(r"exited with code (-?\d+)")
_LOOKED_AT = 4096  # characters of a tool's output


def program_of(record: TelemetryRecord) -> Program | None:
    """Return the agent program that a record is of."""
    return next((program for program in tables.PROGRAMS if _is_of(record, program)), None)


def _is_of(record: TelemetryRecord, program: Program) -> bool:
    service, scope = record.source.resource.get("service.name"), record.source.scope
    if isinstance(service, str) and service in program.services:
        return True
    if any(scope == known or scope.startswith(f"{known}.") for known in program.scopes):
        return True
    if record.signal == LOG:
        return record.event_name.startswith(program.prefix)
    module = first_label(record.attributes, tables.MODULE) if program.modules else None
    return module is not None and module.startswith(program.modules)


def server_of(tool: str) -> str | None:
    """Return the MCP server in the name of a tool."""
    return tool.removeprefix(_MCP_PREFIX).partition("__")[0] or None if tool.startswith(_MCP_PREFIX) else None


class ProgramEvents:
    """Turns the records of agent programs into events.

    Args:
        converter: knows the sessions, and takes what becomes no event.
    """

    def __init__(self, converter: Converter) -> None:
        self._converter = converter
        self._makers: dict[Action, Callable[[TelemetryRecord, Program, Rule, str], Iterable[ImportedEvent]]] = {
            Action.CALL: self._call,
            Action.FAILURE: self._failure,
            Action.REQUEST: self._request,
            Action.TOOL: self._tool,
            Action.SESSION: self._session,
            Action.NOTE: self._note,
        }

    def events(self, record: TelemetryRecord, program: Program) -> Iterable[ImportedEvent]:
        """Return the events of a record."""
        if record.signal != LOG:
            return self._converter.repeated(record)
        attributes = record.attributes
        rule = program.rules.get(record.event_name.removeprefix(program.prefix))
        session_id = _session_id(record, program)
        if rule is None:
            is_repeat = record.event_name.startswith("gen_ai.")
            return self._converter.repeated(record) if is_repeat else self._converter.unknown(record, session_id)
        if rule.action is Action.REPEAT or (rule.needs and number(attributes.get(rule.needs)) is None):
            return self._converter.repeated(record)
        if not session_id and rule.action is not Action.NOTE:
            session_id = record.trace_id or record.key
        return self._makers[rule.action](record, program, rule, session_id)

    # -- each action --------------------------------------------------------------------------------

    def _session(
        self, record: TelemetryRecord, program: Program, rule: Rule, session_id: str
    ) -> Iterable[ImportedEvent]:
        bound = self._bound(record, program, rule)
        model = first_label(record.attributes, tables.MODEL) or ""
        return self._converter.begin_session(session_id, model, self._converter.time_ns(record, bound), bound)

    def _note(self, record: TelemetryRecord, program: Program, rule: Rule, session_id: str) -> Iterable[ImportedEvent]:
        return self._converter.plain(record, session_id, self._bound(record, program, rule))

    def _call(self, record: TelemetryRecord, program: Program, rule: Rule, session_id: str) -> Iterator[ImportedEvent]:
        attributes, bound = record.attributes, self._bound(record, program, rule)
        at_end = {name: bound.pop(name) for name in rule.bound if name in bound}
        ended_ns = self._converter.time_ns(record, bound)
        usage, source = tokens_of(attributes, program.tokens)
        session = self._converter.session(session_id)
        latency_ms = first_number(attributes, tables.DURATION)
        if latency_ms is None and session.request_ns is not None:
            latency_ms, session.request_ns = max(0, ended_ns - session.request_ns) / _MS, None
        model = first_label(attributes, tables.MODEL) or ""
        call = Call(
            record.key, session_id, model, ended_ns, latency_ms, usage, source, bound=bound, bound_at_end=at_end
        )
        yield from self._converter.begin_session(session_id, model, call.started_ns, bound)
        yield from call.events()
        self._remember(session_id, call.round_id, first_label(attributes, tables.TOOL_ROUND))

    def _remember(self, session_id: str, round_id: str, request_id: str | None) -> None:
        session = self._converter.session(session_id)
        session.last_round = round_id
        if request_id is not None:
            session.rounds[request_id] = round_id
            if len(session.rounds) > _MOST_ROUNDS:
                session.rounds.popitem(last=False)

    def _request(
        self, record: TelemetryRecord, program: Program, rule: Rule, session_id: str
    ) -> Iterable[ImportedEvent]:
        """Return a failed request, or note when the request of a round began."""
        attributes = record.attributes
        code = first_number(attributes, tables.STATUS_CODE)
        failed = any(name in attributes for name in tables.ERROR) or is_true(attributes.get("success")) is False
        if failed or (code is not None and code >= _ERROR_FROM):
            return self._failure(record, program, rule, session_id)
        duration = first_number(attributes, tables.DURATION) or 0
        self._converter.session(session_id).request_ns = record.time_ns - int(duration * _MS)
        return self._converter.repeated(record)

    def _failure(
        self, record: TelemetryRecord, program: Program, rule: Rule, session_id: str
    ) -> Iterable[ImportedEvent]:
        attributes, bound = record.attributes, self._bound(record, program, rule)
        code = int(first_number(attributes, tables.STATUS_CODE) or 0)
        error_type = first_label(attributes, tables.ERROR_TYPE)
        if error_type:
            bound["error_type"] = error_type
        text = next((value for name in tables.ERROR if isinstance(value := attributes.get(name), str) and value), "")
        error = text[:_LONGEST_ERROR] or error_type or (f"status {code}" if code else "error")
        bound |= {"session_id": session_id, "model": first_label(attributes, tables.MODEL) or ""}
        attempt = first_number(attributes, tables.ATTEMPT)
        if attempt is not None:
            bound["attempt"] = int(attempt) + 1 - program.first_attempt
        latency_ms = first_number(attributes, tables.DURATION)
        time_ns = self._converter.time_ns(record, bound)
        return [request_failed(record.key, time_ns, code if code < 2**16 else 0, latency_ms, error=error, bound=bound)]

    def _tool(self, record: TelemetryRecord, program: Program, rule: Rule, session_id: str) -> Iterable[ImportedEvent]:
        attributes, bound = record.attributes, self._bound(record, program, rule)
        session = self._converter.session(session_id)
        round_id = session.rounds.get(first_label(attributes, tables.TOOL_ROUND) or "") or session.last_round
        name = first_label(attributes, tables.TOOL_NAME) or "unknown"
        if server := label(attributes.get("mcp_server")) or server_of(name):
            bound["mcp_server"] = server
        success = is_true(attributes.get("success")) is not False
        if success and program.exit_code and _exit_code(attributes, program.exit_code) != 0:
            success, bound["error_type"] = False, "exit_code"
        elif not success:
            bound["error_type"] = first_label(attributes, tables.ERROR_TYPE) or "tool_error"
        ids = (first_label(attributes, tables.TOOL_CALL) or record.key, round_id, session_id)
        latency_ms = first_number(attributes, tables.DURATION)
        ended_ns = self._converter.time_ns(record, bound)
        return [tool_called(record.key, ids, name, ended_ns, latency_ms, success=success, bound=bound)]

    def _bound(self, record: TelemetryRecord, program: Program, rule: Rule) -> dict[str, Any]:
        bound = {**self._converter.bound(record), "agent": program.agent}
        if program.provider:
            bound["provider"] = program.provider
        if not _session_id(record, program) and rule.action is not Action.NOTE:
            bound["session_source"] = MISSING
        for name, theirs in rule.bound.items():
            value: Any = record.attributes.get(theirs)
            value = number(value) if name in tables.NUMBERS else label(value)
            if value is not None:
                bound[name] = tables.VALUES.get(name, {}).get(value, value)
        return bound


def _session_id(record: TelemetryRecord, program: Program) -> str:
    """Return the id of the session of a record; an empty text if it has none."""
    name = program.session
    return identifier(record.attributes.get(name)) or identifier(record.source.resource.get(name)) or ""


def _exit_code(attributes: Attributes, name: str) -> int:
    """Return the exit code that the output of a tool tells; the output itself goes nowhere."""
    output = attributes.get(name)
    match = _EXIT_CODE.search(output[:_LOOKED_AT]) if isinstance(output, str) else None
    return int(match[1]) if match else 0
