"""Finds the lines of one transcript that are one answer of the model."""

from __future__ import annotations

from dataclasses import dataclass, field

from bamboo_logmetrics.importers.facts import CallFact, Quality, UsageFact


@dataclass(slots=True, eq=False)
class Group:
    """The lines of one answer under one session.

    Attributes:
        call: the fact that they make.
        answered: True if a tool result came since its latest line.
        closed: True if a prompt came since.
        tools: the ids of its tool calls.
    """

    call: CallFact
    answered: bool = False
    closed: bool = False
    tools: set[str] = field(default_factory=set)

    def may_have(self, usage: UsageFact | None, *, request_id: str | None) -> bool:
        """Return True if a line without an id of its own that tells more may belong to the answer.

        Gateways give all answers one message id. Behind a tool result the counts decide: within an answer the prompt
        stays the same, and the lines of a finished one are all alike.
        """
        call = self.call
        if self.closed or (request_id and call.request_ids):
            return False
        if not self.answered or usage is None or call.usage is None:
            return True
        if call.quality == Quality.FINAL:
            return usage == call.usage
        return _prompt(usage) == _prompt(call.usage)


def _prompt(usage: UsageFact) -> tuple[int, int | None, int | None]:
    return usage.prompt, usage.cache_read, usage.cache_write


class Groups:
    """The answers of one transcript."""

    def __init__(self) -> None:
        self.calls: list[CallFact] = []
        self._by_request: dict[tuple[str, str, str], Group] = {}
        self._by_line: dict[tuple[str, str, str], Group] = {}
        self._current: dict[tuple[str, str], Group] = {}
        # of other sessions in the same file: a copied history
        self._anywhere: dict[tuple[str, int], Group] = {}
        self._since_prompt: dict[str, list[Group]] = {}

    def find(
        self,
        session: str,
        message: str,
        request_id: str | None,
        lines: tuple[str | None, ...],
        *,
        at: int,
        usage: UsageFact | None,
    ) -> Group | None:
        """Return the answer to which a line belongs; ``lines`` are its own id and that of the line before it."""
        for line in lines:
            group = self._by_line.get((session, message, line)) if line else None
            if group and (not request_id or not group.call.request_ids or request_id in group.call.request_ids):
                return group
        if request_id and (group := self._by_request.get((session, message, request_id))):
            # behind a prompt the same ids are those of another answer, unless the line is a copy
            return group if not group.closed or at in group.call.times else None
        group = self._current.get((session, message))
        return group if group and group.may_have(usage, request_id=request_id) else None

    def start(self, call: CallFact, message: str, usage: UsageFact | None) -> Group:
        """Begin an answer."""
        group = Group(call)
        self.calls.append(call)
        self._since_prompt.setdefault(call.session, []).append(group)
        copied = self._anywhere.setdefault((message, call.first), group).call
        if copied.session != call.session and copied.usage == usage and not copied.request_ids:
            call.lines += copied.lines  # now both are one call for the catalog
        return group

    def close(self, session: str) -> None:
        """Note that a prompt came: what follows is none of the answers before it."""
        for group in self._since_prompt.pop(session, ()):
            group.closed = True

    def note(self, group: Group, message: str, request_id: str | None, line: str | None) -> None:
        """Note a line of an answer."""
        session = group.call.session
        if request_id:
            self._by_request[session, message, request_id] = group
        if line:
            self._by_line[session, message, line] = group
        self._current[session, message] = group
        group.answered = False
