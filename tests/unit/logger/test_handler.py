from __future__ import annotations

import logging
import logging.config

import pytest
import structlog
from opentelemetry.instrumentation.logging import LoggingInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from support.tools import flat, tool, typed

import bamboo_logmetrics as blm


@pytest.fixture
def lines(logger, path):
    """Return a function that returns the application's lines so far."""

    def reading():
        for handler in logger.handlers:
            handler.flush()
        return flat(path)[1:]

    return reading


@pytest.fixture
def handler(logger, path):
    handler = blm.MetricsHandler(path)
    logger.addHandler(handler)
    return handler


def test_stdlib_records_are_plain_lines(logger, handler, lines):
    """A record is a plain line with its level, its logger's name, its own time and its extra keys."""
    logger.warning("hello %s", "you", extra={"a": 1, "nested": {"b": [1]}})
    (line,) = lines()
    assert line["plain"] is True
    assert (line["event"], line["level"], line["logger"]) == ("hello you", "warning", "tests.handler")
    assert (line["a"], line["nested"]) == (1, {"b": [1]})
    assert not {"args", "msg", "taskName", "process"} & line.keys()


def test_extra_keys_that_are_no_text(logger, handler, lines):
    """An extra key that is no text becomes one, and a private name is left out, as in python-json-logger."""
    logger.warning("hello", extra={1: "one", "_private": 2})
    (line,) = lines()
    assert line["1"] == "one"
    assert "_private" not in line


def test_an_extra_logger_and_what_filters_add(logger, handler, lines):
    """An extra key named logger beats the logger's name; what a filter adds or takes away counts too."""

    def change(record):
        record.added = record.levelname.lower()
        del record.thread
        return True

    handler.addFilter(change)
    logger.warning("hello", extra={"logger": "mine", "b": 1})
    logger.error("again", extra={"b": 2})
    one, two = lines()
    assert (one["logger"], one["b"], one["added"]) == ("mine", 1, "warning")
    assert (two["logger"], two["b"], two["added"]) == ("tests.handler", 2, "error")


def test_values_beside_a_context(open_log, logger, lines):
    """Bound values come first, and an extra key of the same name beats them."""
    log = open_log().bind(project="p-1", region="eu")
    logger.addHandler(blm.MetricsHandler(log))
    logger.warning("hello", extra={"region": "us", "n": 1})
    log.flush()
    assert flat(log.path)[-1].items() >= {"project": "p-1", "region": "us", "n": 1}.items()


def test_events_as_messages_are_typed(logger, handler, lines, path):
    """An event logged through the stdlib is a typed line that reads back as the same event."""
    event = tool(1)
    logger.info(event, extra={"project": "p"})
    lines()
    (line,) = [line for line in blm.read(path) if line.event == event]
    assert line.bound == {"logger": "tests.handler", "project": "p"}


def test_a_dict_as_message(logger, handler, lines):
    """A dict as message is merged into the line, as in python-json-logger; its message is the text."""
    message = {"message": "text", "a": 1}
    logger.info(message)
    logger.info({"b": 2})
    one, two = lines()
    assert (one["event"], one["a"]) == ("text", 1)
    assert (two["event"], two["b"]) == ("", 2)
    assert message == {"message": "text", "a": 1}
    logger.info({"message": "text", "a": 1, 2: "two"}, extra={"a": 3})
    logger.info({"logger": "mine"})
    three, four = lines()[2:]
    assert three.items() >= {"event": "text", "a": 3, "2": "two", "logger": "tests.handler"}.items()
    assert four["logger"] == "mine"


def test_exceptions_and_stacks(logger, handler, lines):
    """An exception is one text under exception, a stack one under stack."""
    try:
        raise ValueError("broken")
    except ValueError:
        logger.exception("oops", stack_info=True)
    logger.info("none", exc_info=True)
    one, two = lines()
    assert one["exception"].endswith("ValueError: broken")
    assert "test_exceptions_and_stacks" in one["stack"]
    assert "exception" not in two


def test_a_formatted_exception_is_kept(handler, lines, logger):
    """A record whose exception was made into text elsewhere keeps that text."""
    record = logging.LogRecord("x", 40, "f", 1, "m", None, None)
    record.exc_text = "Traceback: made before"
    handler.handle(record)
    assert lines()[0]["exception"] == "Traceback: made before"


def test_arguments_that_do_not_fit_lose_no_line(handler, lines, logger):
    """A wrong format string is written as it is, with its arguments beside it."""
    handler.handle(logging.LogRecord("x", 20, "f", 1, "%d", ("x",), None))
    (line,) = lines()
    assert (line["event"], line["args"]) == ("%d", ["x"])


@pytest.mark.parametrize(
    ("number", "name"),
    [(5, "debug"), (10, "debug"), (25, "info"), (30, "warning"), (39, "warning"), (40, "error"), (99, "critical")],
)
def test_levels_of_your_own(handler, lines, logger, number, name):
    """A level between the five is written as the one below it."""
    handler.handle(logging.LogRecord("x", number, "f", 1, "m", None, None))
    assert lines()[0]["level"] == name


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("message", "event"), [(Text("lazy"), "lazy"), ({"x": 1}, "{'x': 1}"), (None, "None")], ids=["str", "dict", "none"]
)
def test_records_of_a_class_of_your_own(handler, lines, logger, message, event):
    """Any value that a record class returns as its message is text in the line."""

    class OwnRecord(logging.LogRecord):
        def getMessage(self):
            return message

    handler.handle(OwnRecord("x", 20, "f", 1, "m", (), None))
    assert lines()[0]["event"] == event


def test_filters_count(logger, handler, lines):
    """A record that a filter of the handler refuses is not emitted."""
    handler.addFilter(lambda record: "no" not in record.msg)
    logger.info("yes")
    logger.info("no")
    assert [line["event"] for line in lines()] == ["yes"]
    assert handler.stats().emitted == 1


def test_a_filter_that_gives_another_record(handler, lines, logger):
    """From Python 3.12 on a filter may return another record, which is then written."""
    handler.filter = lambda record: logging.LogRecord("other", 20, "f", 1, "replaced", None, None)
    logger.info("original")
    assert lines()[0]["event"] == "replaced"


def test_context_variables_reach_stdlib_lines(logger, handler, lines):
    """Context variables of structlog are written in stdlib lines too."""
    structlog.contextvars.bind_contextvars(request="r-1")
    logger.info("x")
    assert lines()[0]["request"] == "r-1"


def test_level_is_the_handlers(path, logger, lines):
    """The option level is the handler's level, by name or number, in any case."""
    handler = blm.MetricsHandler(path, level="ERROR")
    logger.addHandler(handler)
    logger.warning("no")
    logger.error("yes")
    assert handler.level == logging.ERROR
    assert [line["event"] for line in lines()] == ["yes"]


def test_dictconfig(path):
    """The handler is made by dictConfig with its options."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {
                "m": {
                    "class": "bamboo_logmetrics.MetricsHandler",
                    "path": str(path),
                    "level": "INFO",
                    "max_bytes": 10_000,
                }
            },
            "loggers": {"tests.dictconfig": {"handlers": ["m"], "level": "DEBUG", "propagate": False}},
        }
    )
    logger = logging.getLogger("tests.dictconfig")
    logger.info("x")
    logger.debug("filtered by the handler")
    (handler,) = logger.handlers
    logger.removeHandler(handler)
    handler.close()
    assert [line["event"] for line in flat(path)[1:-1]] == ["x"]


def test_a_shared_log_is_left_open(open_log, logger, path):
    """A handler on an open log writes there and does not close it."""
    log = open_log()
    handler = blm.MetricsHandler(log)
    logger.addHandler(handler)
    logger.info("x")
    logger.removeHandler(handler)
    handler.close()
    assert log.emit(tool())
    log.close()
    assert [line["event"] for line in flat(path)[1:-1]] == ["x", "chat.tool_called"]


def test_no_lock_is_taken(handler):
    """The handler has no lock, and the stdlib's functions that use one work."""
    assert handler.lock is None
    handler.acquire()
    handler.release()
    handler._at_fork_reinit()


def test_a_broken_processor_does_not_reach_the_application(path, logger, capsys):
    """An exception of a user's processor goes to handleError, as with any stdlib handler."""

    def broken(*_):
        raise ZeroDivisionError

    logger.addHandler(blm.MetricsHandler(path, processors=[broken]))
    logger.info("x")
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_dropped_by_a_processor(path, logger):
    """A record that a processor drops is not emitted."""

    def drop(*_):
        raise structlog.DropEvent

    handler = blm.MetricsHandler(path, processors=[drop])
    logger.addHandler(handler)
    logger.info("x")
    assert handler.stats().emitted == 0


def test_a_handler_reports_its_log(handler, logger, path):
    """The handler gives the counters of its log."""
    logger.info(tool())
    handler.flush()
    assert (handler.stats().emitted, handler.stats().written) == (1, 1)
    assert len(typed(path)) == 1


@pytest.mark.parametrize("bound", [False, True], ids=["alone", "with context variables"])
def test_both_ways_write_the_same(logger, handler, lines, bound):
    """A record of scalars takes a shorter way unless context variables are bound; the line is the same."""
    if bound:
        structlog.contextvars.bind_contextvars(request="r-1")
    logger.warning("hello %s", "you", extra={"n": 1})
    (line,) = lines()
    assert (line["event"], line["level"], line["logger"], line["n"]) == ("hello you", "warning", "tests.handler", 1)
    assert line.get("request") == ("r-1" if bound else None)


class Unhashable(type):
    """A class of classes that cannot be hashed."""

    __hash__ = None


class Odd(metaclass=Unhashable):
    """A value whose type cannot be hashed."""


def test_an_extra_value_whose_type_cannot_be_hashed(logger, handler, lines):
    """A value whose type refuses to be hashed loses no line."""
    logger.warning("x", extra={"value": Odd()})
    assert lines()[0]["value"] == "<unprintable Odd>"


@pytest.mark.parametrize("level", [25, "warn", "WARN", "notset", "fatal", 5])
def test_any_level_of_the_stdlib(path, logger, level):
    """The handler takes any level of the standard library, at its making, by ``setLevel`` and by dictConfig."""
    number = {"warn": 30, "WARN": 30, "notset": 0, "fatal": 50}.get(level, level)
    handler = blm.MetricsHandler(path, level=level)
    assert handler.level == number
    handler.setLevel("ERROR")
    handler.setLevel(level)
    assert handler.level == number
    with pytest.raises(ValueError, match="loud"):
        handler.setLevel("loud")
    handler.close()
    entry = {"class": "bamboo_logmetrics.MetricsHandler", "path": str(path), "level": level}
    if level not in {"warn", "notset", "fatal"}:  # dictConfig itself checks names, in capitals
        loggers = {"tests.handler": {"handlers": ["m"], "propagate": False}}
        logging.config.dictConfig(
            {"version": 1, "disable_existing_loggers": False, "handlers": {"m": entry}, "loggers": loggers}
        )
        assert logger.handlers[0].level == number


def test_a_level_between_the_five_has_its_name(logger, handler, lines):
    """A record of an application's own level has the level below, and the name beside it."""
    handler.handle(logger.makeRecord("x", 25, "f", 1, "one", (), None))
    logging.addLevelName(25, "SUCCESS")
    try:
        logger.log(25, "two", extra={"a": 1})
        logger.log(25, tool(1))
    finally:
        del logging._levelToName[25], logging._nameToLevel["SUCCESS"]
    one, two, three = lines()
    assert [(line["level"], line.get("level_name")) for line in (one, two, three)] == [
        ("info", "Level 25"),
        ("info", "SUCCESS"),
        ("info", None),
    ]


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"filename": "a.log"}, "instead of filename use path="),
        ({"filename": "a.log", "maxBytes": 1, "backupCount": 2}, "instead of filename use path="),
        ({"path": "a.log", "maxBytes": 1}, "instead of maxBytes use max_bytes="),
        ({"path": "a.log", "backupCount": 1}, "instead of backupCount use backup_count="),
        ({}, "path must name a file"),
    ],
)
def test_names_of_the_stdlibs_rotating_handlers(options, hint):
    """A configuration for RotatingFileHandler gets the right names, in dictConfig too."""
    with pytest.raises(blm.ConfigError, match=hint):
        blm.MetricsHandler(**options)
    entry = {"class": "bamboo_logmetrics.MetricsHandler", **options}
    with pytest.raises(ValueError, match="Unable to configure handler 'm'") as caught:
        logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, "handlers": {"m": entry}})
    assert hint in str(caught.value.__cause__)


def test_extra_values_under_the_names_of_the_line(logger, handler, lines):
    """Values that ``extra=`` holds under exception and stack stay when the record has both as well."""
    try:
        raise ValueError("broken")
    except ValueError:
        logger.exception("oops", extra={"exception": "mine", "stack": "own"}, stack_info=True)
    logger.info("none", extra={"exception": "mine"})
    one, two = lines()
    assert one["exception"].endswith("ValueError: broken")
    assert (one["bound_exception"], one["bound_stack"], two["exception"]) == ("mine", "own", "mine")
    assert "test_extra_values" in one["stack"]


def test_the_trace_of_opentelemetry(logger, handler, lines):
    """Within a span of OpenTelemetry, plain lines and events have its trace id; outside of one they have none."""
    LoggingInstrumentor().instrument(inject_trace_context=True, enable_log_auto_instrumentation=False)
    try:
        with TracerProvider().get_tracer("tests").start_as_current_span("work") as span:
            logger.info("plain")
            logger.info("nested", extra={"a": [1]})
            logger.info(tool(1))
            logger.info("own", extra={"trace_id": "mine"})
        logger.info("outside")
        logger.info(tool(2))
    finally:
        LoggingInstrumentor().uninstrument()
    trace_id = f"{span.get_span_context().trace_id:032x}"
    assert [line.get("trace_id") for line in lines()] == [trace_id, trace_id, trace_id, "mine", None, None]
