"""The logs that are being shipped: found, opened, and let go when they are gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.logfiles.discovery import find_log, find_logs
from bamboo_logmetrics.ship.log_source import LogSource
from bamboo_logmetrics.ship.reporters import WAITING, ProblemReporter
from bamboo_logmetrics.ship.sender import Sender
from bamboo_logmetrics.ship.state import State
from bamboo_logmetrics.system import Clock

LOOK_EVERY = 2.0  # seconds between two looks for logs that are new, or gone
_GONE_FOR = 60.0  # seconds without any file, after which nobody appends to one that is still open
_FILES = "the files "  # the name of a pattern among the troubles; that of a log is its path


class Shipped(NamedTuple):
    """What came of a run, over all logs.

    Args:
        shipped: lines delivered in this run.
        refused: lines that went to a dead-letter file.
        lost: numbers that the files did not hold any more.
    """

    shipped: int
    refused: int
    lost: int


class OpenLog(NamedTuple):
    """A log, what delivers it, and what had come of it before."""

    shipment: LogSource
    sender: Sender
    before: State

    @property
    def shipped(self) -> Shipped:
        """What came of it in this run."""
        now = self.shipment.state
        return Shipped(*(getattr(now, name) - getattr(self.before, name) for name in Shipped._fields))


class LogSet:
    """Finds logs by their paths and patterns, and keeps what is open of them.

    Args:
        files: absolute paths and patterns.
        open_tail: opens a log; the second argument is True for one that was not there at the first look.
        follow: True to wait for logs that are not there, and to go on beside one that cannot be read.
        strict: True to raise what is wrong at the first look, while somebody is there who called.
        troubles: where the rest is said.
        clock: the time.
    """

    def __init__(
        self,
        files: list[str],
        open_tail: Callable[[str, bool], OpenLog],
        *,
        follow: bool,
        strict: bool,
        troubles: ProblemReporter,
        clock: Clock,
    ) -> None:
        self._files = files
        self._open_tail = open_tail
        self._follow = follow
        self._strict = strict
        self._troubles = troubles
        self._clock = clock
        self._tails: dict[str, OpenLog] = {}
        self._errors: dict[str, Exception] = {}  # of those that cannot be gone on with, where nobody waits for them
        self._known: set[str] = set()  # the logs that were there at the first look
        self._blind = False  # whether a look at a pattern failed, so that a log may have been there
        self._gone: dict[str, float] = {}  # since when no file of a log is there
        self._looked = float("-inf")
        self._ended = Shipped(0, 0, 0)  # of logs that were let go

    # -- finding -------------------------------------------------------------------------

    def look(self, *, now: bool = False) -> None:
        """Open the logs that are new, unless that was done a moment ago.

        Raises, at the first look where it is strict, OSError and ConfigError; FileNotFoundError unless it follows.
        """
        moment = self._clock.monotonic()
        if moment < self._looked + LOOK_EVERY and not now:
            return
        first, self._looked = self._looked < 0, moment
        for path in self._files:
            with self._said(path, f"{_FILES}{path}"):
                for log in find_logs(path):
                    if first:
                        self._known.add(log)
                    if log not in self._tails:
                        with self._said(log, log):
                            self._tails[log] = self._open_tail(log, not self._blind and log not in self._known)
        self._strict = False
        self._gone = {log: self._gone.get(log, moment) for log in self._tails if _is_gone(log)}

    @contextmanager
    def _said(self, what: str, key: str) -> Iterator[None]:
        """Say what is wrong with one log or pattern, and go on with the others."""
        try:
            yield
        except FileNotFoundError:
            if not self._follow:
                raise
            self._troubles.say(key, f"{WAITING}{what}")
        except (OSError, ConfigError) as error:
            if self._strict:
                raise
            self._blind |= key.startswith(_FILES)
            self._troubles.say(key, _text(what, error))
        else:
            self._troubles.say(key, "")

    # -- taking turns --------------------------------------------------------------------

    def in_turn(self) -> Iterator[tuple[str, OpenLog]]:
        """Give the logs that can be read; who had a turn stands last."""
        for log, tail in list(self._tails.items()):
            if log not in self._errors:
                yield log, tail

    def had_turn(self, log: str) -> None:
        """Let all others come before this one."""
        self._tails[log] = self._tails.pop(log)

    def say(self, log: str, error: Exception | None) -> None:
        """Note that a log cannot be read, or that it can be."""
        if error is not None and not self._follow:
            self._errors[log] = error
            return
        text = "" if error is None else _text(log, error) if isinstance(error, OSError) else f"{log}: {error}"
        if self._troubles.say(log, text):
            self._tails[log].shipment.trouble(text)

    def raise_error(self) -> None:
        """Raise what was wrong with the first log that could not be read to its end, where it does not follow."""
        for error in self._errors.values():
            raise error

    # -- the end of a log ------------------------------------------------------------------

    def let_go(self) -> None:
        """Close logs that have been gone for a while, all of which is settled."""
        until = self._clock.monotonic() - _GONE_FOR
        for log in [log for log, since in self._gone.items() if since <= until]:
            tail = self._tails[log]
            if tail.shipment.leave_gone():
                self._ended = _sum(self._ended, tail.shipped)
                del self._tails[log], self._gone[log]
                tail.shipment.close()
                self._troubles.say(log, "")

    @property
    def shipped(self) -> Shipped:
        """What came of all."""
        return _sum(self._ended, *(tail.shipped for tail in self._tails.values()))

    def close(self) -> None:
        """Close all."""
        for tail in self._tails.values():
            tail.shipment.close()


def _text(what: str, error: Exception) -> str:
    return f"{what} cannot be read: {error}" if isinstance(error, OSError) else str(error)


def _is_gone(log: str) -> bool:
    try:
        find_log(log)
    except FileNotFoundError:
        return True
    except (OSError, ConfigError):
        return False
    return False


def _sum(*counts: Shipped) -> Shipped:
    return Shipped(*map(sum, zip(*counts, strict=True)))
