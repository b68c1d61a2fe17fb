"""The levels of a line: their names and the numbers of the standard library."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LEVELS: Mapping[str, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_NAMES = {number: name for name, number in LEVELS.items()}


def level_name(level: int | str) -> str | None:
    """Return the name of a level; None if there is no such level.

    Args:
        level: a name in any case, such as ``"INFO"``, or a number, such as ``logging.INFO``.
    """
    if isinstance(level, str):
        name = level.lower()
        return name if name in LEVELS else None
    try:
        return _NAMES.get(level)
    except TypeError:  # a value of another type that cannot be hashed
        return None


@lru_cache(maxsize=128)
def level_at(number: int) -> str:
    """Return the name of the level at or below ``number``; ``"debug"`` below all levels."""
    return next((name for name, least in reversed(list(LEVELS.items())) if number >= least), "debug")
