"""The chains of one transcript: the lines of a session, or of a sub-agent, follow each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from bamboo_logmetrics.importers.claude_code.details import agent_file, origin_of
from bamboo_logmetrics.importers.claude_code.grouping import Group
from bamboo_logmetrics.importers.claude_code.records import Line
from bamboo_logmetrics.importers.facts import SessionFact
from bamboo_logmetrics.importers.values import branch, identifier, label, project


@dataclass(slots=True, eq=False)
class Chain:
    """A session or a sub-agent, as far as it was read.

    Attributes:
        session: its fact.
        last_line: the id of its last line.
        open: the answers that nothing follows yet.
        latest: its last answer.
        turn: the id of the turn, from its prompt.
        place: the names on its last line that tell where it belongs.
    """

    session: SessionFact
    last_line: str | None = None
    open: list[Group] = field(default_factory=list)
    latest: Group | None = None
    turn: str | None = None
    place: tuple[Any, ...] = ()

    def end(self, at: int, status: str, error: str | None = None) -> None:
        """Note how the session ends, unless something later decides."""
        session = self.session
        if at >= session.status_at:
            session.status, session.error, session.status_at = status, error, at


@dataclass(slots=True, eq=False)
class Seen:
    """A line that was read.

    Attributes:
        at: its time.
        group: its answer.
        attempt, wait: of a failed request its attempt, and the wait behind it (ms).
        behind: the answer that goes on behind the line, if any does.
        opens: True if that is known; in a file that was cut it may not be.
    """

    at: int
    group: Group | None = None
    attempt: int = 0
    wait: int = 0
    behind: Group | None = None
    opens: bool = False

    def opens_an_answer(self, message: str) -> bool:
        """Return True if an answer behind the line, with this message id, begins there."""
        return self.opens and not (self.behind and message and self.behind.call.message_id == message)


class Entry(NamedTuple):
    """A line in its place: its chain, its id and time, and the line before it."""

    line: Line
    chain: Chain
    uuid: str | None
    at: int
    parent: str | None
    repeated: bool


class Chains:
    """All chains of one transcript, by the id of their session."""

    def __init__(self, path: Path) -> None:
        self._chains: dict[str, Chain] = {}
        self._roots: dict[str, str] = {}
        self._own_times: dict[str, int] = {}
        self._mentioned: dict[str, dict[str, Any]] = {}
        self._agent_file = agent_file(path)

    def __getitem__(self, session: str) -> Chain:
        return self._chains[session]

    def get(self, session: str) -> Chain | None:
        """Return a chain, or None."""
        return self._chains.get(session)

    def agent_of(self, line: Line, uuid: str | None) -> str:
        """Return the id of the sub-agent of a side chain; of the oldest CLIs, which have none, its first uuid."""
        if agent := identifier(line.agentId):
            return agent
        uuid = uuid or "side-chain"
        return self._roots.setdefault(uuid, self._roots.get(identifier(line.parentUuid) or "", uuid))

    def chain_of(self, line: Line, root: str, agent: str | None, at: int) -> Chain:
        """Return the chain of a line, which may be its first."""
        session_id = f"{root}:{agent}" if agent else root
        chain = self._chains.get(session_id)
        if chain is None:
            chain = self._chains[session_id] = Chain(SessionFact(session_id, root, at, at, at, bound={}))
            if agent:
                chain.session.bound = {"agent_id": agent, "parent_session_id": root, **self._agent_file}
        session = chain.session
        if at < session.earliest:  # not with min() and max(): this runs for every line
            session.earliest = min(at, session.earliest)
            session.start = min(at, session.start)
        if at > session.end:
            session.end = max(at, session.end)
        place = (line.cwd, line.version, line.gitBranch, line.entrypoint, line.attributionAgent)
        if place != chain.place:
            chain.place = place
            self._tell(chain, line, agent)
        if line.requestSessionId or line.forkedFrom:
            session.forked_from = session.forked_from or origin_of(line, root)
        return chain

    @staticmethod
    def _tell(chain: Chain, line: Line, agent: str | None) -> None:
        """Take what the first lines tell of the place of a session."""
        bound = chain.session.bound
        values = {
            "project": project(line.cwd) if isinstance(line.cwd, str) else None,
            "client_version": label(line.version),
            "git_branch": branch(line.gitBranch),
            "entrypoint": label(line.entrypoint),
            "agent_type": label(line.attributionAgent) if agent else None,
        }
        for key, value in values.items():
            if value is not None:
                bound.setdefault(key, value)

    def note_own_time(self, session: str, at: int) -> None:
        """Note the time of a line that is never copied to another session."""
        self._own_times[session] = min(at, self._own_times.get(session, at))

    def mention(self, session: str, values: dict[str, Any]) -> None:
        """Note what another session tells of a sub-agent."""
        self._mentioned.setdefault(session, {}).update(values)

    def sessions(self, at: int) -> list[SessionFact]:
        """Return the facts of all sessions; ``at`` is the time of those that are only mentioned."""
        for session_id, values in self._mentioned.items():
            chain = self._chains.get(session_id)
            if chain is None:
                fact = SessionFact(session_id, values["parent_session_id"], at, at, at, implied=True, bound=values)
                self._chains[session_id] = Chain(fact)
            else:
                chain.session.bound = {**values, **chain.session.bound}
        for session_id, own_at in self._own_times.items():
            if chain := self._chains.get(session_id):
                chain.session.own_at = own_at
        return [chain.session for chain in self._chains.values()]
