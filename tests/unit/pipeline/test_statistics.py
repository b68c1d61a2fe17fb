from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from bamboo_logmetrics.options import OnFull
from bamboo_logmetrics.pipeline.channel import Channel
from bamboo_logmetrics.pipeline.statistics import DROP_REASONS
from bamboo_logmetrics.testing import ManualClock


@pytest.fixture
def channel():
    return Channel(
        capacity=1,
        capacity_bytes=2**40,
        on_full=OnFull.DROP_NEWEST,
        block_timeout=0,
        clock=ManualClock(),
        wake=lambda: True,
    )


@pytest.mark.parametrize("reason", DROP_REASONS)
def test_each_reason_is_a_counter(channel, reason):
    """Each drop reason is the name of a counter of the channel, and is in the snapshot by that name."""
    setattr(channel, reason, 2)
    channel.refused = 2
    stats = channel.stats()
    assert (stats.dropped, stats.dropped_total, stats.queued) == ({reason: 2}, 2, 0)
    assert channel.drops() == {**dict.fromkeys(DROP_REASONS, 0), reason: 2}


def test_a_snapshot_cannot_be_changed(channel):
    """A snapshot and its drops are read-only."""
    stats = channel.stats()
    with pytest.raises(FrozenInstanceError):
        stats.written = 1
    with pytest.raises(TypeError):
        stats.dropped["closed"] = 1
