from __future__ import annotations

import threading

import pytest

from bamboo_logmetrics.ship.background import BackgroundCalls

LONG = 30  # seconds after which a test that waits has failed


def test_calls_are_made_in_order():
    """Calls are made one after the other in another thread, and each outcome is returned or raised."""
    calls = BackgroundCalls()
    calls.start()
    names = []
    calls.submit(lambda: names.append(threading.current_thread().name) or 1)
    calls.submit(lambda: 1 // 0)
    assert calls.outcome().result() == 1
    calls.wake()
    failed = calls.last_outcome(LONG) or calls.outcome()
    calls.close()
    with pytest.raises(ZeroDivisionError):
        failed.result()
    assert names == ["bamboo-logmetrics-delivery"]
    assert calls.last_outcome(0.0) is None


def test_a_wait_for_an_outcome_has_an_end():
    """After the timeout there is no outcome."""
    assert BackgroundCalls().outcome(0.0) is None


def test_wake_ends_a_wait():
    """A wait for an outcome ends when it is woken, and the last wait does not."""
    calls = BackgroundCalls()
    calls.wake()
    assert calls.outcome() is None
    calls.wake()
    calls.wake()
    assert calls.last_outcome(0.0) is None
