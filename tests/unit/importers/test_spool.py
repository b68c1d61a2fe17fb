"""Events of simple importers wait in the store, each once, until they are written in order of time."""

from __future__ import annotations

from support.strategies import EXAMPLES

from bamboo_logmetrics.importers import ImportedEvent
from bamboo_logmetrics.importers.spool import add_events, take_events
from bamboo_logmetrics.importers.store import Store


def test_each_event_once_in_order():
    """An event that was put aside or written before is known; the others come in order of time, and only once."""
    store = Store()
    events = [ImportedEvent(event, {"n": number}) for number, event in enumerate(EXAMPLES[:4])]
    assert add_events(store, "x", [*reversed(events), events[0]]) == 1
    due = list(take_events(store))
    assert [one.imported for one in due] == events
    assert list(take_events(store)) == []
    for one in due[:2]:
        store.execute(*one.mark)
    assert add_events(store, "x", events) == 2
    assert add_events(store, "y", events[:1]) == 0
    store.close()
