"""Loki's push interface, which VictoriaLogs has too.

The labels are few and have few values; ids are structured metadata. Loki leaves out an entry with the labels, time and
line of one that it still has in hand, but not of one that it has put away: what is sent again may be there twice.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from operator import attrgetter

import msgspec

from bamboo_logmetrics.ship.destinations.base import Destination
from bamboo_logmetrics.ship.entries import IDS, Entry


class _Metadata(msgspec.Struct, omit_defaults=True, gc=False):
    """The ids, as texts: Loki takes no others."""

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

# What Loki says with 400 when it refuses some lines of a batch for their age; it has taken the others. The first is
# about lines of more than a week ago, the second about those of one stream more than an hour behind its newest.
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

    kind = "loki"
    path = "/loki/api/v1/push"
    successes = frozenset({204})  # 260 is Loki's word for lines that it takes and throws away

    def body(self, entries: Sequence[Entry]) -> bytes:
        """Return the streams, one for each set of labels."""
        values = {
            labels: [(str(entry.time_ns), entry.line.decode(), _metadata(entry)) for entry in found]
            for labels, found in self._streams(entries).items()
        }
        streams = [
            {"stream": {name: text for name, text in zip(_NAMES, labels, strict=True) if text}, "values": found}
            for labels, found in values.items()
        ]
        return msgspec.json.encode({"streams": streams})

    def _streams(self, entries: Sequence[Entry]) -> dict[tuple[str, ...], list[Entry]]:
        streams: dict[tuple[str, ...], list[Entry]] = {}
        for entry in entries:
            labels = (self.labels.service_of(entry), self.labels.env_of(entry), entry.family, entry.head.level)
            streams.setdefault(labels, []).append(entry)
        return streams

    def named(self, entries: Sequence[Entry], answer: bytes) -> Sequence[Entry] | None:
        """Return the lines that Loki refuses for their age, which are the oldest; it says how many they are."""
        text = answer.decode("utf-8", "replace")
        found = list(_TOO_OLD.finditer(text))
        if found and sum(len(match[0]) for match in found) == len(text):
            how_many = sum(int(match[1] or 1) for match in found)
        elif (late := _TOO_FAR_BEHIND.fullmatch(text)) and int(late[2]) == len(entries):
            how_many = int(late[1]) if len(self._streams(entries)) == 1 else 0
        else:
            return None
        return sorted(entries, key=lambda entry: entry.time_ns)[:how_many] or None

    def split(self, entries: Sequence[Entry]) -> list[Sequence[Entry]]:
        """Return the streams, each in order: what is wrong with one, Loki says of that one."""
        return list(self._streams(entries).values()) if len(self._streams(entries)) > 1 else super().split(entries)


def _metadata(entry: Entry) -> _Metadata:
    head = entry.head
    return _Metadata(head.writer, str(head.seq), *map(_text, _ids(head)))


def _text(value: object) -> str | None:
    """Return an id as a text; an object or a list, which somebody bound under its name, is none."""
    if value is None or type(value) is str:
        return value
    return str(value) if type(value) is int else None
