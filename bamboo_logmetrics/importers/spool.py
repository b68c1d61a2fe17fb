"""Events of simple importers, which tell no facts: each once over files and runs, and in order of time."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bamboo_logmetrics.events.times import EPOCH
from bamboo_logmetrics.importers.base import ImportedEvent, Importer, ImportReport
from bamboo_logmetrics.importers.catalog import Catalog
from bamboo_logmetrics.importers.sources import FileState
from bamboo_logmetrics.importers.store import Store, key_of
from bamboo_logmetrics.importers.timeline import Due


def add_files(
    catalog: Catalog, importer: Importer, files: Sequence[tuple[Path, FileState | None]], report: ImportReport
) -> None:
    """Read files and put their events aside; they count as read when the events are written."""
    unread = report.unread_files
    events = importer.read([path for path, _ in files], report)
    catalog.tally.known += add_events(catalog.store, importer.name, events, unique_ids=importer.unique_ids)
    if importer.independent and report.unread_files == unread:
        catalog.tally.read += [(path, state) for path, state in files if state is not None]


def add_events(store: Store, name: str, events: Iterable[ImportedEvent], *, unique_ids: bool = False) -> int:
    """Put the events of an importer aside, but for those that are known; return how many are.

    Events are one event when their ids, times and kinds are equal; with ``unique_ids`` when their ids are.
    """
    known = 0
    for event, bound in events:
        at = event.meta.occurred_at
        event_id = event.meta.event_id
        key = unique_key(event_id) if unique_ids else key_of(name, "event", event_id, at, event.kind)
        row = ((at - EPOCH).total_seconds(), key, pickle.dumps((event, dict(bound))))
        if (
            store.item_of(key) is not None
            or not store.execute("INSERT OR IGNORE INTO spool (at, key, data) VALUES (?, ?, ?)", row).rowcount
        ):
            known += 1
    return known


def unique_key(event_id: str) -> int:
    """Return the number that stands for an event in a store, if its id tells it from all others."""
    return key_of("unique event", event_id)


def take_events(store: Store) -> Iterator[Due]:
    """Yield the events in order of time, and forget them."""
    for key, data in store.execute("SELECT key, data FROM spool ORDER BY at, number"):
        imported = ImportedEvent(*pickle.loads(data))  # noqa: S301 - made above, in a private file
        yield Due(imported, ("INSERT OR IGNORE INTO key VALUES (?, 0)", (key,)))
    store.execute("DELETE FROM spool")
