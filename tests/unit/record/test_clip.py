"""Values cut to what is looked at: by characters in all, never a short one, and two keys stay two."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.strategies import JSON

from bamboo_logmetrics.record.clip import CUT, LONGEST_KEY, _common_length, clip, clip_flat, size

NOTHING: frozenset[str] = frozenset()


@given(JSON, st.integers(0, 200))
def test_a_clipped_value_is_small(value, most):
    """A clipped value has about as many characters as were asked for, and is unchanged if it has no more."""
    clipped = clip(value, most)
    assert size(clipped, 10**9) <= most + 300
    if size(value, 10**9) <= most:
        assert clipped == value


@given(JSON)
def test_the_size_has_an_end(value):
    """A size is counted until it is as large as asked for."""
    whole = size(value, 10**9)
    assert size(value, whole) == whole
    assert min(whole, 50) <= size(value, 50) or whole <= 50


@pytest.mark.parametrize(
    ("value", "clipped"),
    [
        ("x" * 30, "x" * 20 + CUT),
        (["x" * 30, "y"], ["x" * 20 + CUT, CUT]),
        ({"a": "x" * 30, "b": 1}, {"a": "x" * 11 + CUT, CUT: CUT}),
        ([[["x" * 30]]], [[["x" * 20 + CUT]]]),
        (7, 7),
        (None, None),
    ],
)
def test_what_is_cut_says_so(value, clipped):
    """Texts and containers end with a mark where they were cut."""
    assert clip(value, 20) == clipped


def test_the_longest_are_cut_to_one_length():
    """Of a record, ids and short values stay, and the longest values share the room."""
    flat = {"session_id": "i" * 500, "short": "s" * 50, "long": "l" * 900, "list": ["t" * 900], "number": 5}
    clip_flat(flat, 600, {"session_id"})
    assert flat["session_id"] == "i" * 500
    assert (flat["short"], flat["number"]) == ("s" * 50, 5)
    assert len(flat["long"]) == pytest.approx(len(flat["list"][0]), abs=10)
    assert 200 < len(flat["long"]) < 300


def test_a_small_record_is_not_touched():
    """A record within the limit stays as it is."""
    flat = {"a": "x" * 50, "b": [1, 2, {"c": None}]}
    clip_flat(flat, 100, NOTHING)
    assert flat == {"a": "x" * 50, "b": [1, 2, {"c": None}]}


def test_long_keys_are_cut_and_stay_apart():
    """A key that is too long is cut, in the order of the record; two with the same beginning stay two."""
    flat = {"k" * 1_000 + "1": 1, "k" * 1_000 + "2": {"n" * 1_000 + "1": 1, "n" * 1_000 + "2": 2}, "z": 3}
    clip_flat(flat, 2_000, NOTHING)
    assert len(flat) == 3
    assert next(iter(flat.values())) == 1
    assert list(flat)[2] == "z"
    assert all(len(key) < LONGEST_KEY + 10 for key in flat)
    clipped = clip({"n" * 1_000 + "1": 1, "n" * 1_000 + "2": 2}, 10_000)
    assert sorted(clipped.values()) == [1, 2]


def test_thousands_of_texts():
    """A list of thousands of long texts is cut to the first of them."""
    flat = {"list": ["word " * 20_000] * 20_000}
    clip_flat(flat, 64_000, NOTHING)
    assert len(json.dumps(flat)) < 70_000


def test_lengths_that_fit():
    """Where all lengths fit, the common length is that of all."""
    assert _common_length([1, 2], 10) == 10
