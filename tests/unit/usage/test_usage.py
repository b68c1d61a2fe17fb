from __future__ import annotations

import pytest

from bamboo_logmetrics import usage


def test_public_names():
    """Each public name is there, and no other."""
    assert sorted(usage.__all__) == usage.__all__ == sorted(usage._LATE)
    assert set(usage.__all__) <= set(dir(usage))
    for name in usage.__all__:
        assert getattr(usage, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        usage.nothing


def test_a_log_imports_no_reader(run_python):
    """A process that only logs imports the table of endpoints, and no reader of answers."""
    program = run_python(
        "import sys, bamboo_logmetrics as blm, bamboo_logmetrics.format.layouts, bamboo_logmetrics.usage\n"
        "blm.open_log\n"
        "print(sorted(name for name in sys.modules if name.startswith('bamboo_logmetrics.usage.')))\n"
    )
    assert program.stdout.strip() == "['bamboo_logmetrics.usage.providers']"
