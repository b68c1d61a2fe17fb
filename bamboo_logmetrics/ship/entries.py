"""A line on its way: its bytes, and the little of it that every destination has to know."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, NamedTuple

import msgspec

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.events.times import EPOCH, parse_utc
from bamboo_logmetrics.format.fields import VERSION
from bamboo_logmetrics.format.header import LineHeader, is_newer, is_writer_id
from bamboo_logmetrics.format.layouts import flat_of

_SECOND = len("2026-11-22T15:47:13")
_DIGITS = 6  # after the point, as every line of ours has them

IDS = ("event_id", "trace_id", "session_id", "round_id", "tool_call_id", "request_id")


class EntryHeader(LineHeader, kw_only=True, gc=False):
    """The keys that destinations need of every line."""

    timestamp: str
    level: str
    seq: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    service_name: Any = None
    env: Any = None
    event_id: Any = None
    trace_id: Any = None
    session_id: Any = None
    round_id: Any = None
    tool_call_id: Any = None
    request_id: Any = None


class Entry(NamedTuple):
    """One line to be delivered.

    Args:
        line: its bytes, without the newline.
        head: what is known of it.
        native: True where the line is in the native layout.
        time_ns: the entry's time, in nanoseconds since the epoch.
    """

    line: bytes
    head: EntryHeader
    native: bool
    time_ns: int

    @property
    def id(self) -> str:
        """What identifies the line for ever."""
        return f"{self.head.writer}-{self.head.seq}"

    @property
    def family(self) -> str:
        """``chat``, ``forward`` or ``system``, or ``plain``."""
        return "plain" if self.head.plain is True else self.head.event.partition(".")[0]

    def flat(self) -> dict[str, Any]:
        """Return the line's flat record."""
        found: dict[str, Any] = msgspec.json.decode(self.line)
        return found if self.native else flat_of(found)


class InvalidLine(NamedTuple):
    """What cannot be delivered, and why: it is no line of a log, or not one that a server's form can hold."""

    line: bytes
    reason: str


_decode_head = msgspec.json.Decoder(EntryHeader).decode


def entry_of(line: bytes) -> Entry:
    """Return a line of any layout as an entry.

    Raises ValueError for what is not a line of a writer of ours, and ConfigError for one of a newer version.
    """
    try:
        head, native = _head_of(line)
    except RecursionError as error:
        raise ValueError(str(error)) from None
    if not is_writer_id(head.writer):
        msg = "it has no writer of ours"
        raise ValueError(msg)
    if not line.isascii():
        line.decode()  # msgspec does not look at the UTF-8 of what it skips
    return Entry(line, head, native, time_ns(head.timestamp))


def _head_of(line: bytes) -> tuple[EntryHeader, bool]:
    try:
        return _decode_head(line), True
    except msgspec.ValidationError:  # JSON of another form
        flat = flat_of(msgspec.json.decode(line))
        _check_version(flat)
        return msgspec.convert(flat, EntryHeader), False


def _check_version(flat: dict[str, Any]) -> None:
    version, writer = flat["v"], flat.get("writer")
    if is_newer(version) and isinstance(writer, str) and is_writer_id(writer):
        msg = f"a line of version {version}; this package reads version {VERSION}: update it, and ship again"
        raise ConfigError(msg)


def time_ns(timestamp: str) -> int:
    """Return a timestamp in nanoseconds since the epoch. Raises ValueError for what is none."""
    second, digits = timestamp[:_SECOND], timestamp[_SECOND + 1 : -1]
    if len(digits) == _DIGITS and digits.isdecimal() and digits.isascii() and timestamp[-1] == "Z":
        return _second_ns(second + timestamp[_SECOND]) + int(digits) * 1000
    return _parsed_ns(timestamp)


@lru_cache(maxsize=64)
def _second_ns(text: str) -> int:
    return _parsed_ns(f"{text}0Z")  # the same second comes again and again


def _parsed_ns(timestamp: str) -> int:
    passed = parse_utc(timestamp) - EPOCH
    return ((passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds) * 1000
