"""``/healthz`` and ``/metrics`` before an application."""

from __future__ import annotations

from collections.abc import Callable

from bamboo_logmetrics.instrument.asgi import App, Receive, Scope, Send
from bamboo_logmetrics.live import forwarding_answers as answers
from bamboo_logmetrics.live.forwarding_answers import send_error
from bamboo_logmetrics.live.forwarding_headers import NotUtf8Error, RequestHeaders
from bamboo_logmetrics.logger.bound_log import BoundLog

_HEALTH = b'{"status":"ok"}'
_TEXT = b"text/plain; version=0.0.4; charset=utf-8"


class StatusPages:
    """An ASGI application before another one.

    Args:
        app: the application for all other paths.
        log: the log whose numbers ``/metrics`` gives, if prometheus-client is installed.
        token: the token that ``/metrics`` needs; empty for none.
        has_metrics: False where this process counts only a part.
    """

    def __init__(self, app: App, log: BoundLog, token: str = "", *, has_metrics: bool = True) -> None:
        self._app = app
        self._token = token
        self._metrics = _metrics_of(log) if has_metrics else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a page, or pass the connection on."""
        path = scope["path"] if scope["type"] == "http" else ""
        if path == "/healthz":
            await _send(send, b"application/json", _HEALTH)
        elif path == "/metrics":
            await self._send_metrics(scope, send)
        else:
            await self._app(scope, receive, send)

    async def _send_metrics(self, scope: Scope, send: Send) -> None:
        if self._token and not _has_token(scope, self._token):
            await send_error(send, answers.NO_TOKEN)
        elif self._metrics is None:
            await send_error(send, answers.NO_METRICS)
        else:
            await _send(send, _TEXT, self._metrics())


def _metrics_of(log: BoundLog) -> Callable[[], bytes] | None:
    """Return a function that gives the metrics of a log as text; None where prometheus-client is not installed."""
    try:
        from prometheus_client import CollectorRegistry, generate_latest
    except ImportError:
        return None
    from bamboo_logmetrics.instrument.prometheus import export_metrics

    registry = CollectorRegistry()
    export_metrics(log, registry=registry)
    return lambda: generate_latest(registry)


def _has_token(scope: Scope, token: str) -> bool:
    try:
        return RequestHeaders.read(scope["headers"]).has_token(token)
    except NotUtf8Error:
        return False


async def _send(send: Send, kind: bytes, body: bytes) -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
