"""More kinds of call on a structlog logger: the same code for ours and for the reference."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from typing import Any

from benchmarks import texts
from benchmarks.events import CONTEXT, MARK, TEXT, Load

Call = Callable[[int], object]

MARKED = f"{TEXT} {MARK}"  # the text of a call whose values have no place for the mark
JOB = uuid.UUID("6d1f2a7e-3c5b-4e0e-9a41-0c2f4f1f9a77")
DUE = dt.datetime(2026, 11, 30, 12, 30, 15, 417696, tzinfo=dt.timezone.utc)
PATH = "/v1/chat/completions"
ENDPOINT = "openai.chat_completions"
MODEL = "gpt-5-mini"
USAGE = {"prompt_tokens": 1234, "completion_tokens": 567, "total_tokens": 1801}

LINES = {"request": 10}  # lines of one call of a kind; 1 for all others


def bind_context(load: Load) -> None:
    """Bind three context variables in this thread, if the calls of a load need them."""
    from structlog.contextvars import bind_contextvars

    if CONTEXT in load.needs:
        bind_contextvars(request_id="req-5c1e7a90", user="u-17", path=PATH)


def add_zone(_: Any, __: str, event_dict: dict[str, Any]) -> dict[str, Any]:
    """Be the one processor of an application: add a value."""
    event_dict["zone"] = "a"
    return event_dict


def calls_of(log: Any, started: Callable[[str], object], completed: Callable[[str, int], object]) -> dict[str, Call]:
    """Return the calls by the name of their kind.

    Args:
        log: a structlog logger.
        started: logs that a request has started, from its id.
        completed: logs that it has ended, from its id and its milliseconds.
    """
    info, exception = log.info, log.exception

    def three(_: int) -> None:
        info(TEXT, round_id=MARK, entries=312, share=0.75)

    def nested(_: int) -> None:
        info(MARKED, sizes=[1, 2, 3], limits={"rows": 1, "mode": "fast"}, share=0.75)

    def objects(_: int) -> None:
        info(MARKED, job=JOB, due=DUE)

    def failed(_: int) -> None:
        try:
            int("nothing")
        except ValueError:
            exception(MARKED)

    def long(text: str) -> Call:
        return lambda _: info(MARKED, text=text)

    return {
        "words": long(texts.words()),
        "source": long(texts.python_source()),
        "sentences": long(texts.sentences()),
        "three": three,
        "nested": nested,
        "objects": objects,
        "exception": failed,
        "request": _request(log, started, completed),
    }


def _request(log: Any, started: Callable[[str], object], completed: Callable[[str, int], object]) -> Call:
    """Return the call that logs one request of a web application: ten lines, under context variables of its own."""
    from structlog.contextvars import bind_contextvars, clear_contextvars

    info, warning = log.info, log.warning

    def request(number: int) -> None:
        request_id = f"req-{number:016x}"
        clear_contextvars()
        bind_contextvars(request_id=request_id, round_id=MARK, path=PATH)
        started(request_id)
        info("user found", user=f"u-{number % 1000}", plan="team")
        info("session loaded", messages=number % 50, cached=True)
        info("prompt built", size=5120 + number, tools=["read_file", "search"])
        info("provider chosen", provider="openai", attempt=1)
        info("stream opened", first_byte_ms=212.5)
        info("tool answered", tool="search", hits=7, share=0.25)
        warning("few requests remain", remaining=number % 40, seconds=12.5)
        info("answer stored", rows=3)
        completed(request_id, number)

    return request
