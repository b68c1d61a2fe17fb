"""The items of a store that one file adds or changes: they are read once, and written together.

An item is a call, a tool call, a result without its use, a prompt, a failed request or a note.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from bamboo_logmetrics.importers.facts import CallFact, PointFact, ToolFact
from bamboo_logmetrics.importers.store import Store

WAITING, WRITTEN = 0, 1
FOREVER = 2**62  # the hold of a tool without a result

_PACK = msgspec.msgpack.Encoder()
_DECODERS: dict[str, Any] = {
    "call": msgspec.msgpack.Decoder(CallFact),
    "tool": msgspec.msgpack.Decoder(ToolFact),
    "result": msgspec.msgpack.Decoder(ToolFact),
    "prompt": msgspec.msgpack.Decoder(PointFact),
    "request": msgspec.msgpack.Decoder(PointFact),
    "note": msgspec.msgpack.Decoder(PointFact),
}


@dataclass(slots=True, eq=False)
class Item:
    """One item.

    Args:
        number: its number.
        kind: ``call``, ``tool``, ``result``, ``prompt``, ``request`` or ``note``.
        session: the number of the session that has it.
        at, until: the times of its first and of its last event.
        fact: the fact, of the class that belongs to the kind.
        state: WAITING or WRITTEN.
        hold: the time of the last change while it may still grow; 0 if it cannot.
        name: of a call the id of its round, of a tool call a mark that tells it from others with its id.
        call: of a tool call the number of its call.
    """

    number: int
    kind: str
    session: int
    at: int
    until: int
    fact: Any
    state: int = WAITING
    hold: int = 0
    name: str | None = None
    call: int | None = None


class Items:
    """The items that were read, added or changed since the last flush.

    Args:
        store: the store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[int, Item] = {}
        self._added: list[Item] = []
        self._changed: dict[int, Item] = {}

    def get(self, number: int) -> Item:
        """Return an item."""
        item = self._known.get(number)
        if item is None:
            *values, data = self._store.execute(
                "SELECT state, hold, round_id, call, kind, session, at, until, data FROM item WHERE id = ?", (number,)
            ).fetchone()
            state, hold, name, call, kind, session, at, until = values
            item = Item(number, kind, session, at, until, decode(kind, data), state, hold, name, call)
            self._known[number] = item
        return item

    def add(self, item: Item) -> None:
        """Add an item; its number is new."""
        self._known[item.number] = item
        self._added.append(item)

    def change(self, item: Item) -> None:
        """Note that an item was changed."""
        self._changed[item.number] = item

    def tools_of(self, call: int) -> list[Item]:
        """Return the tool calls of a call."""
        rows = self._store.execute("SELECT id FROM item WHERE call = ? AND kind = 'tool'", (call,))
        numbers = {number for (number,) in rows} | {one.number for one in self._added if one.call == call}
        return [item for item in map(self.get, sorted(numbers)) if item.call == call]

    def remove(self, item: Item) -> None:
        """Remove an item."""
        self._added = [one for one in self._added if one is not item]
        self._changed.pop(item.number, None)
        self._known.pop(item.number, None)
        self._store.execute("DELETE FROM item WHERE id = ?", (item.number,))

    def flush(self) -> None:
        """Write everything to the store."""
        self._store.executemany(
            "INSERT INTO item VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (one.number, one.kind, one.session, one.at, one.until, one.state, one.hold, one.name, one.call,
                 _PACK.encode(one.fact))
                for one in self._added
            ],
        )  # fmt: skip
        for one in self._added:
            self._changed.pop(one.number, None)
        self._store.executemany(
            "UPDATE item SET session = ?, round_id = ?, call = ?, at = ?, until = ?, hold = ?, data = ? WHERE id = ?",
            [
                (one.session, one.name, one.call, one.at, one.until, one.hold, _PACK.encode(one.fact), one.number)
                for one in self._changed.values()
            ],
        )
        for known in (self._known, self._added, self._changed):
            known.clear()


def decode(kind: str, data: bytes) -> Any:
    """Return the fact of an item of a kind."""
    return _DECODERS[kind].decode(data)
