"""Finds the item in a store that is the same call as a fact.

Two facts are one call when their message id is equal and they share a request id, or, where one has none, the id of a
line, or, where lines have no ids, the time of a line. A message id alone is not enough: gateways give one to all
answers. A line that follows a line of the other fact, under the same message id, continues it.

A provider that is made up, or was started again, gives ids a second time. So two facts that agree on both ids are two
calls if they share no line, no time and no neighbour, and something tells them apart: see :func:`_are_apart`.

The first call with a message id is found by that. Only the others, and calls without one, have keys of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from bamboo_logmetrics.importers.facts import CallFact, Quality
from bamboo_logmetrics.importers.items import Items
from bamboo_logmetrics.importers.store import Store, hash_of, key_of, mixed

_REQUEST, _LINE, _AFTER, _TIME, _SHARED = range(1, 6)  # kinds of keys
_LONGEST = 3_600_000_000  # microseconds; no answer takes longer, so that its lines are not farther apart


class Keys(NamedTuple):
    """The numbers by which a call is found besides its message id; those of one kind together."""

    requests: list[int]
    lines: list[int]
    before: list[int]  # of the lines that this call's lines follow
    after: list[int]  # of lines that follow this call's lines
    times: list[int]
    follows: list[int]  # under which the lines that this call's lines follow find it


class Identity:
    """Finds calls by their ids.

    Args:
        store: the store.
        items: the items that are read and not written yet.
        name: the name of the importer.
    """

    def __init__(self, store: Store, items: Items, name: str) -> None:
        self._store = store
        self._items = items
        self._name = name
        self._latest: tuple[CallFact | None, Keys | None] = (None, None)

    def find(self, call: CallFact, named: int | None) -> list[int]:
        """Return the items that are the same call: more than one if only this fact shows that they are.

        Args:
            call: the fact.
            named: the first item with the message id of the call, if it has one.
        """
        if named is not None and _are_linked(self._call(named), call):
            is_shared = self._store.item_of(self._shared_key(call)) is not None
            return [named, *self._linked(call, {named})] if is_shared else [named]
        if named is not None or call.message_id is None:
            items = self._linked(call, set()) or self._nearest(call, named)
            if items:
                return items
        agent = self._agent_key(call, described=not call.described)
        item = None if agent is None else self._store.item_of(agent)
        return [item] if item is not None and _one_call(self._call(item), call) else []

    def _linked(self, call: CallFact, known: set[int]) -> list[int]:
        """Return the items with keys of their own that are one call with a fact by its lines, besides those known."""
        keys = self._keys(call)
        others = (*keys.lines, *keys.before, *keys.after, *keys.times)
        items = dict.fromkeys(item for key in keys.requests for item in self._items_of_request(key))
        items |= dict.fromkeys(item for item in map(self._store.item_of, others) if item is not None)
        return [item for item in items if item not in known and _are_linked(self._call(item), call)]

    def _nearest(self, call: CallFact, named: int | None) -> list[int]:
        """Return the call with the same ids of which a fact may be a piece; of several the nearest."""
        items = [] if named is None or not _share_a_request(self._call(named), call) else [named]
        items += [item for key in self._keys(call).requests for item in self._items_of_request(key)]
        items = [item for item in items if not _are_apart(self._call(item), call)]
        return [min(items, key=lambda item: (_distance(self._call(item), call), item))] if items else []

    def note(self, call: CallFact, item: int, named: int | None) -> None:
        """Note the keys of a call, so that it is found by them; ``named`` as for :meth:`find`."""
        if call.message_id is None or named not in {None, item}:
            self._note_keys(self._keys(call), item)
            self._store.add_key(self._shared_key(call), item)
        if (key := self._agent_key(call, described=call.described)) is not None:
            self._store.move_key(key, item)  # the latest call of a sub-agent with these counts takes it over

    def move(self, call: CallFact, item: int, to: int) -> None:
        """Give the keys of an item, whose fact is ``call``, to another."""
        keys, agent = self._keys(call), self._agent_key(call, described=call.described)
        requests = [_of_another(key, n) for key in keys.requests for n, _ in enumerate(self._items_of_request(key))]
        for key in (*requests, *keys.lines, *keys.times, *keys.follows, *([] if agent is None else [agent])):
            if self._store.item_of(key) == item:
                self._store.move_key(key, to)
        self._note_keys(keys, to)

    def expected(self, call: CallFact) -> Iterator[int]:
        """Yield keys of a call that :meth:`find` will look up."""
        if call.message_id is None:
            for keys in self._keys(call):
                yield from keys
        if (key := self._agent_key(call, described=not call.described)) is not None:
            yield key

    def _items_of_request(self, key: int) -> Iterator[int]:
        """Yield all items with a message id and a request id, besides the first one with the message id."""
        number = 0
        while (item := self._store.item_of(_of_another(key, number))) is not None:
            yield item
            number += 1

    def _note_keys(self, keys: Keys, item: int) -> None:
        for key in keys.requests:
            number = 0
            while not self._store.add_key(other := _of_another(key, number), item):
                if self._store.item_of(other) == item:
                    break
                number += 1
        self._store.add_keys((*keys.lines, *keys.times, *keys.follows), item)

    def _keys(self, call: CallFact) -> Keys:
        known, keys = self._latest  # they are asked for twice in a row
        if known is not call or keys is None:
            keys = self._new_keys(call)
            self._latest = call, keys
        return keys

    def _new_keys(self, call: CallFact) -> Keys:
        message = hash_of(f"{self._name}\0{call.message_id or ''}")
        lines = [hash_of(line) for line in call.lines]
        parents = [hash_of(parent) for parent in call.parents]
        times = [] if call.described else dict.fromkeys(call.times)
        return Keys(
            [mixed(message, hash_of(request), _REQUEST) for request in call.request_ids],
            [mixed(message, line, _LINE) for line in lines],
            [mixed(message, parent, _LINE) for parent in parents],
            [mixed(message, line, _AFTER) for line in lines],
            [mixed(message, time, _TIME) for time in times],
            [mixed(message, parent, _AFTER) for parent in parents],
        )

    def _shared_key(self, call: CallFact) -> int:
        """Return the key that tells that more than one call has a message id."""
        return mixed(hash_of(f"{self._name}\0{call.message_id or ''}"), 0, _SHARED)

    def _agent_key(self, call: CallFact, *, described: bool) -> int | None:
        usage = call.usage
        if call.agent is None or usage is None:
            return None
        prompt = (usage.prompt, usage.cache_read, usage.cache_write)
        return key_of(self._name, "described" if described else "agent", call.agent, prompt)

    def _call(self, item: int) -> CallFact:
        call: CallFact = self._items.get(item).fact
        return call


def _of_another(key: int, number: int) -> int:
    """Return the key of the first, second ... call with the same ids."""
    return key if number == 0 else mixed(key, number, _REQUEST)


def _share_a_request(known: CallFact, call: CallFact) -> bool:
    return not set(known.request_ids).isdisjoint(call.request_ids)


def _are_linked(known: CallFact, call: CallFact) -> bool:
    """Return True if two facts with the same message id are one call by their lines.

    They share a line, or lines that follow each other, or a time. Where neither names its request that time must be all
    they have.
    """
    both_requests = bool(known.request_ids and call.request_ids)
    if both_requests and not _share_a_request(known, call):
        return False
    if (both_requests or not (known.lines and call.lines)) and not set(known.times).isdisjoint(call.times):
        return not (known.described or call.described)
    return not (set(known.lines).isdisjoint((*call.lines, *call.parents)) and set(known.parents).isdisjoint(call.lines))


def _are_apart(known: CallFact, call: CallFact) -> bool:
    """Return True if two facts with the same ids and no common line are two calls.

    A copy keeps ids and times of its lines. So without a common line they could only be two pieces of one answer that
    was cut. They are not if each shows its own beginning, if another version of the tool wrote it, or if it is longer
    ago than an answer takes.
    """
    versions = known.bound.get("client_version"), call.bound.get("client_version")
    if None not in versions and versions[0] != versions[1]:
        return True
    return (known.begins and call.begins) or _distance(known, call) > _LONGEST


def _distance(known: CallFact, call: CallFact) -> int:
    """Return the time between two facts (microseconds), at least 0."""
    return max(0, call.first - known.last, known.first - call.last)


def _one_call(known: CallFact, call: CallFact) -> bool:
    """Return True if the result of a sub-agent describes this call: its last, which used no tool."""
    if known.described == call.described:
        return False
    real, described = (call, known) if known.described else (known, call)
    if real.usage is None or described.usage is None or real.used_tools:
        return False
    if real.quality == Quality.FINAL:
        return real.usage.completion == described.usage.completion
    return real.usage.completion <= described.usage.completion
