"""Sends the setup requests to a server. Needs the extra ``ship``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import httpx
import msgspec

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.integrations.elasticsearch.requests import Request
from bamboo_logmetrics.ship.answers import read_body
from bamboo_logmetrics.ship.credentials import ENV_PREFIX, Credentials
from bamboo_logmetrics.ship.http import NO_ANSWER, make_client, shown
from bamboo_logmetrics.ship.urls import parse_url

_TIMEOUT = httpx.Timeout(60.0, connect=5.0)  # seconds
_SECRETS = f"set {ENV_PREFIX}USER and {ENV_PREFIX}PASSWORD, or {ENV_PREFIX}TOKEN or {ENV_PREFIX}API_KEY"
_POLICIES = "_plugins/_ism/"
_CONFLICT = 409


class RequestResult(NamedTuple):
    """The result of one request.

    Args:
        request: the request.
        ok: True if the server has accepted it.
        message: the server's response in short, without secrets.
        skipped: True if the server does not have this feature, and the setup works without it.
    """

    request: Request
    ok: bool
    message: str
    skipped: bool = False


def send(requests: Iterable[Request], url: str, credentials: Credentials) -> Iterator[RequestResult]:
    """Send requests in order, and yield the result of each. Stop after the first request that the server refuses.

    Args:
        requests: the requests.
        url: the URL of the server.
        credentials: the credentials for the server.

    Raises ConfigError for a text that is not a URL, and for a URL with a secret or a query.
    """
    base = parse_url(url, secrets=_SECRETS).remove("/_bulk")
    if base.query:
        msg = "--url must not have a query: the paths of the requests are appended to the URL"
        raise ConfigError(msg)
    with make_client(credentials, timeout=_TIMEOUT, headers={}) as client:
        for request in requests:
            try:
                result = _send(client, base.text, request)
            except NO_ANSWER as error:
                result = RequestResult(request, ok=False, message=f"{type(error).__name__}: {error}".rstrip(": "))
            yield result._replace(message=shown(result.message, credentials.secrets()))
            if not (result.ok or result.skipped):
                return


def _send(client: httpx.Client, base: str, request: Request) -> RequestResult:
    url = f"{base}/{request.path}"
    response = _response(client, request.method, url, json=request.body)
    if request.path.startswith(_POLICIES):
        if "no handler found for uri" in response.text:  # OpenSearch's message for an endpoint that it does not have
            message = "no ISM here: no lifecycle policy, so nothing is ever deleted"
            return RequestResult(request, ok=False, message=message, skipped=True)
        if response.code == _CONFLICT:  # the policy exists; ISM changes only the version that a request names
            version = _version(_response(client, "GET", url))
            response = _response(client, request.method, url, json=request.body, params=version)
    message = response.status
    if not response.ok:
        message = f"{message}: {response.text}".rstrip(": ")
    return RequestResult(request, ok=response.ok, message=message)


class _Response(NamedTuple):
    """An answer, of which no more is read than is needed.

    Args:
        status: the status and its reason, such as ``200 OK``.
        ok: True for a status of success.
        code: the status.
        body: the body.
    """

    status: str
    ok: bool
    code: int
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")


def _response(client: httpx.Client, method: str, url: str, **content: Any) -> _Response:
    """Make a request and return its answer. Raises one of NO_ANSWER."""
    with client.stream(method, url, **content) as response:
        status = f"{response.status_code} {response.reason_phrase}".rstrip()
        return _Response(status, response.is_success, response.status_code, read_body(response))


class _Policy(msgspec.Struct):
    seq_no: int | None = msgspec.field(name="_seq_no", default=None)
    primary_term: int | None = msgspec.field(name="_primary_term", default=None)


def _version(response: _Response) -> dict[str, Any]:
    try:
        policy = msgspec.json.decode(response.body, type=_Policy)
    except (ValueError, RecursionError):
        return {}
    versions = {"if_seq_no": policy.seq_no, "if_primary_term": policy.primary_term}
    return {name: value for name, value in versions.items() if value is not None}
