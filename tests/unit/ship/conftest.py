from __future__ import annotations

import pytest
from support.shiplog import HandLog


@pytest.fixture
def hand_log(tmp_path):
    """Return a log that the test writes by hand."""
    return HandLog(tmp_path)
