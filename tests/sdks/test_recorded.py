"""Recorded exchanges, served again on loopback and read through the real SDKs and through bare clients.

Each gives one started and one completed event with the usage that the provider reported, and the application gets the
same as without instrumentation.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect

import pytest
from support.observed import calls_of
from support.recorded import ENCODERS, exchanges

from bamboo_logmetrics.instrument import instrument

EXCHANGES = exchanges()
pytestmark = [
    pytest.mark.skipif(not EXCHANGES, reason="the recordings are not on this machine"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of SDKs, for the models that were recorded
]


def check(log, sent):
    """Compare the events with what was served, in order."""
    calls = calls_of(log)
    assert len(calls) == len(sent)
    wrong = []
    for exchange, (started, completed) in zip(sent, calls, strict=True):
        usage = (completed["prompt_tokens"], completed["completion_tokens"]) if "prompt_tokens" in completed else None
        got = usage, completed["status_code"], completed["status"], completed.get("stream_end")
        stream_end = "complete" if exchange.row["is_sse"] else None
        expected = exchange.totals, exchange.row["status"], "error" if exchange.has_error else "success", stream_end
        if got != expected or started["endpoint"].startswith("v"):
            wrong.append((exchange.row["name"], expected, got))
    assert not wrong, "\n".join(map(str, wrong))


def outcome(call):
    """Return the result of a call in its plain form, or its exception."""
    try:
        return [plain(item) for item in call()]
    except Exception as error:
        return type(error), str(error)


async def async_outcome(call):
    """Return the result of an async call in its plain form, or its exception."""
    try:
        return [plain(item) async for item in call()]
    except Exception as error:
        return type(error), str(error)


def plain(item):
    if hasattr(item, "model_dump"):
        item = item.model_dump(mode="json", warnings=False)
        item.pop("sdk_http_response", None)  # google-genai's copy of the headers, with the time in it
    return item


# -- bare clients ------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ENCODERS)
@pytest.mark.parametrize("family", ["httpx", "httpx2"])
def test_bare_clients(server, log, family, encoding):
    """A bare client, sync and async, gets identical bytes, and the events have the usage."""
    package = pytest.importorskip(family)
    if encoding == "br":
        pytest.importorskip("brotli")
    sent = []

    def send(exchange, seed):
        server.answer(exchange.answer(encoding, seed))
        sent.append(exchange)
        return {"url": server.url + exchange.path, "json": exchange.request, "headers": {"accept-encoding": encoding}}

    with package.Client(timeout=30) as http:
        instrument(http, log=log)
        for seed, exchange in enumerate(EXCHANGES):
            with http.stream("POST", **send(exchange, seed)) as response:
                raw = b"".join(response.iter_raw())
            assert raw == ENCODERS[encoding](exchange.body) or encoding == "gzip"

    async def work():
        async with package.AsyncClient(timeout=30) as http:
            instrument(http, log=log)
            for seed, exchange in enumerate(EXCHANGES):
                response = await http.post(**send(exchange, seed + 1000))
                assert response.status_code == exchange.row["status"]
                if encoding in {"identity", "gzip", "deflate"}:
                    assert response.content == exchange.body

    asyncio.run(work())
    check(log, sent)


# -- SDKs --------------------------------------------------------------------------------


def openai_calls(make, exchange, url):
    """Return a client and a function that makes the call of an exchange."""
    base, path = exchange.path.partition("?")[0], "/chat/completions"
    path = path if base.endswith(path) else "/responses"
    client = make(api_key="x", base_url=url + base.removesuffix(path), max_retries=0)
    body = dict(exchange.request)
    options = {"model": body.pop("model", "m"), "extra_headers": {"accept-encoding": "identity"}}
    if exchange.row["request_stream"]:
        options["stream"] = body.pop("stream")
    body.pop("stream", None)
    if path == "/responses":
        return client, lambda: client.responses.create(input=body.pop("input", "x"), extra_body=body, **options)
    messages = body.pop("messages", [])
    return client, lambda: client.chat.completions.create(messages=messages, extra_body=body, **options)


def groq_calls(make, exchange, url):
    client = make(api_key="x", base_url=url, max_retries=0)
    body = dict(exchange.request)
    stream = bool(body.pop("stream", False))
    options = {"model": body.pop("model"), "messages": body.pop("messages"), "stream": stream}
    return client, lambda: client.chat.completions.create(extra_body=body, **options)


def anthropic_calls(make, exchange, url):
    client = make(api_key="x", base_url=url, max_retries=0, timeout=30)
    body = dict(exchange.request)
    options = {name: body.pop(name) for name in ("model", "messages", "max_tokens")}
    if body.pop("stream", False):
        options["stream"] = True
    return client, lambda: client.messages.create(extra_body=body, **options)


def gemini_calls(make, exchange, url):
    from google.genai import types

    retry = types.HttpRetryOptions(attempts=1)
    client = make(api_key="x", http_options=types.HttpOptions(base_url=url, retry_options=retry))
    models = client.aio.models if make.is_async else client.models
    function = models.generate_content_stream if exchange.row["is_sse"] else models.generate_content
    model = exchange.path.partition("/models/")[2].partition(":")[0]
    return client, lambda: function(model=model, contents="x")


def mistral_calls(make, exchange, url):
    client = make(api_key="x", server_url=url)
    chat = client.chat
    names = ("stream_async", "complete_async") if make.is_async else ("stream", "complete")
    function = getattr(chat, names[0] if exchange.row["is_sse"] else names[1])
    messages = [{"role": "user", "content": "x"}]
    return client, lambda: function(model=exchange.request.get("model", "m"), messages=messages)


class Maker:
    """A class of clients, and whether its calls are awaited."""

    def __init__(self, module, name, *, is_async):
        self._class = getattr(pytest.importorskip(module), name)
        self.is_async = is_async

    def __call__(self, **options):
        return self._class(**options)


SDKS = {
    "openai": ("openai", "OpenAI", "AsyncOpenAI", openai_calls, ("/chat/completions", "/responses"), ""),
    "groq": ("groq", "Groq", "AsyncGroq", groq_calls, ("/chat/completions",), "groq"),
    "anthropic": ("anthropic", "Anthropic", "AsyncAnthropic", anthropic_calls, ("/messages",), ""),
    "genai": ("google.genai", "Client", "Client", gemini_calls, (":generateContent", ":streamGenerateContent"), ""),
    "mistral": ("mistralai.client", "Mistral", "Mistral", mistral_calls, ("/chat/completions",), "mistral"),
}


def of_sdk(ends, provider):
    return [
        exchange
        for exchange in EXCHANGES
        if exchange.path.partition("?")[0].endswith(ends) and exchange.row["name"].startswith(provider)
    ]


def items_of(result):
    """Return the items of a stream, or a result as the only one."""
    return [result] if hasattr(result, "model_dump") or not hasattr(result, "__iter__") else result


@pytest.mark.parametrize("sdk", SDKS)
def test_sync_sdks(server, log, sdk):
    """A sync SDK gets the same as without instrumentation, and the events have the usage."""
    module, name, _, calls, ends, provider = SDKS[sdk]
    make, sent = Maker(module, name, is_async=False), of_sdk(ends, provider)
    for seed, exchange in enumerate(sent):
        outcomes = []
        for instrumented in (False, True):
            server.answer(exchange.answer("identity", seed))
            client, call = calls(make, exchange, server.url)
            if instrumented:
                assert instrument(client, log=log) is client
            outcomes.append(outcome(lambda call=call: items_of(call())))
            close(client)
        assert outcomes[0] == outcomes[1]
    assert sent
    check(log, sent)


def close(client):
    closing = getattr(client, "close", None) or getattr(client, "__exit__", None)
    closing() if not inspect.signature(closing).parameters else closing(None, None, None)


async def async_close(client):
    for holder in (client, getattr(client, "aio", None)):
        for name in ("aclose", "close"):
            closing = getattr(holder, name, None)
            if closing is not None and inspect.iscoroutinefunction(closing):
                await closing()
                return
    await client.__aexit__(None, None, None)


@pytest.mark.parametrize("sdk", SDKS)
def test_async_sdks(server, log, sdk):
    """An async SDK gets the same as without instrumentation, and the events have the usage."""
    module, _, name, calls, ends, provider = SDKS[sdk]
    make, sent = Maker(module, name, is_async=True), of_sdk(ends, provider)

    async def items(call):
        result = await call()
        if hasattr(result, "model_dump") or not hasattr(result, "__aiter__"):
            yield result
            return
        async for item in result:
            yield item

    async def work():
        for seed, exchange in enumerate(sent):
            outcomes = []
            for instrumented in (False, True):
                server.answer(exchange.answer("identity", seed))
                client, call = calls(make, exchange, server.url)
                if instrumented:
                    assert instrument(client, log=log) is client
                outcomes.append(await async_outcome(lambda call=call: items(call)))
                await async_close(client)
            assert outcomes[0] == outcomes[1]

    asyncio.run(work())
    check(log, sent)


def test_every_sdk_is_here():
    """At least the SDKs of one environment are installed, so that these tests do not pass by skipping."""
    assert [sdk for sdk in ("openai", "anthropic") if importlib.util.find_spec(sdk)] == ["openai", "anthropic"]
