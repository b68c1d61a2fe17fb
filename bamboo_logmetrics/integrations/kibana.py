"""Kibana's saved objects for the events: a data view, saved searches and a dashboard, as lines to be imported.

They say the versions of Kibana 8.9's forms, which that and every later Kibana brings up to date when it imports them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from bamboo_logmetrics.integrations.elastic import NAMES, TemplateNames

Data = dict[str, Any]

_CORE = "8.8.0"
_TYPES = {"index-pattern": "8.0.0", "search": "8.0.0", "dashboard": "8.9.0"}

_TIME = "@timestamp"
_MODEL = "gen_ai.request.model"
_INPUT, _OUTPUT = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
_DROPPED = "bamboo.dropped.count"

_ROUNDS = 'event.action : "chat.round_completed"'
_TOOLS = 'event.action : "chat.tool_called"'
_ERRORS = 'event.outcome : "failure" or log.level : ("error" or "critical")'
_DROPS = 'event.action : "system.metrics_dropped"'
_LOSSES = f'{_DROPS} or event.action : "system.storage_error" or event.kind : "pipeline_error"'

_FORMATS = {
    "event.duration": {
        "id": "duration",
        "params": {"inputFormat": "nanoseconds", "outputFormat": "asMilliseconds", "outputPrecision": 1},
    }
}


def saved_objects(names: TemplateNames = NAMES) -> list[Data]:
    """Return the objects, each after those that it refers to."""
    view = names.name
    errors, losses = f"{view}-errors", f"{view}-losses"
    columns = ["log.level", "event.action", "message", "error.message", "gen_ai.conversation.id"]
    lost = ["event.action", _DROPPED, "bamboo.dropped.reason", "error.message", "host.name", "bamboo.writer"]
    return [
        _data_view(view, names.pattern),
        _search(errors, "LLM events: errors", _ERRORS, columns, view),
        _search(losses, "LLM events: drops and storage errors", _LOSSES, lost, view),
        _dashboard(
            view, [*(chart.panel(view) for chart in _charts()), _listed(errors, 0, 53), _listed(losses, 24, 53)]
        ),
    ]


def ndjson(objects: Iterable[Data]) -> str:
    """Return objects as Kibana imports them: one on each line."""
    return "".join(_text(data) + "\n" for data in objects)


def _object(kind: str, name: str, attributes: Data, references: list[Data]) -> Data:
    return {
        "id": name,
        "type": kind,
        "attributes": attributes,
        "references": references,
        "managed": False,
        "coreMigrationVersion": _CORE,
        "typeMigrationVersion": _TYPES[kind],
    }


def _text(data: Any) -> str:
    """Return JSON; Kibana keeps much of an object as text within the text."""
    return json.dumps(data, separators=(",", ":"))


def _reference(name: str, kind: str, target: str) -> Data:
    return {"id": target, "name": name, "type": kind}


def _query(text: str) -> Data:
    return {"query": text, "language": "kuery"}


def _data_view(name: str, pattern: str) -> Data:
    attributes = {
        "title": pattern,
        "name": "LLM events",
        "timeFieldName": _TIME,
        "fields": "[]",
        "fieldAttrs": "{}",
        "fieldFormatMap": _text(_FORMATS),
        "runtimeFieldMap": "{}",
        "sourceFilters": "[]",
        "typeMeta": "{}",
    }
    return _object("index-pattern", name, attributes, [])


def _search(name: str, title: str, query: str, columns: list[str], view: str) -> Data:
    index = "kibanaSavedObjectMeta.searchSourceJSON.index"
    source = {"query": _query(query), "filter": [], "indexRefName": index, "highlightAll": True, "version": True}
    attributes = {
        "title": title,
        "description": "",
        "columns": columns,
        "sort": [[_TIME, "desc"]],
        "hits": 0,
        "version": 1,
        "kibanaSavedObjectMeta": {"searchSourceJSON": _text(source)},
    }
    return _object("search", name, attributes, [_reference(index, "index-pattern", view)])


# -- the dashboard ----------------------------------------------------------------------


def _dashboard(view: str, panels: list[tuple[Data, list[Data]]]) -> Data:
    options = {
        "useMargins": True,
        "syncColors": False,
        "syncCursor": True,
        "syncTooltips": False,
        "hidePanelTitles": False,
    }
    attributes = {
        "title": "LLM events",
        "description": "Tokens, latency, errors, tool calls and drops, from bamboo_logmetrics",
        "panelsJSON": _text([panel for panel, _ in panels]),
        "optionsJSON": _text(options),
        "timeRestore": False,
        "version": 1,
        "kibanaSavedObjectMeta": {"searchSourceJSON": _text({"query": _query(""), "filter": []})},
    }
    references = [
        {**reference, "name": f"{panel['panelIndex']}:{reference['name']}"}
        for panel, found in panels
        for reference in found
    ]
    return _object("dashboard", f"{view}-dashboard", attributes, references)


def _panel(kind: str, name: str, place: tuple[int, int, int, int], **more: Any) -> Data:
    x, y, width, height = place
    return {
        "type": kind,
        "panelIndex": name,
        "gridData": {"x": x, "y": y, "w": width, "h": height, "i": name},
        **more,
    }


def _listed(search: str, x: int, y: int) -> tuple[Data, list[Data]]:
    """Return a panel with the lines that a saved search finds."""
    name = f"panel_{search}"
    panel = _panel("search", search, (x, y, 24, 15), embeddableConfig={"enhancements": {}}, panelRefName=name)
    return panel, [_reference(name, "search", search)]


class _Chart(NamedTuple):
    """A panel made with Lens.

    Args:
        title: what stands above it.
        query: the events that it is about.
        columns: what is asked of them: ``t`` is the axis, ``b`` breaks down, all others are values.
        place: the panel's x, y, width and height, of 48 in a row.
        series: how it is drawn; empty for one number alone.
    """

    title: str
    query: str
    columns: dict[str, Data]
    place: tuple[int, int, int, int]
    series: str = "bar_stacked"

    def panel(self, view: str) -> tuple[Data, list[Data]]:
        """Return the panel, and what it refers to."""
        layer = {"columns": self.columns, "columnOrder": list(self.columns), "incompleteColumns": {}, "sampling": 1}
        references = [_reference("indexpattern-datasource-layer-layer", "index-pattern", view)]
        attributes = {
            "title": "",
            "visualizationType": "lnsXY" if self.series else "lnsMetric",
            "type": "lens",
            "references": references,
            "state": {
                "visualization": self._drawn(),
                "query": _query(self.query),
                "filters": [],
                "datasourceStates": {"formBased": {"layers": {"layer": layer}}, "textBased": {"layers": {}}},
                "internalReferences": [],
                "adHocDataViews": {},
            },
        }
        name = self.title.lower().replace(" ", "-")
        config = {"attributes": attributes, "enhancements": {}}
        return _panel("lens", name, self.place, title=self.title, embeddableConfig=config), references

    def _drawn(self) -> Data:
        layer: Data = {"layerId": "layer", "layerType": "data"}
        if not self.series:
            return {**layer, "metricAccessor": "m0"}
        values = [name for name in self.columns if name.startswith("m")]
        layer.update(seriesType=self.series, xAccessor="t", accessors=values)
        if "b" in self.columns:
            layer["splitAccessor"] = "b"
        return {
            "legend": {"isVisible": True, "position": "right"},
            "valueLabels": "hide",
            "fittingFunction": "None",
            "preferredSeriesType": self.series,
            "layers": [layer],
        }


def _charts() -> list[_Chart]:
    time, model, kind = _over_time(), _top(_MODEL, "Model"), _top("event.action", "Kind")
    percentiles = {f"m{rank}": _percentile("event.duration", rank) for rank in (50, 95, 99)}
    tool, outcome = _top("gen_ai.tool.name", "Tool"), _top("event.outcome", "Outcome")
    reason, dropped = _top("bamboo.dropped.reason", "Reason"), _sum(_DROPPED, "Dropped events")
    tokens_in, tokens_out = _sum(_INPUT, "Input tokens"), _sum(_OUTPUT, "Output tokens")
    errors, calls = _count("Errors"), _count("Calls")
    return [
        _Chart("Input tokens of rounds", _ROUNDS, {"m0": tokens_in}, (0, 0, 12, 8), ""),
        _Chart("Output tokens of rounds", _ROUNDS, {"m0": tokens_out}, (12, 0, 12, 8), ""),
        _Chart("Errors", _ERRORS, {"m0": errors}, (24, 0, 12, 8), ""),
        _Chart("Dropped events", _DROPS, {"m0": dropped}, (36, 0, 12, 8), ""),
        _Chart("Input tokens by model", _ROUNDS, {"t": time, "b": model, "m0": tokens_in}, (0, 8, 24, 15)),
        _Chart("Output tokens by model", _ROUNDS, {"t": time, "b": model, "m0": tokens_out}, (24, 8, 24, 15)),
        _Chart("Latency of rounds", _ROUNDS, {"t": time, **percentiles}, (0, 23, 24, 15), "line"),
        _Chart("Errors by kind", _ERRORS, {"t": time, "b": kind, "m0": errors}, (24, 23, 24, 15)),
        _Chart("Tool calls", _TOOLS, {"t": tool, "b": outcome, "m0": calls}, (0, 38, 24, 15), "bar_horizontal_stacked"),
        _Chart("Dropped events by reason", _DROPS, {"t": time, "b": reason, "m0": dropped}, (24, 38, 24, 15)),
    ]


def _value(operation: str, field: str, label: str, params: Data) -> Data:
    return {
        "label": label,
        "customLabel": True,
        "dataType": "number",
        "operationType": operation,
        "sourceField": field,
        "isBucketed": False,
        "scale": "ratio",
        "params": params,
    }


def _sum(field: str, label: str) -> Data:
    return _value("sum", field, label, {"emptyAsNull": True})


def _count(label: str) -> Data:
    return _value("count", "___records___", label, {"emptyAsNull": True})


def _percentile(field: str, rank: int) -> Data:
    return _value("percentile", field, f"{rank}th percentile", {"percentile": rank})


def _over_time() -> Data:
    return {
        "label": _TIME,
        "dataType": "date",
        "operationType": "date_histogram",
        "sourceField": _TIME,
        "isBucketed": True,
        "scale": "interval",
        "params": {"interval": "auto", "includeEmptyRows": True, "dropPartials": False},
    }


def _top(field: str, label: str) -> Data:
    return {
        "label": label,
        "customLabel": True,
        "dataType": "string",
        "operationType": "terms",
        "sourceField": field,
        "isBucketed": True,
        "scale": "ordinal",
        "params": {
            "size": 10,
            "orderBy": {"type": "column", "columnId": "m0"},
            "orderDirection": "desc",
            "otherBucket": True,
            "missingBucket": False,
            "parentFormat": {"id": "terms"},
            "include": [],
            "exclude": [],
            "includeIsRegex": False,
            "excludeIsRegex": False,
        },
    }
