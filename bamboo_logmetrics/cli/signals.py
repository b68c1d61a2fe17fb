"""SIGTERM and SIGHUP, which end a command as Ctrl-C does: nothing is left behind."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_ENDING = (signal.SIGTERM, signal.SIGHUP)


class SignalInterrupt(KeyboardInterrupt):
    """One of these signals.

    Args:
        number: the number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def interrupt_at_signals() -> Iterator[None]:
    """Raise SignalInterrupt at SIGTERM and SIGHUP, once; those that are ignored, as by nohup, stay ignored."""
    taken = [number for number in _ENDING if signal.getsignal(number) is signal.SIG_DFL]

    def interrupt(number: int, _: object) -> None:
        for each in taken:
            signal.signal(each, signal.SIG_IGN)  # a second one must not end the cleaning up
        raise SignalInterrupt(number)

    for number in taken:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)
