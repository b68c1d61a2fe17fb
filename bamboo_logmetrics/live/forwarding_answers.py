"""Answers of the proxy itself, as JSON in the form in which clients of providers look for errors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from bamboo_logmetrics.instrument.asgi import Send


class ErrorAnswer(NamedTuple):
    """An answer of the proxy itself.

    Args:
        status: the HTTP status.
        code: a short name of the reason.
        message: the reason and the remedy.
        upstreams: the names of the upstreams, where the client has to choose one.
    """

    status: int
    code: str
    message: str
    upstreams: tuple[str, ...] = ()


BAD_PATH = ErrorAnswer(400, "bad_path", "the path has '.' or '..' in it, or a character that no path has")
BAD_HEADER = ErrorAnswer(400, "bad_header", "a header is not UTF-8")
NO_TOKEN = ErrorAnswer(
    401, "no_token", "give the proxy's token as x-bamboo-token, or in the place of the provider's key"
)
FROM_A_PAGE = ErrorAnswer(
    403,
    "from_a_page",
    "web pages may not use the keys of this proxy: start it with --auth-token-file and give the token",
)
NO_METRICS = ErrorAnswer(404, "no_metrics", "/metrics needs the extra prometheus, and a single worker")
BAD_METHOD = ErrorAnswer(405, "bad_method", "the method is not forwarded")
TOO_SLOW = ErrorAnswer(408, "too_slow", "the body did not come in time")
TOO_LARGE = ErrorAnswer(413, "too_large", "the body is larger than --max-body allows")
TOO_MANY = ErrorAnswer(503, "too_many", "as many requests as --max-concurrent allows are under way")


def unknown_path(names: Iterable[str]) -> ErrorAnswer:
    """Return the answer to a path that leads to no upstream, with the paths that do."""
    upstreams = tuple(names)
    paths = ", ".join(f"/{name}/..." for name in upstreams)
    return ErrorAnswer(404, "unknown_path", f"the path leads to no upstream; there are {paths}", upstreams)


def unreachable(name: str, host: str) -> ErrorAnswer:
    """Return the answer when an upstream cannot be reached, or ends the connection without an answer."""
    return ErrorAnswer(
        502, "upstream_unreachable", f"the upstream {name!r} ({host}) cannot be reached or gave no answer"
    )


def timed_out(name: str, host: str) -> ErrorAnswer:
    """Return the answer when an upstream does not answer in time."""
    return ErrorAnswer(504, "upstream_timeout", f"the upstream {name!r} ({host}) did not answer in time")


def body_of(refusal: ErrorAnswer) -> bytes:
    """Return the JSON text of an answer."""
    error = {"message": f"bamboo-logmetrics proxy: {refusal.message}", "type": "proxy_error", "code": refusal.code}
    return msgspec.json.encode({"error": error, **({"upstreams": refusal.upstreams} if refusal.upstreams else {})})


async def send_error(send: Send, refusal: ErrorAnswer) -> None:
    """Send an answer of the proxy itself."""
    body = body_of(refusal)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if refusal.status == TOO_MANY.status:
        headers.append((b"retry-after", b"1"))
    if refusal.status == TOO_SLOW.status:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
