from __future__ import annotations

from bamboo_logmetrics.reading.verification.running import find_running


def test_nobody_is_running():
    """Without open ends nobody is looked for."""
    assert find_running([]) == set()
