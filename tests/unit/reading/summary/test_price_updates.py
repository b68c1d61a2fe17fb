"""Fetching prices, from a server on loopback, and the stored data."""

from __future__ import annotations

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import genai_prices
import pytest
from click.testing import CliRunner
from genai_prices import types
from support.log_lines import as_bytes, with_headers

import bamboo_logmetrics as blm
from bamboo_logmetrics.cli.commands import cli
from bamboo_logmetrics.reading.summary.price_updates import cache_path, update_prices

PROVIDERS = [
    {
        "id": "house",
        "name": "House",
        "api_pattern": "https://house",
        "models": [{"id": "house-1", "match": {"equals": "house-1"}, "prices": {"input_mtok": 2, "output_mtok": 10}}],
    }
]
CALL = {
    "event": "chat.round_completed", "session_id": "s", "round_id": "r", "status": "success", "latency_ms": 1,
    "prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100, "model": "house-1", "provider": "house",
}  # fmt: skip


@pytest.fixture
def server(monkeypatch, tmp_path):
    """Run a server that answers with the bytes and the status in ``answer``; the cache is empty."""

    class Handler(BaseHTTPRequestHandler):
        answer = (200, json.dumps(PROVIDERS).encode())

        def do_GET(self):
            status, body = self.answer
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        monkeypatch.setenv("BAMBOO_LOGMETRICS_PRICES_URL", f"http://127.0.0.1:{running.server_port}/data.json")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield Handler
        finally:
            running.shutdown()


@pytest.fixture
def called(path):
    """Write a log with a call whose price only the fetched data know."""
    path.write_bytes(as_bytes(with_headers([CALL])))
    return path


def run(*arguments):
    """Run the command line."""
    return CliRunner().invoke(cli, list(map(str, arguments)))


def test_fetched_prices_are_used_afterwards(server, called):
    """The command stores what it fetched, says so, and uses it in later summaries, with its time in the version."""
    assert blm.summarize(called).totals.cost_usd is None
    result = run("summary", called, "--update-prices", "--oneline")
    assert result.stderr == f"prices updated: 1 model of 1 provider, stored in {cache_path()}\n"
    assert "$0.0030 (priced 1 of 1 call by genai-prices " in result.stdout
    summary = blm.summarize(called)
    assert summary.totals.cost_usd == pytest.approx(0.003)
    assert summary.prices.startswith(f"genai-prices {genai_prices.__version__} with data of 20")
    assert os.listdir(os.path.dirname(cache_path())) == ["prices.json"]


def test_prices_of_another_version_are_left_alone(server, called):
    """A newer genai-prices brings newer data: what was stored for another version is not used."""
    update_prices()
    with open(cache_path(), encoding="utf-8") as file:
        stored = json.load(file)
    with open(cache_path(), "w", encoding="utf-8") as file:
        json.dump(stored | {"genai_prices": "0.0.1"}, file)
    assert blm.summarize(called).prices == f"genai-prices {genai_prices.__version__}"


ANSWERS = {
    "an error": (500, b"", "HTTP Error 500: Internal Server Error"),
    "no JSON": (200, b"<html>", "Expecting value"),
    "half of it": (200, json.dumps(PROVIDERS).encode()[:-9], "Expecting"),
    "something else": (200, b'{"a": 1}', "not a list of providers"),
    "an empty list": (200, b"[]", "not a list of providers"),
    "other providers": (200, b'[{"id": 1}]', "validation error"),
    "too much": (200, b" " * (33 * 1024 * 1024), "more than 33,554,432 bytes"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_cannot_be_used(server, called, name):
    """An answer that is no price list is an error in one line, and what was stored before stays."""
    update_prices()
    *server.answer, text = ANSWERS[name]
    result = run("summary", called, "--update-prices")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: cannot update the prices from http://127.0.0.1:")
    assert result.stderr.endswith("; without --update-prices nothing is fetched\n")
    assert text in result.stderr
    assert result.stderr.count("\n") == 1
    assert not result.stdout
    assert blm.summarize(called).totals.priced_calls == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "file:///etc/passwd", "http://[", "nonsense"])
def test_no_server(server, called, monkeypatch, url):
    """Without a server, or with another kind of URL, the error is one line."""
    monkeypatch.setenv("BAMBOO_LOGMETRICS_PRICES_URL", url)
    result = run("summary", called, "--update-prices")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: cannot update the prices from {url}: ")
    assert result.stderr.count("\n") == 1


def test_an_answer_without_end(server, monkeypatch):
    """An answer that takes too long is given up."""
    monkeypatch.setattr("bamboo_logmetrics.reading.summary.price_updates._TIME", -1)
    with pytest.raises(blm.ConfigError, match="not complete after -1 seconds"):
        update_prices()


def test_a_directory_that_is_not_writable(server, monkeypatch, tmp_path):
    """Data that cannot be stored are an error that names the remedy, and no half file stays."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(blm.ConfigError, match="cannot store the prices in .*; set XDG_CACHE_HOME"):
        update_prices()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    os.makedirs(cache_path())
    with pytest.raises(blm.ConfigError, match="cannot store the prices in "):
        update_prices()
    assert os.listdir(os.path.dirname(cache_path())) == ["prices.json"]


@pytest.mark.parametrize("text", ["", "[]", '{"genai_prices": 1', "{}", "\xff"])
def test_stored_data_that_cannot_be_used(server, called, text):
    """A stored file that is something else is an error that says how to replace it."""
    update_prices()
    with open(cache_path(), "w", encoding="latin-1") as file:
        file.write(text)
    with pytest.raises(blm.ConfigError, match="is not usable as stored prices: .*--update-prices again, or delete"):
        blm.summarize(called)


def test_where_the_data_are_stored(monkeypatch):
    """The place is that of the XDG specification; a relative XDG_CACHE_HOME does not count."""
    monkeypatch.setenv("HOME", "/home/u")
    for value, place in {"/c": "/c", "c": "/home/u/.cache", "": "/home/u/.cache"}.items():
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert cache_path() == f"{place}/bamboo_logmetrics/prices.json"


def test_without_genai_prices(server, called, monkeypatch):
    """Without genai-prices there is nothing to update: the message says what to install."""
    import sys

    monkeypatch.setitem(sys.modules, "genai_prices", None)
    result = run("summary", called, "--update-prices")
    assert result.exit_code == 2
    assert "pip install 'bamboo_logmetrics[prices]'" in result.stderr
    assert "cost: not known; pip install 'bamboo_logmetrics[prices]' brings prices" in run("summary", called).stdout


def test_a_package_that_cannot_load_prices(server, called, monkeypatch):
    """A version of genai-prices without what loads fetched prices is told, at fetching and at summing up."""
    update_prices()
    monkeypatch.delattr(types, "_providers_from_raw")
    for use in (update_prices, lambda: blm.summarize(called)):
        with pytest.raises(blm.ConfigError, match="cannot load fetched prices: pip install --upgrade .*, or remove /"):
            use()
