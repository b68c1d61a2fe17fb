from __future__ import annotations

import pytest

from bamboo_logmetrics.usage.providers import ENDPOINT_SEMANTICS, HOSTS, endpoint_of, provider_by_family, provider_of


@pytest.mark.parametrize(("host", "provider"), [
    ("api.openai.com", "openai"),
    ("eu.api.openai.com", "openai"),
    ("API.OpenAI.com.", "openai"),
    ("x.openai.azure.com", "azure.ai.openai"),
    ("x.services.ai.azure.com", "azure.ai.inference"),
    ("api.anthropic.com", "anthropic"),
    ("generativelanguage.googleapis.com", "gcp.gemini"),
    ("aiplatform.googleapis.com", "gcp.vertex_ai"),
    ("us-central1-aiplatform.googleapis.com", "gcp.vertex_ai"),
    ("bedrock-runtime.us-east-1.amazonaws.com", "aws.bedrock"),
    ("bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "aws.bedrock"),
    ("api.mistral.ai", "mistral_ai"),
    ("api.groq.com", "groq"),
    ("api.x.ai", "x_ai"),
    ("api.deepseek.com", "deepseek"),
    ("api.cohere.com", "cohere"),
    ("openrouter.ai", "openrouter"),
    ("api.together.xyz", "together"),
    ("api.fireworks.ai", "fireworks"),
    ("api.perplexity.ai", "perplexity"),
    ("api.cerebras.ai", "cerebras"),
    ("dbc-1.cloud.databricks.com", "databricks"),
    ("adb-1.2.azuredatabricks.net", "databricks"),
    ("api.moonshot.cn", "moonshot_ai"),
    ("dashscope-intl.aliyuncs.com", "dashscope"),
    ("api.z.ai", "zai"),
    ("router.huggingface.co", "huggingface"),
    ("integrate.api.nvidia.com", "nvidia"),
    ("api.sambanova.ai", "sambanova"),
    ("us-south.ml.cloud.ibm.com", "ibm.watsonx.ai"),
])  # fmt: skip
def test_provider_by_host(host, provider):
    """A provider is known by the end of its host, in any case and in any region."""
    assert provider_of(host) == provider


@pytest.mark.parametrize(
    "host", ["", "localhost", "127.0.0.1", "::1", "notopenai.com", "openai.com.example.org", "com"]
)
def test_other_hosts(host):
    """Loopback, unknown hosts and hosts that only look like a provider's have none."""
    assert provider_of(host) is None


@pytest.mark.parametrize(("path", "name", "shape"), [
    ("/v1/chat/completions", "openai.chat_completions", "openai_chat"),
    ("/openai/deployments/my-gpt/chat/completions?api-version=1", "openai.chat_completions", "openai_chat"),
    ("/chat/completions/", "openai.chat_completions", "openai_chat"),
    ("/v1/completions", "openai.completions", "openai_chat"),
    ("/v1/responses", "openai.responses", "openai_responses"),
    ("/v1/responses/resp_1", "openai.responses", "openai_responses"),
    ("/v1/responses/resp_1/cancel", "openai.responses", "openai_responses"),
    ("/v1/responses/input_tokens", "openai.count_tokens", ""),
    ("/v1/embeddings", "openai.embeddings", "openai_chat"),
    ("/v1/images/generations", "openai.images", "openai_responses"),
    ("/v1/audio/transcriptions", "openai.audio_transcriptions", "openai_responses"),
    ("/v1/moderations", "openai.moderations", ""),
    ("/v1/threads/runs", "openai.runs", "openai_chat"),
    ("/v1/threads/thread_1/runs/run_1", "openai.runs", "openai_chat"),
    ("/v1/threads/thread_1/runs/run_1/submit_tool_outputs", "openai.runs", "openai_chat"),
    ("/v1/threads/thread_1/runs/run_1/steps", "openai.run_steps", "openai_chat"),
    ("/v1/threads/thread_1/messages", "openai.thread_messages", ""),
    ("/v1/messages", "anthropic.messages", "anthropic"),
    ("/v1/messages/count_tokens", "anthropic.count_tokens", ""),
    ("/v1/messages/batches/msgbatch_1/results", "anthropic.message_batches", ""),
    ("/v1beta/models/gemini-3:generateContent", "gemini.generate_content", "gemini"),
    ("/v1beta/models/gemini-3:streamGenerateContent?alt=sse", "gemini.stream_generate_content", "gemini"),
    ("/v1/projects/p/locations/l/publishers/google/models/m:generateContent", "gemini.generate_content", "gemini"),
    ("/v1/projects/p/locations/l/publishers/anthropic/models/m:streamRawPredict", "vertex.raw_predict", "anthropic"),
    ("/v1/projects/p/locations/l/publishers/mistralai/models/m:rawPredict", "vertex.raw_predict", ""),
    ("/model/anthropic.claude-v2%3A1/converse-stream", "bedrock.converse_stream", "bedrock"),
    ("/model/meta.llama3/invoke", "bedrock.invoke_model", ""),
    ("/v2/chat", "cohere.chat", "cohere"),
    ("/api/chat", "ollama.chat", "counters"),
    ("/serving-endpoints/mine/invocations", "databricks.invocations", "openai_chat"),
])  # fmt: skip
def test_endpoint_by_path(path, name, shape):
    """An endpoint is known by the end of its path, behind any prefix of a gateway."""
    for prefix in ("", "/gateway/team-a"):
        endpoint = endpoint_of(prefix + path)
        assert (endpoint.name, endpoint.shape) == (name, shape)


@pytest.mark.parametrize(("path", "name"), [
    ("/v1/predictions/ab12", "v1.predictions"),
    ("/v1/users/anna/likes", "v1.users.likes"),
    ("/v1/models/my-own:predictLongRunning", "v1.models.predictLongRunning"),
    ("/v1/files/0a4f6b1c-1111-2222-3333-444455556666", "v1.files"),
    ("/agents/EITYAHSOCJ/agentAliases/NWGOFQESWP/sessions/my_own/text", "agents.agentAliases.sessions.text"),
    ("/hooks/NWGOFQESWP/x", "hooks.x"),
    ("/", "unknown"),
    ("", "unknown"),
])  # fmt: skip
def test_unknown_paths(path, name):
    """An unknown path becomes a name of its fixed parts, without ids and without names of a user's own."""
    endpoint = endpoint_of(path)
    assert endpoint.name == name
    assert not endpoint.shape


def test_provider_by_family():
    """Behind a gateway the interface tells a provider; an unknown path tells none."""
    assert provider_by_family(endpoint_of("/v1/messages")) == "anthropic"
    assert provider_by_family(endpoint_of("/whatever")) is None


def test_every_host_is_reached():
    """No entry of the table of hosts hides another."""
    for host, provider in HOSTS.items():
        assert provider_of("api." + host) == provider


@pytest.mark.parametrize("path", [
    "/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/embeddings", "/v1/completions", "/m:generateContent",
    "/m:streamGenerateContent", "/m:embedContent", "/model/m/converse", "/model/m/converse-stream", "/v2/chat", "/api/chat",
])  # fmt: skip
def test_semantics_for_layouts(path):
    """The layouts write the operation of an endpoint by its name."""
    endpoint = endpoint_of(path)
    (semantics,) = {semantics for end, semantics in ENDPOINT_SEMANTICS.items() if f".{endpoint.name}".endswith(end)}
    assert semantics.operation == endpoint.operation
    assert semantics.openai == (
        endpoint.name.partition(".")[2] if path.startswith(("/v1/chat", "/v1/responses")) else None
    )
