from __future__ import annotations

import inspect
import json
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from support.destinations import destination, entries, entry, timed, too_far_behind, too_old
from support.flats import BESIDE, FIXED, FLATS, TRACE_ID, exact
from support.shiplog import ship
from support.toy_destination import Toy, ToyServer

import bamboo_logmetrics as blm
from bamboo_logmetrics.cli import ship_command
from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.format.layouts import LAYOUTS
from bamboo_logmetrics.format.strict_json import encode
from bamboo_logmetrics.ship import Credentials, GivenUpError, Shipped, Shipper, destinations
from bamboo_logmetrics.ship.destinations import (
    DESTINATIONS,
    RESERVED,
    DestinationOptions,
    option,
    register_destination,
)
from bamboo_logmetrics.ship.entries import entry_of
from bamboo_logmetrics.ship.urls import parse_url


@pytest.fixture(params=["native", "ecs", "otel"])
def layout(request):
    return request.param


NUMBERED = [flat for flat in FIXED if "writer" in flat]
HEADER = {"timestamp", "level", "event", "v", "writer", "seq", "plain"}


def nanoseconds(timestamp):
    """Return a timestamp as nanoseconds since the epoch, reckoned in another way than the package does."""
    moment = datetime.strptime(timestamp, "%Y-%m-%dT%H:%M:%S.%f%z")
    return (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1) * 1000


# -- which -------------------------------------------------------------------------------


def test_kinds():
    """Each kind is made by its name, and says where it takes requests."""
    made = [destination(kind) for kind in DESTINATIONS]
    assert [item.name for item in made] == list(DESTINATIONS)
    assert [item.path for item in made] == ["/loki/api/v1/push", "/logs-bamboo.events-default/_bulk", "/v1/logs"]
    types = ["application/json", "application/x-ndjson", "application/x-protobuf"]
    assert [item.content_type for item in made] == types
    assert destination("elasticsearch", data_stream="logs-a-b").path == "/logs-a-b/_bulk"


@pytest.mark.parametrize("data_stream", ["a/b", "a?x=1", "A", "", "-a", ".."])
def test_a_bad_data_stream(data_stream):
    """A text that cannot be the name of a data stream is an error of the configuration."""
    with pytest.raises(ConfigError, match="must be lower-case letters"):
        destination("elasticsearch", data_stream=data_stream)


def test_options_of_a_destination():
    """None stands for the default of an option, and an option that the destination does not have is an error."""
    assert destination("elasticsearch", data_stream=None).options.data_stream == "logs-bamboo.events-default"
    with pytest.raises(ConfigError, match="^'data_stream' is no option of 'loki'; its options: none$"):
        destination("loki", data_stream="logs-a-b")
    with pytest.raises(ConfigError, match="^'index' is no option of 'elasticsearch'; its options: data_stream$"):
        destination("elasticsearch", index="x")


def test_an_unknown_destination():
    """An unknown name is an error that lists the known ones."""
    with pytest.raises(ConfigError, match="^to='splunk' must be one of loki, elasticsearch, otlp$"):
        destination("splunk")


# -- a destination of an application -------------------------------------------------------


@pytest.fixture
def registered(stub):
    """Register the toy destination, and have the server take its requests."""
    register_destination(Toy)
    stub.kinds.append(ToyServer)
    yield stub
    del destinations._destinations[Toy.name]


def test_a_registered_destination(registered, hand_log):
    """A shipper delivers through a destination of an application, with its signature, its option and its answers."""
    hand_log.write(5)
    registered.poison = lambda identity: "full" if identity[1] == 3 else None
    credentials = Credentials(token=ToyServer.key)
    assert ship(hand_log, registered, "toy", access=credentials, room="attic", give_up_after=0) == Shipped(4, 1, 0)
    assert [seq for _, seq in registered.stored] == [1, 2, 4, 5]
    [request] = registered.requests
    assert request.path == "/rooms/attic/lines"
    assert request.headers["Content-Type"] == "text/plain"
    assert "Authorization" not in request.headers


def test_a_wrong_signature(registered, hand_log):
    """A request that the destination signs with another key is not taken, and its line waits."""
    hand_log.write(1)
    with pytest.raises(GivenUpError, match="wrong signature .authentication failed: check BAMBOO_LOGMETRICS_SHIP_USER"):
        ship(hand_log, registered, "toy", access=Credentials(token="other"), give_up_after=0)
    assert registered.stored == []


def test_registered_twice(registered):
    """The same class may be registered again; another one of its name or with one of its options may not."""

    class Other(Toy):
        name = "other"

    class Impostor(Toy):
        Options = DestinationOptions

    register_destination(Toy)
    with pytest.raises(ValueError, match="^'toy' has an option 'room' already; choose another name$"):
        register_destination(Other)
    with pytest.raises(ValueError, match="^a destination named 'toy' is registered already; choose another name$"):
        register_destination(Impostor)


def test_names_of_the_shipper_itself():
    """An option must not have the name of an argument of Shipper or of an option of the command."""

    @dataclass(frozen=True, kw_only=True)
    class Options(DestinationOptions):
        env: str = option("", "Nothing.")

    class Bad(Toy):
        name = "bad"
        Options = None

    Bad.Options = Options
    with pytest.raises(ValueError, match="'env' is a name of the shipper itself"):
        register_destination(Bad)
    assert "bad" not in DESTINATIONS
    arguments = set(inspect.signature(Shipper.__init__).parameters)
    options = {parameter.name for parameter in ship_command.ship.params}
    flags = {flag.lstrip("-").replace("-", "_") for parameter in ship_command.ship.params for flag in parameter.opts}
    assert arguments | options | flags | {"help"} == RESERVED


# -- Loki --------------------------------------------------------------------------------


def pushed(body):
    """Return (labels, time, line, metadata) of each entry of a push."""
    streams = json.loads(body)["streams"]
    labels = [tuple(sorted(stream["stream"].items())) for stream in streams]
    assert len(set(labels)) == len(labels)
    return [(stream["stream"], *value) for stream in streams for value in stream["values"]]


@pytest.mark.parametrize("flat", NUMBERED, ids=str)
def test_loki(flat, layout):
    """Of each kind of line: the four labels, the time to the nanosecond, the line as it is, and the ids as texts."""
    made = entry(flat, layout)
    [(labels, time, line, metadata)] = pushed(destination("loki", env="test").encode([made]))
    service, env = flat.get("service_name"), flat.get("env")
    assert labels == {
        "service_name": service if isinstance(service, str) else "agent",
        "env": env if isinstance(env, str) else "test",
        "family": "plain" if "plain" in flat else flat["event"].partition(".")[0],
        "level": flat["level"],
    }
    assert time == str(nanoseconds(flat["timestamp"]))
    assert line.encode() == made.line
    ids = ("event_id", "trace_id", "session_id", "round_id", "tool_call_id", "request_id")
    expected = {name: flat[name] for name in ids if flat.get(name) is not None}
    assert metadata == {"writer": flat["writer"], "seq": str(flat["seq"]), **expected}


def test_loki_has_few_labels():
    """An environment that nobody gave is no label, and neither is what happens to be bound."""
    [(labels, *_)] = pushed(destination("loki").encode(entries(1, model="m", user="u", service_name=5, env=None)))
    assert labels == {"service_name": "agent", "family": "chat", "level": "info"}


def test_loki_lines_are_not_changed():
    """A line's bytes come through JSON as they were: other scripts, quotes, what looks like an escape, and no newline."""
    text = 'größer 大 😀 \\u0041 "q" \x7f\u2028 é é'
    made = entries(1, note=text)
    [(_, _, line, _)] = pushed(destination("loki").encode(made))
    assert line.encode() == made[0].line
    assert json.loads(line)["note"] == text


def test_loki_streams_keep_the_order():
    """Lines with the same labels are one stream, in the order of the log."""
    made = [*entries(1), *entries(2, env="b"), *entries(3), *entries(4, env="b"), *entries(5)]
    found = pushed(destination("loki").encode(made))
    assert [metadata["seq"] for *_, metadata in found] == ["1", "3", "5", "2", "4"]


@pytest.mark.parametrize("value", [5, True, 1.5, ["a"], {"a": 1}, None, "text"])
def test_loki_metadata_are_texts(value):
    """An id that is a text or a number is a text there; anything else is left out."""
    line = json.loads(entries(1)[0].line) | {"request_id": value}
    [(*_, metadata)] = pushed(destination("loki").encode([entry_of(json.dumps(line).encode())]))
    assert metadata.get("request_id") == {5: "5", "text": "text"}.get(
        value if value.__hash__ and value is not True else 0
    )
    assert all(isinstance(text, str) for text in metadata.values())


@pytest.mark.parametrize("answer", [b"", b"ok", b"{}"])
def test_loki_success(answer):
    """Success is about all lines, whatever the server writes below it."""
    assert destination("loki").parse_response(entries(1), answer).all_taken


def test_a_page_is_no_answer():
    """A page for people, as any web server gives it with 200, does not mean that the lines were taken."""
    for kind in set(DESTINATIONS) - {"loki"}:  # for which 200 alone is no acknowledgement
        with pytest.raises(ValueError):
            destination(kind).parse_response(entries(1), b"\n <!doctype html><html>Welcome</html>")


@pytest.mark.parametrize("answer", [b'{"error":"please log in"}', b'{"partialSuccess":{"error":1}}'])
def test_other_json_is_no_answer_of_otlp(answer):
    """JSON that says something else than an OTLP server does not mean that the lines were taken."""
    with pytest.raises(ValueError):
        destination("otlp").parse_response(entries(1), answer)


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        (too_old(1) + "\n", [3]),
        (too_old(2), [3, 1]),
        ("; ".join([too_old(2), too_old(1, 5), too_old(1, 6, '{a="x; y"}')]) + "\n", [3, 1, 4, 2]),
        (too_far_behind(1, 4), [3]),
        (too_far_behind(3, 4), [3, 1, 4]),
        (too_old(1) + "; max entry size '10' bytes exceeded for stream '{}'", None),
        ("max entry size '10' bytes exceeded for stream '{}'; " + too_old(1), None),
        ("entry for stream '{}' has timestamp too new: 2026-11-23T08:26:31Z\n", None),
        (too_old(1).replace("{level", "{it's"), None),
        (too_far_behind(2, 3), None),
        (too_far_behind(0, 4), None),
        ("unsupported path requested", None),
        ("", None),
    ],
)  # fmt: skip
def test_loki_tells_how_many(text, refused):
    """Where Loki says how many lines are too old, these are the oldest, because lines are sent by time."""
    made = timed(1, 3, 0, 2)
    found = destination("loki").find_rejected(made, text.encode())
    assert refused == (None if found is None else [item.head.seq for item in found])


def test_loki_requests_are_in_the_order_of_time():
    """Lines go to Loki by time, in each stream too, and no request spans more than half an hour."""
    loki = destination("loki")
    made = [*timed(50, 10, 30), *entries(9, env="b")]
    body = json.loads(loki.encode(made))
    assert [[row[2]["seq"] for row in stream["values"]] for stream in body["streams"]] == [["2", "3", "1"], ["9"]]
    hour = 3_600 * 10**9
    times = [made[0].time_ns + number * hour // 4 for number in (8, 0, 1, 2, 3, 7)]
    spread = [made[0]._replace(time_ns=time) for time in times]
    found = [[entry.time_ns for entry in part] for part in loki.requests(spread)]
    assert found == [times[1:3], times[3:5], [times[5], times[0]]]
    assert loki.requests(made[:3]) == destination("otlp").requests(made[:3]) == [made[:3]]
    assert destination("elasticsearch").requests(spread) == [spread]


def test_loki_says_it_of_one_stream():
    """Lines too far behind are counted for one stream only: with several, each has to be asked about alone."""
    made = [*timed(1, 3), *entries(3, env="b"), *entries(4, env="b")]
    loki = destination("loki")
    assert loki.find_rejected(made, too_far_behind(1, 4).encode()) is None
    parts = loki.split(made)
    assert [[item.head.seq for item in part] for part in parts] == [[1, 2], [3, 4]]
    assert [[item.head.seq for item in part] for part in loki.split(parts[0])] == [[1], [2]]


def test_others_name_nothing():
    """Elsewhere a batch that is refused says nothing of its lines; it is halved."""
    made = entries(1, 2, 3)
    for kind in ("elasticsearch", "otlp"):
        assert destination(kind).find_rejected(made, too_old(1).encode()) is None
        assert destination(kind).split(made) == [made[:1], made[1:]]


# -- Elasticsearch -----------------------------------------------------------------------


@pytest.mark.parametrize("flat", NUMBERED, ids=str)
def test_elasticsearch(flat, layout):
    """Each line is created under its id, as the document that the layout ecs writes, with the service beside it."""
    body = destination("elasticsearch", env="test").encode([entry(flat, layout)])
    action, document, end = body.split(b"\n")
    assert json.loads(action) == {"create": {"_id": f"{flat['writer']}-{flat['seq']}"}}
    assert end == b""
    expected = json.loads(encode(LAYOUTS["ecs"].write(flat)))
    expected["service"] = {"name": "agent", "environment": "test"} | expected.get("service", {})
    assert json.loads(document) == expected
    assert list(json.loads(document))[:4] == ["@timestamp", "log.level", "message", "ecs.version"]


def test_elasticsearch_takes_no_nul_in_a_key():
    """The character NUL in bound keys, nested too, is escaped, because Elasticsearch refuses it; values stay."""
    [made] = entries(1, **{"a\0b": "c\0", "list": [{"d\0": 1}, 2]})
    document = json.loads(destination("elasticsearch").encode([made]).split(b"\n")[1])
    assert document["bamboo"]["bound"] == {r"a\u0000b": "c\0", "list": [{r"d\u0000": 1}, 2]}
    [made] = entries(1, note="\0")
    document = json.loads(destination("elasticsearch").encode([made]).split(b"\n")[1])
    assert document["bamboo"]["bound"] == {"note": "\0"}


@pytest.mark.parametrize(
    ("to", "url", "request_url"),
    [
        ("elasticsearch", "http://h", "http://h/logs-bamboo.events-default/_bulk"),
        ("elasticsearch", "http://h/_bulk", "http://h/logs-bamboo.events-default/_bulk"),
        ("elasticsearch", "http://h/_bulk/?a=b", "http://h/logs-bamboo.events-default/_bulk?a=b"),
        ("elasticsearch", "http://h/proxy", "http://h/proxy/logs-bamboo.events-default/_bulk"),
        ("elasticsearch", "http://h/logs-bamboo.events-default/_bulk", "http://h/logs-bamboo.events-default/_bulk"),
        ("elasticsearch", "http://h/logs-bamboo.events-default", "http://h/logs-bamboo.events-default/_bulk"),
        ("elasticsearch", "http://h/insert/elasticsearch", "http://h/insert/elasticsearch/_bulk"),
        ("elasticsearch", "http://h/insert/elasticsearch/_bulk", "http://h/insert/elasticsearch/_bulk"),
        ("loki", "http://h/insert?_msg_field=a", "http://h/insert/loki/api/v1/push?_msg_field=a"),
        ("loki", "http://h/loki/api/v1/push", "http://h/loki/api/v1/push"),
        ("otlp", "http://h/v1/logs", "http://h/v1/logs"),
        ("otlp", "http://h/insert/opentelemetry", "http://h/insert/opentelemetry/v1/logs"),
    ],
)
def test_the_url_of_requests(to, url, request_url):
    """A server's URL is understood with the path of its interface and without."""
    assert destination(to).request_url(parse_url(url, secrets="")).text == request_url


def test_a_data_stream_in_the_url():
    """A URL that names another data stream than the option is an error that names the option."""
    with pytest.raises(ConfigError, match=r"ends in '/other/_bulk'.*http://h, and name the data stream.*--data-stream"):
        destination("elasticsearch").request_url(parse_url("http://h/other/_bulk", secrets=""))


def test_elasticsearch_of_an_ecs_line():
    """A line that names its service, and was written in the layout ecs, is the document byte for byte."""
    [made] = entries(1, service_name="shop")
    line = encode(LAYOUTS["ecs"].write(made.flat()))
    assert destination("elasticsearch").encode([entry_of(line)]).split(b"\n")[1] == line


def bulk(*items, errors=True):
    """Return an answer to a bulk request: a status, or a status and an error, for each line."""
    made = [{"status": item} if isinstance(item, int) else {"status": item[0], "error": item[1]} for item in items]
    return json.dumps({"took": 3, "errors": errors, "items": [{"create": item} for item in made]}).encode()


def test_elasticsearch_success():
    """Without errors all is delivered; what is there already, as a batch that came twice, is too."""
    elastic, made = destination("elasticsearch"), entries(1, 2)
    assert elastic.parse_response(made, bulk(201, 201, errors=False)).all_taken
    assert elastic.parse_response(made, b'{"errors":false}').all_taken  # as VictoriaLogs says it
    conflict = (409, {"type": "version_conflict_engine_exception", "reason": "document already exists"})
    assert elastic.parse_response(made, bulk(201, conflict)).all_taken
    assert elastic.parse_response(made, bulk(conflict, conflict)).all_taken


@pytest.mark.parametrize(
    "error",
    [
        {"type": "index_closed_exception", "reason": "closed"},
        {"type": "validation_exception", "reason": "Validation Failed: 1: this action would add [2] shards"},
        {"type": "illegal_argument_exception", "reason": "pipeline with id [bamboo-events] does not exist"},
        {"type": "illegal_argument_exception", "reason": "no write index is defined for alias [logs]"},
    ],
    ids=lambda error: error["type"],
)
def test_elasticsearch_sends_fixable_errors_again(error):
    """Errors that an administrator of the server can fix are waited for, though Elasticsearch answers 400."""
    made = entries(1, 2)
    verdict = destination("elasticsearch").parse_response(made, bulk(201, (400, error)))
    assert (verdict.retry, verdict.rejections) == (made[1:], [])
    assert verdict.error == f"400: {error['type']}: {error['reason']}"


def test_elasticsearch_status_without_a_reason():
    """A status that nothing is said of is said itself."""
    assert destination("elasticsearch").parse_response(entries(1), bulk(0)).error == "0"


@pytest.mark.parametrize(
    ("items", "noticed"),
    [
        ([(201, ".ds-logs-x-2026.11.22-000001")], False),
        ([(201, ".fs-logs-x-2026.11.22-000001")], False),
        ([(201, "logs-x")], True),
        ([(201, None)], False),
        ([(400, "logs-x"), (201, ".ds-logs-x")], False),
        ([(400, ".ds-logs-x"), (201, "logs-x")], True),
        ([(409, "logs-x")], False),
    ],
)
def test_elasticsearch_notices_a_plain_index(items, noticed):
    """Lines that are taken into a plain index are taken, and it is said what to do; a refused line tells nothing."""
    made = [{"status": status} | ({"_index": index} if index else {}) for status, index in items]
    answer = json.dumps({"errors": True, "items": [{"create": item} for item in made]}).encode()
    notice = destination("elasticsearch").parse_response(entries(*range(1, len(items) + 1)), answer).notice
    assert bool(notice) is noticed
    assert not noticed or notice.startswith("logs-x is a plain index and not a data stream")


def test_elasticsearch_failure_store():
    """A line in the failure store of a data stream is rejected, though its item says created."""
    made = entries(1, 2, 3)
    items = ({"status": 201, "failure_store": store} for store in ("used", "not_enabled", "not_applicable_or_unknown"))
    answer = json.dumps({"errors": False, "items": [{"create": item} for item in items]}).encode()
    verdict = destination("elasticsearch").parse_response(made, answer)
    [refusal] = verdict.rejections
    assert refusal.entries == made[:1]
    assert "failure store" in refusal.reason
    assert verdict.retry == []


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 401, 403, 404, 408])
def test_elasticsearch_sends_items_again(status):
    """An item with an error of the server or of the client, such as a blocked index, is sent again alone."""
    made = entries(1, 2, 3)
    error = {"type": "cluster_block_exception", "reason": "index [x] blocked by: [FORBIDDEN/12/index read-only]"}
    verdict = destination("elasticsearch").parse_response(made, bulk(201, (status, error), (status, {"type": "later"})))
    assert verdict.retry == made[1:]
    assert verdict.rejections == []
    assert verdict.error == f"{status}: cluster_block_exception: {error['reason']}"


@pytest.mark.parametrize("status", [400, 413, 422])
def test_elasticsearch_refuses_documents(status):
    """An error of the document rejects it, with the reason and its cause."""
    made = entries(1, 2, 3)
    cause = {"type": "illegal_argument_exception", "reason": 'For input string: "x"'}
    error = {"type": "document_parsing_exception", "reason": "failed to parse field [count]", "caused_by": cause}
    verdict = destination("elasticsearch").parse_response(made, bulk((status, error), (429, {}), status))
    assert verdict.retry == [made[1]]
    assert [(found.entries, found.number, found.reason) for found in verdict.rejections] == [
        ([made[0]], 1, f'{status}: document_parsing_exception: failed to parse field [count]: For input string: "x"'),
        ([made[2]], 1, f"{status}"),
    ]


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"nothing", b"[]", b"{}", b"null", b'{"items":[]}', b'{"errors":1}', b"\xff",
        bulk(201), bulk(201, 201, 201), bulk(201, errors=False), bulk(), b'{"errors":true}', b"[" * 100_000,
        b'{"errors":true,"items":[{},{}]}',
        b'{"errors":true,"items":[{"create":{"status":201},"index":{"status":201}},{"create":{"status":201}}]}',
        b'{"errors":true,"items":[{"create":{}},{"create":{}}]}',
        b'{"errors":true,"items":[{"create":{"status":"201"}},{"create":{"status":201}}]}',
        b'{"errors":true,"items":[{"create":{"status":400,"error":"text"}},{"create":{"status":201}}]}',
        b'{"errors":true,"items":[{"create":{"status":400,"error":{"caused_by":' + b"[" * 100_000,
    ],
    ids=lambda answer: answer[:40],
)  # fmt: skip
def test_elasticsearch_malformed_answers(answer):
    """An answer that is not one of a bulk request, or not about these lines, says nothing of them."""
    with pytest.raises((ValueError, RecursionError)):
        destination("elasticsearch").parse_response(entries(1, 2), answer)


def test_elasticsearch_odd_causes():
    """A cause of another form is left out of the reason."""
    for cause in ("text", ["list"], None, {"type": "x"}):
        answer = bulk((400, {"type": "a", "reason": None, "caused_by": cause}))
        [refusal] = destination("elasticsearch").parse_response(entries(1), answer).rejections
        assert refusal.reason == "400: a"


# -- OTLP --------------------------------------------------------------------------------


def exported(body):
    """Return the log records of a request, each with the attributes of its resource."""
    found = []
    for resource in ExportLogsServiceRequest.FromString(body).resource_logs:
        [scope] = resource.scope_logs
        assert (scope.scope.name, scope.scope.version) == ("bamboo_logmetrics", blm.__version__)
        found += [(pairs(resource.resource.attributes), item) for item in scope.log_records]
    return found


def pairs(attributes):
    return {item.key: value_of(item.value) for item in attributes}


def value_of(value):
    """Return the value in a protobuf value, with its type."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    found = getattr(value, kind)
    if kind == "array_value":
        return [value_of(item) for item in found.values]
    return pairs(found.values) if kind == "kvlist_value" else found


def as_protobuf(value):
    """Return the protobuf form of a value of OTLP/JSON."""
    for kind, found in value.items():
        if kind in {"intValue", "doubleValue"}:
            return int(found) if kind == "intValue" else float(found)
        if kind == "arrayValue":
            return [as_protobuf(item) for item in found["values"]]
        if kind == "kvlistValue":
            return {item["key"]: as_protobuf(item["value"]) for item in found["values"]}
        return found
    return None


@pytest.mark.parametrize("flat", NUMBERED, ids=str)
def test_otlp(flat, layout):
    """Of each kind of line, protobuf says what the layout otel says: time, severity, name, ids, body and attributes."""
    [(resource, found)] = exported(destination("otlp", env="test").encode([entry(flat, layout)]))
    service, env = flat.get("service_name"), flat.get("env")
    assert resource == {
        "service.name": service if isinstance(service, str) else "agent",
        "deployment.environment.name": env if isinstance(env, str) else "test",
    }
    expected = json.loads(encode(LAYOUTS["otel"].write(flat)))
    assert found.time_unix_nano == found.observed_time_unix_nano == int(expected["timeUnixNano"])
    assert found.time_unix_nano in {nanoseconds(flat["timestamp"]), 0}
    assert (found.severity_number, found.severity_text) == (expected["severityNumber"], flat["level"])
    assert found.event_name == ("" if "plain" in flat else f"bamboo.{flat['event']}")
    assert value_of(found.body) == flat["event"]
    assert found.trace_id.hex() == expected.get("traceId", "")
    assert found.span_id == b""
    attributes = {item["key"]: as_protobuf(item["value"]) for item in expected["attributes"]}
    assert exact(pairs(found.attributes)) == exact(attributes)
    assert attributes["log.record.uid"] == f"{flat['writer']}-{flat['seq']}"


def test_otlp_values():
    """Numbers of 64 bits are exact, larger ones are fractions, and what is nested stays so."""
    nested = {"a": [1, "x", None, True, 1.5, {"b": []}], "empty": {}}
    bound = {"low": -(2**63), "high": 2**63 - 1, "beyond": 2**64 - 1, "whole": 2.0, "none": None, "nested": nested}
    [(_, found)] = exported(destination("otlp").encode(entries(1, **bound)))
    values = {key.removeprefix("bamboo.bound."): value for key, value in pairs(found.attributes).items()}
    assert exact({key: values[key] for key in bound}) == exact(bound | {"beyond": float(2**64 - 1)})
    kinds = {item.key: item.value.WhichOneof("value") for item in found.attributes}
    assert kinds["bamboo.bound.high"] == kinds["bamboo.seq"] == "int_value"
    assert kinds["bamboo.bound.beyond"] == kinds["bamboo.bound.whole"] == "double_value"


def test_otlp_trace_ids():
    """A trace id of 32 hex digits is the record's own; any other is an attribute."""
    for trace_id, own in ((TRACE_ID, TRACE_ID), (TRACE_ID.upper(), TRACE_ID), ("0" * 32, ""), ("t-1", "")):
        [(_, found)] = exported(destination("otlp").encode(entries(1, trace_id=trace_id)))
        assert found.trace_id.hex() == own
        assert pairs(found.attributes).get("bamboo.trace_id") == (None if own else trace_id)


def test_otlp_resources():
    """There is one resource for each service and environment, in the order in which they come."""
    made = [
        *entries(1),
        *entries(2, service_name="shop"),
        *entries(3, env="prod"),
        *entries(4),
        *entries(5, env="prod"),
    ]
    found = exported(destination("otlp").encode(made))
    assert [(resource, pairs(item.attributes)["bamboo.seq"]) for resource, item in found] == [
        ({"service.name": "agent"}, 1),
        ({"service.name": "agent"}, 4),
        ({"service.name": "shop"}, 2),
        ({"service.name": "agent", "deployment.environment.name": "prod"}, 3),
        ({"service.name": "agent", "deployment.environment.name": "prod"}, 5),
    ]


def partial(rejected, message=""):
    answer = ExportLogsServiceResponse()
    answer.partial_success.rejected_log_records = rejected
    answer.partial_success.error_message = message
    return answer.SerializeToString()


@pytest.mark.parametrize(
    "answer", [b"", b"{}", b" {} \n", b"\n\x00", partial(0, "only a hint"), partial(-1), b'{"partialSuccess":{}}']
)
def test_otlp_success(answer):
    """An empty answer, in protobuf or JSON, and a hint without a number, mean that all is taken."""
    assert destination("otlp").parse_response(entries(1, 2), answer).all_taken


@pytest.mark.parametrize(
    ("answer", "how_many"),
    [
        (partial(1, "too long"), 1),
        (partial(2, "too long"), 2),
        (partial(7, "too long"), 2),
        (b'{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"too long"}}', 1),
        (b'{"partialSuccess":{"rejectedLogRecords":1,"errorMessage":"too long"}}', 1),
    ],
)
def test_otlp_partial_success(answer, how_many):
    """Of a part that is refused, it is known how many there are, never more than were sent, and not which."""
    made = entries(1, 2)
    [refusal] = destination("otlp").parse_response(made, answer).rejections
    assert refusal == (made, how_many, "too long")


@pytest.mark.parametrize("answer", [b"<html>", b"nothing", b"[]", b"7", b'{"partialSuccess":5}', b"\xff\xff",
    b'{"partialSuccess":{"rejectedLogRecords":"x"}}', b"[" * 100_000, b'{"a":' + b"[" * 100_000])  # fmt: skip
def test_otlp_malformed_answers(answer):
    """An answer that is neither protobuf nor JSON of an export raises."""
    with pytest.raises((ValueError, RecursionError)):
        destination("otlp").parse_response(entries(1), answer)


# -- any line ----------------------------------------------------------------------------

_ODD = BESIDE.map(lambda bound: {key: value for key, value in bound.items() if key not in HEADER})


@settings(max_examples=60)
@given(FLATS, _ODD, st.sampled_from(["native", "ecs", "otel"]))
def test_any_line_has_a_body(flat, odd, layout):
    """Whatever else stands in a line that has a header, also by another hand, each destination has a form for it."""
    for values in (flat, flat | odd):
        try:
            made = entry(values, layout)
        except ValueError:
            continue  # goes to the dead letters
        [(_, _, line, _)] = pushed(destination("loki").encode([made]))
        assert line.encode() == made.line
        [_, document, _] = destination("elasticsearch").encode([made]).split(b"\n")
        assert msgspec.json.decode(document)["service"]["name"]
        [(_, found)] = exported(destination("otlp").encode([made]))
        assert found.severity_text == made.head.level
