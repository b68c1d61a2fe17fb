"""Facts in the headers of an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bamboo_logmetrics.usage.bedrock import metrics
from bamboo_logmetrics.usage.shapes import usage_of
from bamboo_logmetrics.usage.values import Counts, amount, name

# Bedrock's headers of ``invoke``, by the name in its metrics
_TOKENS = {
    "inputTokenCount": "x-amzn-bedrock-input-token-count",
    "outputTokenCount": "x-amzn-bedrock-output-token-count",
    "cacheReadInputTokenCount": "x-amzn-bedrock-cache-read-input-token-count",
    "cacheWriteInputTokenCount": "x-amzn-bedrock-cache-write-input-token-count",
}
_REQUEST_IDS = ("x-request-id", "request-id", "x-amzn-requestid", "apim-request-id", "x-ms-request-id")
_COST = "x-litellm-response-cost"


def read_headers(headers: Mapping[str, str]) -> dict[str, Any]:
    """Return bound names with their values, and ``usage`` where the headers tell it, as those of Bedrock do.

    Args:
        headers: The headers of an answer, under names in lower case or in a mapping that does not mind.
    """
    facts: dict[str, Any] = {}
    reported = {key: headers[header] for key, header in _TOKENS.items() if headers.get(header)}
    if reported:
        counts = Counts(reported)
        usage, source = usage_of(metrics(counts), counts)
        if usage is not None:
            facts.update(usage=usage, usage_source=source)
    request_id = next((text for header in _REQUEST_IDS if (text := name(headers.get(header)))), None)
    if request_id is not None:
        facts["provider_request_id"] = request_id
    cost = amount(headers.get(_COST))
    if cost is not None:
        facts["cost_usd"] = cost
    return facts
