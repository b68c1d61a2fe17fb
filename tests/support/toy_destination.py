"""A destination of an application: lines as they are, requests that are signed, and a server that takes them.

It uses only what the package offers for a new destination: ``bamboo_logmetrics.ship.destinations``.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import httpx

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.ship import Credentials
from bamboo_logmetrics.ship.destinations import (
    DeliveryResult,
    Destination,
    DestinationOptions,
    Entry,
    Rejection,
    ResourceDefaults,
    option,
)

SIGNATURE = "X-Signature"


def sign(key: str, body: bytes) -> str:
    """Return the signature of a request."""
    return hmac.digest(key.encode(), body, "sha256").hex()


class Signed(httpx.Auth):
    """Signs the body of each request, as it is sent, with a key."""

    requires_request_body = True

    def __init__(self, key: str) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the signature."""
        request.headers[SIGNATURE] = sign(self._key, request.content)
        yield request


@dataclass(frozen=True, kw_only=True)
class ToyOptions(DestinationOptions):
    """The option of :class:`Toy`."""

    room: str = option("lobby", "Room that receives the lines.")

    def __post_init__(self) -> None:
        if not self.room.isalnum():
            msg = f"room={self.room!r} must be letters and digits"
            raise ConfigError(msg)


class Toy(Destination):
    """``POST /rooms/<room>/lines`` with the lines, signed with the token."""

    name = "toy"
    content_type = "text/plain"
    success_statuses = frozenset({201})
    Options = ToyOptions

    def __init__(self, defaults: ResourceDefaults, options: ToyOptions) -> None:
        super().__init__(defaults, options)
        self.path = f"/rooms/{options.room}/lines"

    def auth(self, credentials: Credentials) -> httpx.Auth:
        """Return the signer in place of a header with the token."""
        return Signed(credentials.token)

    def encode(self, entries: Sequence[Entry]) -> bytes:
        """Return the lines."""
        return b"\n".join(entry.line for entry in entries)

    def parse_response(self, entries: Sequence[Entry], body: bytes) -> DeliveryResult:
        """Return the lines whose numbers the answer does not hold as rejected."""
        taken = {int(number) for number in body.split()}
        rejected = [entry for entry in entries if entry.head.seq not in taken]
        return DeliveryResult(rejections=[Rejection(rejected, len(rejected), "no room left")] if rejected else [])


class ToyServer:
    """The other side, for ``StubServer.kinds``: 401 without the right signature, else 201 with the numbers it takes."""

    path = "/lines"
    key = "t0ken"

    @staticmethod
    def ids(body):
        """Return the (writer, seq) of the lines in a body."""
        return [(w.decode(), int(seq)) for w, seq in re.findall(rb'"writer":"([0-9a-f]{20})","seq":(\d+)', body)]

    @classmethod
    def take(cls, stub, request):
        """Store the lines, and return the answer."""
        if request.headers.get(SIGNATURE) != sign(cls.key, request.raw):
            return 401, {}, b"wrong signature"
        taken = [identity for identity in request.ids if not stub.poison(identity)]
        for identity in taken:
            stub.keep(request, identity)
        return 201, {}, b" ".join(b"%d" % seq for _, seq in taken)
