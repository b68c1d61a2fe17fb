from __future__ import annotations

import re
import subprocess
import sys

import pytest
import yaml
from support import ROOT
from support.programs import ENVIRONMENT
from support.stub_server import Reply
from support.tools import flat

import bamboo_logmetrics as blm
from bamboo_logmetrics.cli.commands import cli
from bamboo_logmetrics.cli.receive_command import receive

SERVICES = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]


def program_of(service):
    """Return the Python program within the command of a service."""
    return re.search(r"<<'END'\n(.*?)\nEND\n", SERVICES[service]["command"][-1], re.DOTALL)[1]


def run(program):
    return subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [(200, '{"success":true}', 0), (200, '{"success":false,"errors":[{"id":"x"}]}', 1), (503, '{"success":true}', 1)],
)
def test_a_partial_import_fails_the_setup(tmp_path, stub, status, body, code):
    """The service that imports Kibana's objects fails unless all are imported, and shows the answer."""
    (tmp_path / "bamboo.ndjson").write_text("{}", encoding="utf-8")
    program = program_of("kibana-setup").replace("http://kibana:5601", stub.url).replace("/tmp/", f"{tmp_path}/")
    stub.reply(Reply(status, body=body.encode()))
    done = run(program)
    assert (done.returncode, done.stdout.strip()) == (code, body)
    assert stub.requests[0].path == "/api/saved_objects/_import?overwrite=true"


def test_a_writer_is_killed(tmp_path):
    """The service of the agents leaves a writer without a clean end, for its panel."""
    path = tmp_path / "agent.jsonl"
    assert run(program_of("agents").replace("/logs/", f"{tmp_path}/")).returncode == -9
    assert [line["event"] for line in flat(path)] == ["system.worker_started", "chat.session_started"]
    assert not blm.verify(path).ok


def test_the_options_of_the_receiver():
    """The command of the receiver's service is understood, and asks for a token, since the container is not loopback."""
    arguments = SERVICES["receive"]["command"][-1].partition("bamboo-logmetrics ")[2].replace("\\\n", " ").split()
    values = receive.make_context("receive", arguments[1:]).params
    assert (arguments[0], values["listen"], values["auth_token_file"]) == ("receive", "0.0.0.0:4318", "/tmp/token")
    assert values["allow_remote"]


def test_the_options_of_the_shippers():
    """The shippers of the stack run with options that the command has."""
    for service, to in (("to-loki", "loki"), ("to-elasticsearch", "elasticsearch")):
        command = SERVICES[service]["command"]
        assert command[1:3] == ["ship", "/logs/agent.jsonl"]
        assert {f"--to={to}", "--service=demo", "--env=compose", "--follow"} < set(command)


def test_the_options_of_the_proxy():
    """The proxy of the stack runs with options that the command has, on a port that only this host sees."""
    command = SERVICES["proxy"]["command"][-1].splitlines()[-1].split()
    assert command[:3] == ["exec", "/program/bin/bamboo-logmetrics", "proxy"]
    context = cli.get_command(None, "proxy").make_context("proxy", command[3:])
    assert context.params["allow_remote"]
    assert all(port.startswith("127.0.0.1:") for port in SERVICES["proxy"]["ports"])
