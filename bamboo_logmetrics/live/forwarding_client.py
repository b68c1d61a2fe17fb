"""The HTTP client of the proxy: it passes on what it gets, follows nothing and keeps no cookies."""

from __future__ import annotations

import aiohttp
from yarl import URL

from bamboo_logmetrics.live.upstreams import Upstream

_CONNECT_SECONDS = 10
_KEEP_ALIVE_SECONDS = 15  # less than servers keep an idle connection, which they may close just when it is used
_MOST_HEADERS = 64 * 1024  # bytes of one header of an answer
_OWN_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")  # that the client would add


def make_session(timeout: float) -> aiohttp.ClientSession:
    """Return a session with a pool of connections, which the caller closes; needs a running event loop.

    Args:
        timeout: seconds that may pass without a byte from an upstream.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=timeout),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=_OWN_HEADERS,
        auto_decompress=False,
        trust_env=False,
        max_line_size=_MOST_HEADERS,
        max_field_size=_MOST_HEADERS,
    )


def url_at(upstream: Upstream, path: str, query: str) -> URL:
    """Return the URL of a path at an upstream, byte for byte."""
    return URL(f"{upstream.origin}{path or '/'}{'?' if query else ''}{query}", encoded=True)
