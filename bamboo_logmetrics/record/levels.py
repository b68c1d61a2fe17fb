"""The levels of a line: their names and the numbers of the standard library.

A line has one of five levels. An application may use more: numbers between them, and names that it gave to numbers with
``logging.addLevelName``. Such a line has the level at or below, and the name beside it, under ``level_name``.
"""

from __future__ import annotations

import operator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

LEVELS: Mapping[str, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
NAMES: Mapping[int, str] = {number: name for name, number in LEVELS.items()}
LEVEL_NAME = "level_name"  # the key of the name of a level between the five

# more names of the standard library and of structlog
_ALIASES = {"notset": 0, "warn": 30, "exception": 40, "fatal": 50}


def level_number(level: object) -> int | None:
    """Return the number of a level; None if there is no such level.

    Args:
        level: a number, or a name in any case: one of the five, another one of the standard library such as ``"warn"``,
            one of ``logging.addLevelName``, or a number as text.
    """
    if not isinstance(level, str):
        return _index(level)
    name = level.strip().lower()
    number = LEVELS.get(name, _ALIASES.get(name))
    return _number_of_name(level.strip()) if number is None else number


def _index(level: Any) -> int | None:
    """Return the number of a level that is an integer of any type; a truth value is none."""
    try:
        return None if isinstance(level, bool) else operator.index(level)
    except TypeError:
        return None


def _number_of_name(level: str) -> int | None:
    """Return the number of a name of ``logging.addLevelName``, or of a number as text."""
    for name in (level, level.upper(), level.lower()):
        number = _level_name(name)
        if isinstance(number, int):
            return number
    try:
        return int(level)
    except ValueError:
        return None


def _level_name(level: str | int) -> Any:
    """Return the standard library's number of a name, or its name of a number.

    logging is imported late: it would make the package load slower, and structlog has imported it before a log is open.
    """
    import logging

    return logging.getLevelName(level)


def name_between(number: int) -> str | None:
    """Return the name of a level that is none of the five, such as ``"SUCCESS"`` or ``"Level 25"``; None for the five.

    It is the standard library's name of the number, however the caller wrote it: a level has one name in all lines.
    """
    return None if number in NAMES else _level_name(number)


@lru_cache(maxsize=128)
def level_at(number: int) -> str:
    """Return the name of the level at or below ``number``; ``"debug"`` below all levels."""
    return next((name for name, least in reversed(list(LEVELS.items())) if number >= least), "debug")
