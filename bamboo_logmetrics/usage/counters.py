"""Usage as two counters of any name: Ollama, llama.cpp, Text Generation Inference, models on Bedrock, watsonx."""

from __future__ import annotations

from typing import Any

from bamboo_logmetrics.usage.envelope import Envelope
from bamboo_logmetrics.usage.values import Counts, Tokens, count

# the counter of the prompt and that of the completion
PAIRS = (
    ("prompt_eval_count", "eval_count"),  # Ollama
    ("tokens_evaluated", "tokens_predicted"),  # llama.cpp
    ("inputTextTokenCount", "totalOutputTextTokenCount"),  # Amazon Titan
    ("prompt_token_count", "generation_token_count"),  # Llama on Bedrock
    ("input_token_count", "generated_token_count"),  # watsonx
    ("input_token_count", "output_token_count"),  # Replicate
    ("input_length", "generated_tokens"),  # Text Generation Inference
    ("num_tokens_prompt_total", "num_tokens_generated"),  # Aleph Alpha
    ("token_count", "output_token_count"),  # embeddings of Vertex AI
)  # fmt: skip
KEYS = frozenset(key for pair in PAIRS for key in pair)
# embeddings have these alone
WITHOUT_COMPLETION = frozenset({"prompt_eval_count", "inputTextTokenCount", "token_count"})
# LM Studio's stats under the names of a response
_STATS = {
    "input_tokens": "input_tokens",
    "total_output_tokens": "output_tokens",
    "reasoning_output_tokens": "reasoning_tokens",
}


def at_top(envelope: Envelope) -> dict[str, Any]:
    """Return the counters beside the content, or in the details of Text Generation Inference and LM Studio's stats."""
    stats, details = envelope.get("stats"), envelope.get("details")
    usage: dict[str, Any] = {}
    if isinstance(stats, dict):
        usage.update((name, stats[key]) for key, name in _STATS.items() if key in stats)
    for place in (details, envelope):
        if isinstance(place, dict):
            usage.update((key, place[key]) for key in KEYS & place.keys())
    return usage


def in_lists(envelope: Envelope) -> dict[str, int]:
    """Return the counters that are spread over lists: the results of Titan, the embeddings of Vertex AI."""
    if "results" not in envelope and "predictions" not in envelope:
        return {}
    results = [count(result.get("tokenCount")) for result in envelope.get("results", ())]
    inputs = [_statistics(prediction) for prediction in envelope.get("predictions", ())]
    lists = {"totalOutputTextTokenCount": results, "token_count": inputs}
    return {key: sum(filter(None, values)) for key, values in lists.items() if set(values) - {None}}


def _statistics(prediction: Envelope) -> int | None:
    embeddings = prediction.get("embeddings")
    statistics = embeddings.get("statistics") if isinstance(embeddings, dict) else None
    return count(statistics.get("token_count")) if isinstance(statistics, dict) else None


def tokens(counts: Counts) -> Tokens:
    """Return the tokens by the pair of which both counters are there, else by the first of which one is."""
    keys = counts.usage.keys()
    pairs = [pair for pair in PAIRS if not keys.isdisjoint(pair)]
    asked, answered = next((pair for pair in pairs if keys >= set(pair)), pairs[0])
    prompt, completion = counts.get(asked), counts.get(answered)
    if completion is None and asked in WITHOUT_COMPLETION:
        completion = 0
    return Tokens(prompt, completion)
