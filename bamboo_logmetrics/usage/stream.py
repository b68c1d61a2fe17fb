"""Facts from a stream, chunk by chunk."""

from __future__ import annotations

from bamboo_logmetrics.usage import contents
from bamboo_logmetrics.usage.envelope import read_envelopes
from bamboo_logmetrics.usage.event_stream import FrameSplitter
from bamboo_logmetrics.usage.facts import CallFacts
from bamboo_logmetrics.usage.gathering import Gathering
from bamboo_logmetrics.usage.json_stream import ObjectSplitter
from bamboo_logmetrics.usage.providers import Endpoint
from bamboo_logmetrics.usage.sse import EventSplitter

_FRAMES = "vnd.amazon.eventstream"
_BOM = b"\xef\xbb\xbf"


class StreamReader:
    """Reads the facts of one streamed answer as its bytes pass. It never raises, and its memory is bounded.

    Args:
        endpoint: The endpoint that was called, if it is known.
        content_type: The content type of the answer. The first bytes tell events from JSON, whatever it says.

    Attributes:
        first_content: True from the first event that carries content.
    """

    __slots__ = ("_content_type", "_gathering", "_splitter", "first_content")

    def __init__(self, endpoint: Endpoint | None = None, content_type: str = "") -> None:
        self.first_content = False
        self._gathering = Gathering(endpoint)
        self._content_type = content_type.lower()
        self._splitter: EventSplitter | ObjectSplitter | FrameSplitter | None = None

    @property
    def complete(self) -> bool:
        """Whether the provider's last event has been seen, so that nothing more can come."""
        return self._gathering.last_event

    @property
    def kept(self) -> int:
        """The number of bytes that are held."""
        return 0 if self._splitter is None else self._splitter.kept

    def feed(self, chunk: bytes) -> None:
        """Read a chunk of the decompressed answer, cut anywhere."""
        try:
            self._feed(chunk)
        except Exception:  # noqa: BLE001 -- an answer that cannot be read must not disturb the call
            self._gathering.is_unreadable = True

    def _feed(self, chunk: bytes) -> None:
        splitter = self._splitter
        if splitter is None:
            chunk = chunk.removeprefix(_BOM).lstrip()
            if not chunk:
                return
            splitter = self._splitter = self._splitter_for(chunk)
        if isinstance(splitter, EventSplitter):
            for name, data in splitter.split(chunk):
                self._read(name, data)
            if splitter.is_short():
                self._read_last(splitter)
        elif isinstance(splitter, ObjectSplitter):
            for data in splitter.split(chunk):
                self._read("", data)
            self._end_of_json(splitter)
        else:
            for name, data in splitter.split(chunk):
                self._read(name, data)

    def _splitter_for(self, chunk: bytes) -> EventSplitter | ObjectSplitter | FrameSplitter:
        if _FRAMES in self._content_type or chunk[:1] == b"\0":
            return FrameSplitter()
        return ObjectSplitter() if chunk[:1] in {b"{", b"["} else EventSplitter()

    def _end_of_json(self, splitter: ObjectSplitter) -> None:
        """Note the end of a JSON text that is the whole answer, an error or a list for example."""
        if not splitter.is_closed:
            return
        gathering = self._gathering
        if splitter.is_list or ("application/json" in self._content_type and not gathering.is_of_many):
            gathering.last_event = gathering.ended = True

    def _read_last(self, splitter: EventSplitter) -> None:
        last = splitter.last()
        if last is not None and contents.is_done(last[1]):
            self._read(*last)

    def _read(self, name: str, data: bytes) -> None:
        if self.first_content and contents.is_content_alone(data):
            return
        gathering = self._gathering
        if contents.is_done(data):
            gathering.last_event = gathering.ended = True
            return
        for envelope in read_envelopes(data):
            if not self.first_content:
                self.first_content = contents.has_content(envelope, data)
            gathering.absorb(envelope, name)

    def facts(self) -> CallFacts:
        """Return the facts so far. Before the end a usage is ``partial``."""
        splitter = self._splitter
        if isinstance(splitter, EventSplitter):
            last = splitter.last()
            if last is not None:
                self._read(*last)
        return self._gathering.facts()
