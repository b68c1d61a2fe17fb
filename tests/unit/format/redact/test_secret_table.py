from __future__ import annotations

import pytest
from support.secret_table import HALVES, load

SECRETS, HARMLESS = load("secrets"), load("harmless")


def test_the_table_is_large_and_both_halves_are_alike():
    """Each half has hundreds of examples of both kinds, and each example of a secret marks what must not remain."""
    assert len(SECRETS) > 800
    assert len(HARMLESS) > 500
    for examples in (SECRETS, HARMLESS):
        shares = [sum(example.half == half for example in examples) / len(examples) for half in HALVES]
        assert shares == pytest.approx([0.5, 0.5], abs=0.05)
    assert all(example.secrets for example in SECRETS)
    assert not any(example.secrets for example in HARMLESS)
