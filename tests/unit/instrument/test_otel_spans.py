"""GenAI spans of a real OpenTelemetry SDK as events."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Status, StatusCode, set_span_in_context
from support.tools import flat, typed

import bamboo_logmetrics as blm
from bamboo_logmetrics.instrument.otel_spans import MetricsSpanProcessor, add_trace_id
from bamboo_logmetrics.logger.scope_context import current_request, current_round, observing
from bamboo_logmetrics.usage import CallFacts

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "m-1"}
AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "waiter", "gen_ai.conversation.id": "s-1"}
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "read_file", "gen_ai.tool.call.id": "c-1"}
ANSWER = {
    "gen_ai.response.model": "m-1-2026",
    "gen_ai.response.id": "resp-1",
    "gen_ai.response.finish_reasons": ("stop",),
    "gen_ai.usage.input_tokens": 30,
    "gen_ai.usage.output_tokens": 7,
    "gen_ai.usage.cache_read.input_tokens": 20,
}


@pytest.fixture
def tracer(log):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(MetricsSpanProcessor(log))
    yield provider.get_tracer("test")
    provider.shutdown()


def events(log):
    """Return the typed events of a log, each without its header."""
    assert log.flush()
    return typed(log.path)


def named(log, kind):
    return [event for event in events(log) if event["event"] == kind]


def test_a_run_of_an_agent(log, tracer):
    """An agent's span is a session, its calls are rounds, and a tool belongs to the round before it."""
    with tracer.start_as_current_span("invoke_agent waiter", attributes=AGENT) as root:
        with tracer.start_as_current_span("chat m-1", attributes=CHAT) as span:
            span.set_attributes(ANSWER)
        with tracer.start_as_current_span("execute_tool read_file", attributes=TOOL):
            pass
    started, began, completed, tool, ended = events(log)
    assert (started["event"], started["session_id"], started["agent"]) == ("chat.session_started", "s-1", "waiter")
    assert (began["event"], completed["event"]) == ("chat.round_started", "chat.round_completed")
    assert (completed["prompt_tokens"], completed["completion_tokens"], completed["total_tokens"]) == (30, 7, 37)
    assert (completed["cache_read_tokens"], completed["stop_reason"]) == (20, "stop")
    assert (completed["provider"], completed["model"], completed["response_model"]) == ("openai", "m-1", "m-1-2026")
    assert completed["usage_source"] == "reported"
    assert (tool["tool_name"], tool["tool_call_id"], tool["success"]) == ("read_file", "c-1", True)
    assert tool["round_id"] == began["round_id"] == completed["round_id"]
    assert (ended["event"], ended["status"]) == ("chat.session_completed", "completed")
    trace = f"{root.get_span_context().trace_id:032x}"
    assert {event["trace_id"] for event in (started, began, completed, tool, ended)} == {trace}


def test_very_long_names(log, tracer):
    """Names and ids are cut, so that each event is written."""
    long = "x" * 2_000_000
    with tracer.start_as_current_span("invoke_agent", attributes={**AGENT, "gen_ai.request.model": long}):
        with tracer.start_as_current_span("chat", attributes={**CHAT, "gen_ai.request.model": long}):
            pass
        with tracer.start_as_current_span("tool", attributes={**TOOL, "gen_ai.tool.name": long}):
            pass
    assert len(events(log)) == 5
    assert named(log, "chat.round_started")[0]["model"] == named(log, "chat.round_completed")[0]["model"] == "x" * 200
    assert not log.stats().dropped


@pytest.mark.parametrize(
    ("attributes", "tokens"),
    [
        ({"gen_ai.usage.prompt_tokens": 5, "gen_ai.usage.completion_tokens": 2}, (5, 2, "reported")),
        ({"llm.token_count.prompt": 5, "llm.token_count.completion": 2}, (5, 2, "reported")),
        ({"gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 0}, (5, 0, "reported")),
        ({"gen_ai.usage.input_tokens": 5}, (5, 0, "partial")),
        ({"gen_ai.usage.output_tokens": 2.0}, (0, 2, "partial")),
        # some libraries leave the cache out of the input
        (
            {
                "gen_ai.usage.input_tokens": 3,
                "gen_ai.usage.output_tokens": 2,
                "gen_ai.usage.cache_read_input_tokens": 40,
                "gen_ai.usage.cache_creation.input_tokens": 10,
            },
            (53, 2, "reported"),
        ),
        ({"gen_ai.usage.input_tokens": -1, "gen_ai.usage.output_tokens": "many"}, (0, 0, "missing")),
        ({}, (0, 0, "missing")),
    ],
)
def test_usage_of_each_generation(log, tracer, attributes, tokens):
    """Tokens are read by the names of both generations; what is not there is not taken for zero."""
    with tracer.start_as_current_span("chat", attributes=CHAT) as span:
        span.set_attributes(attributes)
    (completed,) = named(log, "chat.round_completed")
    assert (completed["prompt_tokens"], completed["completion_tokens"], completed["usage_source"]) == tokens


@pytest.mark.parametrize(
    ("name", "provider"), [("openai", "openai"), ("az.ai.openai", "azure.ai.openai"), ("google-gla", "gcp.gemini")]
)
def test_providers_have_their_names_of_today(log, tracer, name, provider):
    """The provider's older name, in gen_ai.system, becomes that of today."""
    with tracer.start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat", "gen_ai.system": name}):
        pass
    assert {event["provider"] for event in events(log)} == {provider}


def test_failures(log, tracer):
    """A span with an error status is a failed round, tool or session, with its type and text."""
    with (
        pytest.raises(ValueError, match="no such file"),
        tracer.start_as_current_span("invoke_agent", attributes=AGENT),
    ):
        with tracer.start_as_current_span("chat", attributes=CHAT) as span:
            span.set_attribute("error.type", "429")
            span.set_status(Status(StatusCode.ERROR, "slow down"))
        with tracer.start_as_current_span("execute_tool", attributes=TOOL):
            raise ValueError("no such file")
    (call,), (tool,) = named(log, "chat.round_completed"), named(log, "chat.tool_called")
    assert (call["status"], call["error"], call["error_type"]) == ("error", "slow down", "429")
    assert (tool["success"], tool["error_type"]) == (False, "error")
    assert "no such file" not in str(tool)
    assert named(log, "chat.session_completed")[0]["status"] == "error"


def test_a_span_that_tells_only_at_its_end(log, tracer):
    """A span whose attributes come late has its events when it ends, with the times of the span."""
    parts = [("a", AGENT), ("b", {**CHAT, **ANSWER}), ("c", TOOL), ("d", {"http.method": "GET"})]
    for name, attributes in parts:
        span = tracer.start_span(name, start_time=1_795_362_433_000_000_000)
        span.set_attributes(attributes)
        if name == "c":
            span.set_status(Status(StatusCode.ERROR))
        span.end(end_time=1_795_362_434_500_000_000)
    found = events(log)
    assert [event["event"].partition(".")[2] for event in found] == [
        "session_started", "session_completed", "round_started", "round_completed", "tool_called"
    ]  # fmt: skip
    assert [event["timestamp"][17:22] for event in found] == ["13.00", "14.50", "13.00", "14.50", "14.50"]
    assert (found[3]["latency_ms"], found[3]["prompt_tokens"], found[3]["response_id"]) == (1_500, 30, "resp-1")
    assert (found[4]["success"], found[4]["round_source"]) == (False, "missing")


def test_late_spans_within_an_agent(log, tracer):
    """A call and a tool whose spans tell late what they are belong to the session around them, and to its last round."""
    with tracer.start_as_current_span("invoke_agent", attributes=AGENT):
        with tracer.start_as_current_span("chat", attributes=CHAT):
            pass
        for attributes in (TOOL, CHAT):
            span = tracer.start_span("late")
            span.set_attributes(attributes)
            span.end()
    (tool,), (first, second) = named(log, "chat.tool_called"), named(log, "chat.round_completed")
    assert (tool["session_id"], tool["round_id"], tool.get("round_source")) == ("s-1", first["round_id"], None)
    assert second["session_id"] == "s-1"


def test_one_call_is_counted_once(log, tracer):
    """A span inside a round, a request or another call's span adds no event, and no tokens that are known already."""
    with log.round(model="m-1", session_id="s"), tracer.start_as_current_span("chat", attributes=CHAT) as span:
        current_round().observe(CallFacts(usage=blm.TokenUsage(prompt_tokens=1, completion_tokens=1, total_tokens=2)))
        span.set_attributes(ANSWER)
    with log.round(model="m-1", session_id="s"), tracer.start_as_current_span("chat", attributes=CHAT) as span:
        span.set_attributes(ANSWER)
    with tracer.start_as_current_span("chat", attributes=CHAT) as outer:
        with tracer.start_as_current_span("chat", attributes=CHAT) as span:
            span.set_attributes(ANSWER)
        outer.set_attributes(ANSWER)
    with observing():
        with tracer.start_as_current_span("chat", attributes=CHAT) as span:
            span.set_attributes(ANSWER)
        late = tracer.start_span("late")
        late.set_attributes(CHAT)
        late.end()
    assert [event["prompt_tokens"] for event in named(log, "chat.round_completed")] == [1, 30, 30]
    assert len(named(log, "chat.round_started")) == 3


def usage_of(tokens):
    return {"gen_ai.usage.input_tokens": tokens, "gen_ai.usage.output_tokens": 0}


def test_calls_beside_each_other(log, tracer):
    """Two spans of calls at the same time are two calls: within a round they add up, within an agent each has its own."""
    with log.round(model="m-1", session_id="s"):
        first, second = (tracer.start_span("chat", attributes=CHAT) for _ in range(2))
        for span, tokens in ((first, 100), (second, 10)):
            span.set_attributes(usage_of(tokens))
            span.end()
    with tracer.start_as_current_span("invoke_agent", attributes=AGENT):
        first, second = (tracer.start_span("chat", attributes=CHAT) for _ in range(2))
        for span, tokens in ((second, 20), (first, 200)):
            span.set_attributes(usage_of(tokens))
            span.end()
    rounds = named(log, "chat.round_completed")
    assert [event["prompt_tokens"] for event in rounds] == [110, 20, 200]
    assert rounds[0]["calls"] == 2
    assert {event["session_id"] for event in rounds[1:]} == {"s-1"}


def test_a_call_within_a_request_scope(log, tracer):
    """A span within a request adds its tokens and its status to that."""
    with log.request(endpoint="mine", model="m-1"), tracer.start_as_current_span("chat", attributes=CHAT) as span:
        span.set_attributes(ANSWER)
        current_request().saw_status(202)
    (completed,) = named(log, "forward.request_completed")
    assert (completed["prompt_tokens"], completed["status_code"]) == (30, 202)
    assert named(log, "chat.round_completed") == []


def test_agents_within_a_tool(log, tracer):
    """A sub-agent's session names its parent and the tool call that began it."""
    with (
        tracer.start_as_current_span("invoke_agent", attributes=AGENT),
        tracer.start_as_current_span("execute_tool", attributes=TOOL),
        tracer.start_as_current_span("invoke_agent", attributes={**AGENT, "gen_ai.conversation.id": "s-2"}),
    ):
        pass
    inner = named(log, "chat.session_started")[1]
    assert (inner["session_id"], inner["parent_session_id"], inner["parent_tool_call_id"]) == ("s-2", "s-1", "c-1")


def test_a_call_outside_of_any_agent(log, tracer):
    """A call without an agent and without a conversation belongs to a session with the id of its trace."""
    with tracer.start_as_current_span("web") as root, tracer.start_as_current_span("chat", attributes=CHAT):
        pass
    with tracer.start_as_current_span("execute_tool", attributes=TOOL):
        pass
    (_, completed, tool) = events(log)
    assert completed["session_id"] == f"{root.get_span_context().trace_id:032x}"
    assert (tool["round_id"], tool["round_source"]) == ("", "missing")


def test_spans_of_tasks_and_threads(log, tracer):
    """Spans of parallel tasks and of threads each have their own round."""

    async def call(number):
        with tracer.start_as_current_span("chat", attributes={**CHAT, "gen_ai.conversation.id": f"s-{number}"}) as span:
            await asyncio.to_thread(int)  # the other tasks begin
            span.set_attribute("gen_ai.usage.input_tokens", number)
            span.set_attribute("gen_ai.usage.output_tokens", 0)

    async def main():
        await asyncio.gather(*map(call, range(50)))

    asyncio.run(main())
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: asyncio.run(call(number)), range(50, 60)))
    rounds = {event["session_id"]: event["prompt_tokens"] for event in named(log, "chat.round_completed")}
    assert rounds == {f"s-{number}": number for number in range(60)}


def test_a_span_that_ends_elsewhere(log, tracer):
    """A span may end in another thread than the one it began in."""
    span = tracer.start_span("chat", attributes=CHAT)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(span.end).result()
    child = tracer.start_span("chat", context=set_span_in_context(span), attributes=CHAT)
    child.end()
    assert len(named(log, "chat.round_completed")) == 2


def test_shutdown_ends_what_is_open(log):
    """When the tracer provider is shut down, the open scopes end as cancelled, once."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(MetricsSpanProcessor(log))
    tracer = provider.get_tracer("test")
    span = tracer.start_span("chat", attributes=CHAT)
    assert provider.force_flush()
    provider.shutdown()
    span.end()
    (completed,) = named(log, "chat.round_completed")
    assert (completed["status"], completed["usage_source"]) == ("cancelled", "missing")


def test_contents_are_never_stored(log, tracer):
    """Prompts, completions and the contents of tools in a span do not get into the log."""
    secret = "WORDS-OF-THE-USER"
    contents = {
        "gen_ai.input.messages": secret, "gen_ai.output.messages": secret, "gen_ai.prompt.0.content": secret,
        "gen_ai.tool.call.arguments": secret, "gen_ai.tool.call.result": secret, "input.value": secret,
    }  # fmt: skip
    for attributes in (AGENT, CHAT, TOOL):
        with tracer.start_as_current_span("x", attributes={**attributes, **contents}):
            pass
    assert log.flush()
    assert secret not in str(flat(log.path))


def test_the_trace_id_of_the_current_span(tmp_path):
    """The processor gives events and lines the trace of the span around them, and leaves others alone."""
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    with blm.open_log(tmp_path / "a.jsonl", processors=[add_trace_id]) as log:
        log.info("outside")
        with tracer.start_as_current_span("web") as span:
            log.info("inside")
            log.emit(blm.SessionStarted(session_id="s", model="m"))
            log.info("own", trace_id="t-1")
    trace = f"{span.get_span_context().trace_id:032x}"
    lines = [line for line in flat(tmp_path / "a.jsonl") if not line["event"].startswith("system.")]
    assert [line.get("trace_id") for line in lines] == [None, trace, trace, "t-1"]
