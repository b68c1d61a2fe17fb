from __future__ import annotations

import json

import pytest

from bamboo_logmetrics.usage import read_body

BOTH = [200, 400]


@pytest.mark.parametrize("status", BOTH)
@pytest.mark.parametrize(("body", "error", "kind"), [
    ({"error": {"message": "no", "type": "invalid_request_error", "code": "model_not_found"}}, "no", "model_not_found"),
    ({"error": {"message": "no", "type": "invalid_request_error", "code": None}}, "no", "invalid_request_error"),
    ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "Overloaded", "overloaded_error"),
    ({"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}, "busy", "UNAVAILABLE"),
    ([{"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}], "busy", "UNAVAILABLE"),
    ({"error": {"code": 429, "message": "Rate limited"}, "user_id": "u"}, "Rate limited", "429"),
    ({"error": "Invalid API key", "code": "unauthorized"}, "Invalid API key", "unauthorized"),
    ({"error": {"type": "x"}}, "x", "x"),
    ({"error": {"x": 1}}, "error", None),
    ({"object": "error", "message": "too long", "type": "BadRequestError", "code": 400}, "too long", "BadRequestError"),
    ({"success": False, "errors": [{"code": 7003, "message": "no route"}], "result": None}, "no route", "7003"),
    ({"object": "response", "status": "failed", "error": {"code": "server_error", "message": "no"}}, "no", "server_error"),
    ({"object": "response", "status": "cancelled", "error": None}, "cancelled", "cancelled"),
    ({"object": "thread.run", "status": "failed", "last_error": {"code": "rate_limit_exceeded", "message": "slow"}}, "slow", "rate_limit_exceeded"),
    ({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, "insufficient balance", "1008"),
    ({"object": "thread.run", "status": "expired", "last_error": None}, "expired", "expired"),
])  # fmt: skip
def test_errors_of_providers(body, error, kind, status):
    """An error is found in each provider's form, also within an answer of status 200."""
    facts = read_body(json.dumps(body).encode(), status=status)
    assert (facts.error, facts.error_type) == (error, kind)


@pytest.mark.parametrize(("body", "error", "kind"), [
    ({"message": "Unauthorized", "request_id": "r"}, "Unauthorized", None),
    ({"detail": "Not Found"}, "Not Found", None),
    ({"code": "InvalidApiKey", "message": "Invalid key", "request_id": "q"}, "Invalid key", "InvalidApiKey"),
    ({"__type": "ThrottlingException", "message": "slow"}, "slow", "ThrottlingException"),
    ({"statusCode": 401, "message": "Access denied"}, "Access denied", None),
])  # fmt: skip
def test_plain_texts(body, error, kind):
    """A plain text is an error where the status says so, and only there."""
    facts = read_body(json.dumps(body).encode(), status=401)
    assert (facts.error, facts.error_type) == (error, kind)
    assert read_body(json.dumps(body).encode()).error is None


@pytest.mark.parametrize("body", [
    {"error": None, "message": "hi"}, {"error": {}}, {"error": ""}, {"errors": []}, {"errors": [{"message": "x"}], "success": True},
    {"status": "failed"}, {"object": "response", "status": "incomplete"}, {"choices": [{"error": None}]},
    {"base_resp": {"status_code": 0, "status_msg": "success"}},
])  # fmt: skip
def test_answers_that_are_no_errors(body):
    """A key of an error without one is none."""
    assert read_body(json.dumps(body).encode()).error is None


def test_long_messages():
    """A message is cut to 2,000 characters."""
    assert read_body(json.dumps({"error": {"message": "x" * 10_000}}).encode()).error == "x" * 2_000
