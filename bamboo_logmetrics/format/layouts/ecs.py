"""The layout ``ecs``: Elastic Common Schema 9.4, one document a line.

``@timestamp``, ``log.level``, ``message`` and ``ecs.version`` come first, with dots in their names, as ECS asks of log
lines; all else stands in nested objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bamboo_logmetrics.format.layouts import semconv
from bamboo_logmetrics.format.layouts.mapping import ROWS, FieldMapping, rows_of

ECS_VERSION = "9.4.0"
DATASET = "bamboo.events"

_HEADER = frozenset({"timestamp", "level", "event"})
_ROWS = {row.ecs or row.otel: row for row in ROWS}
_PATHS = {row.otel: tuple(path.split(".")) for path, row in _ROWS.items()}
_OBJECTS = {".".join(path[:depth]) for path in _PATHS.values() for depth in range(1, len(path))}


def to_ecs(flat: dict[str, Any]) -> dict[str, Any]:
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


def from_ecs(document: dict[str, Any]) -> dict[str, Any]:
    """Return the flat record of an ECS document of ours; raises an ordinary error for any other."""
    bamboo = document["bamboo"]
    text = document["message"] if bamboo.get("plain") is True else document["event"]["action"]
    flat = {"timestamp": document["@timestamp"], "level": document["log.level"], "event": text}
    for row, value in _mapped(document):
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
