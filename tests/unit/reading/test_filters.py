"""Filters: patterns for the names of events."""

from __future__ import annotations

import re

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bamboo_logmetrics.reading.filters import events_expression, split_patterns

MATCHES = [
    ("chat.tool_called", "chat.tool_called", True),
    ("chat.tool_called", "chat_tool_called", False),
    ("chat.tool_called", "chat.tool_called_again", False),
    ("chat.*", "chat.tool_called", True),
    ("*", "", True),
    ("*", "two\nlines", True),
    ("", "", True),
    ("", "x", False),
    ("cach?", "cache", True),
    ("cach?", "cach", False),
    ("[a-c]x", "bx", True),
    ("[!a-c]x", "bx", False),
    ("[!a-c]x", "dx", True),
    ("[c-a]x", "-x", True),
    ("[]]", "]", True),
    ("[^a]", "^", True),
    ("[\\d]", "d", True),
    ("[\\d]", "5", False),
    ("[", "[", True),
    ("[]", "[]", True),
    ("[a-]", "-", True),
    ("(a|b)+{1}$\\d", "(a|b)+{1}$\\d", True),
    ("CHAT.*", "chat.tool_called", False),
]


@pytest.mark.parametrize(("pattern", "text", "matches"), MATCHES)
def test_patterns(pattern, text, matches):
    """A pattern matches the whole name."""
    assert bool(re.fullmatch(events_expression((pattern,)), text)) is matches


def test_several_patterns():
    """One of several patterns is enough."""
    expression = events_expression(("a*", "b"))
    assert [text for text in ("a", "ab", "b", "bc", "c") if re.fullmatch(expression, text)] == ["a", "ab", "b"]


_TEXTS = st.text(st.sampled_from("ab.*?[]!-^\\ \n\0é&~|(") | st.characters(codec="utf-8"), max_size=8)


@given(pattern=_TEXTS, text=_TEXTS)
def test_python_and_duckdb_agree(pattern, text):
    """A pattern means the same to Python and to DuckDB."""
    expression = events_expression((pattern,))
    found = duckdb.execute("SELECT regexp_full_match($1, $2)", [text, expression]).fetchall()
    assert found == [(bool(re.fullmatch(expression, text)),)]


@pytest.mark.parametrize(
    ("text", "patterns"),
    [
        ("chat.*", ["chat.*"]),
        ("chat.*, system.*", ["chat.*", "system.*"]),
        ("a[b,c]d,e", ["a[b,c]d", "e"]),
        ("a[!],]", ["a[!],]"]),
        ("a[b,c", ["a[b", "c"]),
        ("", [""]),
    ],
)
def test_patterns_with_commas(text, patterns):
    """Commas stand between patterns, but not within brackets."""
    assert split_patterns(text) == patterns
