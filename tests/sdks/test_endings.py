"""Ways of the real SDKs to make a call and to leave it: one started and one completed event each."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest
import support
from support.observed import STARTED, calls_of, ending_of, lines_of
from support.provider_server import BROKEN, CHAT, CHAT_STREAM, events, json_answer, stream_answer

import bamboo_logmetrics as blm
from bamboo_logmetrics.instrument import instrument, uninstrument

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

USER = [{"role": "user", "content": "x"}]
USAGE = {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "c-2026",
    "content": [{"type": "text", "text": "hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 5, "output_tokens": 7, "cache_read_input_tokens": 10},
}
MESSAGE_STREAM = [
    b"event: " + event["type"].encode() + b"\n" + chunk
    for event in (
        {"type": "message_start", "message": MESSAGE | {"content": [], "stop_reason": None, "usage": {"input_tokens": 5, "output_tokens": 1, "cache_read_input_tokens": 10}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 7}},
        {"type": "message_stop"},
    )
    for chunk in events(event)
]  # fmt: skip
OVERLOADED = json_answer(
    {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, 529, retry_after_ms="1"
)
LIMITED = json_answer({"error": {"type": "rate_limit", "message": "slow down"}}, 429, retry_after_ms="1")


@pytest.fixture
def client(server, log):
    with openai.OpenAI(api_key="x", base_url=f"{server.url}/v1", timeout=30) as plain:
        yield instrument(plain, log=log)


@pytest.fixture
def claude(server, log):
    with anthropic.Anthropic(api_key="x", base_url=server.url, timeout=30) as plain:
        yield instrument(plain, log=log)


def chat(client, **options):
    return client.chat.completions.create(model="m", messages=USER, **options)


def message(client, **options):
    return client.messages.create(model="c", messages=USER, max_tokens=9, **options)


COMPLETE = ("success", 200, "complete", "reported", 42)


def test_a_stream_read_to_its_end(server, client, log):
    """A stream that is iterated to its end is complete."""
    server.answer(stream_answer(CHAT_STREAM))
    assert len(list(chat(client, stream=True))) == len(CHAT_STREAM) - 1
    assert ending_of(log) == COMPLETE


def test_a_stream_closed_after_the_first_chunk(server, client, log):
    """A stream that is closed after its first chunk is closed."""
    hold = threading.Event()
    server.answer(stream_answer(CHAT_STREAM, hold=hold))
    with chat(client, stream=True) as stream:
        next(iter(stream))
    hold.set()
    assert ending_of(log)[:3] == ("success", 200, "closed")


def test_a_broken_stream(server, client, log):
    """A stream whose connection breaks is broken; the SDK raises its own exception."""
    server.answer(stream_answer(CHAT_STREAM[:2], ending=BROKEN))
    with pytest.raises(Exception, match="(?i)connection"):
        list(chat(client, stream=True))
    assert ending_of(log)[:3] == ("error", 200, "broken")


def test_a_stream_that_is_never_read(server, client, log):
    """A stream that is dropped without being read has its event when it is collected."""
    server.answer(stream_answer(CHAT_STREAM))
    stream = chat(client, stream=True)
    assert len(lines_of(log, STARTED)) == 1
    del stream
    gc.collect()
    assert ending_of(log)[:3] in {("success", 200, "garbage_collected"), ("success", 200, "closed")}


def test_a_retry(server, client, log):
    """Each attempt has its own events; the one that failed has no usage."""
    server.answer(LIMITED)
    assert chat(client).usage.total_tokens == 42
    (_, first), (_, second) = calls_of(log)
    assert (first["status_code"], first["attempt"], first["retry_wait_ms"]) == (429, 1, 1)
    assert "total_tokens" not in first
    assert (second["status_code"], second["attempt"], second["total_tokens"]) == (200, 2, 42)


def test_a_retry_of_a_stream(server, claude, log):
    """A stream that was answered with 529 first is retried, and counted once."""
    server.answer(OVERLOADED, stream_answer(MESSAGE_STREAM))
    assert len(list(message(claude, stream=True))) == 6
    (_, first), (_, second) = calls_of(log)
    assert (first["status_code"], first["status"]) == (529, "error")
    assert (second["stream_end"], second["prompt_tokens"], second["completion_tokens"]) == ("complete", 15, 7)


def test_an_error_for_a_stream(server, claude, log):
    """An error in answer to a streaming request is read by the SDK as ever."""
    server.answer(json_answer({"type": "error", "error": {"type": "invalid_request_error", "message": "bad"}}, 400))
    with pytest.raises(anthropic.BadRequestError, match="bad"):
        message(claude, stream=True)
    assert ending_of(log)[:2] == ("error", 400)
    assert calls_of(log)[0][1]["error"] == "bad"


def test_a_timeout(server, log):
    """A call that takes too long is a timeout, and the SDK raises its own exception."""
    hold = threading.Event()
    server.answer(stream_answer(CHAT_STREAM, hold=hold))
    with (
        openai.OpenAI(api_key="x", base_url=server.url, timeout=0.05, max_retries=0) as client,
        pytest.raises(Exception, match="(?i)timed out"),
    ):
        list(chat(instrument(client, log=log), stream=True))
    hold.set()
    assert ending_of(log)[0] == "timeout"


def test_raw_response(client, log):
    """``with_raw_response`` gives the SDK's own response."""
    raw = client.chat.completions.with_raw_response.create(model="m", messages=USER)
    assert raw.parse().usage.total_tokens == 42
    assert raw.http_response.json() == CHAT
    assert ending_of(log) == ("success", 200, None, "reported", 42)


def test_raw_response_of_a_stream(server, client, log):
    """A raw response of a stream is parsed and read as ever."""
    server.answer(stream_answer(CHAT_STREAM))
    raw = client.chat.completions.with_raw_response.create(model="m", messages=USER, stream=True)
    assert len(list(raw.parse())) == len(CHAT_STREAM) - 1
    assert ending_of(log) == COMPLETE


def test_raw_response_that_is_never_read(server, client, log):
    """A raw response of a stream that is parsed and never read has its event when it is collected."""
    server.answer(stream_answer(CHAT_STREAM))
    raw = client.chat.completions.with_raw_response.create(model="m", messages=USER, stream=True)
    raw.parse()
    del raw
    gc.collect()
    assert ending_of(log)[:3] == ("success", 200, "garbage_collected")


def test_streaming_response(server, client, log):
    """``with_streaming_response`` passes the lines; one that is left unread is closed."""
    server.answer(stream_answer(CHAT_STREAM), stream_answer(CHAT_STREAM))
    create = client.chat.completions.with_streaming_response.create
    with create(model="m", messages=USER, stream=True) as response:
        assert "".join(response.iter_text()).encode() == b"".join(CHAT_STREAM)
    with create(model="m", messages=USER, stream=True):
        pass
    assert [completed["stream_end"] for _, completed in calls_of(log)] == ["complete", "closed"]


def test_parse(server, client, log):
    """``.parse()`` gives the SDK's own object."""
    from pydantic import BaseModel

    class Answer(BaseModel):
        text: str

    content = CHAT | {"choices": [{**CHAT["choices"][0], "message": {"role": "assistant", "content": '{"text":"hi"}'}}]}
    parse = getattr(client.chat.completions, "parse", None) or client.beta.chat.completions.parse
    server.answer(json_answer(content))
    assert parse(model="m", messages=USER, response_format=Answer).choices[0].message.parsed.text == "hi"
    assert ending_of(log) == ("success", 200, None, "reported", 42)


def test_the_stream_helpers(server, client, claude, log):
    """``stream()`` of both SDKs gives their own events, and its call is complete."""
    server.answer(stream_answer(MESSAGE_STREAM), stream_answer(CHAT_STREAM))
    with claude.messages.stream(model="c", messages=USER, max_tokens=9) as stream:
        assert "".join(stream.text_stream) == "hello"
        assert stream.get_final_message().usage.output_tokens == 7
    helper = getattr(client.chat.completions, "stream", None) or client.beta.chat.completions.stream
    with helper(model="m", messages=USER) as stream:
        assert stream.get_final_completion().choices[0].message.content == "hello é"
    assert [completed["stream_end"] for _, completed in calls_of(log)] == ["complete", "complete"]


def test_async_streams(server, log):
    """Async streams of both SDKs are complete, and one that is cancelled is an error of type cancelled."""
    hold = threading.Event()
    server.answer(stream_answer(MESSAGE_STREAM), stream_answer(CHAT_STREAM), stream_answer(CHAT_STREAM, hold=hold))

    async def work():
        async with (
            anthropic.AsyncAnthropic(api_key="x", base_url=server.url) as claude,
            openai.AsyncOpenAI(api_key="x", base_url=f"{server.url}/v1") as client,
        ):
            instrument(claude, log=log)
            instrument(client, log=log)
            assert len([event async for event in await message(claude, stream=True)]) == 6
            assert len([chunk async for chunk in await chat(client, stream=True)]) == len(CHAT_STREAM) - 1
            arrived = asyncio.Event()

            async def reading():
                async for _ in await chat(client, stream=True):
                    arrived.set()

            task = asyncio.create_task(reading())
            await arrived.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(work())
    hold.set()
    ends = [(completed["stream_end"], completed.get("error_type")) for _, completed in calls_of(log)]
    assert ends == [("complete", None), ("complete", None), ("closed", "cancelled")]


def test_azure(server, log):
    """Azure's client is covered; its path names the endpoint."""
    with openai.AzureOpenAI(api_key="x", api_version="2024-10-21", azure_endpoint=server.url) as client:
        chat(instrument(client, log=log, provider="azure.ai.openai"))
    ((started, completed),) = calls_of(log)
    assert (started["endpoint"], started["provider"]) == ("openai.chat_completions", "azure.ai.openai")
    assert completed["total_tokens"] == 42


def test_a_background_response(server, client, log):
    """The usage of a response that is polled is counted once."""
    done = {
        "id": "resp_9",
        "object": "response",
        "created_at": 1,
        "model": "m",
        "output": [],
        "status": "completed",
        "usage": USAGE,
    }
    server.answer(*map(json_answer, (done | {"status": "queued", "usage": None}, done, done)))
    client.responses.create(model="m", input="x", background=True)
    for _ in range(2):
        assert client.responses.retrieve("resp_9").id == "resp_9"
    assert [completed.get("total_tokens") for _, completed in calls_of(log)] == [None, 12, None]


def test_every_client_from_now_on(server, log):
    """``instrument()`` covers the clients of both SDKs that are made afterwards, at the hosts that are given."""
    earlier = openai.OpenAI(api_key="x", base_url=server.url)
    instrument(log=log, hosts=["127.0.0.1"])
    server.answer(json_answer(CHAT), json_answer(MESSAGE))
    with (
        openai.OpenAI(api_key="x", base_url=server.url) as client,
        anthropic.Anthropic(api_key="x", base_url=server.url) as claude,
    ):
        chat(client)
        message(claude)
        uninstrument()
        chat(client)
    earlier.close()
    assert [completed["provider"] for _, completed in calls_of(log)] == ["openai", "anthropic"]
    assert any("were made before instrument()" in line["event"] for line in lines_of(log))


def test_sdks_that_are_imported_later(server, run_python, path):
    """SDKs that are imported after ``instrument()`` are covered, in one process with both families of clients."""
    program = f"""
import bamboo_logmetrics as blm
from bamboo_logmetrics.instrument import instrument
blm.configure({str(path)!r})
instrument(hosts=["127.0.0.1"])
import openai, anthropic, httpx
openai.OpenAI(api_key="x", base_url={server.url!r}).chat.completions.create(model="m", messages=[])
anthropic.Anthropic(api_key="x", base_url={server.url!r}).messages.create(model="m", messages=[], max_tokens=1)
httpx.post({server.url + "/v1/embeddings"!r}, json={{}})
"""
    server.answer(json_answer(CHAT), json_answer(MESSAGE))
    done = run_python(program)
    assert done.returncode == 0, done.stderr
    calls = [line.event for line in blm.read(path) if line.event and line.event.kind == "forward.request_completed"]
    assert [call.usage.total_tokens for call in calls] == [42, 22, 42]


def test_the_guide_s_first_lines(server, monkeypatch, run_python, tmp_path):
    """The lines at the top of the guide work as they are pasted."""
    text = (support.ROOT / "docs/guides/instrument.md").read_text(encoding="utf-8")
    lines = text.partition("```py\n")[2].partition("```")[0]
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
    call = 'client.chat.completions.create(model="m", messages=[])\n'
    done = run_python(f"import os\nos.chdir({str(tmp_path)!r})\n{lines}{call}")
    assert done.returncode == 0, done.stderr
    usages = [line.event.usage for line in blm.read(tmp_path / "logs/agent.jsonl") if hasattr(line.event, "usage")]
    assert [usage.total_tokens for usage in usages] == [42]


def test_google_genai_among_all_clients(server, log):
    """``instrument()`` covers the sync and async calls of google-genai, also where aiohttp is installed."""
    genai = pytest.importorskip("google.genai")
    usage = {"promptTokenCount": 5, "candidatesTokenCount": 7, "totalTokenCount": 12}
    content = {"parts": [{"text": "hello"}], "role": "model"}
    server.always = json_answer(
        {"candidates": [{"content": content, "finishReason": "STOP"}], "usageMetadata": usage, "modelVersion": "g-1"}
    )
    instrument(log=log, hosts=["127.0.0.1"])

    async def work(client):
        await client.aio.models.generate_content(model="g", contents="x")
        await client.aio.aclose()

    with genai.Client(api_key="x", http_options={"base_url": server.url}) as client:
        client.models.generate_content(model="g", contents="x")
        asyncio.run(work(client))
    assert [completed["total_tokens"] for _, completed in calls_of(log)] == [12, 12]
    assert [started["model"] for started, _ in calls_of(log)] == ["g", "g"]
