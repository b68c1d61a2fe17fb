from __future__ import annotations

import json
import os
import uuid

import httpx
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from support.flats import FIXED, FLATS, exact, golden, written

from bamboo_logmetrics.cli.commands import cli
from bamboo_logmetrics.format.layouts import LAYOUTS
from bamboo_logmetrics.format.layouts.mapping import ROWS
from bamboo_logmetrics.format.strict_json import encode
from bamboo_logmetrics.integrations.elasticsearch.mapping import declared_fields, mappings
from bamboo_logmetrics.integrations.elasticsearch.requests import NAMES, TemplateNames, setup_requests
from bamboo_logmetrics.ship.destinations.base import ResourceDefaults
from bamboo_logmetrics.ship.destinations.elasticsearch import Elasticsearch, ElasticsearchOptions

PRODUCTS = ["elasticsearch", "opensearch"]
FLAT_TYPES = {"flattened", "flat_object"}

SERVER = os.environ.get("BAMBOO_TEST_ELASTICSEARCH_URL", "")
needs_server = pytest.mark.skipif(not SERVER, reason="BAMBOO_TEST_ELASTICSEARCH_URL names no OpenSearch")

NATIVE = [json.loads(line) for line in golden("lines.jsonl")]
ECS = [written("ecs", flat) for flat in NATIVE]
FIRST = NATIVE[0]


def paths_in(document, closed, before=""):
    """Yield the path of each field of a document; everything under a path of `closed` is one field."""
    for name, value in document.items():
        path = before + name
        if isinstance(value, dict) and path not in closed:
            yield from paths_in(value, closed, path + ".")
        else:
            yield path


def leaves_of(properties, before=""):
    for name, field in properties.items():
        if "type" in field:
            yield before + name, field
        else:
            yield from leaves_of(field["properties"], f"{before}{name}.")


def bodies(product, **options):
    """Return the bodies of the four requests."""
    return [request.body for request in setup_requests(product, **options)]


# -- the types ------------------------------------------------------------------------------


@pytest.mark.parametrize("product", PRODUCTS)
@given(flat=st.sampled_from(FIXED) | FLATS)
@settings(deadline=None, max_examples=200)
def test_every_field_that_the_layout_writes_has_a_type(product, flat):
    """Each field of any ECS document, those of the table and those that follow, is declared."""
    fields = declared_fields(product)
    closed = {path for path, field in fields.items() if field["type"] in FLAT_TYPES}
    assert set(paths_in(written("ecs", flat), closed)) <= set(fields)


@pytest.mark.parametrize("product", PRODUCTS)
def test_every_row_of_the_table_has_its_type(product):
    """A field of the table has the type that the table says, as the product calls it."""
    fields = declared_fields(product)
    for row in ROWS:
        kind = row.type.elastic
        if product == "opensearch" and kind == "flattened":
            kind = "flat_object"
        assert fields[row.ecs or row.otel]["type"] == kind


@pytest.mark.parametrize("product", PRODUCTS)
def test_the_mapping_is_the_declared_fields(product):
    """The nested mapping holds each declared field once, and nothing else."""
    assert {path for path, _ in leaves_of(mappings(product)["properties"])} == set(declared_fields(product))


def test_bound_values_fit_their_field():
    """The open-ended place is deep enough, and neither it nor a keyword refuses a long text."""
    bound = declared_fields("elasticsearch")["bamboo.bound"]
    assert bound["type"] == "flattened"
    assert bound["depth_limit"] >= 21
    assert bound["ignore_above"] * 4 < 32766
    assert declared_fields("opensearch")["bamboo.bound"] == {"type": "flat_object"}
    assert declared_fields("elasticsearch")["gen_ai.response.finish_reasons"]["type"] == "keyword"
    for product in PRODUCTS:
        keywords = [field for field in declared_fields(product).values() if field["type"] == "keyword"]
        assert all(field["ignore_above"] * 4 < 32766 for field in keywords)


def test_no_type_is_guessed():
    """An undeclared field is not indexed: in OpenSearch anywhere, in Elasticsearch where ECS does not type it."""
    assert mappings("opensearch")["dynamic"] is False
    found = mappings("elasticsearch")
    assert "dynamic" not in found
    assert {name for name, field in found["properties"].items() if field.get("dynamic") is False} == {
        "bamboo",
        "gen_ai",
    }


# -- the requests ---------------------------------------------------------------------------


def test_the_order_of_the_requests():
    """Everything that a request names is sent before it."""
    assert [(request.method, request.path) for request in setup_requests("elasticsearch")] == [
        ("PUT", "_ilm/policy/bamboo-events"),
        ("PUT", "_component_template/bamboo-events@mappings"),
        ("PUT", "_ingest/pipeline/bamboo-events"),
        ("PUT", "_index_template/bamboo-events"),
    ]
    assert setup_requests("opensearch")[0].path == "_plugins/_ism/policies/bamboo-events"


def test_the_index_template_of_elasticsearch():
    """The index template takes precedence over the server's own for logs, and includes that one's components."""
    template = bodies("elasticsearch")[3]
    assert template["index_patterns"] == ["logs-bamboo.events-*"]
    assert template["priority"] == 200
    assert template["data_stream"] == {}
    assert template["composed_of"] == ["logs@mappings", "logs@settings", "bamboo-events@mappings", "ecs@mappings"]
    assert template["ignore_missing_component_templates"] == ["logs@mappings", "logs@settings", "ecs@mappings"]
    found = template["template"]["settings"]
    assert found["index.default_pipeline"] == found["index.lifecycle.name"] == "bamboo-events"


def test_the_index_template_of_opensearch():
    """The index template needs nothing that only Elasticsearch has."""
    template = bodies("opensearch")[3]
    assert template["composed_of"] == ["bamboo-events@mappings"]
    assert template["priority"] == 200
    assert "ignore_missing_component_templates" not in template
    assert not [name for name in template["template"]["settings"] if "lifecycle" in name]


@pytest.mark.parametrize("product", PRODUCTS)
def test_how_long_events_are_kept(product):
    """Events are kept for the given days, counted from the rollover."""
    (policy, *_), (other, *_) = bodies(product), bodies(product, keep=7)
    assert '"90d"' in json.dumps(policy)
    assert '"7d"' in json.dumps(other)
    if product == "opensearch":
        (transition,) = other["policy"]["states"][0]["transitions"]
        assert transition == {"state_name": "delete", "conditions": {"min_rollover_age": "7d"}}
    else:
        assert other["policy"]["phases"]["delete"] == {"min_age": "7d", "actions": {"delete": {}}}


@pytest.mark.parametrize("product", PRODUCTS)
def test_other_names(product):
    """With other names, no request contains the usual ones."""
    text = json.dumps([(path, body) for _, path, body in setup_requests(product, TemplateNames("mine", "logs-mine-*"))])
    assert NAMES.name not in text
    assert NAMES.pattern not in text


def test_the_script_gets_the_whole_table():
    """The pipeline's parameters hold each row of the table, with its path, its check and its factor."""
    _, _, pipeline, _ = bodies("elasticsearch")
    params = pipeline["processors"][2]["script"]["params"]
    rows = [params["everywhere"], *params["only_in"].values()]
    found = {(key, ".".join(row["path"]), row["factor"]) for part in rows for key, row in part.items()}
    assert found == {(row.key, row.ecs or row.otel, row.factor) for row in ROWS}
    assert all(len(one["script"]["source"]) < 65_535 for one in pipeline["processors"] if "script" in one)


# -- a real server --------------------------------------------------------------------------


class Real:
    """An OpenSearch, set up under names of this run."""

    def __init__(self, client):
        mark = f"test{uuid.uuid4().hex[:12]}"
        self.client = client
        self.names = TemplateNames(f"bamboo-{mark}", f"logs-bamboo.{mark}-*")
        self.streams = []

    def stream(self):
        """Return the name of another data stream."""
        self.streams.append(f"logs-bamboo.{self.names.name.removeprefix('bamboo-')}-{len(self.streams)}")
        return self.streams[-1]

    def simulate(self, documents):
        """Return the documents that the pipeline makes of others."""
        path = f"/_ingest/pipeline/{self.names.name}/_simulate"
        answer = self.client.post(path, json={"docs": [{"_source": one} for one in documents]}).json()
        return [found["doc"]["_source"] if "doc" in found else found for found in answer["docs"]]

    def bulk(self, stream, documents, ids=None):
        """Create documents; returns (status, id, error) of each."""
        heads = [{"create": {"_id": one} if one else {}} for one in ids or [None] * len(documents)]
        lines = [encode(part) for pair in zip(heads, documents, strict=True) for part in pair]
        headers = {"Content-Type": "application/x-ndjson"}
        answer = self.client.post(f"/{stream}/_bulk?refresh=true", content=b"\n".join([*lines, b""]), headers=headers)
        items = [item["create"] for item in answer.json()["items"]]
        return [(item["status"], item["_id"], item.get("error")) for item in items]

    def found(self, stream, query=None, **more):
        body = {"size": 1000, "query": query or {"match_all": {}}, **more}
        return self.client.post(f"/{stream}/_search", json=body).raise_for_status().json()

    def documents(self, stream, query=None):
        return {hit["_id"]: hit["_source"] for hit in self.found(stream, query)["hits"]["hits"]}

    def clean(self):
        for stream in self.streams:
            self.client.delete(f"/_data_stream/{stream}")
        for path in ("_index_template", "_component_template", "_ingest/pipeline"):
            name = self.names.component if path == "_component_template" else self.names.name
            self.client.delete(f"/{path}/{name}")


@pytest.fixture(scope="module")
def real():
    """Return the server, with everything applied twice by the command."""
    with httpx.Client(base_url=SERVER, timeout=60) as client:
        server = Real(client)
        given = ["--name", server.names.name, "--pattern", server.names.pattern, "--apply", "--url", SERVER]
        server.applied = [CliRunner().invoke(cli, ["config", "opensearch", *given]) for _ in range(2)]
        yield server
        server.clean()


@pytest.fixture(scope="module")
def stream(real):
    """Return a data stream that holds the golden lines, delivered parsed."""
    name = real.stream()
    real.answers = real.bulk(name, quoted(NATIVE))
    return name


def quoted(data):
    """Return data with integers beyond 64 signed bits as text: scripts of OpenSearch cannot hold them."""
    if isinstance(data, dict):
        return {key: quoted(value) for key, value in data.items()}
    if isinstance(data, list):
        return [quoted(item) for item in data]
    beyond = type(data) is int and not -(2**63) <= data < 2**63
    return str(data) if beyond else data


def without_nul(data):
    """Return data with the character NUL of keys escaped."""
    if isinstance(data, dict):
        return {key.replace("\0", r"\u0000"): without_nul(value) for key, value in data.items()}
    return [without_nul(item) for item in data] if isinstance(data, list) else data


def text_of(flat):
    return encode(flat).decode()


@pytest.mark.servers
@needs_server
def test_applied_twice(real):
    """Applying twice has the same result; the command reports that a core server has no ISM."""
    for result in real.applied:
        assert result.exit_code == 0, result.output
        first, *others = result.stdout.splitlines()
        assert first.startswith(("left out: PUT _plugins/_ism/policies/", "done: PUT _plugins/_ism/policies/"))
        assert [line.partition(":")[0] for line in others] == ["done"] * 3


@pytest.mark.servers
@needs_server
@pytest.mark.parametrize(
    "way", ["native", "native as message", "native as log", "ecs", "ecs as original", "otel as message"]
)
def test_every_golden_line_becomes_its_ecs_document(real, way):
    """The pipeline makes of each golden line, parsed or as text, exactly what the layout writes."""
    given = {
        "native": quoted(NATIVE),
        "native as message": [{"message": text_of(flat)} for flat in NATIVE],
        "ecs": quoted(ECS),
        "ecs as original": [{"event": {"original": text_of(document)}} for document in ECS],
        "native as log": [{"log": text_of(flat) + "\n"} for flat in NATIVE],
        "otel as message": [{"message": text_of(written("otel", flat))} for flat in NATIVE],
    }[way]
    for document, wanted in zip(real.simulate(given), ECS, strict=True):
        assert exact(document) == exact(quoted(wanted))


@pytest.mark.servers
@needs_server
@pytest.mark.parametrize("layout", ["native", "ecs", "otel"])
@given(flats=st.lists(FLATS, min_size=1, max_size=50))
@settings(deadline=None, max_examples=15)
def test_any_line_becomes_its_ecs_document(real, layout, flats):
    """The same for lines of any form and layout, as text."""
    lines = [{"message": encode(LAYOUTS[layout].write(flat)).decode()} for flat in flats]
    for document, flat in zip(real.simulate(lines), flats, strict=True):
        wanted = quoted(written("ecs", flat)) if layout == "ecs" else written("ecs", quoted(flat))
        if "bound" in wanted["bamboo"]:
            wanted["bamboo"]["bound"] = without_nul(wanted["bamboo"]["bound"])
        assert exact(document) == exact(wanted)


@pytest.mark.servers
@needs_server
def test_lines_are_created_once(real, stream):
    """A line gets its id from writer and number; in whatever form it comes again, it is there already."""
    ours = [flat for flat in NATIVE if "writer" in flat]
    named = [f"{flat['writer']}-{flat['seq']}" for flat in ours]
    assert [status for status, _, _ in real.answers] == [201] * len(NATIVE)
    found = [name for flat, (_, name, _) in zip(NATIVE, real.answers, strict=True) if "writer" in flat]
    assert found == named
    again = [*({"message": text_of(flat)} for flat in ours), *(written("ecs", flat) for flat in ours)]
    assert {status for status, _, _ in real.bulk(stream, again)} == {409}
    assert {status for status, _, _ in real.bulk(stream, [written("ecs", flat) for flat in ours], ids=named)} == {409}
    documents = real.documents(stream)
    assert len(documents) == len(NATIVE)
    for name, flat in zip(named, ours, strict=True):
        assert exact(documents[name]) == exact(quoted(written("ecs", flat)))


@pytest.mark.servers
@needs_server
def test_ecs_documents_are_left_alone(real):
    """ECS documents are kept as they came, numbers beyond 64 signed bits and the additions of a log shipper included."""
    name = real.stream()
    given = [{**document, "agent": {"type": "filebeat"}, "host": {"os": {"family": "x"}}} for document in ECS]
    ids = [f"id-{number}" for number in range(len(given))]
    assert {status for status, _, _ in real.bulk(name, given, ids=ids)} == {201}
    documents = real.documents(name)
    assert [exact(documents[one]) for one in ids] == [exact(document) for document in given]


@pytest.mark.servers
@needs_server
def test_the_types_are_those_that_were_declared(real, stream):
    """The index has each declared field with its type and no other, whatever was written."""
    (found,) = real.client.get(f"/{stream}/_mapping").json().values()
    assert {path: field["type"] for path, field in leaves_of(found["mappings"]["properties"])} == {
        path: field["type"] for path, field in declared_fields("opensearch").items()
    }
    caps = real.client.get(f"/{stream}/_field_caps?fields=*").json()["fields"]
    for path, field in declared_fields("opensearch").items():
        if field["type"] not in {"flat_object", "match_only_text", "wildcard"}:
            assert list(caps[path]) == [field["type"]]
    assert real.client.get(f"/_cluster/health/{stream}").json()["status"] == "green"


@pytest.mark.servers
@needs_server
def test_dotted_and_nested_names_are_one_field(real):
    """A level is found whether a log shipper left the dot in its name or made an object of it."""
    name = real.stream()
    nested = {key: value for key, value in ECS[5].items() if "." not in key}
    nested |= {"log": {"level": "error"}, "ecs": {"version": "9.4.0"}}
    real.bulk(name, [ECS[5], nested], ids=["dotted", "nested"])
    assert set(real.documents(name, {"term": {"log.level": "error"}})) == {"dotted", "nested"}
    assert set(real.documents(name, {"term": {"ecs.version": "9.4.0"}})) == {"dotted", "nested"}


@pytest.mark.servers
@needs_server
def test_great_numbers(real):
    """A long is exact up to its limit; beyond it a number is bound, and found there."""
    name = real.stream()
    limits = [2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1]
    flats = [{**FIRST, "seq": seq, "total_tokens": limit} for seq, limit in enumerate(limits, 1)]
    assert {status for status, _, _ in real.bulk(name, [{"message": text_of(flat)} for flat in flats])} == {201}
    for seq, limit in enumerate(limits, 1):
        field = "bamboo.usage.total_tokens" if limit < 2**63 else "bamboo.bound.total_tokens"
        (document,) = real.documents(name, {"term": {field: str(limit)}}).values()
        assert document["bamboo"]["seq"] == seq
    near = {"term": {"bamboo.usage.total_tokens": 2**53}}
    assert not real.documents(name, near)


@pytest.mark.servers
@needs_server
def test_parsed_lines_with_numbers_beyond_64_bits_are_refused(real):
    """OpenSearch's scripts cannot hold such a number: a log shipper that parsed the line gets 400, and goes on."""
    ((status, _, error),) = real.bulk(real.stream(), [{**FIRST, "big": 2**63}])
    assert (status, error["type"]) == (400, "illegal_argument_exception")


@pytest.mark.servers
@needs_server
def test_wrong_types(real):
    """A value of a wrong type is not indexed and its document kept; a text for an object is refused for good."""
    name = real.stream()
    given = [
        {**ECS[0], "event": {**ECS[0]["event"], "duration": "long"}},
        {**ECS[0], "event": {**ECS[0]["event"], "duration": 2**63}},
        {**ECS[0], "process": {"start": "yesterday"}},
        {**ECS[0], "gen_ai": {"usage": {"input_tokens": 2**31}}},
        {**ECS[0], "event": "text"},
        {**ECS[0], "@timestamp": "yesterday"},
    ]
    statuses = [status for status, _, _ in real.bulk(name, given, ids=list("abcdef"))]
    assert statuses == [201] * 4 + [400] * 2
    hits = {hit["_id"]: hit.get("_ignored") for hit in real.found(name)["hits"]["hits"]}
    assert hits == {
        "a": ["event.duration"],
        "b": ["event.duration"],
        "c": ["process.start"],
        "d": ["gen_ai.usage.input_tokens"],
    }


@pytest.mark.servers
@needs_server
def test_a_refusal_is_for_the_dead_letter_file(real):
    """The shipper takes the server's 400 as for good, with its reason, and its 201 and 409 as delivered."""
    name = real.stream()
    lines = [b'{"create":{"_id":"%d"}}\n%b' % pair for pair in
             [(1, encode(ECS[0])), (1, encode(ECS[0])), (2, encode({**ECS[0], "event": "text"}))]]  # fmt: skip
    headers = {"Content-Type": "application/x-ndjson"}
    answer = real.client.post(f"/{name}/_bulk", content=b"\n".join([*lines, b""]), headers=headers)
    destination = Elasticsearch(ResourceDefaults("x"), ElasticsearchOptions(data_stream=name))
    result = destination.parse_response(["new", "again", "wrong"], answer.content)
    assert not result.retry
    ((entries, count, reason),) = result.rejections
    assert (entries, count) == (["wrong"], 1)
    assert "object mapping for [event] tried to parse field [event] as object" in reason


@pytest.mark.servers
@needs_server
def test_aggregations(real, stream):
    """Kinds, tools and models are counted, tokens added and durations ranked."""
    aggs = {
        "kinds": {"terms": {"field": "event.action", "size": 50}},
        "tools": {"terms": {"field": "gen_ai.tool.name"}},
        "models": {
            "terms": {"field": "gen_ai.request.model"},
            "aggs": {"tokens": {"sum": {"field": "gen_ai.usage.input_tokens"}}},
        },
        "latency": {"percentiles": {"field": "event.duration", "percents": [100]}},
    }
    found = real.found(stream, aggs=aggs)["aggregations"]
    for name, path in [("kinds", "event.action"), ("tools", "gen_ai.tool.name"), ("models", "gen_ai.request.model")]:
        values = [value for document in ECS if (value := at(document, path)) is not None]
        assert {bucket["key"]: bucket["doc_count"] for bucket in found[name]["buckets"]} == {
            value: values.count(value) for value in values
        }
    tokens = {bucket["key"]: bucket["tokens"]["value"] for bucket in found["models"]["buckets"]}
    rounds = [document for document in ECS if at(document, "gen_ai.request.model") == "m"]
    assert tokens["m"] == sum(at(document, "gen_ai.usage.input_tokens") or 0 for document in rounds) > 0
    assert found["latency"]["values"]["100.0"] == max(at(document, "event.duration") or 0 for document in ECS)


def at(document, path):
    for name in path.split("."):
        document = document.get(name) if isinstance(document, dict) else None
    return document


@pytest.mark.servers
@needs_server
@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"message": "no JSON"}, "the text is not one JSON object"),
        ({"message": '{"timestamp":'}, "Unexpected end-of-input"),
        ({"message": text_of(FIRST) * 2}, "the text is not one JSON object"),
        ({"message": text_of(FIRST) + " torn"}, "the text is not one JSON object"),
        ({"message": '{"a":1}'}, "the text is no line of bamboo_logmetrics"),
        ({"log": "[1]", "host": "h"}, "the text is no line of bamboo_logmetrics"),
        ({"event": {"original": "x", "kind": 5}}, "Unrecognized token"),
        ({"message": text_of({**FIRST, "timestamp": "x"})}, "Text 'x' could not be parsed"),
        ({"@timestamp": "x", "message": 5, "bamboo": "x"}, "neither a line of bamboo_logmetrics nor the text of one"),
        ({"message": text_of({**FIRST, "v": 10**40}) + "}"}, "the text is not one JSON object"),
    ],
    ids=str,
)
def test_a_text_that_is_not_a_line_is_kept(real, document, reason):
    """A text that is not a line is kept as a pipeline error with the reason, and the log shipper gets its 201."""
    name = real.stream()
    shipper = {"agent": {"name": "a"}, "log": {"file": {"path": "/x"}, "offset": 5}, "input": {"type": "filestream"}}
    ((status, _, error),) = real.bulk(name, [shipper | document])
    assert (status, error) == (201, None)
    ((kept,),) = [real.documents(name, {"term": {"event.kind": "pipeline_error"}}).values()]
    assert reason in kept["error"]["message"]
    assert kept["tags"] == ["bamboo_unreadable"]
    assert kept["agent"] == {"name": "a"}
    text = document.get("message", document.get("log"))
    if isinstance(text, str):
        assert kept["message"] == text
    closed = {path for path, field in declared_fields("opensearch").items() if field["type"] in FLAT_TYPES}
    assert set(paths_in(kept, closed)) <= set(declared_fields("opensearch"))


@pytest.mark.servers
@needs_server
def test_additions_of_shippers(real):
    """Fields of a log shipper stay if the line does not contradict them; fields of the line are never lost."""
    added = {
        "@timestamp": "2026-11-22T15:48:00.000Z",
        "@version": "1",
        "agent": {"name": "a", "type": "filebeat"},
        "ecs": {"version": "8.0.0"},
        "host": {"name": "agent-host", "os": {"family": "x"}},
        "input": {"type": "filestream"},
        "log": {"file": {"path": "/logs/a.jsonl"}, "offset": 7},
        "service": {"name": "agent-service", "environment": "prod"},
    }
    line = {**FIRST, "seq": 900, "tags": ["mine"], "agent": "mine", "input": "mine", "service_name": "own"}
    started = {**NATIVE[18], "seq": 901}
    texts = [{**added, "message": text_of(one)} for one in (line, started)]
    parsed_ones = [{**added, **one} for one in (line, started)]
    rest = {name: value for name, value in line.items() if name != "input"}  # agent has a field of its own
    wanted = written("ecs", rest) | {
        "agent": {"name": "a", "type": "filebeat"},
        "host": {"name": "agent-host"},
        "log": {"file": {"path": "/logs/a.jsonl"}, "offset": 7},
        "service": {"name": "own", "environment": "prod"},
    }
    (first, second), (third, fourth) = real.simulate(texts), real.simulate(parsed_ones)
    for document in (first, third):
        bound = document["bamboo"]["bound"]
        assert bound.pop("input") == "mine"
        assert document.pop("agent", wanted["agent"]) == wanted["agent"]
        assert exact(document) == exact({name: value for name, value in wanted.items() if name != "agent"})
    for document in (second, fourth):
        assert document["host"] == {"name": "web-1"}
        assert document["service"] == {"name": "agent-service", "environment": "prod"}


@pytest.mark.servers
@needs_server
def test_a_shipper_that_left_the_text_beside_the_parsed_keys(real):
    """If a document has both, the pipeline uses the text, whose numbers are exact, and does not keep it a second time."""
    flat = {**FIRST, "big": 2**63}
    given = {"@timestamp": "2026-11-22T15:48:00.000Z", **FIRST, "big": 9.223372036854776e18, "message": text_of(flat)}
    (document,) = real.simulate([given])
    assert exact(document) == exact(quoted(written("ecs", flat)))


@pytest.mark.servers
@needs_server
@pytest.mark.parametrize("layout", ["native", "ecs", "otel"])
def test_no_nul_in_a_key(real, layout):
    """Elasticsearch refuses the character NUL in a key of a flattened field, so the pipeline escapes it, as the shipper does."""
    line = text_of(LAYOUTS[layout].write({**FIRST, "a\0b": "c\0", "list": [{"d\0": 1}]}))
    (document,) = real.simulate([{"message": line}])
    assert document["bamboo"]["bound"] == {r"a\u0000b": "c\0", "list": [{r"d\u0000": 1}]}


@pytest.mark.servers
@needs_server
def test_long_and_deep_lines(real):
    """A line of the greatest length and depth is taken and found."""
    name = real.stream()
    deep = {"end": "here"}
    for _ in range(18):
        deep = {"k": deep}
    flats = [
        {**FIRST, "seq": 1, "long": "é" * 15_500, "deep": deep},
        {**FIRST, "seq": 2, "session_id": "s" * 31_000},
        {**FIRST, "seq": 3, "exception": "x" * 31_000, "nul": {"a\0b": "c\0d", "": None, "a..b": [{}, []]}},
        {"timestamp": FIRST["timestamp"], "level": "info", "event": "e" * 31_000, "v": 1, "plain": True},
    ]
    assert {status for status, _, _ in real.bulk(name, [{"message": text_of(flat)} for flat in flats])} == {201}
    path = "bamboo.bound.deep." + "k." * 18 + "end"
    ((found,),) = [real.documents(name, {"term": {path: "here"}}).values()]
    assert found["bamboo"]["seq"] == 1
