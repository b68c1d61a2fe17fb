"""One request to a server: how it is addressed and authorised, and what comes back. It needs the extra ``ship``."""

from __future__ import annotations

import gzip
import logging
import ssl
import threading
import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx

from bamboo_logmetrics._version import __version__
from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.format.redact.patterns import MASK
from bamboo_logmetrics.format.redact.values import mask_text
from bamboo_logmetrics.ship.credentials import ENV_PREFIX, Credentials

_GZIP_LEVEL = 1  # the fastest; JSON lines are a tenth of their size even so
_TIMEOUT = httpx.Timeout(30.0, connect=5.0)
_LONGEST_WAIT = 30.0  # seconds, for the body of an answer
_LONGEST_ANSWER = 16 * 1024 * 1024  # bytes, decompressed; Elasticsearch says a little of each line
_SEARCHED, _LONGEST_REASON = 4_000, 500  # characters: in which secrets are looked for, and which are kept


# what a request raises; the last: of a host's name
NO_ANSWER = (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError)


class Answer(NamedTuple):
    """What came of a request.

    Args:
        status: the HTTP status; 0 where no answer came.
        body: the body of an answer.
        wait: the seconds that the server asks to wait for, or None.
        error: what is wrong, without secrets; empty for a status of success.
    """

    status: int
    body: bytes = b""
    wait: float | None = None
    error: str = ""


class _Posting(threading.local):
    """Is set while this thread posts something of ours."""

    now = False


_posting = _Posting()


def _not_ours(_record: logging.LogRecord) -> bool:
    return not _posting.now


# They log each request; were that shipped as well, it would be the next thing to ship, without end.
for _name in ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy"):
    logging.getLogger(_name).addFilter(_not_ours)


class Server:
    """One URL that requests are posted to.

    Args:
        url: where to.
        path: what is appended to the URL unless it ends so.
        content_type: of the bodies.
        access: how the server is convinced.

    Attributes:
        proven: True once it has taken something; set by whoever knows.

    Raises ConfigError for a URL that is none, or that holds a secret, and for certificates and proxies that cannot be
    used.
    """

    def __init__(self, url: str, path: str, *, content_type: str, access: Credentials) -> None:
        self.url = full_url(url, path)
        self.proven = False
        self._secrets = access.secrets()
        headers = {"Content-Type": content_type, "Content-Encoding": "gzip"}
        self._client = make_client(access, timeout=_TIMEOUT, headers=headers)

    def post(self, body: bytes) -> Answer:
        """Post a body that :func:`compressed` made, and return what came of it; raises nothing."""
        _posting.now = True
        try:
            with self._client.stream("POST", self.url, content=body) as response:
                return self._answer(response, _content(response))
        except NO_ANSWER as error:
            return Answer(0, error=self.shown(f"{type(error).__name__}: {error}".rstrip(": ")))
        finally:
            _posting.now = False

    def shown(self, text: str) -> str:
        """Return what a server said as one short line, without secrets."""
        return shown(text, self._secrets)

    def close(self) -> None:
        """Close the connections."""
        _posting.now = True
        try:
            self._client.close()
        finally:
            _posting.now = False

    def _answer(self, response: httpx.Response, content: bytes) -> Answer:
        if response.is_success and len(content) <= _LONGEST_ANSWER:
            return Answer(response.status_code, content)
        if response.is_success:
            return Answer(response.status_code, error=f"an answer of more than {_LONGEST_ANSWER:,} bytes")
        text = content.decode("utf-8", "replace") or response.headers.get("Location", "")
        error = self.shown(f"{response.status_code} {response.reason_phrase}: {text}").rstrip(": ")
        return Answer(response.status_code, content, _wait(response.headers), error)


def _content(response: httpx.Response) -> bytes:
    """Return the body of an answer, or its beginning where that is too large to be one."""
    content, until = bytearray(), time.monotonic() + _LONGEST_WAIT
    for chunk in response.iter_bytes():
        content += chunk
        if time.monotonic() > until:  # the client's limit is one for each part
            msg = f"an answer that takes more than {_LONGEST_WAIT:.0f} s"
            raise httpx.ReadTimeout(msg)
        if len(content) > _LONGEST_ANSWER:
            break
    return bytes(content)


def make_client(access: Credentials, *, timeout: httpx.Timeout, headers: Mapping[str, str]) -> httpx.Client:
    """Return a client that is authorised. Raises ConfigError for certificates and proxies that cannot be used."""
    headers = {"User-Agent": f"bamboo-logmetrics/{__version__}", **headers, **access.headers()}
    auth = httpx.BasicAuth(access.user, access.password) if access.user else None
    tls = _tls(access)
    try:
        return httpx.Client(headers=headers, auth=auth, timeout=timeout, verify=tls)
    except (ValueError, httpx.InvalidURL, ImportError) as error:
        msg = f"the proxy that the environment names cannot be used: {mask_text(str(error))}"
        raise ConfigError(msg) from None


def shown(text: str, secrets: Iterable[str]) -> str:
    """Return what a server said as one short line, without secrets."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    return mask_text(" ".join(text[:_SEARCHED].split()))[:_LONGEST_REASON]


def compressed(body: bytes) -> bytes:
    """Return a body with gzip."""
    return gzip.compress(body, _GZIP_LEVEL, mtime=0)


def full_url(url: str, path: str) -> str:
    """Return the URL with the path of the interface. Raises ConfigError."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(httpx.URL(url).host) and parts.port != 0
    except (ValueError, httpx.InvalidURL):
        usable = False
    if not usable:
        msg = f"not a URL to ship to: {mask_text(url.rpartition('@')[2])!r}; give one such as http://localhost:3100"
        raise ConfigError(msg)
    if "@" in parts.netloc or mask_text(url) != url:
        msg = (
            "a URL with a secret in it shows it to everybody who lists the processes: "
            f"give {ENV_PREFIX}USER and {ENV_PREFIX}PASSWORD, or {ENV_PREFIX}TOKEN, in the environment"
        )
        raise ConfigError(msg)
    stem = parts.path.rstrip("/")
    whole = stem if stem.endswith(path) else stem + path
    return parts._replace(path=whole, fragment="").geturl()


def _tls(access: Credentials) -> ssl.SSLContext:
    """Return what a server's certificate is checked with, and the client's own. Raises ConfigError."""
    path = access.ca
    try:
        context = ssl.create_default_context(cafile=path) if path else httpx.create_ssl_context()
        if access.cert:
            path = ", ".join(filter(None, (access.cert, access.key)))
            context.load_cert_chain(access.cert, access.key or None, password="")  # which must not be asked for
    except OSError as error:  # an SSLError is one
        msg = f"{path} cannot be used: {error.strerror or error}"
        raise ConfigError(msg) from None
    return context


def _wait(headers: httpx.Headers) -> float | None:
    """Return the seconds of ``Retry-After``: a number of them, or a date."""
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return max(0.0, (moment - datetime.now(timezone.utc)).total_seconds())
