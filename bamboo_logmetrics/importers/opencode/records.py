"""The records of OpenCode: sessions, messages and their parts; texts are skipped without building them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import Raw

from bamboo_logmetrics.importers.facts import UsageFact
from bamboo_logmetrics.importers.values import count, identifier, label, moment

R = TypeVar("R", bound=msgspec.Struct)


class Message(msgspec.Struct):
    """A prompt or an answer, as its JSON."""

    role: Any = None
    modelID: Any = None  # noqa: N815
    providerID: Any = None  # noqa: N815
    parentID: Any = None  # noqa: N815
    model: Any = None
    agent: Any = None
    mode: Any = None
    path: Any = None
    cost: Any = None
    tokens: Any = None
    time: Any = None
    finish: Any = None
    error: Any = None
    id: Any = None


class State(msgspec.Struct):
    """The state of a tool call."""

    status: Any = None
    time: Any = None
    error: Any = None
    metadata: Raw = Raw(b"")


class Metadata(msgspec.Struct):
    """The few values that are read of the metadata of a tool call."""

    exit: Any = None
    interrupted: Any = None
    sessionId: Any = None  # noqa: N815
    sessionID: Any = None  # noqa: N815


class Part(msgspec.Struct):
    """A part of a message, as its JSON."""

    type: Any = None
    tool: Any = None
    callID: Any = None  # noqa: N815
    state: Raw = Raw(b"")
    tokens: Any = None
    cost: Any = None
    time: Any = None
    synthetic: Any = None
    attempt: Any = None
    error: Any = None
    auto: Any = None
    id: Any = None


class SessionInfo(msgspec.Struct):
    """A session, as the JSON file of an older version."""

    parentID: Any = None  # noqa: N815
    directory: Any = None
    version: Any = None
    agent: Any = None
    time: Any = None


_decoders: dict[type, msgspec.json.Decoder[Any]] = {
    cls: msgspec.json.Decoder(cls) for cls in (Message, State, Metadata, Part, SessionInfo)
}


def decoded(cls: type[R], data: Any) -> R | None:
    """Return the record of a JSON text; None if it is none."""
    try:
        record: R = _decoders[cls].decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError, RecursionError):
        return None
    return record


@dataclass
class Session:
    """A session.

    Args:
        key: its id, as OpenCode has it.
        parent: the id of the session that started it as a sub-agent.
        created: its time; None if it is not known. A message that is older was copied from another session.
        changed: the time of its last change.
        size: a number that differs after messages came or went.
    """

    key: str
    parent: str | None = None
    directory: str | None = None
    version: str | None = None
    agent: str | None = None
    created: int | None = None
    changed: int = 0
    size: int = 0

    @property
    def id(self) -> str:
        """The id as an event can have it."""
        return identifier(self.key) or identifier(self.key.encode("unicode_escape").decode()) or "unknown"


@dataclass
class Entry:
    """A message with its parts.

    Args:
        id: its id.
        session: the key of its session.
        created: its time; a copy has that of its original.
    """

    id: str
    session: str
    message: Message
    created: int
    parts: list[Part] = field(default_factory=list)

    @property
    def provider(self) -> str | None:
        """The provider of the model."""
        model = self.message.model if isinstance(self.message.model, dict) else {}
        return label(self.message.providerID) or label(model.get("providerID"))

    @property
    def model(self) -> str:
        """The name of the model; ``""`` if it is not known."""
        model = self.message.model if isinstance(self.message.model, dict) else {}
        return label(self.message.modelID) or label(model.get("modelID")) or ""

    @property
    def completed(self) -> int | None:
        """The time at which the answer was complete, with the tools that it asked for."""
        return time_of(self.message.time, "completed")

    def mark(self, *, whole: bool) -> str:
        """Return a text that a copy of this message shares; ``whole`` is False if its answer is not complete."""
        values = [self.message.role, self.created, self.provider, self.model]
        if whole:
            values += [self.completed, *_counts(self.message.tokens)]
        return "\0".join(map(str, values))


class Original(NamedTuple):
    """The message from which copies were made, and its session."""

    id: str
    session: str


class Storage(ABC):
    """The sessions in one file, or in the files around it.

    Args:
        problem: called with a message and the number of a row, for each row that cannot be used.

    Attributes:
        damage: the parts that could not be read.
    """

    def __init__(self, problem: Callable[[str, int], None]) -> None:
        self._problem = problem
        self.damage: list[str] = []
        self._originals: dict[str, Original] | None = None

    @abstractmethod
    def sessions(self) -> list[Session]:
        """Return the sessions to import, the oldest first. Raises OSError."""

    @abstractmethod
    def entries(self, session: Session) -> list[Entry]:
        """Return the messages of a session with their parts, in order of time."""

    @abstractmethod
    def all_messages(self) -> Iterator[tuple[Session, Entry]]:
        """Yield the messages of all sessions that may be originals, without their parts."""

    @abstractmethod
    def close(self) -> None:
        """Close the files."""

    def original(self, entry: Entry) -> Original | None:
        """Return the original of a copied message, or None if it is gone."""
        if self._originals is None:
            self._originals = {}
            for session, other in self.all_messages():
                if session.created is None or other.created >= session.created:
                    for whole in (True, False):
                        self._originals.setdefault(other.mark(whole=whole), Original(other.id, session.id))
        return self._originals.get(entry.mark(whole=entry.completed is not None))


def time_of(times: Any, name: str) -> int | None:
    """Return one of the times of a record in microseconds."""
    return moment(times.get(name)) if isinstance(times, dict) else None


def usage_of(tokens: Any) -> UsageFact | None:
    """Return the tokens of an answer; None if OpenCode has none, for which it writes zeros."""
    asked, said, thought, read, write = _counts(tokens)
    if not any((asked, said, thought, read, write)):
        return None
    prompt = (asked or 0) + (read or 0) + (write or 0)
    completion = (said or 0) + (thought or 0)
    if thought and count(tokens.get("total")) == prompt + (said or 0):  # older versions count it within the output
        completion = said or 0
    return UsageFact(
        prompt,
        completion,
        cache_read=read,
        cache_write=write,
        reasoning=thought,
        whole=asked is not None and said is not None,
    )


def _counts(tokens: Any) -> list[int | None]:
    tokens = tokens if isinstance(tokens, dict) else {}
    cache = tokens.get("cache") if isinstance(tokens.get("cache"), dict) else {}
    values = [*map(tokens.get, ("input", "output", "reasoning")), *map(cache.get, ("read", "write"))]
    return [count(value) for value in values]


def entry_of(name: str | None, session: str, message: Message, row_time: Any, otherwise: int | None) -> Entry | None:
    """Return an entry; None if it has no id, no role, or no time: its own, that of its row, or ``otherwise``."""
    times = (time_of(message.time, "created"), moment(row_time), otherwise)
    created = next((time for time in times if time is not None), None)
    message_id = identifier(name)
    if message_id is None or created is None or message.role not in ("user", "assistant"):
        return None
    return Entry(message_id, session, message, created)
