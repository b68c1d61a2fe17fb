"""Counts each call, tool call, prompt and failure once, however many files and sessions show it.

:mod:`~bamboo_logmetrics.importers.identity` tells which facts are one call, and
:mod:`~bamboo_logmetrics.importers.owners` which session keeps it.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from bamboo_logmetrics.importers.facts import (
    CallFact,
    FileFacts,
    PointFact,
    Quality,
    SessionFact,
    ToolFact,
)
from bamboo_logmetrics.importers.identity import Identity
from bamboo_logmetrics.importers.items import FOREVER, WAITING, WRITTEN, Item, Items
from bamboo_logmetrics.importers.sources import FileState
from bamboo_logmetrics.importers.store import Store, key_of

_PACK = msgspec.msgpack.Encoder()
_SESSION = msgspec.msgpack.Decoder(SessionFact)
_CACHED = 10_000  # numbers of sessions
_AT_ONCE = 1000  # calls


class Tally:
    """Counts of one run for the summary.

    Attributes:
        repeated: calls that were seen in another place too, and counted once.
        known: events that were in the log already.
        read: files that count as read when everything is written.
        differing: of calls already written whose numbers differ by now, by how many tokens, by their item.
    """

    def __init__(self) -> None:
        self.repeated = self.known = 0
        self.read: list[tuple[Path, FileState]] = []
        self.differing: dict[int, int] = {}


class Catalog:
    """Merges the facts of all files in a store.

    Args:
        store: the store, of this importer only as far as its ids begin with its name.
        name: the name of the importer.
        tally: counts what the summary says.
        agent: the name of the tool, bound as ``agent``; by default that of the importer.
    """

    def __init__(self, store: Store, name: str, tally: Tally, agent: str = "") -> None:
        self.store = store
        self.name = name
        self.agent = agent or name
        self.tally = tally
        self._prefix = f"{name}\0"
        self._items = Items(store)
        self._identity = Identity(store, self._items, name)
        self._sessions: dict[str, int] = {}

    def of_source(self, name: str, agent: str) -> Catalog:
        """Return a catalog in the same store for the facts of another importer."""
        return Catalog(self.store, name, self.tally, agent)

    def _key(self, kind: str, *parts: object) -> int:
        text = parts[0] if len(parts) == 1 else "\0".join(map(str, parts))
        return key_of(f"{self._prefix}{kind}\0{text}")

    def add(self, path: Path, state: FileState, facts: FileFacts) -> None:
        """Take the facts of a file; its calls are taken out of them."""
        file, changed = self.store.file_id(path), state.mtime_ns // 1000
        for session in facts.sessions:
            self._add_session(session, changed)
        while facts.calls:  # what is stored is given up
            self._add_calls(facts.calls[:_AT_ONCE], file, changed)
            del facts.calls[:_AT_ONCE]
        self.store.expect([self._key(point.kind, point.id) for point in facts.points])
        for tool in facts.results:
            self._add_result(tool)
        for point in facts.points:
            self._add_point(point)
        self._flush()
        self.store.file_read(path, state)

    def _add_calls(self, calls: list[CallFact], file: int, changed: int) -> None:
        keys = [self._key("round", _round_id(call)) for call in calls]
        expected = [*keys]
        for call in calls:
            expected += self._identity.expected(call)
            expected += [self._key("tool id", tool.id) for tool in call.tools]
        self.store.expect(expected)
        for call, key in zip(calls, keys, strict=True):
            self._add_call(call, key, file, changed)
        self._flush()

    def _flush(self) -> None:
        self._items.flush()
        self.store.flush()

    # -- sessions -----------------------------------------------------------------------------

    def session_id(self, name: str) -> int:
        """Return the number of a session."""
        number = self._sessions.get(name)
        if number is None:
            row = self.store.execute("SELECT id FROM session WHERE name = ?", (name,)).fetchone()
            if row is None:
                cursor = self.store.execute("INSERT INTO session (name, hold) VALUES (?, 0)", (name,))
                number = int(cursor.lastrowid or 0)
            else:
                number = int(row[0])
            if len(self._sessions) > _CACHED:
                self._sessions.clear()
            self._sessions[name] = number
        return number

    def _add_session(self, fact: SessionFact, changed: int) -> None:
        number = self.session_id(fact.id)
        fact.bound = {"importer": self.name, "agent": self.agent, **fact.bound}
        known = self.find_session(number)
        merged = fact if known is None else _merged_session(known, fact)
        if known is not None and _PACK.encode(merged) == _PACK.encode(known):
            self.store.execute("UPDATE session SET hold = max(hold, ?) WHERE id = ?", (changed, number))
            return
        self.store.execute(
            "UPDATE session SET hold = max(hold, ?), changed = 1, data = ? WHERE id = ?",
            (0 if fact.implied else changed, _PACK.encode(merged), number),
        )

    def session(self, number: int) -> SessionFact:
        """Return the merged fact of a session that a file shows."""
        row = self.store.execute("SELECT data FROM session WHERE id = ?", (number,)).fetchone()
        return _SESSION.decode(row[0])

    def find_session(self, number: int) -> SessionFact | None:
        """Return the merged fact of a session, or None if no file shows it."""
        row = self.store.execute("SELECT data FROM session WHERE id = ?", (number,)).fetchone()
        return _SESSION.decode(row[0]) if row and row[0] is not None else None

    # -- calls --------------------------------------------------------------------------------

    def _add_call(self, call: CallFact, key: int, file: int, changed: int) -> None:
        call.holds = {} if call.followed else {file: changed}
        call.files = [file]
        tools, call.tools = call.tools, []
        call.used_tools = bool(tools)
        named = self.store.item_of(key)
        numbers = self._identity.find(call, named)
        session = self.session_id(call.session)
        if numbers:
            number = self._joined(numbers)
            self._merge_call(number, call, file, session)
            if named is None and not call.described and self.store.add_key(key, number):
                self._rename(number, _round_id(call))  # only a result described it until now
        else:
            number = self._new_call(call, session, key)
        self._identity.note(call, number, named)
        for tool in tools:
            self._add_tool(tool, number, session)

    def _new_call(self, call: CallFact, session: int, key: int) -> int:
        number = self.store.new_item()
        name = round_id = _round_id(call)
        mark: tuple[object, ...] = (call.session, _own_mark(call))
        while not self.store.add_key(key, number):  # a gateway gives all answers one id, or the same ids again
            round_id = f"{name}:{key_of(self.name, *mark) & 0xFFFF_FFFF_FFFF:012x}"
            mark = (*mark, *call.lines[:1], call.first)
            key = self._key("round", round_id)
        hold = max(call.holds.values(), default=0)
        self._items.add(Item(number, "call", session, _start(call), call.last, call, hold=hold, name=round_id))
        return number

    def _merge_call(self, number: int, call: CallFact, file: int, session: int) -> None:
        item = self._items.get(number)
        known: CallFact = item.fact
        new_place = file not in known.files
        if item.session != session:
            new_place |= self._show(number, item.session, session)
        self.tally.repeated += new_place
        self._take(item, _merged_call(known, call, file))

    def _rename(self, number: int, round_id: str) -> None:
        item = self._items.get(number)
        if item.state == WAITING:
            item.name = round_id

    def _take(self, item: Item, merged: CallFact) -> None:
        """Take another form of a call, if it is not written yet."""
        known: CallFact = item.fact
        if item.state == WRITTEN:
            self._compare(item.number, known, merged)
            ids = {name: getattr(merged, name) for name in ("files", "request_ids", "lines", "parents", "times")}
            merged = msgspec.structs.replace(known, **ids)
        item.fact, item.at, item.until = merged, _start(merged), merged.last
        item.hold = max(merged.holds.values(), default=0)
        self._items.change(item)

    def _joined(self, numbers: list[int]) -> int:
        """Make one call of items that turn out to be one, as far as they are not written, and return its number."""
        first, *others = sorted((self._items.get(number) for number in numbers), key=lambda item: -item.state)
        for other in others:
            if other.state == WAITING:
                self._join(other, first)
        return first.number

    def _join(self, item: Item, to: Item) -> None:
        for tool in self._items.tools_of(item.number):
            tool.call, tool.session = to.number, to.session
            self._items.change(tool)
            self.store.move_key(self._key("tool", to.number, tool.fact.id), tool.number)
        shown = [row[0] for row in self.store.execute("SELECT session FROM shown WHERE item = ?", (item.number,))]
        for session in {item.session, *shown} - {to.session}:
            self._show(to.number, to.session, session)
        self.store.execute("DELETE FROM shown WHERE item = ?", (item.number,))
        self._identity.move(item.fact, item.number, to.number)
        self.store.move_key(self._key("round", item.name or ""), to.number)
        self._take(to, _merged_call(to.fact, item.fact, -1))
        self._items.remove(item)

    def _show(self, item: int, owner: int, session: int) -> bool:
        """Note that another session shows an item too; return True if that is new."""
        self.store.execute("INSERT OR IGNORE INTO shown VALUES (?, ?)", (item, owner))
        return self.store.execute("INSERT OR IGNORE INTO shown VALUES (?, ?)", (item, session)).rowcount == 1

    def _compare(self, number: int, written: CallFact, merged: CallFact) -> None:
        """Count a call whose later form has other numbers than those that were written, once in a run."""
        before = written.usage.prompt + written.usage.completion if written.usage else 0
        now = merged.usage.prompt + merged.usage.completion if merged.usage else 0
        if before != now:
            self.tally.differing[number] = max(abs(now - before), self.tally.differing.get(number, 0))

    # -- tools --------------------------------------------------------------------------------

    def _add_tool(self, tool: ToolFact, call: int, session: int) -> None:
        key = self._key("tool id", tool.id)
        own_key = None
        named = self.store.item_of(key)
        if named is not None:
            own_key = self._key("tool", call, tool.id)
            number = named if self._items.get(named).call == call else self.store.item_of(own_key)
        else:
            number = None
        if tool.ended is None:
            orphan = self.store.item_of(self._key("result", tool.id))
            if orphan is not None:
                _take_result(tool, self._items.get(orphan).fact)
        if number is not None:
            self._complete_tool(number, tool)
            return
        number = self.store.new_item()
        mark = None
        if own_key is None:
            self.store.add_key(key, number)
        else:  # a gateway counts them from 0 in each answer
            self.store.add_key(own_key, number)
            mark = f"{own_key & 0xFFFF_FFFF_FFFF:012x}"
        until, hold = (tool.at, FOREVER) if tool.ended is None else (tool.ended, 0)
        self._items.add(Item(number, "tool", session, tool.at, until, tool, hold=hold, name=mark, call=call))
        if tool.ended is None:
            self.store.move_key(self._key("use", tool.id), number)

    def _complete_tool(self, number: int, tool: ToolFact) -> None:
        item = self._items.get(number)
        if item.fact.ended is None and tool.ended is not None:
            _take_result(item.fact, tool)
            item.hold, item.until = 0, tool.ended
            self._items.change(item)

    def _add_result(self, tool: ToolFact) -> None:
        """Take a result whose use stands in another file."""
        use = self.store.item_of(self._key("use", tool.id))
        if use is not None:
            self._complete_tool(use, tool)
            return
        key = self._key("result", tool.id)
        if self.store.item_of(key) is None:
            number = self.store.new_item()
            self._items.add(Item(number, "result", 0, tool.at, tool.at, tool, WRITTEN))
            self.store.add_key(key, number)

    # -- prompts, failed requests, notes ------------------------------------------------------

    def _add_point(self, point: PointFact) -> None:
        key = self._key(point.kind, point.id)
        session = self.session_id(point.session)
        known = self.store.item_of(key)
        if known is None:
            number = self.store.new_item()
            state = WRITTEN if point.kind == "prompt" else WAITING
            self._items.add(Item(number, point.kind, session, point.at, point.at, point, state))
            self.store.add_key(key, number)
            return
        owner = self._items.get(known).session
        if owner != session:
            self._show(known, owner, session)


def _round_id(call: CallFact) -> str:
    """Return the id of a round, if no other call has it."""
    return call.message_id or f"{call.session}:{_own_mark(call)}"


def _own_mark(call: CallFact) -> str:
    """Return the mark that tells a call from others with the same message id."""
    return (call.request_ids or call.lines or [str(call.first)])[0]


def _start(call: CallFact) -> int:
    return call.first if call.start is None else call.start


def _merged_call(known: CallFact, call: CallFact, file: int) -> CallFact:
    """Return a call as two facts show it; the final form of its usage wins over a partial one."""
    if known.described != call.described:
        real = call if known.described else known
        real.files = list(dict.fromkeys((*known.files, *call.files)))
        return real
    better = call if _rank(call) >= _rank(known) else known
    other = known if better is call else call
    cut = better if better.quality == Quality.FINAL or better.status != "success" else other
    holds = {other_file: changed for other_file, changed in known.holds.items() if other_file != file}
    starts = [start for start in (known.start, call.start) if start is not None]
    return msgspec.structs.replace(
        better,
        request_ids=list(dict.fromkeys((*known.request_ids, *call.request_ids))),
        lines=list(dict.fromkeys((*known.lines, *call.lines))),
        parents=list(dict.fromkeys((*known.parents, *call.parents))),
        times=list(dict.fromkeys((*known.times, *call.times))),
        first=min(known.first, call.first),
        last=max(known.last, call.last),
        start=min(starts, default=None),
        bound={**other.bound, **better.bound},
        parts=better.parts or other.parts,
        origin=known.origin or call.origin,
        agent=known.agent or call.agent,
        used_tools=known.used_tools or call.used_tools,
        status=cut.status,
        error=cut.error,
        files=list(dict.fromkeys((*known.files, *call.files))),
        holds=holds | call.holds,
        begins=known.begins or call.begins,
    )


def _rank(call: CallFact) -> tuple[int, int, int]:
    return call.quality, call.usage.completion if call.usage else 0, call.last


def _take_result(tool: ToolFact, result: ToolFact) -> None:
    tool.ended, tool.failed, tool.bound = result.ended, result.failed, {**tool.bound, **result.bound}


def _merged_session(known: SessionFact, fact: SessionFact) -> SessionFact:
    if fact.implied and not known.implied:
        fact = msgspec.structs.replace(fact, start=known.start, end=known.end, earliest=known.earliest)
    elif known.implied and not fact.implied:
        known = msgspec.structs.replace(known, start=fact.start, end=fact.end, earliest=fact.earliest)
    later = fact if fact.status_at >= known.status_at else known
    times = [time for time in (known.own_at, fact.own_at) if time is not None]
    first = known if known.model and (not fact.model or known.model_at <= fact.model_at) else fact
    return SessionFact(
        known.id,
        known.root,
        min(known.start, fact.start),
        max(known.end, fact.end),
        min(known.earliest, fact.earliest),
        min(times, default=None),
        first.model,
        first.model_at,
        later.status,
        later.error,
        later.status_at,
        known.forked_from or fact.forked_from,
        known.implied and fact.implied,
        {**known.bound, **fact.bound} if fact.implied else {**fact.bound, **known.bound},
    )
