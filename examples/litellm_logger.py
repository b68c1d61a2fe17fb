"""Log LiteLLM's calls, whatever the provider is."""

import os

import litellm

import bamboo_logmetrics as blm
from bamboo_logmetrics.instrument.litellm import MetricsLogger

blm.configure("logs/litellm.jsonl")
litellm.callbacks = [MetricsLogger()]

answer = litellm.completion(
    model="openai/gpt-5-mini",
    messages=[{"role": "user", "content": "Hello!"}],
    api_base=os.environ.get("OPENAI_BASE_URL"),
)
print(answer.choices[0].message.content)
