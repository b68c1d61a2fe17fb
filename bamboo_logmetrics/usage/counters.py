"""Usage as two counters of any name: Ollama, llama.cpp, Text Generation Inference, models on Bedrock, watsonx."""

from __future__ import annotations

from bamboo_logmetrics.usage.values import Counts, Tokens

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
WITHOUT_COMPLETION = frozenset(
    {"prompt_eval_count", "inputTextTokenCount", "token_count"}
)  # embeddings have these alone


def tokens(counts: Counts) -> Tokens:
    """Return the tokens by the first pair of which a counter is there."""
    for asked, answered in PAIRS:
        prompt, completion = counts.get(asked), counts.get(answered)
        if prompt is not None or completion is not None:
            if completion is None and asked in WITHOUT_COMPLETION:
                completion = 0
            return Tokens(prompt, completion)
    return Tokens()
