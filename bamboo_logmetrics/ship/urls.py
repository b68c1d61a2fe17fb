"""URLs of servers, checked and taken apart. Needs no extra."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.format.redact.values import mask_text

_PORTS = {"http": 80, "https": 443}
_SPECIAL = "\"'`$\\{}<> "  # a configuration file's syntax, or to be percent-encoded


class Url(NamedTuple):
    """The URL of a server.

    Args:
        scheme: ``http`` or ``https``.
        netloc: host and port as they were written.
        host: the host's name or address, without the brackets of IPv6.
        port: the port; the scheme's where none was written.
        path: the path, without a slash at its end.
        query: the query, without its question mark.
    """

    scheme: str
    netloc: str
    host: str
    port: int
    path: str = ""
    query: str = ""

    @property
    def text(self) -> str:
        """The URL as one text."""
        return SplitResult(self.scheme, self.netloc, self.path, self.query, "").geturl()

    @property
    def with_port(self) -> str:
        """The URL as one text, always with a port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self._replace(netloc=f"{host}:{self.port}").text

    def append(self, path: str) -> Url:
        """Return the URL with a path appended to its own, unless its own ends so already."""
        return self if self.path.endswith(path) else self._replace(path=self.path + path)

    def remove(self, path: str) -> Url:
        """Return the URL without a path at the end of its own."""
        return self._replace(path=self.path.removesuffix(path).rstrip("/"))


def parse_url(text: str, *, secrets: str, name: str = "--url", plain: bool = False) -> Url:
    """Take a URL apart; its fragment is left out.

    Args:
        text: the URL.
        secrets: where users and passwords are to be given instead; for the error.
        name: the name of the option or argument; for the error.
        plain: True to refuse a query, a fragment, and signs that must be percent-encoded.

    Raises ConfigError for a text that is not an HTTP URL, and for one with a secret in it. No error shows the secret.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    control = any(char.isascii() and not char.isprintable() for char in text)  # urlsplit would drop some
    if parts.scheme not in _PORTS or not host or port == 0 or control:
        raise not_a_url(text, name)
    if "@" in parts.netloc or mask_text(text) != text:
        msg = f"{name} must not hold a user, a password or another secret: {secrets}"
        raise ConfigError(msg)
    if plain and (parts.query or parts.fragment or any(not char.isprintable() or char in _SPECIAL for char in text)):
        msg = f"{name} {_shown(text)} has more than scheme, host, port and path, or a sign that must be percent-encoded"
        raise ConfigError(msg)
    return Url(parts.scheme, parts.netloc, host, port or _PORTS[parts.scheme], parts.path.rstrip("/"), parts.query)


def not_a_url(text: str, name: str = "--url") -> ConfigError:
    """Return the error for a text that is not an HTTP URL."""
    return ConfigError(f"{name} {_shown(text)} is not an HTTP URL; use one such as http://localhost:3100")


def _shown(text: str) -> str:
    return repr(mask_text(text.rpartition("@")[2].partition("?")[0]))  # the rest may be a secret
