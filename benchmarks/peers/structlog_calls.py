"""The calls on a structlog logger, whatever it writes to."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from benchmarks.events import KIND, MARK, SESSION, TEXT, TRACE, Load
from benchmarks.peers import kinds
from benchmarks.peers.base import Peer


def peer_of(logger: Any, load: Load, *, close: Callable[[], object]) -> Peer:
    """Return the peer of a logger.

    structlog has no event that could be made beforehand: its call is the same for all of the event's runs, with the
    fields as keywords. The logger is bound and local, as structlog's page on performance recommends.
    """
    kinds.bind_context(load)
    log = logger.bind(**load.bound)
    info = log.info
    error, status = load.error, "error" if load.error else "success"

    def emit(number: int) -> None:
        info(
            KIND,
            event_id=str(uuid.uuid4()),
            trace_id=TRACE,
            round_id=MARK,
            session_id=SESSION,
            status=status,
            prompt_tokens=1234,
            completion_tokens=567,
            total_tokens=1801,
            cache_read_tokens=1000,
            cache_write_tokens=20,
            reasoning_tokens=300,
            latency_ms=number,
            error=error,
        )

    def plain(_: int) -> None:
        info(TEXT, round_id=MARK, entries=312, share=0.75, warm=True, region="eu-1")

    # the id of a request is a context variable
    def started(_: str) -> None:
        info(
            "forward.request_started",
            event_id=str(uuid.uuid4()),
            endpoint=kinds.ENDPOINT,
            model=kinds.MODEL,
            is_stream=True,
        )

    def completed(_: str, latency_ms: int) -> None:
        info(
            "forward.request_completed",
            event_id=str(uuid.uuid4()),
            status_code=200,
            status="success",
            **kinds.USAGE,
            latency_ms=latency_ms,
        )

    return Peer(emit=emit, plain=plain, close=close, others=kinds.calls_of(log, started, completed))
