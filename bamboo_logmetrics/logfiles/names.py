"""Names of the files of a log; all stand in its directory.

================================================  ====================================================
``agent.jsonl``                                   the active file
``agent.jsonl.<time>-<writer>``                   a rotated file, with ``.gz`` or ``.zst`` if compressed
``.agent.jsonl.<time>-<writer>.gz.tmp``           an unfinished compressed file
``.agent.jsonl.lock``                             the lock of the writers
``.agent.jsonl.acknowledged``                     the losses that ``verify --acknowledge`` has noted
``.agent.jsonl.import.sqlite``, ``.import.lock``  the known ids of imports, and their lock
``.agent.jsonl.<shipper>.<kind>``                 a file of a shipper, such as its checkpoint
================================================  ====================================================

``<time>`` is ``YYYYMMDDTHHMMSSffffffZ``, so the names of rotated files sort by time. Where a rotated file exists both
plain and compressed, the plain form counts: the compression is not finished.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from datetime import datetime, timezone

from bamboo_logmetrics.logfiles.compression import SUFFIXES
from bamboo_logmetrics.system import FS

LAST_TIME = datetime(2999, 12, 31, 23, 59, 59, 999_999, timezone.utc)  # of a rotated file's name

_STAMP = "%Y%m%dT%H%M%S%fZ"
_ROTATED = re.compile(r"\.(?P<stamp>[12]\d{7}T\d{12}Z)-(?P<writer>[0-9a-f]{20})(?P<suffix>\.gz|\.zst)?", re.ASCII)
_SHIPPER = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PARTIAL = ".tmp"
_SIDE_FILE = re.compile(
    r"\.(?P<log>.+)\.(?:lock|acknowledged(?:\.tmp)?|import\.(?:lock|sqlite)|"
    r"[A-Za-z0-9_-]{1,64}\.(?:checkpoint(?:\.old|\.tmp)?|shipper|dead-letter(?:\.tmp)?))",
    re.ASCII,
)
LONGEST_ADDITION = len(f"..YYYYMMDDTHHMMSSffffffZ-{20 * 'w'}.zst{_PARTIAL}")  # bytes, to the name of a log


def owner_of_side_file(name: str) -> str | None:
    """Return the name of the log that a hidden file belongs to, such as its lock; None for any other name."""
    if name.endswith(_PARTIAL) and name.startswith(".") and (log := log_of(name[1 : -len(_PARTIAL)])) is not None:
        return log
    match = _SIDE_FILE.fullmatch(name)
    return match["log"] if match else None


# -- rotated files -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class Rotated:
    """A rotated file.

    Args:
        base: the name of its plain form.
        suffix: the suffix of the form that counts; empty for the plain form.
    """

    base: str
    suffix: str = ""

    @property
    def name(self) -> str:
        """The name in the directory."""
        return self.base + self.suffix

    @property
    def forms(self) -> tuple[str, ...]:
        """The names that the file may have by now, the plain one first."""
        return (self.base, *(self.base + suffix for suffix in SUFFIXES))

    @property
    def time(self) -> datetime:
        """The time of the rotation."""
        return _time(self.base.rpartition("-")[0].rpartition(".")[2])


def rotated_name(log_name: str, time: datetime, writer: str) -> str:
    """Return the name for a file that ``writer`` rotates at ``time``, which must not be after :data:`LAST_TIME`."""
    return f"{log_name}.{time.strftime(_STAMP).zfill(22)}-{writer}"


def log_of(name: str) -> str | None:
    """Return the name of the log that a rotated file belongs to; None if ``name`` is not a rotated file's."""
    match = re.fullmatch(rf"(.+){_ROTATED.pattern}", name, re.ASCII)
    return match[1] if match and _is_time(match["stamp"]) else None


def list_rotated(names: list[str], log_name: str) -> list[Rotated]:
    """Return the rotated files of ``log_name`` among ``names``, the oldest first; of two forms the plain one."""
    forms: dict[str, str] = {}
    for name in names:
        if not name.startswith(log_name):
            continue
        match = _ROTATED.fullmatch(name, len(log_name))
        if match and _is_time(match["stamp"]):
            suffix = match["suffix"] or ""
            base = name.removesuffix(suffix) if suffix else name
            forms[base] = min(suffix, forms.get(base, suffix))
    return [Rotated(base, suffix) for base, suffix in sorted(forms.items())]


def rotated_files(fs: FS, log: str) -> list[Rotated]:
    """List the rotated files of a log, the oldest first; none where the directory is missing. Raises OSError."""
    directory, name = os.path.split(log)
    try:
        return list_rotated(fs.listdir(directory), name)
    except (FileNotFoundError, NotADirectoryError):
        return []


def rotated_exists(fs: FS, log: str, rotated: Rotated) -> bool:
    """Return True if a listed rotated file is a regular file, in any form: it may have been compressed since."""
    directory = os.path.dirname(log)
    return any(is_file(fs, os.path.join(directory, name)) for name in rotated.forms)


def is_file(fs: FS, path: str) -> bool:
    """Return True if a regular file is at ``path``, and not a link to one."""
    try:
        return stat.S_ISREG(fs.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _time(stamp: str) -> datetime:
    """Return the time of a stamp. Not with strptime: it imports at its first call, and the log's threads must not."""
    day, clock = stamp[:8], stamp[9:21]
    date = (int(day[:4]), int(day[4:6]), int(day[6:]))
    return datetime(*date, int(clock[:2]), int(clock[2:4]), int(clock[4:6]), int(clock[6:]), tzinfo=timezone.utc)


def _is_time(stamp: str) -> bool:
    try:
        _time(stamp)
    except ValueError:
        return False
    return True


# -- unfinished compressed files ---------------------------------------------------------


def partial_name(name: str) -> str:
    """Return the name of a compressed file until it is finished."""
    return f".{name}{_PARTIAL}"


def list_partials(names: list[str], log_name: str) -> list[str]:
    """Return the unfinished compressed files of ``log_name`` among ``names``."""
    form = re.compile(rf"\.{re.escape(log_name)}{_ROTATED.pattern}{re.escape(_PARTIAL)}", re.ASCII)
    return [name for name in names if form.fullmatch(name)]


def base_of(name: str) -> str:
    """Return the name of the plain file of a compressed one, finished or not."""
    name = name.removeprefix(".").removesuffix(_PARTIAL)
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name


# -- hidden files of writers and shippers ------------------------------------------------


def lock_path(log: str) -> str:
    """Return the path of the lock that the writers of a log share."""
    directory, name = os.path.split(log)
    return os.path.join(directory, f".{name}.lock")


def acknowledged_path(log: str) -> str:
    """Return the path of the file with the acknowledged losses of a log."""
    directory, name = os.path.split(log)
    return os.path.join(directory, f".{name}.acknowledged")


def is_shipper_name(name: str) -> bool:
    """Return True if a shipper may have this name: up to 64 letters, digits, ``_`` and ``-``."""
    return _SHIPPER.fullmatch(name) is not None


def shipper_file(log: str, shipper: str, kind: str, directory: str | None = None) -> str:
    """Return the path of a shipper's file; it is hidden, so that no pattern for logs matches it.

    Args:
        log: the path of the log.
        shipper: the shipper's name.
        kind: ``checkpoint``, ``shipper`` (its lock) or ``dead-letter``.
        directory: the directory of the file; None for the log's. Logs of the same name from different directories
            have different files there.
    """
    folder, base = _folder_and_base(log, directory)
    return os.path.join(folder, f".{base}.{shipper}.{kind}")


def list_shippers(fs: FS, log: str, directory: str | None = None) -> list[str]:
    """Return the names of the shippers that have a checkpoint of this log. Raises OSError."""
    folder, base = _folder_and_base(log, directory)
    form = re.compile(rf"\.{re.escape(base)}\.({_SHIPPER.pattern})\.checkpoint(?:\.old)?")
    try:
        names = fs.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted({match[1] for name in names if (match := form.fullmatch(name))})


def _folder_and_base(log: str, directory: str | None) -> tuple[str, str]:
    folder, base = os.path.split(log)
    if directory is None:
        return folder, base
    return directory, f"{base}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]}"
