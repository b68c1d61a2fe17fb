"""The ASGI middleware: each request that an application receives, whatever becomes of it."""

from __future__ import annotations

import asyncio

import pytest
from support.tools import flat, typed

import bamboo_logmetrics as blm
from bamboo_logmetrics.instrument.asgi import MetricsMiddleware

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CHAT = "/v1/chat/completions"


def answering(status=200, chunks=(b"hello",)):
    """Return an application that answers with some chunks, and logs a line meanwhile."""

    async def app(scope, receive, send):
        log.info("asked")
        await send({"type": "http.response.start", "status": status, "headers": []})
        for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    log = blm.get_logger()
    return app


async def receive():
    return {"type": "http.request", "body": b"", "more_body": False}


@pytest.fixture
def call(tmp_path, unconfigured):
    """Send a request to an application behind the middleware; return what was sent and the events."""
    path = tmp_path / "a.jsonl"
    blm.configure(path)

    def calling(app, url=CHAT, headers=(), fail_after=None, **scope):
        sent = []

        async def send(message):
            if fail_after is not None and len(sent) >= fail_after:
                raise OSError("the client is gone")
            sent.append(message)

        scope = {"type": "http", "path": url, "method": "POST", "headers": list(headers)} | scope
        try:
            asyncio.run(MetricsMiddleware(app)(scope, receive, send))
        finally:
            assert blm.flush()
        return sent, typed(path)

    calling.path = path
    return calling


def test_a_request_has_two_events(call):
    """All that the application sends is passed on, and the request has a start and an end without usage."""
    sent, (started, completed) = call(answering(chunks=(b"a", b"b")))
    assert [message.get("body") for message in sent] == [None, b"a", b"b", b""]
    assert started["request_id"] == completed["request_id"]
    assert (started["endpoint"], started["is_stream"]) == ("openai.chat_completions", False)
    assert {event["side"] for event in (started, completed)} == {"server"}
    assert (completed["status_code"], completed["status"], completed["method"]) == (200, "success", "POST")
    assert "prompt_tokens" not in completed
    assert completed["time_to_first_token_ms"] <= completed["latency_ms"] + 1


@pytest.mark.parametrize(("code", "status"), [(204, "success"), (404, "error"), (503, "error")])
def test_the_status_follows_from_the_code(call, code, status):
    """A status code from 400 on is an error."""
    _, (_, completed) = call(answering(code, ()))
    assert (completed["status_code"], completed["status"]) == (code, status)
    assert "time_to_first_token_ms" not in completed


@pytest.mark.parametrize(
    ("headers", "trace"),
    [
        ([(b"traceparent", b"00-" + TRACE.encode() + b"-00f067aa0ba902b7-01")], TRACE),
        ([(b"X-Request-ID", b"req-7")], "req-7"),
        ([(b"traceparent", b"00-" + b"0" * 32 + b"-00f067aa0ba902b7-01"), (b"x-request-id", b"req-8")], "req-8"),
        ([(b"x-request-id", b"with space")], None),
        ([(b"x-request-id", b"x" * 201)], None),
        ([], None),
    ],
)
def test_the_trace_of_a_request(call, headers, trace):
    """All events of a request have the id of its trace, also the lines that the application logs."""
    call(answering(), headers=headers)
    lines = [line for line in flat(call.path) if not line["event"].startswith("system.")]
    assert [line.get("trace_id") for line in lines] == [trace] * 3


def test_a_stream_is_asked_for(call):
    """A client that asks for an event stream gets one, by the header."""
    _, (started, _) = call(answering(), headers=[(b"accept", b"text/event-stream")])
    assert started["is_stream"] is True


def test_an_exception_is_an_error_and_goes_on(call):
    """An exception of the application is raised, and the request ends with its type and text."""

    async def app(scope, receive, send):
        raise LookupError("no such model, password=hunter2-Zq81")

    with pytest.raises(LookupError):
        call(app)
    (_, completed) = typed(call.path)
    assert (completed["status_code"], completed["status"], completed["error_type"]) == (500, "error", "LookupError")
    assert completed["error"].startswith("no such model")
    assert "hunter2-Zq81" not in completed["error"]


def test_a_client_that_leaves(call):
    """A client that is gone in the middle of an answer is no error of the application's."""
    with pytest.raises(OSError, match="the client is gone"):
        call(answering(chunks=(b"a", b"b")), fail_after=2)
    (_, completed) = typed(call.path)
    assert (completed["status_code"], completed["status"], completed["stream_end"]) == (200, "success", "closed")


def test_a_cancelled_request(call):
    """A request whose task is cancelled is an error of that type, once."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        call(app)
    (_, completed) = typed(call.path)
    assert (completed["status"], completed["error_type"], completed["stream_end"]) == ("error", "cancelled", "closed")


def test_an_application_that_answers_nothing(call):
    """An application that returns without an answer is an error without a status code."""

    async def app(scope, receive, send):
        pass

    _, (_, completed) = call(app)
    assert (completed["status_code"], completed["status"]) == (0, "error")


def test_the_pattern_of_the_route(call):
    """The route's pattern, which a framework sets while it answers, is bound; the path is not."""

    class Route:
        path = "/users/{user}"

    async def app(scope, receive, send):
        scope["route"] = Route()
        await answering()(scope, receive, send)

    _, (started, completed) = call(app, url="/users/42")
    assert completed["route"] == "/users/{user}"
    assert started["endpoint"] == "http"


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("/v1/messages", "anthropic.messages"),
        ("/openai/v1/responses", "openai.responses"),
        ("/v1beta/models/gemini-3:generateContent", "gemini.generate_content"),
        ("/invite/abcdefghijklmnopqrst", "http"),
        ("/profile/anna", "http"),
        ("/rooms/7/messages", "http"),
        ("/v1/profile/anna", "http"),
        ("/", "http"),
    ],
)
def test_only_known_paths_are_named(call, url, endpoint):
    """The endpoint is that of a provider's API; any other path, which may hold names and tokens, is not written."""
    _, (started, _) = call(answering(), url=url)
    assert started["endpoint"] == endpoint


@pytest.mark.parametrize(
    "scope", [{"type": "lifespan"}, {"type": "websocket"}, {"path": "/healthz"}, {"path": "/metrics/"}]
)
def test_what_is_not_reported(call, scope):
    """Lifespan, WebSockets and the paths to ignore are passed on as they are."""
    sent, events = call(answering(), **scope)
    assert (len(sent), events) == (3, [])


def test_an_error_in_the_log_is_not_the_applications(call, capfd):
    """If an event cannot be emitted, the request is answered all the same."""

    def refusing(logger, method, event):
        raise RuntimeError("a processor of the application")

    blm.configure(call.path, processors=[refusing])
    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "path": "/", "method": "GET", "headers": []}
    asyncio.run(MetricsMiddleware(app)(scope, receive, send))
    assert len(sent) == 1
