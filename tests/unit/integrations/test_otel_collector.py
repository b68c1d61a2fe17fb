"""The printed configuration in a real OpenTelemetry Collector, which sends to a receiver in the test."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support.tools import flat

import bamboo_logmetrics as blm
from bamboo_logmetrics import integrations
from bamboo_logmetrics.format.layouts import LAYOUTS
from bamboo_logmetrics.format.layouts.otel import plain_value

COLLECTOR = os.environ.get("BAMBOO_TEST_OTELCOL")

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(not COLLECTOR, reason="BAMBOO_TEST_OTELCOL names no OpenTelemetry Collector"),
]

PATIENCE = 90
QUIET = "service: {telemetry: {metrics: {level: none}}}"  # else two collectors on one host want the same port

WRITER = """
import sys
import bamboo_logmetrics as blm

path, who, count, compress = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] or None
with blm.open_log(path, max_bytes=1_000_000, compress=compress, on_full="block", block_timeout=60) as log:
    for number in range(count):
        log.emit(
            blm.ToolCalled(
                tool_call_id=f"{who}-{number}", round_id="r", session_id="s", tool_name="grep", latency_ms=1, success=True
            ),
            filler="x" * 200,
        )
        if number % 50 == 0:
            log.flush()
"""


class Receiver:
    """Takes log records by OTLP/HTTP."""

    def __init__(self):
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

        self.records = []  # pairs of resource attributes and record
        self.ids = Counter()
        self._changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                receiver.take(ExportLogsServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_args):
                """Keep stderr clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_error):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def take(self, request):
        found = [
            (attributes(resource.resource), record)
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]
        ids = [
            pair.value.string_value for _, record in found for pair in record.attributes if pair.key == "log.record.uid"
        ]
        with self._changed:
            self.records += found
            self.ids.update(ids)
            self._changed.notify_all()

    def wait(self, count):
        """Wait until so many different records are there."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.ids) >= count, PATIENCE), f"{len(self.ids)} of {count}"


def value(data):
    from google.protobuf.json_format import MessageToDict

    return plain(MessageToDict(data))


def plain(data):
    if "kvlistValue" in data:
        return {pair["key"]: plain(pair.get("value", {})) for pair in data["kvlistValue"].get("values", [])}
    if "arrayValue" in data:
        return [plain(item) for item in data["arrayValue"].get("values", [])]
    return plain_value(data)


def attributes(owner):
    return {pair.key: value(pair.value) for pair in owner.attributes}


def unexpected_errors(text):
    """Return the errors that the collector reports, without those of a file that was renamed when it was compressed.

    The collector lists the files of a folder and then opens them one by one. A file may be gone by then; its lines are
    read under its new name, which the tests check by counting them.
    """
    renamed = re.compile(r'Failed to open file.*"error": "open [^"]*: no such file or directory"')
    return [line for line in text.splitlines() if "\terror\t" in line and not renamed.search(line)]


@pytest.fixture
def collector(tmp_path):
    """Run the collector with the configuration of a log, as often as one likes."""
    started = []

    @contextmanager
    def running(path, url, **options):
        for name, text in {
            "printed.yaml": integrations.render("otel-collector", path=str(path), url=url, **options),
            "quiet.yaml": QUIET,
        }.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        command = [COLLECTOR, *(f"--config={tmp_path / name}" for name in ("printed.yaml", "quiet.yaml"))]
        with (tmp_path / f"collector-{len(started)}.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        started.append(process)
        yield process
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        text = (tmp_path / f"collector-{len(started) - 1}.log").read_text(encoding="utf-8")
        assert process.returncode == 0, text
        assert not unexpected_errors(text), text

    yield running
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait(30)


@pytest.fixture
def receiver():
    with Receiver() as receiver:
        yield receiver


def uid(line):
    return f"{line['writer']}-{line['seq']}"


def write(path, processes, count, compress=""):
    """Let processes write to one log, and wait for their end."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    started = [
        subprocess.Popen([sys.executable, "-c", WRITER, path, str(number), str(count), compress], env=environment)
        for number in range(processes)
    ]
    assert [process.wait(PATIENCE) for process in started] == [0] * processes


def test_every_event_once_across_rotation(tmp_path, collector, receiver):
    """Four processes write a log that is rotated and compressed as fast as they can; each line is delivered once."""
    path = tmp_path / "agent.jsonl"
    with collector(path, receiver.url):
        write(path, 4, 2_000, "gzip")
        write(path, 4, 2_000, "gzip")
        lines = flat(path)
        receiver.wait(len(lines))
    assert len(list(tmp_path.glob("agent.jsonl.*.gz"))) >= 4
    assert len(lines) == 8 * (2_000 + 2)
    assert receiver.ids == Counter(map(uid, lines))


def test_every_event_once_across_a_restart(tmp_path, collector, receiver):
    """A collector that is stopped while it reads, and started again, delivers each line once."""
    path = tmp_path / "agent.jsonl"
    with collector(path, receiver.url):
        write(path, 4, 2_000)
        receiver.wait(2_000)
    write(path, 4, 2_000)
    lines = flat(path)
    with collector(path, receiver.url):
        receiver.wait(len(lines))
    assert len(list(tmp_path.glob("agent.jsonl.*"))) >= 4
    assert receiver.ids == Counter(map(uid, lines))


def one_of_each(log):
    """Write a line of each kind, and plain ones."""
    usage = blm.TokenUsage(
        prompt_tokens=5, completion_tokens=2, total_tokens=7, cache_read_tokens=1, reasoning_tokens=1
    )
    ids = {"round_id": "r", "session_id": "s"}
    meta = blm.EventMeta.with_trace_id("0af7651916cd43dd8448eb211c80319c")
    log.emit(blm.SessionStarted(session_id="s", model="m", meta=meta))
    log.emit(blm.RoundStarted(model="m", **ids))
    for status in ("success", "error", "cancelled"):
        log.emit(
            blm.RoundCompleted(
                status=status, usage=usage, latency_ms=3, error=None if status == "success" else "é😀", **ids
            )
        )
    for success in (True, False):
        log.emit(blm.ToolCalled(tool_call_id="c", tool_name="grep", latency_ms=0, success=success, **ids))
    log.emit(blm.MessageCountUpdated(session_id="s", message_count=3))
    log.emit(blm.SessionCompleted(session_id="s", status="error"))
    for endpoint in (
        "openai.chat_completions",
        "/v1/chat/completions?x=1",
        "openai.responses",
        "/v1/messages",
        "embeddings",
        "other",
    ):
        log.emit(blm.RequestStarted(request_id="q", endpoint=endpoint, model="m", is_stream=endpoint == "other"))
    for code, status in ((200, "success"), (429, "error"), (0, "timeout")):
        log.emit(
            blm.RequestCompleted(request_id="q", status_code=code, status=status, latency_ms=9, usage=usage),
            provider="openai",
        )
    log.emit(blm.MetricsDropped(count=3, reason="queue_full"))
    log.emit(blm.StorageError(error="disk full", event_type="file"))
    log.emit(blm.SessionStarted(session_id="s", model="m"), trace_id="no hex", service_name="mine", env="here")
    log.info(
        "chat.tool_called",
        success=True,
        session_id=5,
        host={"a": [1, 2.5, None]},
        attributes="x",
        line=1,
        latency_ms=-1,
    )
    log.error("trouble", error=["list"], exception="text", stack_info=True)


def expected(line):
    """Return the record of a line in the layout "otel", in the form in which the receiver gets it."""
    record = LAYOUTS["otel"].write(line)
    found = {pair["key"]: plain(pair["value"]) for pair in record["attributes"]}
    return (
        int(record["timeUnixNano"]), record["severityNumber"], record["severityText"], record.get("eventName", ""),
        record.get("traceId", ""), plain(record["body"]), found,
    )  # fmt: skip


def arrived(record):
    return (
        record.time_unix_nano, record.severity_number, record.severity_text, record.event_name,
        record.trace_id.hex(), value(record.body), attributes(record),
    )  # fmt: skip


def test_records_are_those_of_the_layout_otel(tmp_path, collector, receiver):
    """A native line arrives as the record that the layout "otel" makes of it, of the service it names or is given."""
    path = tmp_path / "agent.jsonl"
    with blm.open_log(path) as log:
        one_of_each(log)
    lines = flat(path)
    with collector(path, receiver.url, service="given", env="there"):
        receiver.wait(len(lines))
    records = {attributes(record)["log.record.uid"]: (resource, record) for resource, record in receiver.records}
    for line in lines:
        resource, record = records[uid(line)]
        assert arrived(record) == expected(line)
        named = ("mine", "here") if line.get("service_name") == "mine" else ("given", "there")
        assert resource == dict(zip(("service.name", "deployment.environment.name"), named, strict=True))


@pytest.mark.parametrize("layout", ["ecs", "otel"])
def test_lines_of_other_layouts_arrive_as_they_are(tmp_path, collector, receiver, layout):
    """A line of another layout is the body, with its time, severity, event name and id."""
    path = tmp_path / "agent.jsonl"
    with blm.open_log(tmp_path / "native.jsonl") as log:
        one_of_each(log)
    lines = flat(tmp_path / "native.jsonl")
    written = [json.dumps(LAYOUTS[layout].write(line)) for line in lines]
    path.write_text("".join(f"{line}\n" for line in written), encoding="utf-8")
    with collector(path, receiver.url):
        receiver.wait(len(lines))
    records = {attributes(record)["log.record.uid"]: record for _, record in receiver.records}
    for line, text in zip(lines, written, strict=True):
        record = records[uid(line)]
        assert arrived(record)[:4] == expected(line)[:4]
        assert record.body.string_value == text
