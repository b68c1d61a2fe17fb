"""A line to be delivered: its bytes, and the values that destinations need."""

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
_DIGITS = 6  # after the point, in every line of this package

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
        head: its decoded keys.
        native: True if it is in the native layout.
        time_ns: its time, in nanoseconds since the epoch.
    """

    line: bytes
    head: EntryHeader
    native: bool
    time_ns: int

    @property
    def id(self) -> str:
        """The line's id, unique among all logs."""
        return f"{self.head.writer}-{self.head.seq}"

    @property
    def family(self) -> str:
        """``chat``, ``forward`` or ``system``, or ``plain``."""
        return "plain" if self.head.plain is True else self.head.event.partition(".")[0]

    def flat(self) -> dict[str, Any]:
        """Return the line's flat record."""
        decoded: dict[str, Any] = msgspec.json.decode(self.line)
        return decoded if self.native else flat_of(decoded)


class InvalidLine(NamedTuple):
    """A line that cannot be delivered, with the reason: of another program, damaged, or impossible to encode."""

    line: bytes
    reason: str


_decode_head = msgspec.json.Decoder(EntryHeader).decode


def entry_of(line: bytes) -> Entry:
    """Return a line of any layout as an entry.

    Raises ValueError for a line of another program, whatever error its decoding has, and ConfigError for a line of a
    newer version.
    """
    try:
        head, native = _decode(line)
        if not line.isascii():
            line.decode()  # msgspec does not check the UTF-8 of values that it skips
        time = time_ns(head.timestamp)
    except ValueError:
        raise
    except Exception as error:  # noqa: BLE001 - such as RecursionError; one line must not stop those after it
        msg = f"{type(error).__name__}: {error}"
        raise ValueError(msg) from None
    if not is_writer_id(head.writer):
        msg = "it has no writer's id"
        raise ValueError(msg)
    return Entry(line, head, native, time)


def _decode(line: bytes) -> tuple[EntryHeader, bool]:
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
    """Return a timestamp in nanoseconds since the epoch. Raises ValueError."""
    second, digits = timestamp[:_SECOND], timestamp[_SECOND + 1 : -1]
    if len(digits) == _DIGITS and digits.isdecimal() and digits.isascii() and timestamp[-1] == "Z":
        return _second_ns(second + timestamp[_SECOND]) + int(digits) * 1000
    return _parsed_ns(timestamp)


@lru_cache(maxsize=64)
def _second_ns(text: str) -> int:
    return _parsed_ns(f"{text}0Z")  # many lines share a second


def _parsed_ns(timestamp: str) -> int:
    passed = parse_utc(timestamp) - EPOCH
    return ((passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds) * 1000
