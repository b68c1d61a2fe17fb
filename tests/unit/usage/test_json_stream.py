from __future__ import annotations

import json
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from bamboo_logmetrics.usage.json_stream import ObjectSplitter

OBJECTS = st.dictionaries(
    st.text(max_size=4),
    st.recursive(
        st.text(max_size=6) | st.integers(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    ),
    max_size=4,
)


@given(
    st.lists(OBJECTS, max_size=4),
    st.sampled_from(["list", "lines", "pretty"]),
    st.lists(st.integers(0, 400), max_size=8),
)
def test_objects_at_the_top(objects, form, places):
    """The objects of a list, of lines, and one behind the other are found, wherever the bytes are cut."""
    texts = [json.dumps(each, ensure_ascii=False, indent=1 if form == "pretty" else None) for each in objects]
    body = ("[" + " ,\n".join(texts) + "]" if form == "list" else "\n".join(texts)).encode()
    splitter = ObjectSplitter()
    found, start = [], 0
    for end in [*sorted(place % (len(body) + 1) for place in places), len(body)]:
        found += splitter.split(body[start:end])
        start = end
    assert [json.loads(each) for each in found] == objects
    assert (splitter.is_list, splitter.kept) == (form == "list", 0)
    assert splitter.is_closed == (form == "list" or bool(objects))


def test_a_long_object():
    """An object beyond the limit is passed over; the next one is found."""
    splitter = ObjectSplitter(limit=100)
    assert splitter.split(b'[{"a": "' + b"x" * 99) == []
    assert splitter.split(b"x" * 99) == []
    assert splitter.split(b'"}, {"b": 1}]') == [b'{"b": 1}']


def test_an_object_in_tiny_pieces():
    """The memory that is held is about the bytes that are said to be kept."""
    splitter = ObjectSplitter()
    tracemalloc.start()
    try:
        splitter.split(b'{"a":"')
        for _ in range(100_000):
            splitter.split(b"ab")
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert splitter.kept == 200_006
    assert held < splitter.kept * 1.25 + 10_000


def test_damaged_lists():
    """Ends without a beginning, and texts at the top, are passed over."""
    assert ObjectSplitter().split(b'}] "x", 5 {"a": [1]}') == [b'{"a": [1]}']
