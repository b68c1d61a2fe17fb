from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.strategies import EVENTS, EXAMPLES

import bamboo_logmetrics as blm
from bamboo_logmetrics.format import flatten, parse
from bamboo_logmetrics.format.fields import HEADER_SET, fields_in_line
from bamboo_logmetrics.format.strict_json import encode
from bamboo_logmetrics.format.truncate import CUT, cap

AT = {"timestamp": "2026-11-22T15:47:16.000000Z", "writer": "9f3c21d07a55e8b04c1d", "seq": 1}
ROUND = next(event for event in EXAMPLES if isinstance(event, blm.RoundCompleted) and event.error)
WIDE = ["x", "漢", "é", "😀", "\n", "\x01", '"', "\\", "\u2028", "\ud800"]


def expand(event=ROUND, error=None, exception=None, **bound):
    if error is not None:
        event = blm.RoundCompleted(
            meta=event.meta, round_id="r", session_id="s", status="error", usage=event.usage, latency_ms=1, error=error
        )
    return flatten.expand(event, bound, exception=exception, **AT)


def plain(text="text", exception=None, **bound):
    return flatten.expand_plain(text, bound, level="info", exception=exception, **AT)


def capped(flat, limit):
    """Cut a record, check what holds for every cut, and return it as a reader sees it."""
    before = dict(flat)
    cut, line = cap(flat, limit)
    assert flat == before
    assert line == encode(cut)
    seen = json.loads(line, parse_constant=pytest.fail)
    if "truncated" in seen:
        assert list(seen)[-1] == "truncated"
        shortened = {key for key in seen if key not in {"truncated"} and cut[key] != before[key]}
        left_out = {"bound"} if set(before) - set(seen) else set()
        assert set(seen["truncated"]) == shortened | left_out
    else:
        assert cut == before
    return seen, len(line)


def test_what_fits_is_left_alone():
    """A line of exactly the limit is not touched, one byte less cuts it."""
    flat = expand(note="x" * 500)
    size = len(encode(flat))
    assert cap(flat, size)[0] is flat
    seen, length = capped(flat, size - 1)
    assert seen["truncated"] == ["note"]
    assert length <= size - 1


def test_the_order_of_cutting():
    """The exception is cut first, then bound values, then the error; each only as far as need be."""
    flat = expand(error="e" * 2_000, exception="x" * 2_000, note="n" * 2_000)
    cuts = {}
    for limit in range(6_600, 500, -50):
        seen, length = capped(flat, limit)
        assert length <= limit
        cuts.setdefault(tuple(seen.get("truncated", ())), seen)
    assert list(cuts) == [
        (), ("exception",), ("exception", "note"), ("exception", "note", "error"), ("exception", "bound", "error")
    ]  # fmt: skip
    assert cuts["exception",]["error"] == "e" * 2_000
    assert cuts["exception",]["note"] == "n" * 2_000
    assert cuts["exception", "note"]["exception"] == CUT
    assert cuts["exception", "note"]["error"] == "e" * 2_000


def test_a_cut_loses_no_more_than_it_must():
    """A value that is cut keeps its beginning and ends in a mark, and fills the line up to a few bytes."""
    for flat in (
        expand(note="n" * 5_000),
        expand(exception="n" * 5_000),
        expand(error="n" * 5_000),
        plain("n" * 5_000),
    ):
        seen, length = capped(flat, 1_000)
        (key,) = seen["truncated"]
        assert 940 <= length <= 1_000
        assert set(seen[key][:-1]) == {"n"}
        assert seen[key][-1] == CUT


def test_nested_values_are_cut_as_text():
    """A list or mapping that is too long becomes the beginning of its JSON text."""
    seen, length = capped(expand(rows=[{"name": '"quoted"', "n": n} for n in range(400)]), 2_000)
    assert seen["truncated"] == ["rows"]
    assert seen["rows"].startswith('[{"name":"\\"quoted\\"","n":0},')
    assert 1_500 < length <= 2_000


def test_ids_are_never_cut():
    """However short the limit, header, ids, counts and names of an event stay; nothing is made up."""
    flat = expand(error="e" * 5_000, exception="x" * 5_000, note="n" * 5_000, trace_id="t" * 50)
    seen, _ = capped(flat, 10)
    known = set(flat) - {"error", "exception", "note"}
    assert {key: seen[key] for key in known} == {key: flat[key] for key in known}
    assert (seen["error"], seen["exception"], seen["truncated"]) == (CUT, CUT, ["exception", "bound", "error"])
    unknown = blm.UnknownEvent(family="Chat", variant="Odd", payload='{"meta":{"event_id":"e","trace_id":"t"},"x":1}')
    seen, _ = capped(flatten.expand(unknown, {"y": "y" * 900}, **AT), 10)
    assert (seen["event_id"], seen["trace_id"], seen["truncated"]) == ("e", "t", ["bound"])


def test_short_values_survive_a_long_text():
    """Bound ids and names are not cut where the text or the error is what makes the line long."""
    for flat in (
        plain("x" * 50_000, session_id="s-1", user="ann"),
        expand(error="x" * 50_000, session="s-1", user="ann"),
    ):
        seen, length = capped(flat, 2_000)
        assert seen["truncated"] in (["event"], ["error"])
        assert seen["user"] == "ann"
        assert 1_900 < length <= 2_000


def test_the_longest_value_is_cut_first():
    """Among bound values the longest goes first, so that as few as possible are cut."""
    seen, _ = capped(expand(a="a" * 300, b="b" * 3_000, c="c" * 900), 2_000)
    assert seen["truncated"] == ["b"]
    seen, _ = capped(expand(a="a" * 300, b="b" * 3_000, c="c" * 900), 1_200)
    assert seen["truncated"] == ["b", "c"]


def test_many_values_are_left_out_together():
    """Where cutting the twenty longest is not enough, all bound values are left out, and the error stays whole."""
    flat = expand(error="reason", **{f"key_{n}": "v" * 40 for n in range(3_000)})
    seen, length = capped(flat, 32_000)
    assert (seen["truncated"], seen["error"]) == (["bound"], "reason")
    assert length < 1_000
    flat = expand(error="e" * 3_000, **{f"key_{n}": "v" * 400 for n in range(100)})
    seen, length = capped(flat, 2_000)
    assert seen["truncated"] == ["bound", "error"]
    assert 1_900 < length <= 2_000


def test_keys_too_long_to_be_named():
    """A bound key that is itself too long is left out, and is not named in ``truncated``."""
    flat = expand(**{"k" * 5_000: "v" * 5_000, "note": "n"})
    seen, length = capped(flat, 2_000)
    assert seen["truncated"] == ["bound"]
    assert length <= 2_000
    _, line = cap(plain("text", **{"k\ud800": "v" * 5_000}), 2_000)
    assert json.loads(line)["truncated"] == ["k\ufffd"]


@pytest.mark.parametrize("char", WIDE)
def test_the_limit_is_in_bytes(char):
    """The limit counts bytes of JSON, whatever the characters: wide ones, escapes, surrogates."""
    for limit in (1_000, 1_001, 1_002, 1_003, 1_024):
        for flat in (expand(note=char * 4_000), plain(char * 4_000), expand(exception=char * 4_000)):
            cut, line = cap(flat, limit)
            json.loads(line, parse_constant=pytest.fail)
            assert limit - 60 <= len(line) <= limit
            assert len(cut["truncated"]) == 1


def test_only_bound_values_of_an_event_with_text_inside():
    """An event without error text is cut in its bound values only; MetricsDropped also in its reason."""
    seen, _ = capped(flatten.expand(blm.MetricsDropped(count=1, reason="r" * 5_000), {}, **AT), 1_000)
    assert seen["truncated"] == ["reason"]
    seen, _ = capped(flatten.expand(EXAMPLES[0], {"error": "x" * 5_000}, **AT), 1_000)
    assert (seen["truncated"], seen["model"]) == (["error"], "gpt-5-mini")


TEXTS = st.tuples(st.sampled_from(WIDE), st.integers(0, 3_000)).map(lambda pair: pair[0] * pair[1])
VALUES = st.one_of(
    TEXTS, st.lists(TEXTS, max_size=3), st.dictionaries(TEXTS, TEXTS, max_size=2), st.integers(), st.none()
)
KEYS = st.one_of(st.text(max_size=5), TEXTS, st.sampled_from(["trace", "error", "level", "exception"]))


@given(EVENTS | st.just(ROUND), TEXTS, st.dictionaries(KEYS, VALUES, max_size=30), st.none() | TEXTS)
@settings(deadline=None, max_examples=200)
def test_any_record_is_cut_to_the_limit(event, text, bound, exception):
    """Any record is cut to the limit, or what is left is header and ids; it stays a line that can be read."""
    bound.pop("trace_id", None)
    for flat in (
        flatten.expand(event, bound, exception=exception or None, **AT),
        flatten.expand_plain(text, bound, level="info", exception=exception or None, **AT),
    ):
        cut, line = cap(flat, 1_000)
        json.loads(line, parse_constant=pytest.fail)
        assert len(line.decode().splitlines()) == 1
        read = parse.parse_line(line)
        assert (read.event is None) == ("plain" in flat)
        if len(line) > 1_000:
            ids = {"event_id", "trace_id", "session_id", "round_id", "request_id", "tool_call_id", "tool_name", "model"}
            assert set(cut) <= fields_in_line(event.kind) | HEADER_SET | {"exception", "truncated"}
            assert sum(len(encode(cut[key])) for key in ids & set(cut)) > 300
