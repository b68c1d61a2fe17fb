"""The ASGI application that takes OTLP over HTTP: logs, traces and metrics, in protobuf and in JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hmac import compare_digest

from bamboo_logmetrics.importers.otlp import json_form, protobuf_form
from bamboo_logmetrics.importers.otlp.records import LOG, METRIC, SPAN, NotOtlpError, TelemetryRecord
from bamboo_logmetrics.instrument.asgi import Receive, Scope, Send
from bamboo_logmetrics.live.acknowledging import Acknowledger
from bamboo_logmetrics.live.telemetry_answers import (
    JSON,
    PROTOBUF,
    Outcome,
    TelemetryError,
    response_of,
    send_answer,
    status_of,
)
from bamboo_logmetrics.live.telemetry_bodies import (
    EXHAUSTED,
    INVALID,
    ClientLeftError,
    HeldBytes,
    check_encoding,
    plain_body,
    read_body,
)

_SIGNALS = {"/v1/logs": LOG, "/v1/traces": SPAN, "/v1/metrics": METRIC}
_NOT_FOUND, _NOT_THERE, _UNKNOWN_CLIENT = 5, 12, 16  # codes of google.rpc.Status


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverOptions:
    """Limits of a receiver.

    Args:
        token: the token that exporters have to give as ``Authorization: Bearer``; empty for none.
        max_body: the largest body, in bytes, compressed and plain.
        max_held: bytes of all bodies that are under way; at least ``max_body``.
        max_concurrent: requests that may be under way.
        timeout: seconds that may pass without a byte of a body.
    """

    token: str = ""
    max_body: int = 16 * 1024 * 1024
    max_held: int = 128 * 1024 * 1024
    max_concurrent: int = 200
    timeout: float = 30


class Receiver:
    """Takes the requests of exporters.

    Args:
        acknowledger: writes their events.
        options: the limits.

    Attributes:
        events: the number of events that were written.
        held: the bytes of bodies that are under way.
    """

    def __init__(self, acknowledger: Acknowledger, options: ReceiverOptions) -> None:
        self.events = 0
        self._acknowledger = acknowledger
        self._options = options
        self._under_way = 0
        self.held = HeldBytes(max(options.max_held, options.max_body))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a connection of the server."""
        if scope["type"] == "lifespan":
            while (await receive())["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        kind = headers.get(b"content-type", "").partition(";")[0].strip().lower()
        encoding = PROTOBUF if kind == PROTOBUF else JSON
        self._under_way += 1
        try:
            signal = self._check(scope, headers, kind)
            outcome = await self._take(headers, receive, signal, encoding)
        except TelemetryError as error:
            await send_answer(send, error.status, encoding, status_of(error, encoding), error.headers)
        except ClientLeftError:
            return
        else:
            self.events += outcome.events
            await send_answer(send, 200, encoding, response_of(outcome, signal, encoding))
        finally:
            self._under_way -= 1

    def _check(self, scope: Scope, headers: dict[bytes, str], kind: str) -> str:
        """Return the signal of a request that may be taken. Raises TelemetryError."""
        options = self._options
        if options.token and not _has_token(headers.get(b"authorization", ""), options.token):
            text = "give the token: OTEL_EXPORTER_OTLP_HEADERS='Authorization=Bearer <token>'"
            raise TelemetryError(401, _UNKNOWN_CLIENT, text, (b"www-authenticate", b"Bearer"))
        signal = _SIGNALS.get(scope["path"])
        if signal is None:
            text = f"the path is not known; there are {', '.join(_SIGNALS)}"
            raise TelemetryError(404, _NOT_FOUND, text)
        if scope["method"] != "POST":
            raise TelemetryError(405, _NOT_THERE, "only POST is allowed", (b"allow", b"POST"))
        if kind not in {PROTOBUF, JSON}:
            text = f"the content type is not known: use {PROTOBUF} or {JSON} (OTEL_EXPORTER_OTLP_PROTOCOL=http/json)"
            raise TelemetryError(415, INVALID, text)
        if self._under_way > options.max_concurrent:
            raise TelemetryError(503, EXHAUSTED, "as many requests as --max-concurrent allows are under way")
        return signal

    async def _take(self, headers: dict[bytes, str], receive: Receive, signal: str, encoding: str) -> Outcome:
        options = self._options
        compression = check_encoding(headers.get(b"content-encoding", ""))
        with self.held.holding() as take:
            body = await read_body(receive, options.max_body, options.timeout, take)

            def read() -> Iterable[TelemetryRecord]:
                return records_of(plain_body(body, compression, options.max_body), signal, encoding)

            return await self._acknowledger.write(read)


def records_of(body: bytes, signal: str, encoding: str) -> Iterator[TelemetryRecord]:
    """Yield the records of a body. Raises NotOtlpError, also on the way."""
    if encoding == PROTOBUF:
        yield from protobuf_form.records_of(body, signal)
        return
    for record in json_form.records_of(body):
        if record.signal != signal:
            msg = f"the body has other signals than the {signal}s of this path"
            raise NotOtlpError(msg)
        yield record


def _has_token(header: str, token: str) -> bool:
    scheme, _, shown = header.partition(" ")
    return scheme.lower() == "bearer" and compare_digest(shown.strip().encode(), token.encode())
