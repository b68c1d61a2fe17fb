"""Answers that are remembered, bounded in what they take."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

_MOST, _LONGEST = 4_096, 2_000  # entries, and characters of the texts of one: a few megabytes in all


class TextCache(dict[Any, Any]):
    """The results of a function of a few texts; looking one up is one step of a dict.

    Longer texts than 2,000 characters in all are not remembered. With too many results all are forgotten.

    Args:
        make: the function.
        texts: returns the texts of an argument.
    """

    def __init__(self, make: Callable[[Any], Any], texts: Callable[[Any], Iterable[str]]) -> None:
        super().__init__()
        self._make = make
        self._texts = texts

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._make, self._texts)  # what is remembered stays behind

    def __missing__(self, argument: Any) -> Any:
        result = self._make(argument)
        if sum(map(len, self._texts(argument))) <= _LONGEST:
            if len(self) >= _MOST:
                self.clear()
            self[argument] = result
        return result
