from __future__ import annotations

import dataclasses
import json
import os
from datetime import datetime, timedelta, timezone

import dataclasses_json
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support import TESTS
from support.strategies import EVENT_CLASSES, EVENTS, EXAMPLES, JSON, ROUND_OF_AN_HOUR, UNKNOWN, meta

import bamboo_logmetrics as blm
from bamboo_logmetrics.errors import DecodeError
from bamboo_logmetrics.events import times

GOLDEN = os.path.join(TESTS, "golden", "tagged.jsonl")
with open(GOLDEN, encoding="utf-8") as _file:
    LINES = _file.read().split("\n")[:-1]

GOLDEN_EVENTS = [*EXAMPLES, ROUND_OF_AN_HOUR]

META = {"event_id": "e-1", "occurred_at": "2026-11-22T15:47:13.417696Z", "trace_id": None}
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
ROUND = {"meta": META, "round_id": "r", "session_id": "s", "status": "success", "usage": USAGE, "latency_ms": 5}
TOOL = {
    "meta": META, "tool_call_id": "c", "round_id": "r", "session_id": "s", "tool_name": "t",
    "latency_ms": 5, "success": True,
}  # fmt: skip


def tagged(body=None, variant="RoundCompleted", family="Chat", **changed):
    return {family: {variant: {**(ROUND if body is None else body), **changed}}}


def refused(data, pattern):
    """Assert that both readers refuse it with a DecodeError that says what."""
    with pytest.raises(DecodeError, match=pattern):
        blm.MetricsEvent.from_dict(data)
    with pytest.raises(DecodeError, match=pattern):
        blm.MetricsEvent.from_json(json.dumps(data))


# -- the form -------------------------------------------------------------------------------


def test_the_examples_of_the_design():
    """The two examples of DESIGN 2 are written byte for byte."""
    started = blm.SessionStarted(
        meta=blm.EventMeta(
            event_id="6d1f2a7e-3c5b-4e0e-9a41-0c2f4f1f9a77",
            occurred_at=datetime(2026, 11, 22, 15, 47, 13, 417_696, timezone.utc),
        ),
        session_id="session-123",
        model="gpt-4",
    )
    text = (
        '{"Chat":{"SessionStarted":{"meta":{"event_id":"6d1f2a7e-3c5b-4e0e-9a41-0c2f4f1f9a77",'
        '"occurred_at":"2026-11-22T15:47:13.417696Z","trace_id":null},"session_id":"session-123","model":"gpt-4"}}}'
    )
    assert started.to_json() == text
    assert blm.MetricsEvent.from_json(text) == started
    assert blm.WorkerStarted().to_json() == '{"System":"WorkerStarted"}'
    assert blm.MetricsEvent.from_json('{"System":"WorkerStarted"}') == blm.WorkerStarted()


def test_golden_file_holds_each_kind():
    """The golden file has a line for every kind and for unknown ones."""
    assert {event.kind for event in EXAMPLES} == {*EVENT_CLASSES, "chat.session_paused", "audit.key_rotated"}
    assert len(LINES) == len(GOLDEN_EVENTS)


@pytest.mark.parametrize(("event", "text"), list(zip(GOLDEN_EVENTS, LINES, strict=True)))
def test_golden(event, text):
    """Each event is written as the golden line byte for byte, and that line is read as the event."""
    assert event.to_json() == text
    assert event.to_dict() == json.loads(text)
    for given_text in (text, text.encode(), json.dumps(json.loads(text), indent=1)):
        read = blm.MetricsEvent.from_json(given_text)
        assert read == event
        assert type(read) is type(event)
    assert blm.MetricsEvent.from_dict(json.loads(text)) == event


@given(EVENTS | UNKNOWN)
@settings(deadline=None, max_examples=200)
def test_round_trip(event):
    """Any event is read back as itself, from text and from plain data, and its text is strict UTF-8 JSON."""
    text = event.to_json()
    assert blm.MetricsEvent.from_json(text) == event
    assert blm.MetricsEvent.from_json(text.encode()) == event
    assert blm.MetricsEvent.from_dict(event.to_dict()) == event
    assert json.loads(text, parse_constant=pytest.fail) == event.to_dict()


def test_metadata_is_what_config_gives():
    """Each field's metadata is what ``dataclasses_json.config()`` would have made of its encoder and decoder."""
    for cls in [blm.EventMeta, blm.TokenUsage, *EVENT_CLASSES.values()]:
        for item in dataclasses.fields(cls):
            rule = item.metadata["dataclasses_json"]
            assert item.metadata == dataclasses_json.config(**rule), (cls, item.name)
            assert "decoder" in rule or "exclude" in rule
    occurred_at = dataclasses.fields(blm.EventMeta)[1].metadata["dataclasses_json"]
    assert occurred_at == {"encoder": times.format_utc, "decoder": times.parse_utc}


def test_importing_the_package_imports_no_extra(run_python):
    """``import bamboo_logmetrics``, and emitting an event, imports neither dataclasses-json nor any extra."""
    code = (
        "import sys, structlog, pythonjsonlogger\n"  # structlog looks for rich by itself
        "before = set(sys.modules)\n"
        "import bamboo_logmetrics as blm\n"
        "log = blm.open_log('a.jsonl'); log.emit(blm.WorkerStarted()); log.close(); list(blm.read('a.jsonl'))\n"
        "extras = {'dataclasses_json', 'marshmallow', 'click', 'rich', 'zstandard', 'duckdb', 'httpx', 'opentelemetry'}\n"
        "print(sorted(extras & (set(sys.modules) - before)))\n"
        "blm.WorkerStarted().to_json()\n"
        "print('dataclasses_json' in sys.modules)\n"
    )
    ran = run_python(code)
    assert ran.stdout.split("\n") == ["[]", "True", ""], ran.stderr


def test_lone_surrogates_are_replaced():
    """UTF-8 cannot hold a lone surrogate: it is written as U+FFFD; a pair stays the character it stands for."""
    event = blm.StorageError(error="a\ud800b", event_type="\ud83d\ude00")
    assert blm.MetricsEvent.from_json(event.to_json()) == blm.StorageError(error="a\ufffdb", event_type="😀")
    event.to_json().encode()


# -- times ----------------------------------------------------------------------------------


@pytest.mark.parametrize("digits", range(10))
def test_times_with_any_number_of_digits(digits):
    """A time may have zero to nine digits; those beyond the sixth are cut."""
    fraction = f".{'123456789'[:digits]}" if digits else ""
    read = blm.MetricsEvent.from_dict(tagged(meta=META | {"occurred_at": f"2026-11-22T15:47:13{fraction}Z"}))
    micro = int("123456789"[:digits].ljust(6, "0")[:6])
    assert read.meta.occurred_at == datetime(2026, 11, 22, 15, 47, 13, micro, timezone.utc)
    assert read.to_dict()["Chat"]["RoundCompleted"]["meta"]["occurred_at"] == f"2026-11-22T15:47:13.{micro:06}Z"


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31)), st.integers(-1439, 1439), st.sampled_from("T t"))
@settings(deadline=None, max_examples=100)
@example(datetime(2026, 1, 1), 0, " ")
def test_times_with_any_offset(naive, minutes, between):
    """A time of any offset is read as its moment in UTC, and written with Z."""
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    for colon in ("", ":"):
        text = f"{naive.isoformat(between)}{sign}{hours:02}{colon}{rest:02}"
        assert times.parse_utc(text) == moment
        assert times.parse_utc(text).tzinfo is timezone.utc
    written = times.format_utc(times.parse_utc(text))
    assert len(written) == 27
    assert times.parse_utc(written) == times.parse_utc(written.lower()) == moment


@pytest.mark.parametrize(
    "text",
    [
        "", "now", "2026-11-22", "2026-11-22T15:47:13", "2026-11-22T15:47:13.Z", "2026-11-22T15:47:13.1234567890Z",
        "2026-13-22T15:47:13Z", "2026-02-30T15:47:13Z", "2026-11-22T25:47:13Z", "2026-11-22T15:47:13+5:30",
        "2026-11-22T15:47:13+24:00", "2026-11-22T15:47:13+01:60", "2026-11-22T15:47:13Z\n", " 2026-11-22T15:47:13Z",
        "٢٠٢٦-11-22T15:47:13Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "0000-01-01T00:00:00Z",
        1_700_000_000, 17.5, True, ["2026-11-22T15:47:13Z"], {"secs": 1},
    ],
)  # fmt: skip
def test_other_texts_are_no_time(text):
    """Any other text, an impossible date, and a moment outside the years are a DecodeError."""
    refused(tagged(meta=META | {"occurred_at": text}), "^EventMeta: ")


def test_format_ns_cuts_to_microseconds():
    """Nanoseconds since the epoch are written in the same form, before 1970 too."""
    assert times.format_ns(1_795_362_433_417_696_999) == "2026-11-22T15:47:13.417696Z"
    assert times.format_ns(0) == "1970-01-01T00:00:00.000000Z"
    assert times.format_ns(-1) == "1969-12-31T23:59:59.999999Z"


# -- what newer and older writers say -------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "variant", "body"),
    [
        ("Chat", "SessionCompleted", {"meta": META, "session_id": "s"}),
        ("Chat", "RoundCompleted", ROUND),
        ("Forward", "RequestCompleted", {"meta": META, "request_id": "q", "status_code": 500, "latency_ms": 1}),
    ],
)
def test_failed_is_read_as_error(family, variant, body):
    """The status ``failed`` of the Rust system is understood as ``error``."""
    event = blm.MetricsEvent.from_dict(tagged(body, variant, family, status="failed"))
    assert event.status.value == "error"
    assert event.to_dict()[family][variant]["status"] == "error"


def test_unknown_keys_are_kept_and_written_back():
    """Keys that a newer writer added, at the top, in meta and in usage, come out again behind the known ones."""
    data = tagged(
        meta=META | {"host": "h"}, usage=USAGE | {"audio_tokens": 2**70}, error=None, later={"a": [None, "é"]}
    )
    event = blm.MetricsEvent.from_dict(data)
    assert event == blm.MetricsEvent.from_dict(tagged())
    assert json.dumps(event.to_dict()) == json.dumps(data)
    assert blm.MetricsEvent.from_json(event.to_json()).to_dict() == data
    assert (event.extra, event.meta.extra) == ('{"later":{"a":[null,"é"]}}', '{"host":"h"}')


@given(st.sampled_from(EXAMPLES[:16]), st.dictionaries(st.text(min_size=1), JSON, min_size=1, max_size=3))
@settings(deadline=None, max_examples=100)
def test_any_unknown_keys_round_trip(event, more):
    """Whatever stands under unknown keys is written back as it came, and is no part of the event's value."""
    ((family, inner),) = event.to_dict().items()
    variant, body = (inner, {}) if isinstance(inner, str) else next(iter(inner.items()))
    more = {key: value for key, value in more.items() if not hasattr(event, key)}
    data = {family: {variant: {**body, **more}}}
    read = blm.MetricsEvent.from_json(json.dumps(data))
    assert read == event
    assert blm.MetricsEvent.from_json(read.to_json()).extra == read.extra
    assert read.to_dict() == (data if body or more else event.to_dict())


@pytest.mark.parametrize("body", [None, {}])
def test_unit_variants_may_hold_null_or_nothing(body):
    """A unit variant is read bare, with null and with an empty object, and written bare."""
    event = blm.MetricsEvent.from_dict({"System": {"WorkerStopped": body}})
    assert event == blm.WorkerStopped()
    assert event.to_dict() == {"System": "WorkerStopped"}


@pytest.mark.parametrize(
    ("data", "kind", "payload"),
    [
        ({"Chat": {"SessionPaused": {"a": [1, None]}}}, "chat.session_paused", '{"a":[1,null]}'),
        ({"Chat": "SessionPaused"}, "chat.session_paused", None),
        ({"Audit": {"KeyRotated": None}}, "audit.key_rotated", "null"),
        ({"Audit": {"KeyRotated": 5}}, "audit.key_rotated", "5"),
        ({"Audit": {"KeyRotated": {}}}, "audit.key_rotated", "{}"),
        ({"BatchJob": {"v2": "é"}}, "batch_job.v2", '"é"'),
    ],
)
def test_unknown_kinds_are_kept_as_they_came(data, kind, payload):
    """An unknown variant or family reads as UnknownEvent with its dotted kind, and is written back the same."""
    event = blm.MetricsEvent.from_json(json.dumps(data))
    assert isinstance(event, blm.UnknownEvent)
    assert (event.kind, event.payload) == (kind, payload)
    assert event.to_dict() == data
    assert blm.MetricsEvent.from_dict(data) == event


# -- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ROUND)
@pytest.mark.parametrize("fault", ["is missing", "must not be null"])
def test_required_fields(name, fault):
    """A required field that is missing or null is refused by its name, meta and its parts too."""
    body = {key: value for key, value in ROUND.items() if key != name}
    refused(tagged(body if fault == "is missing" else {**ROUND, name: None}), rf"^RoundCompleted\.{name} {fault}")


@pytest.mark.parametrize("name", ["event_id", "occurred_at"])
def test_required_fields_of_meta(name):
    """A meta that was read is complete: nothing of it is made up on reading."""
    refused(tagged(meta={k: v for k, v in META.items() if k != name}), rf"^EventMeta\.{name} is missing")
    refused(tagged(meta=META | {name: None}), rf"^EventMeta\.{name} must not be null")


def test_optional_fields_may_be_missing_or_null():
    """Absent and null are the same for an optional field."""
    meta_only = {key: META[key] for key in ("event_id", "occurred_at")}
    assert blm.MetricsEvent.from_dict(tagged(meta=meta_only)) == blm.MetricsEvent.from_dict(tagged(error=None))
    nulls = dict.fromkeys(["cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "reasoning_tokens"])
    assert blm.MetricsEvent.from_dict(tagged(usage=USAGE | nulls)) == blm.MetricsEvent.from_dict(tagged())
    body = {"meta": META, "request_id": "q", "status_code": 200, "status": "success", "latency_ms": 1}
    for more in ({}, {"usage": None, "error": None}):
        event = blm.MetricsEvent.from_dict(tagged(body | more, "RequestCompleted", "Forward"))
        assert (event.usage, event.error) == (None, None)
        assert event.to_dict()["Forward"]["RequestCompleted"]["usage"] is None


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"latency_ms": "5"}, "RoundCompleted.latency_ms"), ({"latency_ms": True}, "RoundCompleted.latency_ms"),
        ({"latency_ms": -1}, "RoundCompleted.latency_ms"), ({"latency_ms": 2**64}, "RoundCompleted.latency_ms"),
        ({"round_id": 5}, "RoundCompleted.round_id"), ({"session_id": ["s"]}, "RoundCompleted.session_id"),
        ({"error": 5}, "RoundCompleted.error"), ({"error": False}, "RoundCompleted.error"),
        ({"status": "done"}, "RoundCompleted.status"), ({"status": 1}, "RoundCompleted.status"),
        ({"status": {"x": 1}}, "RoundCompleted.status"), ({"usage": []}, "TokenUsage must be an object"),
        ({"usage": "3"}, "TokenUsage must be an object"), ({"meta": "e-1"}, "EventMeta must be an object"),
        ({"usage": USAGE | {"prompt_tokens": "5"}}, "TokenUsage.prompt_tokens"),
        ({"usage": USAGE | {"prompt_tokens": 5.9}}, "TokenUsage.prompt_tokens"),
        ({"usage": USAGE | {"prompt_tokens": 5.0}}, "TokenUsage.prompt_tokens"),
        ({"usage": USAGE | {"prompt_tokens": True}}, "TokenUsage.prompt_tokens"),
        ({"usage": USAGE | {"reasoning_tokens": "5"}}, "TokenUsage.reasoning_tokens"),
        ({"usage": {"prompt_tokens": 1}}, "TokenUsage.completion_tokens is missing"),
        ({"meta": META | {"event_id": 5}}, "EventMeta.event_id"), ({"meta": META | {"event_id": ""}}, "EventMeta.event_id"),
        ({"meta": META | {"trace_id": 5}}, "EventMeta.trace_id"),
    ],
)  # fmt: skip
def test_values_are_not_coerced(changed, where):
    """A value of another type is refused by its name, not turned into the right type."""
    refused(tagged(**changed), where.replace(".", r"\."))


@pytest.mark.parametrize("value", ["false", "true", 0, 1, None, "x"])
def test_flags_are_not_coerced(value):
    """Only true and false are flags."""
    refused(tagged(TOOL, "ToolCalled", success=value), r"^ToolCalled(: ToolCalled)?\.success must")


@pytest.mark.parametrize("value", [5.0, "200", True, 65_536, -1])
def test_small_counts_are_not_coerced(value):
    """A status code is a whole number of 16 bits."""
    body = {"meta": META, "request_id": "q", "status": "success", "latency_ms": 1, "status_code": value}
    refused(tagged(body, "RequestCompleted", "Forward"), r"RequestCompleted\.status_code must be")


@pytest.mark.parametrize(
    "data",
    [
        None, 5, "WorkerStarted", [], [{"System": "WorkerStarted"}], {}, {"Chat": None}, {"Chat": []}, {"Chat": 5},
        {"Chat": {}}, {"System": "WorkerStarted", "Chat": "X"}, {"Chat": {"A": 1, "B": 2}},
    ],
)  # fmt: skip
def test_anything_but_one_tag_in_another(data):
    """No tag, two tags, or something else than tags is refused with the rule."""
    refused(data, r"^(an event is \{family: \{variant: fields\}\}|\w+ holds \{variant: fields\})")


@pytest.mark.parametrize("body", [5, "x", [], [1], True])
def test_fields_are_an_object(body):
    """A value under a known variant that is not an object is refused."""
    refused({"Chat": {"SessionStarted": body}}, "^SessionStarted must be an object")


def test_a_variant_in_the_wrong_case_is_refused():
    """The tags of a known kind in another case are refused: their line would pass for that kind's."""
    refused({"system": "worker_started"}, "got 'system.worker_started'")


@pytest.mark.parametrize(
    "text",
    ["", "{", "nonsense", "{'System':'WorkerStarted'}", '{"System":"WorkerStarted"} x', '{"A":{"B":NaN}}',
     '{"A":{"B":{"c":-Infinity}}}', b"\xff\xfe\xfd", b'{"System":"\xff"}', "1" * 5000],
)  # fmt: skip
def test_not_json(text):
    """A text that is not strict JSON in UTF-8 is refused as such, NaN and Infinity too."""
    with pytest.raises(DecodeError, match="^not JSON: "):
        blm.MetricsEvent.from_json(text)


@pytest.mark.parametrize(
    "data",
    [
        {"Chat": {"SessionPaused": {"a": float("nan")}}}, {"System": {"WorkerStarted": {"a": float("inf")}}},
        {"Chat": {"SessionPaused": {"a": {1, 2}}}}, {"Chat": {"SessionPaused": {(1, 2): 3}}}, {5: {"X": 1}},
        tagged(meta=META | {"more": object()}),
    ],
)  # fmt: skip
def test_data_that_json_cannot_hold(data):
    """``from_dict`` refuses data that could not be written back as JSON."""
    with pytest.raises(DecodeError):
        blm.MetricsEvent.from_dict(data)


@pytest.mark.parametrize("text", ['{"A":{"B":1e400}}', '{"System":{"WorkerStarted":{"more":[1e400]}}}'])
def test_numbers_beyond_a_float(text):
    """A number too large for a float, under keys that are kept, is refused rather than written back as Infinity."""
    with pytest.raises(DecodeError, match="not JSON"):
        blm.MetricsEvent.from_json(text)


@pytest.mark.parametrize("depth", [100, 400, 2_000, 100_000])
@pytest.mark.parametrize("tags", [[], ["Chat"], ["Chat", "X"], ["System", "WorkerStarted", "more"]], ids=len)
def test_deep_nesting(tags, depth):
    """However deep the nesting is, it is read and can be written back, or it is refused with a DecodeError."""
    text, data = "[" * depth + "]" * depth, []
    for _ in range(depth - 1):
        data = [data]
    for tag in reversed(tags):
        text, data = f'{{"{tag}":{text}}}', {tag: data}
    for read in (lambda: blm.MetricsEvent.from_json(text), lambda: blm.MetricsEvent.from_dict(data)):
        try:
            event = read()
        except DecodeError:
            assert len(tags) < 2 or depth > 400
        else:
            assert len(tags) >= 2
            assert blm.MetricsEvent.from_json(event.to_json()) == event


def test_meta_is_not_shared_with_what_was_given():
    """Changing the data an event was read from, or what ``to_dict`` gave, does not change the event."""
    data = tagged(more=[1])
    event = blm.MetricsEvent.from_dict(data)
    before = event.to_json()
    data["Chat"]["RoundCompleted"]["more"].append(2)
    event.to_dict()["Chat"]["RoundCompleted"]["meta"]["event_id"] = "other"
    assert event.to_json() == before
    assert event.meta == meta(0).__class__(event_id="e-1", occurred_at=event.meta.occurred_at)
