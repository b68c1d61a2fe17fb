"""Records of exporters become events, each once, and every request gets the answer that OTLP has for it."""

from __future__ import annotations

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from support import DATA
from support.exporting import JSON, NS, PROTOBUF, as_protobuf, call, log_record, logs_of, metrics_of
from support.served import Served

import bamboo_logmetrics as blm
from bamboo_logmetrics import RoundCompleted
from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.importers.otlp import converter
from bamboo_logmetrics.live import acknowledging
from bamboo_logmetrics.live.receiver import Receiver, ReceiverOptions
from bamboo_logmetrics.live.receiving import receiving

OTLP = DATA / "newest" / "otlp"
SECRET = "the secret of the prompt"


class Exporter:
    """An exporter before a receiver that listens.

    Args:
        client: an HTTP client.
        url: the receiver's address.
        notes: lines for the operator so far.
    """

    def __init__(self, client, url, notes, served, receiver):
        self.notes = notes
        self.served = served
        self.receiver = receiver
        self._client = client
        self._url = url

    def post(self, body, path="/v1/logs", headers=JSON, **more):
        return self._client.request(
            more.pop("method", "POST"), self._url + path, content=body, headers={**headers, **more}
        )


@pytest.fixture
def receive(path, client, monkeypatch):
    """Run a receiver into the test's log until the block ends; however busy the disk is, it waits for it."""
    monkeypatch.setattr(acknowledging, "WAIT_SECONDS", 60.0)

    @contextmanager
    def running(durability="write", **options):
        notes = []
        with (
            receiving(str(path), durability, notes.append) as (_, acknowledger),
            Served(receiver := Receiver(acknowledger, ReceiverOptions(**options))) as served,
        ):
            yield Exporter(client, served.url, notes, served, receiver)

    return running


def rounds_in(path):
    return [line.event for line in blm.read(path) if isinstance(line.event, RoundCompleted)]


def lines_in(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# -- records become events --------------------------------------------------------------------------


@pytest.mark.parametrize("durability", ["write", "fsync"])
@pytest.mark.parametrize("form", [JSON, PROTOBUF])
def test_an_acknowledged_call_is_in_the_file(receive, path, form, durability):
    """When the answer is there, the events are in the file."""
    body = logs_of(call())
    with receive(durability) as exporter:
        answer = exporter.post(body if form is JSON else as_protobuf(body), headers=form)
        assert (answer.status_code, answer.content) == (200, b"{}" if form is JSON else b"")
        assert answer.headers["content-type"] == form["content-type"]
        (one,) = rounds_in(path)
    assert (one.usage.prompt_tokens, one.usage.completion_tokens) == (11, 5)
    assert blm.verify([path]).ok


@pytest.mark.parametrize("restarted", [False, True])
def test_what_is_sent_again_is_written_once(receive, path, restarted):
    """A record that comes again, in the other form or after a restart, is acknowledged and not written."""
    body = logs_of(call(), call(5))
    with receive() as exporter:
        assert exporter.post(body).status_code == 200
        before = path.read_bytes()
        if not restarted:
            assert exporter.post(as_protobuf(body), headers=PROTOBUF).status_code == 200
            assert path.read_bytes() == before
    if restarted:
        with receive() as exporter:
            assert exporter.post(as_protobuf(body), headers=PROTOBUF).status_code == 200
    assert len(rounds_in(path)) == 2
    assert len([line for line in blm.read(path) if isinstance(line.event, blm.SessionStarted)]) == 1


def test_the_ids_are_read_from_the_log_after_a_crash(receive, path):
    """A store that is behind the log is no reason to write anything twice."""
    with receive() as exporter:
        exporter.post(logs_of(call()))
    store = path.with_name(".a.jsonl.import.sqlite")
    store.unlink()
    with receive() as exporter:
        assert exporter.post(logs_of(call())).status_code == 200
    assert len(rounds_in(path)) == 1


def test_many_at_once(receive, path):
    """Requests that come at the same time are all answered when all is in the file."""
    with receive() as exporter, ThreadPoolExecutor(8) as pool:
        bodies = [logs_of(call(number)) for number in range(40)]
        assert {one.status_code for one in pool.map(exporter.post, bodies + bodies)} == {200}
        assert len(rounds_in(path)) == 40


def test_metrics_of_tokens_are_named_once(receive, path):
    """Metrics that sum up calls are acknowledged, not written, and named once; others are plain lines."""
    with receive() as exporter:
        for _ in range(2):
            answer = exporter.post(metrics_of("claude_code.token.usage", "cpu"), "/v1/metrics")
            assert answer.status_code == 200
    assert [note for note in exporter.notes if "token.usage" in note] == [
        f"claude_code.token.usage: {converter.SUMMED}"
    ]
    assert [line["event"] for line in lines_in(path) if not line["event"].startswith("system.")] == ["cpu"]


def test_unknown_records_are_plain_lines(receive, path):
    """Unknown is a plain line without its contents, counted, and named once."""
    body = logs_of(log_record(0, SECRET, event__name="app.thing", text=SECRET), service="app")
    with receive() as exporter:
        assert exporter.post(body).json() == {}  # an exporter may print warnings, and Gemini CLI does
        again = logs_of(log_record(7, SECRET, event__name="app.thing"), service="app")
        assert exporter.post(again).json() == {}
    assert exporter.notes == [f"app.thing: {converter.UNKNOWN}"]
    (first, second) = [line for line in lines_in(path) if line["event"] == "app.thing"]
    assert first["otlp_signal"] == second["otlp_signal"] == "log"
    assert SECRET not in path.read_text(encoding="utf-8")


def test_a_record_that_cannot_be_used(receive, path, monkeypatch):
    """One bad record is rejected, and told; the others of its request are written."""
    made = converter.Converter.events_of

    def failing(self, record):
        if record.time_ns == NS:
            raise KeyError
        return made(self, record)

    monkeypatch.setattr(converter.Converter, "events_of", failing)
    with receive() as exporter:
        for _ in range(2):
            answer = exporter.post(logs_of(call(0), call(1))).json()
            assert answer == {"partialSuccess": {"rejectedLogRecords": "1", "errorMessage": "1 records cannot be used"}}
        assert exporter.notes == ["a record cannot be used (KeyError); its exporter is told"]
    assert len(rounds_in(path)) == 1


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_the_sdk_for_python(receive, path, compression):
    """A span of OpenTelemetry's own SDK and exporter is a round, and its tool call belongs to it."""
    with receive() as exporter:
        sender = OTLPSpanExporter(f"{exporter.served.url}/v1/traces", compression=compression)
        provider = TracerProvider(resource=Resource({"service.name": "my-agent"}), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(sender))
        tracer = provider.get_tracer("tests")
        values = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5", "gen_ai.conversation.id": "s-1"}
        tokens = {"gen_ai.usage.input_tokens": 11, "gen_ai.usage.output_tokens": 5, "gen_ai.input.messages": SECRET}
        with tracer.start_as_current_span("chat gpt-5", attributes={**values, **tokens}):
            pass
        tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "ls", "gen_ai.conversation.id": "s-1"}
        with tracer.start_as_current_span("execute_tool ls", attributes=tool):
            pass
        provider.shutdown()
        (one,) = rounds_in(path)
    (called,) = [line.event for line in blm.read(path) if isinstance(line.event, blm.ToolCalled)]
    assert (one.session_id, one.usage.prompt_tokens, one.usage.completion_tokens) == ("s-1", 11, 5)
    assert (called.tool_name, called.round_id) == ("ls", one.round_id)
    assert SECRET not in path.read_text(encoding="utf-8")


@pytest.mark.skipif(not OTLP.exists(), reason="the samples are not there")
@pytest.mark.parametrize(
    ("folder", "totals"),
    [
        ("claude-code-2.1.332", (10, 60_490, 630, 50_130)),
        ("claude-code-2.1.197", (9, 54_417, 559, 45_109)),
        ("codex-0.171.0", (3, 6_017, 197, 4_517)),
    ],
)
def test_the_ledgers(receive, path, folder, totals):
    """Everything that agent programs sent gives the numbers of the ledger, also if all of it comes twice."""
    with receive() as exporter:
        for file in sorted((OTLP / folder).glob("*.json")) * 2:
            kind = "metrics" if "metrics" in file.name else "logs"
            assert exporter.post(file.read_bytes(), f"/v1/{kind}").status_code == 200
    usages = [one.usage for one in rounds_in(path)]
    parts = ("prompt_tokens", "completion_tokens", "cache_read_tokens")
    assert (len(usages), *(sum(getattr(one, part) or 0 for one in usages) for part in parts)) == totals


# -- requests that are not taken --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "where", "more", "status"),
    [
        (b"{", "/v1/logs", {}, 400),
        (b'{"a": 1}', "/v1/logs", {}, 400),
        (metrics_of("cpu"), "/v1/logs", {}, 400),
        (b"\xff\xff", "/v1/traces", PROTOBUF, 400),
        (b"{}", "/v1/nothing", {}, 404),
        (b"", "/v1/logs", {"method": "GET"}, 405),
        (b"{}", "/v1/logs", {"content-type": "text/plain"}, 415),
        (b"{}", "/v1/logs", {"content-encoding": "br"}, 415),
        (b"{}", "/v1/logs", {"content-encoding": "gzip"}, 400),
        (gzip.compress(b"{}" * 99, mtime=0)[:-9], "/v1/logs", {"content-encoding": "gzip"}, 400),
        (b"x" * 1001, "/v1/logs", {}, 413),
        (gzip.compress(b" " * 100_000, mtime=0), "/v1/logs", {"content-encoding": "gzip"}, 413),
    ],
)
def test_what_is_not_taken(receive, body, where, more, status):
    """A request that cannot be used gets a status that is not tried again, and google.rpc.Status; nothing is written."""
    with receive(max_body=1000) as exporter:
        answer = exporter.post(body, where, **more)
        assert answer.status_code == status
        assert "retry-after" not in answer.headers
        if more is PROTOBUF:
            assert answer.content.startswith(b"\x08\x03\x12")  # code 3, then the message
        else:
            assert set(answer.json()) == {"code", "message"}


def test_the_token(receive, path):
    """Without the token, or with another one, a request gets 401."""
    with receive(token="t-1") as exporter:
        for header in ("", "Bearer", "Bearer t-2", "Basic t-1", "t-1"):
            assert exporter.post(logs_of(call()), authorization=header).status_code == 401
        assert exporter.post(logs_of(call()), authorization="bearer t-1").status_code == 200
    assert len(rounds_in(path)) == 1


def test_too_many_at_once(receive):
    """A request beyond the limit gets 503 and when to try again."""
    with receive(max_concurrent=0) as exporter:
        answer = exporter.post(b"{}")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_bodies_that_do_not_fit_together(receive, path):
    """A body that does not fit beside those that wait gets 503 and when to try again; one that fits is taken."""
    body = logs_of(call())
    with receive(max_held=0, max_body=len(body)) as exporter:
        with exporter.receiver.held.holding() as take:
            take(1)
            answer = exporter.post(body)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert exporter.post(body).status_code == 200
    assert len(rounds_in(path)) == 1


def test_a_body_that_does_not_come(receive):
    """A body that pauses gets 408."""
    with receive(timeout=0.01) as exporter:
        head = b"POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"
        assert exporter.served.raw(head).startswith(b"HTTP/1.1 408 ")


def test_two_members_of_gzip(receive, path):
    """A body of several gzip members is one body."""
    body = logs_of(call())
    packed = gzip.compress(body[:50]) + gzip.compress(body[50:])
    with receive() as exporter:
        assert exporter.post(packed, **{"content-encoding": "GZIP"}).status_code == 200
    assert len(rounds_in(path)) == 1


def test_two_receivers_of_one_log(receive, path):
    """A second receiver of a log says who has it."""
    taken = pytest.raises(ConfigError, match=r"is written to by another receiver or import \(process \d+")
    with receive(), taken, receive():
        pass


def test_a_websocket(receive):
    """A WebSocket is refused."""
    handshake = (
        b"GET /v1/logs HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    with receive() as exporter:
        assert exporter.served.raw(handshake).startswith(b"HTTP/1.1 403 ")


def test_a_level_of_the_environment(receive, path, monkeypatch):
    """Acknowledged records are in the log, whatever level the environment sets for applications."""
    monkeypatch.setenv("BAMBOO_LOGMETRICS_LEVEL", "error")
    with receive() as exporter:
        assert exporter.post(logs_of(log_record(1, event__name="app.thing"), service="app")).status_code == 200
    assert [line["event"] for line in lines_in(path) if "otlp_signal" in line] == ["app.thing"]
