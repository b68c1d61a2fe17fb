from __future__ import annotations

import json
import os
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import click
import pytest

from bamboo_logmetrics.cli.config_elasticsearch_command import COMMANDS
from bamboo_logmetrics.integrations.elasticsearch.console import console
from bamboo_logmetrics.integrations.elasticsearch.requests import TemplateNames, setup_requests
from bamboo_logmetrics.integrations.kibana import saved_objects

PRODUCTS = ["elasticsearch", "opensearch"]


@pytest.fixture
def run(run, monkeypatch):
    """Run ``bamboo-logmetrics config`` in a clean environment; returns click's result."""
    for name in [name for name in os.environ if name.startswith("BAMBOO_LOGMETRICS_SHIP_")]:
        monkeypatch.delenv(name)
    return lambda *args: run("config", *args)


def parsed(text):
    """Return the requests that a console would send: (method, path, body) of each."""
    found = []
    for part in re.split(r"^(?=(?:PUT|POST) )", text, flags=re.MULTILINE)[1:]:
        head, _, body = part.partition("\n")
        body = re.sub(r'"""\n(.*?)\n"""', lambda quoted: json.dumps(quoted[1] + "\n"), body, flags=re.DOTALL)
        found.append((*head.split(" "), json.loads(body)))
    return found


@pytest.mark.parametrize("product", PRODUCTS)
def test_what_is_printed_can_be_pasted(run, product):
    """The printed requests are the same as those that are sent."""
    result = run(product)
    assert result.exit_code == 0
    assert parsed(result.stdout) == [tuple(request) for request in setup_requests(product)]
    assert parsed(run(product, "--keep", 7, "--name", "x", "--pattern", "logs-x-*").stdout) == [
        tuple(request) for request in setup_requests(product, TemplateNames("x", "logs-x-*"), keep=7)
    ]
    assert '"""\n//' in console(setup_requests(product))


# -- sending --------------------------------------------------------------------------------


@pytest.fixture
def fake():
    """Run a server that sends the given responses in order, and then 200; it keeps the requests."""

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            server.asked.append((self.command, self.path, json.loads(body or b"null"), dict(self.headers)))
            status, answer = server.answers.pop(0) if server.answers else (200, '{"acknowledged":true}')
            self.send_response(status)
            self.end_headers()
            self.wfile.write(answer.encode())

        do_GET = do_PUT  # noqa: N815 - the base class calls it so

        def log_message(self, *args):
            """Keep stderr clean."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.answers = [], []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_apply_sends_everything(run, fake, monkeypatch):
    """Each request is sent as it is printed, with the key of the environment, and named with its answer."""
    monkeypatch.setenv("BAMBOO_LOGMETRICS_SHIP_API_KEY", "a2V5")
    result = run("elasticsearch", "--apply", "--url", fake.url + "/")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [f"done: PUT {path}: 200 OK" for _, path, _ in setup_requests("elasticsearch")]
    sent = [(method, path[1:], body) for method, path, body, _ in fake.asked]
    assert sent == [tuple(request) for request in setup_requests("elasticsearch")]
    assert {headers["Authorization"] for *_, headers in fake.asked} == {"ApiKey a2V5"}
    assert "a2V5" not in result.output


def test_apply_with_a_password(run, fake, monkeypatch, tmp_path):
    """A user's password may come from a file, and is sent as basic authorisation."""
    (tmp_path / "secret").write_text("hidden\n")
    monkeypatch.setenv("BAMBOO_LOGMETRICS_SHIP_USER", "me")
    monkeypatch.setenv("BAMBOO_LOGMETRICS_SHIP_PASSWORD_FILE", str(tmp_path / "secret"))
    assert run("opensearch", "--apply", "--url", fake.url).exit_code == 0
    assert {headers["Authorization"] for *_, headers in fake.asked} == {"Basic bWU6aGlkZGVu"}


def test_a_refusal_ends_it(run, fake, monkeypatch):
    """The first request that is refused is the last; its answer is shown, without secrets, and the exit code is 1."""
    monkeypatch.setenv("BAMBOO_LOGMETRICS_SHIP_TOKEN", "hunter2")
    fake.answers = [(200, "{}"), (403, '{"error":"not for you, hunter2"}')]
    result = run("elasticsearch", "--apply", "--url", fake.url)
    assert result.exit_code == 1
    assert len(fake.asked) == 2
    assert result.stderr.startswith("refused: PUT _component_template/bamboo-events@mappings: 403 Forbidden: {")
    assert "hunter2" not in result.output


def test_no_server(run):
    """A server that does not answer is a refusal."""
    result = run("elasticsearch", "--apply", "--url", "http://127.0.0.1:1")
    assert result.exit_code == 1
    assert "ConnectError" in result.stderr


def test_without_ism(run, fake):
    """A server without ISM gets everything but the policy, and the command reports that."""
    fake.answers = [(400, '{"error":"no handler found for uri [/_plugins/_ism/policies/x] and method [PUT]"}')]
    result = run("opensearch", "--apply", "--url", fake.url)
    assert result.exit_code == 0
    first, *others = result.stdout.splitlines()
    assert first.startswith("left out: PUT _plugins/_ism/policies/bamboo-events: no ISM here: no lifecycle policy")
    assert [line.partition(":")[0] for line in others] == ["done"] * 3


def test_another_error_of_ism_is_a_refusal(run, fake):
    """A refusal of ISM itself is a refusal."""
    fake.answers = [(400, '{"error":"existing policy templates"}')]
    assert run("opensearch", "--apply", "--url", fake.url).exit_code == 1


@pytest.mark.parametrize(
    ("found", "path"),
    [
        ('{"_seq_no":7,"_primary_term":2,"policy":{}}', "?if_seq_no=7&if_primary_term=2"),
        ("[]", ""),
        ("<html>", ""),
    ],
)
def test_a_policy_that_is_there_is_changed(run, fake, found, path):
    """ISM answers 409 for a policy that it has; the change then names the version that was read."""
    fake.answers = [(409, '{"error":"version_conflict"}'), (200, found)]
    assert run("opensearch", "--apply", "--url", fake.url).exit_code == 0
    first, read, second = fake.asked[:3]
    assert (first[0], read[0], second[0]) == ("PUT", "GET", "PUT")
    assert read[1] == first[1]
    assert second[1:3] == (first[1] + path, first[2])


@pytest.mark.parametrize(
    "args",
    [
        ["elasticsearch", "--apply"],
        ["opensearch", "--url", "http://localhost:9200"],
        ["elasticsearch", "--keep", "0"],
        ["elasticsearch", "--apply", "--url", "localhost"],
        ["elasticsearch", "--apply", "--url", "http://me:hunter2@localhost:9200"],
    ],
    ids=" ".join,
)
def test_bad_usage(run, args):
    """Bad usage exits with 2 and sends nothing."""
    result = run(*args)
    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert "hunter2" not in result.output


def test_applied_to_a_url_with_a_query(run):
    """A URL with a query, to which no path can be appended, is refused before anything is sent."""
    result = run("opensearch", "--apply", "--url", "http://127.0.0.1:1/es?pretty=true")
    assert result.exit_code == 2
    assert "must not have a query" in result.stderr


def test_without_httpx(run, monkeypatch):
    """Without httpx, --apply names the extra to install; printing does not need it."""
    monkeypatch.setitem(sys.modules, "httpx", None)
    monkeypatch.delitem(sys.modules, "bamboo_logmetrics.integrations.elasticsearch.sending", raising=False)
    result = run("elasticsearch", "--apply", "--url", "http://localhost:9200")
    assert result.exit_code == 2
    assert result.stderr == "Error: this needs the package httpx: pip install 'bamboo_logmetrics[cli,ship]'\n"
    assert run("elasticsearch").exit_code == 0


def test_another_missing_module_is_not_hidden(run, monkeypatch):
    """An import that fails for another reason is not taken for a missing extra."""
    monkeypatch.setitem(sys.modules, "bamboo_logmetrics.integrations.elasticsearch.sending", None)
    result = run("elasticsearch", "--apply", "--url", "http://localhost:9200")
    assert isinstance(result.exception, ImportError)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_help(run, command):
    """Each command explains itself, on lines that fit a terminal."""
    result = run(command.name, "--help")
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 100
    assert isinstance(command, click.Command)


# -- Kibana


def test_config_kibana(run):
    """The command prints the objects, a line each, for the data streams that are asked for."""
    lines = run("kibana", "--pattern", "logs-mine-*", "--name", "mine").stdout.splitlines()
    assert [json.loads(line)["type"] for line in lines] == ["index-pattern", "search", "search", "dashboard"]
    assert json.loads(lines[0])["attributes"]["title"] == "logs-mine-*"
    assert run("kibana").stdout == saved_objects()
