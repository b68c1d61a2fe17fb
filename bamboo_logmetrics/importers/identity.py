"""Finds the item in a store that is the same call as a fact.

Two facts are one call when their message id is equal and they share a request id, or, where one has none, the id of a
line, or, where lines have no ids, the time of a line. A message id alone is not enough: gateways give one to all
answers. A line that follows a line of the other fact, under the same message id, continues it.

A provider that is made up, or was started again, gives ids a second time. So two facts that agree on both ids are two
calls if they share no line, no time and no neighbour, and something tells them apart: see :func:`_are_apart`.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from bamboo_logmetrics.importers.facts import CallFact, Quality
from bamboo_logmetrics.importers.store import Store, hash_of, key_of, mixed

_REQUEST, _LINE, _AFTER, _TIME = range(1, 5)  # kinds of keys
_LONGEST = 3_600_000_000  # microseconds; no answer takes longer, so that its lines are not farther apart
_CALL = msgspec.msgpack.Decoder(CallFact)


class Keys(NamedTuple):
    """The numbers by which a call is found; those of one kind together."""

    requests: list[int]
    lines: list[int]
    before: list[int]  # of the lines that this call's lines follow
    after: list[int]  # of lines that follow this call's lines
    times: list[int]
    agent: list[int]
    follows: list[int]  # under which the lines that this call's lines follow find it

    def others(self) -> list[int]:
        """Return the keys under which the call is stored, besides those of its requests."""
        return [*self.lines, *self.times, *self.follows]


class Identity:
    """Finds calls by their ids.

    Args:
        store: the store.
        name: the name of the importer.
    """

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name

    def find(self, call: CallFact, keys: Keys) -> int | None:
        """Return the item that is the same call, or None."""
        for key in keys.requests:
            if (item := self._of_request(key, call)) is not None:
                return item
        for key in (*keys.lines, *keys.before, *keys.after):
            item = self._store.item_of(key)
            if item is not None and not (call.request_ids and self._call(item).request_ids):
                return item
        for key in keys.times:
            if (item := self._store.item_of(key)) is not None:
                other = self._call(item)
                if not (call.request_ids and other.request_ids) and not (call.lines and other.lines):
                    return item
        for key in keys.agent:
            if (item := self._store.item_of(key)) is not None and _one_call(self._call(item), call):
                return item
        return None

    def _of_request(self, key: int, call: CallFact) -> int | None:
        """Return the call with a message id and a request id; of several with the same ids the nearest that fits."""
        number = 0
        fitting: list[tuple[int, int]] = []
        while (item := self._store.item_of(_of_another(key, number))) is not None:
            known = self._call(item)
            if _share_a_line(known, call):
                return item
            if not _are_apart(known, call):
                fitting.append((_distance(known, call), item))
            number += 1
        return min(fitting)[1] if fitting else None

    def note(self, keys: Keys, item: int) -> None:
        """Note the keys of a call, so that it is found by them."""
        for key in keys.requests:
            number = 0
            while not self._store.add_key(other := _of_another(key, number), item):
                if self._store.item_of(other) == item:
                    break
                number += 1
        self._store.add_keys(keys.others(), item)

    def key_of_agent(self, call: CallFact) -> int | None:
        """Return the key of the last call of a sub-agent with these counts; the latest call takes it over."""
        return self._agent_key(call, described=call.described) if call.agent and call.usage else None

    def keys(self, call: CallFact) -> Keys:
        """Return the keys of a call."""
        message = hash_of(f"{self._name}\0{call.message_id or ''}")
        lines = [hash_of(line) for line in call.lines]
        parents = [hash_of(parent) for parent in call.parents]
        times = [] if call.described else dict.fromkeys(call.times)
        agent = call.agent is not None and call.usage is not None
        return Keys(
            [mixed(message, hash_of(request), _REQUEST) for request in call.request_ids],
            [mixed(message, line, _LINE) for line in lines],
            [mixed(message, parent, _LINE) for parent in parents],
            [mixed(message, line, _AFTER) for line in lines],
            [mixed(message, time, _TIME) for time in times],
            [self._agent_key(call, described=not call.described)] if agent else [],
            [mixed(message, parent, _AFTER) for parent in parents],
        )

    def _agent_key(self, call: CallFact, *, described: bool) -> int:
        usage = call.usage
        prompt = usage and (usage.prompt, usage.cache_read, usage.cache_write)
        return key_of(self._name, "described" if described else "agent", call.agent, prompt)

    def _call(self, item: int) -> CallFact:
        return _CALL.decode(self._store.data_of(item))


def _of_another(key: int, number: int) -> int:
    """Return the key of the first, second ... call with the same ids."""
    return key if number == 0 else mixed(key, number, _REQUEST)


def _share_a_line(known: CallFact, call: CallFact) -> bool:
    """Return True if two facts have a line or a time in common, or lines that follow each other."""
    return not (
        set(known.times).isdisjoint(call.times)
        and set(known.lines).isdisjoint((*call.lines, *call.parents))
        and set(known.parents).isdisjoint(call.lines)
    )


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
