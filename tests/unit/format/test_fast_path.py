"""The lines made in one step are those made step by step."""

from __future__ import annotations

import dataclasses
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.strategies import BOUND, EVENTS, EXAMPLES, KEYS, SCALARS, meta
from support.tools import tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.format import fast_path
from bamboo_logmetrics.format.encoder import LineEncoder
from bamboo_logmetrics.format.fast_path import FastPath
from bamboo_logmetrics.format.redact import values
from bamboo_logmetrics.record.queued import QueuedRecord
from bamboo_logmetrics.system import FS
from bamboo_logmetrics.testing import ManualClock

WRITER = "0123456789abcdef0123"
TYPED = [event for event in EXAMPLES if isinstance(event, (blm.ChatEvent, blm.ForwardEvent))]
CONTEXTS = st.dictionaries(
    KEYS | st.sampled_from(["trace_id", "session_id", "password"]), SCALARS | st.floats(), max_size=4
)


def maker(*, step_by_step, limit=32_000):
    made = LineEncoder(layout="native", max_line_bytes=limit, fs=FS(), clock=ManualClock(1_795_362_433_417_696_999))
    made.writer = WRITER
    if step_by_step:
        made._fast_path = None
    return made


def one_step(what, context):
    """Return the line made in one step, or None."""
    return FastPath().line(QueuedRecord(what, {}, context, "info", 1), WRITER, 7)


def both(event, context, limit=32_000, bound=MappingProxyType({})):
    """Return the line of each way, twice over: what was remembered must not change it."""
    ways = [maker(step_by_step=step_by_step, limit=limit) for step_by_step in (False, True)]
    return [[made.encode(QueuedRecord(event, bound, context)) for made in ways] for _ in range(2)]


@settings(max_examples=400)
@given(EVENTS, CONTEXTS, st.just({}) | BOUND)
def test_both_ways_make_the_same_line(event, context, bound):
    """Whatever an event and its context hold, the line made in one step is the one made step by step."""
    for quick, thorough in both(event, context, bound=bound):
        assert quick == thorough


TEXTS = st.text(max_size=20) | st.sampled_from(["", "Bearer abcdefgh12345678", "a\u2028b", "\ud800", "long " * 10_000])


@settings(max_examples=400)
@given(
    TEXTS, CONTEXTS, BOUND | st.dictionaries(KEYS, SCALARS | TEXTS | st.integers(), max_size=5), st.integers(0, 2**62)
)
def test_both_ways_make_the_same_plain_line(text, context, bound, time_ns):
    """Whatever a plain record holds, the line made in one step is the one made step by step."""
    quick, thorough = (
        maker(step_by_step=step_by_step).encode(QueuedRecord(text, bound, context, "info", time_ns))
        for step_by_step in (False, True)
    )
    assert quick == thorough


def test_a_usual_plain_line_takes_one_step():
    """Plain text with scalars beside it is not made step by step."""
    beside = {"entries": 312, "hits": 2**64 - 1, "name": "abc", "ratio": 0.5, "ok": True, "none": None}
    assert one_step("cache warmed", beside) is not None
    assert one_step("cache warmed", beside | {"password": "x"}) is None


@pytest.mark.parametrize("event", TYPED, ids=lambda event: f"{event.kind}-{event.meta.occurred_at.microsecond % 100}")
def test_what_is_usual_takes_one_step(event):
    """An event of each kind, with plain values bound beside it, is not made step by step."""
    names = {item.name for item in dataclasses.fields(event)}
    same = {name: getattr(event, name) for name in {"session_id", "model"} & names}
    line = one_step(event, {"project": "p", "n": 2, "trace_id": event.meta.trace_id or "t"} | same)
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
def test_what_is_unusual(event):
    """What needs a closer look gets one: both ways make the same line."""
    for context in ({}, {"trace_id": "t", "project": "p"}, {"event": "forged"}, {"exception": "E"}, {"bound_model": 1}):
        for quick, thorough in both(event, context):
            assert quick == thorough


@pytest.mark.parametrize("limit", [400, 500])
def test_a_long_line_is_cut(limit):
    """A line over the limit is cut as ever."""
    for quick, thorough in both(tool(), {"project": "p" * 300}, limit):
        assert quick == thorough


def test_values_that_differ_are_renamed():
    """A bound value that is the event's own in one line and not in the next is left out there and renamed here."""
    context = {"session_id": "s-1"}
    same, other = (tool(session_id=session) for session in ("s-1", "s-2"))
    assert one_step(same, context) is not None
    assert one_step(other, context) is None
    assert b'"bound_session_id":"s-1"' in both(other, context)[0][0]


@pytest.mark.parametrize("keys", [1, 60])
def test_keys_that_vary_without_end(keys):
    """Plain lines whose keys are never the same, or very many, are as good as others; only so many sets are kept."""
    quick, thorough = maker(step_by_step=False), maker(step_by_step=True)
    for number in range(1_200 // keys):
        item = QueuedRecord("text", {f"key_{number}_{index}": index for index in range(keys)}, {}, "info", 1)
        assert quick.encode(item) == thorough.encode(item)
    assert len(fast_path._SHAPES) <= fast_path._MOST_SHAPES


def test_contexts_that_are_gone():
    """A context that lies where an earlier one lay is not taken for it, however many there were."""
    made = maker(step_by_step=False)
    for number in range(3_000):
        line = made.encode(QueuedRecord(tool(), {}, {"number": number}))
        assert line.endswith(b',"number":%d}\n' % number)


@pytest.mark.parametrize("error", [MemoryError, RecursionError, ValueError])
def test_a_fault_in_the_one_step(monkeypatch, error):
    """A fault in the one step is no fault of the line: it is then made step by step, with the same number."""
    made = maker(step_by_step=False)
    first = made.encode(QueuedRecord(tool(), {}, {}))

    def fails(*_):
        raise error

    monkeypatch.setattr(FastPath, "line", fails)
    second = made.encode(QueuedRecord(tool(), {}, {}))
    assert (b'"seq":1,' in first, b'"seq":2,' in second) == (True, True)


def test_clean_texts_are_forgotten():
    """Of texts without secrets only so many are remembered, and none that holds one."""
    for number in range(10_000):
        values.mask_text(f"text {number}")
    values.mask_text("password=hunter22")
    assert 0 < len(values.KNOWN_CLEAN) <= values._MOST_CLEAN
    assert not any("hunter22" in text for text in values.KNOWN_CLEAN)
