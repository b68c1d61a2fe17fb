"""Headers of a request and its answer on their way through the proxy."""

from __future__ import annotations

import re
from collections.abc import Iterable
from hmac import compare_digest
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from bamboo_logmetrics.instrument.asgi import trace_id_of
from bamboo_logmetrics.live.upstreams import Upstream

RawHeaders = Iterable[tuple[bytes, bytes]]

TOKEN_HEADER = "x-bamboo-token"  # noqa: S105 - the name of a header

# of one connection only: RFC 9110 7.6.1, and those of the same kind that it leaves to older texts
_HOP_BY_HOP = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
})  # fmt: skip
# "expect" is answered by the proxy's own server; "host" is the upstream's
_NEVER_SENT = _HOP_BY_HOP | {"host", "expect"}
_HOP_BYTES = frozenset(name.encode() for name in _HOP_BY_HOP)
_KEYS = frozenset({"authorization", "x-api-key", "api-key", "x-goog-api-key"})
_OURS = "x-bamboo-"
_BOUND = {"x-bamboo-session": "session_id", "x-bamboo-user": "user_id", "x-bamboo-round": "client_round_id"}
_ID = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,198}[\x21-\x7e])?")
_KEYS_IN_QUERY = frozenset({"key", "api_key", "api-key", "apikey", "access_token"})
_KEY_IN_SUBPROTOCOL = "openai-insecure-api-key."
_LOOPBACK = re.compile(r"(?:localhost|[0-9.]+|\[[0-9a-f:.]+\])(?::[0-9]+)?")


class NotUtf8Error(Exception):
    """A header cannot be sent on as it came."""


class RequestHeaders(NamedTuple):
    """The headers of a request, read once.

    Args:
        pairs: names in lower case and values, in their order.
    """

    pairs: list[tuple[str, str]]

    @classmethod
    def read(cls, raw: RawHeaders) -> RequestHeaders:
        """Return the headers as texts. Raises NotUtf8Error for what could not be sent on byte for byte."""
        try:
            return cls([(name.decode("ascii").lower(), value.decode()) for name, value in raw])
        except UnicodeDecodeError:
            raise NotUtf8Error from None

    @property
    def names(self) -> set[str]:
        """The names of all headers."""
        return {name for name, _ in self.pairs}

    def get(self, name: str, default: str = "") -> str:
        """Return the first value of a header."""
        return next((value for key, value in self.pairs if key == name), default)

    def to_upstream(
        self, upstream: Upstream, token: str = "", dropped: frozenset[str] = frozenset()
    ) -> list[tuple[str, str]]:
        """Return the headers that the upstream gets, in their order.

        Args:
            upstream: the upstream, whose key replaces the client's if it has one.
            token: the token of the proxy's clients, which is never sent on.
            dropped: more names that are not sent on.
        """
        named = {name.strip().lower() for key, value in self.pairs if key == "connection" for name in value.split(",")}
        without = _NEVER_SENT | named | dropped | (_KEYS if upstream.key else frozenset())
        sent = [
            (name, value)
            for name, value in self.pairs
            if name not in without
            and not name.startswith(_OURS)
            and not (token and name in _KEYS and _is_token(value, token))
        ]
        return [*sent, upstream.key_header()] if upstream.key else sent

    def has_token(self, token: str) -> bool:
        """Return True if the client shows the token: as x-bamboo-token, or in the place of a provider's key."""
        return any(_is_token(value, token) for name, value in self.pairs if name == TOKEN_HEADER or name in _KEYS)

    def is_from_a_page(self) -> bool:
        """Return True if a web page may have sent the request from a browser on this machine."""
        host = self.get("host").lower()
        has_marks = any(name in {"origin", "sec-fetch-site"} for name, _ in self.pairs)
        return has_marks or not _LOOPBACK.fullmatch(host)

    def ids(self, raw: RawHeaders, session_from: str = "") -> dict[str, Any]:
        """Return the ids that the client gives: session, user, round and trace, each only if it is a valid one.

        Args:
            raw: the headers as they came.
            session_from: another header that names the session; x-bamboo-session has precedence.
        """
        bound: dict[str, Any] = {}
        if session_from and (session := _id(self.get(session_from))):
            bound["session_id"] = session
        for header, name in _BOUND.items():
            if text := _id(self.get(header)):
                bound[name] = text
        if trace := trace_id_of(raw):
            bound["trace_id"] = trace
        return bound


def _id(text: str) -> str:
    """Return an id of at most 200 visible characters; empty for anything else."""
    return text if _ID.fullmatch(text) else ""


def _is_token(value: str, token: str) -> bool:
    scheme, _, remainder = value.partition(" ")
    shown = remainder.strip() if scheme.lower() == "bearer" else value
    return compare_digest(shown.encode(), token.encode())


def query_without_keys(query: str) -> str:
    """Return a query without the parameters that carry keys, however their names are written."""
    parts = query.split("&")
    return "&".join(part for part in parts if unquote_plus(part.partition("=")[0]).lower() not in _KEYS_IN_QUERY)


def subprotocols_without_keys(names: Iterable[str]) -> list[str]:
    """Return the subprotocols of a WebSocket without those that carry keys, as web pages send them."""
    return [name for name in names if not name.lower().startswith(_KEY_IN_SUBPROTOCOL)]


def to_client(raw: RawHeaders) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer that the client gets, in their order."""
    pairs = [(name.lower(), value) for name, value in raw]
    named = {part.strip().lower() for name, value in pairs if name == b"connection" for part in value.split(b",")}
    without = _HOP_BYTES | named
    return [pair for pair in pairs if pair[0] not in without]
