"""The responses on one WebSocket as calls: one started and one completed event for each of them."""

from __future__ import annotations

from collections import deque
from time import perf_counter
from typing import Any, Protocol

import msgspec

from bamboo_logmetrics.instrument.request_facts import RequestFacts, facts_at
from bamboo_logmetrics.instrument.shield import shielded
from bamboo_logmetrics.live.forwarding_calls import ForwardedCall, RawAnswer

_SWITCHED = 101  # the HTTP status of a connection that became a WebSocket
_ANSWER = RawAnswer(_SWITCHED, [(b"content-type", b"application/x-ndjson")])  # events are read as lines of JSON
_LAST = frozenset({
    "response.done", "response.completed", "response.incomplete", "response.failed", "response.cancelled",
})  # fmt: skip
_MOST_AT_ONCE = 100  # responses under way on one connection; the oldest ends for a further one
_CUT_OFF = ("the upstream did not end the response", "stream_broken")  # error and error_type


class MakeCall(Protocol):
    """Makes a call that has not begun."""

    def __call__(self, facts: RequestFacts, began: float) -> ForwardedCall:
        """Return the call of a request with these facts that came at ``began``."""


class _Event(msgspec.Struct):
    """The keys of an event that are looked at; everything else is skipped without being built."""

    type: Any = None
    model: Any = None
    response: Any = None
    response_id: Any = None


class _Pending(msgspec.Struct):
    """A response that the client has asked for, and the server has not begun."""

    facts: RequestFacts
    began: float


_DECODER = msgspec.json.Decoder(_Event)


class ResponseCalls:
    """The calls on one connection.

    Args:
        make_call: makes the call of a response.
        path: the path at the upstream.
        model: the model that the query names; empty for none.
    """

    def __init__(self, make_call: MakeCall, path: str, model: str) -> None:
        self._make_call = make_call
        self._path = path
        self._model = model
        self._is_realtime = path.rstrip("/").endswith("/realtime")
        self._pending: deque[_Pending] = deque(maxlen=_MOST_AT_ONCE)
        self._open: dict[str, ForwardedCall] = {}
        self._ended: deque[str] = deque(maxlen=_MOST_AT_ONCE)  # ids

    @shielded
    def from_client(self, message: bytes) -> None:
        """Note that the client asks for a response."""
        if b"response.create" not in message or (event := _read(message)) is None or event.type != "response.create":
            return
        response = event.response if isinstance(event.response, dict) else {}
        model = next((name for name in (event.model, response.get("model"), self._model) if isinstance(name, str)), "")
        self._pending.append(_Pending(facts_at(self._path, model, is_stream=True), perf_counter()))

    @shielded
    def from_server(self, message: bytes) -> None:
        """Read an event of the server, and report the response that it begins or ends."""
        if (event := _read(message)) is None or not isinstance(event.type, str):
            return
        if event.type == "response.created":
            self._begin(event, message)
        elif event.type in _LAST:
            self._end(event, message)
        elif event.type == "error":
            self._fail(message)
        elif event.type.endswith(".delta") and (call := self._call_of(event)) is not None:
            call.feed(message + b"\n")

    def _begin(self, event: _Event, message: bytes) -> None:
        call = self._started()
        call.feed(message + b"\n")
        name = _id_of(event)
        lost = self._open.pop(name, None)
        if lost is None and len(self._open) >= _MOST_AT_ONCE:
            lost = self._open.pop(next(iter(self._open)))
        if lost is not None:
            lost.refused(*_CUT_OFF)
        self._open[name] = call

    def _end(self, event: _Event, message: bytes) -> None:
        name = _id_of(event)
        call = self._open.pop(name, None)
        if call is None:
            if name in self._ended:
                return  # told again
            call = self._started()
        if name:
            self._ended.append(name)
        call.feed(message + b"\n")
        call.ended()

    def _fail(self, message: bytes) -> None:
        """Take an error. On a realtime connection it may be about anything, so it ends no response."""
        if self._is_realtime:
            return
        if self._pending:
            call = self._started()
        elif self._open:
            call = self._open.pop(next(iter(self._open)))
        else:
            return
        call.feed(message + b"\n")
        call.ended()

    def _started(self) -> ForwardedCall:
        """Return a call that has begun: the response that has waited longest, else one that the server began itself."""
        if self._pending:
            pending = self._pending.popleft()
        else:
            pending = _Pending(facts_at(self._path, self._model, is_stream=True), perf_counter())
        call = self._make_call(pending.facts, pending.began)
        call.begin()
        call.answered(_ANSWER)
        return call

    def _call_of(self, event: _Event) -> ForwardedCall | None:
        """Return the call to which a part of a response belongs; parts without an id belong to the only one."""
        if isinstance(event.response_id, str):
            return self._open.get(event.response_id)
        return next(iter(self._open.values())) if len(self._open) == 1 else None

    @shielded
    def closed(self, *, by_client: bool) -> None:
        """Complete the calls that are under way: the connection has ended."""
        while self._pending and not self._is_realtime:
            self._open[f"pending {len(self._pending)}"] = self._started()
        for call in self._open.values():
            if by_client:
                call.left()
            else:
                call.refused(*_CUT_OFF)
        self._open.clear()


def _read(message: bytes) -> _Event | None:
    try:
        return _DECODER.decode(message)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def _id_of(event: _Event) -> str:
    response = event.response if isinstance(event.response, dict) else {}
    return str(response.get("id") or event.response_id or "")
