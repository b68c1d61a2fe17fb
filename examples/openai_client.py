"""Log every call of an OpenAI client: model, tokens, latency and status, never the texts."""

import openai

import bamboo_logmetrics as blm
from bamboo_logmetrics.instrument import instrument

blm.configure("logs/openai.jsonl")
client = instrument(openai.OpenAI())

answer = client.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": "Hello!"}])
print(answer.choices[0].message.content)

stream = client.chat.completions.create(
    model="gpt-5-mini",
    messages=[{"role": "user", "content": "Hello again!"}],
    stream=True,
    stream_options={"include_usage": True},  # without it OpenAI reports no usage of a stream
)
for chunk in stream:
    print(chunk.choices[0].delta.content or "" if chunk.choices else "", end="")
print()
blm.close()
