"""Events in tagged JSON, one a line: what the Rust system writes, and ``bamboo-logmetrics export``.

Each event keeps its id and its time. System events have neither: they stand at the time of the event before them, and
are known again by its id.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from bamboo_logmetrics.errors import DecodeError
from bamboo_logmetrics.events import ChatEvent, EventMeta, ForwardEvent, MetricsEvent, UnknownEvent
from bamboo_logmetrics.events.tagged_lines import from_line
from bamboo_logmetrics.events.times import from_ns, parse_utc
from bamboo_logmetrics.importers.base import ImportedEvent, Importer, ImportReport, Placed, read_each
from bamboo_logmetrics.importers.sources import lines_of, with_compressed

_FIRST_LINES = 5
_MOST_NAME = 64  # characters of a family and of a kind
_CAMEL = re.compile(r"[A-Z][A-Za-z0-9]*", re.ASCII)
_SNAKE = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*", re.ASCII)
_WITH_META = frozenset({ChatEvent._family, ForwardEvent._family})


class Fields(msgspec.Struct):
    """The fields of an event of an unknown kind that are read."""

    meta: Any = None


class Bamboo(Importer):
    """Events in tagged JSON."""

    name = "bamboo"
    help = (
        "Import events in tagged JSON, one a line, as the Rust system and `bamboo-logmetrics export` write them: each "
        "with its own id and time."
    )
    patterns = with_compressed(("*.jsonl",))
    usual_path = "events.jsonl"
    independent = True

    def recognises(self, path: Path) -> bool:
        """Return True if one of the first lines of a file is an event in tagged form."""
        try:
            return any(_is_tagged(raw) for _, raw in islice(lines_of(path, ImportReport()), _FIRST_LINES))
        except OSError:
            return True  # it is reported when it is read

    def read(self, files: Sequence[Path], report: ImportReport) -> Iterator[ImportedEvent]:
        """Yield the events of each file."""
        return read_each(files, report, self._read_file)

    def _read_file(self, path: Path, report: ImportReport) -> Iterator[ImportedEvent]:
        before: EventMeta | None = None
        waiting: list[MetricsEvent] = []  # without a meta, at the beginning of the file
        number = 0
        for event in _events(path, report):
            meta = _meta_of(event)
            if meta is not None:
                yield from self._placed(waiting, f"before {meta.event_id}", meta.occurred_at)
                waiting.clear()
                before, number = meta, 0
                whole = event if isinstance(event, (ChatEvent, ForwardEvent)) else Placed(event, meta)
                yield ImportedEvent(whole, {"importer": self.name})
            elif before is None:
                waiting.append(event)
            else:
                number += 1
                yield from self._placed([event], f"{number} behind {before.event_id}", before.occurred_at)
        modified = from_ns(path.stat().st_mtime_ns)
        yield from self._placed(waiting, f"in {path.name}", modified)

    def _placed(self, events: list[MetricsEvent], place: str, at: datetime) -> Iterator[ImportedEvent]:
        """Yield events without a meta, with a time and an id by their place in the file."""
        for number, event in enumerate(events):
            meta = EventMeta(event_id=f"{number}:{place}", occurred_at=at)
            bound = {"importer": self.name, "time_source": "missing", "import_id": meta.event_id}
            yield ImportedEvent(Placed(event, meta), bound)


def _events(path: Path, report: ImportReport) -> Iterator[MetricsEvent]:
    """Yield the events of a file, and report each line that is none."""
    for number, raw in lines_of(path, report):
        if not raw.strip():
            continue
        try:
            yield _event_of(raw)
        except (DecodeError, UnicodeDecodeError):
            report.problem(path, "not an event in tagged form", number)


def _is_tagged(raw: bytes) -> bool:
    try:
        _event_of(raw)
    except (DecodeError, UnicodeDecodeError):
        return False
    return True


def _event_of(raw: bytes) -> MetricsEvent:
    """Return the event of a line. Raises DecodeError for any other JSON, which may be a prompt or whatever else."""
    event = from_line(raw)
    if isinstance(event, UnknownEvent) and not _is_plausible(event):
        msg = "not an event in tagged form"
        raise DecodeError(msg)
    return event


def _is_plausible(event: UnknownEvent) -> bool:
    """Return True if an event of an unknown kind has the form that events have.

    Without a meta, which events of other families than Chat and Forward may lack, both names must be in CamelCase, as
    the Rust system and the export write them: ``{"prompt": "hello"}`` is no event.
    """
    names = (event.family, event.variant)
    if any(len(name) > _MOST_NAME for name in names):
        return False
    if _meta_of(event) is not None:
        return all(_CAMEL.fullmatch(name) or _SNAKE.fullmatch(name) for name in names)
    is_bare = event.payload in {None, "null"}
    return (
        event.family not in _WITH_META
        and all(_CAMEL.fullmatch(name) for name in names)
        and (is_bare or str(event.payload).startswith("{"))
    )


def _meta_of(event: MetricsEvent) -> EventMeta | None:
    """Return the id and the time of an event, also of one of an unknown kind; None if it has none."""
    if isinstance(event, (ChatEvent, ForwardEvent)):
        return event.meta
    if not isinstance(event, UnknownEvent):
        return None
    try:
        meta = msgspec.json.decode(event.payload or "", type=Fields).meta
        return EventMeta(event_id=meta["event_id"], occurred_at=parse_utc(meta["occurred_at"]))
    except (TypeError, KeyError, ValueError, RecursionError):
        return None


BAMBOO = Bamboo()
