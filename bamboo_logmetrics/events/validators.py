"""Validators of event fields: one function for each annotation.

A validator takes ``(where, value)``, where ``where`` is ``"Class.field"``, and returns the value that the event keeps.
It raises TypeError or ValueError with a message that names class, field, value and a remedy.
"""

from __future__ import annotations

import math
import numbers
import operator
import reprlib
from collections.abc import Callable
from datetime import datetime, timezone
from decimal import Decimal
from enum import Enum
from typing import Any, TypeVar

Validator = Callable[[str, Any], Any]
E = TypeVar("E", bound=Enum)

U64_MAX = 2**64 - 1
U32_MAX = 2**32 - 1
U16_MAX = 2**16 - 1
I64_MIN, I64_MAX = -(2**63), 2**63 - 1

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 60


def got(value: object) -> str:
    """Return a short text of a refused value and its type, such as ``got 5 (int)``."""
    try:
        shown = _short.repr(value)
    except Exception:  # noqa: BLE001 - a repr may raise anything, and the message matters more
        shown = "an unprintable value"
    return f"got {shown} ({type(value).__name__})"


def text(where: str, value: Any) -> str:
    """Return a str; an object of a subclass becomes an exact str, so that nothing can change it later."""
    if type(value) is str:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    msg = f"{where} must be a str; {got(value)}. Pass str(value) if it identifies something."
    raise TypeError(msg)


def non_empty(where: str, value: Any) -> str:
    """Return a str of at least one character."""
    if not (kept := text(where, value)):
        msg = f"{where} must not be empty; got ''. Leave it out, and one is generated."
        raise ValueError(msg)
    return kept


def flag(where: str, value: Any) -> bool:
    """Return a bool; 0, 1 and 'false' are refused rather than guessed."""
    if value is True or value is False:
        return bool(value)
    msg = f"{where} must be True or False; {got(value)}. Pass bool(value)."
    raise TypeError(msg)


def unsigned(limit: int, remedy: str) -> Validator:
    """Return the validator for a whole number from 0 to ``limit``."""

    def validate(where: str, value: Any) -> int:
        if type(value) is not int:
            value = _whole(where, value, remedy)
        if 0 <= value <= limit:
            return int(value)
        msg = f"{where} must be from 0 to {limit}; {got(value)}. {remedy}"
        raise ValueError(msg)

    return validate


def _whole(where: str, value: Any, remedy: str) -> int:
    if not isinstance(value, bool):
        try:
            return operator.index(value)  # IntEnum, numpy integers
        except TypeError:
            pass
    msg = f"{where} must be a whole number; {got(value)}. {remedy}"
    raise TypeError(msg)


def signed(where: str, value: Any) -> int:
    """Return a whole number within signed 64 bits."""
    remedy = "Pass a whole number, such as -1 or 1234."
    if type(value) is not int:
        value = _whole(where, value, remedy)
    if I64_MIN <= value <= I64_MAX:
        return int(value)
    msg = f"{where} must be from {I64_MIN} to {I64_MAX}; {got(value)}. {remedy}"
    raise ValueError(msg)


def number(where: str, value: Any) -> float:
    """Return a finite number, as a float."""
    remedy = "Pass a finite number, such as 0.5."
    if isinstance(value, bool) or not isinstance(value, (numbers.Real, Decimal)):
        msg = f"{where} must be a number; {got(value)}. {remedy}"
        raise TypeError(msg)
    if not _finite(value) or not math.isfinite(kept := _float(value)):
        msg = f"{where} must be finite; {got(value)}. {remedy}"
        raise ValueError(msg)
    return kept


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def millis(where: str, value: Any) -> int:
    """Return a duration in milliseconds: any finite number >= 0, floored."""
    remedy = "Pass the elapsed time in milliseconds, such as 12 or 12.5."
    if type(value) is not int:
        if isinstance(value, bool) or not isinstance(value, (numbers.Real, Decimal)):
            msg = f"{where} must be a number; {got(value)}. {remedy}"
            raise TypeError(msg)
        if not _finite(value):
            msg = f"{where} must be finite; {got(value)}. {remedy}"
            raise ValueError(msg)
        if value < 0:
            msg = f"{where} must be >= 0; {got(value)}. {remedy}"
            raise ValueError(msg)
        value = math.floor(value)
    if 0 <= value <= U64_MAX:
        return int(value)
    msg = f"{where} must be from 0 to {U64_MAX}; {got(value)}. {remedy}"
    raise ValueError(msg)


def _finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a Fraction or an IntEnum beyond what a float holds
        return True
    except ValueError:  # Decimal("sNaN")
        return False


def utc(where: str, value: Any) -> datetime:
    """Return an aware datetime, as an exact ``datetime`` in UTC."""
    remedy = "Pass datetime.now(timezone.utc)."
    if type(value) is datetime and value.tzinfo is timezone.utc:
        return value
    if not isinstance(value, datetime):
        msg = f"{where} must be a datetime; {got(value)}. {remedy}"
        raise TypeError(msg)
    if value.utcoffset() is None:
        msg = f"{where} must have a time zone; {got(value)}. {remedy}"
        raise ValueError(msg)
    try:
        moved = value.astimezone(timezone.utc)
    except OverflowError:
        msg = f"{where} is outside the years 1 to 9999 in UTC; {got(value)}. {remedy}"
        raise ValueError(msg) from None
    parts = (moved.year, moved.month, moved.day, moved.hour, moved.minute, moved.second, moved.microsecond)
    return datetime(*parts, tzinfo=timezone.utc)


def member(enum: type[E]) -> Validator:
    """Return the validator for a member of ``enum``; its exact string is accepted."""
    by_value = {item.value: item for item in enum}

    def validate(where: str, value: Any) -> E:
        if type(value) is enum:
            return value
        if isinstance(value, str) and not isinstance(value, Enum) and value in by_value:
            return by_value[value]
        names = ", ".join(repr(item.value) for item in enum)
        kind = ValueError if isinstance(value, str) else TypeError
        msg = f"{where} must be a {enum.__name__}, one of {names}; {got(value)}."
        raise kind(msg)

    return validate


def instance(cls: type) -> Validator:
    """Return the validator for an object of class ``cls``."""

    def validate(where: str, value: Any) -> Any:
        if isinstance(value, cls):
            return value
        msg = f"{where} must be a {cls.__name__}; {got(value)}. Pass {cls.__name__}(...)."
        raise TypeError(msg)

    return validate


def optional(validate: Validator) -> Validator:
    """Return ``validate`` with None accepted."""

    def validate_optional(where: str, value: Any) -> Any:
        return None if value is None else validate(where, value)

    return validate_optional
