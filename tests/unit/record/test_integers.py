from __future__ import annotations

import sys

import pytest

from bamboo_logmetrics.record.integers import integer


@pytest.mark.parametrize("value", [0, -1, 2**63 - 1, -(2**63), 2**64 - 1])
def test_an_integer_of_64_bits_stays_one(value):
    """An integer that fits into 64 bits, signed or unsigned, is returned as it is."""
    assert integer(value) == value


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, 10**300])
def test_a_larger_one_becomes_text(value):
    """An integer beyond 64 bits becomes its decimal text."""
    assert integer(value) == str(value)


def test_one_that_python_does_not_print_becomes_hexadecimal():
    """An integer with more digits than Python converts becomes hexadecimal text."""
    if not hasattr(sys, "get_int_max_str_digits"):
        pytest.skip("this Python has no limit")
    value = 10 ** (sys.get_int_max_str_digits() + 1)
    assert integer(value) == hex(value)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (0, 0), (2**64 - 1, 2**64 - 1), (-(2**63), -(2**63)), (2**64, "18446744073709551616"),
        (-(2**63) - 1, "-9223372036854775809"), (2**70, "1180591620717411303424"),
        pytest.param(-(10**5000), hex(-(10**5000)), id="5001 digits"),
    ],
)  # fmt: skip
def test_integers_beyond_64_bits_become_text(value, kept):
    """An integer that fits into 64 bits stays a number; another becomes its digits, a very long one in hex."""
    assert integer(value) == kept
    assert type(integer(value)) is type(kept)
