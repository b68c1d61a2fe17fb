"""Every way in which a call may end: one started and one completed event each, with the right status."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import threading

import anyio
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.observed import COMPLETED, STARTED, call_of, calls_of, ending_of, lines_of
from support.provider_server import (
    BROKEN,
    CHAT,
    CHAT_STREAM,
    RESET,
    Answer,
    events,
    json_answer,
    stream_answer,
)

import bamboo_logmetrics as blm
from bamboo_logmetrics.instrument import instrument, observation_errors, shield
from bamboo_logmetrics.logger.bound_log import BoundLog
from bamboo_logmetrics.logger.target import LogTarget
from bamboo_logmetrics.testing import capture_events

pytestmark = pytest.mark.usefixtures("no_errors_inside")

ASKED = {"model": "m-1", "messages": [], "stream": True}


def run_async(log, work):
    """Run a coroutine function with an instrumented async client."""

    async def running():
        async with httpx.AsyncClient(timeout=30) as plain:
            return await work(instrument(plain, log=log))

    return asyncio.run(running())


def test_a_body_read_to_its_end(server, client, log):
    """A whole answer has its usage and the names that belong to it, and the application sees it unchanged."""
    response = client.post(server.chat, json={"model": "m-1", "messages": []}, headers={"x-stainless-retry-count": "1"})
    assert response.json() == CHAT
    started, completed = call_of(log)
    assert (started["endpoint"], started["model"], started["is_stream"]) == ("openai.chat_completions", "m-1", False)
    assert (started["provider"], started["attempt"]) == ("openai", 2)
    assert ending_of(log) == ("success", 200, None, "reported", 42)
    assert completed["model"] == "m-1"
    assert completed["response_model"] == "m-2026"
    assert completed["response_id"] == "chatcmpl-1"
    assert completed["stop_reason"] == "stop"
    assert completed["attempt"] == 2
    assert completed["prompt_tokens"] == 30
    assert "time_to_first_token_ms" not in completed


def test_a_stream_read_to_its_end(server, client, log):
    """A stream passes chunk by chunk, and its usage is that of its last events."""
    server.answer(stream_answer(CHAT_STREAM))
    with client.stream("POST", server.chat, json=ASKED) as response:
        assert b"".join(response.iter_raw()) == b"".join(CHAT_STREAM)
    assert call_of(log)[0]["is_stream"] is True
    assert ending_of(log) == ("success", 200, "complete", "reported", 42)
    assert call_of(log)[1]["time_to_first_token_ms"] >= 0


def test_the_last_event_completes_a_call(server, client, log):
    """A call is complete when the provider's own last event came, though its bytes go on and the client closes early."""
    hold = threading.Event()
    server.answer(stream_answer([b"".join(CHAT_STREAM), b": more\n\n"], hold=hold))
    with client.stream("POST", server.chat, json=ASKED) as response:
        next(response.iter_raw())
        assert ending_of(log) == ("success", 200, "complete", "reported", 42)
    hold.set()
    assert len(calls_of(log)) == 1


@pytest.mark.parametrize("chunks", [CHAT_STREAM, [b"".join(CHAT_STREAM[:3]), *CHAT_STREAM[3:]]])
def test_closed_after_the_first_chunk(server, client, log, chunks):
    """A stream that the application closes early is a success, and its usage is not known."""
    hold = threading.Event()
    server.answer(stream_answer(chunks, hold=hold))
    with client.stream("POST", server.chat, json=ASKED) as response:
        next(response.iter_raw())
    hold.set()
    assert ending_of(log) == ("success", 200, "closed", "missing", None)


def test_closed_with_a_part_of_the_usage(server, client, log):
    """The usage seen before an early close is a lower bound."""
    start = {
        "type": "message_start",
        "message": {"id": "msg_1", "type": "message", "model": "c", "usage": {"input_tokens": 9, "output_tokens": 1}},
    }
    hold = threading.Event()
    server.answer(stream_answer([*events(start), b": more\n\n"], hold=hold))
    with client.stream("POST", f"{server.url}/v1/messages", json=ASKED) as response:
        next(response.iter_raw())
    hold.set()
    assert ending_of(log) == ("success", 200, "closed", "partial", 10)
    assert call_of(log)[1]["provider"] == "anthropic"


def test_broken_in_the_middle(server, client, log):
    """A stream whose connection breaks is an error, and the application gets the client's own exception."""
    server.answer(stream_answer(CHAT_STREAM[:2], ending=BROKEN))
    with client.stream("POST", server.chat, json=ASKED) as response, pytest.raises(httpx.RemoteProtocolError):
        response.read()
    assert ending_of(log) == ("error", 200, "broken", None, None)
    assert call_of(log)[1]["error_type"] == "RemoteProtocolError"


def test_ended_without_its_last_event(server, client, log):
    """A stream whose bytes end well, but without the provider's last event, is broken."""
    server.answer(stream_answer(CHAT_STREAM[:2]))
    client.post(server.chat, json=ASKED)
    assert ending_of(log) == ("error", 200, "broken", None, None)
    assert call_of(log)[1]["error_type"] == "stream_broken"


def test_an_unknown_stream_ends_with_its_bytes(server, client, log):
    """A stream of no known shape is complete when its bytes end, and its usage is missing."""
    server.answer(stream_answer(events({"spam": 1})))
    client.post(f"{server.url}/v9/divine/abc123", json={"stream": True})
    assert ending_of(log) == ("success", 200, "complete", "missing", None)


def test_cancelled_in_the_middle(server, log):
    """A task that is cancelled while it reads has an error of type cancelled."""
    hold = threading.Event()
    server.answer(stream_answer(CHAT_STREAM, hold=hold))

    async def work(client):
        arrived = asyncio.Event()

        async def reading():
            async with client.stream("POST", server.chat, json=ASKED) as response:
                async for _ in response.aiter_raw():
                    arrived.set()

        task = asyncio.create_task(reading())
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ending_of(log) == ("error", 200, "closed", None, None)

    run_async(log, work)
    hold.set()
    assert call_of(log)[1]["error_type"] == "cancelled"


def test_cancelled_before_the_answer(log, server):
    """A request that is cancelled while it waits has an error of type cancelled, and no HTTP status."""

    class Waiting(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request):
            await asyncio.Event().wait()

    async def work():
        async with httpx.AsyncClient(transport=Waiting()) as plain:
            task = asyncio.create_task(instrument(plain, log=log).post(server.chat, json=ASKED))
            while not lines_of(log, STARTED):
                await asyncio.wait([task], timeout=0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(work())
    assert ending_of(log) == ("error", 0, None, None, None)
    assert call_of(log)[1]["error_type"] == "cancelled"


def test_never_read(server, client, log):
    """An answer that is closed without being read is closed."""
    server.answer(stream_answer(CHAT_STREAM))
    with client.stream("POST", server.chat, json=ASKED):
        assert not lines_of(log, COMPLETED)
    assert ending_of(log) == ("success", 200, "closed", "missing", None)


def test_dropped_without_close(server, client, log):
    """An answer that is dropped has its event when it is collected."""
    server.answer(stream_answer(CHAT_STREAM))
    response = client.send(client.build_request("POST", server.chat, json=ASKED), stream=True)
    iterator = response.iter_raw()
    next(iterator)
    assert not lines_of(log, COMPLETED)
    iterator = None  # a generator that is collected is closed
    assert ending_of(log)[2] == "closed"
    server.answer(stream_answer(CHAT_STREAM))
    response = client.send(client.build_request("POST", server.chat, json=ASKED), stream=True)
    del response
    gc.collect()
    assert [completed["stream_end"] for _, completed in calls_of(log)] == ["closed", "garbage_collected"]


def test_dropped_by_an_async_client(server, log):
    """An async answer that is dropped has its event when it is collected."""
    server.answer(stream_answer(CHAT_STREAM))

    async def work(client):
        response = await client.send(client.build_request("POST", server.chat, json=ASKED), stream=True)
        del response
        gc.collect()
        return ending_of(log)

    assert run_async(log, work) == ("success", 200, "garbage_collected", "missing", None)


def test_an_async_stream(server, log):
    """An async stream passes unchanged and has its usage."""
    server.answer(stream_answer(CHAT_STREAM))

    async def work(client):
        async with client.stream("POST", server.chat, json=ASKED) as response:
            return b"".join([chunk async for chunk in response.aiter_raw()])

    assert run_async(log, work) == b"".join(CHAT_STREAM)
    assert ending_of(log) == ("success", 200, "complete", "reported", 42)


def test_an_async_stream_closed_early(server, log):
    """An async stream that is left after its first chunk is closed."""
    hold = threading.Event()
    server.answer(stream_answer(CHAT_STREAM, hold=hold))

    async def work(client):
        async with client.stream("POST", server.chat, json=ASKED) as response:
            async for _ in response.aiter_raw():
                break

    run_async(log, work)
    hold.set()
    assert ending_of(log) == ("success", 200, "closed", "missing", None)


@pytest.mark.parametrize("status", [429, 503, 529])
def test_an_error_has_no_usage(server, client, log, status):
    """A status of error is an error with the provider's text, and with the wait it asks for."""
    body = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    server.answer(json_answer(body, status, retry_after="2", request_id="req_7"))
    assert client.post(f"{server.url}/v1/messages", json=ASKED).status_code == status
    assert ending_of(log) == ("error", status, None, None, None)
    completed = call_of(log)[1]
    assert (completed["error"], completed["error_type"]) == ("Overloaded", "overloaded_error")
    assert (completed["retry_wait_ms"], completed["provider_request_id"]) == (2000, "req_7")


def test_an_error_that_is_not_read(server, client, log):
    """An error whose body is never read has the HTTP status as its text and type."""
    server.answer(json_answer({"error": {"message": "slow down"}}, 429))
    with client.stream("POST", server.chat, json=ASKED):
        pass
    completed = call_of(log)[1]
    assert (completed["status"], completed["error"], completed["error_type"]) == ("error", "HTTP 429", "429")


def test_an_error_within_a_success(server, client, log):
    """An error in the body of a 200 is an error."""
    server.answer(json_answer({"error": {"code": 429, "message": "rate limited upstream"}}))
    client.post(server.chat, json=ASKED | {"stream": False})
    completed = call_of(log)[1]
    assert (completed["status"], completed["status_code"], completed["error"]) == (
        "error",
        200,
        "rate limited upstream",
    )


def test_a_timeout(server, log):
    """A read that takes too long is a timeout, and the application gets the client's own exception."""
    hold = threading.Event()
    server.answer(stream_answer(CHAT_STREAM, hold=hold))
    with httpx.Client(timeout=httpx.Timeout(30, read=0.05)) as plain, pytest.raises(httpx.ReadTimeout):
        instrument(plain, log=log).post(server.chat, json=ASKED)
    hold.set()
    assert ending_of(log) == ("timeout", 200, "broken", None, None)
    assert call_of(log)[1]["error_type"] == "ReadTimeout"


def test_no_connection(server, client, log):
    """A request without an answer is an error without an HTTP status."""
    server.answer(Answer(ending=RESET))
    with pytest.raises(httpx.RemoteProtocolError):
        client.post(server.chat, json=ASKED)
    assert ending_of(log) == ("error", 0, None, None, None)


def test_redirects_have_no_usage(server, log):
    """Each hop of a redirect is a request of its own; only the last one has usage."""
    server.answer(Answer(307, {"location": "/v1/chat/completions"}, [b""], length=True))
    with httpx.Client(follow_redirects=True) as plain:
        instrument(plain, log=log).post(f"{server.url}/old", json=ASKED | {"stream": False})
    assert [(line["status_code"], line.get("usage_source")) for _, line in calls_of(log)] == [
        (307, None),
        (200, "reported"),
    ]


def test_only_calls_of_models(server, client, log):
    """A list of models is no call; an unknown path that is posted to is one."""
    client.get(f"{server.url}/v1/models")
    client.put(f"{server.url}/v1/files/1", content=b"x")
    client.post(f"{server.url}/v3/prophecies/abc-123", json={"model": "m-1"})
    started, completed = call_of(log)
    assert started["endpoint"] == "v3.prophecies"
    assert "provider" not in started
    assert completed["total_tokens"] == 42


@pytest.mark.parametrize(
    ("count", "attempt"),
    [("999999", 1_000_000), ("1000000", None), ("9" * 30, None), ("9" * 5_000, None), ("-1", None)],
)
def test_the_count_of_retries(server, client, log, count, attempt):
    """A count of retries that cannot be one is left out, and the call is observed."""
    client.post(server.chat, json={}, headers={"x-stainless-retry-count": count})
    assert [line.get("attempt") for line in call_of(log)] == [attempt, attempt]


def test_a_very_long_name_of_a_model(server, client, log):
    """The name of a model is cut, so that both events are written."""
    client.post(server.chat, json={"model": "m" * 3_000_000})
    assert [line["model"] for line in call_of(log)] == ["m" * 200] * 2


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("chat/completions", "chat/completions/{}"),
        ("responses", "responses/{}/cancel"),
        ("threads/t/runs", "threads/t/runs/{}"),
        ("threads/runs", "threads/t/runs/{}/cancel"),
    ],
)
def test_changes_of_an_answer_count_nothing(server, client, log, path, change):
    """A POST that changes or cancels an answer gives its usage back: it is counted once, by the id."""
    kind = {"chat/completions": "chat.completion", "responses": "response"}.get(path, "thread.run")
    answer_id = f"{kind}{len(path)}"
    usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
    server.always = json_answer({"id": answer_id, "object": kind, "status": "completed", "usage": usage})
    client.post(f"{server.url}/v1/{path}", json={"model": "m"})
    for _ in range(2):
        client.post(f"{server.url}/v1/{change.format(answer_id)}", json={})
    assert [line.get("total_tokens") for _, line in calls_of(log)] == [12, None, None]


def test_polls_count_once(server, client, log):
    """The usage of an answer that is asked for again is counted once, by its id."""
    queued = {"id": "resp_1", "object": "response", "status": "queued", "model": "m", "usage": None}
    done = {**queued, "status": "completed", "usage": {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}}
    server.answer(*map(json_answer, (queued, queued, done, done)))
    client.post(f"{server.url}/v1/responses", json={"model": "m", "background": True})
    for _ in range(3):
        client.get(f"{server.url}/v1/responses/resp_1")
    totals = [line.get("total_tokens") for _, line in calls_of(log)]
    assert totals == [None, None, 12, None]
    assert [line.get("usage_source") for _, line in calls_of(log)] == ["missing", "missing", "reported", None]


def test_calls_inside_a_round(server, client, log):
    """A request inside a round has its ids, and the round's usage is the sum of its requests."""
    with log.session(model="m") as session, log.round(model="m") as scope:
        client.post(server.chat, json={"model": "m"})
        client.post(server.chat, json={"model": "m"})
    for started, completed in calls_of(log):
        assert {started["round_id"], completed["round_id"]} == {scope.round_id}
        assert {started["session_id"], completed["session_id"]} == {session.session_id}
    (line,) = lines_of(log, "chat.round_completed")
    assert (line["total_tokens"], line["calls"], line["provider"]) == (84, 2, "openai")


def test_calls_inside_a_session(server, client, log):
    """A request inside a session has its id."""
    with log.session(model="m") as session:
        client.post(server.chat, json={"model": "m"})
    assert call_of(log)[1]["session_id"] == session.session_id


def test_a_call_that_outlives_its_round_counts_by_itself(server, client, log):
    """An answer that is read after its round has ended has no round_id, so that its usage is counted."""
    server.answer(stream_answer(CHAT_STREAM))
    with log.round(model="m"):
        response = client.send(client.build_request("POST", server.chat, json=ASKED), stream=True)
    response.read()
    completed = call_of(log)[1]
    assert completed["total_tokens"] == 42
    assert "round_id" not in completed


def test_a_request_scope_emits_for_its_call(server, client, log):
    """Inside a request scope the transport emits nothing, and the scope has the usage that it saw."""
    server.answer(stream_answer(CHAT_STREAM))
    with log.request(endpoint="mine", model="m"):
        client.post(server.chat, json=ASKED)
    started, completed = call_of(log)
    assert started["endpoint"] == "mine"
    assert completed["total_tokens"] == 42
    assert completed["time_to_first_token_ms"] >= 0


def test_a_request_scope_has_the_end_of_its_call(server, client, log):
    """An answer with an error that nobody raises, and a stream that breaks, have their status in the scope's event."""
    server.answer(
        json_answer({"error": {"message": "no", "type": "server_error"}}, 500),
        stream_answer(CHAT_STREAM[:2], ending=BROKEN),
        stream_answer(CHAT_STREAM),
    )
    with log.request(endpoint="mine", model="m"):
        assert client.post(server.chat, json=ASKED).status_code == 500
    with pytest.raises(httpx.RemoteProtocolError), log.request(endpoint="mine", model="m"):
        client.post(server.chat, json=ASKED)
    with log.request(endpoint="mine", model="m") as scope:
        client.post(server.chat, json=ASKED)
    refused, broken, whole = [completed for _, completed in calls_of(log)]
    assert (refused["status_code"], refused["status"], refused["error_type"]) == (500, "error", "server_error")
    assert (broken["status_code"], broken["status"], broken["stream_end"]) == (200, "error", "broken")
    assert (whole["status_code"], whole["status"], whole["stream_end"]) == (200, "success", "complete")
    assert {call["provider"] for call in (refused, broken, whole)} == {"openai"}
    assert scope.usage.total_tokens == 42  # also after the block


def test_a_poll_inside_a_request_scope(server, client, log):
    """A usage that was counted before is not handed to a request scope again."""
    done = {
        "id": "resp_scope",
        "object": "response",
        "status": "completed",
        "usage": {"input_tokens": 5, "output_tokens": 7},
    }
    server.always = json_answer(done)
    client.get(f"{server.url}/v1/responses/resp_scope")
    with log.request(endpoint="mine", model="m"):
        client.get(f"{server.url}/v1/responses/resp_scope")
    assert [line.get("total_tokens") for _, line in calls_of(log)] == [12, None]


def test_what_an_outer_observer_counts_is_left_alone(server, client, log):
    """A call that somebody else observes is not observed again."""
    from bamboo_logmetrics.logger.scope_context import observing

    with observing():
        client.post(server.chat, json={"model": "m"})
    assert lines_of(log, STARTED, COMPLETED) == []


def test_iterations_are_events_of_their_own(server, client, log):
    """An iteration outside the usage is a completed event with its own model, and counts beside the call."""
    usage = {
        "input_tokens": 10,
        "output_tokens": 5,
        "iterations": [
            {"type": "message", "input_tokens": 10, "output_tokens": 5},
            {"type": "advisor_message", "model": "big-1", "input_tokens": 100, "output_tokens": 50},
            {"type": "compaction"},
        ],
    }
    server.always = json_answer({"id": "msg_1", "type": "message", "model": "small-1", "usage": usage})
    client.post(f"{server.url}/v1/messages", json={"model": "small-1"})
    with log.round(model="small-1") as scope:
        client.post(f"{server.url}/v1/messages", json={"model": "small-1"})
    assert [line["total_tokens"] for _, line in calls_of(log)] == [15, 15]
    advisors = [line for line in lines_of(log, COMPLETED) if line.get("iteration") == "advisor"]
    assert [line["total_tokens"] for line in advisors] == [150, 150]
    assert [line["model"] for line in advisors] == ["big-1", "big-1"]
    assert [line.get("parent_round_id") for line in advisors] == [None, scope.round_id]


def test_usage_in_headers(server, client, log):
    """Usage that only the headers report is the call's."""
    headers = {"x_amzn_bedrock_input_token_count": "11", "x_amzn_bedrock_output_token_count": "22"}
    server.answer(json_answer({"generation": "x"}, **headers))
    client.post(f"{server.url}/model/titan-1/invoke", json={"prompt": "x"})
    started, completed = call_of(log)
    assert started["model"] == "titan-1"
    assert (completed["prompt_tokens"], completed["completion_tokens"]) == (11, 22)


def test_a_body_closed_in_the_middle(server, client, log):
    """A body that is no stream and is closed half-read is closed, without usage."""
    hold = threading.Event()
    answer = json_answer(CHAT)
    text = answer.chunks[0]
    answer.chunks, answer.hold = [text[:50], text[50:]], hold
    server.answer(answer)
    with client.stream("POST", server.chat, json={"model": "m"}) as response:
        next(response.iter_raw())
    hold.set()
    assert ending_of(log) == ("success", 200, "closed", "missing", None)


class Chunks(httpx.SyncByteStream):
    """A body in chunks."""

    def __init__(self, chunks):
        self._chunks = chunks

    def __iter__(self):
        yield from self._chunks


BODIES = [json.dumps(CHAT).encode(), *CHAT_STREAM, b"{}", b"[]", b"null", b"\x1f\x8b", b"event: error\ndata: {}\n\n"]


@settings(max_examples=100)
@given(
    chunks=st.lists(st.sampled_from(BODIES) | st.binary(max_size=40), max_size=6),
    status=st.sampled_from([200, 204, 302, 404, 599]),
    content_type=st.sampled_from(
        ["application/json", "text/event-stream", "application/vnd.amazon.eventstream", "", "é"]
    ),
    encoding=st.sampled_from(["", "gzip", "deflate", "zstd", "x"]),
    path=st.sampled_from(["/v1/chat/completions", "/v1/messages", "/v1/x:streamGenerateContent", "/"]),
    asked=st.binary(max_size=20),
)
def test_any_answer_passes(*, chunks, status, content_type, encoding, path, asked):
    """Whatever a server answers, the application gets the same bytes, and there is one event of each kind."""
    target = LogTarget()
    headers = [(b"content-type", content_type.encode()), (b"content-encoding", encoding.encode())]
    transport = httpx.MockTransport(lambda request: httpx.Response(status, headers=headers, stream=Chunks(chunks)))
    with capture_events() as captured, httpx.Client(transport=transport) as plain:
        client = instrument(plain, log=BoundLog(target, target.processors, {}))
        with client.stream("POST", f"https://api.example.com{path}", content=b'{"model":' + asked) as response:
            assert b"".join(response.iter_raw()) == b"".join(chunks)
    calls = [event for event, bound in zip(captured, captured.bound, strict=True) if "iteration" not in bound]
    assert [event.kind for event in calls] == [STARTED, COMPLETED]
    assert observation_errors() == 0


def test_a_transport_that_answers_itself(log):
    """An answer without a connection, as of a mock, is observed."""

    def answering(request):
        return httpx.Response(200, json=CHAT)

    with httpx.Client(transport=httpx.MockTransport(answering)) as plain:
        assert instrument(plain, log=log).post("http://localhost/v1/chat/completions", json={}).json() == CHAT
    assert ending_of(log) == ("success", 200, None, "reported", 42)


def test_errors_inside_are_counted_and_never_raised(log, monkeypatch, capsys):
    """An error inside the instrumentation is counted and reported once; the call has its events even so."""

    class Headers(httpx.Headers):
        @property
        def raw(self):
            if not vars(self).setdefault("asked", False):  # by the instrumentation; the client asks later
                self.asked = True
                raise ZeroDivisionError
            return super().raw

    def answering(request):
        response = httpx.Response(200, json=CHAT)
        response.headers = Headers(response.headers)
        return response

    with httpx.Client(transport=httpx.MockTransport(answering)) as plain:
        for _ in range(2):
            instrument(plain, log=log).post("http://localhost/v1/chat/completions", json={})
    assert [line["status"] for _, line in calls_of(log)] == ["success", "success"]
    assert observation_errors() == 2
    assert capsys.readouterr().err.count("could not be observed") == 1
    monkeypatch.setattr(shield._Errors, "count", 0)


def test_a_stream_that_cannot_be_replaced(log, monkeypatch):
    """An answer of a kind that cannot be watched passes, is counted as an error, and has its completed event."""

    class Fixed(httpx.Response):
        @property
        def stream(self):
            return self.__dict__["_fixed"]

        @stream.setter
        def stream(self, stream):
            if "_fixed" in self.__dict__ and "Observed" in type(stream).__name__:
                raise AttributeError
            self.__dict__["_fixed"] = stream

    def answering(request):
        return Fixed(200, content=iter([b"{}"]))

    with httpx.Client(transport=httpx.MockTransport(answering)) as plain:
        assert instrument(plain, log=log).post("http://localhost/v1/chat/completions", json={}).json() == {}
    assert ending_of(log)[:2] == ("success", 200)
    assert observation_errors() == 1
    monkeypatch.setattr(shield._Errors, "count", 0)


async def serve_streams(reader, writer):
    """Answer each request of a connection with the same stream, on the event loop of the clients."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    with contextlib.closing(writer), contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while request := await reader.readuntil(b"\r\n\r\n"):
            await reader.readexactly(int(request.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            writer.write(head)
            for chunk in CHAT_STREAM:
                writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                await writer.drain()
            writer.write(b"0\r\n\r\n")


async def read_streams(log, url, count):
    """Read streams at the same time, every fourth one only to its first chunk."""

    async def reading(client, number):
        async with client.stream("POST", url, json=ASKED) as response:
            async for _ in response.aiter_raw():
                if number % 4 == 0:
                    break

    async with contextlib.AsyncExitStack() as stack:
        # several clients, because the time that a pool takes for each request grows with the requests that wait
        plain = [await stack.enter_async_context(httpx.AsyncClient(timeout=None, trust_env=False)) for _ in range(20)]
        clients = [instrument(client, log=log) for client in plain]
        await asyncio.gather(*(reading(clients[number % 20], number) for number in range(count)))


def test_a_thousand_streams_at_once(log):
    """All of 1,000 concurrent async streams are accounted for, those that are left early too."""

    async def work():
        connections = []

        async def serving(reader, writer):
            connections.append(asyncio.current_task())
            await serve_streams(reader, writer)

        async with await asyncio.start_server(serving, "127.0.0.1", 0, backlog=1024) as server:
            await read_streams(log, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/chat/completions", 1_000)
            await asyncio.gather(*connections)

    asyncio.run(work())
    calls = calls_of(log)
    assert len(calls) == 1_000
    assert all(completed["status"] == "success" for _, completed in calls)
    assert sum(completed["stream_end"] == "complete" for _, completed in calls) >= 750
    assert log.stats().emitted == 2_000


def test_the_end_of_the_process(run_python, server, path):
    """An answer that is still open when the process ends has its completed event before the log is closed."""
    server.answer(stream_answer(CHAT_STREAM))
    program = f"""
import httpx, bamboo_logmetrics as blm
from bamboo_logmetrics.instrument import instrument
blm.configure({str(path)!r})
client = instrument(httpx.Client(trust_env=False))
request = client.build_request("POST", {server.chat!r}, json={ASKED!r})
response = client.send(request, stream=True)
"""
    done = run_python(program)
    assert (done.returncode, done.stderr) == (0, "")
    text = path.read_text(encoding="utf-8")
    assert text.count(COMPLETED) == 1
    assert '"stream_end":"garbage_collected"' in text
    assert '"dropped":{}' in text


def test_the_end_of_the_process_before_the_answer(run_python, server, path):
    """A request that has no answer when the process ends is an error."""
    program = f"""
import httpx, threading, bamboo_logmetrics as blm
from bamboo_logmetrics.instrument import instrument
blm.configure({str(path)!r})
asked = threading.Event()
class Waiting(httpx.BaseTransport):
    def handle_request(self, request):
        asked.set()
        threading.Event().wait()
client = instrument(httpx.Client(transport=Waiting()))
threading.Thread(target=client.post, args=({server.chat!r},), daemon=True).start()
asked.wait()
"""
    assert run_python(program).returncode == 0
    text = path.read_text(encoding="utf-8")
    assert '"status_code":0,"status":"error"' in text
    assert "the log was closed before the answer" in text


def test_closing_the_log_completes_its_calls(server, client, log, path):
    """An answer that is still open when its log is closed has its completed event; the application reads on."""
    server.answer(stream_answer(CHAT_STREAM))
    with client.stream("POST", server.chat, json=ASKED) as response:
        log.close()
        assert response.read() == b"".join(CHAT_STREAM)
    assert [line.event.kind for line in blm.read(path)][1:-1] == [STARTED, COMPLETED]
    assert log.stats().dropped_total == 0


def test_closing_the_log_before_the_answer(log, path):
    """A request that has no answer when its log is closed is an error of its own type; the application gets the answer."""

    def answering(request):
        log.close()
        return httpx.Response(200, json=CHAT)

    with httpx.Client(transport=httpx.MockTransport(answering)) as plain:
        assert instrument(plain, log=log).post("http://localhost/v1/chat/completions", json={}).json() == CHAT
    completed = [line for line in blm.read(path) if line.event.kind == COMPLETED]
    assert [(line.event.status_code, line.bound["error_type"]) for line in completed] == [(0, "log_closed")]


def test_a_forked_child_leaves_the_parents_calls(run_python, server, path):
    """A child that is forked while a call is open emits nothing for it."""
    server.answer(stream_answer(CHAT_STREAM))
    program = f"""
import os, httpx, bamboo_logmetrics as blm
from bamboo_logmetrics.instrument import instrument
blm.configure({str(path)!r})
client = instrument(httpx.Client(trust_env=False))
with client.stream("POST", {server.chat!r}, json={ASKED!r}) as response:
    if (child := os.fork()) == 0:
        response.close()
        blm.close()
        os._exit(0)
    os.waitpid(child, 0)
    response.read()
"""
    assert run_python(program).returncode == 0
    text = path.read_text(encoding="utf-8")
    assert text.count(COMPLETED) == 1
    assert '"stream_end":"complete"' in text


def test_other_loops_than_asyncio(server, log):
    """A stream of a client that runs on another event loop's library is observed, and a cancelled one too."""
    trio = pytest.importorskip("trio")
    server.always = stream_answer(CHAT_STREAM)

    async def work():
        async with httpx.AsyncClient(timeout=30) as plain:
            await instrument(plain, log=log).post(server.chat, json=ASKED)

    anyio.run(work, backend=trio.__name__)
    assert ending_of(log) == ("success", 200, "complete", "reported", 42)
