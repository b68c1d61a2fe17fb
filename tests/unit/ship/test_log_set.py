from __future__ import annotations

import os

from bamboo_logmetrics.ship.log_set import _is_gone


def test_a_log_is_gone_without_any_file(hand_log):
    """A log is gone when none of its files is there; a path that cannot be looked at, such as a directory, is not."""
    hand_log.write(1)
    assert not _is_gone(hand_log.path)
    name = hand_log.rotate(new=False)
    assert not _is_gone(hand_log.path)
    os.unlink(name)
    assert _is_gone(hand_log.path)
    os.mkdir(hand_log.path)
    assert not _is_gone(hand_log.path)
