"""Decides which session keeps what several sessions show: a copied history belongs to the session it began in."""

from __future__ import annotations

from bamboo_logmetrics.importers.catalog import Catalog
from bamboo_logmetrics.importers.facts import SessionFact
from bamboo_logmetrics.importers.items import WAITING, decode

_NEVER = -(2**62)
_Rank = tuple[int, int, str]


class Owners:
    """The owners of everything that more than one session shows."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._execute = catalog.store.execute
        self._ranks: dict[str, _Rank] = {}

    def decide(self) -> None:
        """Give each waiting item, and each prompt, to the session with the earliest record."""
        items = self._execute(
            "SELECT id, kind, data FROM item WHERE id IN (SELECT item FROM shown) AND (state = ? OR kind = 'prompt')",
            (WAITING,),
        ).fetchall()
        for item, kind, data in items:
            numbers = [row[0] for row in self._execute("SELECT session FROM shown WHERE item = ?", (item,))]
            facts = {number: self._catalog.session(number) for number in numbers}
            origin = None if kind == "tool" else decode(kind, data).origin
            owner = min(facts, key=lambda number: (facts[number].root != origin, *self._rank(facts[number])))
            self._execute("UPDATE item SET session = ? WHERE id = ?", (owner, item))
            if kind == "call":
                self._execute("UPDATE item SET session = ? WHERE call = ? AND state = ?", (owner, item, WAITING))

    def _rank(self, fact: SessionFact) -> tuple[int, int, str, bool, bool, str]:
        """Return the order of a session: the earliest first, a named sub-agent before its parent and an unnamed one."""
        is_agent = fact.id != fact.root
        return (*self._rank_of_root(fact), not is_agent, is_agent and "agent_type" not in fact.bound, fact.id)

    def _rank_of_root(self, fact: SessionFact) -> _Rank:
        known = self._ranks.get(fact.root)
        if known is None:
            number = self._catalog.session_id(fact.root)
            root = self._catalog.find_session(number)
            start = min(fact.earliest, root.earliest if root else fact.earliest)
            own = self._first_own(number)
            if root is not None and root.own_at is not None:
                start, own = min(start, root.own_at), min(root.own_at, own if own != _NEVER else root.own_at)
            known = self._ranks[fact.root] = (start, own, fact.root)
        return known

    def _first_own(self, session: int) -> int:
        """Return the time of the first thing that no other session shows; without one it was only copied from."""
        row = self._execute(
            "SELECT min(at) FROM item WHERE session = ? AND kind IN ('call', 'prompt') "
            "AND id NOT IN (SELECT item FROM shown)",
            (session,),
        ).fetchone()
        return _NEVER if row[0] is None else int(row[0])

    def forked_from(self, session: int, fact: SessionFact) -> str | None:
        """Return the session from which this one was copied, or None."""
        if fact.forked_from:
            return fact.forked_from
        rows = self._execute(
            "SELECT DISTINCT item.session FROM shown JOIN item ON item.id = shown.item "
            "WHERE shown.session = ? AND item.kind = 'call' AND item.session <> ? ORDER BY item.at",
            (session, session),
        ).fetchall()
        owners = (self._catalog.session(number) for (number,) in rows)
        return next((owner.root for owner in owners if owner.root != fact.root), None)

    def is_copy(self, session: int, fact: SessionFact) -> bool:
        """Return True for a sub-agent all of whose calls belong to another session."""
        if fact.implied:
            return True
        if fact.id == fact.root:
            return False
        shows = self._execute(
            "SELECT 1 FROM shown JOIN item ON item.id = shown.item WHERE shown.session = ? AND item.session <> ? "
            "AND item.kind = 'call' LIMIT 1",
            (session, session),
        ).fetchone()
        owns = self._execute("SELECT 1 FROM item WHERE session = ? AND kind = 'call' LIMIT 1", (session,)).fetchone()
        return shows is not None and owns is None

    def first_model(self, session: int) -> str:
        """Return the model of the first call of a session; ``""`` if it has none."""
        rows = self._execute("SELECT data FROM item WHERE session = ? AND kind = 'call' ORDER BY at, id", (session,))
        calls = (decode("call", data) for (data,) in rows)
        return next((call.model for call in calls if call.model), "")

    def messages(self, session: int) -> int:
        """Return the number of prompts and calls of a session."""
        row = self._execute(
            "SELECT count(*) FROM item WHERE session = ? AND kind IN ('call', 'prompt')", (session,)
        ).fetchone()
        return int(row[0])
