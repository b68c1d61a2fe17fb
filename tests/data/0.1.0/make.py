"""Write the files in this directory, with version 0.1.0 as of commit 70c9015.

In a checkout of that commit: ``PYTHONPATH=.:tests python make.py TARGET``. Each layout gets a directory: a log that two
writers wrote, the second of which was killed in the middle of a line, and what three shippers know of it. The
position of one is in the active file, of one in a rotated file, of one in a compressed file. ``expected.json`` holds
the lines, as that version reads them, and what each shipper sent.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import socket
import sys
import tempfile
from datetime import datetime, timezone

from stub_server import StubServer

import bamboo_logmetrics as blm
from bamboo_logmetrics.ship import Shipper

MAX_BYTES = {"native": 3_000, "ecs": 5_000, "otel": 7_500}


def event(number):
    """Return one of three kinds of event."""
    moment = datetime(2026, 11, 22, 15, 47, number % 60, number, tzinfo=timezone.utc)
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736" if number % 3 else None
    meta = blm.EventMeta(event_id=f"e-{number}", occurred_at=moment, trace_id=trace_id)
    ids = {"meta": meta, "round_id": "r", "session_id": "s", "latency_ms": number}
    if number % 3 == 0:
        return blm.ToolCalled(tool_call_id=f"c{number}", tool_name="sh", success=number % 2 == 0, **ids)
    if number % 3 == 1:
        usage = blm.TokenUsage(prompt_tokens=10, completion_tokens=number, total_tokens=10 + number)
        return blm.RoundCompleted(status="success", usage=usage, **ids)
    return blm.RequestCompleted(
        meta=meta, request_id=f"q{number}", status_code=200, status="success", latency_ms=number
    )


class Log:
    """A log of one layout, and the shippers that read it."""

    def __init__(self, folder, layout):
        self.path = f"{folder}/agent.jsonl"
        self.shipped = {}
        self._options = {"layout": layout, "max_bytes": MAX_BYTES[layout], "on_full": "block"}
        self._number = 0

    def open(self, compress, **bound):
        return blm.open_log(self.path, compress=compress, **self._options).bind(**bound)

    def emit(self, log, count):
        for _ in range(count):
            self._number += 1
            if self._number % 7 == 0:
                log.info("cache warmed", entries=self._number, tags=["a", {"b": None}])
            else:
                log.emit(event(self._number), project="p")
        assert log.flush(10)

    def rotate(self, log):
        before = self._rotated()
        while self._rotated() == before:
            self.emit(log, 1)

    def ship(self, to, refused):
        """Ship what is there. The server refuses the lines with one number."""
        with StubServer() as stub:
            stub.poison = lambda identity: "the server does not like this line" if identity[1] == refused else None
            done = Shipper(self.path, to=to, url=stub.url, batch_bytes=1500).run()
            sent = sorted({identity for request in stub.requests for identity in request.ids})
        self.shipped[to] = {"sent": sent, "shipped": done.shipped, "refused": done.refused}

    def _rotated(self):
        return len(glob.glob(self.path + ".2*"))


def build(layout, target):
    """Write the files of one layout."""
    with tempfile.TemporaryDirectory() as folder:
        log = Log(folder, layout)
        first = log.open("zstd", service_name="shop", env="prod")
        log.emit(first, 3)
        log.ship("elasticsearch", refused=2)
        log.emit(first, 22)
        first.close()
        second = log.open("gzip", service_name="shop")
        log.emit(second, 9)
        log.rotate(second)
        log.emit(second, 2)
        log.ship("otlp", refused=8)
        log.rotate(second)
        log.emit(second, 3)
        log.ship("loki", refused=12)
        log.emit(second, 2)
        shutil.copytree(folder, target)  # before close: the writer is killed
        second.close()
    tear(f"{target}/agent.jsonl")
    with open(f"{target}/expected.json", "w", encoding="utf-8") as file:
        file.write(expected(f"{target}/agent.jsonl", log.shipped))


def tear(path):
    """Append half of a line."""
    with open(path, "r+b") as file:
        line = file.read().splitlines(keepends=True)[-1]
        file.write(line[: len(line) // 2])


def expected(path, shipped):
    """Return the lines as this version reads them, and the shippers' results, as JSON with a line of the log in each line."""
    lines = [
        json.dumps(
            {
                "writer": line.writer,
                "seq": line.seq,
                "level": line.level,
                "text": line.text,
                "event": line.event and json.loads(line.event.to_json()),
                "own": line.own,
                "bound": dict(line.bound),
            }
        )
        for line in blm.read(path)
    ]
    report = blm.verify(path)
    verified = {"ok": report.ok, "lines": report.lines, "written": report.written, "own": report.own}
    return (
        f'{{"verify": {json.dumps(verified)},\n"shipped": {json.dumps(shipped)},\n"lines": [\n'
        + ",\n".join(lines)
        + "\n]}\n"
    )


if __name__ == "__main__":
    socket.gethostname = lambda: "web-1"
    for name in MAX_BYTES:
        build(name, os.path.join(sys.argv[1], name))
