"""Integers in a form that every JSON reader can hold."""

from __future__ import annotations

_I64_MIN = -(2**63)
_U64_MAX = 2**64 - 1


def integer(value: int) -> int | str:
    """Return an integer of up to 64 bits unchanged, a larger one as text, because few JSON readers can hold it."""
    if _I64_MIN <= value <= _U64_MAX:
        return value
    try:
        return str(value)
    except ValueError:  # more than sys.get_int_max_str_digits()
        return hex(value)
