from __future__ import annotations

import base64
import dataclasses
import json
from datetime import datetime, timezone

import pytest
from hypothesis import given, settings
from support.flats import FIXED, FLATS, TRACE_ID, fields, written
from support.records import AT, ROUND, TOOL
from support.strategies import meta

import bamboo_logmetrics as blm
from bamboo_logmetrics.format import flatten, parse
from bamboo_logmetrics.format.layouts import otel
from bamboo_logmetrics.format.layouts.mapping import ROWS
from bamboo_logmetrics.format.strict_json import encode

json_format = pytest.importorskip("google.protobuf.json_format")
LogRecord = pytest.importorskip("opentelemetry.proto.logs.v1.logs_pb2").LogRecord

ATTRIBUTES = fields("otel-attributes.txt")
VALUE_OF = {
    "string": "stringValue", "int": "intValue", "double": "doubleValue", "boolean": "boolValue", "strings": "arrayValue"
}  # fmt: skip


def of(event, bound=None, **more):
    return written("otel", flatten.expand(event, bound or {}, seq=1, **AT, **more))


def plain(text, **bound):
    return written("otel", flatten.expand_plain(text, bound, level="info", seq=1, **AT))


def values(data):
    """Return the attributes by name."""
    attributes = {pair["key"]: pair["value"] for pair in data["attributes"]}
    assert len(attributes) == len(data["attributes"])
    return attributes


def parsed(data):
    """Return a line's object as protobuf reads it, by way of its binary form."""
    trace_id = data.get(
        "traceId"
    )  # hex in OTLP/JSON, base64 (URL-safe, which it decodes on each Python) in protobuf's own JSON
    given_id = {"traceId": base64.urlsafe_b64encode(bytes.fromhex(trace_id)).decode()} if trace_id else {}
    message = json_format.ParseDict(data | given_id, LogRecord())
    return LogRecord.FromString(message.SerializeToString())


def content(value):
    """Return the content of a protobuf AnyValue."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [content(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: content(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, kind)


def held(value):
    """Return a native value as OTLP holds it: beyond signed 64 bits the nearest double."""
    if isinstance(value, list):
        return [held(item) for item in value]
    if isinstance(value, dict):
        return {key: held(item) for key, item in value.items()}
    return float(value) if type(value) is int and value >= 2**63 else value


def test_protobuf_reads_an_event():
    """opentelemetry-proto reads a line, and finds everything in its place."""
    event = dataclasses.replace(ROUND, meta=meta(5, TRACE_ID), status="error", error="e")
    read = parsed(of(event, {"model": "m", "tags": ["a", 1, None, 0.5, {"b": True}]}, exception="T"))
    assert read.time_unix_nano == 1_795_362_433_417_695_000
    assert (read.severity_number, read.severity_text) == (17, "error")
    assert read.event_name == "bamboo.chat.round_completed"
    assert read.body.string_value == "chat.round_completed"
    assert read.trace_id.hex() == TRACE_ID
    assert {pair.key: content(pair.value) for pair in read.attributes} == {
        "log.record.uid": f"{AT['writer']}-1", "bamboo.v": 1, "bamboo.writer": AT["writer"], "bamboo.seq": 1,
        "bamboo.event_id": event.meta.event_id, "bamboo.round.id": "r-1", "gen_ai.conversation.id": "s-1",
        "bamboo.round.status": "error", "gen_ai.usage.input_tokens": 1234, "gen_ai.usage.output_tokens": 567,
        "bamboo.usage.total_tokens": 1801, "gen_ai.usage.cache_read.input_tokens": 1000,
        "gen_ai.usage.cache_write.input_tokens": 0, "gen_ai.usage.reasoning.output_tokens": 64,
        "bamboo.duration_ms": 2345, "exception.message": "e", "gen_ai.request.model": "m",
        "bamboo.bound.tags": ["a", 1, None, 0.5, {"b": True}], "exception.stacktrace": "T",
        "gen_ai.operation.name": "chat", "error.type": "error",
    }  # fmt: skip


def test_the_tokens_of_a_call_stand_once_under_gen_ai():
    """A request within a round has its usage under the package's own names, since the round has it under gen_ai."""
    usage = blm.TokenUsage(prompt_tokens=5, completion_tokens=3, total_tokens=8, reasoning_tokens=1)
    request = blm.RequestCompleted(request_id="q", status_code=200, status="success", latency_ms=9, usage=usage)
    alone, within = values(of(request)), values(of(request, {"round_id": "r-1"}))
    own = {"input_tokens": 5, "output_tokens": 3, "reasoning.output_tokens": 1}
    assert {name: int(alone[f"gen_ai.usage.{name}"]["intValue"]) for name in own} == own
    assert {name: int(within[f"bamboo.usage.{name}"]["intValue"]) for name in own} == own
    assert not [name for name in within if name.startswith("gen_ai.usage.")]
    assert otel.OTEL.read_back(of(request, {"round_id": "r-1"}))["prompt_tokens"] == 5


@pytest.mark.parametrize(
    ("bound", "expected"),
    [
        ({"time_to_first_token_ms": 250, "stop_reason": "end_turn"}, ({"doubleValue": 0.25}, ["end_turn"])),
        ({"time_to_first_token_ms": 0.5}, ({"doubleValue": 0.0005}, None)),
        ({"time_to_first_token_ms": True, "stop_reason": 5}, (None, None)),
    ],
)
def test_what_only_otel_has_of_a_response(bound, expected):
    """The time to the first chunk is in seconds, and the reason of the stop is a list, as the conventions say."""
    found = values(of(ROUND, bound))
    reasons = found.get("gen_ai.response.finish_reasons")
    reasons = reasons and [item["stringValue"] for item in reasons["arrayValue"]["values"]]
    assert (found.get("gen_ai.response.time_to_first_chunk"), reasons) == expected


def test_names_of_the_generation_before_are_read():
    """A line with the names of OpenTelemetry's conventions 1.41 reads as one with today's."""
    data = of(ROUND)
    old = json.loads(json.dumps(data).replace("gen_ai.usage.cache_write.", "gen_ai.usage.cache_creation."))
    assert old != data
    assert otel.OTEL.read_back(old) == otel.OTEL.read_back(data)


def test_protobuf_reads_a_plain_line():
    """A plain line is a log record without an event name."""
    read = parsed(plain("größer", session_id="s", entries=2**63))
    assert (read.event_name, read.body.string_value, read.severity_number) == ("", "größer", 9)
    attributes = {pair.key: content(pair.value) for pair in read.attributes}
    assert attributes["bamboo.plain"] is True
    assert attributes["gen_ai.conversation.id"] == "s"
    assert attributes["bamboo.bound.entries"] == 2.0**63


@pytest.mark.parametrize("flat", FIXED, ids=range(len(FIXED)))
def test_protobuf_reads_the_golden_lines(flat):
    """opentelemetry-proto reads each golden line, with every value that was bound."""
    check_by_protobuf(flat)


@given(FLATS)
@settings(deadline=None, max_examples=300)
def test_protobuf_reads_anything(flat):
    """opentelemetry-proto reads the line of any record, with every value in the place that the table says."""
    check_by_protobuf(flat)


def check_by_protobuf(flat):
    data, native = written("otel", flat), json.loads(encode(flat))
    read = parsed(data)
    attributes = {pair.key: content(pair.value) for pair in read.attributes}
    for key, value in native.items():
        if key in {"timestamp", "level", "event"} or (key == "trace_id" and "traceId" in data):
            continue
        places = [name for name, native_key in otel.KEYS.items() if native_key == key and name in attributes]
        name = places[0] if places and f"bamboo.bound.{key}" not in attributes else f"bamboo.bound.{key}"
        assert attributes[name] == held(value), key
        assert type(attributes[name]) is type(held(value)), key
    assert read.severity_text == native["level"]
    assert read.body.string_value == native["event"]


def test_a_value_nested_as_deep_as_it_may_be():
    """A bound value of 20 lists or mappings in each other is within protobuf's limits."""
    value = 0
    for number in range(20):
        value = [value] if number % 2 else {"a": value}
    read = parsed(of(TOOL, {"deep": value}))
    assert {pair.key: content(pair.value) for pair in read.attributes}["bamboo.bound.deep"] == value


# -- names and types ------------------------------------------------------------------------


@given(FLATS)
@settings(deadline=None, max_examples=200)
def test_names_and_types_of_anything(flat):
    """Every attribute is one of OpenTelemetry's that we use, of its type, or our own."""
    for name, value in values(written("otel", flat)).items():
        if not name.startswith("bamboo."):
            assert list(value) == [VALUE_OF[ATTRIBUTES[name]]], name


def test_the_list_of_attributes():
    """The list has each attribute of the table that is not our own, of the same type."""
    types = {"long": "int", "integer": "int", "boolean": "boolean"}
    for row in ROWS:
        if not row.otel.startswith("bamboo."):
            assert ATTRIBUTES[row.otel] == types.get(row.type.elastic, "string"), row.otel


@pytest.mark.parametrize(
    ("value", "written_as"),
    [
        ("a", {"stringValue": "a"}), (True, {"boolValue": True}), (0, {"intValue": "0"}),
        (2**63 - 1, {"intValue": "9223372036854775807"}), (-(2**63), {"intValue": "-9223372036854775808"}),
        (2**63, {"doubleValue": 2**63}), (2**64 - 1, {"doubleValue": 2**64 - 1}), (2**64, {"stringValue": str(2**64)}),
        (1.0, {"doubleValue": 1.0}), (float("nan"), {}), (float("-inf"), {}), (None, {}), ([], {"arrayValue": {"values": []}}),
        ({"a": [None]}, {"kvlistValue": {"values": [{"key": "a", "value": {"arrayValue": {"values": [{}]}}}]}}),
    ],
    ids=range(14),
)  # fmt: skip
def test_values(value, written_as):
    """Every value has its type; null and a number that is not finite are empty."""
    any_value = otel.any_value(value)
    assert any_value == written_as
    assert [type(item) for item in any_value.values()] == [type(item) for item in written_as.values()]


def test_what_is_no_plain_data():
    """An object is no value of a log record."""
    with pytest.raises(TypeError, match="^not plain data: object$"):
        otel.any_value(object())


# -- the header -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "number"), [("debug", 5), ("info", 9), ("warning", 13), ("error", 17), ("critical", 21), ("odd", 0)]
)
def test_severities(level, number):
    """Each level has its severity number; the level itself is the text."""
    data = written("otel", flatten.expand_plain("x", {}, level=level, seq=1, **AT))
    assert (data["severityNumber"], data["severityText"]) == (number, level)


@pytest.mark.parametrize(
    ("moment", "nanoseconds"),
    [
        (datetime(1970, 1, 1, tzinfo=timezone.utc), "0"),
        (datetime(1970, 1, 1, 0, 0, 0, 1, timezone.utc), "1000"),
        (datetime(2026, 11, 22, 15, 47, 13, 417_696, timezone.utc), "1795362433417696000"),
        (datetime(2262, 4, 11, 23, 47, 16, 854_775, timezone.utc), "9223372036854775000"),
    ],
)
def test_times_to_the_microsecond(moment, nanoseconds):
    """The time of an event is exact to the microsecond."""
    data = of(dataclasses.replace(TOOL, meta=blm.EventMeta(occurred_at=moment)))
    assert data["timeUnixNano"] == nanoseconds
    assert otel.TIMESTAMP not in values(data)


@pytest.mark.parametrize(
    "timestamp",
    ["1969-12-31T23:59:59.999999Z", "2262-04-11T23:47:16.854776Z", "0001-01-01T00:00:00.000000Z", "2026-11-22T15:47:16Z", ""],
)  # fmt: skip
def test_times_that_otlp_cannot_hold(timestamp):
    """A time before 1970 or after 2262, or one that is none, is unknown to OTLP and stands in an attribute."""
    flat = flatten.expand_plain("x", {}, level="info", timestamp=timestamp)
    data = written("otel", flat)
    assert data["timeUnixNano"] == "0"
    assert values(data)[otel.TIMESTAMP] == {"stringValue": timestamp}
    assert otel.OTEL.read_back(data)["timestamp"] == timestamp


@pytest.mark.parametrize("trace_id", [TRACE_ID, TRACE_ID.upper(), "0" * 31 + "1"])
def test_trace_ids(trace_id):
    """A trace id of 32 hex digits is OpenTelemetry's own."""
    data = of(dataclasses.replace(TOOL, meta=meta(1, trace_id)))
    assert data["traceId"] == trace_id
    assert "bamboo.trace_id" not in values(data)
    assert plain("x", trace_id=trace_id)["traceId"] == trace_id


@pytest.mark.parametrize("trace_id", ["0" * 32, TRACE_ID + "0", TRACE_ID[1:], "g" * 32, "٣" * 32, "req-1", ""])
def test_other_trace_ids(trace_id):
    """Any other trace id is an attribute."""
    data = of(dataclasses.replace(TOOL, meta=meta(1, trace_id)))
    assert "traceId" not in data
    assert values(data)["bamboo.trace_id"] == {"stringValue": trace_id}
    assert "traceId" not in plain("x", trace_id=5)


def test_who_wrote_it_comes_first():
    """The id of the line stands first among the attributes, and all of them before the text."""
    data = plain("x" * 5_000, note=1)
    assert [pair["key"] for pair in data["attributes"][:4]] == [
        "log.record.uid",
        "bamboo.v",
        "bamboo.writer",
        "bamboo.seq",
    ]
    assert list(data)[-2:] == ["attributes", "body"]
    assert "log.record.uid" not in values(written("otel", flatten.expand(TOOL, {})))


# -- computed attributes -----------------------------------------------------------


def request(endpoint, **fields):
    return blm.RequestStarted(
        meta=meta(1), request_id="q", endpoint=endpoint, model="m", **{"is_stream": False, **fields}
    )


@pytest.mark.parametrize(
    ("endpoint", "operation", "api"),
    [
        ("openai.chat_completions", "chat", "chat_completions"),
        ("chat_completions", "chat", "chat_completions"),
        ("/v1/chat/completions", "chat", "chat_completions"),
        ("https://api.openai.com/v1/chat/completions?api-version=1", "chat", "chat_completions"),
        ("/v1/responses/", "chat", "responses"),
        ("openai.responses", "chat", "responses"),
        ("anthropic.messages", "chat", None),
        ("/v1/messages", "chat", None),
        ("openai.embeddings", "embeddings", None),
        ("/v1/threads/t/messages", None, None),
        ("/v1/completions", None, None),
        ("my_responses", None, None),
        ("", None, None),
    ],
)
def test_the_operation_of_an_endpoint(endpoint, operation, api):
    """The operation and the API follow from a known endpoint, and are not guessed for another one."""
    attributes = values(of(request(endpoint)))
    assert attributes.get("gen_ai.operation.name") == (operation and {"stringValue": operation})
    assert attributes.get("openai.api.type") == (api and {"stringValue": api})
    assert "gen_ai.provider.name" not in attributes
    assert "openai.api.type" not in values(plain("x", endpoint=endpoint))


def test_a_provider_that_is_bound():
    """The provider is the one that was bound, on any line."""
    assert values(of(request("x"), {"provider": "groq"}))["gen_ai.provider.name"] == {"stringValue": "groq"}
    assert values(plain("x", provider="groq"))["gen_ai.provider.name"] == {"stringValue": "groq"}


def test_streams():
    """OpenTelemetry's attribute for streams is there only when it is one; ours says both."""
    attributes = [values(of(request("x", is_stream=stream))) for stream in (True, False)]
    assert [item.get("gen_ai.request.stream") for item in attributes] == [{"boolValue": True}, None]
    assert [item["bamboo.request.stream"] for item in attributes] == [{"boolValue": True}, {"boolValue": False}]


def test_the_answer_of_a_request():
    """A status code is there when an answer came."""
    event = blm.RequestCompleted(request_id="q", status_code=503, status="error", latency_ms=1)
    attributes = values(of(event))
    assert attributes["http.response.status_code"] == {"intValue": "503"}
    assert attributes["error.type"] == {"stringValue": "503"}
    attributes = values(
        of(dataclasses.replace(event, status_code=0, status="timeout"), {"endpoint": "openai.responses"})
    )
    assert "http.response.status_code" not in attributes
    assert attributes["bamboo.bound.status_code"] == {"intValue": "0"}
    assert attributes["error.type"] == {"stringValue": "timeout"}
    assert attributes["gen_ai.operation.name"] == {"stringValue": "chat"}


def test_numbers_that_do_not_fit():
    """A field whose number is beyond its attribute's type stands in the open-ended place, exact in the line."""
    data = of(dataclasses.replace(TOOL, latency_ms=2**64 - 1))
    assert "bamboo.duration_ms" not in values(data)
    assert '{"key":"bamboo.bound.latency_ms","value":{"doubleValue":18446744073709551615}}' in encode(data).decode()
    assert parse.parse_line(encode(data)).event == dataclasses.replace(TOOL, latency_ms=2**64 - 1)
