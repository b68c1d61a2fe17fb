"""HTTP requests to one server: address, authentication, TLS, and its answers. Needs the extra ``ship``."""

from __future__ import annotations

import gzip
import logging
import ssl
import threading
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import httpx

from bamboo_logmetrics._version import __version__
from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.format.redact.patterns import MASK
from bamboo_logmetrics.format.redact.values import mask_text
from bamboo_logmetrics.ship.answers import ACCEPTED, LONGEST_ANSWER, read_body
from bamboo_logmetrics.ship.credentials import ENV_PREFIX, Credentials
from bamboo_logmetrics.ship.destinations.base import Destination
from bamboo_logmetrics.ship.urls import Url, not_a_url, parse_url

_GZIP_LEVEL = 1  # the fastest; JSON lines are a tenth of their size even so
READ_TIMEOUT = 30.0  # seconds for each byte of an answer
_CONNECT_TIMEOUT = 5.0
_TIMEOUT = httpx.Timeout(READ_TIMEOUT, connect=_CONNECT_TIMEOUT)
_SEARCHED, _LONGEST_REASON = 4_000, 500  # characters that are searched for secrets, and that are kept

_SECRETS = (
    "other users could see it in the list of processes; set "
    f"{ENV_PREFIX}USER and {ENV_PREFIX}PASSWORD, or {ENV_PREFIX}TOKEN, in the environment"
)

# raised by a request without an answer; the last comes from a host's name
NO_ANSWER = (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError)


class Answer(NamedTuple):
    """The answer to one request.

    Args:
        status: the HTTP status; 0 where no answer came.
        body: the body of the answer.
        wait: the seconds that the server asks the client to wait, or None.
        error: the error, without secrets; empty for a status of success.
    """

    status: int
    body: bytes = b""
    wait: float | None = None
    error: str = ""


class _Posting(threading.local):
    """Set while this thread sends a request of this package."""

    now = False


_posting = _Posting()


def _not_ours(_record: logging.LogRecord) -> bool:
    return not _posting.now


# These loggers log each request. If the log that is shipped received that, it would grow without end.
for _name in ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy"):
    logging.getLogger(_name).addFilter(_not_ours)


class Server:
    """A server of one destination.

    Args:
        url: its URL; the destination's path is appended unless the URL ends so.
        destination: the kind of server.
        credentials: the credentials for it.

    Attributes:
        verified: True once the server has taken a line; set by Sender and Shipper.
        url: the URL of requests.
        port: its port.
        read_timeout: seconds to wait for each byte of an answer; set by Sender.

    Raises ConfigError for a URL that is not valid or has a secret, and for unusable certificates or proxies.
    """

    def __init__(self, url: str, destination: Destination, credentials: Credentials) -> None:
        request_url = _request_url(url, destination)
        self.url, self.port = request_url.text, request_url.port
        self.verified = False
        self.read_timeout = READ_TIMEOUT
        self._secrets = credentials.secrets()
        headers = {"Content-Type": destination.content_type, "Content-Encoding": "gzip"}
        auth = destination.auth(credentials)
        self._client = make_client(credentials, timeout=_TIMEOUT, headers=headers, auth=auth)

    def post(self, body: bytes) -> Answer:
        """Send a body that :func:`compressed` made, and return the answer; raises nothing."""
        _posting.now = True
        try:
            timeout = httpx.Timeout(READ_TIMEOUT, connect=_CONNECT_TIMEOUT, read=self.read_timeout)
            with self._client.stream("POST", self.url, content=body, timeout=timeout) as response:
                return self._answer(response, read_body(response))
        except NO_ANSWER as error:
            return Answer(0, error=self.shown(f"{type(error).__name__}: {error}".rstrip(": ")))
        finally:
            _posting.now = False

    def shown(self, text: str) -> str:
        """Return a text of the server as one short line, without secrets."""
        return shown(text, self._secrets)

    def close(self) -> None:
        """Close the connections."""
        _posting.now = True
        try:
            self._client.close()
        finally:
            _posting.now = False

    def _answer(self, response: httpx.Response, content: bytes) -> Answer:
        if response.is_success and len(content) <= LONGEST_ANSWER:
            return Answer(response.status_code, content)
        if response.is_success:
            return Answer(response.status_code, error=f"an answer of more than {LONGEST_ANSWER:,} bytes")
        text = content.decode("utf-8", "replace") or response.headers.get("Location", "")
        error = self.shown(f"{response.status_code} {response.reason_phrase}: {text}").rstrip(": ")
        return Answer(response.status_code, content, _wait(response.headers), error)


def make_client(
    credentials: Credentials,
    *,
    timeout: httpx.Timeout,
    headers: Mapping[str, str],
    auth: Mapping[str, str] | httpx.Auth | None = None,
) -> httpx.Client:
    """Return a client that authenticates its requests.

    Args:
        credentials: the certificates, and the headers where ``auth`` is None.
        timeout: the limits of each step of a request.
        headers: headers of each request.
        auth: headers with the credentials, or an object that adds them to each request.

    Raises ConfigError for certificates and proxies that cannot be used.
    """
    auth = credentials.headers() if auth is None else auth
    signer, secret_headers = (auth, {}) if isinstance(auth, httpx.Auth) else (None, auth)
    own = {"User-Agent": f"bamboo-logmetrics/{__version__}", "Accept-Encoding": ACCEPTED}
    headers = {**own, **headers, **secret_headers}
    tls = _tls(credentials)
    try:
        return httpx.Client(headers=headers, auth=signer, timeout=timeout, verify=tls)
    except (ValueError, httpx.InvalidURL, ImportError) as error:
        msg = f"the proxy that the environment names cannot be used: {mask_text(str(error))}"
        raise ConfigError(msg) from None


def shown(text: str, secrets: Iterable[str]) -> str:
    """Return a text of a server as one short line, without secrets."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    return mask_text(" ".join(text[:_SEARCHED].split()))[:_LONGEST_REASON]


def compressed(body: bytes) -> bytes:
    """Return a body compressed with gzip."""
    return gzip.compress(body, _GZIP_LEVEL, mtime=0)


def _request_url(url: str, destination: Destination) -> Url:
    """Return the URL of requests to a server. Raises ConfigError."""
    request_url = destination.request_url(parse_url(url, secrets=_SECRETS, name="url"))
    try:
        httpx.URL(request_url.text)
    except httpx.InvalidURL:  # a host's name with letters that no domain has
        raise not_a_url(url, "url") from None
    return request_url


def _tls(credentials: Credentials) -> ssl.SSLContext:
    """Return the authorities to trust and the client's certificate. Raises ConfigError."""
    path = credentials.ca
    try:
        context = ssl.create_default_context(cafile=path) if path else httpx.create_ssl_context()
        if credentials.cert:
            path = ", ".join(filter(None, (credentials.cert, credentials.key)))
            context.load_cert_chain(
                credentials.cert, credentials.key or None, password=""
            )  # OpenSSL must not prompt for it
    except OSError as error:  # an SSLError is one
        msg = f"{path} cannot be used: {error.strerror or error}"
        raise ConfigError(msg) from None
    return context


def _wait(headers: httpx.Headers) -> float | None:
    """Return the seconds of ``Retry-After``, which is a number or a date, or None."""
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
