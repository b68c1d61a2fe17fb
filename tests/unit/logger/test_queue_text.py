"""The stdlib's QueueHandler and QueueListener before MetricsHandler, though the log needs neither."""

from __future__ import annotations

import logging
import logging.config
import logging.handlers
import multiprocessing
import pickle
import queue
import sys

import pytest
from support.tools import flat, tool, typed

import bamboo_logmetrics as blm
from bamboo_logmetrics.logger.queue_text import split_text


@pytest.fixture
def through_queue(path, logger):
    """Return a function that logs through a queue into a log, and the function that ends it and returns the lines."""
    handler = blm.MetricsHandler(path)

    def started(records, formatter=None):
        sender = logging.handlers.QueueHandler(records)
        sender.setFormatter(formatter)
        logger.addHandler(sender)
        listener = logging.handlers.QueueListener(records, handler)
        listener.start()
        return listener

    yield started
    handler.close()


def raise_in(logger, message, **options):
    try:
        raise ValueError("boom")
    except ValueError:
        logger.exception(message, **options)


@pytest.mark.parametrize("make", [queue.Queue, multiprocessing.Queue], ids=["threads", "processes"])
def test_events_pass_a_queue(through_queue, path, logger, make):
    """An event comes through typed, with its level, its extra fields and its traceback, as without a queue."""
    events = [tool(1), tool(2, success=False), blm.SessionStarted(session_id="s", model="m")]
    listener = through_queue(make())
    logger.info(events[0], extra={"a": 1})
    raise_in(logger, events[1])
    raise_in(logger, events[2], stack_info=True)
    listener.stop()
    listener.handlers[0].close()
    lines = [line for line in blm.read(path) if not line.own]
    assert [line.event for line in lines] == events
    assert [line.level for line in lines] == ["info", "warning", "info"]
    assert lines[0].bound["a"] == 1
    assert lines[0].exception is None
    for line in lines[1:]:
        assert line.exception.startswith("Traceback (most recent call last):\n")
        assert line.exception.endswith("ValueError: boom")
    assert lines[2].bound["stack"].startswith("Stack (most recent call last):\n")


def test_plain_lines_pass_a_queue(through_queue, path, logger):
    """The traceback of a plain line is its exception, not part of its text."""
    listener = through_queue(queue.Queue())
    logger.info("plain %s", "text", extra={"a": 1})
    raise_in(logger, "failed\nbadly", stack_info=True)
    logger.info("where", stack_info=True)
    listener.stop()
    listener.handlers[0].close()
    plain, failed, where = flat(path)[1:4]
    assert (plain["event"], plain["a"]) == ("plain text", 1)
    assert failed["event"] == "failed\nbadly"
    assert failed["exception"].endswith("ValueError: boom")
    assert failed["stack"].startswith("Stack (most")
    assert (where["event"], "exception" in where) == ("where", False)
    assert where["stack"].startswith("Stack (most")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups are of 3.11")
def test_an_exception_group_is_split_too():
    """The text of an exception group begins otherwise."""
    text = "failed\n  + Exception Group Traceback (most recent call last):\n  | x"
    assert split_text(text) == ("failed", "  + Exception Group Traceback (most recent call last):\n  | x", None)


def test_a_plain_text_cannot_be_forged_into_an_event(through_queue, path, logger):
    """A text that looks like an event, as repr or as tagged JSON, stays a plain line, with and without a queue."""
    event = tool(1)
    listener = through_queue(queue.Queue())
    for text in (event.to_json(), repr(event), str.__str__("".join(repr(event)))):
        logger.info(text)
        logger.info("%s", text)
    logger.info("done %s", event)
    logger.info(f"done {event}")
    listener.stop()
    listener.handlers[0].close()
    assert typed(path) == []
    assert len([line for line in flat(path) if line.get("plain")]) == 8


def test_an_event_within_a_formatted_text_is_reported(through_queue, path, logger, capsys):
    """A formatter on the QueueHandler makes a text of the event and more: the log says so."""
    listener = through_queue(queue.Queue(), logging.Formatter("%(asctime)s %(message)s"))
    logger.info(tool(1))
    listener.stop()
    listener.handlers[0].close()
    assert typed(path) == []
    from bamboo_logmetrics.pipeline.diagnostics import stderr

    stderr.report_owed()
    assert "give the QueueHandler no formatter" in capsys.readouterr().err


def test_the_text_of_an_event():
    """The text of an event is its repr; added to another text it is only a text, and it survives a pickle."""
    event = tool(1)
    text = str(event) + "\nmore"
    assert str(event) == repr(event)
    assert (text.event, text.tail) == (event, "\nmore")
    restored = pickle.loads(pickle.dumps(text))
    assert (restored, restored.event, restored.tail) == (text, event, "\nmore")
    assert type(f"done {event}") is type("done " + str(event)) is str


@pytest.mark.skipif(sys.version_info < (3, 12), reason="dictConfig sets up queues from 3.12 on")
def test_dict_config_with_a_queue(path):
    """The queue of dictConfig, as the cookbook of 3.12 shows it."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {
                "log": {"class": "bamboo_logmetrics.MetricsHandler", "path": str(path)},
                "queue": {"class": "logging.handlers.QueueHandler", "handlers": ["log"], "respect_handler_level": True},
            },
            "loggers": {"tests.queue": {"handlers": ["queue"], "level": "INFO"}},
        }
    )
    handler = logging.getHandlerByName("queue")
    handler.listener.start()
    logging.getLogger("tests.queue").info(tool(1))
    handler.listener.stop()
    logging.getHandlerByName("log").close()
    logging.getLogger("tests.queue").removeHandler(handler)
    assert len(typed(path)) == 1
