"""The rotated files of a log: new names, compression, and how many are kept."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import TypeVar

from bamboo_logmetrics.events.times import from_ns
from bamboo_logmetrics.logfiles import compression
from bamboo_logmetrics.logfiles.checkpoint import passed_by_all
from bamboo_logmetrics.logfiles.descriptors import Identity, close_own, identify, identity_of, is_taken
from bamboo_logmetrics.logfiles.names import (
    LAST_TIME,
    Rotated,
    base_of,
    is_file,
    list_partials,
    list_rotated,
    partial_name,
    rotated_name,
)
from bamboo_logmetrics.logfiles.side_files import open_regular
from bamboo_logmetrics.system import FS

_Item = TypeVar("_Item")


class Archive:
    """The rotated files of one log, in the log's directory.

    Args:
        path: the path of the log.
        fs: the system calls.
    """

    def __init__(self, path: str, *, fs: FS) -> None:
        self.directory, self._name = os.path.split(path)
        self._fs = fs
        self._locked: dict[int, Identity] = {}  # descriptors with a lock; a forked child must close them

    def files(self) -> list[Rotated]:
        """Return the rotated files, the oldest first; of two forms, the plain one. Raises OSError."""
        return list_rotated(self._names(), self._name)

    def _regular_files(self) -> list[Rotated]:
        """Leave out a directory or a link that only has the name of a rotated file."""
        return [item for item in self.files() if is_file(self._fs, self._path(item.name))]

    def new_path(self, now_ns: int, writer: str) -> str:
        """Return an unused path for the current file, later in order than every rotated one. Raises OSError."""
        time = from_ns(now_ns)
        if files := self.files():
            time = max(time, files[-1].time + timedelta(microseconds=1))
        if time > LAST_TIME:
            raise FileExistsError(errno.EEXIST, "no later name is left for a rotated file")
        return self._path(rotated_name(self._name, time, writer))

    def tidy(self, *, compress: str | None, backup_count: int | None, mode: int, unshipped: int | None = None) -> None:
        """Remove leftovers, remove the oldest files beyond ``backup_count``, compress all others but the newest.

        Args:
            compress: None, ``"gzip"`` or ``"zstd"``.
            backup_count: how many rotated files to keep; None for all.
            mode: the mode of compressed files.
            unshipped: how many more to keep that a shipper has still to deliver; None for as many again.

        Raises OSError after treating all files: the first error, or one that names the files that were removed though
        they had not been delivered.
        """
        errors: list[OSError] = []
        self._each(errors, self._partials(), self._unlink_partial)
        self._each(errors, self._unfinished(), self._unlink_unfinished)
        files = self._regular_files()
        if backup_count is not None and len(files) > backup_count:
            most = backup_count if unshipped is None else unshipped
            surplus = self._surplus(files[: len(files) - backup_count], most, errors)
            files = [item for item in files if item not in surplus]
            self._each(errors, surplus, self._remove)
        if compress:
            plain = [item.base for item in files[:-1] if not item.suffix]
            self._each(errors, plain, lambda base: self._compress(base, compress, mode))
        if errors:
            raise errors[0]

    def _surplus(self, old: list[Rotated], unshipped: int, errors: list[OSError]) -> list[Rotated]:
        """Return those of the old files that must go: all but the newest that a shipper has still to deliver."""
        passed = passed_by_all(self._fs, self._path(self._name))
        if passed is None:
            return old
        waiting = [item for item in old if item.base > passed]
        lost = waiting[: max(0, len(waiting) - unshipped)]
        if lost:
            msg = (
                f"{lost[-1].base} and older files are removed, though a shipper has not delivered them:"
                f" only {unshipped} more are kept for it (unshipped_backups); see bamboo-logmetrics ship --status"
            )
            errors.append(OSError(msg))
        return [item for item in old if item.base <= passed] + lost

    def sync_directory(self) -> None:
        """Bring the names in the directory to the disk. Raises OSError."""
        fd = self._fs.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)  # anything else in its place might block
        identity = identify(self._fs, fd)
        try:
            self._fs.fsync(fd)
            self._check_own(fd, identity, self.directory)
        finally:
            close_own(self._fs, fd, identity)

    def close_locked(self) -> None:
        """Close the descriptors of locks, in a forked child: it must not share the parent's."""
        while self._locked:
            close_own(self._fs, *self._locked.popitem())

    def _each(self, errors: list[OSError], items: list[_Item], treat: Callable[[_Item], None]) -> None:
        for item in items:
            try:
                treat(item)
            except FileNotFoundError:
                continue  # another process was faster
            except OSError as error:
                errors.append(error)

    def _names(self) -> list[str]:
        return self._fs.listdir(self.directory)

    def _path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    # -- leftovers -----------------------------------------------------------------------

    def _partials(self) -> list[str]:
        """Return the partial files of compressions that were killed or are under way."""
        return list_partials(self._names(), self._name)

    def _unfinished(self) -> list[str]:
        """Return the compressed files whose plain file still exists."""
        names = set(self._names())
        plain = [item for item in self._regular_files() if not item.suffix]
        return [name for item in plain for name in item.forms[1:] if name in names]

    def _unlink_partial(self, name: str) -> None:
        """Remove a partial file, unless its plain file is locked: then a compression is under way."""
        try:
            self._unlink_unfinished(name)
        except FileNotFoundError:  # without a plain file none can be under way
            self._fs.unlink(self._path(name))

    def _unlink_unfinished(self, name: str) -> None:
        """Remove a leftover, under the lock of its plain file; leave it if another process has the lock.

        Raises FileNotFoundError if the plain file is gone: then a compression has just been finished.
        """
        fd = self._lock(base_of(name))
        if fd is None:
            return
        try:
            self._fs.unlink(self._path(name))
        finally:
            self._release(fd)

    # -- retention and compression -------------------------------------------------------

    def _remove(self, rotated: Rotated) -> None:
        for name in rotated.forms:
            try:
                self._fs.unlink(self._path(name))
            except FileNotFoundError:
                continue

    def _compress(self, base: str, kind: str, mode: int) -> None:
        fd = self._lock(base)
        if fd is None:
            return
        name = base + compression.SUFFIX[kind]
        partial = self._path(partial_name(name))
        try:
            compression.compress(self._fs, fd, partial, kind, mode)
            self._check_own(fd, self._locked[fd], self._path(base))
            self._fs.rename(partial, self._path(name))
            self.sync_directory()  # else a power cut could keep the unlink and not the rename
            self._fs.unlink(self._path(base))
        except OSError:
            with suppress(OSError):  # on a full disk it only takes space
                self._fs.unlink(partial)
            raise
        finally:
            self._release(fd)

    def _lock(self, base: str) -> int | None:
        """Open a plain rotated file and take its lock; return None if another process has it.

        Raises FileNotFoundError if the file is gone.
        """
        fd = open_regular(self._fs, self._path(base), os.O_RDONLY)
        self._locked[fd] = identify(self._fs, fd)
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

    def _check_own(self, fd: int, identity: Identity, path: str) -> None:
        """Raise OSError if a descriptor was closed from outside: what was done with it may be done to another file."""
        if is_taken(self._fs, fd, identity) or identity_of(self._fs.stat(path)) != identity:
            raise OSError(errno.EBADF, "closed from outside while it was in use", path)

    def _release(self, fd: int) -> None:
        if (identity := self._locked.pop(fd, None)) is not None:
            close_own(self._fs, fd, identity)
