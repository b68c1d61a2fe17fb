from __future__ import annotations

from support.tools import record, text_record, tool

from bamboo_logmetrics.options import OnFull
from bamboo_logmetrics.pipeline.channel import Channel
from bamboo_logmetrics.pipeline.taps import watched
from bamboo_logmetrics.record.queued import Ack
from bamboo_logmetrics.testing import ManualClock


def channel():
    return Channel(
        capacity=10,
        capacity_bytes=2**20,
        on_full=OnFull.DROP_NEWEST,
        block_timeout=0,
        clock=ManualClock(),
        wake=lambda: True,
    )


def test_watched_channels_store_nothing():
    """While watched, every channel, also a new one, hands its records to the watcher and counts nothing."""
    old, seen, ack = channel(), [], Ack()
    with watched(seen.append):
        new = channel()
        assert old.put(record(tool(1)))
        assert new.put_plain(text_record("2"))
        assert new.put(record(tool(3), ack=ack))
        old.take(1, [])
        assert old.sleep_until_woken()
        assert old.put(record(tool(4)))
    assert len(seen) == 4
    assert ack.answer is True
    assert old.stats().emitted == new.stats().emitted == 0
    assert old.put(record(tool(5)))
    assert len(seen) == 4


def test_the_inner_watcher_wins():
    """Of two watchers the inner one sees the records, and the outer one again after it."""
    first, outer, inner = channel(), [], []
    with watched(outer.append):
        with watched(inner.append):
            first.put(record(tool(1)))
        first.put(record(tool(2)))
    assert len(inner) == len(outer) == 1
