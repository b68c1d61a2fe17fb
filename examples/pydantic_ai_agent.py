"""Log the runs of a pydantic-ai agent through the OpenTelemetry spans that it makes."""

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from pydantic_ai import Agent

import bamboo_logmetrics as blm
from bamboo_logmetrics.instrument.otel_spans import MetricsSpanProcessor

blm.configure("logs/pydantic_ai.jsonl")
provider = TracerProvider()
provider.add_span_processor(MetricsSpanProcessor())
trace.set_tracer_provider(provider)
Agent.instrument_all()

agent = Agent("openai-chat:gpt-5-mini", name="greeter")
print(agent.run_sync("Hello!").output)
blm.close()
