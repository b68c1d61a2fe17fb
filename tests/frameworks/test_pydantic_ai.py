"""pydantic-ai itself, whose spans become events; its HTTP client is instrumented at the same time."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import TracerProvider
from support.provider_server import CHAT, json_answer
from support.tools import typed

pydantic_ai = pytest.importorskip("pydantic_ai")
openai_models = pytest.importorskip("pydantic_ai.models.openai")

from openai import AsyncOpenAI  # noqa: E402
from pydantic_ai.models.instrumented import InstrumentationSettings  # noqa: E402
from pydantic_ai.providers.openai import OpenAIProvider  # noqa: E402

from bamboo_logmetrics.instrument import instrument  # noqa: E402
from bamboo_logmetrics.instrument.otel_spans import MetricsSpanProcessor  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # of pydantic-ai and the libraries below it

TOOL_CALL = {**CHAT, "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
    "role": "assistant", "content": None,
    "tool_calls": [{"id": "call-1", "type": "function", "function": {"name": "menu", "arguments": "{}"}}],
}}]}  # fmt: skip


@pytest.mark.parametrize("observers", ["spans", "spans and client"])
def test_one_run_of_an_agent(log, server, observers):
    """A run is a session with two rounds and a tool call, and every token is counted once, whoever observes it."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(MetricsSpanProcessor(log))
    client = AsyncOpenAI(base_url=f"{server.url}/v1", api_key="k")
    if "client" in observers:
        instrument(client, log=log)
    model = openai_models.OpenAIChatModel("m-1", provider=OpenAIProvider(openai_client=client))
    pydantic_ai.Agent.instrument_all(InstrumentationSettings(tracer_provider=provider))
    agent = pydantic_ai.Agent(model, name="waiter")

    @agent.tool_plain
    def menu() -> str:
        return "soup"

    server.answer(json_answer(TOOL_CALL), json_answer(CHAT))
    assert agent.run_sync("what is there?").output == "hello"
    pydantic_ai.Agent.instrument_all(instrument=False)
    provider.shutdown()
    assert log.flush()
    events = typed(log.path)
    (session,) = {event["session_id"] for event in events if "session_id" in event}
    rounds = [event for event in events if event["event"] == "chat.round_completed"]
    assert [event["prompt_tokens"] for event in rounds] == [30, 30]
    (tool,) = [event for event in events if event["event"] == "chat.tool_called"]
    assert (tool["tool_name"], tool["round_id"], tool["session_id"]) == ("menu", rounds[0]["round_id"], session)
    requests = [event for event in events if event["event"] == "forward.request_completed"]
    assert [event.get("round_id") for event in requests] == (
        [event["round_id"] for event in rounds] if "client" in observers else []
    )
