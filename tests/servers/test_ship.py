"""Small logs delivered to real servers; tests/servers/start gives the variables that say where they are.

Loki is the one that BAMBOO_TEST_LOKI_URL names, or else a stub with its documented rules.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections import Counter
from datetime import datetime, timedelta, timezone

import httpx
import pytest
from support.loki_server import LokiServer
from support.stub_server import StubServer
from support.tools import flat

import bamboo_logmetrics as blm
from bamboo_logmetrics.format import flatten
from bamboo_logmetrics.format.layouts import LAYOUTS
from bamboo_logmetrics.format.strict_json import encode
from bamboo_logmetrics.ship import Credentials, Shipper
from bamboo_logmetrics.ship.http import Server

pytestmark = pytest.mark.servers

HOUR = timedelta(hours=1)
ODD = {"beyond": 2**64 - 1, "nested": {"a": [1, None, {"b": 2**63 - 1}]}}  # too odd for an index without a mapping


def variable(name):
    """Return the value of an environment variable, or skip the test."""
    return os.environ.get(f"BAMBOO_TEST_{name}") or pytest.skip(f"BAMBOO_TEST_{name} is not set")


@pytest.fixture
def service():
    """Name a service that no other run has."""
    return f"t{secrets.token_hex(8)}"


@pytest.fixture
def requests(monkeypatch):
    """Note the size of each request."""
    sizes = []
    post = Server.post
    monkeypatch.setattr(Server, "post", lambda server, body: sizes.append(len(body)) or post(server, body))
    return sizes


@pytest.fixture
def ship(tmp_path, service):
    """Ship the test's log under a name of a shipper; return what came of it and what was said."""

    def shipping(to, url, name="first", **options):
        said = []
        shipper = Shipper(
            tmp_path / "a.jsonl", to=to, url=url, name=name, service=service, env="test", on_trouble=said.append, **options
        )  # fmt: skip
        return shipper.run(give_up_after=60), said

    return shipping


class Hand:
    """A log that is written with times of the past.

    Args:
        path: its file.
        layout: how its lines are written.
    """

    def __init__(self, path, layout="native"):
        self.path, self.layout, self.ids = path, layout, []
        self.writer = secrets.token_hex(10)
        self.now = datetime.now(timezone.utc)

    def write(self, ages, text="", **bound):
        """Append an event for each age."""
        with open(self.path, "ab") as file:
            for age in ages:
                seq = len(self.ids) + 1
                meta = blm.EventMeta(event_id=f"e{seq}", occurred_at=self.now - age, trace_id=f"{seq:032x}")
                event = blm.ToolCalled(
                    meta=meta, tool_call_id=f"c{seq}", round_id="r", session_id="größe", tool_name="t", latency_ms=1, success=seq % 2 == 0
                )  # fmt: skip
                line = flatten.expand(event, {**bound, "note": text} if text else bound, writer=self.writer, seq=seq)
                file.write(encode(LAYOUTS[self.layout].write(line)) + b"\n")
                self.ids.append((self.writer, seq))


@pytest.fixture
def hand(tmp_path):
    return Hand(tmp_path / "a.jsonl")


def write_every_kind(path, **bound):
    """Write a log with chats, requests, plain lines and what the log says itself; return its lines by what they are known by."""
    with blm.open_log(path) as log:
        log.bind(project="größer 大").emit(blm.SessionStarted(session_id="s", model="m"))
        log.emit(blm.RequestStarted(request_id="q", model="m", is_stream=True, endpoint="/v1/chat"))
        log.emit(blm.RequestCompleted(request_id="q", status_code=500, status="error", latency_ms=1, error="x"))
        log.bind(**bound).emit(blm.SessionCompleted(session_id="s", status="completed"))
        log.warning("a plain line", session_id="s")
    return by_id(flat(path))


def by_id(lines):
    return {(line["writer"], line["seq"]): line for line in lines}


def letters(folder, name="first"):
    """Return the entries of a shipper's dead-letter file."""
    path = folder / f".a.jsonl.{name}.dead-letter"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


# -- Loki --------------------------------------------------------------------------------


@pytest.fixture
def loki():
    """Give the URL of a Loki: the one that the environment names, or else a stub with Loki's documented rules."""
    if url := os.environ.get("BAMBOO_TEST_LOKI_URL"):
        yield url
        return
    with StubServer() as stub:
        LokiServer().install(stub)
        yield stub.url


@pytest.fixture
def real_loki():
    """Give the URL of a real Loki: limits of rate and size are not in the stub."""
    return variable("LOKI_URL")


def in_loki(url, service, **range_):
    """Return Loki's entries of a service, from LogQL: (labels, time, line, metadata) of each."""
    query = {"query": f'{{service_name="{service}"}}', "limit": 5000, **range_}
    headers = {"X-Loki-Response-Encoding-Flags": "categorize-labels"}
    answer = httpx.get(f"{url}/loki/api/v1/query_range", params=query, headers=headers, timeout=30)
    answer.raise_for_status()
    streams = answer.json()["data"]["result"]
    return [(stream["stream"], *value) for stream in streams for value in stream["values"]]


def count_in_loki(url, service):
    query = {"query": f'sum(count_over_time({{service_name="{service}"}}[3h]))'}
    [found] = (
        httpx.get(f"{url}/loki/api/v1/query", params=query, timeout=30).raise_for_status().json()["data"]["result"]
    )
    return int(found["value"][1])


def test_loki(loki, ship, service, tmp_path):
    """A query returns the lines byte for byte, at their times, under four labels, with their ids as metadata."""
    lines = write_every_kind(tmp_path / "a.jsonl", **ODD)
    done, said = ship("loki", loki)
    assert (done, set(said) - {""}) == ((len(lines), 0, 0), set())
    written = {(line["writer"], line["seq"]): raw for line, raw in zip(flat(tmp_path / "a.jsonl"), (tmp_path / "a.jsonl").read_bytes().splitlines(), strict=True)}  # fmt: skip
    found = in_loki(loki, service)
    assert count_in_loki(loki, service) == len(found) == len(lines)
    for labels, time_ns, text, more in found:
        metadata = more["structuredMetadata"]
        known = (metadata.pop("writer"), int(metadata.pop("seq")))
        line = lines.pop(known)
        assert text.encode() == written[known]
        family = "plain" if "plain" in line else line["event"].partition(".")[0]
        assert labels == {"service_name": service, "env": "test", "family": family, "level": line["level"]}
        metadata.pop("detected_level", None)  # Loki's own
        ids = {"event_id", "trace_id", "session_id", "round_id", "tool_call_id", "request_id"} & set(line)
        assert metadata == {name: line[name] for name in ids}
        moment = datetime.strptime(line["timestamp"], "%Y-%m-%dT%H:%M:%S.%f%z")
        assert int(time_ns) == (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1) * 1000


def test_loki_keeps_what_comes_twice_once(loki, ship, service, hand):
    """A batch that is sent twice is there once."""
    hand.write([timedelta(seconds=second) for second in range(600, 0, -1)])
    for name in ("first", "second"):
        done, said = ship("loki", loki, name)
        assert (done, set(said) - {""}) == ((600, 0, 0), set())
    assert count_in_loki(loki, service) == 600


def test_loki_refuses_old_lines(loki, ship, hand, *, service, requests, tmp_path):
    """Lines of more than a week ago are dead letters, those of the same batch within it arrive, with a few requests."""
    hand.write([timedelta(days=9) - timedelta(seconds=second) for second in range(3_000)])
    hand.write([timedelta(seconds=second) for second in range(100, 0, -1)])
    done, said = ship("loki", loki, batch_bytes=16 * 1024 * 1024)
    assert (done, set(said) - {""}) == ((100, 3_000, 0), set())
    assert len(requests) == 3  # one for each half hour
    assert [(letter["writer"], letter["seq"]) for letter in letters(tmp_path)] == hand.ids[:3_000]
    assert all("timestamp too old" in letter["reason"] for letter in letters(tmp_path))
    found = [int(more["structuredMetadata"]["seq"]) for *_, more in in_loki(loki, service)]
    assert sorted(found) == list(range(3_001, 3_101))


def test_loki_refuses_only_old_lines(loki, ship, hand, requests, tmp_path):
    """A log that is wholly too old is refused wholly, though Loki has taken nothing of it."""
    hand.write([timedelta(days=8)] * 5)
    assert ship("loki", loki)[0] == (0, 5, 0)
    assert len(requests) == 1
    assert len(letters(tmp_path)) == 5


def test_loki_refuses_lines_far_behind(loki, ship, hand, *, service, requests, tmp_path):
    """Sent again, lines more than an hour behind the newest of their stream are refused, though they are there: a few requests."""
    hand.write([timedelta(seconds=second) for second in range(8_000, 0, -8)])
    assert ship("loki", loki)[0] == (1_000, 0, 0)
    requests.clear()
    done, _ = ship("loki", loki, "second")
    assert done.shipped + done.refused == 1_000
    assert 500 < done.refused < 600
    assert len(requests) <= 20  # for each half hour: all, and each of two streams
    refused = letters(tmp_path, "second")
    assert sorted(letter["seq"] for letter in refused) == list(range(1, done.refused + 1))
    assert all("too far behind" in letter["reason"] for letter in refused)
    found = in_loki(loki, service, since="3h")
    assert {int(more["structuredMetadata"]["seq"]) for *_, more in found} == set(range(1, 1_001))
    assert len(found) <= 1_000 + done.shipped  # Loki leaves out what it has in hand, not what it has put away


def test_loki_refuses_a_line_for_another_reason(loki, ship, service, hand, tmp_path):
    """A line that is too long for Loki is found among the others, which arrive."""
    ages = [timedelta(seconds=second) for second in range(40, 20, -1)]
    hand.write(ages)
    hand.write([timedelta(seconds=20)], text="x" * 300_000)
    hand.write([timedelta(seconds=second) for second in range(19, 0, -1)])
    assert ship("loki", loki)[0] == (39, 1, 0)
    [letter] = letters(tmp_path)
    assert letter["seq"] == 21
    assert "max entry size" in letter["reason"]
    assert count_in_loki(loki, service) == 39


def test_lokis_rate_limit(real_loki, ship, service, hand):
    """A batch that is too fast for Loki is sent again until it is taken: nothing is refused, lost or doubled."""
    hand.write([timedelta(milliseconds=10 * number) for number in range(1_500, 0, -1)], text="x" * 30_000)
    done, said = ship("loki", real_loki)
    assert done == (1_500, 0, 0)
    assert any("429" in text and "rate limit" in text for text in said)
    assert count_in_loki(real_loki, service) == 1_500


def test_more_than_loki_takes_at_once(real_loki, ship, service, hand):
    """A batch within Loki's limits that its parts cannot pass on is answered with 500: in halves it is taken."""
    hand.write([timedelta(milliseconds=10 * number) for number in range(180, 0, -1)], text="x" * 30_000)
    done, said = ship("loki", real_loki, batch_bytes=16 * 1024 * 1024)
    assert done == (180, 0, 0)
    assert any("500" in text and "larger than max" in text for text in said)
    assert count_in_loki(real_loki, service) == 180


def test_loki_as_an_otlp_server(loki, ship, service, hand):
    """Loki takes OTLP as well, under /otlp."""
    hand.write([timedelta(seconds=second) for second in range(10, 0, -1)])
    assert ship("otlp", f"{loki}/otlp")[0] == (10, 0, 0)
    assert count_in_loki(loki, service) == 10


def test_loki_takes_128_attributes_by_otlp(loki, ship, service, hand, tmp_path):
    """By OTLP a line with more values than Loki takes as structured metadata is a dead letter; by --to loki it arrives."""
    hand.write([HOUR], **{f"key_{number}": number for number in range(140)})
    hand.write([HOUR], **{f"key_{number}": number for number in range(100)})
    assert ship("otlp", f"{loki}/otlp")[0] == (1, 1, 0)
    [letter] = letters(tmp_path)
    assert letter["seq"] == 1
    assert "max_structured_metadata_entries_count" in letter["reason"]
    assert ship("loki", loki, "second")[0] == (2, 0, 0)


def test_a_loki_with_tenants(tmp_path, hand):
    """A Loki that demands a tenant and gets none is told apart from one that demands a password: the remedy is named."""
    hand.write([HOUR])
    with StubServer() as stub:
        LokiServer(tenants=True).install(stub)
        with pytest.raises(Exception, match=r"no org id \(this server has tenants: give --tenant"):
            Shipper(hand.path, to="loki", url=stub.url).run(give_up_after=0)
        assert Shipper(hand.path, to="loki", url=stub.url, access=Credentials(tenant="t")).run() == (1, 0, 0)


def test_a_wrong_path_of_loki(loki, ship, hand):
    """At a path that Loki does not have, nothing is refused; the shipper waits, and gives up when it was told to."""
    hand.write([HOUR] * 3)
    with pytest.raises(Exception, match="404"):
        Shipper(hand.path, to="loki", url=f"{loki}/nope").run(give_up_after=0)


# -- VictoriaLogs ------------------------------------------------------------------------


@pytest.fixture
def victorialogs():
    return variable("VICTORIALOGS_URL")


def in_victorialogs(url, service):
    """Return VictoriaLogs' entries of a service, from LogsQL: the fields of each line."""
    httpx.get(f"{url}/internal/force_flush", timeout=30).raise_for_status()
    query = {"query": f'{{"service_name"="{service}"}} or {{"service.name"="{service}"}}', "limit": "10000"}
    answer = httpx.post(f"{url}/select/logsql/query", data=query, timeout=30).raise_for_status()
    return [json.loads(line) for line in answer.text.splitlines()]


@pytest.mark.parametrize("layout", ["native", "ecs", "otel"])
def test_victorialogs(victorialogs, ship, service, *, tmp_path, layout):
    """VictoriaLogs takes the push interface of Loki: all lines of every layout, with the message where it is told."""
    lines = write_every_kind(tmp_path / "a.jsonl")
    written = [encode(LAYOUTS[layout].write(line)) + b"\n" for line in flat(tmp_path / "a.jsonl")]
    (tmp_path / "a.jsonl").write_bytes(b"".join(written))
    url = f"{victorialogs}/insert?_msg_field=event,message,body.stringValue"
    assert ship("loki", url)[0] == (len(lines), 0, 0)
    found = in_victorialogs(victorialogs, service)
    assert sorted((item["writer"], int(item["seq"])) for item in found) == sorted(lines)
    for item in found:
        line = lines[item["writer"], int(item["seq"])]
        assert item["_msg"] == line["event"]
        assert item["env"] == "test"
        assert item["level"] == line["level"]
        assert item.get("session_id") == line.get("session_id")
        assert item["_time"].rstrip("Z").ljust(26, "0") == line["timestamp"].rstrip("Z")
        if layout == "native":
            assert item.get("project") == line.get("project")


def test_victorialogs_as_elasticsearch(victorialogs, ship, service, tmp_path):
    """VictoriaLogs takes bulk requests at /insert/elasticsearch, with the path of the interface or without."""
    lines = write_every_kind(tmp_path / "a.jsonl")
    query = "?_msg_field=message&_time_field=@timestamp&_stream_fields=service.name"
    for name, path in (("first", "/insert/elasticsearch"), ("second", "/insert/elasticsearch/_bulk")):
        assert ship("elasticsearch", f"{victorialogs}{path}{query}", name)[0] == (len(lines), 0, 0)
    found = in_victorialogs(victorialogs, service)
    assert len(found) == 2 * len(lines)
    assert {(item["bamboo.writer"], int(item["bamboo.seq"])) for item in found} == set(lines)
    assert {item["_msg"] for item in found} == {line["event"] for line in lines.values()}


def test_victorialogs_with_otlp(victorialogs, ship, service, tmp_path):
    """VictoriaLogs takes OTLP under /insert/opentelemetry: all lines, with their attributes."""
    lines = write_every_kind(tmp_path / "a.jsonl")
    assert ship("otlp", f"{victorialogs}/insert/opentelemetry")[0] == (len(lines), 0, 0)
    found = in_victorialogs(victorialogs, service)
    assert sorted((item["bamboo.writer"], int(item["bamboo.seq"])) for item in found) == sorted(lines)
    assert {item["_msg"] for item in found} == {line["event"] for line in lines.values()}


def test_a_wrong_path_of_victorialogs(victorialogs, ship, hand, tmp_path):
    """At a path that VictoriaLogs does not have, it answers 400 to everything: no line becomes a dead letter."""
    hand.write([HOUR] * 100)
    with pytest.raises(Exception, match=r"unsupported path.*\(VictoriaLogs takes lines at /insert.*right URL\?"):
        Shipper(hand.path, to="loki", url=victorialogs, name="first").run(give_up_after=0)
    assert letters(tmp_path) == []
    assert ship("loki", f"{victorialogs}/insert", moved=True)[0] == (100, 0, 0)


# -- Elasticsearch, or OpenSearch ----------------------------------------------------------


@pytest.fixture
def elasticsearch():
    return variable("ELASTICSEARCH_URL")


@pytest.fixture
def index(elasticsearch, service):
    """Name an index that no other run has; it is removed after the test."""
    yield f"logs-{service}-test"
    httpx.delete(f"{elasticsearch}/_data_stream/logs-{service}-test", timeout=30)
    httpx.delete(f"{elasticsearch}/logs-{service}-test", timeout=30)


def in_elasticsearch(url, index):
    """Return the documents of an index, by id."""
    httpx.post(f"{url}/{index}/_refresh", timeout=60).raise_for_status()
    answer = httpx.get(f"{url}/{index}/_search", params={"size": 10_000}, timeout=60).raise_for_status()
    return {hit["_id"]: hit["_source"] for hit in answer.json()["hits"]["hits"]}


def test_elasticsearch_at_its_bulk_url(elasticsearch, index, ship, hand):
    """A URL that ends in the path of bulk requests is understood; keys with the character NUL arrive."""
    hand.write([HOUR] * 2, **{"a\0b": {"c\0": 1}})
    assert ship("elasticsearch", f"{elasticsearch}/_bulk", data_stream=index)[0] == (2, 0, 0)
    found = in_elasticsearch(elasticsearch, index)
    assert [item["bamboo"]["bound"] for item in found.values()] == [{r"a\u0000b": {r"c\u0000": 1}}] * 2


@pytest.mark.parametrize("layout", ["native", "ecs", "otel"])
def test_elasticsearch(elasticsearch, index, ship, *, service, tmp_path, layout):
    """Each line is one document under its id, as the layout ecs writes it; sent twice it is there once."""
    lines = write_every_kind(tmp_path / "a.jsonl")
    written = [encode(LAYOUTS[layout].write(line)) + b"\n" for line in flat(tmp_path / "a.jsonl")]
    (tmp_path / "a.jsonl").write_bytes(b"".join(written))
    for name in ("first", "second"):
        done, said = ship("elasticsearch", elasticsearch, name, data_stream=index)
        assert (done, set(said) - {""}) == ((len(lines), 0, 0), set())
    expected = {}
    for (writer, seq), line in lines.items():
        expected[f"{writer}-{seq}"] = json.loads(encode(LAYOUTS["ecs"].write(line))) | {"service": {"name": service, "environment": "test"}}  # fmt: skip
    assert in_elasticsearch(elasticsearch, index) == expected


def test_elasticsearch_makes_a_plain_index(elasticsearch, index, hand):
    """Without a template a server may make a plain index: the lines arrive, and what is to be done is said once."""
    hand.write([HOUR] * 4)
    notices = []
    options = {"data_stream": index, "batch_bytes": 1, "on_notice": notices.append}
    assert Shipper(hand.path, to="elasticsearch", url=elasticsearch, **options).run(give_up_after=60) == (4, 0, 0)
    plain = not httpx.get(f"{elasticsearch}/_resolve/index/{index}", timeout=60).json()["data_streams"]
    assert [notice[: len(index) + 5] for notice in notices] == [f"{index} is a"] * plain


def test_elasticsearch_refuses_a_document(elasticsearch, index, ship, hand, tmp_path):
    """A document that does not fit the index is a dead letter with the reason; the others arrive, whatever stands before."""
    hand.write([HOUR] * 3, clash=1)
    hand.write([HOUR], clash="text")
    hand.write([HOUR] * 3, clash=2)
    assert ship("elasticsearch", elasticsearch, data_stream=index)[0] == (6, 1, 0)
    [letter] = letters(tmp_path)
    assert letter["seq"] == 4
    assert letter["reason"].startswith("400: ")
    assert "text" in letter["reason"]
    assert len(in_elasticsearch(elasticsearch, index)) == 6


def test_elasticsearch_with_a_blocked_index(elasticsearch, index, tmp_path, hand, service):
    """While an index is blocked, as on a full disk, all lines wait; when it is not any more, all arrive."""
    settings = f"{elasticsearch}/{index}/_settings"
    httpx.put(f"{elasticsearch}/{index}", timeout=60).raise_for_status()
    httpx.put(settings, json={"index.blocks.write": True}, timeout=60).raise_for_status()
    hand.write([HOUR] * 20)
    said = []

    def hear(text):
        said.append(text)
        if text:
            httpx.put(settings, json={"index.blocks.write": None}, timeout=60).raise_for_status()

    shipper = Shipper(hand.path, to="elasticsearch", url=elasticsearch, data_stream=index, on_trouble=hear)
    assert shipper.run(give_up_after=60) == (20, 0, 0)
    assert any(text.startswith("403: cluster_block_exception") for text in said)
    assert len(in_elasticsearch(elasticsearch, index)) == 20
    assert not list(tmp_path.glob(".*.dead-letter"))


# -- an OpenTelemetry collector ----------------------------------------------------------------


@pytest.fixture
def collected(service):
    """Read what a collector writes from now on, until so many log records of the service have come."""
    path = variable("OTLP_FILE")
    size = os.path.getsize(path) if os.path.exists(path) else 0
    tail = subprocess.Popen(
        ["tail", "-c", f"+{size + 1}", "-F", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )

    def reading(count):
        found = []
        while len(found) < count:
            for resource in json.loads(tail.stdout.readline())["resourceLogs"]:
                attributes = {
                    item["key"]: item["value"]["stringValue"] for item in resource["resource"].get("attributes", ())
                }
                if attributes.get("service.name") == service:
                    assert attributes == {"service.name": service, "deployment.environment.name": "test"}
                    found += [item for scope in resource["scopeLogs"] for item in scope["logRecords"]]
        return found

    yield reading
    tail.kill()
    tail.communicate()


@pytest.mark.parametrize("layout", ["native", "ecs", "otel"])
def test_otlp(ship, collected, tmp_path, layout):
    """A collector writes each log record as the layout otel does: times, severities, attributes and names."""
    url = variable("OTLP_URL")
    lines = write_every_kind(tmp_path / "a.jsonl", **ODD)
    written = [encode(LAYOUTS[layout].write(line)) + b"\n" for line in flat(tmp_path / "a.jsonl")]
    (tmp_path / "a.jsonl").write_bytes(b"".join(written))
    assert ship("otlp", url)[0] == (len(lines), 0, 0)
    found = collected(len(lines))
    assert len(found) == len(lines)
    expected = {
        f"{writer}-{seq}": json.loads(encode(LAYOUTS["otel"].write(line))) for (writer, seq), line in lines.items()
    }
    for item in found:
        attributes = {pair["key"]: pair["value"] for pair in item["attributes"]}
        wanted = expected.pop(attributes["log.record.uid"]["stringValue"])
        assert item["timeUnixNano"] == item.pop("observedTimeUnixNano") == wanted["timeUnixNano"]
        for name in ("severityNumber", "severityText", "body", "eventName", "traceId"):
            assert item.get(name, "") == wanted.get(name, ""), name
        assert plain(attributes) == plain({pair["key"]: pair["value"] for pair in wanted["attributes"]})
    assert expected == {}


def plain(attributes):
    """Return attributes in one form: the collector writes large fractions with an exponent, and an empty list not at all."""
    return json.loads(json.dumps(attributes).replace('{"values": []}', "{}"), parse_int=float)


def test_otlp_trace_ids_and_counts(ship, collected, hand):
    """Trace ids come as they are, and each line of several batches comes once."""
    url = variable("OTLP_URL")
    hand.write([timedelta(seconds=second) for second in range(3_000, 0, -1)])
    assert ship("otlp", url, batch_bytes=128 * 1024)[0] == (3_000, 0, 0)
    found = Counter(item["traceId"] for item in collected(3_000))
    assert found == Counter(f"{seq:032x}" for seq in range(1, 3_001))
