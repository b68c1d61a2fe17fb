from __future__ import annotations

import json
import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.strategies import JSON

from bamboo_logmetrics.format.strict_json import encode

ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=20)
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), ANY_TEXT, st.integers(-(2**63), 2**64 - 1)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)


def strict(line):
    return json.loads(line, parse_constant=pytest.fail)


@given(JSON)
@settings(deadline=None, max_examples=200)
def test_json_comes_back_as_it_was(data):
    """Any JSON data is written compactly, in UTF-8 and in order, and comes back the same."""
    line = encode(data)
    assert json.dumps(strict(line)) == json.dumps(data)
    assert msgspec.json.format(line, indent=-1) == line


@given(ANYTHING)
@settings(deadline=None, max_examples=300)
def test_anything_is_one_strict_line(data):
    """Any plain data, with non-finite numbers and lone surrogates, is strict JSON on one physical line."""
    line = encode(data)
    strict(line)
    assert len(line.decode().splitlines()) == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a\u2028b\u2029c\x85d", '"a\\u2028b\\u2029c\\u0085d"'),
        ("\r\n\t\x0b\x0c\x1c\x00", '"\\r\\n\\t\\u000b\\f\\u001c\\u0000"'),
        ("é“漢😀", '"é“漢😀"'),
        ("\ud800", '"\ufffd"'),
        ("\ud83d\ude00\udc00", '"😀\ufffd"'),
        ({"\udfff\u2028": "x"}, '{"\ufffd\\u2028":"x"}'),
        ([math.nan, math.inf, -math.inf, 1.0, -0.0], "[null,null,null,1.0,-0.0]"),
        (["\ud800", math.nan, True, None, 2**64 - 1, {"a": [math.inf]}], '["\ufffd",null,true,null,18446744073709551615,{"a":[null]}]'),
        (10**5000, f'"{hex(10**5000)}"'),
        (["\ud800", -(2**63) - 1], '["\ufffd","-9223372036854775809"]'),
    ],
    ids=range(10),
)  # fmt: skip
def test_values_that_json_or_readers_cannot_hold(value, text):
    """Line breaks are escaped, non-finite numbers null, lone surrogates U+FFFD; all else stays as it is."""
    assert encode(value) == text.encode()
