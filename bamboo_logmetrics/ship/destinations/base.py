"""What a destination is: how lines become the body of a request, and what its answer says of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from bamboo_logmetrics.ship.entries import Entry


class Rejection(NamedTuple):
    """Lines that a destination will never take.

    Args:
        entries: the lines among which they are.
        how_many: how many of these they are.
        reason: what it said.
    """

    entries: Sequence[Entry]
    how_many: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryResult:
    """What an answer with a status of success says of the lines that were sent.

    Args:
        retry: lines to be sent again.
        refused: lines that will never be taken.
        error: why lines are to be sent again.
        notice: what should be known, though the lines are taken.
    """

    retry: Sequence[Entry] = ()
    refused: Sequence[Rejection] = ()
    error: str = ""
    notice: str = ""

    @property
    def how_many_refused(self) -> int:
        """How many lines will never be taken."""
        return sum(refusal.how_many for refusal in self.refused)

    @property
    def all_taken(self) -> bool:
        """Tell whether there is nothing more to do."""
        return not self.retry and not self.refused


ALL_TAKEN = DeliveryResult()


class ResourceDefaults(NamedTuple):
    """What is said of lines that do not say it themselves.

    Args:
        service: the name of the service.
        env: the environment, such as ``production``; empty for none.
    """

    service: str
    env: str = ""

    def service_of(self, entry: Entry) -> str:
        """Return the service of a line: what was bound as ``service_name``, else the given one."""
        bound = entry.head.service_name
        return bound if isinstance(bound, str) and bound else self.service

    def env_of(self, entry: Entry) -> str:
        """Return the environment of a line: what was bound as ``env``, else the given one."""
        bound = entry.head.env
        return bound if isinstance(bound, str) and bound else self.env


class Destination(ABC):
    """One kind of server.

    Args:
        labels: what is said of lines that do not say it themselves.
    """

    kind: ClassVar[str]  # as in ``--to``
    path: str  # is appended to the URL, unless the URL ends so already
    content_type: ClassVar[str] = "application/json"
    successes: ClassVar[frozenset[int]] = frozenset({200})  # the statuses by which it acknowledges

    def __init__(self, labels: ResourceDefaults) -> None:
        self.labels = labels

    @abstractmethod
    def body(self, entries: Sequence[Entry]) -> bytes:
        """Return the body of the request that delivers these lines."""

    def judge(self, entries: Sequence[Entry], answer: bytes) -> DeliveryResult:  # noqa: ARG002 - for those that look
        """Return what the body of an acknowledgement says of the lines.

        Raises ValueError, or RecursionError, for one that does not say it.
        """
        return ALL_TAKEN

    def named(self, entries: Sequence[Entry], answer: bytes) -> Sequence[Entry] | None:  # noqa: ARG002 - as above
        """Return the lines that are refused, where the body of an answer with 400 says that all others are taken."""
        return None

    def split(self, entries: Sequence[Entry]) -> list[Sequence[Entry]]:
        """Return several lines in parts, since the server takes them not all at once."""
        half = len(entries) // 2
        return [entries[:half], entries[half:]]
