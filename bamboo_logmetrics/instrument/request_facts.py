"""The model and the kind of answer that a request asks for, read from its body or its path."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec

_MOST_READ = 32 * 1024 * 1024  # bytes of a body; msgspec skips a gigabyte in a second
_MOST_MODEL = 200  # characters of a model's name
_MODEL_IN_PATH = re.compile(r"/(?:models|model|deployments|engines)/([^/:]+(?::\d+)?)")
_STREAM_IN_PATH = re.compile(r"(?i)(?::stream|[-/]stream$|-with-response-stream$|:serverstreaming)")


class RequestFacts(NamedTuple):
    """The model that a request asks for, cut; empty where it names none. And whether it asks for a stream."""

    model: str
    is_stream: bool


class _Body(msgspec.Struct):
    """The two keys of a body that are read; everything else is skipped without being built."""

    model: Any = None
    stream: Any = None


_DECODER = msgspec.json.Decoder(_Body)


def read_request(request: Any) -> RequestFacts:
    """Return the facts of an httpx or httpx2 request, without consuming a body that is a stream of its own."""
    return facts_of(request.url.path, _content(request))


def facts_of(path: str, content: bytes) -> RequestFacts:
    """Return the facts of a request to a path with a whole body."""
    body = _decoded(content)
    return facts_at(path, body.model if isinstance(body.model, str) else "", is_stream=body.stream is True)


def facts_at(path: str, model: str, *, is_stream: bool) -> RequestFacts:
    """Return the facts of a request to a path, whose body named a model, or none, and whether it asked for a stream."""
    if not model and (match := _MODEL_IN_PATH.search(path)):
        model = match.group(1)
    return RequestFacts(model[:_MOST_MODEL], is_stream or bool(_STREAM_IN_PATH.search(path)))


def _content(request: Any) -> bytes:
    try:
        content = request.content
    except Exception:  # noqa: BLE001 - RequestNotRead of either family: a file or multipart, which only the server reads
        return b""
    return content if isinstance(content, bytes) and len(content) <= _MOST_READ else b""


def _decoded(content: bytes) -> _Body:
    if content.lstrip()[:1] != b"{":
        return _Body()
    try:
        return _DECODER.decode(content)
    except (msgspec.DecodeError, RecursionError):
        return _Body()
