"""The answer to a call, read beside the application: chunk by chunk, decompressed, in bounded memory."""

from __future__ import annotations

from collections.abc import Mapping

from bamboo_logmetrics.instrument.decoding import Decode, UndecodableError, decoder_of
from bamboo_logmetrics.instrument.outcomes import LEAST_ERROR
from bamboo_logmetrics.usage import CallFacts, StreamReader, read_body
from bamboo_logmetrics.usage.providers import Endpoint

_MOST_KEPT = 1024 * 1024  # bytes of a body that is not a stream; a longer one is read as one, of which little is kept
_STREAM_TYPES = ("text/event-stream", "application/x-ndjson", "application/jsonl", "application/stream+json",
                 "application/vnd.amazon.eventstream")  # fmt: skip


class AnswerReader:
    """The reader of one answer.

    Args:
        endpoint: the endpoint that was called.
        status: the HTTP status.
        headers: the headers, their names in lower case.
        asked_for_stream: True if the request asked for a stream.

    Attributes:
        is_stream: True if the answer is a stream of events.
    """

    def __init__(self, endpoint: Endpoint, status: int, headers: Mapping[str, str], *, asked_for_stream: bool) -> None:
        content_type = headers.get("content-type", "")
        self._endpoint = endpoint
        self._status = status
        kind = content_type.partition(";")[0].strip().lower()
        self.is_stream = status < LEAST_ERROR and (asked_for_stream or kind in _STREAM_TYPES)
        self._content_type = content_type
        self._stream = StreamReader(endpoint, content_type) if self.is_stream else None
        self._body = bytearray()
        self._is_readable = True
        self._decode: Decode | None = None
        try:
            self._decode = decoder_of(headers.get("content-encoding", ""))
        except UndecodableError:
            self._give_up()

    def feed(self, chunk: bytes) -> None:
        """Read a chunk as it came from the server. Raises nothing."""
        if not self._is_readable:
            return
        if self._decode is None:
            self.feed_plain(chunk)
            return
        try:
            for plain in self._decode(chunk):
                self.feed_plain(plain)
        except UndecodableError:
            self._give_up()

    def feed_plain(self, chunk: bytes) -> None:
        """Read a chunk that is decoded."""
        if self._stream is not None:
            self._stream.feed(chunk)
            return
        self._body += chunk
        if len(self._body) > _MOST_KEPT:
            self._stream = StreamReader(self._endpoint, self._content_type)
            self._stream.feed(bytes(self._body))
            self._body.clear()

    def _give_up(self) -> None:
        """Read no further: the usage stays unknown."""
        self._is_readable = False
        self._body.clear()

    @property
    def is_complete(self) -> bool:
        """True once the provider's own last event has come."""
        return self.is_stream and self._stream is not None and self._stream.complete

    @property
    def has_content(self) -> bool:
        """True from the first event that carries content."""
        return self.is_stream and self._stream is not None and self._stream.first_content

    def facts(self) -> CallFacts:
        """Return the facts so far."""
        if not self._is_readable:
            return CallFacts()
        if self._stream is not None:
            return self._stream.facts()
        return read_body(bytes(self._body), self._endpoint, status=self._status)

    def ends_early(self, facts: CallFacts) -> bool:
        """Return True if bytes that end here lack the last event of such a stream."""
        if not self.is_stream or not self._is_readable or facts.complete:
            return False
        return bool(self._endpoint.shape or facts.bound or facts.usage)
