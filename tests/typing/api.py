"""The typed API as its users write it: ``mypy --strict`` checks this file, nothing runs it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path

from typing_extensions import assert_never, assert_type

import bamboo_logmetrics as blm
from bamboo_logmetrics.logger.scopes import RequestScope, RoundScope, SessionScope, ToolScope
from bamboo_logmetrics.processors import Cap, expand, redact
from bamboo_logmetrics.testing import capture_events

# -- making events --------------------------------------------------------------------------

meta = blm.EventMeta.with_trace_id("req-1")
assert_type(meta, blm.EventMeta)
assert_type(blm.EventMeta.new().trace_id, str | None)
blm.EventMeta(event_id="e-1", occurred_at=datetime.now(timezone.utc), trace_id=None)
blm.EventMeta("e-1")  # type: ignore[call-arg]
blm.EventMeta(event_id=None)  # type: ignore[arg-type]

usage = blm.TokenUsage(prompt_tokens=1234, completion_tokens=567, total_tokens=1801, cache_read_tokens=None)
assert_type(usage + usage, blm.TokenUsage)
assert_type(usage.cache_read_tokens, int | None)
total = sum([usage, usage], start=usage)
assert_type(total, blm.TokenUsage)
blm.TokenUsage(prompt_tokens=1)  # type: ignore[call-arg]
blm.TokenUsage(prompt_tokens="1", completion_tokens=2, total_tokens=3)  # type: ignore[arg-type]

started = blm.SessionStarted(session_id="s-1", model="gpt-5-mini")
ended = blm.SessionCompleted(session_id="s-1", status="completed")
ended_too = blm.SessionCompleted(session_id="s-1", status=blm.SessionStatus.CANCELLED, meta=meta)
round_started = blm.RoundStarted(round_id="r-1", session_id="s-1", model="gpt-5-mini", meta=meta)
round_completed = blm.RoundCompleted(
    round_id="r-1", session_id="s-1", status="success", usage=usage, latency_ms=12.5, error=None, meta=meta
)
tool_called = blm.ToolCalled(
    tool_call_id="c-1",
    round_id="r-1",
    session_id="s-1",
    tool_name="grep",
    latency_ms=timedelta(1) / timedelta(1),
    success=True,
)
counted = blm.MessageCountUpdated(session_id="s-1", message_count=5)
request_started = blm.RequestStarted(request_id="q-1", endpoint="openai.chat_completions", model="m", is_stream=True)
request_completed = blm.RequestCompleted(
    request_id="q-1", status_code=200, status="timeout", latency_ms=30_000, usage=None
)
dropped = blm.MetricsDropped(count=17, reason="queue_full")
failed = blm.StorageError(error="disk full", event_type="chat.tool_called")
unknown = blm.UnknownEvent(family="Chat", variant="SessionPaused", payload=None)

started.model = "other"  # type: ignore[misc]
blm.SessionStarted("s-1", "m")  # type: ignore[call-arg, arg-type]
blm.SessionStarted(session_id="s-1")  # type: ignore[call-arg]
blm.SessionCompleted(session_id="s-1", status=5)  # type: ignore[arg-type]
blm.WorkerStarted(meta=meta)  # type: ignore[call-arg]

assert_type(round_completed.status, blm.RoundStatus)
assert_type(round_completed.latency_ms, int)
assert_type(round_completed.meta.occurred_at, datetime)
assert_type(request_completed.usage, blm.TokenUsage | None)
assert_type(round_completed.kind, str)
assert_type(blm.RoundCompleted.kind, str)
assert_type(dataclasses.replace(round_completed, error="late"), blm.RoundCompleted)

# -- the tagged form ------------------------------------------------------------------------

assert_type(started.to_json(), str)
assert_type(blm.MetricsEvent.from_json(b"{}"), blm.MetricsEvent)
assert_type(blm.MetricsEvent.from_dict(started.to_dict()), blm.MetricsEvent)


def describe(event: blm.MetricsEvent) -> str:
    """Take events apart by family and by field."""
    match event:
        case blm.RoundCompleted(status=blm.RoundStatus.ERROR, error=str(error)):
            return error
        case blm.RoundCompleted(usage=blm.TokenUsage(total_tokens=tokens), latency_ms=latency):
            return f"{tokens} in {latency} ms"
        case (
            blm.ChatEvent(meta=blm.EventMeta(event_id=event_id))
            | blm.ForwardEvent(meta=blm.EventMeta(event_id=event_id))
        ):
            return event_id
        case blm.UnknownEvent(family=family, variant=variant):
            return f"{family}.{variant}"
        case _:
            return event.kind


def colour(status: blm.ForwardStatus) -> str:
    """Cover every status."""
    if status is blm.ForwardStatus.SUCCESS:
        return "green"
    if status is blm.ForwardStatus.ERROR or status is blm.ForwardStatus.TIMEOUT:
        return "red"
    assert_never(status)


# -- logging --------------------------------------------------------------------------------


def log_things(path: Path) -> None:
    """Open a log, bind, emit, log, ask and close."""
    with blm.open_log(path, level="info", max_bytes=1_000_000, backup_count=None, compress="gzip") as log:
        assert_type(log, blm.BoundLog)
        bound = log.bind(session_id="s-1")
        assert_type(bound, blm.BoundLog)
        assert_type(bound.unbind("session_id").try_unbind("x").new(a=1), blm.BoundLog)
        assert_type(bound.emit(tool_called, project="p"), bool)
        bound.emit("text")  # type: ignore[arg-type]
        bound.emit(event=tool_called)  # type: ignore[call-arg]
        bound.info("cache %s", "warmed", entries=312, exc_info=True)
        bound.warning(round_completed)
        bound.log(logging.ERROR, "text")
        bound.log("warn", "text")
        assert_type(bound.name, str)
        assert_type(log.stats(), blm.Stats)
        assert_type(log.stats().dropped, Mapping[str, int])
        assert_type(log.flush(timeout=5), bool)
        assert_type(log.close(5.0), bool)
        assert_type(log.path, str)


async def log_asynchronously(path: str) -> None:
    """Log without holding up the event loop."""
    async with blm.open_log(path) as log:
        assert_type(await log.aemit(started), bool)
        await log.ainfo("text", n=1)
        await log.aexception("failed")
        assert_type(await log.aflush(), bool)


def log_application(path: str) -> None:
    """Configure one log for the whole application, or a handler for the stdlib."""
    blm.configure(path, durability="write", processors=[expand, redact, Cap(1_000)])
    blm.open_log(path, max_byte=5)  # type: ignore[call-arg]
    blm.open_log(path, max_bytes="5")  # type: ignore[arg-type]
    blm.open_log(path, on_full="drop")  # type: ignore[arg-type]
    blm.configure(path, levl="info")  # type: ignore[call-arg]
    blm.MetricsHandler(path, maxBytes=5)  # type: ignore[call-arg]
    blm.open_log(path, level=logging.INFO, compress=None, rotate_every="day", mode=0o600)
    log = blm.get_logger(__name__, service="api")
    assert_type(log, blm.BoundLog)
    assert_type(blm.stats(), blm.Stats)
    assert_type(blm.flush(5), bool)
    assert_type(blm.close(5), bool)
    handler = blm.MetricsHandler(path, level="warning")
    logging.getLogger().addHandler(handler)
    assert_type(handler.stats(), blm.Stats)
    logging.StreamHandler().setFormatter(blm.FlatJsonFormatter(max_line_bytes=1_000))


def read_log(path: Path) -> list[str]:
    """Read a log line by line and verify it."""
    found: list[str] = []
    for line in blm.read(path):
        assert_type(line, blm.Line)
        assert_type(line.seq, int | None)
        assert_type(line.timestamp, datetime)
        if line.event is not None:
            found.append(describe(line.event))
        elif line.text is not None:
            found.append(line.text)
    report = blm.verify([path])
    assert_type(report, blm.Report)
    try:
        blm.MetricsEvent.from_json("nonsense")
    except blm.DecodeError as error:
        assert_type(isinstance(error, blm.BambooLogError), bool)
    return found


def capture() -> int:
    """Capture events in a test."""
    with capture_events() as events:
        blm.get_logger().emit(started)
    assert_type(events[0], blm.MetricsEvent)
    assert_type(events.plain[0].level, str)
    return len(events)


class CacheWarmed(blm.ChatEvent, frozen=True, kw_only=True):
    """An event of the application."""

    session_id: str
    entries: int = 0


def emit_own_event(log: blm.BoundLog) -> bool:
    """Emit an event of the application."""
    warmed = CacheWarmed(session_id="s-1")
    assert_type(warmed.kind, str)
    assert_type(warmed.entries, int)
    CacheWarmed(session_id=1)  # type: ignore[arg-type]
    CacheWarmed(entries=1)  # type: ignore[call-arg]
    return log.emit(warmed)


# -- scopes ---------------------------------------------------------------------------------


@blm.get_logger().tool("add")
def add(a: int, b: int = 0) -> int:
    return a + b


assert_type(add(1), int)
add("1")  # type: ignore[arg-type]


async def use_scopes() -> None:
    scoped = blm.get_logger()
    with scoped.session(model="m", project="p") as session, scoped.round(model="m") as call:
        assert_type(session, SessionScope)
        assert_type(call, RoundScope)
        assert_type(call.usage, blm.TokenUsage | None)
        call.usage = usage
        session.message_count = 7
        session.message_count = "7"  # type: ignore[assignment]
    async with scoped.request(endpoint="e", model="m", is_stream=True) as request, scoped.tool("t") as tool:
        assert_type(request, RequestScope)
        assert_type(tool, ToolScope)
        request.status_code = 200
    scoped.round()  # type: ignore[call-arg]
    assert_type(blm.carry(add)(1), int)
