from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bamboo_logmetrics.format.redact import prefixes
from bamboo_logmetrics.format.redact.prefixes import PREFIXES, key_at, may_begin

ALL = [(prefix, follows) for follows, those in PREFIXES.items() for prefix in those.split()]


def test_each_prefix_is_found_by_its_beginning():
    """A prefix has the characters by which keys are looked up, and stands in the table once."""
    assert all(len(prefix) >= prefixes._HEAD for prefix, _ in ALL)
    assert len({prefix for prefix, _ in ALL}) == len(ALL) > 130


@pytest.mark.parametrize(("prefix", "follows"), ALL, ids=[prefix for prefix, _ in ALL])
@given(st.data())
@settings(deadline=None, max_examples=2)
def test_a_key_of_each_prefix_is_masked(prefix, follows, data):
    """A key of each prefix is found whole, and begins where a key may."""
    key = prefix + data.draw(st.from_regex(re.compile(follows, re.ASCII), fullmatch=True))
    match = key_at(f"x {key}", 2, unmarked=False)
    assert match
    assert match.end() == len(key) + 2
    assert may_begin(key, 0)
