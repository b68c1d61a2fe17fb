"""The interface of a destination: all that the shipper needs to know about one kind of server."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.ship.credentials import Credentials
from bamboo_logmetrics.ship.entries import Entry
from bamboo_logmetrics.ship.urls import Url

if TYPE_CHECKING:
    import httpx


class Rejection(NamedTuple):
    """Lines that a server will never take.

    Args:
        entries: the lines of the request, or the rejected ones where the server names them.
        number: how many of these lines are rejected.
        reason: the server's words.
    """

    entries: Sequence[Entry]
    number: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryResult:
    """The fate of the lines of one request.

    Args:
        retry: lines to send again.
        rejections: lines that the server will never take.
        error: why lines are to be sent again.
        notice: something that the user should know, although the lines are taken.
    """

    retry: Sequence[Entry] = ()
    rejections: Sequence[Rejection] = ()
    error: str = ""
    notice: str = ""

    @property
    def rejected(self) -> int:
        """The number of lines that the server will never take."""
        return sum(rejection.number for rejection in self.rejections)

    @property
    def all_taken(self) -> bool:
        """True if every line is delivered."""
        return not self.retry and not self.rejections


ALL_TAKEN = DeliveryResult()


class ResourceDefaults(NamedTuple):
    """Service and environment of lines that do not name their own.

    Args:
        service: the name of the service.
        env: the environment, such as ``production``; empty for none.
    """

    service: str
    env: str = ""

    def service_of(self, entry: Entry) -> str:
        """Return the ``service_name`` that is bound in a line, or else the default."""
        bound = entry.head.service_name
        return bound if isinstance(bound, str) and bound else self.service

    def env_of(self, entry: Entry) -> str:
        """Return the ``env`` that is bound in a line, or else the default."""
        bound = entry.head.env
        return bound if isinstance(bound, str) and bound else self.env


@dataclass(frozen=True, kw_only=True)
class DestinationOptions:
    """The options of one destination: a subclass has a field for each, made by :func:`option`.

    ``Shipper`` takes them as keyword arguments, and the command line as options: ``data_stream`` is ``--data-stream``.
    ``__post_init__`` checks the values and raises ConfigError.
    """


def option(default: str, text: str) -> Any:
    """Return a field of :class:`DestinationOptions`, with its default and the text that ``ship --help`` shows."""
    return field(default=default, metadata={"help": text})


class Destination(ABC):
    """One kind of server: path, form of the requests, authentication, meaning of the answers, options.

    Args:
        defaults: service and environment of lines that do not name their own.
        options: an object of the class that ``Options`` names.
    """

    name: ClassVar[str]  # the value of ``to`` and ``--to``
    path: str  # appended to the URL, unless the URL ends so already
    content_type: ClassVar[str] = "application/json"
    success_statuses: ClassVar[frozenset[int]] = frozenset({200})  # HTTP statuses that acknowledge a request
    names_rejected: ClassVar[bool] = True  # False where the server only says how many lines of a request it rejects
    Options: ClassVar[type[DestinationOptions]] = DestinationOptions

    def __init__(self, defaults: ResourceDefaults, options: DestinationOptions) -> None:
        self.defaults = defaults
        self.options = options

    @classmethod
    def make_options(cls, values: Mapping[str, Any]) -> DestinationOptions:
        """Return the options with these values; None stands for the default. Raises ConfigError."""
        values = {name: value for name, value in values.items() if value is not None}
        names = [field.name for field in fields(cls.Options)]
        for name in values:
            if name not in names:
                msg = f"{name!r} is no option of {cls.name!r}; its options: {', '.join(names) or 'none'}"
                raise ConfigError(msg)
        return cls.Options(**values)

    def request_url(self, url: Url) -> Url:
        """Return the URL of requests to a server at ``url``: with ``path`` appended. Raises ConfigError."""
        return url.append(self.path)

    def auth(self, credentials: Credentials) -> Mapping[str, str] | httpx.Auth:
        """Return the headers that authenticate each request, or an ``httpx.Auth`` that may sign it.

        The default is the headers for a user, a bearer token, an API key and a tenant.
        """
        return credentials.headers()

    @abstractmethod
    def encode(self, entries: Sequence[Entry]) -> bytes:
        """Return the body of the request that delivers these lines, before compression.

        May raise any Exception for a line that it cannot encode: the shipper tries the lines one by one, and those that
        fail go to the dead-letter file.
        """

    def parse_response(self, entries: Sequence[Entry], body: bytes) -> DeliveryResult:  # noqa: ARG002 - for overriders
        """Return the fate of each line by the body of an answer with one of ``success_statuses``.

        May raise any Exception for an answer of another form: then the lines are sent again.
        """
        return ALL_TAKEN

    def find_rejected(self, entries: Sequence[Entry], body: bytes) -> Sequence[Entry] | None:  # noqa: ARG002 - as above
        """Return the rejected lines, where the body of an answer with 400 says that all others are taken, or None."""
        return None

    def requests(self, entries: Sequence[Entry]) -> list[Sequence[Entry]]:
        """Return the lines of each request that delivers these, in the order of sending: by default all in one.

        To be overridden where a server refuses a line because it has later ones.
        """
        return [entries]

    def split(self, entries: Sequence[Entry]) -> list[Sequence[Entry]]:
        """Return several lines in smaller parts, after the server rejected them together."""
        half = len(entries) // 2
        return [entries[:half], entries[half:]]
