"""Reads the records of a file: JSON on lines, length-prefixed blocks, or whole objects, compressed or not.

The collector's file exporter writes a line for each request. With ``compression: zstd`` it writes blocks instead: four
bytes with the length, and then a request that is compressed by itself.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.format.strict_json import encodable
from bamboo_logmetrics.importers.base import ImportReport
from bamboo_logmetrics.importers.otlp import json_form
from bamboo_logmetrics.importers.otlp.records import NotOtlpError, TelemetryRecord
from bamboo_logmetrics.importers.sources import lines_of
from bamboo_logmetrics.logfiles.compression import need_zstd

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
LENGTH = 4  # bytes before each block
MOST_BLOCK = 1 << 28  # bytes, plain


def batches_of(path: Path, report: ImportReport) -> Iterator[list[TelemetryRecord]]:
    """Yield the records of each request in a file, and report what is none. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(LENGTH + len(ZSTD_MAGIC))
    if is_blocks(head):
        yield from _of_blocks(path, report)
        return
    pending: list[bytes] = []  # of an object on several lines
    for number, raw in lines_of(path, report):
        if pending or raw.rstrip() == b"{":
            pending.append(raw)
            if not raw.startswith((b"}", b"]")):
                continue
            raw, pending = b"".join(pending), []  # noqa: PLW2901 - the whole object
        if raw.strip():
            yield from _batch(path, report, number, raw)
    if pending:
        report.problem(path, "ends within an object", 1)


def is_blocks(head: bytes) -> bool:
    """Return True if a file that begins so consists of compressed blocks."""
    return head[LENGTH:].startswith(ZSTD_MAGIC)


def _batch(path: Path, report: ImportReport, number: int, raw: bytes) -> Iterator[list[TelemetryRecord]]:
    """Yield the records of one object; report it if it is none."""
    try:
        yield list(json_form.records_of(raw))
    except NotOtlpError as error:
        document = _of_sdk(raw)
        if document is None:
            report.problem(path, str(error), number)
        else:
            yield list(json_form.records_of_sdk(document))


def _of_sdk(raw: bytes) -> dict[str, Any] | None:
    """Return an object that the SDK for JavaScript printed; None if it is none."""
    try:
        document = encodable(json.loads(raw))
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) and json_form.is_of_sdk(document) else None


def _of_blocks(path: Path, report: ImportReport) -> Iterator[list[TelemetryRecord]]:
    try:
        zstd = need_zstd()
    except ConfigError as error:
        raise OSError(str(error)) from None
    number = 0
    with path.open("rb") as file:
        while head := file.read(LENGTH):
            number += 1
            size = int.from_bytes(head, "big")
            block = file.read(size) if size <= MOST_BLOCK else b""
            report.progress(len(head) + len(block))
            if len(head) < LENGTH or len(block) < size:
                report.problem(path, "ends within a block", number)
                return
            try:
                raw = _plain(zstd, block)
            except (zstd.ZstdError, ValueError):
                report.problem(path, "a damaged block", number)
            else:
                yield from _batch(path, report, number, raw)


def _plain(zstd: Any, block: bytes) -> bytes:
    """Return the content of a block. Raises ValueError if it is too large."""
    plain: bytes
    if sys.version_info >= (3, 14):
        plain = zstd.ZstdDecompressor().decompress(block, MOST_BLOCK + 1)
    else:
        plain = zstd.ZstdDecompressor().stream_reader(block).read(MOST_BLOCK + 1)
    if len(plain) > MOST_BLOCK:
        raise ValueError
    return plain
