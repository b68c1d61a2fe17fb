"""Answers that can be asked for again."""

from __future__ import annotations

import pytest

from bamboo_logmetrics.instrument import polls


@pytest.fixture(autouse=True)
def nothing_seen(monkeypatch):
    monkeypatch.setattr(polls, "_seen", polls._Seen())
    monkeypatch.setattr(polls, "_MOST", 3)


def test_the_first_report_counts():
    """Only the first report of an answer counts; the call that made it always does."""
    assert polls.first_report("a", is_poll=True)
    assert not polls.first_report("a", is_poll=True)
    assert polls.first_report("a", is_poll=False)
    assert polls.first_report("b", is_poll=False)
    assert not polls.first_report("b", is_poll=True)


@pytest.mark.parametrize(
    ("path", "is_on_existing"),
    [
        ("/v1/chat/completions", False),
        ("/openai/deployments/d/chat/completions", False),
        ("/v1/chat/completions/chatcmpl-1", True),
        ("/v1/responses", False),
        ("/v1/responses/compact", False),
        ("/v1/responses/resp_1/cancel", True),
        ("/v1beta/interactions/i/cancel", True),
        ("/v1beta/interactions", False),
        ("/v1/threads/runs", False),
        ("/v1/threads/t/runs", False),
        ("/v1/threads/t/runs/run_1", True),
        ("/v1/threads/t/runs/run_1/cancel/", True),
        ("/v1/threads/t/runs/run_1/submit_tool_outputs", False),
        ("/v1/conversations/c", False),
    ],
)
def test_paths_of_answers_that_exist(path, is_on_existing):
    """A POST to a path that ends with the id of an answer, or cancels one, makes no new one."""
    assert polls.is_on_existing(path) is is_on_existing


def test_memory_is_bounded():
    """The oldest ids are forgotten."""
    for number in range(100):
        assert polls.first_report(str(number), is_poll=True)
    assert not polls.first_report("98", is_poll=True)
    assert polls.first_report("1", is_poll=True)
    assert len(polls._seen._newer) + len(polls._seen._older) <= 6
