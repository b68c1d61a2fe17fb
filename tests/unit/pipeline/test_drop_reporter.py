from __future__ import annotations

import pytest

from bamboo_logmetrics.pipeline.drop_reporter import DropReporter
from bamboo_logmetrics.testing import ManualClock


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def reporter(clock):
    return DropReporter(clock)


def due(reporter, totals, *, everything=False):
    return list(reporter.due(totals, everything=everything))


def test_each_reason_is_announced_once_a_second(reporter, clock):
    """A reason is announced at once and then once a second, with the drops since the last time and the total."""
    assert reporter.due_in({"queue_full": 0}) is None
    assert due(reporter, {"queue_full": 3}) == [("queue_full", 3, 3)]
    assert due(reporter, {"queue_full": 5, "too_large": 1}) == [("too_large", 1, 1)]
    assert reporter.due_in({"queue_full": 5, "too_large": 1}) == 1
    clock.advance(1)
    assert due(reporter, {"queue_full": 5, "too_large": 1}) == [("queue_full", 2, 5)]
    assert reporter.due_in({"queue_full": 5, "too_large": 1}) is None


def test_at_the_end_everything_is_announced(reporter):
    """With everything, drops are announced whose second is not over."""
    due(reporter, {"queue_full": 1})
    assert due(reporter, {"queue_full": 2}, everything=True) == [("queue_full", 1, 2)]


def test_drops_after_close_are_not_announced(reporter):
    """Drops of the reason closed are never announced: no line can follow them."""
    assert due(reporter, {"closed": 9}, everything=True) == []
    assert reporter.due_in({"closed": 9}) is None


def test_an_announcement_that_was_taken_back_is_due_again(reporter):
    """Drops whose line could not be encoded are announced at once again."""
    assert due(reporter, {"queue_full": 3}) == [("queue_full", 3, 3)]
    reporter.take_back("queue_full", 3)
    assert due(reporter, {"queue_full": 4}) == [("queue_full", 4, 4)]
