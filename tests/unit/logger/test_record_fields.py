"""Fields of a record that a formatter asks for, on FlatJsonFormatter and on MetricsHandler."""

from __future__ import annotations

import json
import logging
import logging.config
import pickle

import pytest
from pythonjsonlogger.json import JsonFormatter
from support.tools import flat, tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.logger.record_fields import FieldGetter
from bamboo_logmetrics.pipeline.diagnostics import stderr

NAMES = ["filename", "lineno", "funcName", "threadName", "processName", "module", "pathname", "levelno"]
STYLES = {
    "%": " ".join(f"%({name})s" for name in NAMES),
    "{": " ".join(f"{{{name}}}" for name in NAMES),
    "$": " ".join(f"${{{name}}}" for name in NAMES),
    ",": ",".join(NAMES),
}


def record(msg="hello %s", *args, **attributes):
    values = {"msg": msg, "args": args or ("you",), "levelno": 20, "levelname": "INFO", "name": "app"} | attributes
    if "%" not in str(msg):
        values["args"] = None
    return logging.makeLogRecord(values)


def line(formatter, *args, **attributes):
    return json.loads(formatter.format(record(*args, **attributes)))


@pytest.mark.parametrize("style", STYLES)
def test_attributes_can_be_asked_for(style):
    """``fmt`` in each style, or as a list, names attributes of the record, for texts and for events."""
    theirs = json.loads(JsonFormatter(STYLES[style], style=style).format(record()))
    for formatter in (blm.FlatJsonFormatter(STYLES[style], style=style), blm.FlatJsonFormatter(NAMES)):
        ours = line(formatter)
        assert {name: ours[name] for name in NAMES} == theirs
        assert line(formatter, tool(1))["lineno"] == theirs["lineno"]


def test_the_message_and_the_time_can_be_asked_for():
    """``message``, ``asctime`` with ``datefmt``, and an attribute that the record lacks."""
    formatter = blm.FlatJsonFormatter("%(asctime)s %(message)s %(name)s %(gone)s", datefmt="%Y")
    ours = line(formatter, created=0.0)
    assert (ours["message"], ours["asctime"][:2], ours["name"], ours["gone"]) == ("hello you", "19", "app", None)
    assert line(formatter, tool(1))["message"]["event"] == "chat.tool_called"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"timestamp": True}, {"timestamp": "1970-01-01T00:00:01.500000Z"}),
        ({"timestamp": "when"}, {"when": "1970-01-01T00:00:01.500000Z"}),
        ({"reserved_attrs": ["msg", "args", "secret"]}, {"lineno": 0, "secret": "absent"}),
        ({"rename_fields": {"event": "text", "a": "b"}}, {"text": "hello you", "b": 1}),
        ({"rename_fields": {"x": "y"}, "rename_fields_keep_missing": True}, {"y": None}),
        ({"static_fields": {"a": 5, "env": "prod"}}, {"a": 1, "env": "prod"}),
        ({"defaults": {"a": 5, "team": "t", "logger": "l"}}, {"a": 1, "team": "t", "logger": "app"}),
        ({"json_default": lambda value: {"set": sorted(value)}}, {"many": [{"set": [1, 2]}]}),
        ({}, {"a": 1, "many": [[1, 2]], "lineno": "absent"}),
    ],
)  # fmt: skip
def test_each_option_works(options, expected):
    """The options of python-json-logger have their effect."""
    ours = line(blm.FlatJsonFormatter(**options), created=1.5, a=1, many=[{1, 2}], secret="s")
    assert {key: ours.get(key, "absent") for key in expected} == expected


def test_exceptions_and_stacks_as_arrays():
    """exc_info_as_array and stack_info_as_array give lists of lines."""
    formatter = blm.FlatJsonFormatter(exc_info_as_array=True, stack_info_as_array=True)
    try:
        raise ValueError("boom")
    except ValueError as error:
        ours = line(formatter, exc_info=(type(error), error, error.__traceback__), stack_info="Stack:\n  here")
    assert ours["exception"][-1] == "ValueError: boom"
    assert ours["stack"] == ["Stack:", "  here"]
    assert not {"exception", "stack"} & line(formatter).keys()


def test_the_form_of_the_json():
    """json_indent and json_ensure_ascii, alone and together; numbers that are not JSON stay null."""
    text = blm.FlatJsonFormatter(json_indent=2).format(record("é", f=float("nan")))
    assert text.startswith('{\n  "timestamp"')
    assert json.loads(text)["f"] is None
    assert "é" in text
    escaped = blm.FlatJsonFormatter(json_ensure_ascii=True).format(record("é"))
    assert "\\u00e9" in escaped
    assert "\n" not in escaped
    assert '","' in escaped


def test_a_json_default_that_refuses():
    """Where json_default raises, the natural form counts; what it is not asked about stays."""

    def refuse(value):
        raise TypeError(value)

    ours = line(blm.FlatJsonFormatter(json_default=refuse), a={"b": ({1},)}, c=None)
    assert (ours["a"], ours["c"]) == ({"b": [[1]]}, None)


@pytest.mark.parametrize("name", ["json_encoder", "json_serializer"])
def test_options_without_an_effect_are_refused(name):
    """An option that cannot have an effect is refused with the reason, not accepted in silence."""
    with pytest.raises(blm.ConfigError, match="json_default"):
        blm.FlatJsonFormatter(**{name: json.dumps})
    assert blm.FlatJsonFormatter(**{name: None})
    with pytest.raises(ValueError, match="Style"):
        blm.FlatJsonFormatter(style="?")


def test_hooks_of_a_subclass():
    """process_log_record of a subclass is called."""

    class Own(blm.FlatJsonFormatter):
        def process_log_record(self, log_data):
            return {**log_data, "more": 1}

    assert line(Own())["more"] == 1


def configured(path, formatter):
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"f": formatter},
            "handlers": {"m": {"class": "bamboo_logmetrics.MetricsHandler", "path": str(path), "formatter": "f"}},
            "loggers": {"tests.fields": {"handlers": ["m"], "level": "INFO", "propagate": False}},
        }
    )
    logger = logging.getLogger("tests.fields")
    logger.info("hello", extra={"a": 1, "plain_only": 2})
    logger.info(tool(1))
    for handler in logger.handlers[:]:
        handler.close()
        logger.removeHandler(handler)
    stderr.report_owed()
    return flat(path)[1:3]


@pytest.mark.parametrize(
    "formatter",
    [
        {"format": "%(asctime)s %(levelname)s %(name)s %(filename)s:%(lineno)04d %(message)s"},
        {"format": "{asctime} {filename!s} {lineno:>4} {message}", "style": "{"},
        {"format": "$asctime $filename ${lineno} $message", "style": "$"},
        {"()": "pythonjsonlogger.json.JsonFormatter", "fmt": "%(filename)s %(lineno)d"},
        {"()": "bamboo_logmetrics.FlatJsonFormatter", "fmt": ["filename", "lineno"]},
    ],
)
def test_set_formatter_on_the_handler(path, capsys, formatter):
    """A formatter on MetricsHandler adds the fields it shows that a line lacks, to texts and to events."""
    plain, event = configured(path, formatter)
    for each in (plain, event):
        assert each["filename"] == "test_record_fields.py"
        assert isinstance(each["lineno"], int)
        assert not {"asctime", "message", "levelname", "name"} & each.keys()
    assert (plain["event"], plain["a"]) == ("hello", 1)
    assert capsys.readouterr().err == ""


def test_fields_of_a_json_formatter_on_the_handler(path, capsys):
    """Static fields, defaults and reserved attributes work; what would change the form of a line is reported."""
    factory = "pythonjsonlogger.json.JsonFormatter"
    options = {"static_fields": {"env": "prod"}, "defaults": {"a": 0, "b": 0}, "reserved_attrs": ["plain_only"]}
    plain, _ = configured(path, {"()": factory, "rename_fields": {"a": "z"}, "prefix": "@", **options})
    assert (plain["env"], plain["a"], plain["b"], "plain_only" in plain) == ("prod", 1, 0, False)
    assert "prefix, rename_fields has no effect" in capsys.readouterr().err


class Own(logging.Formatter):
    def format(self, record):
        return "own"


class OwnStyle(logging.PercentStyle):
    """A style whose fields are not known."""


def test_a_formatter_of_your_own_is_reported(open_log, path, capsys):
    """A formatter with code of its own cannot change a line: it is reported; None takes a formatter away."""
    handler = blm.MetricsHandler(open_log())
    handler.setFormatter(Own("%(lineno)d"))
    stderr.report_owed()
    assert "Own.format has no effect" in capsys.readouterr().err
    handler.handle(record("x"))
    handler.setFormatter(None)
    handler.handle(record("y"))
    own_style = logging.Formatter()
    own_style._style = OwnStyle("lineno")
    handler.setFormatter(own_style)
    handler.handle(record("z"))
    handler.flush()
    assert ["lineno" in each for each in flat(path)[1:4]] == [True, False, False]


def test_a_handler_with_a_formatter_is_pickled(open_log, path):
    """The fields that a formatter asks for travel with the handler."""
    handler = blm.MetricsHandler(open_log())
    handler.setFormatter(logging.Formatter("%(lineno)d"))
    pickle.loads(pickle.dumps(handler)).handle(record("x"))
    handler.flush()
    assert flat(path)[1]["lineno"] == 0


def test_the_cache_of_names_is_bounded(monkeypatch):
    """Records with ever other attributes do not fill the memory."""
    from bamboo_logmetrics.logger import record_fields

    monkeypatch.setattr(record_fields, "_MOST_CACHED", 3)
    getter = FieldGetter(["lineno"])
    for number in range(10):
        names, values_of = getter(("name", f"extra{number}"))
        assert names == ("logger", "lineno", f"extra{number}")
        assert values_of({"name": "n", f"extra{number}": 1}) == ("n", None, 1)
        assert len(getter._cache) <= 3
