from __future__ import annotations

import dataclasses
import math

import msgspec
import pytest
from hypothesis import given, settings
from support.flats import FIXED, FLATS, exact, golden, there_and_back, written
from support.records import AT, ROUND, STARTED_FIELDS, TOOL
from support.strategies import EXAMPLES, HEADER, meta

import bamboo_logmetrics as blm
from bamboo_logmetrics.events.base import names_of
from bamboo_logmetrics.format import flatten, layouts
from bamboo_logmetrics.format.encoder import LineEncoder
from bamboo_logmetrics.format.layouts import flat_of
from bamboo_logmetrics.format.parse import parse_line
from bamboo_logmetrics.format.strict_json import encode
from bamboo_logmetrics.record.queued import QueuedRecord
from bamboo_logmetrics.system import FS
from bamboo_logmetrics.testing import ManualClock


def test_the_layouts():
    """There are three layouts; the native one changes nothing."""
    flat = {"b": 1, "a": [None]}
    assert layouts.NATIVE.write(flat) is flat
    assert list(layouts.LAYOUTS) == ["native", "ecs", "otel"]


# -- the way back ---------------------------------------------------------------------------


@pytest.mark.parametrize("layout", layouts.LAYOUTS)
@given(flat=FLATS)
@settings(deadline=None, max_examples=400)
def test_any_record_comes_back(layout, flat):
    """A line of any layout is read back as its record, with the same keys, values and types."""
    back = there_and_back(layout, flat)
    assert exact(back) == exact(msgspec.json.decode(encode(flat)))
    assert list(back)[: len(HEADER)] == list(flat)[: len(HEADER)] or "plain" not in flat
    assert list(back)[:6] == list(flat)[:6]


@pytest.mark.parametrize("layout", ["ecs", "otel"])
@pytest.mark.parametrize("number", range(len(FIXED)))
def test_golden(layout, number):
    """Each record is written as the golden line byte for byte, and that line reads as the native one does."""
    flat, line = FIXED[number], golden(f"{layout}.jsonl")[number]
    assert encode(layouts.LAYOUTS[layout].write(flat)) == line
    assert exact(flat_of(msgspec.json.decode(line))) == exact(msgspec.json.decode(encode(flat)))
    read, expected = parse_line(line), parse_line(encode(flat))
    assert dataclasses.replace(read, bound=dict(read.bound)) == dataclasses.replace(
        expected, bound=dict(expected.bound)
    )


@pytest.mark.parametrize("layout", ["ecs", "otel"])
def test_golden_files_hold_each_kind(layout):
    """The golden files have a line for each record."""
    assert len(golden(f"{layout}.jsonl")) == len(FIXED)


@pytest.mark.parametrize("layout", layouts.LAYOUTS)
def test_text_that_utf8_cannot_hold(layout):
    """Lone surrogates are replaced in keys, texts and nested values, as in the native layout."""
    flat = flatten.expand_plain("a\ud800", {"b\udfff": ["\ud800", {"\udfff": math.inf}]}, level="info", **AT)
    assert exact(there_and_back(layout, flat)) == exact(there_and_back("native", flat))


def test_native_keys_that_look_like_another_layout():
    """A native line is one, though keys of the other layouts are bound in it."""
    flat = flatten.expand_plain("x", {"@timestamp": 1, "timeUnixNano": 2, "bamboo": 3}, level="info", seq=1, **AT)
    assert there_and_back("native", flat) == flat
    assert flat_of(flat) is flat


GOOD = {layout: written(layout, flatten.expand(TOOL, {"note": 1}, seq=1, **AT)) for layout in ("ecs", "otel")}
PLAIN = {
    layout: written(layout, flatten.expand_plain("x", {}, level="info", seq=1, **AT)) for layout in ("ecs", "otel")
}


@pytest.mark.parametrize(
    ("layout", "changed"),
    [
        ("ecs", {"bamboo": None}), ("ecs", {"bamboo": {}}), ("ecs", {"bamboo": {"v": 1, "bound": [5]}}),
        ("ecs", {"event": "x"}), ("ecs", {"event": {}}), ("ecs", {"event": {"action": 5}}),
        ("ecs", {"event": {"action": "x", "duration": "long"}}), ("ecs", {"@timestamp": ...}), ("ecs", {"log.level": ...}),
        ("otel", {"attributes": ...}), ("otel", {"attributes": []}), ("otel", {"attributes": 5}),
        ("otel", {"attributes": [{"key": "bamboo.v"}]}), ("otel", {"attributes": [{"key": 5, "value": {}}]}),
        ("otel", {"attributes": [{"key": "x", "value": {"intValue": "x"}}]}),
        ("otel", {"attributes": [{"key": "x", "value": {"intValue": "1", "stringValue": "y"}}]}),
        ("otel", {"eventName": ...}), ("otel", {"eventName": 5}), ("otel", {"timeUnixNano": "soon"}),
        ("otel", {"timeUnixNano": "9" * 40}), ("otel", {"severityText": ...}),
    ],
)  # fmt: skip
def test_what_is_not_of_this_log(layout, changed):
    """A document or a log record of another program, or a damaged one, is no line of this log."""
    data = {key: value for key, value in (GOOD[layout] | changed).items() if value is not ...}
    with pytest.raises(ValueError, match="^not a line of this log$"):
        flat_of(data)


@pytest.mark.parametrize(
    ("layout", "changed"), [("ecs", {"message": ...}), ("ecs", {"message": 5}), ("otel", {"body": ...}), ("otel", {"body": {}})]
)  # fmt: skip
def test_a_plain_line_without_its_text(layout, changed):
    """A plain line needs its text."""
    data = {key: value for key, value in (PLAIN[layout] | changed).items() if value is not ...}
    with pytest.raises(ValueError, match="^not a line of this log$"):
        flat_of(data)


@pytest.mark.parametrize("data", [None, 5, "event", [], ["event", "v"], {}, {"event": "x"}, {"event": 5, "v": 1}])
def test_what_is_none_of_the_three(data):
    """Other JSON is no line of this log."""
    with pytest.raises(ValueError, match="^not a line of this log$"):
        flat_of(data)


def test_what_is_too_deep():
    """A value that is nested too deeply to be read is no line of this log, and no crash."""
    value = {}
    for _ in range(100_000):
        value = {"arrayValue": {"values": [value]}}
    with pytest.raises(ValueError, match="^not a line of this log$"):
        flat_of(GOOD["otel"] | {"attributes": [{"key": "x", "value": value}]})


def test_what_others_add_is_ignored():
    """Fields that a shipper has added are ignored."""
    added = {"host": {"name": 5, "ip": ["::1"]}, "agent": {"id": "a"}, "error": "x", "log": {"offset": 7}}
    assert flat_of(GOOD["ecs"] | added)["host"] == 5
    attribute = {"key": "log.file.name", "value": {"stringValue": "a"}}
    more = GOOD["otel"] | {"attributes": [*GOOD["otel"]["attributes"], attribute], "observedTimeUnixNano": "5"}
    assert flat_of(more) == flat_of(GOOD["otel"])


# -- ids in broken lines ----------------------------------------------------------------------


@pytest.mark.parametrize("layout", layouts.LAYOUTS)
def test_ids_are_found_in_a_broken_line(layout):
    """The ids of a line that lacks its end are found once, also where another line follows on the same line."""
    one, other = (encode(layouts.LAYOUTS[layout].write(flat)) for flat in FIXED[:2])
    ids = [(flat["writer"], flat["seq"]) for flat in FIXED[:2]]
    assert list(layouts.find_ids(one[:-1])) == ids[:1]
    assert list(layouts.find_ids(one[:-1] + other)) == ids
    assert list(layouts.find_ids(b"no line")) == []


# -- the lines of a log ---------------------------------------------------------------------


def line_encoder(layout, limit=32_000):
    return LineEncoder(layout=layout, max_line_bytes=limit, fs=FS(), clock=ManualClock(1_795_362_433_417_696_999))


LONG = {
    "text": ("x" * 50_000, {}, None),
    "other text": ("漢\u2028\n" * 20_000, {"model": "m"}, None),
    "exception": (TOOL, {"note": "n"}, "Traceback\n" * 9_000),
    "error": (dataclasses.replace(ROUND, error='"' * 40_000), {}, None),
    "all": (dataclasses.replace(ROUND, error="e" * 40_000), {"a": "b" * 40_000, "model": "m" * 200}, "T" * 40_000),
    "numbers": (TOOL, {"rows": list(range(9_000))}, None),
    "nested": ("x" * 5_000, {"rows": [{"a": [number, None]} for number in range(5_000)]}, None),
    "many": (TOOL, {f"key {number}": number for number in range(5_000)}, None),
    "many lists": ("x", {f"key {number}": [number] * 9 for number in range(5_000)}, "T" * 40_000),
}


@pytest.mark.parametrize("layout", layouts.LAYOUTS)
@pytest.mark.parametrize("limit", [None, 4_000, 32_000])
@pytest.mark.parametrize("name", LONG)
def test_long_lines_are_cut(layout, limit, name):
    """A line of any layout is within the limit, names the values that were cut, keeps its ids and uses the rest."""
    event, bound, exception = LONG[name]
    limit = limit or layouts.LAYOUTS[layout].min_line_bytes
    line = line_encoder(layout, limit).encode(QueuedRecord(event, {}, bound, "info", 1, exception))
    assert line is not None
    assert len(line) <= limit
    assert len(line.decode().splitlines()) == 1
    read = parse_line(line)
    assert read.truncated
    assert read.seq == 1
    if not isinstance(event, str):
        assert read.event.meta == event.meta
    if name in {"text", "exception", "error", "numbers"}:
        assert len(line) > limit - 8


@pytest.mark.parametrize("layout", layouts.LAYOUTS)
def test_the_shortest_limit_holds_every_event(layout):
    """With the shortest line that the options allow, an event with all of its ids and numbers fits."""
    uuid = "6d1f2a7e-3c5b-4e0e-9a41-0c2f4f1f9a01"
    ids = dict.fromkeys(("session_id", "round_id", "request_id", "tool_call_id"), uuid)
    usage = blm.TokenUsage(**dict.fromkeys(names_of(blm.TokenUsage), 2**64 - 1))
    ids_of_meta = {"event_id": uuid, "occurred_at": meta(1).occurred_at, "trace_id": uuid}
    encoder = line_encoder(layout, layouts.LAYOUTS[layout].min_line_bytes)
    for event in EXAMPLES[:12]:
        names = names_of(type(event))
        values = {key: value for key, value in ids.items() if key in names} | {"meta": blm.EventMeta(**ids_of_meta)}
        values |= {
            key: value
            for key, value in {"usage": usage, "latency_ms": 2**64 - 1, "error": "e" * 500}.items()
            if key in names
        }
        line = encoder.encode(
            QueuedRecord(dataclasses.replace(event, **values), {}, {"note": "x" * 900}, "info", 1, "T" * 900)
        )
        assert line is not None, event.kind
        assert parse_line(line).event.meta.event_id == uuid
    facts = STARTED_FIELDS | {"host": "h" * 64}
    assert encoder.encode_internal(blm.WorkerStarted(), facts)
    reasons = ("queue_full", "plain_gave_way", "block_timeout", "too_large", "shutdown", "storage", "closed")
    counts = {"emitted": 2**63, "written": 2**63, "dropped": dict.fromkeys(reasons, 2**63), "repaired_bytes": 2**40}
    assert encoder.encode_internal(blm.WorkerStopped(), counts)


@pytest.mark.parametrize("layout", layouts.LAYOUTS)
def test_files_begin_differently(layout):
    """The same text at the same time, written by two writers, differs within the first 1,024 bytes."""
    lines = [
        line_encoder(layout).encode(QueuedRecord("x" * 500, {}, {"note": "y" * 5_000}, "info", 1)) for _ in range(2)
    ]
    assert lines[0][:1024] != lines[1][:1024]
    assert len(lines[0]) > 1024


@pytest.mark.parametrize("layout", ["ecs", "otel"])
def test_what_a_layout_cannot_hold_leaves_a_marker(layout):
    """A value that is not plain data does not leave a gap: a marker stands in the line's place."""
    line = parse_line(line_encoder(layout).encode(QueuedRecord(TOOL, {}, {"bad": object}, "info", 1)))
    assert (line.text, line.level, line.seq) == ("chat.tool_called could not be encoded", "error", 1)
