from __future__ import annotations

import logging
import pickle
from datetime import datetime, timezone

import loguru
import pytest
from structlog.processors import dict_tracebacks
from support.tools import tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.logger.log_record import event_and_fields, extra_getter


def record(msg, *args, exc_info=None, **attributes):
    log_record = logging.LogRecord("app", logging.INFO, "f.py", 1, msg, args, exc_info)
    log_record.__dict__.update(attributes)
    return log_record


def test_a_text():
    """The event of a record is its message, its fields are the logger's name and the extra keys."""
    assert event_and_fields(record("%s!", "hello", n=1)) == ("hello!", {"logger": "app", "n": 1})


def test_an_event():
    """An event as the message stays an event."""
    event = tool(1)
    assert event_and_fields(record(event)) == (event, {"logger": "app"})


def test_a_dict():
    """A dict as the message gives the text and fields; an extra key takes precedence, the logger's name does not."""
    event, fields = event_and_fields(record({"message": "text", "logger": "mine", "n": 1, 2: "two"}, n=3))
    assert (event, fields) == ("text", {"logger": "mine", "n": 3, "2": "two"})


def test_arguments_that_do_not_fit():
    """A text whose arguments do not fit is kept, with the arguments as a field."""
    assert event_and_fields(record("%d", "x")) == ("%d", {"logger": "app", "args": ("x",)})


def test_an_exception_and_a_stack():
    """An exception and a stack are fields; the empty tuple of sys.exc_info is none."""
    error = ValueError("x")
    fields = event_and_fields(record("m", exc_info=(ValueError, error, None), stack_info="Stack"))[1]
    assert fields == {"logger": "app", "exception": "ValueError: x", "stack": "Stack"}
    assert event_and_fields(record("m", exc_info=(None, None, None)))[1] == {"logger": "app"}
    assert event_and_fields(record("m", exc_text="text"))[1]["exception"] == "text"


def test_the_getter_of_extra_keys():
    """Records with the same attributes share one getter; a key that is no text becomes one."""
    attributes = record("m", n=1).__dict__ | {7: "seven"}
    names, values_of = extra_getter(tuple(attributes))
    assert dict(zip(names, values_of(attributes), strict=True)) == {"logger": "app", "n": 1, "7": "seven"}
    assert extra_getter(tuple(attributes)) == (names, values_of)


def test_values_under_the_names_of_exception_and_stack():
    """A value of the application under exception or stack is written beside the record's own, unless it is the same."""
    error = ValueError("x")
    fields = event_and_fields(
        record("m", exc_info=(ValueError, error, None), exception="mine", stack_info="S", stack=1)
    )[1]
    assert fields == {
        "logger": "app", "exception": "ValueError: x", "bound_exception": "mine", "stack": "S", "bound_stack": 1
    }  # fmt: skip
    fields = event_and_fields(record("m", exc_info=(ValueError, error, None), exception="ValueError: x"))[1]
    assert fields == {"logger": "app", "exception": "ValueError: x"}
    assert event_and_fields(record("m", exception=5))[1]["exception"] == 5


def test_a_structured_exception_is_text():
    """structlog's structured form of an exception becomes text, without local variables; causes come first."""
    try:
        try:
            raise KeyError("cause")
        except KeyError as error:
            raise ValueError("effect") from error
    except ValueError:
        structured = dict_tracebacks(None, "error", {"exc_info": True})["exception"]
    text = event_and_fields(record("m", exception=structured))[1]["exception"]
    assert text.index("KeyError: 'cause'") < text.index("ValueError: effect")
    assert text.count("Traceback (most recent call last):") == 2
    assert f'File "{__file__}"' in text
    assert "locals" not in text


def test_a_level_between_the_five():
    """The name of a level between the five is a field of a plain line, not of a typed one."""
    between = record("m", levelno=25, levelname="SUCCESS")
    assert event_and_fields(between)[1] == {"logger": "app", "level_name": "SUCCESS"}
    assert "level_name" not in event_and_fields(record(tool(1), levelno=25, levelname="SUCCESS"))[1]
    assert "level_name" not in event_and_fields(record("m", levelno=None))[1]


@pytest.mark.parametrize(
    ("fields", "trace_id"),
    [
        ({"otelTraceID": "4bf92f3577b34da6a3ce929d0e0e4736"}, "4bf92f3577b34da6a3ce929d0e0e4736"),
        ({"otelTraceID": "4bf9", "trace_id": "mine"}, "mine"),
        ({"otelTraceID": "0"}, None),
        ({"otelTraceID": "0" * 32}, None),
        ({"otelTraceID": ""}, None),
        ({"otelTraceID": None}, None),
        ({}, None),
    ],
)
def test_the_trace_id_of_opentelemetry(fields, trace_id):
    """The trace id of OpenTelemetry's logging instrumentation fills a missing one; zero means no trace."""
    for message in ("m", tool(1)):
        assert event_and_fields(record(message, **fields))[1].get("trace_id") == trace_id


def test_arguments_beside_an_event():
    """Positional arguments of an event are a field."""
    assert event_and_fields(record(tool(1), "x"))[1] == {"logger": "app", "args": ("x",)}


def test_a_text_that_holds_its_event():
    """A library that makes a text of every message hands the event on with it."""
    event = tool(1)
    for text in (str(event), f"{event}", pickle.loads(pickle.dumps(str(event)))):
        assert event_and_fields(record(text)) == (event, {"logger": "app"})
    assert event_and_fields(record(f"it was {event}"))[0] == f"it was {event!r}"


# -- loguru ------------------------------------------------------------------------------

FORMATS = {
    "message": {"format": "{message}"},
    "default": {},
    "serialize": {"serialize": True},
    "enqueue": {"enqueue": True},
    "function": {"format": lambda _: "{time} {message}\n"},
    "colors": {"colorize": True},
}


class PropagateHandler(logging.Handler):
    """The recipe of loguru's documentation for the way to the standard library."""

    def emit(self, record):
        logging.getLogger(record.name).handle(record)


@pytest.fixture(params=[*FORMATS, "propagate"])
def through_loguru(request, path):
    """Have loguru write to a log in some way; return a function that ends that and returns the lines."""
    loguru.logger.remove()
    handler = blm.MetricsHandler(path, level=0)
    root = logging.getLogger()
    if request.param == "propagate":
        root.addHandler(handler)
        loguru.logger.add(PropagateHandler(), level=0, format="{message}")
    else:
        loguru.logger.add(handler, level=0, **FORMATS[request.param])

    def lines():
        loguru.logger.complete()
        loguru.logger.remove()
        root.removeHandler(handler)
        handler.close()
        return [line for line in blm.read(path) if not line.own]

    lines.queued = request.param == "enqueue"
    yield lines
    loguru.logger.remove()
    root.removeHandler(handler)
    handler.close()


def test_loguru_as_the_stdlib(through_loguru):
    """Whatever format loguru is given, text, level, bound values and time are those of the call."""
    log = loguru.logger
    before = datetime.now(timezone.utc)
    log.info("hello {}", "you")
    log.bind(user="u-1", nested=[1]).warning("bound")
    with log.contextualize(request="r-1"):
        log.patch(lambda record: record["extra"].update(patched=True)).error("context")
    log.patch(lambda record: record.update(message="changed")).info("patched")
    after = datetime.now(timezone.utc)
    lines = through_loguru()
    assert [(line.text, line.level, dict(line.bound)) for line in lines] == [
        ("hello you", "info", {"logger": __name__}),
        ("bound", "warning", {"logger": __name__, "user": "u-1", "nested": [1]}),
        ("context", "error", {"logger": __name__, "request": "r-1", "patched": True}),
        ("changed", "info", {"logger": __name__}),
    ]
    assert all(before <= line.timestamp <= after for line in lines)


def test_an_exception_through_loguru(through_loguru):
    """An exception is one text without local variables, and not a part of the message."""
    try:
        secret_local = "do not show"
        raise ValueError(len(secret_local))
    except ValueError:
        loguru.logger.exception("oops")
        loguru.logger.opt(exception=True).bind(a=1).error(tool(1))
    plain, typed = through_loguru()
    assert (plain.text, plain.level, typed.event.tool_call_id, typed.bound["a"]) == ("oops", "error", "c1", 1)
    for line in (plain, typed):
        # through a queue, loguru itself loses the traceback
        assert "Traceback (most recent call last):" in line.exception or through_loguru.queued
        assert line.exception.endswith("ValueError: 11")
        assert "do not show" not in str(line)


def test_events_through_loguru_are_typed(through_loguru):
    """An event as the message stays one, with what was bound beside it."""
    event = tool(1, success=False)
    loguru.logger.bind(a=1).info(event)
    (line,) = through_loguru()
    assert (line.event, line.level, dict(line.bound)) == (event, "warning", {"logger": __name__, "a": 1})


def test_levels_of_loguru(through_loguru):
    """loguru's own levels are written by the level below, with their name."""
    loguru.logger.success("one")
    loguru.logger.trace("two")
    loguru.logger.log(25, "three")
    lines = through_loguru()
    assert [(line.level, line.bound["level_name"]) for line in lines] == [
        ("info", "SUCCESS"),
        ("debug", "TRACE"),
        ("info", "Level 25"),
    ]


def test_an_extra_named_extra():
    """Without loguru a value under extra is one like any other."""
    assert event_and_fields(record("m", extra={"a": 1}))[1] == {"logger": "app", "extra": {"a": 1}}


def test_the_interception_of_the_stdlib_by_loguru(path):
    """An event that a stdlib logger hands to loguru by its documented recipe stays typed."""

    class InterceptHandler(logging.Handler):
        def emit(self, record):
            loguru.logger.opt(exception=record.exc_info).log(record.levelname, record.getMessage())

    loguru.logger.remove()
    handler = blm.MetricsHandler(path)
    loguru.logger.add(handler)
    stdlib = logging.getLogger("tests.intercepted")
    stdlib.handlers = [InterceptHandler()]
    stdlib.warning(tool(1))
    stdlib.handlers = []
    loguru.logger.remove()
    assert [line.event.tool_call_id for line in blm.read(path) if not line.own] == ["c1"]
