"""Decodes the lines of a Codex rollout; content that no event needs is skipped, not decoded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw

from bamboo_logmetrics.importers.base import ImportReport
from bamboo_logmetrics.importers.claude_code.records import split
from bamboo_logmetrics.importers.sources import lines_of

_NOTHING = Raw(b"")


class Item(msgspec.Struct):
    """The item that an ``item_completed`` event describes."""

    type: Any = None
    id: Any = None
    status: Any = None
    exit_code: Any = None


class Payload(msgspec.Struct):
    """The payload of a line, under its own keys; which of them are there depends on its type."""

    type: Any = None
    id: Any = None
    forked_from_id: Any = None
    cwd: Any = None
    cli_version: Any = None
    originator: Any = None
    source: Any = None
    agent_role: Any = None
    git: Any = None
    model_provider: Any = None
    model: Any = None
    turn_id: Any = None
    response_id: Any = None
    usage: Any = None
    info: Any = None
    call_id: Any = None
    name: Any = None
    role: Any = None
    status: Any = None
    success: Any = None
    exit_code: Any = None
    reason: Any = None
    duration_ms: Any = None
    time_to_first_token_ms: Any = None
    item: Item | None = None
    output: Raw = _NOTHING


class Line(msgspec.Struct):
    """One line of a rollout."""

    timestamp: Any = None
    type: Any = None
    payload: Payload | None = None


_LINE = msgspec.json.Decoder(Line)


def read_records(path: Path, report: ImportReport, *, growing: bool = False) -> Iterator[Line]:
    """Yield the records of a rollout in the order of the file, and report what cannot be read as a problem.

    ``growing`` is True if the file may be written to at this moment; then an unfinished last line is no problem.
    """
    for number, raw in lines_of(path, report):
        try:
            yield _LINE.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            values, fault = split(raw)
            for value in values:
                try:
                    yield _LINE.decode(json.dumps(value).encode())
                except msgspec.DecodeError:
                    fault = fault or "a record of another form"
            if fault and not (growing and not raw.endswith(b"\n")):
                report.problem(path, fault, number)
