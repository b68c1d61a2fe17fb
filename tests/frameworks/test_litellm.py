"""LiteLLM itself: one request for each of its calls, whatever becomes of it."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress

import pytest
from support import ROOT
from support.provider_server import CHAT_STREAM, json_answer, stream_answer
from support.tools import flat, typed

import bamboo_logmetrics as blm

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it downloads a table
litellm = pytest.importorskip("litellm")

from opentelemetry.sdk.trace import TracerProvider  # noqa: E402

from bamboo_logmetrics.instrument import instrument  # noqa: E402
from bamboo_logmetrics.instrument.litellm import MetricsLogger  # noqa: E402
from bamboo_logmetrics.instrument.otel_spans import MetricsSpanProcessor  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # of LiteLLM and the libraries below it

MESSAGES = [{"role": "user", "content": "WORDS-OF-THE-USER"}]
NOT_FOUND = {"error": {"message": "no such model", "type": "invalid_request_error", "code": "model_not_found"}}
EMBEDDINGS = {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.1]}], "model": "e-1",
              "usage": {"prompt_tokens": 5, "total_tokens": 5}}  # fmt: skip
CLAUDE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-1", "stop_reason": "end_turn",
    "content": [{"type": "text", "text": "hello"}],
    "usage": {"input_tokens": 10, "output_tokens": 7, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 0},
}  # fmt: skip


@pytest.fixture
def lite(log, monkeypatch, server):
    """Call LiteLLM with its logger; the arguments go to the server of the test."""
    litellm.logging_callback_manager._reset_all_callbacks()
    monkeypatch.setattr(litellm, "callbacks", [MetricsLogger(log)])
    monkeypatch.setattr(litellm, "suppress_debug_info", True)

    def arguments(model="openai/m-1", **more):
        base = server.url if model.startswith("anthropic/") else f"{server.url}/v1"
        return {"model": model, "messages": MESSAGES, "api_base": base, "api_key": "k", "num_retries": 0, **more}

    yield arguments
    litellm.logging_callback_manager._reset_all_callbacks()


@pytest.fixture
def requests(log):
    """Return the completed requests once there are so many: LiteLLM calls its loggers in threads of its own."""
    arrived = threading.Semaphore(0)

    def count(records):
        for record in records:
            if isinstance(record.event, blm.RequestCompleted):
                arrived.release()

    log._logger.listeners.append(count)
    seen = []

    def waiting(number):
        for _ in range(200):
            if len(seen) == number:
                break
            if arrived.acquire(timeout=0.05):
                seen.append(1)
            gc.collect()  # a thread of LiteLLM may have held a stream that was dropped
        assert log.flush()
        done, began = (
            [event for event in typed(log.path) if event["event"] == f"forward.request_{name}"]
            for name in ("completed", "started")
        )
        assert len(began) == len(done) == number
        assert {event["request_id"] for event in began} == {event["request_id"] for event in done}
        assert "WORDS-OF-THE-USER" not in str(flat(log.path))
        return done

    return waiting


def test_a_very_long_name_of_a_model(log, lite, requests):
    """The name of a model is cut, so that both events are written."""
    litellm.completion(**lite("openai/" + "m" * 1_500_000), mock_response="hello")
    assert requests(1)[0]["model"] == "m" * 200
    assert not log.stats().dropped


def test_a_call(log, lite, requests):
    """A call is a request with its usage, its model and its provider."""
    litellm.completion(**lite())
    (done,) = requests(1)
    assert (done["prompt_tokens"], done["completion_tokens"], done["status"]) == (30, 12, "success")
    assert (done["provider"], done["model"], done["response_model"]) == ("openai", "m-1", "m-2026")
    assert (done["stop_reason"], done["status_code"]) == ("stop", 200)


def test_an_asynchronous_call(log, lite, server, requests):
    """So is a call of an asynchronous function, and an embedding."""

    async def main():
        await litellm.acompletion(**lite())
        arguments = lite("openai/e-1", input=["a"])
        del arguments["messages"]
        await litellm.aembedding(**arguments)
        await asyncio.to_thread(requests, 2)

    server.answer(server.always, json_answer(EMBEDDINGS))
    asyncio.run(main())
    chat, embedding = sorted(requests(2), key=lambda event: -event["prompt_tokens"])
    assert (chat["prompt_tokens"], embedding["prompt_tokens"]) == (30, 5)


def test_another_provider(log, lite, server, requests):
    """The usage of a provider with other names is read as LiteLLM gives it."""
    server.always = json_answer(CLAUDE)
    litellm.completion(**lite("anthropic/claude-1"))
    (done,) = requests(1)
    assert (done["prompt_tokens"], done["completion_tokens"], done["cache_read_tokens"]) == (30, 7, 20)
    assert (done["provider"], done["model"]) == ("anthropic", "claude-1")


def test_streams(log, lite, server, requests):
    """A stream that is read to its end has its usage; calls right after each other are counted for themselves."""
    server.always = stream_answer(CHAT_STREAM)
    for _ in range(2):
        for _chunk in litellm.completion(**lite(stream=True, stream_options={"include_usage": True})):
            pass

    async def main():
        async for _chunk in await litellm.acompletion(**lite(stream=True, stream_options={"include_usage": True})):
            pass
        await asyncio.to_thread(requests, 3)

    asyncio.run(main())
    found = requests(3)
    assert [event["prompt_tokens"] for event in found] == [30, 30, 30]
    assert all(event["time_to_first_token_ms"] <= event["latency_ms"] + 1 for event in found)


def test_a_stream_that_is_left_early(log, lite, server, requests):
    """LiteLLM tells nobody of a stream that is dropped; it has an end all the same, and unknown usage."""
    server.always = stream_answer(CHAT_STREAM)
    stream = litellm.completion(**lite(stream=True))
    next(iter(stream))
    del stream
    (done,) = requests(1)
    assert (done["stream_end"], done["usage_source"]) == ("garbage_collected", "missing")


def test_a_stream_whose_usage_was_not_asked_for(lite, server, requests):
    """LiteLLM's own estimate is not taken for what the provider reported."""
    server.always = stream_answer([*CHAT_STREAM[:3], CHAT_STREAM[-1]])
    for _chunk in litellm.completion(**lite(stream=True)):
        pass
    (done,) = requests(1)
    assert (done["usage_source"], done.get("total_tokens")) == ("missing", None)


def test_a_call_that_is_cancelled(lite, server, requests):
    """A call whose task is cancelled is an error of that type; LiteLLM tells nobody of it."""
    held = threading.Event()
    server.always = stream_answer(CHAT_STREAM, hold=held)

    async def main():
        task = asyncio.create_task(litellm.acompletion(**lite()))
        while not server.requests:
            await asyncio.to_thread(int)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(main())
    held.set()
    (done,) = requests(1)
    assert (done["status"], done["error_type"]) == ("error", "cancelled")


def test_the_last_call_of_a_program(server, tmp_path):
    """A program that ends right after its call has the call's usage, though LiteLLM's own queue never runs again."""
    code = f"""
import asyncio, litellm, bamboo_logmetrics as blm
from bamboo_logmetrics.instrument.litellm import MetricsLogger
blm.configure("a.jsonl")
litellm.callbacks = [MetricsLogger()]
asyncio.run(litellm.acompletion(model="openai/m-1", messages=[], api_base="{server.url}/v1", api_key="k"))
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=True)
    _, done = typed(tmp_path / "a.jsonl")
    assert (done["status"], done["total_tokens"]) == ("success", 42)


def test_a_failure(log, lite, server, requests):
    """An exception of LiteLLM is the application's, and the request has its status and its text."""
    server.always = json_answer(NOT_FOUND, 404)
    with pytest.raises(litellm.exceptions.NotFoundError):
        litellm.completion(**lite())
    (done,) = requests(1)
    assert (done["status"], done["status_code"], done["error_type"]) == ("error", 404, "NotFoundError")
    assert "no such model" in done["error"]
    assert "usage_source" not in done


def test_one_call_is_counted_once(log, lite, requests):
    """A round around a call has its tokens when it ends, and the call is one request within it."""
    with log.round(model="m-1", session_id="s"):
        litellm.completion(**lite())
    (done,) = requests(1)
    (around,) = [event for event in typed(log.path) if event["event"] == "chat.round_completed"]
    assert around["prompt_tokens"] == done["prompt_tokens"] == 30
    assert done["round_id"] == around["round_id"]


def test_an_instrumented_client_below(log, lite, server, requests):
    """Where the HTTP clients are instrumented too, LiteLLM's own requests are counted by its logger alone."""
    instrument(log=log, hosts={"127.0.0.1": "openai"})
    litellm.in_memory_llm_clients_cache.flush_cache()
    litellm.completion(**lite())
    server.always = stream_answer(CHAT_STREAM)
    for _chunk in litellm.completion(**lite(stream=True, stream_options={"include_usage": True})):
        pass
    found = requests(2)
    assert [event["prompt_tokens"] for event in found] == [30, 30]
    assert {event["endpoint"] for event in typed(log.path) if event["event"] == "forward.request_started"} == {
        "litellm.chat_completions"
    }


def test_the_guide(log, server, tmp_path):
    """The lines that the guide begins with work as they stand."""
    (example,) = re.findall(
        r"^```py\n(.*?)^```$", (ROOT / "docs/guides/litellm.md").read_text(), re.DOTALL | re.MULTILINE
    )
    call = f"litellm.completion(model='openai/m-1', messages=[], api_base='{server.url}/v1', api_key='k')"
    done = subprocess.run([sys.executable, "-c", f"{example}\n{call}"], cwd=tmp_path, capture_output=True, check=True)
    assert done.returncode == 0
    assert [event["event"] for event in typed(tmp_path / "logs/agent.jsonl")] == [
        "forward.request_started", "forward.request_completed"
    ]  # fmt: skip


@pytest.mark.parametrize("around", ["scope", "span", "scope and span", "neither"])
def test_all_observers_of_one_call(log, lite, requests, around):
    """A scope, a span, LiteLLM's logger and an instrumented client observe one call, and it is counted once."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(MetricsSpanProcessor(log))
    tracer = provider.get_tracer("test")
    instrument(log=log, hosts={"127.0.0.1": "openai"})
    litellm.in_memory_llm_clients_cache.flush_cache()
    with ExitStack() as stack:
        if "scope" in around:
            stack.enter_context(log.round(model="m-1", session_id="s"))
        if "span" in around:
            attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m-1"}
            span = stack.enter_context(tracer.start_as_current_span("chat m-1", attributes=attributes))
            span.set_attributes({"gen_ai.usage.input_tokens": 30, "gen_ai.usage.output_tokens": 12})
        litellm.completion(**lite())
    (request,) = requests(1)
    rounds = [event for event in typed(log.path) if event["event"] == "chat.round_completed"]
    assert len(rounds) == (around != "neither")
    assert request.get("round_id") == (rounds[0]["round_id"] if rounds else None)
    assert [event["total_tokens"] for event in (*rounds, request)] == [42] * (len(rounds) + 1)
    provider.shutdown()
