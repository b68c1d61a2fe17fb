from __future__ import annotations

from support.exchanges import tokens

from bamboo_logmetrics.usage import read_headers


def test_headers_of_bedrock():
    """The tokens of ``invoke`` stand in headers; the prompt there excludes the cache."""
    headers = {
        "x-amzn-bedrock-input-token-count": "10", "x-amzn-bedrock-output-token-count": "20", "x-amzn-requestid": "r-1",
        "x-amzn-bedrock-cache-read-input-token-count": "100", "x-amzn-bedrock-cache-write-input-token-count": "5",
    }  # fmt: skip
    assert read_headers(headers) == {
        "usage": tokens(115, 20, read=100, written=5), "usage_source": "reported", "provider_request_id": "r-1",
    }  # fmt: skip


def test_headers_of_others():
    """The provider's id of the request and a gateway's cost are bound; what is no number is not."""
    assert read_headers({"x-request-id": "req_1", "x-litellm-response-cost": "0.002"}) == {
        "provider_request_id": "req_1", "cost_usd": 0.002,
    }  # fmt: skip
    assert read_headers({"request-id": "", "x-litellm-response-cost": "None"}) == {}
    assert read_headers({"x-amzn-bedrock-input-token-count": "x"}) == {}
