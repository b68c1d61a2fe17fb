"""Names that libraries have for providers, and those of OpenTelemetry's ``gen_ai.provider.name``."""

from __future__ import annotations

from collections.abc import Mapping

_NAMES: Mapping[str, str] = {  # of older conventions, OpenInference, pydantic-ai, LiteLLM and OpenCode
    "amazon-bedrock": "aws.bedrock",
    "az.ai.openai": "azure.ai.openai",
    "az.ai.inference": "azure.ai.inference",
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "cohere_chat": "cohere",
    "fireworks-ai": "fireworks",
    "fireworks_ai": "fireworks",
    "gemini": "gcp.gemini",
    "google": "gcp.gemini",
    "google-gla": "gcp.gemini",
    "google-vertex": "gcp.vertex_ai",
    "google-vertex-anthropic": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "togetherai": "together",
    "together_ai": "together",
    "vertex_ai": "gcp.vertex_ai",
    "vertexai": "gcp.vertex_ai",
    "xai": "x_ai",
}


def standard_name(name: str) -> str:
    """Return OpenTelemetry's name of a provider; a name that is not known stays as it is."""
    return _NAMES.get(name, name)
