"""Values as they wait in the queue: copies that nobody can change, cut and measured."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.strategies import JSON, KEYS
from support.tools import record, text_record, tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.events import base
from bamboo_logmetrics.format.strict_json import encode
from bamboo_logmetrics.record import packed
from bamboo_logmetrics.record.packed import SHORT, SLOT, Raw, event_size, fit, is_short, measure, pack, unpack
from bamboo_logmetrics.record.queued import KeyValues
from bamboo_logmetrics.record.snapshot import freeze_mapping

LONGEST = 64_000


VALUES = st.recursive(
    JSON | st.sampled_from([2**70, -(2**63), b"x", UUID(int=7), timedelta(1), datetime(2026, 1, 1), {1: "x", "1": "y"}, "\ud800", object]),
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=6,
)  # fmt: skip


@given(VALUES, KEYS)
@settings(deadline=None, max_examples=300)
def test_packed_values_are_the_frozen_ones(value, key):
    """A value that is packed and unpacked again is written as its snapshot is, whatever its type."""
    values = {key: [value], "mapping": {"a": value}}
    assert encode(dict(unpack(pack(values, LONGEST)[0]))) == encode(freeze_mapping(values))


def test_usual_values_are_encoded_at_the_call():
    """A list, a dict, a UUID and a time are JSON; scalars and texts are themselves."""
    moment = datetime(2026, 11, 30, 12, 0, 0, 5, tzinfo=timezone.utc)
    values = {"list": [1, "a", None], "dict": {"x": 0.5}, "id": UUID(int=5), "at": moment, "text": "t", "n": 1}
    frozen, size = pack(values, LONGEST)
    assert [type(value) for value in frozen.values()] == [Raw, Raw, Raw, Raw, str, int]
    values["list"].append(2)
    values["dict"]["y"] = 1
    assert unpack(frozen) == {
        "list": [1, "a", None], "dict": {"x": 0.5}, "id": str(UUID(int=5)), "at": "2026-11-30T12:00:00.000005Z",
        "text": "t", "n": 1,
    }  # fmt: skip
    assert 0 < size < 300


def test_a_lone_surrogate_cannot_be_encoded():
    """A list with half a character stays a copy, and is measured by its text."""
    values = [["\ud800" * 10]]
    frozen, size = pack({"a": values}, LONGEST)
    values[0].append(1)
    assert frozen == unpack(frozen) == {"a": [["\ud800" * 10]]}
    assert size > 10
    line = text_record("x", **frozen)
    fit(line, LONGEST)
    assert line.bound == frozen


@pytest.mark.parametrize(
    "value",
    [
        ["x" * 100_000] * 100,
        [["x" * 100] * 1_000] * 100,
        {"k" * 200_000: 1},
        {"a": {"b": "x" * 10**6}},
        [2**1000] * 5_000,
        {str(n): "x" * 150 for n in range(5_000)},
        (f"item {n}" for n in range(10)),
        [b"x" * 10**6],
    ],
    ids=["texts", "usual lists", "a key", "deep", "long numbers", "wide", "generator", "bytes"],
)
def test_nested_texts_are_cut_in_all(value):
    """Of a list or a dict no more characters are kept than a line could hold, and a few for its brackets."""
    frozen, size = pack({"a": value}, LONGEST)
    assert size < 4 * LONGEST
    assert len(str(unpack(frozen))) < 4 * LONGEST


@pytest.mark.parametrize(
    ("values", "size"),
    [((), 0), (("abc", 1), 63), ((True, None, 0.5), 90), (([],), -1), (("a", object()), -1), ((2**64,), -1)],
)
def test_measure(values, size):
    """The size of scalars is that of their texts and 30 for each; other values have none."""
    assert measure(values) == size
    assert is_short({f"key {n}": value for n, value in enumerate(values)}) == (size >= 0)
    assert not is_short({1: "x"})
    assert not is_short({"a": "x" * 3_000})
    assert not is_short({"a": "\U0001f600" * 700})
    assert not is_short({"a" * 3_000: 1})


def test_a_type_that_cannot_be_hashed_is_no_scalar():
    """A value whose type refuses to be hashed is copied like any other object."""

    class Meta(type):
        __hash__ = None

    value = Meta("Thing", (), {})()
    assert measure([value]) < 0
    assert "Thing" in pack({"a": value}, LONGEST)[0]["a"]


def test_long_texts_are_cut_and_counted():
    """A text, a value, a traceback and a context are cut, and the record counts for what is left."""
    line = text_record("x" * 100_000, a="y" * 100_000, b=1)
    line.exception = "z" * 100_000
    line.context = {"c": "w" * 100_000}
    fit(line, 10_000)
    assert len(line.event) == len(line.exception) == len(line.bound["a"]) == len(line.context["c"]) == 10_001
    assert line.bound["b"] == 1
    assert 39 <= line.slots <= 40


def test_key_values_are_cut_too():
    """The values of a standard library record become a dictionary when they are long."""
    line = text_record("x")
    line.bound = KeyValues(("a", "b"), ("y" * 5_000, ["z"]))
    fit(line, 2_048)
    assert line.bound == {"a": "y" * 2_049, "b": ["z"]}
    assert line.slots == 2


def test_the_error_of_an_event_is_cut_but_not_its_ids():
    """An event keeps its ids and its unknown keys; its error is cut; a class of the application stays as it is."""
    usage = blm.TokenUsage(prompt_tokens=1, completion_tokens=1, total_tokens=2)
    event = blm.RoundCompleted(
        round_id="r" * 5_000, session_id="s", status="error", usage=usage, latency_ms=1, error="e" * 5_000
    ).with_extra('{"later":1}')
    line = record(event)
    fit(line, 1_000)
    assert (line.event.error, line.event.round_id, line.event.extra) == ("e" * 1_001, "r" * 5_000, '{"later":1}')
    assert line.slots == 6
    assert event_size(event) > event_size(line.event)
    own = record(Own(session_id="s", error="e" * 5_000))
    fit(own, 1_000)
    assert own.event.error == "e" * 5_000


class Own(blm.ChatEvent):
    session_id: str
    error: str


@pytest.fixture
def short_events(monkeypatch):
    """Return the set of classes without a long text, as it is in a new process."""
    kinds = {blm.ToolCalled, blm.RoundStarted}
    monkeypatch.setattr(base, "SHORT_EVENTS", kinds)
    return kinds


@pytest.mark.parametrize("text", ["x" * 129, type("Name", (str,), {})("x" * 129)])
def test_a_long_text_is_noted_by_its_class(short_events, text):
    """The first event with a long text takes its class off the list of those that need no measuring."""
    tool(tool_name="x" * 128)
    assert short_events == {blm.ToolCalled, blm.RoundStarted}
    tool(tool_name=text)
    assert short_events == {blm.RoundStarted}


def test_a_long_part_is_noted_for_all(short_events):
    """A long trace id may be in an event of any class."""
    blm.EventMeta(trace_id="t" * 500)
    assert short_events == set()


def test_numbers_keys_and_many_values_count():
    """A number of many digits is a text of few, long keys and many values take slots, and wide characters their bytes."""
    frozen, size = pack({"n": 1 << 800_000, "m": [-(1 << 800_000)]}, LONGEST)
    assert type(frozen["n"]) is str
    assert size < 11_000
    for values in ({"k" * 5_000: 1}, {f"key {n}": n * 0.5 for n in range(50)}, {"a": "\U0001f600" * 1_200}):
        line = text_record("x", **values)
        fit(line, LONGEST)
        assert 3 <= line.slots <= 6


def test_what_is_short_takes_one_slot(path):
    """Records of usual size have no further slots; longer ones have as many as their bytes."""
    with blm.open_log(path) as log:
        assert log._record("x" * (SHORT - 40), "info", {"a": 1}).slots == 0
        assert log._record("x" * 2 * SLOT, "info", {}).slots == 2
        assert log._record(tool(), None, {"a": ["x" * 100] * 41}).slots >= 4
        assert log._record(tool(tool_name="x" * 5_000), None, {}).slots >= 4
        assert log.bind(text="x" * 3_000)._record(tool(), None, {}).slots >= 2


@given(JSON)
@settings(deadline=None, max_examples=100)
def test_unpacking_what_is_not_packed(value):
    """Values without a packed one are returned themselves."""
    values = {"a": value}
    assert unpack(values) is values
    assert packed.PER_VALUE < SLOT
