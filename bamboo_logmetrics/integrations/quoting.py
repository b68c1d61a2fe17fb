"""Texts in the syntax of each agent, and what cannot be said there."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.format.redact.values import mask_text

Quote = Callable[[str], str]

_PATTERN = "*?[]{}\\"  # what agents read as a pattern; none of them writes all of these in the same way
_SYNTAX = "\"'`$\\{}"  # of any of the languages that a service's name stands in
_PORTS = {"http": 80, "https": 443}


def yaml(text: str) -> str:
    """Return a text for YAML, and for Alloy, whose escapes are the same: of JSON."""
    return json.dumps(text, ensure_ascii=False)


def collector(text: str) -> str:
    """Return a text for the collector's YAML, in which ``$$`` stands for ``$``."""
    return yaml(text.replace("$", "$$"))


def logstash(text: str) -> str:
    """Return a text for Logstash, which has no escapes. Raises ConfigError for one with both kinds of quotes."""
    quotes = [quote for quote in "\"'" if quote not in text]
    if not quotes:
        msg = f"Logstash cannot be told {text!r}, with both kinds of quotes in it: give the directory another name"
        raise ConfigError(msg)
    return quotes[0] + text + quotes[0]


def check_path(option: str, path: str, target: str, reserved: str) -> None:
    """Raise ConfigError for a path that the agent would take for something else."""
    for char in path:
        if not char.isprintable() or char in _PATTERN + reserved:
            msg = (
                f"{option} {path!r} has a {char!r} in it, which {target} would not read as a part of a name: "
                "give the file or its directory another name, or a link with one"
            )
            raise ConfigError(msg)


def check_name(option: str, name: str) -> None:
    """Raise ConfigError for a service or environment that is no ordinary name."""
    for char in name:
        if not char.isprintable() or char in _SYNTAX:
            msg = f"{option} {name!r} has a {char!r} in it: take letters, digits, and signs such as . _ - / or a space"
            raise ConfigError(msg)


class Url(NamedTuple):
    """A server's address; its path has no slash at the end."""

    scheme: str
    host: str
    port: int
    path: str
    text: str

    @property
    def with_port(self) -> str:
        """The address with its port, where none was given that of the scheme."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    def ending(self, end: str) -> str:
        """Return the address with an end, unless it has that already."""
        return self.without(end) + end

    def path_ending(self, end: str) -> str:
        """Return the path with an end, unless it has that already."""
        return self.path.removesuffix(end).rstrip("/") + end

    def without(self, end: str) -> str:
        """Return the address without an end."""
        return self.text.removesuffix(end).rstrip("/")


def parse_url(text: str) -> Url:
    """Return the parts of a URL. Raises ConfigError for one that is none, or that has more in it than an address."""
    text = text.rstrip("/")
    shown = mask_text(text.rpartition("@")[2].partition("?")[0])  # the rest may be a secret
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:  # its text may show more of it
        parts, port = urlsplit(""), None
    if parts.scheme not in _PORTS or not parts.hostname:
        msg = f"--url {shown!r} is none: give one such as http://localhost:3100"
        raise ConfigError(msg)
    if "@" in parts.netloc:
        msg = "--url must not hold a user or password: the printed file says how the agent takes them from elsewhere"
        raise ConfigError(msg)
    if parts.query or parts.fragment or any(not char.isprintable() or char in _SYNTAX + "<> " for char in text):
        msg = f"--url {shown!r} has more than scheme, host, port and path, or a sign that must be percent-encoded"
        raise ConfigError(msg)
    return Url(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], parts.path, text)
