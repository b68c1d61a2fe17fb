"""``bamboo-logmetrics proxy`` on the command line."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from support.provider_fixtures import no_errors_inside, server
from support.serving import run_server

import bamboo_logmetrics as blm
from bamboo_logmetrics.cli import proxy_command
from bamboo_logmetrics.cli.commands import cli

__all__ = ["no_errors_inside", "server"]


@pytest.fixture
def client():
    """Return a client that is closed after the test."""
    with httpx.Client(timeout=30, trust_env=False) as plain:
        yield plain


def lines_in(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def run(work, *arguments):
    """Run the command with a client, as :func:`run_server` does."""
    return run_server("proxy", work, *arguments)


def test_a_request(server, path):
    """The command forwards until SIGTERM, says where it listens and what passed, and the log is whole."""

    def work(client, url):
        answer = client.post(f"{url}/openai/v1/chat/completions", json={"model": "m-1"})
        assert answer.json()["model"] == "m-2026"
        assert client.get(f"{url}/healthz").json() == {"status": "ok"}
        assert "bamboo_events_total" in client.get(f"{url}/metrics").text
        assert client.get(f"{url}/nowhere").status_code == 404

    result, lines = run(work, "--log", path, "--upstream", f"openai={server.url}")
    assert result.exit_code == 0, result.output
    assert lines[0].endswith("for /openai/, /anthropic/, /gemini/")
    assert lines[-1] == f"stopped: 2 requests, 1 error; the events are in {path}"
    assert blm.verify(path).ok
    assert [line["event"] for line in lines_in(path)].count("forward.request_completed") == 1


class Program:
    """The command as a program of its own.

    Attributes:
        url: its address.
    """

    def __init__(self, *arguments):
        command = [sys.executable, "-m", "bamboo_logmetrics", "proxy", "--listen", "127.0.0.1:0", *map(str, arguments)]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.url = self._process.stderr.readline().split()[2].rstrip(",")

    def workers(self, count):
        """Wait until a number of workers are there, and return their ids."""
        pid, never = self._process.pid, threading.Event()
        while len(found := Path(f"/proc/{pid}/task/{pid}/children").read_text().split()) < count:
            never.wait(0.01)
        return [int(worker) for worker in found]

    def end(self):
        """End it, and return its exit code and its last line."""
        self._process.send_signal(signal.SIGTERM)
        with self._process.stderr as stderr:
            last = stderr.read().splitlines()[-1]
        return self._process.wait(), last


@contextmanager
def stopped(pid):
    """Have a process take nothing meanwhile."""
    never = threading.Event()
    os.kill(pid, signal.SIGSTOP)
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        never.wait(0.01)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the workers are found in /proc")
def test_workers(server, path, client):
    """Each of several workers serves the address and writes the log, and the counts are those of all."""
    program = Program("--log", path, "--upstream", f"openai={server.url}", "--workers", 2)
    headers = {"connection": "close"}
    for worker in program.workers(2):
        with stopped(worker):  # the other one answers
            for _ in range(3):
                answer = client.post(f"{program.url}/openai/v1/responses", json={"model": "m-1"}, headers=headers)
                assert answer.status_code == 200
            assert client.get(f"{program.url}/metrics", headers=headers).status_code == 404
    assert program.end() == (0, f"stopped: 6 requests, 0 errors; the events are in {path}")
    assert blm.verify(path).ok
    assert [line["event"] for line in lines_in(path)].count("forward.request_completed") == 6


def test_counts_of_workers(path, monkeypatch):
    """The counts of all workers are summed up at the end."""
    both = multiprocessing.get_context("fork").Barrier(2)

    def serve(*_):
        both.wait()
        os.kill(os.getppid(), signal.SIGTERM)
        signal.sigwait({signal.SIGTERM})
        return 3, 1

    monkeypatch.setattr(proxy_command, "_serve", serve)
    result = CliRunner().invoke(cli, ["proxy", "--log", str(path), "--listen", "127.0.0.1:0", "--workers", "2"])
    assert result.exit_code == 0
    assert "stopped: 6 requests, 2 errors" in result.output


def test_workers_that_die(path, monkeypatch):
    """Workers that die again and again end the command with 1."""
    monkeypatch.setattr(proxy_command, "_serve", lambda *_: os._exit(3))
    result = CliRunner().invoke(cli, ["proxy", "--log", str(path), "--listen", "127.0.0.1:0", "--workers", "2"])
    assert result.exit_code == 1
    assert "workers died within 60 s" in result.output


def test_a_token_and_a_key(server, path, tmp_path):
    """Token, key and the header of the session come from options."""
    (tmp_path / "token").write_text("t-1\n")
    (tmp_path / "key").write_text("sk-own\n")

    def work(client, url):
        target = f"{url}/openai/v1/chat/completions"
        assert client.post(target, json={}).status_code == 401
        assert client.get(f"{url}/metrics").status_code == 401
        headers = {"x-bamboo-token": "t-1", "x-session": "s-1"}
        assert client.post(target, json={}, headers=headers).status_code == 200
        assert client.get(f"{url}/metrics", headers=headers).status_code == 200

    options = ["--auth-token-file", tmp_path / "token", "--upstream-key-file", f"openai={tmp_path / 'key'}"]
    run(work, "--log", path, "--upstream", f"openai={server.url}", "--session-from", "X-Session", *options)
    assert server.requests[0][2]["authorization"] == "Bearer sk-own"
    assert [line["session_id"] for line in lines_in(path) if line["event"] == "forward.request_started"] == ["s-1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--listen", "8787"], "is not HOST:PORT"),
        (["--listen", "127.0.0.1:99999"], "is not HOST:PORT"),
        (["--listen", "no.such.host.invalid:80"], "the host is not known"),
        (["--listen", "0.0.0.0:0"], "--allow-remote and --auth-token-file"),
        (
            ["--listen", "192.0.2.1:0", "--allow-remote", "--auth-token-file", "TOKEN"],
            "Cannot assign requested address",
        ),
        (["--allow-remote"], "needs --auth-token-file"),
        (["--auth-token-file", "nowhere"], "cannot be read"),
        (["--upstream", "x=nowhere"], "must be http:// or https://"),
        (["--session-from", "Authorization"], "cannot name sessions"),
        (["--session-from", "a b"], "cannot name sessions"),
    ],
)
def test_bad_usage(tmp_path, monkeypatch, arguments, message):
    """Bad usage is refused in one line, and nothing is made."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "TOKEN").write_text("t-1")
    result = CliRunner().invoke(cli, ["proxy", "--log", "logs/a.jsonl", *arguments])
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "logs").exists()


def test_an_address_in_use(path):
    """An address in use is named, with the remedy."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = CliRunner().invoke(cli, ["proxy", "--log", str(path), "--listen", address])
    assert (result.exit_code, "use another port" in result.output) == (2, True)


def test_a_missing_extra(path, monkeypatch):
    """Without the extra the command says what to install."""
    import bamboo_logmetrics.live as package

    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "bamboo_logmetrics.live.server", raising=False)
    monkeypatch.delattr(package, "server", raising=False)
    result = CliRunner().invoke(cli, ["proxy", "--log", str(path)])
    assert result.exit_code == 2
    assert "pip install 'bamboo_logmetrics[cli,live]'" in result.output
