"""The parts of a model's name that are public, and those that its owner chose.

A name is public as far as each of its words is known: a deployment, a fine-tuned model or a path on a disk mostly holds
a public name, such as ``gpt-4o``, beside that of a customer. Any other word may say who wrote the log.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

_FAMILIES = (
    "abab aya bison chatglm chatgpt claude codegemma codellama codestral codex command dbrx deepseek devstral "
    "doubao embed ernie fable falcon gecko gemini gemma glm gpt granite grok haiku hermes hunyuan imagen jamba "
    "kimi lfm llama magistral maverick mercury mimo minimax ministral mistral mixtral moonshot mythos nemo "
    "nemotron nova olmo opus palm phi pixtral qvq qwen qwq scout seed solar sonar sonnet starcoder titan veo "
    "voxtral whisper yi"
)
_MAKERS = (
    "ai ai21 alibaba amazon anthropic aws azure bedrock cerebras cohere copilot databricks deepinfra fireworks "
    "github google groq hf huggingface inception litellm lmstudio meta microsoft minimaxai mistralai moonshotai "
    "nim nous nousresearch nvidia ollama openai openrouter perplexity replicate sambanova together "
    "togethercomputer vertex vllm xai xiaomi zai zhipu"
)
_VARIANTS = (
    "ada air alpha audio awq babbage base batch beta bf build chat code coder computer context curie dall davinci "
    "deep default distill edit embedding embeddings exp experimental extended fast flash fp free gguf gptq guard "
    "high highspeed image images instant instruct int it large latest lightning lite live long low luna max "
    "medium micro mini minimal mlx multilingual multimodal nano native next non nvfp omni online oss plus premier "
    "preview pro quality realtime reasoner reasoning regional rerank research safeguard search small sol spark "
    "speed super terra text think thinking tiny tool transcribe translate tts turbo ultra unified use version "
    "vision vl voice xhigh xl xxl"
)
_PLACES = (
    "account accounts ap apac arn central deployments east endpoints eu europe ft global inference locations "
    "model models north northeast northwest profile projects publishers south southeast southwest us west"
)
_WORDS = frozenset(f"{_FAMILIES} {_MAKERS} {_VARIANTS} {_PLACES}".split())
_NUMBER = re.compile(
    r"[a-z]{0,2}[0-9]{1,5}[a-z]?|[a-z]?[0-9]{1,2}p[0-9]|[0-9]{1,3}x[0-9]{1,3}b|20[0-9]{6}|[0-9]{6}|[a-z]", re.ASCII
)
_NUMBERED = re.compile(r"[0-9]{1,3}[a-z]?", re.ASCII)  # behind a word, as in "llama3"
_SEPARATORS = re.compile(r"([-_.:/ ]+)", re.ASCII)
# the names of owners, which may be public words by chance
_OWNERS = re.compile(
    r"(?:accounts|projects)/(?!fireworks/)([^/]+)|(?:^|[/:])ft:[^:]*:(.*)|(?:^|[/:])arn:[^/]*:([0-9]+:[^/]*)|://([^/]*)",
    re.DOTALL,
)


def split(name: str) -> Iterator[tuple[str, bool]]:
    """Give the parts of a model's name in their order, each with whether it is public.

    What its owner chose is one part as long as nothing public stands between.
    """
    pieces = [(piece, public) for text, owned in _owned(name) for piece, public in _pieces(text, owned=owned)]
    for public, group in groupby(_close_gaps(pieces), lambda piece: piece[1]):
        yield "".join(piece for piece, _ in group), public


def _owned(name: str) -> Iterator[tuple[str, bool]]:
    """Give the parts of a name, each with whether it stands where an owner's name does."""
    position = 0
    for match in _OWNERS.finditer(name.lower() if len(name.lower()) == len(name) else name):
        start, end = match.span(match.lastindex or 0)
        yield name[position:start], False
        yield name[start:end], True
        position = end
    yield name[position:], False


def _pieces(text: str, *, owned: bool) -> Iterator[tuple[str, bool]]:
    """Give the words of a text and what stands between them, each with whether it is public."""
    if owned:
        yield text, False
        return
    for number, piece in enumerate(_SEPARATORS.split(text)):
        if piece:
            yield piece, number % 2 == 1 or _is_public(piece.lower())


def _close_gaps(pieces: list[tuple[str, bool]]) -> Iterator[tuple[str, bool]]:
    """Give the pieces again; what stands between two private words is private too."""
    for number, (piece, public) in enumerate(pieces):
        between = 0 < number < len(pieces) - 1 and not pieces[number - 1][1] and not pieces[number + 1][1]
        yield piece, public and not between


def _is_public(word: str) -> bool:
    if word in _WORDS or _NUMBER.fullmatch(word):
        return True
    letters = word.rstrip("abcdefghijklmnopqrstuvwxyz").rstrip("0123456789")
    return letters in _WORDS and _NUMBERED.fullmatch(word[len(letters) :]) is not None
