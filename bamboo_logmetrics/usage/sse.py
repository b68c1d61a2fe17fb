"""Server-sent events from bytes that are cut anywhere, in bounded memory."""

from __future__ import annotations

import msgspec

from bamboo_logmetrics.usage.oversize import Oversize

LONGEST_LINE = 4 * 2**20  # bytes; a longer line is passed over without being kept
_LONGEST_NAME = 200  # bytes of the field with the name of an event
_SHORT = 64  # bytes; a last line without a line end is looked at for the end mark

_DATA = b"data:"

_SKIM = msgspec.json.Decoder(msgspec.Raw).decode  # checks the form of a JSON text and builds nothing

Event = tuple[str, bytes]  # name and data


class EventSplitter:
    """Splits a stream into events. Lines end with CR, LF or both.

    A line of data that is a whole JSON text is an event at once, since some providers end without an empty line.
    """

    __slots__ = ("_data", "_event", "_is_after_cr", "_line", "_oversize", "limit")

    def __init__(self, limit: int = LONGEST_LINE) -> None:
        self.limit = limit
        self._line = bytearray()  # that has not ended
        self._data = bytearray()  # of the event that has not ended: lines, each behind a newline
        self._oversize: Oversize | None = None  # within a line that is too long
        self._is_after_cr = False
        self._event = ""

    @property
    def kept(self) -> int:
        """The number of bytes that are held."""
        return len(self._line) + len(self._data) + (0 if self._oversize is None else self._oversize.kept)

    def split(self, chunk: bytes) -> list[Event]:
        """Return the events that end within the chunk."""
        if self._is_after_cr and chunk[:1] == b"\n":
            chunk = chunk[1:]
        if not chunk:
            return []
        self._is_after_cr = chunk[-1:] == b"\r"
        lines = chunk.splitlines()
        tail = b"" if chunk[-1:] in {b"\n", b"\r"} else lines.pop()
        events: list[Event] = []
        for line in lines:
            self._end_line(line, events)
        if tail:
            self._keep(tail)
        return events

    def last(self) -> Event | None:
        """Return the event in the line that has not ended, if it is whole already."""
        if not self._line or self._data:
            return None
        line = bytes(self._line)
        data = _data_of(line) if line.startswith(_DATA) else b""
        return (self._event, data) if is_whole(data) else None

    def is_short(self) -> bool:
        """Return whether the line that has not ended may be an end mark."""
        return 0 < len(self._line) <= _SHORT

    def _keep(self, piece: bytes) -> None:
        """Keep a piece of a line; where the line is too long, only its beginning and its end."""
        if self._oversize is not None:
            self._oversize.add(piece)
        elif self.kept + len(piece) > self.limit:
            self._oversize = Oversize(bytes(self._line) + piece)
            self._line, self._data = bytearray(), bytearray()
        else:
            self._line += piece

    def _end_line(self, line: bytes, events: list[Event]) -> None:
        if self._line or self._oversize is not None or len(line) > self.limit:
            self._keep(line)
            line = bytes(self._line)
            self._line = bytearray()
        if self._oversize is None:
            self._read_line(line, events)
            return
        essence = self._oversize.essence()
        self._oversize = None
        if essence is not None:
            events.append((self._event, essence))

    def _read_line(self, line: bytes, events: list[Event]) -> None:
        if not line:
            self._end_event(events)
        elif line.startswith(_DATA):
            data = _data_of(line)
            if not self._data and is_whole(data):
                events.append((self._event, data))
            elif self.kept + len(data) < self.limit:
                self._data += b"\n"
                self._data += data
        elif line.startswith(b"event:"):
            self._event = line[6:_LONGEST_NAME].strip().decode("utf-8", "replace")

    def _end_event(self, events: list[Event]) -> None:
        if self._data:
            events.append((self._event, bytes(self._data[1:])))
            self._data = bytearray()
        self._event = ""


def _data_of(line: bytes) -> bytes:
    return line[6:] if line[5:6] == b" " else line[5:]


def is_whole(data: bytes) -> bool:
    """Return whether data is a whole JSON object or an end mark. A part of an object may end with a brace too."""
    if data[:1] != b"{":
        return data.strip() == b"[DONE]"
    if data.rstrip()[-1:] != b"}":
        return False
    try:
        _SKIM(data)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
