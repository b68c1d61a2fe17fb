from __future__ import annotations

import logging

from support.tools import tool

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
