"""``bamboo-logmetrics receive`` on the command line."""

from __future__ import annotations

import sys

import pytest
from click.testing import CliRunner
from support.exporting import JSON, call, log_record, logs_of, metrics_of
from support.serving import run_server

import bamboo_logmetrics as blm
from bamboo_logmetrics.cli import receive_command
from bamboo_logmetrics.cli.commands import cli
from bamboo_logmetrics.live import acknowledging


def run(work, *arguments):
    """Run the command with a client, as :func:`run_server` does; however busy the disk is, it is waited for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(acknowledging, "WAIT_SECONDS", 60.0)
        return run_server("receive", work, *arguments)


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


def test_a_note(capsys):
    """A note for the operator is printable."""
    receive_command._note("a\x1bb")
    assert capsys.readouterr().err.endswith(" note: a\\x1bb\n")


def test_a_missing_extra(path, monkeypatch):
    """Without the extra the command says how to install it."""
    import bamboo_logmetrics.live as package

    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "bamboo_logmetrics.live.server", raising=False)
    monkeypatch.delattr(package, "server", raising=False)
    result = CliRunner().invoke(cli, ["receive", "--log", str(path)])
    assert result.exit_code == 2
    assert "pip install 'bamboo_logmetrics[cli,live]'" in result.output
