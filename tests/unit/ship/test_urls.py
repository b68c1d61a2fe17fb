from __future__ import annotations

import pytest

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.ship.urls import parse_url

SECRET = "s3cret-Zq8%/kf+"
PUSH = "/loki/api/v1/push"
HINT = "set them in the environment"


def parse(text, **options):
    return parse_url(text, secrets=HINT, **options)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("http://localhost:3100", f"http://localhost:3100{PUSH}"),
        ("http://localhost:3100/", f"http://localhost:3100{PUSH}"),
        ("https://logs.example//", f"https://logs.example{PUSH}"),
        ("http://localhost:3100/insert", f"http://localhost:3100/insert{PUSH}"),
        ("http://localhost:3100/insert/", f"http://localhost:3100/insert{PUSH}"),
        (f"http://localhost:3100{PUSH}", f"http://localhost:3100{PUSH}"),
        (f"http://localhost:3100/x{PUSH}/", f"http://localhost:3100/x{PUSH}"),
        ("http://localhost:3100/x?a=1&b=2#top", f"http://localhost:3100/x{PUSH}?a=1&b=2"),
        ("HTTP://[::1]:3100", f"http://[::1]:3100{PUSH}"),
    ],
)
def test_append(text, whole):
    """A path is appended once, between the URL's own path and the query."""
    assert parse(text).append(PUSH).text == whole


def test_parts():
    """A URL has a scheme, a host without brackets, a port even where none was written, a path and a query."""
    url = parse("https://[::1]/a/?b=1")
    assert (url.scheme, url.host, url.port, url.path, url.query) == ("https", "::1", 443, "/a", "b=1")
    assert url.text == "https://[::1]/a?b=1"
    assert url.with_port == "https://[::1]:443/a?b=1"
    assert parse("http://es:9200/x").with_port == "http://es:9200/x"


@pytest.mark.parametrize("text", ["http://x:4318", "http://x:4318/", "http://x:4318/v1/logs", "http://x:4318/v1/logs/"])
def test_remove(text):
    """A path at the end is removed, and no slash is left."""
    assert parse(text).remove("/v1/logs").text == "http://x:4318"


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "localhost:3100", "localhost", "http://", "http:///x", "ftp://localhost", "file:///etc/passwd",
     "http://a:99999", "http://a:x", "http://a:0", "http://[::1", "http://a\nb", "http://x/\x7f", "//localhost", "-"],
)  # fmt: skip
def test_not_a_url(text):
    """A text that is not an HTTP URL is refused with an example of one."""
    with pytest.raises(ConfigError) as raised:
        parse(text)
    assert str(raised.value) == f"--url {text!r} is not an HTTP URL; use one such as http://localhost:3100"


def test_the_name_of_the_argument():
    """The error names the option or argument that holds the URL."""
    with pytest.raises(ConfigError, match="^url 'nonsense' is not an HTTP URL"):
        parse("nonsense", name="url")


@pytest.mark.parametrize(
    "text",
    ["http://user:s3cret-Zq8@localhost", "http://:s3cret-Zq8@localhost", "http://user@localhost",
     f"http://localhost:3100?api_key={SECRET}", f"https://localhost/x?token={SECRET}"],
)  # fmt: skip
def test_a_secret(text):
    """A URL with a secret is refused, and the error says where to give it instead without showing it."""
    with pytest.raises(ConfigError, match=f"must not hold a user, a password or another secret: {HINT}") as raised:
        parse(text)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [f"user:{SECRET}@localhost", f"ftp://user:{SECRET}@localhost", f"ftp://localhost?key={SECRET}",
     f"http://es:{SECRET}@es", f"http://es:{SECRET}@es:9200:port", f"http://[{SECRET}@es"],
)  # fmt: skip
def test_a_secret_in_what_is_not_a_url(text):
    """A text that is not a URL is shown without what may be a secret."""
    with pytest.raises(ConfigError, match="is not an HTTP URL") as raised:
        parse(text)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("text", ["http://x/?a=1", "http://x/#a", "http://x/${A}", "http://x/a b", "http://x/\x80"])
def test_plain(text):
    """A plain URL has neither query nor fragment, nor signs that must be percent-encoded; others may."""
    parse(text)
    with pytest.raises(ConfigError, match="has more than scheme, host, port and path"):
        parse(text, plain=True)
    assert parse("http://x:1/a/", plain=True).text == "http://x:1/a"
