"""The parts of a model's name that are public."""

from __future__ import annotations

import pytest

from bamboo_logmetrics.reading.report.model_names import split
from bamboo_logmetrics.reading.report.names import ShownNames

PUBLIC = [
    "gpt-5",
    "openai/gpt-4o-mini-2024-07-18",
    "o4-mini-deep-research",
    "claude-sonnet-4-5-20250929",
    "us.anthropic.claude-3-5-sonnet-20240620-v1:0",
    "gemini-2.5-flash-preview-09-2025",
    "meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8",
    "accounts/fireworks/models/llama-v3p1-70b-instruct",
    "qwen2.5-coder:32b-instruct-q4_K_M",
    "text-embedding-3-large",
    "mixtral-8x7b-32768",
    "llama3:8b",
]
# a "*" stands for what is replaced
OWNED = {
    "ft:gpt-4o:acme::Ab1": "ft:gpt-4o:*",
    "openai/ft:gpt-4o-mini-2024-07-18:acme:gpt:4": "openai/ft:gpt-4o-mini-2024-07-18:*",
    "bedrock/arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-opus-4": (
        "bedrock/arn:aws:bedrock:us-east-1:*/us.anthropic.claude-opus-4"
    ),
    "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/acme": "arn:aws:bedrock:eu-west-1:*",
    "accounts/acme/models/llama-v3p1-8b": "accounts/*/models/llama-v3p1-8b",
    "accounts/gpt/models/llama-v3p1-8b": "accounts/*/models/llama-v3p1-8b",
    "projects/acme/locations/us-central1/publishers/google/models/gemini-2.5-pro": (
        "projects/*/locations/us-central1/publishers/google/models/gemini-2.5-pro"
    ),
    "/home/acme/models/Llama-3.3-70B-Instruct.gguf": "/*/models/Llama-3.3-70B-Instruct.gguf",
    "C:\\acme\\gpt-4": "C:*-4",
    "gpt-4o-acme-prod": "gpt-4o-*",
    "acme_corp/gpt-4o": "*/gpt-4o",
    "https://llm.acme.example/v1/gpt-4": "*/v1/gpt-4",
    "https://10.1.2.3:8000/v1/gpt-4": "*/v1/gpt-4",
    "openai:ft:gpt-4o:nova::1": "openai:ft:gpt-4o:*",
    "x@acme.example": "*",
    "\u6570\u636e-gpt-4": "*-gpt-4",
    "acme\ngpt-4": "*-4",
    "\u0130cme-gpt-4": "*-gpt-4",
}


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_stay(name):
    """A name of known words and numbers stays as it is."""
    assert ShownNames(anonymous=True).show("model", name) == name


@pytest.mark.parametrize("name", OWNED)
def test_what_the_owner_chose_is_replaced(name):
    """The owner's part of a name is replaced, wherever it stands, and the public part stays."""
    parts = list(split(name))
    assert "".join(part for part, _ in parts) == name
    assert "".join(part if public else "*" for part, public in parts) == OWNED[name]
    shown = ShownNames(anonymous=True).show("model", name)
    assert not [part for part, public in parts if not public and part in shown]


def test_names_of_different_owners_stay_different():
    """Two fine-tuned models of one public model are two models on the page."""
    names = ShownNames(anonymous=True)
    assert names.show("model", "ft:gpt-4o:acme::1") != names.show("model", "ft:gpt-4o:other::1")
    assert names.show("model", "gpt-4o-acme") == names.show("model", "gpt-4o-acme")
