"""Rotated files: their names, their compression and how many are kept.

A rotated file is ``agent.jsonl.<YYYYMMDDTHHMMSSffffffZ>-<writer>``, with ``.gz`` or ``.zst`` once it is
compressed. Names sort by time. Where both forms exist, the plain one counts: a compressed one beside it is
not finished.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from bamboo_logmetrics.events.times import from_ns
from bamboo_logmetrics.logfiles import compression
from bamboo_logmetrics.logfiles.checkpoint import passed_by_all
from bamboo_logmetrics.system import FS

_STAMP = "%Y%m%dT%H%M%S%fZ"
_ROTATED = re.compile(r"\.(?P<stamp>[12]\d{7}T\d{12}Z)-(?P<writer>[0-9a-f]{20})(?P<suffix>\.gz|\.zst)?", re.ASCII)
_LAST = datetime(2999, 12, 31, 23, 59, 59, 999_999, timezone.utc)


@dataclass(frozen=True, slots=True, order=True)
class Rotated:
    """One rotated file: its name without the compression's suffix, and the form that counts."""

    base: str
    suffix: str = ""

    @property
    def name(self) -> str:
        """The name in the directory."""
        return self.base + self.suffix

    @property
    def stamp(self) -> datetime:
        """When it was rotated."""
        return _time(self.base.rpartition("-")[0].rpartition(".")[2])


class Archive:
    """The rotated files of one log, in the log's directory."""

    def __init__(self, path: str, *, fs: FS) -> None:
        self.directory, self._name = os.path.split(path)
        self._fs = fs
        self._held: set[int] = set()  # descriptors with a lock; a forked child must close them

    def files(self) -> list[Rotated]:
        """Return the rotated files, the oldest first; of two forms, the plain one."""
        return list_rotated(self._names(), self._name)

    def _ours(self) -> list[Rotated]:
        """Return those that are files: a directory or a link that only has such a name is left alone."""
        return [item for item in self.files() if is_file(self._fs, self._path(item.name))]

    def new_path(self, now_ns: int, writer: str) -> str:
        """Return an unused path for the current file, later in order than every rotated one. Raises OSError."""
        moment = from_ns(now_ns)
        if files := self.files():
            moment = max(moment, files[-1].stamp + timedelta(microseconds=1))
        if moment > _LAST:
            raise FileExistsError(errno.EEXIST, "no later name is left for a rotated file")
        return self._path(f"{self._name}.{moment.strftime(_STAMP).zfill(22)}-{writer}")

    def tidy(self, *, compress: str | None, backup_count: int | None, mode: int, unshipped: int | None = None) -> None:
        """Remove leftovers, compress all but the newest, remove the oldest beyond ``backup_count``.

        Of those that a shipper has still to deliver, ``unshipped`` more are kept; None: as many again.

        Raises OSError for the first file that could not be treated, or that was not delivered and had to go, after
        treating the others.
        """
        faults: list[OSError] = []
        self._each(faults, self._partials(), self._unlink_partial)
        self._each(faults, self._doubles(), self._unlink_double)
        files = self._ours()
        if backup_count is not None and len(files) > backup_count:
            most = backup_count if unshipped is None else unshipped
            gone = self._too_many(files[: len(files) - backup_count], most, faults)
            files = [item for item in files if item not in gone]
            self._each(faults, [item.base for item in gone], self._remove)
        if compress:
            plain = [item.base for item in files[:-1] if not item.suffix]
            self._each(faults, plain, lambda base: self._compress(base, compress, mode))
        if faults:
            raise faults[0]

    def _too_many(self, old: list[Rotated], unshipped: int, faults: list[OSError]) -> list[Rotated]:
        """Return which of the old files are to go: all but the newest that a shipper beside the log has to deliver."""
        passed = passed_by_all(self._fs, self._path(self._name))
        if passed is None:
            return old
        waiting = [item for item in old if item.base > passed]
        lost = waiting[: max(0, len(waiting) - unshipped)]
        if lost:
            msg = (
                f"{lost[-1].base} and what is older is removed, though a shipper has not delivered it:"
                f" only {unshipped} more are kept for it (unshipped_backups); see bamboo-logmetrics ship --status"
            )
            faults.append(OSError(msg))
        return [item for item in old if item.base <= passed] + lost

    def sync_directory(self) -> None:
        """Bring the names in the directory to the disk. Raises OSError."""
        fd = self._fs.open(self.directory, os.O_RDONLY)
        try:
            self._fs.fsync(fd)
        finally:
            self._fs.close(fd)

    def close_held(self) -> None:
        """Close the descriptors of locks, in a forked child, so that it does not keep the parent's."""
        while self._held:
            self._fs.close(self._held.pop())

    def _each(self, faults: list[OSError], names: list[str], treat: Callable[[str], None]) -> None:
        for name in names:
            try:
                treat(name)
            except FileNotFoundError:
                continue  # another process was faster
            except OSError as error:
                faults.append(error)

    def _names(self) -> list[str]:
        return self._fs.listdir(self.directory)

    def _path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def _partial(self, base: str, suffix: str) -> str:
        return f".{base}{suffix}.tmp"

    def _partials(self) -> list[str]:
        """Return the partial files that compressions left, or are at work on."""
        form = re.compile(rf"\.({re.escape(self._name)}{_ROTATED.pattern})\.tmp", re.ASCII)
        return [name for name in self._names() if form.fullmatch(name)]

    def _doubles(self) -> list[str]:
        """Return the compressed files whose plain file is still there: they are not finished."""
        names = set(self._names())
        plain = [item.base for item in self._ours() if not item.suffix]
        return [base + suffix for base in plain for suffix in compression.SUFFIXES if base + suffix in names]

    def _unlink_partial(self, name: str) -> None:
        """Remove a partial file, unless its plain file is locked: then somebody is at work on it."""
        try:
            self._unlink_double(name)
        except FileNotFoundError:  # no plain file: nobody can be
            self._fs.unlink(self._path(name))

    def _unlink_double(self, name: str) -> None:
        """Remove a leftover while its plain file is there and nobody is at work on it.

        Raises FileNotFoundError when the plain file is gone: a compressed one has then just been finished.
        """
        base = name.removeprefix(".").removesuffix(".tmp").removesuffix(".gz").removesuffix(".zst")
        fd = self._lock(base)
        if fd is None:
            return
        try:
            self._fs.unlink(self._path(name))
        finally:
            self._release(fd)

    def _remove(self, base: str) -> None:
        for suffix in ("", *compression.SUFFIXES):
            try:
                self._fs.unlink(self._path(base + suffix))
            except FileNotFoundError:
                continue

    def _compress(self, base: str, kind: str, mode: int) -> None:
        fd = self._lock(base)
        if fd is None:
            return
        suffix = compression.SUFFIX[kind]
        partial = self._path(self._partial(base, suffix))
        try:
            compression.compress(self._fs, fd, partial, kind, mode)
            self._fs.rename(partial, self._path(base + suffix))
            self.sync_directory()  # else a power cut could keep the unlink and not the rename
            self._fs.unlink(self._path(base))
        except OSError:
            with suppress(OSError):  # on a full disk it only takes space
                self._fs.unlink(partial)
            raise
        finally:
            self._release(fd)

    def _lock(self, base: str) -> int | None:
        """Open a plain rotated file and take its lock; None if another process has it."""
        fd = self._fs.open(self._path(base), os.O_RDONLY)
        self._held.add(fd)
        ours = False
        try:
            if self._fs.lock(fd):
                if not self._fs.fstat(fd).st_nlink:  # finished or removed before it was ours
                    raise FileNotFoundError(base)
                ours = True
        finally:
            if not ours:
                self._release(fd)
        return fd if ours else None

    def _release(self, fd: int) -> None:
        if fd in self._held:
            self._held.discard(fd)
            self._fs.close(fd)


def is_file(fs: FS, path: str) -> bool:
    """Tell whether a regular file is at ``path``, and not a link to one."""
    try:
        return stat.S_ISREG(fs.lstat(path).st_mode)
    except FileNotFoundError:
        return False


def is_there(fs: FS, directory: str, rotated: Rotated) -> bool:
    """Tell whether a rotated file that was listed is a file, in whatever form: it may have been compressed since."""
    return any(is_file(fs, os.path.join(directory, rotated.base + suffix)) for suffix in ("", *compression.SUFFIXES))


def list_rotated(names: list[str], log_name: str) -> list[Rotated]:
    """Return the rotated files of ``log_name`` among ``names``, the oldest first; of two forms the plain one."""
    forms: dict[str, str] = {}
    for name in names:
        if not name.startswith(log_name):
            continue
        found = _ROTATED.fullmatch(name, len(log_name))
        if found and _is_time(found["stamp"]):
            suffix = found["suffix"] or ""
            base = name.removesuffix(suffix) if suffix else name
            forms[base] = min(suffix, forms.get(base, suffix))
    return [Rotated(base, suffix) for base, suffix in sorted(forms.items())]


def _time(stamp: str) -> datetime:
    """Return the time of a stamp. Not by strptime, which imports at its first call (see docs/decisions)"""
    day, clock = stamp[:8], stamp[9:21]
    date = (int(day[:4]), int(day[4:6]), int(day[6:]))
    return datetime(*date, int(clock[:2]), int(clock[2:4]), int(clock[4:6]), int(clock[6:]), tzinfo=timezone.utc)


def _is_time(stamp: str) -> bool:
    try:
        _time(stamp)
    except ValueError:
        return False
    return True


def log_of(name: str) -> str | None:
    """Return the log's name if ``name`` is that of one of its rotated files."""
    found = re.fullmatch(rf"(.+){_ROTATED.pattern}", name, re.ASCII)
    return found[1] if found and _is_time(found["stamp"]) else None
