"""The model and the kind of answer that a request asks for."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bamboo_logmetrics.instrument import request_facts
from bamboo_logmetrics.instrument.request_facts import read_request


def request(path="/v1/chat/completions", **body):
    return httpx.Request("POST", f"https://api.example.com{path}", **body)


@pytest.mark.parametrize(
    ("body", "facts"),
    [
        ({"model": "m-1", "stream": True, "messages": [{"content": "model"}]}, ("m-1", True)),
        ({"messages": [{"model": "other", "stream": True}], "model": "m-1"}, ("m-1", False)),
        ({"model": "m" * 3_000_000}, ("m" * 200, False)),
        ({"model": 5, "stream": "yes"}, ("", False)),
        ({"model": None, "stream": None}, ("", False)),
        ([{"model": "m-1"}], ("", False)),
        ("model", ("", False)),
    ],
)
def test_by_the_body(body, facts):
    """Model and stream are those of the body's own keys."""
    assert read_request(request(json=body)) == facts


@pytest.mark.parametrize(
    ("path", "facts"),
    [
        ("/v1beta/models/gemini-2.5-flash:generateContent", ("gemini-2.5-flash", False)),
        ("/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", ("gemini-2.5-flash", True)),
        ("/openai/deployments/my-gpt/chat/completions?api-version=1", ("my-gpt", False)),
        ("/model/anthropic.claude-v2%3A1/invoke", ("anthropic.claude-v2:1", False)),
        ("/model/anthropic.claude-v2:1/invoke-with-response-stream", ("anthropic.claude-v2:1", True)),
        ("/model/x/converse-stream", ("x", True)),
        ("/v1/chat/completions", ("", False)),
    ],
)
def test_by_the_path(path, facts):
    """Model and stream are those of the path where the body has none."""
    assert read_request(request(path, content=b"{}")) == facts


def test_bodies_that_are_streams_are_not_consumed(monkeypatch):
    """A generator and a file of a form are left to the transport."""

    def parts():
        yield b'{"model":"m-1"}'

    sent = request(content=parts())
    assert read_request(sent) == ("", False)
    assert b"".join(sent.stream) == b'{"model":"m-1"}'
    form = request(files={"file": b"x"}, data={"model": "whisper-1"})
    assert read_request(form) == ("", False)
    assert b"whisper-1" in form.read()


def test_large_bodies_are_not_read(monkeypatch):
    """A body beyond the limit is left unread."""
    monkeypatch.setattr(request_facts, "_MOST_READ", 10)
    assert read_request(request(json={"model": "m-1"})) == ("", False)


@given(st.binary(max_size=60))
def test_any_bytes(body):
    """Bytes that are no JSON raise nothing."""
    model, is_stream = read_request(request(content=b"{" + body))
    assert (type(model), type(is_stream)) == (str, bool)


def test_deep_bodies():
    """A body that is nested too deep has no model."""
    assert read_request(request(content=b'{"a":' + b"[" * 100_000)) == ("", False)
