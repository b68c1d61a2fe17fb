"""Upstreams as they are given on the command line, and the paths that lead to them."""

from __future__ import annotations

import pytest

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.live.upstreams import is_plain_path, make_upstreams, split_path


def test_the_known_upstreams():
    """Three providers are there without an option."""
    upstreams = make_upstreams()
    assert {name: (each.origin, each.provider) for name, each in upstreams.items()} == {
        "openai": ("https://api.openai.com", "openai"),
        "anthropic": ("https://api.anthropic.com", "anthropic"),
        "gemini": ("https://generativelanguage.googleapis.com", "gcp.gemini"),
    }


@pytest.mark.parametrize(
    ("pair", "origin", "prefix", "provider"),
    [
        ("groq=https://api.groq.com/openai", "https://api.groq.com", "/openai", "groq"),
        ("local=http://127.0.0.1:11434/", "http://127.0.0.1:11434", "", None),
        ("local=http://[::1]:80/v1", "http://[::1]:80", "/v1", None),
        ("openai=http://127.0.0.1:9", "http://127.0.0.1:9", "", "openai"),
    ],
)
def test_upstreams_of_ones_own(pair, origin, prefix, provider):
    """An upstream has a name and a URL with or without a path; a known name may have another place."""
    upstream = make_upstreams([pair])[pair.partition("=")[0]]
    assert (upstream.origin, upstream.prefix, upstream.provider) == (origin, prefix, provider)


@pytest.mark.parametrize(
    "pair",
    [
        "https://api.groq.com", "groq=", "=https://x", "GROQ=https://x", "a/b=https://x", "healthz=https://x", "metrics=https://x",
        "x=ftp://x", "x=api.groq.com", "x=https://", "x=https://u@x", "x=https://:secret@x", "x=https://x?a=1", "x=https://x#a",
        "x=https://x/a/../b", "x=https://x/%2e%2E/b", "x=https://x:99999", "x=https://[::1", "x=https://x/ä", "x=https://exämple.org",
    ],
)  # fmt: skip
def test_what_is_no_upstream(pair):
    """A text of another form is refused in words that do not show a password."""
    with pytest.raises(ConfigError, match="--upstream") as refused:
        make_upstreams([pair])
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("openai", ("authorization", "Bearer sk-1")),
        ("anthropic", ("x-api-key", "sk-1")),
        ("gemini", ("x-goog-api-key", "sk-1")),
        ("azure", ("api-key", "sk-1")),
    ],
)
def test_keys_go_into_the_providers_header(tmp_path, name, header):
    """A key from a file is sent as this provider wants it, and no repr shows it."""
    file = tmp_path / "key"
    file.write_text("sk-1\n")
    upstream = make_upstreams(["azure=https://me.openai.azure.com"], [f"{name}={file}"])[name]
    assert upstream.key_header() == header
    assert "sk-1" not in repr(upstream)


@pytest.mark.parametrize("content", ["", "a b", "a\r\nx: y", "ä"])
def test_what_is_no_key(tmp_path, content):
    """A file that is empty, or whose text no header can hold, is refused without being shown."""
    file = tmp_path / "key"
    file.write_text(content)
    with pytest.raises(ConfigError, match="secret") as refused:
        make_upstreams([], [f"openai={file}"])
    assert content == "" or content not in str(refused.value)


def test_a_key_for_no_upstream(tmp_path):
    """A key needs an upstream that is there."""
    with pytest.raises(ConfigError, match="none of openai, anthropic, gemini"):
        make_upstreams([], ["groq=file"])


@pytest.mark.parametrize(
    "path",
    [
        "/a/../b", "/a/..", "/..", "/a/./b", "/a/%2e%2e/b", "/a/.%2E/b", "/a/..%2fb", "/a%2F..%2Fb", "/a/..\\b", "/a/..%5cb", "/a b",
        "/a\tb", "/ä",
    ],
)  # fmt: skip
def test_paths_that_might_lead_elsewhere(path):
    """A part of dots is refused, however it is written."""
    assert not is_plain_path(path)


@pytest.mark.parametrize(
    "path", ["/v1/models/org%2Fname", "/v1//x", "/v1/a..b", "/v1/m:generateContent", "/.well-known/x"]
)
def test_paths_of_providers(path):
    """Slashes within a name, and dots beside other letters, are a matter of the provider."""
    assert is_plain_path(path)


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("/openai/v1/x", ("openai", "/v1/x")),
        ("/openai", ("openai", "")),
        ("/openai//evil.com/x", ("openai", "//evil.com/x")),
        ("//openai/x", ("", "/openai/x")),
        ("/", ("", "")),
    ],
)
def test_the_name_in_a_path(path, parts):
    """The first part of a path is the name, and the remainder is left as it is."""
    assert split_path(path) == parts
