from __future__ import annotations

import runpy
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bamboo_logmetrics.format.redact import scan
from bamboo_logmetrics.format.redact.named import STEMS
from bamboo_logmetrics.format.redact.scan import finder

TEXTS = st.lists(st.sampled_from([*STEMS, b"a", b" ", b"=", b"ss", b"ke"]), max_size=12).map(b"".join)


@given(TEXTS)
@settings(deadline=None)
def test_each_word_is_found_at_each_place(text):
    """Without the automaton each place of each word is given, in order."""
    places = sorted(index for word in STEMS for index in range(len(text)) if text.startswith(word, index))
    assert finder(STEMS, None)(text) == places


@given(TEXTS)
@settings(deadline=None)
def test_the_automaton_finds_the_same_names(text):
    """With the extra each name that has a word is found too; of two words that overlap one is enough."""
    automaton = pytest.importorskip("ahocorasick_rs").BytesAhoCorasick
    places = finder(STEMS, automaton)(text)
    each = finder(STEMS, None)(text)
    assert set(places) <= set(each)
    longest = max(map(len, STEMS))
    assert all(any(place <= index < place + longest for place in places) for index in each)


def test_without_the_library(monkeypatch):
    """Where ahocorasick_rs is not installed the module uses none."""
    monkeypatch.setitem(sys.modules, "ahocorasick_rs", None)
    names = runpy.run_path(scan.__file__)
    assert names["BytesAhoCorasick"] is None
    assert names["finder"]([b"key", b"token"])(b"a key, a token")
