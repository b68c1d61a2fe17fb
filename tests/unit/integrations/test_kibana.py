from __future__ import annotations

import json
import re

import pytest

from bamboo_logmetrics.integrations.elasticsearch.mapping import declared_fields
from bamboo_logmetrics.integrations.elasticsearch.requests import TemplateNames
from bamboo_logmetrics.integrations.kibana import saved_objects


@pytest.fixture(scope="module")
def objects():
    """Return the saved objects as Kibana reads them: texts within the text parsed, by type and id."""
    objects = {}
    for line in saved_objects().splitlines():
        data = json.loads(line)
        for holder in (data["attributes"], data["attributes"].get("kibanaSavedObjectMeta", {})):
            for name, value in holder.items():
                if isinstance(value, str) and value[:1] in ("{", "["):
                    holder[name] = json.loads(value)
        objects[data["type"], data["id"]] = data
    return objects


def everywhere(data):
    """Give each mapping within plain data."""
    if isinstance(data, dict):
        yield data
    for item in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
        yield from everywhere(item)


def test_every_reference_leads_to_an_object(objects):
    """An object stands after those that it refers to, and each panel's names are among its references."""
    seen = set()
    for key, data in objects.items():
        assert {(reference["type"], reference["id"]) for reference in data["references"]} <= seen
        seen.add(key)
        names = {reference["name"] for reference in data["references"]}
        assert len(names) == len(data["references"])
        for panel in data["attributes"].get("panelsJSON", []):
            inner = panel["embeddableConfig"].get("attributes", {}).get("references", [])
            wanted = {reference["name"] for reference in inner} or {panel["panelRefName"]}
            assert {f"{panel['panelIndex']}:{name}" for name in wanted} <= names
        for source in everywhere(data):
            assert source.get("indexRefName") in {None, *names}


def test_what_is_asked_for_is_declared(objects):
    """Each field in a chart, a query, a column or a format is one that the server has a type for."""
    fields = declared_fields("elasticsearch")
    asked = set(objects["index-pattern", "bamboo-events"]["attributes"]["fieldFormatMap"])
    for data in objects.values():
        asked |= set(data["attributes"].get("columns", []))
        for part in everywhere(data):
            asked |= {part["sourceField"]} if "sourceField" in part else set()
            if part.get("language") == "kuery":
                asked |= set(re.findall(r"([\w.@]+) :", part["query"]))
    assert asked - {"___records___"} <= set(fields)
    assert {"event.action", "event.outcome", "log.level", "gen_ai.usage.input_tokens"} <= asked


def test_sums_are_of_numbers_and_terms_of_keywords(objects):
    """Sums and percentiles are asked of numbers, terms of keywords."""
    fields = declared_fields("elasticsearch")
    kinds = {"sum": {"long", "integer"}, "percentile": {"long"}, "terms": {"keyword"}, "date_histogram": {"date"}}
    for data in objects.values():
        for part in everywhere(data):
            if part.get("operationType") in kinds:
                assert fields[part["sourceField"]]["type"] in kinds[part["operationType"]]


def test_the_charts_are_whole(objects):
    """Each column that a chart draws is there, and panels neither overlap nor leave the 48 columns."""
    dashboard = objects["dashboard", "bamboo-events-dashboard"]
    taken = set()
    for panel in dashboard["attributes"]["panelsJSON"]:
        place = panel["gridData"]
        assert place["i"] == panel["panelIndex"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        assert max(x for x, _ in cells) < 48
        taken |= cells
        if panel["type"] == "lens":
            state = panel["embeddableConfig"]["attributes"]["state"]
            layer = state["datasourceStates"]["formBased"]["layers"]["layer"]
            drawn = state["visualization"]
            (one,) = drawn.get("layers", [drawn])
            used = {
                one.get("metricAccessor"),
                one.get("xAccessor"),
                one.get("splitAccessor"),
                *one.get("accessors", []),
            }
            assert used - {None} == set(layer["columns"]) == set(layer["columnOrder"])


def test_the_objects():
    """The file has one object a line, with the versions that Kibana 8.9 gives them."""
    lines = [json.loads(line) for line in saved_objects().splitlines()]
    versions = [(data["type"], data["typeMigrationVersion"], data["coreMigrationVersion"]) for data in lines]
    assert versions == [
        ("index-pattern", "8.0.0", "8.8.0"),
        ("search", "8.0.0", "8.8.0"),
        ("search", "8.0.0", "8.8.0"),
        ("dashboard", "8.9.0", "8.8.0"),
    ]
    assert lines[0]["attributes"]["title"] == "logs-bamboo.events-*"


def texts_in(data):
    """Give each text within plain data, and those within a text that is JSON itself."""
    if isinstance(data, str):
        yield from texts_in(json.loads(data)) if data[:1] in ("{", "[") else [data]
    else:
        for item in data.items() if isinstance(data, dict) else data if isinstance(data, (list, tuple)) else ():
            yield from texts_in(item)


@pytest.mark.parametrize(
    "names", [TemplateNames("mine", "logs-mine-*"), TemplateNames('a"b\\ü', 'logs-"ü-*')], ids=repr
)
def test_other_names(names):
    """Another name and pattern stand everywhere in place of the usual ones, whatever signs are in them."""
    usual, other = (
        [json.loads(line) for line in saved_objects(each).splitlines()] for each in (TemplateNames(), names)
    )
    wanted = [
        text.replace("logs-bamboo.events-*", names.pattern).replace("bamboo-events", names.name)
        for text in texts_in(usual)
    ]
    assert list(texts_in(other)) == wanted
    assert "bamboo-events" not in saved_objects(names)
