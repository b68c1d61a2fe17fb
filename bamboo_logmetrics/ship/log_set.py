"""The logs that are shipped: found, opened, and closed when their files are gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.logfiles.discovery import find_log, find_logs
from bamboo_logmetrics.ship.log_source import LogSource
from bamboo_logmetrics.ship.log_state import Shipped
from bamboo_logmetrics.ship.reporters import WAITING, ProblemReporter
from bamboo_logmetrics.ship.sender import Sender
from bamboo_logmetrics.system import Clock

LOOK_EVERY = 2.0  # seconds between two looks for logs that are new, or gone
_GONE_FOR = 60.0  # seconds without any file, after which no process appends to one that is still open
_FILES = "the files "  # begins the subject of a pattern's problem; a log's subject is its path


class OpenLog(NamedTuple):
    """A log, or its dead letters, and its sender."""

    source: LogSource
    sender: Sender


class LogSet:
    """Finds and opens logs by their paths and patterns.

    Args:
        files: absolute paths and patterns.
        open_log: opens a log; its second argument is True for a log that did not exist at the first look.
        follow: True to wait for logs that do not exist yet, and to go on when one cannot be read.
        strict: True to raise the errors of the first look to the caller.
        problems: receives all other errors.
        clock: the time.
    """

    def __init__(
        self,
        files: list[str],
        open_log: Callable[[str, bool], OpenLog],
        *,
        follow: bool,
        strict: bool,
        problems: ProblemReporter,
        clock: Clock,
    ) -> None:
        self._files = files
        self._open_log = open_log
        self._follow = follow
        self._strict = strict
        self._problems = problems
        self._clock = clock
        self._logs: dict[str, OpenLog] = {}
        self._errors: dict[str, Exception] = {}  # of logs that cannot be read, unless it follows
        self._known: set[str] = set()  # the logs that existed at the first look
        self._blind = False  # True if a look at a pattern failed, so that any log may have existed
        self._gone: dict[str, float] = {}  # the time since which a log has no file
        self._looked = float("-inf")
        self._ended = Shipped(0, 0, 0)  # of logs that were closed

    # -- finding -------------------------------------------------------------------------

    def look(self, *, now: bool = False) -> None:
        """Open new logs, at most every two seconds unless ``now``.

        Raises OSError and ConfigError at the first look if strict, and FileNotFoundError unless it follows.
        """
        moment = self._clock.monotonic()
        if moment < self._looked + LOOK_EVERY and not now:
            return
        first, self._looked = self._looked < 0, moment
        for path in self._files:
            with self._reporting(path, f"{_FILES}{path}"):
                for log in find_logs(path):
                    if first:
                        self._known.add(log)
                    if log not in self._logs:
                        with self._reporting(log, log):
                            self._logs[log] = self._open_log(log, not self._blind and log not in self._known)
        self._strict = False
        self._gone = {log: self._gone.get(log, moment) for log in self._logs if _is_gone(log)}

    @contextmanager
    def _reporting(self, path: str, subject: str) -> Iterator[None]:
        """Report an error of one log or pattern, so that the others go on."""
        try:
            yield
        except FileNotFoundError:
            if not self._follow:
                raise
            self._problems.report(subject, f"{WAITING}{path}")
        except (OSError, ConfigError) as error:
            if self._strict:
                raise
            self._blind |= subject.startswith(_FILES)
            self._problems.report(subject, _text(path, error))
        else:
            self._problems.report(subject, "")

    # -- taking turns --------------------------------------------------------------------

    def in_turn(self) -> Iterator[tuple[str, OpenLog]]:
        """Give the logs that can be read, the one that had the last turn last."""
        for log, opened in list(self._logs.items()):
            if log not in self._errors:
                yield log, opened

    def had_turn(self, log: str) -> None:
        """Put a log behind all others."""
        self._logs[log] = self._logs.pop(log)

    def note_error(self, log: str, error: Exception | None) -> None:
        """Note that a log cannot be read, or with None that it can."""
        if error is not None and not self._follow:
            self._errors[log] = error
            return
        text = "" if error is None else _text(log, error) if isinstance(error, OSError) else f"{log}: {error}"
        if self._problems.report(log, text):
            self._logs[log].source.set_error(text)

    def raise_error(self) -> None:
        """Raise the error of the first log that could not be read to its end; there is none while it follows."""
        for error in self._errors.values():
            raise error

    # -- the end of a log ------------------------------------------------------------------

    def close_gone(self) -> None:
        """Close logs without files for a minute, whose last lines are delivered or refused."""
        until = self._clock.monotonic() - _GONE_FOR
        for log in [log for log, since in self._gone.items() if since <= until]:
            opened = self._logs[log]
            if opened.source.leave_gone():
                self._ended = _sum(self._ended, opened.source.result)
                del self._logs[log], self._gone[log]
                opened.source.close()
                self._problems.report(log, "")

    @property
    def shipped(self) -> Shipped:
        """The result over all logs."""
        return _sum(self._ended, *(opened.source.result for opened in self._logs.values()))

    def close(self) -> None:
        """Close all logs."""
        for opened in self._logs.values():
            opened.source.close()


def _text(path: str, error: Exception) -> str:
    return f"{path} cannot be read: {error}" if isinstance(error, OSError) else str(error)


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
