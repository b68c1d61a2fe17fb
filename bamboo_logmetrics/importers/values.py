"""Checked values of session files: ids, names, counts and times. A value that cannot be used is None."""

from __future__ import annotations

import hashlib
import os
import re
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec

from bamboo_logmetrics.events.times import EPOCH, parse_utc

_LONGEST_LABEL = 200  # characters
_KEPT = 160  # characters of a longer id; a hash of the whole follows
_LARGEST_COUNT = 2**53  # the largest integer that every JSON reader holds exactly; real counts are far smaller
_US = timedelta(microseconds=1)
_MS_FROM = 100_000_000_000  # a larger number is no time in seconds but one in milliseconds
_USUAL = len("2026-11-22T15:47:13.417Z")
_LAST = 253_402_300_799_000_000  # microseconds: the end of the year 9999
_SEPARATOR = re.compile(r"[\\/]+")
_BRANCH = re.compile(r"[^\s~^:?*\[\\]{1,200}")
# the home directory of a user, whose name is private
_HOME = re.compile(
    r"(?:[A-Za-z]:)?[\\/]+(?:(?:home|Users|export[\\/]home)[\\/]+[^\\/]+|root)(?=[\\/]|$)", re.IGNORECASE
)
_WORKTREE = re.compile(
    r"[\\/]+\.(?:claude[\\/]+worktrees|codex[\\/]+worktrees|worktrees|git[\\/]+worktrees)(?:[\\/].*)?$"
)
_LONGEST_POINTER = 4096  # bytes of the file .git in a worktree


def label(value: Any) -> str | None:
    """Return a name. A printable text has no lone surrogates, which UTF-8 cannot hold."""
    if isinstance(value, str) and 0 < len(value) <= _LONGEST_LABEL and value.isprintable():
        return value
    return None


def identifier(value: Any) -> str | None:
    """Return an id; of a very long one its beginning and a hash, so that equal ids stay equal."""
    if not isinstance(value, str) or not value or not value.isprintable():
        return None
    if len(value) <= _LONGEST_LABEL:
        return value
    return f"{value[:_KEPT]}~{hashlib.blake2b(value.encode(), digest_size=8).hexdigest()}"


def branch(value: Any) -> str | None:
    """Return the name of a git branch; git allows no spaces in it."""
    return value if isinstance(value, str) and value.isprintable() and _BRANCH.fullmatch(value) else None


def count(value: Any) -> int | None:
    """Return a count; ``5.0`` is 5."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= _LARGEST_COUNT else None


def milliseconds(value: Any) -> int | None:
    """Return a duration in milliseconds, floored."""
    if type(value) not in {int, float} or not 0 <= value <= _LARGEST_COUNT:
        return None
    return int(value)


def moment(value: Any) -> int | None:
    """Return a time in microseconds since the epoch, from an RFC 3339 text or a number of seconds or milliseconds."""
    if isinstance(value, str):
        return _parsed(value)
    if type(value) not in {int, float} or not 0 < value <= _LAST:  # false for what is no number, too
        return None
    microseconds = int(value * (1_000 if value >= _MS_FROM else 1_000_000))
    return microseconds if microseconds <= _LAST else None


def _parsed(text: str) -> int | None:
    # such as 2026-11-22T15:47:13.417Z
    if len(text) == _USUAL and text[19] == "." and text[23] == "Z" and text[16] == ":" and text.isascii():
        seconds, thousandths = text[17:19], text[20:23]
        if seconds.isdigit() and thousandths.isdigit() and seconds < "60":
            minute = _minute(text[:16])
            return None if minute is None else minute + 1_000_000 * int(seconds) + 1000 * int(thousandths)
    return _parsed_slowly(text)


@lru_cache(maxsize=256)
def _minute(text: str) -> int | None:
    """Return the microseconds at the begin of a minute; the same minute comes again and again."""
    return _parsed_slowly(f"{text}:00Z")


def _parsed_slowly(text: str) -> int | None:
    try:
        time = msgspec.convert(text, datetime)
        if time.tzinfo is None:
            return None
    except msgspec.ValidationError:
        try:
            time = parse_utc(text)
        except ValueError:
            return None
    return (time - EPOCH) // _US


def datetime_of(microseconds: int) -> datetime:
    """Return a time in microseconds since the epoch as a datetime in UTC."""
    return EPOCH + microseconds * _US


@lru_cache(maxsize=1024)
def project(cwd: Any) -> str | None:
    """Return the stable name of a project: its whole directory, below the home directory without that.

    All worktrees of one repository have the name of the repository, as far as the path or the disk shows it.
    """
    if not isinstance(cwd, str):
        return None
    path = _WORKTREE.sub("", _repository(cwd) or cwd)
    parts = [part for part in _SEPARATOR.split(_HOME.sub("", path, count=1)) if part]
    return identifier("/".join(parts)) if parts else None


def _repository(cwd: str) -> str | None:
    """Return the repository of which ``cwd`` is a worktree; None if it is not, or is not on this disk."""
    try:
        with open(os.path.join(cwd, ".git"), encoding="utf-8") as file:
            pointer = file.read(_LONGEST_POINTER)
    except (OSError, ValueError):
        return None
    directory = pointer.removeprefix("gitdir:").strip()
    repository, separator, _ = directory.rpartition(f"{os.sep}.git{os.sep}worktrees{os.sep}")
    return repository if separator else None
