"""Facts from one whole body."""

from __future__ import annotations

from bamboo_logmetrics.usage.envelope import read_envelopes
from bamboo_logmetrics.usage.facts import CallFacts
from bamboo_logmetrics.usage.gathering import Gathering
from bamboo_logmetrics.usage.providers import Endpoint
from bamboo_logmetrics.usage.stream import StreamReader

_STREAMS = (b"data:", b"event", b":", b"id:", b"retry", b"{", b"[", b"\0")  # the beginnings of streams


def read_body(body: bytes, endpoint: Endpoint | None = None, *, status: int = 200) -> CallFacts:
    """Return the facts of one JSON body. Never raises; of an unknown shape the usage is None.

    Args:
        body: The body, decompressed.
        endpoint: The endpoint that was called, if it is known.
        status: The HTTP status; from 400 on more is taken for an error message.
    """
    try:
        return _read(body, endpoint, status)
    except Exception:  # noqa: BLE001 -- an answer that cannot be read must not disturb the call
        return CallFacts()


def _read(body: bytes, endpoint: Endpoint | None, status: int) -> CallFacts:
    envelopes = read_envelopes(body)
    if not envelopes and body.lstrip()[:5].startswith(_STREAMS):
        reader = StreamReader(endpoint)
        reader.feed(body)
        return reader.facts()
    gathering = Gathering(endpoint, status)
    for envelope in envelopes:
        gathering.absorb(envelope)
    gathering.ended = True
    return gathering.facts()
