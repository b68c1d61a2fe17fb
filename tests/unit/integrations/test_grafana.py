from __future__ import annotations

import json
import re

import pytest
import yaml

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.integrations import grafana


def test_the_dashboard_is_whole():
    """The dashboard's panels have ids of their own and do not overlap, and each query names Loki by the variable."""
    board = json.loads(grafana.dashboard())
    assert board["id"] is None
    assert [variable["name"] for variable in board["templating"]["list"]] == ["datasource", "service_name", "env"]
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    taken = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
        for target in panel.get("targets", []):
            assert target["datasource"] == {"type": "loki", "uid": "${datasource}"}
            assert 'service_name=~"$service_name", env=~"$env"' in target["expr"]


def test_the_dashboard_shows_what_was_asked_for():
    """There are panels of tokens, latencies, errors, tools, requests, drops, storage errors and unclean writers."""
    titles = " | ".join(panel["title"] for panel in json.loads(grafana.dashboard())["panels"])
    for title in ("Tokens per minute, by model", "Latency of rounds", "Errors, by kind", "Tool calls, by name", "Failed tool calls",
                  "Requests, by status code", "Dropped, by reason", "Storage errors", "without a clean end", "Sessions"):  # fmt: skip
        assert title in titles


def test_the_alerts_are_rules():
    """The alert rules are on drops and on storage errors, with the data source that was named, and no variables."""
    text = grafana.alerts("my-loki")
    assert "$" not in text
    assert not re.search(r"<<\w+>>", text)
    (group,) = yaml.safe_load(text)["groups"]
    assert [rule["uid"] for rule in group["rules"]] == ["bamboo_metrics_dropped", "bamboo_storage_error"]
    for rule in group["rules"]:
        query, threshold = rule["data"]
        assert query["datasourceUid"] == "my-loki"
        assert threshold["model"]["expression"] == query["refId"]
        assert rule["condition"] == threshold["refId"]
    with pytest.raises(ConfigError, match="not a uid"):
        grafana.alerts("my loki")
