"""Rows 48 and 49: files and answers that would fill the memory; each command stays below 200 MB."""

from __future__ import annotations

import gzip
import os
import zlib

import pytest
from support.hostile import FILES, MIB, line, newlines, peak
from support.stub_server import Reply, StubServer

import bamboo_logmetrics as blm

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs /proc")
MOST = 200_000_000 // MIB


@pytest.mark.parametrize("name", FILES)
def test_row_48_verify_and_read(path, name):
    """Whatever lies beside a log, verify and read take less than 200 MB, and verify does not call it complete."""
    FILES[name](path)
    assert max(peak("verify", path), peak("read", path)) < MOST


@pytest.mark.parametrize("name", FILES)
def test_row_48_ship(path, name):
    """Whatever lies beside a log, a shipper takes less than 200 MB."""
    FILES[name](path)
    with StubServer() as stub:
        assert peak("ship", path, stub.url) < MOST


def test_row_48_empty_lines(path):
    """Hundreds of millions of empty lines are counted, in little memory and time."""
    newlines(path)
    assert peak("verify", path) < MOST
    assert blm.verify(path).broken_lines == 300 * MIB


def test_row_48_too_many_writers(path):
    """Beyond the writers that are remembered, lines are counted, and the log is not accounted for."""
    FILES["300,000 writers"](path)
    report = blm.verify(path)
    assert len(report.writers) == 120_000
    assert "180,000 lines of others are not accounted for" in str(report.problems)


def test_row_48_too_many_gaps(path):
    """Beyond the gaps that are remembered, lines count as missing, and the report says so."""
    FILES["400,000 gaps"](path)
    report = blm.verify(path)
    assert "lines that are there count as missing" in str(report.problems)
    assert report.writers[0].lines == 400_000


def _bomb():
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(MIB)) for _ in range(600)) + packer.flush()


BODIES = {
    "gzip": (_bomb, "gzip"),
    "gzip twice": (lambda: gzip.compress(_bomb()), "gzip, gzip"),
    "zstd": (lambda: b"\x28\xb5\x2f\xfd\x00\x58" + b"\x02\x00\x10\x00" * 25_000, "zstd"),
    "items": (lambda: b'{"errors":true,"items":[' + b"{}," * 2_700_000 + b"{}]}", "identity"),
    "causes": (
        lambda: b'{"errors":true,"items":[{"create":{"status":400,"error":{"caused_by":['
        + b"[]," * 2_600_000 + b"[]]}}}]}",
        "identity",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_row_49_answers(path, name):
    """Whatever a server answers, a shipper takes less than 200 MB, and does not count the line as delivered."""
    make, encoding = BODIES[name]
    path.write_bytes(line(1))
    with StubServer() as stub:
        stub.reply(*[Reply(200, headers={"Content-Encoding": encoding}, body=make())] * 3)
        assert peak("ship", path, stub.url) < MOST
        assert len(stub.kept) <= 1
