from __future__ import annotations

import io
import json
import logging

from support.tools import tool

import bamboo_logmetrics as blm


def formatted(logger, formatter, log):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    log(logger)
    logger.removeHandler(handler)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_the_formatter_writes_the_flat_form(logger):
    """For handlers of your own, records and events have the line's form, without writer and seq."""
    event = tool(1)
    plain, typed_line = formatted(
        logger,
        blm.FlatJsonFormatter(),
        lambda log: (log.info("x", extra={"api_key": "secret", "f": float("nan")}), log.info(event)),
    )
    assert list(plain)[:5] == ["timestamp", "level", "event", "v", "plain"]
    assert (plain["api_key"], plain["f"], plain["logger"]) == ("[redacted]", None, "tests.handler")
    assert typed_line["tool_call_id"] == "c1"
    assert not {"writer", "seq"} & (plain.keys() | typed_line.keys())


def test_the_formatter_has_python_json_loggers_options(logger):
    """static_fields, defaults, rename_fields and prefix are those of python-json-logger."""
    formatter = blm.FlatJsonFormatter(
        static_fields={"env": "prod"}, defaults={"team": "a"}, rename_fields={"event": "kind"}
    )
    (line,) = formatted(logger, formatter, lambda log: log.info("x", extra={"team": "b"}))
    assert (line["kind"], line["env"], line["team"]) == ("x", "prod", "b")
    assert blm.FlatJsonFormatter(prefix="@cee:").format(logging.makeLogRecord({"msg": "x"})).startswith("@cee:{")


def test_the_formatter_shows_exceptions_and_cuts(logger):
    """An exception is one text, and a line that would be too long is cut."""

    def log(to):
        try:
            raise ValueError("v" * 5000)
        except ValueError:
            to.exception("oops")

    (line,) = formatted(logger, blm.FlatJsonFormatter(max_line_bytes=1000), log)
    assert line["exception"].startswith("Traceback")
    assert line["truncated"] == ["exception"]


def test_a_formatted_line_reads_back(logger, tmp_path):
    """A file of formatted lines is read by read(), with neither writer nor seq."""
    path = tmp_path / "own.jsonl"
    handler = logging.FileHandler(path)
    handler.setFormatter(blm.FlatJsonFormatter())
    logger.addHandler(handler)
    event = tool(1)
    logger.info(event)
    logger.removeHandler(handler)
    handler.close()
    (line,) = blm.read(path)
    assert (line.event, line.writer, line.seq) == (event, None, None)
