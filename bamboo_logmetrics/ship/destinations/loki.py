"""Loki's push interface, which VictoriaLogs has too.

The labels are few and have few values; ids are structured metadata. Loki drops an entry with the labels, time and line
of one that it still has in memory, but not of one that it has flushed: a line that is sent again is usually stored
once, possibly twice.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from operator import attrgetter

import msgspec

from bamboo_logmetrics.ship.destinations.base import Destination
from bamboo_logmetrics.ship.destinations.ordering import requests_by_time, time_of
from bamboo_logmetrics.ship.entries import IDS, Entry


class _Metadata(msgspec.Struct, omit_defaults=True, gc=False):
    """The ids as texts, the only type that Loki takes."""

    writer: str
    seq: str
    event_id: str | None = None
    trace_id: str | None = None
    session_id: str | None = None
    round_id: str | None = None
    tool_call_id: str | None = None
    request_id: str | None = None


_ids = attrgetter(*IDS)

_NAMES = ("service_name", "env", "family", "level")

# The bodies with which Loki answers 400 when it rejects some lines of a batch for their age and takes the others: the
# first for lines older than a week, the second for lines more than an hour behind the newest of their stream.
_TOO_OLD = re.compile(
    r"(?:(\d+) errors like: )?entry for stream '[^']*' has timestamp too old: [^ ]+, "
    r"oldest acceptable timestamp is: [^ ;]+(?:; |\s*$)"
)
_TOO_FAR_BEHIND = re.compile(
    r"entry with timestamp .* ignored, reason: 'entry too far behind.*"
    r"\nuser '[^']*', total ignored: (\d+) out of (\d+) for stream: [^\n]*\s*",
    re.DOTALL,
)


class Loki(Destination):
    """``POST /loki/api/v1/push`` with JSON."""

    name = "loki"
    path = "/loki/api/v1/push"
    success_statuses = frozenset({204})  # Loki answers 260 for lines that it accepts and discards

    def requests(self, entries: Sequence[Entry]) -> list[Sequence[Entry]]:
        """Return the lines by their times, half an hour at most in each request."""
        return requests_by_time(entries)

    def encode(self, entries: Sequence[Entry]) -> bytes:
        """Return the streams, one for each set of labels, each in the order of the times."""
        values = {
            labels: [(str(entry.time_ns), entry.line.decode(), _metadata(entry)) for entry in members]
            for labels, members in self._streams(sorted(entries, key=time_of)).items()
        }
        streams = [
            {"stream": {name: text for name, text in zip(_NAMES, labels, strict=True) if text}, "values": rows}
            for labels, rows in values.items()
        ]
        return msgspec.json.encode({"streams": streams})

    def _streams(self, entries: Sequence[Entry]) -> dict[tuple[str, ...], list[Entry]]:
        streams: dict[tuple[str, ...], list[Entry]] = {}
        for entry in entries:
            labels = (self.defaults.service_of(entry), self.defaults.env_of(entry), entry.family, entry.head.level)
            streams.setdefault(labels, []).append(entry)
        return streams

    def find_rejected(self, entries: Sequence[Entry], body: bytes) -> Sequence[Entry] | None:
        """Return the oldest lines: Loki tells only how many it rejected for their age, and they are sent by time."""
        text = body.decode("utf-8", "replace")
        matches = list(_TOO_OLD.finditer(text))
        if matches and sum(len(match[0]) for match in matches) == len(text):
            number = sum(int(match[1] or 1) for match in matches)
        elif (late := _TOO_FAR_BEHIND.fullmatch(text)) and int(late[2]) == len(entries):
            number = int(late[1]) if len(self._streams(entries)) == 1 else 0
        else:
            return None
        return sorted(entries, key=time_of)[:number] or None

    def split(self, entries: Sequence[Entry]) -> list[Sequence[Entry]]:
        """Return the streams, each in order, because Loki reports errors by stream."""
        return list(self._streams(entries).values()) if len(self._streams(entries)) > 1 else super().split(entries)


def _metadata(entry: Entry) -> _Metadata:
    head = entry.head
    return _Metadata(head.writer, str(head.seq), *map(_text, _ids(head)))


def _text(value: object) -> str | None:
    """Return an id as a text, or None for an object or a list that was bound under its name."""
    if value is None or type(value) is str:
        return value
    return str(value) if type(value) is int else None
