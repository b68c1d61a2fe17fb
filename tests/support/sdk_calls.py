"""The real SDKs: clients, and the calls of recorded exchanges by them."""

from __future__ import annotations

import inspect

import pytest

from support.observed import calls_of
from support.recorded import exchanges

EXCHANGES = exchanges()


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
    """Return an item of an SDK as a plain value."""
    if hasattr(item, "model_dump"):
        item = item.model_dump(mode="json", warnings=False)
        item.pop("sdk_http_response", None)  # google-genai's copy of the headers, with the time in it
    return item


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
    """Return a client and a function that makes the call of an exchange."""
    client = make(api_key="x", base_url=url, max_retries=0)
    body = dict(exchange.request)
    stream = bool(body.pop("stream", False))
    options = {"model": body.pop("model"), "messages": body.pop("messages"), "stream": stream}
    return client, lambda: client.chat.completions.create(extra_body=body, **options)


def anthropic_calls(make, exchange, url):
    """Return a client and a function that makes the call of an exchange."""
    client = make(api_key="x", base_url=url, max_retries=0, timeout=30)
    body = dict(exchange.request)
    options = {name: body.pop(name) for name in ("model", "messages", "max_tokens")}
    if body.pop("stream", False):
        options["stream"] = True
    return client, lambda: client.messages.create(extra_body=body, **options)


def gemini_calls(make, exchange, url):
    """Return a client and a function that makes the call of an exchange."""
    from google.genai import types

    retry = types.HttpRetryOptions(attempts=1)
    client = make(api_key="x", http_options=types.HttpOptions(base_url=url, retry_options=retry))
    models = client.aio.models if make.is_async else client.models
    function = models.generate_content_stream if exchange.row["is_sse"] else models.generate_content
    model = exchange.path.partition("/models/")[2].partition(":")[0]
    return client, lambda: function(model=model, contents="x")


def mistral_calls(make, exchange, url):
    """Return a client and a function that makes the call of an exchange."""
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
    """Return the exchanges that an SDK can make."""
    return [
        exchange
        for exchange in EXCHANGES
        if exchange.path.partition("?")[0].endswith(ends) and exchange.row["name"].startswith(provider)
    ]


def items_of(result):
    """Return the items of a stream, or a result as the only one."""
    return [result] if hasattr(result, "model_dump") or not hasattr(result, "__iter__") else result


def close(client):
    """Close a sync client."""
    closing = getattr(client, "close", None) or getattr(client, "__exit__", None)
    closing() if not inspect.signature(closing).parameters else closing(None, None, None)


async def async_close(client):
    """Close an async client."""
    for holder in (client, getattr(client, "aio", None)):
        for name in ("aclose", "close"):
            closing = getattr(holder, name, None)
            if closing is not None and inspect.iscoroutinefunction(closing):
                await closing()
                return
    await client.__aexit__(None, None, None)


async def async_items_of(call):
    """Yield the items of a stream, or a result as the only one."""
    result = await call()
    if hasattr(result, "model_dump") or not hasattr(result, "__aiter__"):
        yield result
        return
    async for item in result:
        yield item
