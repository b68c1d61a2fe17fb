"""The names on the page."""

from __future__ import annotations

import pytest

from bamboo_logmetrics.reading.report.names import ShownNames

PUBLIC = [
    ("tool", "Bash"),
    ("provider", "openai"),
    ("endpoint", "openai.chat_completions"),
    ("error", "timeout"),
    ("error", "HTTP 503"),
    ("error", "429"),
    ("status", "completed"),
    ("reason", "queue_full"),
    ("model", "gpt-5"),
    ("model", "openai/gpt-5"),
    ("session", ""),
]
PRIVATE = [
    ("tool", "deploy_acme"),
    ("provider", "llm.acme.example"),
    ("endpoint", "v1.acme"),
    ("error", "AcmeError"),
    ("status", "acme"),
    ("reason", "acme"),
    ("model", "acme"),
    ("model", "x@acme.example"),
    ("session", "s"),
    ("file", "/home/acme/a.jsonl"),
]


@pytest.mark.parametrize(("kind", "name"), PUBLIC)
def test_names_that_stay(kind, name):
    """A name that anybody has stays."""
    assert ShownNames(anonymous=True).show(kind, name) == name


@pytest.mark.parametrize(("kind", "name"), PRIVATE)
def test_names_that_are_replaced(kind, name):
    """A name of somebody's own becomes its kind and a hash: the same on a page, another on the next page."""
    names, others = ShownNames(anonymous=True), ShownNames(anonymous=True)
    shown = names.show(kind, name)
    assert shown.startswith(f"{kind}-")
    assert shown == names.show(kind, name)
    assert {shown} != {others.show(kind, name)} or others.show(kind, "y") != names.show(kind, "y")
    assert ShownNames(anonymous=False).show(kind, name) == name


def test_many_names_stay_different():
    """Where two hashes begin alike, one is longer."""
    names = ShownNames(anonymous=True)
    shown = [names.show("session", str(number)) for number in range(3_000)]
    assert len(set(shown)) == 3_000
    assert max(map(len, shown)) > min(map(len, shown)) == len("session-1234")


def test_long_names():
    """A long name is cut, and differs from another that begins alike; text that is no UTF-8 is no problem."""
    names = ShownNames(anonymous=False)
    first, second = names.show("session", "x" * 200 + "a"), names.show("session", "x" * 200 + "b")
    assert len(first) == len(second) == 120
    assert first != second
    assert names.show("session", "x" * 120) == "x" * 120
    assert ShownNames(anonymous=True).show("file", "a\udcff").startswith("file-")
