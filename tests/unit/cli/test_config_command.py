from __future__ import annotations

import json

import pytest
import yaml

from bamboo_logmetrics import integrations

WHERE = ["--path", "/logs/agent.jsonl", "--url", "http://localhost:3100"]


@pytest.fixture
def run(run):
    """Run ``bamboo-logmetrics config``; returns click's result."""
    return lambda *args: run("config", *args)


@pytest.mark.parametrize("command", [[], *([name] for name in integrations.TARGETS), ["grafana"]], ids=str)
def test_every_command_has_help(run, command):
    """Each command explains itself, on lines that fit a terminal, and shows how it is used."""
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100
    assert not command or f"bamboo-logmetrics config {command[0]}" in result.stdout.partition("\n")[2]


@pytest.mark.parametrize("target", integrations.TARGETS)
def test_a_configuration_goes_to_stdout(run, target):
    """Stdout gets the configuration alone, with the command that makes it again."""
    result = run(target, *WHERE, "--env", "production eu")
    assert result.exit_code == 0
    assert result.stderr == ""
    command = f"bamboo-logmetrics config {target} {' '.join(WHERE)} --env 'production eu'"
    assert f"Made by: {command}\n" in result.stdout
    assert result.stdout == integrations.render(
        target, path=WHERE[1], url=WHERE[3], env="production eu", command=command
    )


def test_where_a_shipper_keeps_its_state(run):
    """--state names the directory in which the log shipper remembers its read positions."""
    result = run("vector", *WHERE, "--state", "/var/lib/vector")
    assert yaml.safe_load(result.stdout)["data_dir"] == "/var/lib/vector"
    assert run("alloy", *WHERE, "--state", "/x").exit_code == 2


def test_to_a_new_file(run, tmp_path):
    """-o writes a file, and never over one that is there."""
    file = tmp_path / "vector.yaml"
    result = run("vector", *WHERE, "-o", file)
    assert (result.exit_code, result.stdout) == (0, "")
    assert yaml.safe_load(file.read_text(encoding="utf-8"))["sinks"]
    result = run("alloy", *WHERE, "-o", file)
    assert result.exit_code == 2
    assert "exists; remove it" in result.stderr


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["vector", "--url", "http://x"], "--path"),
        (["vector", "--path", "/x"], "--url"),
        (["fluentd", *WHERE], "fluentd"),
        (["vector", "--path", "/a*", "--url", "http://x"], "another name"),
        (["vector", "--path", "/a", "--url", "http://u:p@x"], "must not hold a user, a password"),
        (["grafana", "--alerts", "--datasource", "a b"], "not a uid"),
        (["vector", *WHERE, "-o", "/nowhere/at/all"], "/nowhere/at/all"),
    ],
)
def test_bad_usage(run, args, text):
    """Bad usage gives 2 and a message on stderr that names the remedy, and prints nothing."""
    result = run(*args)
    assert result.exit_code == 2
    assert text in result.stderr
    assert result.stdout == ""


def test_grafana(run):
    """The dashboard is JSON, and the alert rules are YAML over the data source that was named."""
    assert json.loads(run("grafana").stdout)["uid"] == "bamboo-logmetrics"
    result = run("grafana", "--alerts", "--datasource", "loki2")
    assert "Made by: bamboo-logmetrics config grafana --alerts --datasource loki2" in result.stdout
    assert yaml.safe_load(result.stdout)["groups"][0]["rules"][0]["data"][0]["datasourceUid"] == "loki2"
