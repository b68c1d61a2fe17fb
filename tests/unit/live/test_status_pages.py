"""``/healthz`` and ``/metrics``."""

from __future__ import annotations

import sys

import pytest
from support.served import Served

from bamboo_logmetrics.live.forwarding import Proxy, ProxyOptions
from bamboo_logmetrics.live.status_pages import StatusPages
from bamboo_logmetrics.live.upstreams import make_upstreams


@pytest.fixture
def pages(log):
    """Run a proxy with pages."""
    running = []

    def serving(token=""):
        proxy = Proxy(log, ProxyOptions(upstreams=make_upstreams()))
        running.append(Served(StatusPages(proxy, log, token)).__enter__())
        return running[-1]

    yield serving
    for served in running:
        served.__exit__()


def test_the_pages(pages, client):
    """Health and metrics are told; all other paths are the proxy's."""
    url = pages().url
    assert client.get(url + "/healthz").json() == {"status": "ok"}
    metrics = client.get(url + "/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "bamboo_events_total" in metrics.text
    assert client.get(url + "/").status_code == 404


def test_a_token(pages, client):
    """With a token, metrics need it, and health does not."""
    url = pages("t-1").url
    assert client.get(url + "/healthz").status_code == 200
    for headers in ({}, {"authorization": "Bearer t-2"}, {b"x-bamboo-token": b"\xff"}):
        assert client.get(url + "/metrics", headers=headers).status_code == 401
    assert client.get(url + "/metrics", headers={"authorization": "Bearer t-1"}).status_code == 200


def test_without_prometheus(pages, client, monkeypatch):
    """Without its package the metrics say what to install."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    answer = client.get(pages().url + "/metrics")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_metrics")
