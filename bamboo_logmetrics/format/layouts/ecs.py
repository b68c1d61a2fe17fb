"""The layout ``ecs``: Elastic Common Schema 9.4, one document a line.

``@timestamp``, ``log.level``, ``message`` and ``ecs.version`` come first, with dots in their names, as ECS asks of log
lines; all else stands in nested objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec

from bamboo_logmetrics.format.header import LineHeader, make_header
from bamboo_logmetrics.format.layouts import semconv
from bamboo_logmetrics.format.layouts.base import Layout
from bamboo_logmetrics.format.layouts.mapping import ROWS, FieldMapping, rows_of

ECS_VERSION = "9.4.0"
DATASET = "bamboo.events"

_HEADER = frozenset({"timestamp", "level", "event"})
_ROWS = {row.ecs or row.otel: row for row in ROWS}
_PATHS = {row.otel: tuple(path.split(".")) for path, row in _ROWS.items()}
_OBJECTS = {".".join(path[:depth]) for path in _PATHS.values() for depth in range(1, len(path))}


def _write(flat: dict[str, Any]) -> dict[str, Any]:
    """Return a flat record as an ECS document."""
    event: dict[str, Any] = {"kind": "metric" if semconv.kind_of(flat) in semconv.METRICS else "event"}
    bamboo: dict[str, Any] = {}  # first of the objects: files shall begin differently
    document: dict[str, Any] = {
        "@timestamp": flat["timestamp"],
        "log.level": flat["level"],
        "message": flat["event"],
        "ecs.version": ECS_VERSION,
        "bamboo": bamboo,
        "event": event,
    }
    rows = rows_of(flat)
    bound: dict[str, Any] = {}
    for key, value in flat.items():
        if key in _HEADER:
            continue
        row = rows.get(key)
        if row is None or not row.type.fits(value):
            bound[key] = value
        else:
            _put(document, _PATHS[row.otel], value if row.factor == 1 else value * row.factor)
    event.update(_event(flat))
    for name, text in semconv.common(flat).items():
        _put(document, tuple(name.split(".")), text)
    if bound:
        bamboo["bound"] = bound
    return document


def _event(flat: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Give what follows from the record, of the object ``event``."""
    yield "dataset", DATASET
    if "plain" not in flat:
        yield "action", flat["event"]
    if facts := semconv.KIND_SEMANTICS.get(semconv.kind_of(flat)):
        yield "category", [facts.category]
        yield "type", [facts.type]
    if outcome := semconv.outcome(flat):
        yield "outcome", outcome
    if reason := semconv.reason(flat):
        yield "reason", reason


def _put(data: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    *outer, last = path
    for name in outer:
        data = data.setdefault(name, {})
    data[last] = value


def _read_back(decoded: Any) -> dict[str, Any]:
    """Return the flat record of an ECS document of ours; raises an ordinary error for any other."""
    bamboo = decoded["bamboo"]
    text = decoded["message"] if bamboo.get("plain") is True else decoded["event"]["action"]
    flat = {"timestamp": decoded["@timestamp"], "level": decoded["log.level"], "event": text}
    for row, value in _mapped(decoded):
        flat[row.key] = value if row.factor == 1 else value // row.factor
    flat.update(bamboo.get("bound", {}))
    return flat


def _mapped(data: dict[str, Any], before: str = "") -> Iterator[tuple[FieldMapping, Any]]:
    """Give the values of an object whose paths begin with ``before``, and that have a row."""
    for name, value in data.items():
        path = before + name
        if row := _ROWS.get(path):
            yield row, value
        elif path in _OBJECTS and isinstance(value, dict):
            yield from _mapped(value, path + ".")


# -- the header ------------------------------------------------------------------------------


class _Bamboo(msgspec.Struct, gc=False):
    v: Literal[1]
    writer: str
    seq: Annotated[int, msgspec.Meta(ge=1)]
    plain: Any = None
    source: Any = None


class _Event(msgspec.Struct, gc=False):
    action: str | None = None


class _Document(msgspec.Struct, gc=False):
    message: str
    bamboo: _Bamboo
    event: _Event


_decode_document = msgspec.json.Decoder(_Document).decode


def _decode_header(line: bytes) -> LineHeader:
    document = _decode_document(line)
    bamboo = document.bamboo
    event = document.message if bamboo.plain is True else document.event.action
    return make_header(event, bamboo.v, bamboo.writer, bamboo.seq, plain=bamboo.plain, source=bamboo.source)


class _Ecs(Layout):
    name = "ecs"
    min_line_bytes = 1_500
    write = staticmethod(_write)
    read_back = staticmethod(_read_back)
    decode_header = staticmethod(_decode_header)


ECS = _Ecs()
