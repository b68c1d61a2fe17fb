"""Finds the item in a store that is the same call as a fact.

Two facts are one call when their message id is equal and they share a request id, or, where one has none, the id of a
line, or, where lines have no ids, the time of a line. A message id alone is not enough: gateways give one to all
answers. A line that follows a line of the other fact, under the same message id, continues it.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from bamboo_logmetrics.importers.facts import CallFact, Quality
from bamboo_logmetrics.importers.store import Store, key_of

_CALL = msgspec.msgpack.Decoder(CallFact)


class _Keys(NamedTuple):
    """The numbers by which a call is found; those of one kind together."""

    requests: list[int]
    lines: list[int]
    before: list[int]  # of the lines that this call's lines follow
    after: list[int]  # of lines that follow this call's lines
    times: list[int]
    agent: list[int]


class Identity:
    """Finds calls by their ids.

    Args:
        store: the store.
        name: the name of the importer.
    """

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name

    def find(self, call: CallFact) -> tuple[int | None, list[int]]:
        """Return the item that is the same call, or None, and the keys under which the call is to be stored."""
        keys = self._keys(call)
        known = self._store.items_of([key for kind in keys for key in kind])
        item = self._choose(call, keys, known) if known else None
        message = call.message_id or ""
        stored = keys.requests + keys.lines + keys.times
        stored += [self._key("after", message, parent) for parent in call.parents]
        return item, stored

    def key_of_agent(self, call: CallFact) -> int | None:
        """Return the key of the last call of a sub-agent with these counts; the latest call takes it over."""
        return self._agent_key(call, described=call.described) if call.agent and call.usage else None

    def _key(self, *parts: object) -> int:
        return key_of(self._name, *parts)

    def _keys(self, call: CallFact) -> _Keys:
        message = call.message_id or ""
        return _Keys(
            [self._key("request", message, request) for request in call.request_ids],
            [self._key("line", message, line) for line in call.lines],
            [self._key("line", message, line) for line in call.parents],
            [self._key("after", message, line) for line in call.lines],
            [] if call.described else [self._key("time", message, time) for time in dict.fromkeys(call.times)],
            [self._agent_key(call, described=not call.described)] if call.agent and call.usage else [],
        )

    def _agent_key(self, call: CallFact, *, described: bool) -> int:
        usage = call.usage
        prompt = usage and (usage.prompt, usage.cache_read, usage.cache_write)
        return self._key("described" if described else "agent", call.agent, prompt)

    def _choose(self, call: CallFact, keys: _Keys, known: dict[int, int]) -> int | None:
        for key in keys.requests:
            if key in known:
                return known[key]
        for key in (*keys.lines, *keys.before, *keys.after):
            if key in known and not (call.request_ids and self._call(known[key]).request_ids):
                return known[key]
        for key in keys.times:
            if key in known:
                other = self._call(known[key])
                if not (call.request_ids and other.request_ids) and not (call.lines and other.lines):
                    return known[key]
        for key in keys.agent:
            if key in known and _one_call(self._call(known[key]), call):
                return known[key]
        return None

    def _call(self, item: int) -> CallFact:
        return _CALL.decode(self._store.data_of(item))


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
