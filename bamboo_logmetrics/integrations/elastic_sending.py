"""Sends the requests of :mod:`bamboo_logmetrics.integrations.elastic` to a server. It needs the extra ``ship``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import httpx

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.integrations.elastic import Request
from bamboo_logmetrics.ship.credentials import Credentials
from bamboo_logmetrics.ship.http import NO_ANSWER, full_url, make_client, shown

_TIMEOUT = httpx.Timeout(60.0, connect=5.0)
_POLICIES = "_plugins/_ism/"
_CONFLICT = 409


class Done(NamedTuple):
    """What came of one request.

    Args:
        request: the request.
        ok: whether the server has it now.
        said: what the server answered, in short.
        skipped: whether the server cannot have it, and does without.
    """

    request: Request
    ok: bool
    said: str
    skipped: bool = False


def send(requests: Iterable[Request], url: str, access: Credentials) -> Iterator[Done]:
    """Send requests in order, and tell of each what came of it; the first that is refused is the last.

    Args:
        requests: what to send.
        url: where the server is.
        access: how it is convinced.

    Raises ConfigError for a URL that is none, or that holds a password.
    """
    base = full_url(url, "")
    if "?" in base:
        msg = "--url must have no query: the paths of the requests are appended to it"
        raise ConfigError(msg)
    with make_client(access, timeout=_TIMEOUT, headers={}) as client:
        for request in requests:
            try:
                done = _send(client, base, request)
            except NO_ANSWER as error:
                done = Done(request, ok=False, said=f"{type(error).__name__}: {error}".rstrip(": "))
            yield done._replace(said=shown(done.said, access.secrets()))
            if not (done.ok or done.skipped):
                return


def _send(client: httpx.Client, base: str, request: Request) -> Done:
    url = f"{base}/{request.path}"
    answer = client.request(request.method, url, json=request.body)
    if request.path.startswith(_POLICIES):
        if "no handler found for uri" in answer.text:  # what OpenSearch says of an interface that it does not have
            said = "no ISM here: no lifecycle policy, so nothing is ever deleted"
            return Done(request, ok=False, said=said, skipped=True)
        if answer.status_code == _CONFLICT:  # it is there; a change names the version that it is made to
            answer = client.request(request.method, url, json=request.body, params=_version(client.get(url)))
    said = f"{answer.status_code} {answer.reason_phrase}".rstrip()
    return Done(
        request, ok=answer.is_success, said=said if answer.is_success else f"{said}: {answer.text}".rstrip(": ")
    )


def _version(found: httpx.Response) -> dict[str, Any]:
    try:
        policy = found.json()
    except ValueError:
        return {}
    if not isinstance(policy, dict):
        return {}
    names = {"if_seq_no": "_seq_no", "if_primary_term": "_primary_term"}
    return {name: policy[key] for name, key in names.items() if key in policy}
