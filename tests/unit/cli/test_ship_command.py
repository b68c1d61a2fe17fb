from __future__ import annotations

import contextlib
import errno
import json
import os
import pty
import re
import signal
import subprocess
import sys
from datetime import datetime, timezone

import pytest
from click.testing import CliRunner
from support.programs import ENVIRONMENT, PROGRAM, run_code, start
from support.stub_server import Reply, StubServer
from support.tools import flat, tool
from support.toy_destination import Toy, ToyServer

import bamboo_logmetrics as blm
from bamboo_logmetrics.cli import ship_command
from bamboo_logmetrics.cli.commands import cli
from bamboo_logmetrics.ship import destinations, shipper
from bamboo_logmetrics.ship.dead_letters import DEAD_LETTER_BYTES
from bamboo_logmetrics.ship.destinations import register_destination
from bamboo_logmetrics.ship.log_source import LogSource


def timeless(text):
    """Return lines of stderr without the times with which they begin, in UTC and not in the future."""
    now = f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
    lines = []
    for line in text.splitlines(keepends=True):
        moment, _, rest = line.partition(" ")
        assert "2026-01-01T00:00:00Z" < moment <= now
        lines.append(rest)
    return "".join(lines)


@pytest.fixture
def run():
    """Run a command in this process; returns click's result."""
    handler = signal.getsignal(signal.SIGTERM)
    yield lambda *args: CliRunner().invoke(cli, ["ship", *map(str, args)], prog_name="bamboo-logmetrics")
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def closed_log(tmp_path):
    """Write a closed log of ten events: twelve lines."""
    path = tmp_path / "agent.jsonl"
    write(path, 10)
    return path


def write(path, count):
    with blm.open_log(path) as log:
        for number in range(count):
            log.emit(tool(number))


def to(stub, kind="loki"):
    """Return the options that lead to a server."""
    return ["--to", kind, "--url", stub.url]


def numbers(path):
    """Return the ids of a log's lines, sorted."""
    return sorted((line["writer"], line["seq"]) for line in flat(path))


# -- help and usage ------------------------------------------------------------------------


def test_help(run):
    """The help explains each option, the exit codes and where secrets come from, on lines that fit a terminal."""
    result = run("--help")
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 100
    for word in ("--follow", "--status", "Exit code: 0", "_TOKEN_FILE", "--give-up-after", "--to loki --url"):
        assert word in result.stdout


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["agent.jsonl"], "give --to and --url to ship"),
        (["agent.jsonl", "--to", "loki"], "give --to and --url to ship"),
        (["agent.jsonl", "--url", "http://localhost"], "give --to and --url to ship"),
        ([], "Missing argument"),
        (["agent.jsonl", "--to", "splunk", "--url", "http://localhost"], "splunk"),
        (["agent.jsonl", "--to", "loki", "--url", "localhost:3100"], "not an HTTP URL"),
        (["agent.jsonl", "--to", "loki", "--url", "http://u:s3cret@localhost"], "must not hold a user"),
        (
            ["agent.jsonl", "--to", "loki", "--url", "http://localhost", "--data-stream", "x"],
            "'data_stream' is no option of 'loki'",
        ),
        (["agent.jsonl", "--to", "elasticsearch", "--url", "http://localhost", "--data-stream", "a/b"], "data_stream"),
        (["agent.jsonl", "--to", "loki", "--url", "http://localhost", "--name", "a/b"], "letters, digits"),
        (["agent.jsonl", "--to", "loki", "--url", "http://localhost", "--token-file", "nosuch"], "nosuch"),
        (["agent.jsonl", "--to", "loki", "--url", "http://localhost", "--ca", "nosuch"], "nosuch"),
        (["agent.jsonl", "--to", "loki", "--url", "http://localhost", "--give-up-after", "-1"], "-1"),
        (["agent.jsonl", "--to", "loki", "--url", "http://localhost", "--give-up-after", "nan"], "not a number"),
        (["agent.jsonl", "--to", "loki", "--url", "http://localhost", "--password", "s3cret"], "No such option"),
        (["none.jsonl", "--to", "loki", "--url", "http://localhost"], "none.jsonl"),
        (["*.none", "--to", "loki", "--url", "http://localhost"], "no file matches"),
        ([".", "--to", "loki", "--url", "http://localhost"], "not a regular file"),
        (["none.jsonl", "--status"], "none.jsonl"),
        (["agent.jsonl", "--status", "--format", "xml"], "xml"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_usage(run, closed_log, monkeypatch, args, text):
    """Bad usage gives 2 and a message, no traceback and no secret, and leaves nothing beside the log."""
    monkeypatch.chdir(closed_log.parent)
    result = run(*args)
    assert result.exit_code == 2
    assert text in result.stderr
    assert "s3cret" not in result.stderr or "--password" in args
    assert result.stdout == ""
    assert sorted(os.listdir(closed_log.parent)) == [".agent.jsonl.lock", "agent.jsonl"]


@pytest.mark.parametrize(
    ("missing", "package"), [("httpx", "httpx"), ("google", "protobuf"), ("opentelemetry", "opentelemetry-proto")]
)
def test_without_the_extra(closed_log, missing, package):
    """Without what an extra brings, the program says what to install and exits with 2; its other commands work."""
    code = (
        f"import sys; sys.modules['{missing}'] = None; from bamboo_logmetrics.cli import main; "
        f"sys.argv[1:] = ['ship', {str(closed_log)!r}, '--to', 'otlp', '--url', 'http://localhost']; main()"
    )
    done = run_code(code)
    extras = "cli,ship" if missing == "httpx" else "cli,ship,otel"
    assert done.returncode == 2
    assert done.stderr == f"Error: this needs the package {package}: pip install 'bamboo_logmetrics[{extras}]'\n"
    verify = run_code(code.replace("'ship'", "'verify'").replace(", '--to', 'otlp', '--url', 'http://localhost'", ""))
    assert verify.returncode == 0


def test_without_the_extra_in_this_process(run, closed_log, monkeypatch):
    """The hints come in this process too, and an import that fails for another reason is not taken for one."""
    from bamboo_logmetrics import ship

    options = [closed_log, "--to", "otlp", "--url", "http://localhost"]
    for missing, package in (("httpx", "httpx"), ("google.protobuf", "protobuf")):
        with monkeypatch.context() as patch:
            for name in [name for name in sys.modules if name.startswith("bamboo_logmetrics.ship")]:
                patch.delitem(sys.modules, name)
            patch.delattr(blm, "ship", raising=False)
            for name in [name for name in sys.modules if name.startswith(missing)]:
                patch.setitem(sys.modules, name, None)
            patch.setitem(sys.modules, missing, None)
            result = run(*options)
        assert result.exit_code == 2
        assert f"needs the package {package}:" in result.stderr
    monkeypatch.setattr(blm, "ship", ship, raising=False)
    monkeypatch.delattr(destinations, "otlp_protobuf", raising=False)
    monkeypatch.setitem(sys.modules, "bamboo_logmetrics.ship.destinations.otlp_protobuf", None)
    result = run(*options)
    assert isinstance(result.exception, ImportError)


# -- delivering ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["loki", "elasticsearch", "otlp"])
def test_ship(run, stub, closed_log, kind):
    """A log is delivered once; the same command again has nothing to do."""
    result = run(closed_log, *to(stub, kind))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "delivered 12 lines\n"
    assert stub.kept == numbers(closed_log)
    result = run(closed_log, *to(stub, kind))
    assert (result.exit_code, result.stdout) == (0, "delivered 0 lines\n")
    assert len(stub.requests) == 1


def test_ship_in_a_process(stub, closed_log):
    """The installed program does the same, and prints nothing but the result."""
    with start("ship", closed_log, *to(stub)) as process:
        out, error = process.communicate(timeout=30)
    assert (process.returncode, out, error) == (0, b"delivered 12 lines\n", b"")
    assert stub.kept == numbers(closed_log)


def test_options_arrive(run, stub, closed_log):
    """Service, environment, tenant, name and data stream arrive where they belong."""
    run(closed_log, *to(stub), "--service", "shop", "--env", "prod", "--tenant", "team", "--name", "first")
    [request] = stub.requests
    assert {stream["stream"]["service_name"] for stream in json.loads(request.body)["streams"]} == {"shop"}
    assert {stream["stream"]["env"] for stream in json.loads(request.body)["streams"]} == {"prod"}
    assert request.headers["X-Scope-OrgID"] == "team"
    assert (closed_log.parent / ".agent.jsonl.first.checkpoint").exists()
    run(closed_log, *to(stub, "elasticsearch"), "--data-stream", "logs-a-b")
    assert stub.requests[1].path == "/logs-a-b/_bulk"


def test_secrets_from_the_environment(run, stub, closed_log, monkeypatch):
    """A user on the command line finds its password in the environment or in a file."""
    monkeypatch.setenv("BAMBOO_LOGMETRICS_SHIP_PASSWORD", "s3cret")
    run(closed_log, *to(stub), "--user", "me")
    (closed_log.parent / "secret").write_text("an0ther\n", encoding="utf-8")
    run(closed_log, *to(stub), "--user", "me", "--password-file", closed_log.parent / "secret", "--name", "b")
    told = [request.headers["Authorization"] for request in stub.requests]
    assert told == ["Basic bWU6czNjcmV0", "Basic bWU6YW4wdGhlcg=="]


def test_patterns(run, stub, closed_log):
    """A quoted pattern names every log that matches; each has its own checkpoint, and its name as the service."""
    other = closed_log.with_name("other.jsonl")
    write(other, 3)
    result = run(closed_log.parent / "*.jsonl", *to(stub))
    assert result.stdout == "delivered 17 lines\n"
    assert stub.kept == sorted(numbers(closed_log) + numbers(other))
    services = {dict(labels)["service_name"] for labels, _, _ in stub.entries}
    assert services == {"agent", "other"}


def test_checkpoint_dir(run, stub, closed_log, tmp_path):
    """With --checkpoint-dir nothing is left beside the log, and --status looks there."""
    (tmp_path / "state").mkdir()
    run(closed_log, *to(stub), "--checkpoint-dir", tmp_path / "state")
    assert sorted(os.listdir(tmp_path)) == [".agent.jsonl.lock", "agent.jsonl", "state"]
    assert "12" in run(closed_log, "--status", "--checkpoint-dir", tmp_path / "state").stdout
    assert run(closed_log, "--status").stdout == "no shipper has a checkpoint of these logs\n"


def test_refused_lines(run, stub, closed_log):
    """Lines that are refused give 1, and go to a file that --status names."""
    [bad, *_] = [line["seq"] for line in flat(closed_log) if line["event"] == "chat.tool_called"]
    stub.poison = lambda identity: "mapper says no" if identity[1] == bad else None
    result = run(closed_log, *to(stub, "elasticsearch"))
    assert result.exit_code == 1
    assert result.stdout == "delivered 11 lines; 1 refused: see the dead-letter file (--status names it)\n"
    [letter] = closed_log.parent.glob(".*.dead-letter")
    assert str(letter) in run(closed_log, "--status").stdout.replace("\n", "")
    assert json.loads(letter.read_text(encoding="utf-8"))["seq"] == bad
    assert run(closed_log, *to(stub, "elasticsearch")).exit_code == 0


def test_lost_lines(run, stub, closed_log):
    """Lines that the files do not hold any more are counted, and give 1."""
    lines = closed_log.read_bytes().splitlines(keepends=True)
    closed_log.write_bytes(b"".join([*lines[:3], *lines[5:]]))
    result = run(closed_log, *to(stub))
    assert result.exit_code == 1
    assert result.stdout == "delivered 10 lines; 2 lost: the files do not hold them any more\n"


def test_giving_up(run, stub, closed_log):
    """A server that takes nothing for too long gives 1 and its own words; the same command goes on afterwards."""
    stub.fail(503, body=b"down \x1b[2Jfor repair")
    result = run(closed_log, *to(stub), "--give-up-after", "0")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert r"503 Service Unavailable: down \x1b[2Jfor repair" in result.stderr
    assert "the same command goes on where this one ended" in result.stderr
    assert run(closed_log, *to(stub)).stdout == "delivered 12 lines\n"


def test_a_wrong_url(run, stub, closed_log):
    """A URL where every batch is answered with 400 makes no dead letters."""
    stub.fail(400, body=b"unsupported path requested", times=20)
    result = run(closed_log, *to(stub), "--give-up-after", "0")
    assert result.exit_code == 1
    assert "is this the right URL?" in result.stderr
    assert not list(closed_log.parent.glob(".*.dead-letter"))
    stub._replies.clear()
    assert run(closed_log, *to(stub)).stdout == "delivered 12 lines\n"


def test_trouble_that_passes(run, stub, closed_log):
    """Trouble, and its end, are said on stderr, once each."""
    stub.fail(503, {"Retry-After": "0"}, b"just a moment")
    result = run(closed_log, *to(stub))
    assert (result.exit_code, result.stdout) == (0, "delivered 12 lines\n")
    assert timeless(result.stderr) == "503 Service Unavailable: just a moment; trying again\ngoing on\n"


def test_a_notice(run, stub, closed_log):
    """A notice is a note on stderr, and changes no exit code."""
    stub.index = "logs-x"
    result = run(closed_log, *to(stub, "elasticsearch"))
    assert (result.exit_code, result.stdout) == (0, "delivered 12 lines\n")
    assert timeless(result.stderr).startswith("note: logs-x is a plain index and not a data stream")


def test_moved_and_name(run, closed_log):
    """Another URL needs --moved, to go on there, or another --name, to begin anew; else it is refused."""
    with StubServer() as first, StubServer() as second:
        run(closed_log, *to(first))
        result = run(closed_log, *to(second))
        assert result.exit_code == 2
        assert "--moved" in result.stderr
        assert "--name" in result.stderr
        assert run(closed_log, *to(second), "--moved").stdout == "delivered 0 lines\n"
        assert run(closed_log, *to(second), "--name", "again").stdout == "delivered 12 lines\n"
        assert second.kept == numbers(closed_log)
        assert len(first.requests) == 1


def test_interrupted(run, stub, closed_log):
    """Ctrl-C gives 130 and no traceback, and the next run loses nothing."""
    stub.fail(503)
    stub.before = lambda _: os.kill(os.getpid(), signal.SIGINT) if len(stub.requests) == 1 else None
    result = run(closed_log, *to(stub))
    assert result.exit_code == 130
    assert "interrupted" in result.stderr
    assert "Traceback" not in result.stderr
    run(closed_log, *to(stub))
    assert stub.kept == numbers(closed_log)


def test_interrupted_while_an_answer_is_counted(run, stub, closed_log, monkeypatch):
    """Ctrl-C between an answer and its checkpoint has nothing delivered again."""
    commit = LogSource.commit

    def interrupted(*args):
        signal.raise_signal(signal.SIGINT)
        commit(*args)

    with monkeypatch.context() as patch:
        patch.setattr(LogSource, "commit", interrupted)
        assert run(closed_log, *to(stub)).exit_code == 130
    assert run(closed_log, *to(stub)).stdout == "delivered 0 lines\n"
    assert sorted(stub.stored) == numbers(closed_log)


def test_interrupted_twice(run, stub, closed_log, monkeypatch):
    """The second Ctrl-C does not wait for what is under way."""
    monkeypatch.setattr(shipper, "_LAST_ANSWER", 600.0)
    going_on = stub.hold()

    def interrupt(_):
        os.kill(os.getpid(), signal.SIGINT)
        while signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            going_on.wait(0.01)  # the first is not heard yet
        os.kill(os.getpid(), signal.SIGINT)

    stub.before = interrupt
    assert run(closed_log, *to(stub)).exit_code == 130
    going_on.set()


def test_interrupts_that_are_ignored(run, stub, closed_log):
    """Where Ctrl-C is ignored, as in the background of a shell, it stays so."""
    stub.after = lambda _: os.kill(os.getpid(), signal.SIGINT)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert run(closed_log, *to(stub)).exit_code == 0
    finally:
        signal.signal(signal.SIGINT, before)


def test_progress_of_bytes(run, stub, closed_log, monkeypatch):
    """On a terminal the bar counts the bytes that are settled, on stderr."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = run(closed_log, *to(stub))
    assert result.exit_code == 0
    assert "delivering" in result.stderr
    assert "delivering" not in result.stdout


def on_a_terminal(*args):
    """Run the program on a terminal; return its exit code and what that shows."""
    ours, theirs = pty.openpty()
    environment = {**ENVIRONMENT, "TERM": "xterm", "COLUMNS": "100"}
    process = start(*args, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError as error:
        if error.errno != errno.EIO:  # how Linux says that nobody has the other end any more
            raise
    os.close(ours)
    return process.wait(30), shown.decode()


def test_progress_on_a_terminal(stub, closed_log):
    """On a real terminal there is a bar while one waits, and none with --status."""
    code, shown = on_a_terminal("ship", closed_log, *to(stub))
    assert code == 0
    assert "delivering" in shown
    assert "delivered 12 lines" in shown
    code, shown = on_a_terminal("ship", closed_log, "--status")
    assert code == 0
    assert "delivering" not in shown
    assert "loki" in shown


# -- a destination of an application ---------------------------------------------------------


@pytest.fixture
def toy(stub):
    """Register the toy destination, and have the server take its requests."""
    register_destination(Toy)
    stub.kinds.append(ToyServer)
    yield
    del destinations._destinations[Toy.name]


def test_a_registered_destination(run, stub, closed_log, toy, monkeypatch):
    """A destination that was registered after the import is a choice of --to, with its option and its authentication."""
    monkeypatch.setenv("BAMBOO_LOGMETRICS_SHIP_TOKEN", ToyServer.key)
    result = run(closed_log, *to(stub, "toy"), "--room", "attic")
    assert (result.exit_code, result.output) == (0, "delivered 12 lines\n")
    assert stub.kept == numbers(closed_log)
    assert {request.path for request in stub.requests} == {"/rooms/attic/lines"}


def test_a_registered_destination_in_the_help(run, toy):
    """The help shows a registered destination and its option; each option names its destination and its default."""
    text = " ".join(run("--help").stdout.split())
    assert "--to [loki|elasticsearch|otlp|toy]" in text
    assert "--data-stream TEXT For elasticsearch: Data stream that receives the documents." in text
    assert "--room TEXT For toy: Room that receives the lines. [default: lobby]" in text


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--to", "toy", "--room", "a/b"], "room='a/b' must be letters and digits"),
        (["--to", "loki", "--room", "attic"], "'room' is no option of 'loki'; its options: none"),
        (["--to", "toy", "--data-stream", "x"], "'data_stream' is no option of 'toy'; its options: room"),
    ],
)
def test_bad_options_of_a_destination(run, closed_log, toy, args, text):
    """A value that the destination refuses, and an option of another one, are bad usage."""
    result = run(closed_log, "--url", "http://localhost", *args)
    assert result.exit_code == 2
    assert text in result.stderr


# -- following -----------------------------------------------------------------------------


@contextlib.contextmanager
def follow(path, stub):
    """Start a follower, and kill it if it is still there in the end."""
    with start("ship", path, *to(stub), "--follow") as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_follower_that_is_stopped(stub, closed_log, number, code):
    """SIGTERM ends a follower with 0, Ctrl-C with 130; what was under way is waited for, and nothing is lost or doubled."""
    going_on = stub.hold(stored=True)
    with follow(closed_log, stub) as process:
        assert stub.until_reached()
        process.send_signal(number)
        going_on.set()
        out, error = process.communicate(timeout=30)
    assert process.returncode == code
    assert b"Traceback" not in error
    if code == 0:
        assert (out, error) == (b"delivered 12 lines\n", b"")
    write(closed_log, 5)
    with start("ship", closed_log, *to(stub)) as process:
        out, _ = process.communicate(timeout=30)
    assert out == b"delivered 7 lines\n"
    assert sorted(stub.stored) == numbers(closed_log)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_follower_that_is_stopped_in_an_outage(stub, closed_log, number):
    """A follower that waits for a server stops at once, and the next run delivers everything."""
    stub.fail(503, {"Retry-After": "600"}, times=100)
    with follow(closed_log, stub) as process:
        assert timeless(process.stderr.readline().decode()) == "503 Service Unavailable; trying again\n"
        process.send_signal(number)
        process.communicate(timeout=30)
    assert process.returncode == (0 if number == signal.SIGTERM else 130)
    assert stub.stored == []
    stub._replies.clear()
    with start("ship", closed_log, *to(stub)) as process:
        process.communicate(timeout=30)
    assert stub.kept == numbers(closed_log)


def test_a_run_that_is_terminated(stub, closed_log):
    """SIGTERM ends a run without --follow as it ends any program: not with 0, since not all is delivered."""
    going_on = stub.hold()
    with start("ship", closed_log, *to(stub)) as process:
        assert stub.until_reached()
        process.terminate()
        out, _ = process.communicate(timeout=30)
    going_on.set()
    assert process.returncode == -signal.SIGTERM
    assert out == b""


def test_a_follower_gets_what_is_appended(stub, closed_log):
    """Lines that are appended while it follows are delivered, without another command."""
    with follow(closed_log, stub) as process:
        assert stub.until_reached()
        write(closed_log, 3)
        found = 0
        while found < len(numbers(closed_log)):
            assert stub.until_reached() or len(stub.stored) == len(numbers(closed_log))
            found = sum(len(request.ids) for request in stub.requests)
        process.terminate()
        out, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (0, b"")
    assert out == b"delivered 17 lines\n"
    assert stub.kept == numbers(closed_log)


def test_a_follower_in_this_process(run, stub, closed_log):
    """The program's own handler of SIGTERM ends the follower."""
    stub.after = lambda _: os.kill(os.getpid(), signal.SIGTERM)
    result = run(closed_log, *to(stub), "--follow")
    assert (result.exit_code, result.stdout) == (0, "delivered 12 lines\n")


def test_a_follower_that_gave_up(run, stub, closed_log):
    """With --give-up-after a follower ends as well."""
    stub.fail(503)
    assert run(closed_log, *to(stub), "--follow", "--give-up-after", "0").exit_code == 1


def test_a_follower_without_a_log(stub, tmp_path):
    """A log that is not there yet is waited for, which is said; stopping that gives 0."""
    path = tmp_path / "later.jsonl"
    with follow(path, stub) as process:
        assert b"no log is there yet: waiting for " in process.stderr.readline()
        write(path, 1)
        assert stub.until_reached()
        process.terminate()
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert out == b"delivered 3 lines\n"
    assert stub.kept == numbers(path)


def test_refused_lines_do_not_fail_a_follower(run, stub, closed_log):
    """A follower that was stopped gives 0, also when lines were refused: it did what it could, and said so."""
    stub.poison = lambda identity: "no" if identity[1] == 2 else None
    stub.after = lambda _: os.kill(os.getpid(), signal.SIGTERM)
    result = run(closed_log, *to(stub, "elasticsearch"), "--follow")
    assert result.exit_code == 0
    assert "1 refused" in result.stdout


def test_two_under_one_name(stub, closed_log):
    """While one ships a log, another under the same name is refused, and one under another name is not."""
    going_on = stub.hold()
    with follow(closed_log, stub) as process:
        assert stub.until_reached()
        with start("ship", closed_log, *to(stub)) as second:
            _, error = second.communicate(timeout=30)
        assert second.returncode == 2
        assert b"another process ships" in error
        assert b"'loki'" in error
        going_on.set()
        with start("ship", closed_log, *to(stub), "--name", "other") as third:
            out, _ = third.communicate(timeout=30)
        assert (third.returncode, out) == (0, b"delivered 12 lines\n")
        process.terminate()
        process.communicate(timeout=30)


# -- status --------------------------------------------------------------------------------


def test_status(run, stub, closed_log):
    """--status shows, for each shipper of each log, how far it is, and that none is running."""
    run(closed_log, *to(stub))
    run(closed_log, *to(stub, "otlp"), "--name", "second")
    write(closed_log, 1)
    result = run(closed_log, "--status")
    assert (result.exit_code, result.stderr) == (0, "")
    [head, first, second] = result.stdout.splitlines()
    assert head.split() == ["log", "name", "state", "delivered", "refused", "lost", "repeated", "left", "oldest"]
    assert re.search(r"agent\.jsonl +loki +not running +12 +0 +0 +0 +[\d,]+ B +\d+ s", first)
    assert re.search(r"agent\.jsonl +second +not running +12 ", second)


def test_status_as_json(run, stub, closed_log):
    """--format json prints one list and nothing else, with the same keys for each shipper."""
    assert json.loads(run(closed_log, "--status", "--format", "json").stdout) == []
    run(closed_log, *to(stub))
    result = run(closed_log, "--status", "--format", "json")
    assert (result.exit_code, result.stderr) == (0, "")
    [found] = json.loads(result.stdout)
    assert found.pop("saved_at").endswith("Z")
    assert found == {
        "log": str(closed_log), "name": "loki", "to": "loki", "url": f"{stub.url}/loki/api/v1/push", "running": False,
        "shipped": 12, "refused": 0, "lost": 0, "repeated": 0, "lag_bytes": 0, "lag_seconds": 0.0, "error": "",
        "error_since": "", "unkept": 0, "dead_letters": "",
    }  # fmt: skip


def test_status_in_an_outage(run, stub, closed_log):
    """While a shipper waits for its server, --status says that it runs, what is wrong, since when, and how far it is behind."""
    stub.fail(503, {"Retry-After": "600"}, b"down \x1b[2J")
    with follow(closed_log, stub) as process:
        process.stderr.readline()
        result = run(closed_log, "--status")
        [found] = json.loads(run(closed_log, "--status", "--format", "json").stdout)
        process.terminate()
        process.communicate(timeout=30)
    assert re.search(r" loki +running +0 ", result.stdout)
    assert r"problem: loki: 503 Service Unavailable: down \x1b[2J (since 20" in result.stdout
    assert "\x1b" not in result.stdout
    assert found["running"] is True
    assert found["lag_bytes"] == closed_log.stat().st_size
    assert found["error"] == "503 Service Unavailable: down \x1b[2J"
    assert found["error_since"].endswith("Z")


def test_status_without_a_valid_checkpoint(run, stub, closed_log):
    """A checkpoint that is torn is a problem without a date."""
    run(closed_log, *to(stub))
    for file in closed_log.parent.glob(".*.checkpoint*"):
        file.write_bytes(b"torn")
    result = run(closed_log, "--status")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "problem: loki: no valid checkpoint"


# -- nobody listens --------------------------------------------------------------------------


@pytest.mark.parametrize("args", [["--status"], ["--status", "--format", "json"], []], ids=str)
def test_a_reader_that_goes_away(stub, closed_log, args):
    """Behind a reader that has gone, as in "| head", the exit code is what it would be, and there is no traceback."""
    if args:
        with start("ship", closed_log, *to(stub)) as process:
            process.communicate(timeout=30)
    ours, theirs = os.pipe()
    os.close(ours)
    with start("ship", closed_log, *(args or to(stub)), stdout=theirs) as process:
        os.close(theirs)
        _, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (0, b"")
    assert stub.kept == numbers(closed_log)


def test_resend(run, stub, closed_log):
    """--resend sends the dead letters again, says how many are delivered and how many stay, and exits with 1 for these."""
    stub.poison = lambda identity: "no" if identity[1] in {3, 4} else None
    options = [*to(stub, "elasticsearch"), "--dead-letter-bytes", "600"]
    assert run(closed_log, *options).exit_code == 1
    result = run(closed_log, "--status")
    assert "; it is full: 1 more are not kept" in result.stdout.replace("\n", "")
    stub.poison = lambda identity: "no" if identity[1] == 3 else None
    result = run(closed_log, *options, "--resend")
    assert (result.exit_code, result.stdout) == (
        1,
        "delivered 0 lines; 1 refused: see the dead-letter file (--status names it)\n",
    )
    stub.poison = lambda _: None
    result = run(closed_log, *options, "--resend")
    assert (result.exit_code, result.stdout) == (0, "delivered 1 line\n")
    result = run(closed_log, *options, "--resend", "--follow")
    assert (result.exit_code, "without --follow" in result.stderr) == (2, True)
    defaults = {parameter.name: parameter.default for parameter in ship_command.ship.params}
    assert defaults["dead_letter_bytes"] == DEAD_LETTER_BYTES


def test_behind_head(stub, closed_log):
    """In a real pipe to head, both end well."""
    command = " ".join(map(repr, map(str, [*PROGRAM, "ship", closed_log, *to(stub)])))
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | head -c 1"], capture_output=True, check=False, env=ENVIRONMENT, timeout=60
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, b"d", b"")


def test_trouble_that_nobody_hears(stub, closed_log):
    """A shipper whose stderr leads nowhere goes on through trouble."""
    stub.reply(Reply(503), Reply(503))
    ours, theirs = os.pipe()
    os.close(ours)
    with start("ship", closed_log, *to(stub), stderr=theirs) as process:
        os.close(theirs)
        out, _ = process.communicate(timeout=30)
    assert out == b"delivered 12 lines\n"
    assert stub.kept == numbers(closed_log)


def test_the_default_of_give_up_after():
    """The help shows the default of --give-up-after."""
    assert f"{ship_command._GIVE_UP_AFTER:.0f}" in CliRunner().invoke(cli, ["ship", "--help"]).stdout
