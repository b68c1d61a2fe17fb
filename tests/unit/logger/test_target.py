from __future__ import annotations

import pytest
from support.tools import text_record

import bamboo_logmetrics as blm
from bamboo_logmetrics.logger.target import LogTarget
from bamboo_logmetrics.testing import capture_events


def test_a_target_refuses_records_before_it_has_a_pipeline(capsys):
    """Without a pipeline records are refused, and stderr names the remedy once."""
    target = LogTarget()
    assert not target.put(text_record("x"))
    assert not target.put_plain(text_record("x"))
    assert capsys.readouterr().err.count("call bamboo_logmetrics.configure(path) first") == 1


def test_a_refused_record_is_captured(capsys):
    """In a test that captures events, a target without a pipeline gives them away without a report."""
    with capture_events() as events:
        assert LogTarget().put_plain(text_record("x"))
    assert events.texts == ["x"]
    assert capsys.readouterr().err == ""


def test_a_pipeline_replaces_the_methods(open_log):
    """With a pipeline the target calls the channel's own methods; a durable pipeline's put waits for the disk."""
    target = LogTarget()
    pipeline = open_log()._pipeline
    target.set_pipeline(pipeline)
    assert (target.put, target.put_plain) == (pipeline.channel.put, pipeline.channel.put_plain)
    durable = open_log("b.jsonl", durability="write")._pipeline
    target.set_pipeline(durable)
    assert target.put.func == target.put_plain.func == durable.put


@pytest.mark.parametrize(
    ("options", "may_block"),
    [({}, False), ({"on_full": "drop_oldest"}, False), ({"on_full": "block"}, True), ({"durability": "write"}, True)],
)
def test_a_target_knows_whether_it_may_block(open_log, options, may_block):
    """Calls may wait if the log waits for room or for the disk."""
    assert open_log(**options)._logger.may_block is may_block


def test_existing_loggers_share_the_processors(unconfigured, path):
    """The list of processors is changed in place, since loggers that exist hold it."""
    log = blm.get_logger()
    blm.configure(path, processors=[print])
    assert log._processors == [print]
    assert log._processors is unconfigured.processors


def test_a_target_without_a_pipeline_reports_nothing(capsys):
    """A report is about a log; without one there is none."""
    LogTarget().report("text")
    assert capsys.readouterr().err == ""
