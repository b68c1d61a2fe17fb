from __future__ import annotations

import subprocess
import sys

import pytest

from bamboo_logmetrics import ship


def test_the_public_names():
    """Each exported name is there, those that need httpx too; another is an AttributeError."""
    assert sorted(ship.__all__) == ship.__all__
    for name in ship.__all__:
        assert getattr(ship, name) is not None
    assert ship.Access is ship.Credentials
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ship.nothing


def test_the_status_and_urls_need_no_extra():
    """How far shippers are, and what a URL consists of, can be asked without httpx."""
    code = "import sys; sys.modules['httpx'] = None; from bamboo_logmetrics.ship import status, urls"
    subprocess.run([sys.executable, "-c", code], check=True)
