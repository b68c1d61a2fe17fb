"""The interface of every peer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


def _nothing() -> None:
    """Do nothing: for a peer that writes in the call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """An opened log of one package.

    Args:
        emit: makes one event in the call and logs it; its argument is a number.
        plain: logs a text with five scalars.
        close: writes all that is queued and closes the file.
        flush: waits until what was logged so far is written.
        make: makes an event without logging it; a package without events of its own gives the number back.
        emit_made: logs what ``make`` gave; in a package without events of its own the same call as ``emit``.
        others: other kinds of call by name, of those that are measured for some packages only (``kinds.py``).
    """

    emit: Callable[[int], object]
    plain: Callable[[int], object]
    close: Callable[[], object]
    flush: Callable[[], object] = _nothing
    make: Callable[[int], Any] = int
    emit_made: Callable[[Any], object] | None = None
    others: Mapping[str, Callable[[int], object]] = field(default_factory=dict)

    def call(self, kind: str) -> Callable[[Any], object]:
        """Return the call that a run of ``kind`` ("emit", "made", "plain" or one of ``others``) makes."""
        return {"emit": self.emit, "made": self.emit_made or self.emit, "plain": self.plain, **self.others}[kind]

    def arguments(self, kind: str, numbers: range) -> range | list[Any]:
        """Return an argument for each call of a run of ``kind``."""
        return [self.make(number) for number in numbers] if kind == "made" else numbers
