from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict

import pytest
import structlog
from structlog import stdlib
from structlog.processors import (
    EventRenamer,
    JSONRenderer,
    KeyValueRenderer,
    LogfmtRenderer,
    TimeStamper,
    add_log_level,
    format_exc_info,
)
from support.tools import flat, tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.logger.processing import ProcessorChain
from bamboo_logmetrics.processors import expand


def failed():
    return blm.RequestCompleted(request_id="q-1", status_code=500, status="error", latency_ms=1)


def lines_of(log):
    """Close a log and return the application's lines."""
    log.close()
    return flat(log.path)[1:-1]


def to_text(_, __, event_dict):
    """Render as an application's own renderer does, with its keys taken out."""
    return ", ".join(f"{key}: {event_dict.pop(key)}" for key in list(event_dict))


def to_own_key(_, __, event_dict):
    """Rename the event as an application's own processor does."""
    event_dict["headline"] = event_dict.pop("event")
    return event_dict


RENAMERS = [EventRenamer("message"), EventRenamer("msg"), to_own_key]
RENDERERS = [
    JSONRenderer(),
    KeyValueRenderer(),
    LogfmtRenderer(),
    structlog.dev.ConsoleRenderer(colors=False),
    to_text,
    lambda *args: to_text(*args).encode(),
    lambda _, __, event_dict: ((str(event_dict.pop("event")),), event_dict),
]
TO_LOGGING = [
    stdlib.ProcessorFormatter.wrap_for_formatter,
    stdlib.render_to_log_kwargs,
    *(value for name, value in vars(stdlib).items() if name == "render_to_log_args_and_kwargs"),
]


@pytest.mark.parametrize("processor", [*RENAMERS, *RENDERERS, *TO_LOGGING])
def test_an_event_stays_typed(open_log, processor):
    """Whatever a processor makes of it, an event is written as one, with its own level and all values beside it."""
    log = open_log(processors=[add_log_level, processor]).bind(a=1)
    event = failed()
    assert log.emit(event, b=2)
    log.info(event, b=3)
    assert asyncio.run(log.aemit(event, b=4))
    assert log.close()
    read = [line for line in blm.read(log.path) if not line.own]
    assert [(line.event, line.level, dict(line.bound)) for line in read] == [
        (event, "error", {"a": 1, "b": number} | ({"bound_level": "info"} if number == 3 else {}))
        for number in (2, 3, 4)
    ]


@pytest.mark.parametrize("processor", [*RENAMERS, *TO_LOGGING])
def test_a_plain_line_keeps_its_text(open_log, processor):
    """A text that is renamed, or passed on to logging, is the text of the line."""
    log = open_log(processors=[add_log_level, processor]).bind(a=1)
    log.warning("hello %s", "you", b=2)
    (line,) = lines_of(log)
    assert (line["event"], line["level"], line["a"], line["b"]) == ("hello you", "warning", 1, 2)
    assert not line.keys() & {"bound_level", "message", "msg", "headline", "extra"}


def test_a_renamed_text_whose_place_is_taken(open_log):
    """Where another value takes the place of the event, it is written beside the text."""
    log = open_log(processors=[EventRenamer("message", replace_by="_event")])
    log.info("text", _event="step.done")
    log.emit(tool(1), _event="step.done")
    log.emit(tool(1), _event=failed())
    one, two, three = lines_of(log)
    assert (one["event"], one["bound_event"]) == ("text", "step.done")
    assert (two["event"], two["bound_event"]) == ("chat.tool_called", "step.done")
    assert (three["event"], three["bound_event"]["request_id"]) == ("chat.tool_called", "q-1")


def test_a_text_that_is_changed_and_renamed(open_log):
    """A text that was changed as well is found under the names that are usual."""

    def shout(_, __, event_dict):
        event_dict["message"] = event_dict.pop("event").upper()
        return event_dict

    log = open_log(processors=[shout])
    log.info("text", a=1)
    log.info("other", message="mine")
    one, two = lines_of(log)
    assert (one["event"], one["a"]) == ("TEXT", 1)
    assert (two["event"], two["message"]) == ("", "OTHER")


@pytest.mark.parametrize("renderer", RENDERERS)
def test_a_renderer_makes_the_text_of_a_plain_line(open_log, renderer):
    """A renderer's text of a plain call is the text of the line."""
    log = open_log(processors=[renderer])
    log.info("hello", a=1)
    (line,) = lines_of(log)
    assert line["plain"] is True
    assert "hello" in line["event"]


def test_an_unused_text_is_reported_once(open_log, capsys):
    """A text that is made of typed events in vain is reported once for a log, not at each call."""
    log = open_log(processors=[add_log_level, JSONRenderer()])
    for number in range(3):
        log.emit(tool(number))
    log.info("plain")
    assert capsys.readouterr().err.count("JSONRenderer") == 1


def test_what_follows_a_renderer_is_left_out_for_events(open_log):
    """A processor that expects a text is not given the values of an event."""
    log = open_log(processors=[JSONRenderer(), lambda _, __, text: text.upper()])
    assert log.emit(tool(1), a=1)
    log.info("text")
    typed, plain = lines_of(log)
    assert (typed["event"], typed["a"]) == ("chat.tool_called", 1)
    assert plain["event"] == '{"EVENT": "TEXT"}'


def test_a_processor_may_replace_an_event(open_log):
    """Another event in place of the event is written instead; a text in its place is written beside it."""
    other = failed()

    def replace(_, __, event_dict):
        return {**event_dict, "event": other if event_dict["event"].tool_call_id == "c1" else "text"}

    def renamed(logger, name, event_dict):
        return to_own_key(logger, name, replace(logger, name, event_dict))

    one = open_log(processors=[replace])
    one.emit(tool(1))
    one.emit(tool(2))
    assert [(line["event"], line.get("bound_event")) for line in lines_of(one)] == [
        ("forward.request_completed", None),
        ("chat.tool_called", "text"),
    ]
    two = open_log("b.jsonl", processors=[renamed])
    two.emit(tool(1))
    assert [line["event"] for line in lines_of(two)] == ["forward.request_completed"]


def test_an_event_among_the_values_is_no_message(open_log):
    """An event that was given as a value stays a value, and a text stays the text."""
    log = open_log(processors=[add_log_level])
    log.info("text", last=tool(1))
    log.emit(tool(2), last=tool(3))
    plain, typed = lines_of(log)
    assert (plain["event"], plain["last"]["tool_call_id"]) == ("text", "c1")
    assert (typed["tool_call_id"], typed["last"]["tool_call_id"]) == ("c2", "c3")


def test_this_packages_own_processor_changes_nothing(open_log):
    """``expand`` among the processors of a log gives the same line as without it."""
    event = failed()
    logs = [open_log("a.jsonl", processors=[expand]), open_log("b.jsonl")]
    lines = []
    for log in logs:
        log.emit(event, a=1)
        (line,) = lines_of(log)
        lines.append({key: value for key, value in line.items() if key != "writer"})
    assert lines[0] == lines[1]


@pytest.mark.parametrize("result", [None, 5, ["x"]])
def test_what_structlog_refuses(open_log, result):
    """A processor that returns nothing is a ValueError for plain lines, as in structlog; an event is kept."""
    log = open_log(processors=[lambda *_: result])
    assert log.emit(tool(1), a=1)
    with pytest.raises(ValueError, match="the last processor returned"):
        log.info("x")
    assert [(line["event"], line["a"]) for line in lines_of(log)] == [("chat.tool_called", 1)]


@pytest.mark.parametrize("result", [lambda event_dict: ((event_dict,), {}), lambda event_dict: ((), {**event_dict})])
def test_a_tuple_of_an_event_dictionary(open_log, result):
    """An event dictionary within a tuple, as for a stdlib logger, is taken apart."""
    log = open_log(processors=[lambda _, __, event_dict: result(event_dict)])
    log.info("x", a=1)
    (line,) = lines_of(log)
    assert (line["event"], line["a"]) == ("x", 1)


def test_other_mappings_pass(open_log):
    """A processor may return a dictionary of another class."""
    log = open_log(processors=[lambda _, __, event_dict: OrderedDict(event_dict)])
    log.emit(tool(1), a=1)
    log.info("x", a=2)
    assert [(line["event"], line["a"]) for line in lines_of(log)] == [("chat.tool_called", 1), ("x", 2)]


def test_filter_by_level_and_logger_names(open_log):
    """structlog's filter and its processors for a stdlib logger work; what is emitted is never filtered."""
    log = open_log(
        level="warning",
        processors=[stdlib.filter_by_level, stdlib.add_logger_name, stdlib.add_log_level_number, TimeStamper()],
    )
    log.info("no")
    log.warning("yes")
    assert log.emit(tool(1))
    lines = lines_of(log)
    assert [(line["event"], line["logger"], line["level_number"]) for line in lines] == [
        ("yes", "root", 30),
        ("chat.tool_called", "root", 20),
    ]


def test_a_target_answers_as_a_logger_of_the_stdlib(open_log):
    """Processors can ask the wrapped logger for what they ask a stdlib logger."""
    seen = []

    def ask(logger, _, event_dict):
        seen.append((logger.name, logger.disabled, logger.getEffectiveLevel(), logger.isEnabledFor(logging.DEBUG)))
        return stdlib.filter_by_level(logger, "info", event_dict)

    log = open_log(level="info", processors=[ask])
    log.info("x")
    assert [line["event"] for line in lines_of(log)] == ["x"]
    assert seen == [("root", False, 20, False)]


def test_loggers_of_structlog_with_processors_of_their_own(unconfigured, path):
    """Processors that ``structlog.configure`` sets after ``configure`` run as those of the log do."""
    blm.configure(path)
    structlog.configure(processors=[stdlib.filter_by_level, JSONRenderer(), lambda *_: None])
    log = structlog.get_logger().bind(a=1)
    log.emit(failed())
    blm.flush()
    (line,) = flat(path)[1:]
    assert (line["event"], line["level"], line["a"]) == ("forward.request_completed", "error", 1)
    assert type(log._processors) is ProcessorChain


def test_an_exception_of_a_processor_chain(open_log):
    """The text of an exception that a processor made is the line's, once."""
    log = open_log(processors=[format_exc_info, EventRenamer("message")])
    try:
        raise ValueError("broken")
    except ValueError:
        log.exception("oops")
        log.exception(tool(1))
    for line in lines_of(log):
        assert line["exception"].endswith("ValueError: broken")
        assert "bound_exception" not in line


def test_a_value_under_event(open_log):
    """A value that is bound under event, or in ``extra=``, is written beside the event."""
    log = open_log(processors=[add_log_level]).bind(event="bound")
    log.info("text")
    log.emit(tool(1))
    handler = blm.MetricsHandler(log.unbind("event"))
    handler.handle(logging.makeLogRecord({"msg": "record", "levelno": 20, "event": "extra"}))
    assert [(line["event"], line["bound_event"]) for line in lines_of(log)] == [
        ("text", "bound"),
        ("chat.tool_called", "bound"),
        ("record", "extra"),
    ]
