"""The fast path makes the same lines as the general path."""

from __future__ import annotations

import dataclasses
import uuid
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.strategies import BOUND, EVENTS, EXAMPLES, JSON, KEYS, SCALARS, meta
from support.tools import tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.format import fast_path
from bamboo_logmetrics.format.encoder import LineEncoder
from bamboo_logmetrics.format.fast_path import FastPath
from bamboo_logmetrics.format.redact import clean, values
from bamboo_logmetrics.record import snapshot
from bamboo_logmetrics.record.packed import pack
from bamboo_logmetrics.record.queued import QueuedRecord
from bamboo_logmetrics.system import FS
from bamboo_logmetrics.testing import ManualClock

WRITER = "0123456789abcdef0123"
TYPED = [event for event in EXAMPLES if isinstance(event, (blm.ChatEvent, blm.ForwardEvent))]
CONTEXTS = st.dictionaries(
    KEYS | st.sampled_from(["trace_id", "session_id", "password"]), SCALARS | st.floats(), max_size=4
)


def line_encoder(*, fast, limit=32_000):
    encoder = LineEncoder(layout="native", max_line_bytes=limit, fs=FS(), clock=ManualClock(1_795_362_433_417_696_999))
    encoder.writer = WRITER
    if not fast:
        encoder._fast_path = None
    return encoder


def fast_line(event, context):
    """Return the line that the fast path makes, or None."""
    return FastPath().line(QueuedRecord(event, {}, context, "info", 1), WRITER, 7)


def both(event, context, limit=32_000, bound=MappingProxyType({})):
    """Return the line of each path, twice over: a remembered plan must not change it."""
    encoders = [line_encoder(fast=fast, limit=limit) for fast in (True, False)]
    of_call = ("info", 1) if isinstance(event, str) else ()
    return [[encoder.encode(QueuedRecord(event, bound, context, *of_call)) for encoder in encoders] for _ in range(2)]


@settings(max_examples=400)
@given(EVENTS, CONTEXTS, st.just({}) | BOUND)
def test_both_paths_make_the_same_line(event, context, bound):
    """For any event and context, both paths make the same line."""
    for fast, general in both(event, context, bound=bound):
        assert fast == general


TEXTS = st.text(max_size=20) | st.sampled_from(["", "Bearer abcdefgh12345678", "a\u2028b", "\ud800", "long " * 10_000])


@settings(max_examples=400)
@given(
    TEXTS, CONTEXTS, BOUND | st.dictionaries(KEYS, SCALARS | TEXTS | st.integers(), max_size=5), st.integers(0, 2**62)
)
def test_both_paths_make_the_same_plain_line(text, context, bound, time_ns):
    """For any plain record, both paths make the same line."""
    fast, general = (
        line_encoder(fast=fast).encode(QueuedRecord(text, bound, context, "info", time_ns)) for fast in (True, False)
    )
    assert fast == general


def test_a_usual_plain_line_takes_the_fast_path():
    """Plain text with scalars bound takes the fast path."""
    bound = {"entries": 312, "hits": 2**64 - 1, "name": "abc", "ratio": 0.5, "ok": True, "none": None}
    assert fast_line("cache warmed", bound) is not None
    assert fast_line("cache warmed", bound | {"password": "x"}) is None


NESTED = {
    "list": ([1, 2.5, "x", True, None, float("nan")], True),
    "dict": ({"x": 1, "y": {"z": ["a", {"b": 2**63}]}}, True),
    "empty": ([[], {}], True),
    "secret text": ([["password=hunter2"]], False),
    "secret key": ({"a": [{"password": "x"}]}, False),
    "key that is a secret": ({"sk-proj-abcdefghijklmnop1234567890": 1}, False),
    "pair": ([["authorization", "Basic abc"]], False),
    "long text": (["long " * 1_000], False),
    "beyond 64 bits": ([2**70], False),
}


@pytest.mark.parametrize(("value", "fast"), NESTED.values(), ids=NESTED)
@pytest.mark.parametrize("event", ["text", tool()], ids=["plain", "typed"])
def test_nested_values(event, value, fast):
    """Lists and dicts without secrets take the fast path, and both paths make the same line of any, packed or not."""
    packed, plain = pack({"value": value}, 100_000)[0], {"value": snapshot.freeze(value)}
    for bound in (packed, plain, packed):
        line = FastPath().line(QueuedRecord(event, bound, {}, "info", 1), WRITER, 7)
        assert (line is not None) is fast or value == [2**70]  # which is a text by now
        for lines in both(event, {}, bound=bound):
            assert lines[0] == lines[1]
    assert both(event, {}, bound=packed) == both(event, {}, bound=plain)


def test_a_uuid_under_the_key_of_a_secret():
    """A packed text is clean by its type, but not under the key of a secret."""
    bound = pack({"api_key": uuid.UUID(int=7), "id": uuid.UUID(int=8)}, 1_000)[0]
    for lines in both("text", {}, bound=bound):
        assert lines[0] == lines[1]
        assert b'"api_key":"[redacted]","id":"00000000-' in lines[0]


def test_many_nested_values_are_remembered_up_to_a_limit(monkeypatch):
    """Short lists that were clean are known at the next record; their number is bounded."""
    monkeypatch.setattr(clean, "_MOST_CLEAN", 3)
    monkeypatch.setattr(clean, "_CLEAN_JSON", set())
    for number in range(9):
        assert FastPath().line(QueuedRecord("x", pack({"a": [number]}, 1_000)[0], {}, "info", 1), WRITER, 7)
        assert 0 < len(clean._CLEAN_JSON) <= 3
    long = QueuedRecord("x", pack({"a": ["b" * 150] * 2}, 1_000)[0], {}, "info", 1)
    assert FastPath().line(long, WRITER, 7)
    assert not any(len(json) > 200 for json in clean._CLEAN_JSON)


@settings(max_examples=300)
@given(EVENTS | TEXTS, CONTEXTS, st.dictionaries(KEYS, JSON, max_size=3))
def test_both_paths_make_the_same_line_of_nested_values(event, context, bound):
    """For any nested values in a call, both paths make the same line."""
    for fast, general in both(event, context, bound=pack(bound, 100_000)[0]):
        assert fast == general


@pytest.mark.parametrize("event", TYPED, ids=lambda event: f"{event.kind}-{event.meta.occurred_at.microsecond % 100}")
def test_a_usual_event_takes_the_fast_path(event):
    """An event of each kind with scalars bound takes the fast path."""
    names = {item.name for item in dataclasses.fields(event)}
    same = {name: getattr(event, name) for name in {"session_id", "model"} & names}
    line = fast_line(event, {"project": "p", "n": 2, "trace_id": event.meta.trace_id or "t"} | same)
    assert line is not None
    assert line.endswith(b',"project":"p","n":2}\n')


@pytest.mark.parametrize(
    "event",
    [
        tool(meta=dataclasses.replace(meta(1), occurred_at=meta(1).occurred_at.replace(microsecond=0))),
        tool(tool_name="a\u2028b\x85c"),
        tool(tool_name="lone \ud800"),
        blm.StorageError(error="x", event_type="file"),
        dataclasses.replace(EXAMPLES[5], error="key sk-proj-abcdefghijklmnop1234567890 refused"),
        dataclasses.replace(EXAMPLES[5], error="long " * 10_000),
    ],
    ids=["no-microseconds", "line-breaks", "surrogate", "system", "secret", "long"],
)
def test_unusual_records(event):
    """For an unusual record the fast path steps aside: both paths make the same line."""
    for context in ({}, {"trace_id": "t", "project": "p"}, {"event": "forged"}, {"exception": "E"}, {"bound_model": 1}):
        for fast, general in both(event, context):
            assert fast == general


@pytest.mark.parametrize("limit", [400, 500])
def test_a_long_line_is_cut(limit):
    """A line over the limit is cut as on the general path."""
    for fast, general in both(tool(), {"project": "p" * 300}, limit):
        assert fast == general


def test_values_that_differ_are_renamed():
    """A bound value that is the event's own in one line and not in the next is left out there and renamed here."""
    context = {"session_id": "s-1"}
    same, other = (tool(session_id=session) for session in ("s-1", "s-2"))
    assert fast_line(same, context) is not None
    assert fast_line(other, context) is None
    assert b'"bound_session_id":"s-1"' in both(other, context)[0][0]


@pytest.mark.parametrize("keys", [1, 60])
def test_keys_that_vary_without_end(keys):
    """Plain lines whose keys are never the same, or very many, are as good as others; only so many sets are kept."""
    fast, general = line_encoder(fast=True), line_encoder(fast=False)
    for number in range(1_200 // keys):
        item = QueuedRecord("text", {f"key_{number}_{index}": index for index in range(keys)}, {}, "info", 1)
        assert fast.encode(item) == general.encode(item)
    assert len(fast_path._SHAPES) <= fast_path._MOST_SHAPES


def test_contexts_that_are_gone():
    """A context that lies where an earlier one lay is not taken for it, however many there were."""
    encoder = line_encoder(fast=True)
    for number in range(3_000):
        line = encoder.encode(QueuedRecord(tool(), {}, {"number": number}))
        assert line.endswith(b',"number":%d}\n' % number)


@pytest.mark.parametrize("error", [MemoryError, RecursionError, ValueError])
def test_a_fault_in_the_fast_path(monkeypatch, error):
    """After a fault in the fast path the general path makes the line, with the same number."""
    encoder = line_encoder(fast=True)
    first = encoder.encode(QueuedRecord(tool(), {}, {}))

    def fails(*_):
        raise error

    monkeypatch.setattr(FastPath, "line", fails)
    second = encoder.encode(QueuedRecord(tool(), {}, {}))
    assert (b'"seq":1,' in first, b'"seq":2,' in second) == (True, True)


def test_clean_texts_are_forgotten():
    """Of texts without secrets only so many are remembered, and none that holds one."""
    for number in range(10_000):
        values.mask_text(f"text {number}")
    values.mask_text("password=hunter22")
    assert 0 < len(values.KNOWN_CLEAN) <= values._MOST_CLEAN
    assert not any("hunter22" in text for text in values.KNOWN_CLEAN)


def test_keys_that_become_one_stand_there_once(tmp_path):
    """Keys with lone surrogates become the same text; no line has that key twice, whichever logger bound it."""
    log = blm.open_log(tmp_path / "a.jsonl")
    log.bind(**{"\ud800": 1}).emit(tool(1), **{"\udfff": 2})
    log.bind(**{"\ud800": 1}).emit(tool(1), **{"\ufffd": 2})
    log.bind(**{"\ud800": 1}).info("text", **{"\udfff": 2})
    log.close()
    lines = (tmp_path / "a.jsonl").read_text("utf-8").splitlines()[1:-1]
    assert [line.count("\ufffd") for line in lines] == [1, 1, 1]
