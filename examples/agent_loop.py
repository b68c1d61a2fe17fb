"""An agent's loop: a session with rounds and tool calls, whose usage comes from the client by itself."""

import openai

import bamboo_logmetrics as blm
from bamboo_logmetrics.instrument import instrument

log = blm.open_log("logs/agent.jsonl").bind(project="demo")
client = instrument(openai.OpenAI(), log=log)
MODEL = "gpt-5-mini"


@log.tool("word_count")
def word_count(text: str) -> int:
    """Count the words of a text."""
    return len(text.split())


with log.session(model=MODEL) as session:
    messages = []
    for question in ("Hello!", "And again?"):
        messages.append({"role": "user", "content": question})
        with log.round(model=MODEL):
            answer = client.chat.completions.create(model=MODEL, messages=messages)
        text = answer.choices[0].message.content or ""
        messages.append({"role": "assistant", "content": text})
        print(word_count(text), "words")
    session.message_count = len(messages)
log.close()
