"""Logs that are written, changed and damaged by hand, and what verify finds in them."""

from __future__ import annotations

import gzip
import json

import bamboo_logmetrics as blm
from support.tools import physical, tool


def write_log(path, count=10, **options):
    """Write a closed log of ``count`` events and return its lines as bytes."""
    log = blm.open_log(path, on_full="block", **options)
    for number in range(count):
        log.emit(tool(number))
    assert log.close()
    return physical(path)


def put(path, lines):
    """Write lines as a file, each with its newline."""
    path.write_bytes(b"".join(line + b"\n" for line in lines))


def change(line, **values):
    """Return a line with other values in it."""
    return json.dumps(json.loads(line) | values).encode()


def rotated(path):
    """Return the rotated files of a log, the oldest first."""
    return sorted(path.parent.glob(path.name + ".2*"))


def compress(file, *, keep=False):
    """Compress a rotated file and return the compressed one."""
    packed = file.with_name(file.name + ".gz")
    packed.write_bytes(gzip.compress(file.read_bytes()))
    if not keep:
        file.unlink()
    return packed


def kinds(findings):
    return [finding.kind for finding in findings]


FOREIGN = {
    "object": b'{"msg":"hello"}',
    "number": b"12",
    "no writer": b'{"timestamp":"2026-01-01T00:00:00Z","level":"info","event":"x","v":1}',
    "text for a number": b'{"event":"x","v":1,"writer":"aaaaaaaaaaaaaaaaaaaa","seq":"1"}',
    "number zero": b'{"event":"x","v":1,"writer":"aaaaaaaaaaaaaaaaaaaa","seq":0}',
    "other writer": b'{"event":"x","v":1,"writer":"\\u001b[31m","seq":1}',
    "huge number": b'{"a":1e999}',
    "version": b'{"event":"x","v":"2","writer":"aaaaaaaaaaaaaaaaaaaa","seq":1}',
}
