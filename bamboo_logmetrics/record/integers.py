"""Integers in a form that every JSON reader can hold."""

from __future__ import annotations

_I64_MIN = -(2**63)
_U64_MAX = 2**64 - 1
_MOST_DECIMAL = 14_000  # bits; the time for decimal digits grows with the square, and Python may refuse it
_MOST_HEX = 20_000  # bits, 5,000 digits


def integer(value: int) -> int | str:
    """Return an integer of up to 64 bits unchanged, a larger one as text, because few JSON readers can hold it.

    The text is decimal up to 14,000 bits, then hexadecimal, and cut behind 5,000 digits.
    """
    if _I64_MIN <= value <= _U64_MAX:
        return value
    bits = value.bit_length()
    if bits <= _MOST_DECIMAL:
        return str(value)
    if bits <= _MOST_HEX:
        return hex(value)
    sign = "-" if value < 0 else ""
    return f"{sign}{hex(abs(value) >> (bits - _MOST_HEX))}… ({bits} bits)"
