"""Hosts, endpoints and providers: one table for instrumentation, importers and layouts.

Names of providers are those of OpenTelemetry's ``gen_ai.provider.name`` where it has one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import NamedTuple

# by the end of the host, at a dot
HOSTS: Mapping[str, str] = {
    "openai.azure.com": "azure.ai.openai",
    "cognitiveservices.azure.com": "azure.ai.openai",
    "services.ai.azure.com": "azure.ai.inference",
    "models.ai.azure.com": "azure.ai.inference",
    "inference.ml.azure.com": "azure.ai.inference",
    "openai.com": "openai",
    "anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "cloudcode-pa.googleapis.com": "gcp.gemini",
    "aiplatform.googleapis.com": "gcp.vertex_ai",
    "mistral.ai": "mistral_ai",
    "groq.com": "groq",
    "x.ai": "x_ai",
    "deepseek.com": "deepseek",
    "cohere.com": "cohere",
    "cohere.ai": "cohere",
    "perplexity.ai": "perplexity",
    "ml.cloud.ibm.com": "ibm.watsonx.ai",
    "openrouter.ai": "openrouter",
    "together.xyz": "together",
    "together.ai": "together",
    "fireworks.ai": "fireworks",
    "cerebras.ai": "cerebras",
    "cloud.databricks.com": "databricks",
    "azuredatabricks.net": "databricks",
    "gcp.databricks.com": "databricks",
    "moonshot.ai": "moonshot_ai",
    "moonshot.cn": "moonshot_ai",
    "dashscope.aliyuncs.com": "dashscope",
    "dashscope-intl.aliyuncs.com": "dashscope",
    "dashscope-us.aliyuncs.com": "dashscope",
    "maas.aliyuncs.com": "dashscope",
    "z.ai": "zai",
    "bigmodel.cn": "zai",
    "huggingface.co": "huggingface",
    "huggingface.cloud": "huggingface",
    "api.nvidia.com": "nvidia",
    "sambanova.ai": "sambanova",
    "ollama.com": "ollama",
    "deepinfra.com": "deepinfra",
    "novita.ai": "novita",
    "hyperbolic.xyz": "hyperbolic",
    "nebius.ai": "nebius",
    "nebius.com": "nebius",
    "studio.nebius.ai": "nebius",
    "siliconflow.com": "siliconflow",
    "siliconflow.cn": "siliconflow",
    "minimax.io": "minimax",
    "minimaxi.com": "minimax",
    "minimax.chat": "minimax",
    "volces.com": "volcengine",
    "bytepluses.com": "volcengine",
    "hunyuan.cloud.tencent.com": "tencent",
    "qianfan.baidubce.com": "baidu",
    "stepfun.com": "stepfun",
    "baichuan-ai.com": "baichuan",
    "lingyiwanwu.com": "01_ai",
    "ai21.com": "ai21",
    "voyageai.com": "voyageai",
    "jina.ai": "jina",
    "replicate.com": "replicate",
    "reka.ai": "reka",
    "writer.com": "writer",
    "upstage.ai": "upstage",
    "aleph-alpha.com": "aleph_alpha",
    "inception.ai": "inception",
    "inceptionlabs.ai": "inception",
    "arcee.ai": "arcee",
    "avian.io": "avian",
    "baseten.co": "baseten",
    "featherless.ai": "featherless",
    "friendli.ai": "friendli",
    "lambda.ai": "lambda",
    "lambdalabs.com": "lambda",
    "modal.run": "modal",
    "modal.direct": "modal",
    "nscale.com": "nscale",
    "cloud.ovh.net": "ovhcloud",
    "scaleway.ai": "scaleway",
    "venice.ai": "venice",
    "parasail.io": "parasail",
    "chutes.ai": "chutes",
    "kluster.ai": "kluster",
    "morphllm.com": "morph",
    "meta.ai": "meta",
    "llama.com": "meta",
    "snowflakecomputing.com": "snowflake",
    "models.github.ai": "github",
    "models.inference.ai.azure.com": "github",
    "githubcopilot.com": "github_copilot",
    "gateway.ai.cloudflare.com": "cloudflare",
    "api.cloudflare.com": "cloudflare",
    "ai-gateway.vercel.sh": "vercel",
    "v0.dev": "vercel",
    "requesty.ai": "requesty",
    "helicone.ai": "helicone",
    "portkey.ai": "portkey",
    "heroku.com": "heroku",
    "elevenlabs.io": "elevenlabs",
    "cursor.com": "cursor",
    "crusoecloud.com": "crusoe",
}
# hosts that have a region in their middle or their beginning
_BEDROCK = re.compile(
    r"bedrock(-runtime|-agent-runtime|-mantle)?(-fips)?\.[a-z0-9-]+\.(amazonaws\.com(\.cn)?|api\.aws)"
)
_VERTEX = re.compile(r"[a-z0-9-]+-aiplatform(\.[a-z0-9-]+)?\.googleapis\.com")


class Endpoint(NamedTuple):
    """One endpoint of providers.

    Args:
        name: Such as ``openai.chat_completions``; of an unknown path its fixed parts, joined by dots.
        family: The interface: ``openai``, ``anthropic``, ``gemini`` ...; ``""`` if the path is unknown.
        operation: ``gen_ai.operation.name``; ``""`` if it has none.
        shape: The shape of the usage, such as ``openai_chat``; ``""`` if it is not known or there is none.
    """

    name: str
    family: str = ""
    operation: str = ""
    shape: str = ""


# the end of the path, then the endpoint; the first that fits
_ENDPOINTS = (
    (r"/chat/completions", "openai.chat_completions", "openai", "chat", "openai_chat"),
    (r"/fim/completions", "mistral.fim_completions", "mistral", "text_completion", "openai_chat"),
    (r"/agents/completions", "mistral.agents_completions", "mistral", "chat", "openai_chat"),
    (r"/conversations(/[^/]+)?", "conversations", "", "chat", "openai_chat"),
    (r"/completions", "openai.completions", "openai", "text_completion", "openai_chat"),
    (r"/responses(/(?!input_tokens)[^/]+(/cancel)?)?", "openai.responses", "openai", "chat", "openai_responses"),
    (r"/responses/input_tokens", "openai.count_tokens", "openai"),
    (r"/realtime", "openai.realtime", "openai", "chat", "openai_responses"),
    (r"/embeddings", "openai.embeddings", "openai", "embeddings", "openai_chat"),
    (r"/images/(generations|edits|variations)", "openai.images", "openai", "generate_content", "openai_responses"),
    (r"/audio/transcriptions", "openai.audio_transcriptions", "openai", "generate_content", "openai_responses"),
    (r"/audio/translations", "openai.audio_translations", "openai", "generate_content", "openai_responses"),
    (r"/audio/speech", "openai.audio_speech", "openai", "generate_content", "openai_responses"),
    (r"/moderations", "openai.moderations", "openai"),
    (r"/threads/[^/]+/runs/[^/]+/steps(/[^/]+)?", "openai.run_steps", "openai", "", "openai_chat"),
    (r"/threads/runs", "openai.runs", "openai", "invoke_agent", "openai_chat"),
    (r"/threads/[^/]+/runs(/[^/]+)?(/[a-z_]+)?", "openai.runs", "openai", "invoke_agent", "openai_chat"),
    (r"/batches(/[^/]+)?(/cancel)?", "openai.batches", "openai"),
    (r"/messages/count_tokens", "anthropic.count_tokens", "anthropic"),
    (r"/messages/batches(/.*)?", "anthropic.message_batches", "anthropic"),
    (r"/threads/[^/]+/messages(/[^/]+)?", "openai.thread_messages", "openai"),
    (r"/messages", "anthropic.messages", "anthropic", "chat", "anthropic"),
    (r"/complete", "anthropic.complete", "anthropic", "text_completion"),
    (r":generateContent", "gemini.generate_content", "gemini", "generate_content", "gemini"),
    (r":streamGenerateContent", "gemini.stream_generate_content", "gemini", "generate_content", "gemini"),
    (r":(embedContent|batchEmbedContents)", "gemini.embed_content", "gemini", "embeddings", "gemini"),
    (r":countTokens", "gemini.count_tokens", "gemini"),
    (r":batchGenerateContent", "gemini.batches", "gemini"),
    (r"/publishers/anthropic/models/[^/]+:\w*[rR]awPredict", "vertex.raw_predict", "vertex", "chat", "anthropic"),
    (r":\w*[rR]awPredict", "vertex.raw_predict", "vertex", "chat"),
    (r":predict", "vertex.predict", "vertex", "generate_content", "counters"),
    (r"/interactions(/[^/]+)?", "gemini.interactions", "gemini", "chat", "gemini"),
    (r"/model/[^/]+/converse", "bedrock.converse", "bedrock", "chat", "bedrock"),
    (r"/model/[^/]+/converse-stream", "bedrock.converse_stream", "bedrock", "chat", "bedrock"),
    (r"/model/[^/]+/invoke", "bedrock.invoke_model", "bedrock", "chat"),
    (r"/model/[^/]+/invoke-with-response-stream", "bedrock.invoke_model_with_response_stream", "bedrock", "chat"),
    (r"/serving-endpoints/[^/]+/invocations", "databricks.invocations", "databricks", "chat", "openai_chat"),
    (r"/text-generation/generation", "dashscope.generation", "dashscope", "chat", "openai_responses"),
    (r"/multimodal-generation/generation", "dashscope.generation", "dashscope", "chat", "openai_responses"),
    (r"/text-embedding/text-embedding", "dashscope.embedding", "dashscope", "embeddings"),
    (r"/api/v1/chat", "lm_studio.chat", "lm_studio", "chat", "openai_responses"),
    (r"/v[12]/chat", "cohere.chat", "cohere", "chat", "cohere"),
    (r"/v[12]/embed", "cohere.embed", "cohere", "embeddings", "cohere"),
    (r"/rerank", "cohere.rerank", "cohere", "rerank", "cohere"),
    (r"/api/chat", "ollama.chat", "ollama", "chat", "counters"),
    (r"/api/generate", "ollama.generate", "ollama", "text_completion", "counters"),
    (r"/api/(embed|embeddings)", "ollama.embed", "ollama", "embeddings", "counters"),
    (r"/ml/v1/text/(chat|chat_stream)", "watsonx.chat", "watsonx", "chat", "openai_chat"),
    (r"/ml/v1/text/(generation|generation_stream)", "watsonx.generation", "watsonx", "text_completion", "counters"),
    (r"/ml/v1/text/embeddings", "watsonx.embeddings", "watsonx", "embeddings", "counters"),
    (r"/(generate|generate_stream)", "tgi.generate", "tgi", "text_completion", "counters"),
    (r"/completion", "llama_cpp.completion", "llama_cpp", "text_completion", "counters"),
)  # fmt: skip


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], Endpoint], ...]:
    """Return the table, compiled on first use: most processes ask for no endpoint."""
    return tuple((re.compile(pattern + "$"), Endpoint(*names)) for pattern, *names in _ENDPOINTS)


# gen_ai.operation.name by the name of an endpoint; empty where no model is called
OPERATIONS: Mapping[str, str] = {each.name: each.operation for each in (Endpoint(*row[1:]) for row in _ENDPOINTS)}

# the provider where the path tells it and the host does not
_BY_FAMILY: Mapping[str, str] = {
    "openai": "openai",
    "anthropic": "anthropic",
    "gemini": "gcp.gemini",
    "vertex": "gcp.vertex_ai",
    "bedrock": "aws.bedrock",
    "mistral": "mistral_ai",
    "cohere": "cohere",
    "ollama": "ollama",
    "databricks": "databricks",
    "dashscope": "dashscope",
    "watsonx": "ibm.watsonx.ai",
    "tgi": "huggingface",
    "llama_cpp": "llama_cpp",
    "lm_studio": "lm_studio",
}

# parts of a path behind which a name of a user's own follows
_COLLECTIONS = frozenset({
    "accounts", "agentAliases", "agents", "assistants", "batches", "collections", "conversations", "deployments",
    "endpoints", "engines", "files", "gateways", "jobs", "locations", "messages", "model", "models",
    "organizations", "predictions", "projects", "publishers", "runs", "serving-endpoints", "sessions", "stores",
    "tenants", "threads", "users", "vector_stores", "workspaces",
})  # fmt: skip
_FIXED = re.compile(r"[A-Za-z][A-Za-z_-]{0,31}|v[0-9]{1,2}(?:(?:alpha|beta)[0-9]{0,2})?")
_MOST_PARTS = 6


class EndpointSemantics(NamedTuple):
    """The values that all requests to one endpoint have in common in the layouts.

    Args:
        operation: ``gen_ai.operation.name``.
        openai: ``openai.api.type``; None if OpenAI has no such API.
    """

    operation: str
    openai: str | None = None


# by the last parts of an endpoint such as "openai.chat_completions" or "/v1/chat/completions", joined by dots
ENDPOINT_SEMANTICS: Mapping[str, EndpointSemantics] = {
    ".chat_completions": EndpointSemantics("chat", "chat_completions"),
    ".chat.completions": EndpointSemantics("chat", "chat_completions"),
    ".responses": EndpointSemantics("chat", "responses"),
    ".anthropic.messages": EndpointSemantics("chat"),
    ".v1.messages": EndpointSemantics("chat"),
    ".embeddings": EndpointSemantics("embeddings"),
    ".openai.completions": EndpointSemantics("text_completion"),
    ".gemini.generate_content": EndpointSemantics("generate_content"),
    ".gemini.stream_generate_content": EndpointSemantics("generate_content"),
    ".gemini.embed_content": EndpointSemantics("embeddings"),
    ".bedrock.converse": EndpointSemantics("chat"),
    ".bedrock.converse_stream": EndpointSemantics("chat"),
    ".cohere.chat": EndpointSemantics("chat"),
    ".ollama.chat": EndpointSemantics("chat"),
}


@lru_cache(maxsize=256)
def endpoint_of(path: str) -> Endpoint:
    """Return the endpoint of a path; of an unknown one a name of its fixed parts, without ids and names of users."""
    path = path.partition("?")[0].partition("#")[0].rstrip("/")
    known = next((endpoint for pattern, endpoint in _patterns() if pattern.search(path)), None)
    return known or Endpoint(_name_of(path))


def _name_of(path: str) -> str:
    parts: list[str] = []
    before = ""
    for part in path.split("/"):
        stem, _, method = part.partition(":")
        if before not in _COLLECTIONS and _FIXED.fullmatch(stem) and not stem.isupper():
            parts.append(stem)
        if method and _FIXED.fullmatch(method):
            parts.append(method)
        before = stem
    return ".".join(parts[:_MOST_PARTS]) or "unknown"


@lru_cache(maxsize=256)
def provider_of(host: str) -> str | None:
    """Return the provider of a host by the table, without a port. None for loopback and unknown hosts."""
    host = host.lower().rstrip(".")
    if _BEDROCK.fullmatch(host):
        return "aws.bedrock"
    if _VERTEX.fullmatch(host):
        return "gcp.vertex_ai"
    labels = host.split(".")
    ends = (".".join(labels[start:]) for start in range(len(labels)))
    return next((HOSTS[end] for end in ends if end in HOSTS), None)


def provider_by_family(endpoint: Endpoint) -> str | None:
    """Return the provider that an endpoint's interface is named after, for gateways and loopback."""
    return _BY_FAMILY.get(endpoint.family)
