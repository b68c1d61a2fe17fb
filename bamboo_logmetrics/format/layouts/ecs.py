"""The layout ``ecs``: Elastic Common Schema 9.4, one document a line.

``@timestamp``, ``log.level``, ``message`` and ``ecs.version`` come first, with dots in their names, as ECS asks of log
lines. All other fields are in nested objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec

from bamboo_logmetrics.format.header import LineHeader, make_header
from bamboo_logmetrics.format.layouts import semconv
from bamboo_logmetrics.format.layouts.base import Layout
from bamboo_logmetrics.format.layouts.mapping import OLD_NAMES, ROWS, FieldMapping, rows_of

ECS_VERSION = "9.4.0"
DATASET = "bamboo.events"

_HEADER = frozenset({"timestamp", "level", "event"})
_ROWS = {row.ecs or row.otel: row for row in ROWS}
_PATHS = {row.otel: tuple(path.split(".")) for path, row in _ROWS.items()}
_ROWS |= {old: _ROWS[new] for old, new in OLD_NAMES.items()}
_OBJECTS = {path.rsplit(".", depth)[0] for path in _ROWS for depth in range(1, path.count(".") + 1)}


class EcsLayout(Layout):
    """One ECS document a line."""

    name = "ecs"
    min_line_bytes = 1_500
    line_start = '{"@timestamp":"0000-00-00T00:00:00.000000Z","log.level":"*","message":"*","ecs.version":"*","bamboo":'

    def write(self, flat: dict[str, Any]) -> dict[str, Any]:
        """Return a flat record as an ECS document."""
        event: dict[str, Any] = {"kind": "metric" if semconv.kind_of(flat) in semconv.METRICS else "event"}
        bamboo: dict[str, Any] = {}  # the first object, so that files of different writers begin differently
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
        event["dataset"] = DATASET
        if "plain" not in flat:
            event.update(_event_fields(flat))
            for name, value in semconv.common(flat).items():
                _put(document, tuple(name.split(".")), value)
        if bound:
            bamboo["bound"] = bound
        return document

    def read_back(self, decoded: Any) -> dict[str, Any]:
        """Return the flat record of an ECS document."""
        bamboo = decoded["bamboo"]
        event = decoded["message"] if bamboo.get("plain") is True else decoded["event"]["action"]
        flat = {"timestamp": decoded["@timestamp"], "level": decoded["log.level"], "event": event}
        for row, value in _mapped_values(decoded):
            flat[row.key] = value if row.factor == 1 else value // row.factor
        flat.update(bamboo.get("bound", {}))
        return flat

    def decode_header(self, line: bytes, /) -> LineHeader:
        """Return the header of an ECS document."""
        document = _decode_document(line)
        bamboo = document.bamboo
        event = document.message if bamboo.plain is True else document.event.action
        return make_header(event, bamboo.v, bamboo.writer, bamboo.seq, plain=bamboo.plain, source=bamboo.source)


ECS = EcsLayout()


def _event_fields(flat: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Give the fields of the object ``event`` that follow from the record of a typed event."""
    yield "action", flat["event"]
    if kind := semconv.KIND_SEMANTICS.get(semconv.kind_of(flat)):
        yield "category", [kind.category]
        yield "type", [kind.type]
    if outcome := semconv.outcome(flat):
        yield "outcome", outcome
    if reason := semconv.reason(flat):
        yield "reason", reason


def _put(data: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    *outer, last = path
    for name in outer:
        data = data.setdefault(name, {})
    data[last] = value


def _mapped_values(data: dict[str, Any], prefix: str = "") -> Iterator[tuple[FieldMapping, Any]]:
    """Give the values of an object that have a row, and their rows; ``prefix`` is the object's path and a dot."""
    for name, value in data.items():
        path = prefix + name
        if row := _ROWS.get(path):
            yield row, value
        elif path in _OBJECTS and isinstance(value, dict):
            yield from _mapped_values(value, path + ".")


# -- the parts of a document that decode_header reads ------------------------------------


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
