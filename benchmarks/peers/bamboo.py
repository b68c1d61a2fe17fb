"""bamboo_logmetrics: ``open_log``, rotation at 20 MB on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.events import MARK, PROCESSOR, SESSION, TEXT, TRACE, Load
from benchmarks.peers import kinds
from benchmarks.peers.base import Peer

TITLE = "bamboo_logmetrics"
NEEDS = ("bamboo_logmetrics", "structlog")
PACKAGES = ("bamboo_logmetrics",)

MAX_BYTES = 20_000_000


def open_peer(path: str, load: Load) -> Peer:
    """Open the log; ``load.options`` beat the 20 MB."""
    import bamboo_logmetrics as blm

    processors = {"processors": [kinds.add_zone]} if PROCESSOR in load.needs else {}
    return peer_of(blm.open_log(path, **{"max_bytes": MAX_BYTES, **load.options, **processors}), load)


def peer_of(opened: Any, load: Load) -> Peer:
    """Return the peer of a log that is open."""
    kinds.bind_context(load)
    log = opened.bind(**load.bound)
    make = maker(load)
    send = log.emit

    def emit(number: int) -> None:
        send(make(number))

    def plain(_: int) -> None:
        log.info(TEXT, round_id=MARK, entries=312, share=0.75, warm=True, region="eu-1")

    return Peer(
        emit=emit,
        plain=plain,
        make=make,
        emit_made=send,
        flush=lambda: log.flush(60),
        close=lambda: log.close(60),
        others=kinds.calls_of(log, *_request_events(send)),
    )


def _request_events(send: Callable[[Any], object]) -> tuple[Callable[[str], object], Callable[[str, int], object]]:
    """Return the functions that log the start and the end of a request."""
    from bamboo_logmetrics import RequestCompleted, RequestStarted, TokenUsage

    def started(request_id: str) -> None:
        send(RequestStarted(request_id=request_id, endpoint=kinds.ENDPOINT, model=kinds.MODEL, is_stream=True))

    def completed(request_id: str, latency_ms: int) -> None:
        usage = TokenUsage(**kinds.USAGE)
        send(
            RequestCompleted(
                request_id=request_id, status_code=200, status="success", usage=usage, latency_ms=latency_ms
            )
        )

    return started, completed


def maker(load: Load) -> Callable[[int], Any]:
    """Return a function that makes an event with all its fields, whose latency is a number."""
    from bamboo_logmetrics import EventMeta, RoundCompleted, RoundStatus, TokenUsage

    status = RoundStatus.ERROR if load.error else RoundStatus.SUCCESS
    error = load.error

    def make(number: int) -> RoundCompleted:
        return RoundCompleted(
            meta=EventMeta.with_trace_id(TRACE),
            round_id=MARK,
            session_id=SESSION,
            status=status,
            usage=TokenUsage(
                prompt_tokens=1234,
                completion_tokens=567,
                total_tokens=1801,
                cache_read_tokens=1000,
                cache_write_tokens=20,
                reasoning_tokens=300,
            ),
            latency_ms=number,
            error=error,
        )

    return make
