"""``bamboo-logmetrics receive`` on the command line."""

from __future__ import annotations

import os
import signal
import sys
import threading

import httpx
import pytest
from click.testing import CliRunner
from support.exporting import JSON, call, log_record, logs_of, metrics_of

import bamboo_logmetrics as blm
from bamboo_logmetrics.cli import receive_command
from bamboo_logmetrics.cli.commands import cli
from bamboo_logmetrics.live import acknowledging
from bamboo_logmetrics.live.proxy_traffic import Passed


def run(work, *arguments):
    """Run the command in this thread, and ``work(client, url)`` in another once it listens; then stop the command."""
    failures, ready, lines = [], threading.Event(), []

    def working():
        ready.wait()
        if not lines:  # the command has ended, and the signal would end the tests
            return
        try:
            with httpx.Client(trust_env=False, timeout=30) as client:
                work(client, next(line.split()[2] for line in lines if line.startswith("listening")).rstrip(","))
        except BaseException as error:
            failures.append(error)
        os.kill(os.getpid(), signal.SIGTERM)

    def writing(text):
        lines.append(text)
        if text.startswith("listening"):
            ready.set()

    thread = threading.Thread(target=working)
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(receive_command, "_write", writing)
        patch.setattr(acknowledging, "WAIT_SECONDS", 60.0)  # however busy the disk is
        result = CliRunner().invoke(cli, ["receive", "--listen", "127.0.0.1:0", *map(str, arguments)])
    ready.set()
    thread.join()
    assert not failures
    return result, lines


def test_receiving(path):
    """The command receives until SIGTERM, names what it does not write, and says at its end what it wrote."""

    def work(client, url):
        other = logs_of(log_record(0, event__name="app.thing"), service="app")
        metrics = metrics_of("claude_code.token.usage")
        for body, where in [(logs_of(call()), "logs"), (other, "logs"), (metrics, "metrics"), (metrics, "metrics")]:
            assert client.post(f"{url}/v1/{where}", content=body, headers=JSON).status_code == 200
        assert client.get(f"{url}/healthz").json() == {"status": "ok"}
        assert 'bamboo_events_total{event="chat.round_completed"} 1.0' in client.get(f"{url}/metrics").text

    result, lines = run(work, "--log", path)
    assert result.exit_code == 0
    first, *notes, unknown, summed, last = lines
    assert first.endswith(", for OTLP over HTTP")
    assert [note.partition(" note: ")[2].partition(":")[0] for note in notes] == [
        "app.thing",
        "claude_code.token.usage",
    ]
    assert unknown == "1 record: not known, kept as plain lines"
    assert summed == "2 records: metrics of calls that logs and spans count, not written"
    assert last == f"stopped: 4 requests, 0 errors; 4 events written to {path}"
    assert blm.verify([path]).ok


def test_the_token(path, tmp_path):
    """The token in the file is asked for."""
    token = tmp_path / "token"
    token.write_text("t-1\n", encoding="utf-8")
    token.chmod(0o600)

    def work(client, url):
        assert client.post(f"{url}/v1/logs", content=b"{}", headers=JSON).status_code == 401
        assert client.get(f"{url}/metrics").status_code == 401
        headers = {**JSON, "authorization": "Bearer t-1"}
        assert client.post(f"{url}/v1/logs", content=b"{}", headers=headers).status_code == 200

    result, _ = run(work, "--log", path, "--auth-token-file", token)
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--allow-remote"], "--allow-remote needs --auth-token-file"),
        (["--listen", "0.0.0.0:0"], "lets other machines connect"),
        (["--listen", "nothing"], "is not HOST:PORT"),
    ],
)
def test_bad_usage(path, arguments, message):
    """Bad usage is told in one line, before a log is made."""
    result = CliRunner().invoke(cli, ["receive", "--log", str(path), *arguments])
    assert result.exit_code == 2
    assert message in result.output
    assert not path.exists()


def test_lines_on_a_terminal(capsys):
    """A line for each request is printable; closed stderr is no reason to stop."""
    receive_command._show(Passed("POST", "/v1/\x1b[31m", 200, 3, is_whole=True))
    receive_command._note("a\x1bb")
    shown, noted = capsys.readouterr().err.splitlines()
    assert shown.partition(" ")[2].startswith("200 POST /v1/")
    assert "\x1b" not in shown + noted


def test_a_missing_extra(path, monkeypatch):
    """Without the extra the command says how to install it."""
    import bamboo_logmetrics.live as package

    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "bamboo_logmetrics.live.proxy_server", raising=False)
    monkeypatch.delattr(package, "proxy_server", raising=False)
    result = CliRunner().invoke(cli, ["receive", "--log", str(path)])
    assert result.exit_code == 2
    assert "pip install 'bamboo_logmetrics[cli,live]'" in result.output
