from __future__ import annotations

import asyncio
import json
import logging
from datetime import datetime, timedelta, timezone

import pytest
import structlog
from structlog import stdlib
from structlog.processors import (
    EventRenamer,
    StackInfoRenderer,
    TimeStamper,
    dict_tracebacks,
    format_exc_info,
)
from support.tools import flat, tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.logger.message_dict import leave_out_doubles, split_message

DOCUMENTED = [  # as structlog's documentation and django-structlog's have them
    structlog.contextvars.merge_contextvars,
    stdlib.filter_by_level,
    stdlib.add_logger_name,
    stdlib.add_log_level,
    stdlib.PositionalArgumentsFormatter(),
    TimeStamper(fmt="iso"),
]
TO_LOGGING = [
    stdlib.ProcessorFormatter.wrap_for_formatter,
    stdlib.render_to_log_kwargs,
    *(value for name, value in vars(stdlib).items() if name == "render_to_log_args_and_kwargs"),
]


class Collected(logging.Handler):
    """A handler with a formatter, whose lines the test reads."""

    def __init__(self, formatter):
        super().__init__()
        self.setFormatter(formatter)
        self.texts = []

    def emit(self, record):
        self.texts.append(self.format(record))


@pytest.fixture
def chain(logger, path):
    """Configure structlog with more processors; return a logger, and a function that returns the lines so far."""
    console = Collected(stdlib.ProcessorFormatter(processor=structlog.processors.JSONRenderer()))
    formatted = Collected(blm.FlatJsonFormatter())
    handler = blm.MetricsHandler(path)
    for each in (console, handler, formatted):  # the console first: it must not change what the others see
        logger.addHandler(each)

    def lines():
        handler.flush()
        written = flat(path)[1:]
        for line, text in zip(written, formatted.texts, strict=True):
            other = json.loads(text)
            own = {key: value for key, value in line.items() if key not in {"writer", "seq"}}
            assert other == own
        return written

    def configure(*processors, final=TO_LOGGING[0]):
        structlog.configure(
            processors=[*DOCUMENTED, *processors, final],
            logger_factory=stdlib.LoggerFactory(),
            wrapper_class=stdlib.BoundLogger,
            cache_logger_on_first_use=False,
        )
        return structlog.get_logger("tests.handler"), lines

    yield configure
    structlog.reset_defaults()


KEYS = {"timestamp", "level", "event", "v", "writer", "seq", "plain", "logger"}


@pytest.mark.parametrize("final", TO_LOGGING)
def test_the_documented_chain(chain, final):
    """Text and level are the line's, bound values stand beside them, nothing stands there twice."""
    log, lines = chain(final=final)
    structlog.contextvars.bind_contextvars(request="r-1")
    log.bind(a=1).warning("hello %s", "you", b=[2])
    (line,) = lines()
    assert (line["event"], line["level"], line["logger"]) == ("hello you", "warning", "tests.handler")
    assert line.keys() == KEYS | {"a", "b", "request"}


@pytest.mark.parametrize("final", TO_LOGGING)
def test_events_in_the_documented_chain_are_typed(chain, path, final):
    """An event that went through structlog's chain is a typed line."""
    log, lines = chain(final=final)
    event = blm.RequestCompleted(request_id="q-1", status_code=500, status="error", latency_ms=1)
    log.info(event, a=1)
    (line,) = lines()
    (read,) = [line for line in blm.read(path) if not line.own]
    assert (read.event, read.level, dict(read.bound)) == (event, "error", {"logger": "tests.handler", "a": 1})
    assert "plain" not in line


@pytest.mark.parametrize("final", TO_LOGGING)
@pytest.mark.parametrize("more", [[], [format_exc_info], [StackInfoRenderer(), format_exc_info], [dict_tracebacks]])
def test_an_exception_is_written_once(chain, more, final):
    """However the chain renders an exception, the line has it once, as text without local variables."""
    log, lines = chain(*more, final=final)
    try:
        secret_local = "do not show"  # noqa: F841
        raise ValueError("broken")
    except ValueError:
        log.exception("one")
        log.error("two", exc_info=True)
        log.error(tool(3), exc_info=True)
    for line in lines():
        assert line["exception"].startswith("Traceback")
        assert line["exception"].endswith("ValueError: broken")
        assert str(line).count("ValueError: broken") == 1
        assert "do not show" not in str(line)
        assert "exc_info" not in line


@pytest.mark.parametrize("more", [[], [StackInfoRenderer()]])
@pytest.mark.parametrize("final", TO_LOGGING)
def test_a_stack_of_the_chain(chain, more, final):
    """A stack is one text that shows the caller."""
    log, lines = chain(*more, final=final)
    log.info("x", stack_info=True)
    (line,) = lines()
    assert "test_a_stack_of_the_chain" in line["stack"]
    assert "stack_info" not in line


@pytest.mark.skipif(len(TO_LOGGING) == 2, reason="structlog below 25.1 does not hand the caller on to its thread")
def test_a_stack_of_an_async_call(chain, logger, path):
    """structlog's async methods log in another thread; the stack is the caller's."""
    log, _ = chain()

    async def work():
        await log.ainfo("x", stack_info=True)

    asyncio.run(work())
    for handler in logger.handlers:
        handler.flush()
    assert flat(path)[1]["stack"].splitlines()[-1].strip() == 'await log.ainfo("x", stack_info=True)'


@pytest.mark.parametrize("to", ["message", "msg", "headline"])
@pytest.mark.parametrize("message", ["text", tool(1)], ids=["text", "event"])
def test_a_renamed_event_of_the_chain(chain, to, message):
    """Text and event are found where EventRenamer moved them."""
    log, lines = chain(format_exc_info, EventRenamer(to))
    log.info(message, a=1)
    (line,) = lines()
    assert (line["event"], line["a"]) == ("text" if message == "text" else "chat.tool_called", 1)
    assert not line.keys() & {"message", "msg", "headline"}


@pytest.mark.parametrize(
    "stamper",
    [
        TimeStamper(),
        TimeStamper(fmt="iso", utc=False),
        TimeStamper(fmt="%Y-%m-%d %H:%M:%S"),
        TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
    ],
)
def test_the_time_of_the_chain_is_the_lines(chain, stamper):
    """A time stamp in any usual form is not written beside the line's own."""
    log, lines = chain(stamper)
    log.info("x")
    (line,) = lines()
    assert line.keys() == KEYS


@pytest.mark.parametrize("value", ["yesterday", 5, "2020-01-01T00:00:00Z", None, [1], float("inf"), 10**400])
def test_another_time_is_kept(chain, value):
    """A value under timestamp that is not the time of the call is written."""
    log, lines = chain(lambda _, __, event_dict: {**event_dict, "timestamp": value})
    log.info("x")
    assert "bound_timestamp" in lines()[0]


def test_another_level_is_kept(chain):
    """A value under level that is not the level of the record is written."""
    log, lines = chain(lambda _, __, event_dict: {**event_dict, "level": "loud"})
    log.info("x")
    assert lines()[0]["bound_level"] == "loud"


def record_of(message, **attributes):
    record = logging.LogRecord("app", logging.INFO, "f.py", 1, message, (), None)
    record.__dict__.update(attributes)
    return record


def split(message, exception=None, **attributes):
    return split_message(record_of(message, **attributes), dict(message), exception)


def test_a_dictionary_by_python_json_loggers_rule():
    """The text is under message; a dictionary without one has it under event."""
    assert split({"message": "text", "event": "x", "a": 1}) == ("text", {"event": "x", "a": 1}, None)
    assert split({"event": "x", "a": 1}) == ("x", {"a": 1}, None)
    assert split({"msg": "x"}) == ("", {"msg": "x"}, None)
    event = tool(1)
    assert split({"message": "text", "event": event}) == (event, {"message": "text"}, None)
    assert split({"message": event}) == (event, {}, None)


def test_an_exception_in_a_dictionary():
    """exc_info in any form is the traceback, and so is a text under exception."""
    assert split({"message": "m", "exc_info": "made before"}, "of the record") == ("m", {}, "made before")
    assert split({"message": "m", "exc_info": ValueError("x")})[2] == "ValueError: x"
    assert split({"message": "m", "exc_info": ""}, "of the record")[2] == "of the record"
    assert split({"message": "m", "exception": "text"}) == ("m", {}, "text")
    assert split({"message": "m", "exception": [1]}) == ("m", {"exception": [1]}, None)
    assert split({"event": "m", "exception": 5}, "of the record", _logger=1, _name=2)[1:] == ({}, "of the record")


def test_a_stack_in_a_dictionary():
    """stack_info is the stack: a text as it is, True for that of the caller."""
    assert split({"message": "m", "stack_info": "Stack"})[1] == {"stack": "Stack"}
    assert "test_a_stack_in_a_dictionary" in split({"message": "m", "stack_info": True, "stack": 1})[1]["stack"]


def test_a_time_far_from_the_record():
    """A time two seconds away is another time."""
    record = record_of({"event": "x"}, _logger=None, _name="info")
    near = datetime.fromtimestamp(record.created, timezone.utc) - timedelta(seconds=1)
    far = near - timedelta(seconds=5)
    for moment, kept in ((near, False), (far, True)):
        fields = {"timestamp": moment.isoformat().replace("+00:00", "Z")}
        leave_out_doubles(record, fields)
        assert ("timestamp" in fields) is kept
