"""The providers that the proxy forwards to, by the first part of a path: only these, whatever a client sends."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import SplitResult, urlsplit

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.ship.credentials import secret_from
from bamboo_logmetrics.usage.providers import provider_of

KNOWN: Mapping[str, str] = {
    "openai": "https://api.openai.com",
    "anthropic": "https://api.anthropic.com",
    "gemini": "https://generativelanguage.googleapis.com",
}
RESERVED = frozenset({"healthz", "metrics"})  # paths of the server itself

_PROVIDERS = {"openai": "openai", "anthropic": "anthropic", "gemini": "gcp.gemini"}  # of known names, on any host
_KEY_HEADERS = {"anthropic": "x-api-key", "gcp.gemini": "x-goog-api-key", "azure.ai.openai": "api-key"}
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_VISIBLE = re.compile(r"[\x21-\x7e]*")
_EXAMPLE = "such as --upstream groq=https://api.groq.com"


@dataclass(frozen=True, slots=True)
class Upstream:
    """One provider.

    Args:
        name: the first part of the paths that lead to it.
        origin: scheme, host and port, such as ``https://api.openai.com``.
        prefix: what is put before each path; empty or such as ``/base``.
        host: the host alone.
        provider: its name in events; None where the host is not known.
        key: the key that replaces the client's; empty to pass the client's on.
    """

    name: str
    origin: str
    prefix: str
    host: str
    provider: str | None
    key: str = field(default="", repr=False)

    def key_header(self) -> tuple[str, str]:
        """Return the header that carries the key, as this provider wants it."""
        header = _KEY_HEADERS.get(self.provider or "")
        return (header, self.key) if header else ("authorization", f"Bearer {self.key}")


def make_upstreams(pairs: Iterable[str] = (), key_files: Iterable[str] = ()) -> dict[str, Upstream]:
    """Return the upstreams by name: the known ones, and those of ``NAME=URL``, which may replace a known one.

    Args:
        pairs: texts ``NAME=URL``.
        key_files: texts ``NAME=FILE``; the file holds the key for this upstream.

    Raises:
        ConfigError: a text is not of this form, a URL cannot be an upstream, a name is not known, or a file cannot be
            read.
    """
    upstreams = {name: _upstream(name, url) for name, url in KNOWN.items()}
    for pair in pairs:
        name, url = _pair(pair, "--upstream", "NAME=URL")
        upstreams[name] = _upstream(name, url)
    for pair in key_files:
        name, file = _pair(pair, "--upstream-key-file", "NAME=FILE")
        if name not in upstreams:
            msg = f"--upstream-key-file names the upstream {name!r}, which is none of {', '.join(upstreams)}"
            raise ConfigError(msg)
        upstreams[name] = replace(upstreams[name], key=key_from(file))
    return upstreams


def key_from(file: str) -> str:
    """Return the key or token in a file. Raises ConfigError for one that no header can hold."""
    key = secret_from(file).strip()
    if not key or not is_visible(key):
        msg = f"the secret in {file} has a character that no header can hold; the file must have nothing else in it"
        raise ConfigError(msg)
    return key


def _pair(text: str, option: str, form: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not value or not _NAME.fullmatch(name) or name in RESERVED:
        msg = (
            f"{option} needs {form}, where NAME is of lower-case letters, digits and . _ - and is neither healthz nor "
            f"metrics; {_EXAMPLE}"
        )
        raise ConfigError(msg)
    return name, value


def _upstream(name: str, url: str) -> Upstream:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ConfigError(_no_upstream(name)) from None
    if parts.scheme not in {"http", "https"} or not _is_plain(host, parts) or not is_plain_path(parts.path):
        raise ConfigError(_no_upstream(name))
    shown = f"[{host}]" if ":" in host else host
    origin = f"{parts.scheme}://{shown}" + (f":{port}" if port else "")
    return Upstream(name, origin, parts.path.rstrip("/"), host, provider_of(host) or _PROVIDERS.get(name))


def _is_plain(host: str, parts: SplitResult) -> bool:
    """Return True if a URL has a host of ASCII letters, and neither user nor password, query nor fragment."""
    has_user = "@" in parts.netloc
    return bool(host) and host.isascii() and not (has_user or parts.query or parts.fragment)


def _no_upstream(name: str) -> str:
    """Return the message for a URL, which is not shown: it may hold a password."""
    return (
        f"the URL of --upstream {name} must be http:// or https:// with a host, and without user, password, query, "
        f"fragment and '..'; {_EXAMPLE}"
    )


def is_visible(text: str) -> bool:
    """Return True if a text has visible ASCII characters only."""
    return _VISIBLE.fullmatch(text) is not None


def is_plain_path(path: str) -> bool:
    """Return True if a path has visible ASCII characters only, and no part ``.`` or ``..``, however it is written."""
    if not is_visible(path):
        return False
    decoded = path.lower().replace("%2e", ".").replace("%2f", "/").replace("%5c", "/").replace("\\", "/")
    return not {".", ".."} & set(decoded.split("/"))


def split_path(path: str) -> tuple[str, str]:
    """Return the name of the upstream in a path, and the remainder of the path byte for byte."""
    name, slash, remainder = path[1:].partition("/")
    return name, slash + remainder
