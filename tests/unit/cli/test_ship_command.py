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

import pytest
from click.testing import CliRunner
from support.programs import ENVIRONMENT, PROGRAM, run_code, start
from support.stub_server import Reply, StubServer
from support.tools import flat, tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.cli import ship_command
from bamboo_logmetrics.cli.commands import cli
from bamboo_logmetrics.ship import shipper
from bamboo_logmetrics.ship.log_source import LogSource


@pytest.fixture
def run():
    """Run a command in this process; returns click's result."""
    handler = signal.getsignal(signal.SIGTERM)
    yield lambda *args: CliRunner().invoke(cli, ["ship", *map(str, args)], prog_name="bamboo-logmetrics")
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def path(tmp_path):
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
    """Return what a log's lines are known by, sorted."""
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
        (["agent.jsonl", "--to", "loki", "--url", "localhost:3100"], "not a URL"),
        (["agent.jsonl", "--to", "loki", "--url", "http://u:s3cret@localhost"], "must not hold a user"),
        (["agent.jsonl", "--to", "loki", "--url", "http://localhost", "--data-stream", "x"], "loki has no option 'data_stream'"),
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
def test_bad_usage(run, path, monkeypatch, args, text):
    """Bad usage gives 2 and a message, no traceback and no secret, and leaves nothing beside the log."""
    monkeypatch.chdir(path.parent)
    result = run(*args)
    assert result.exit_code == 2
    assert text in result.stderr
    assert "s3cret" not in result.stderr or "--password" in args
    assert result.stdout == ""
    assert sorted(os.listdir(path.parent)) == [".agent.jsonl.lock", "agent.jsonl"]


@pytest.mark.parametrize(
    ("missing", "package"), [("httpx", "httpx"), ("google", "protobuf"), ("opentelemetry", "opentelemetry-proto")]
)
def test_without_the_extra(path, missing, package):
    """Without what an extra brings, the program says what to install and exits with 2; its other commands work."""
    code = (
        f"import sys; sys.modules['{missing}'] = None; from bamboo_logmetrics.cli import main; "
        f"sys.argv[1:] = ['ship', {str(path)!r}, '--to', 'otlp', '--url', 'http://localhost']; main()"
    )
    done = run_code(code)
    extras = "cli,ship" if missing == "httpx" else "cli,ship,otel"
    assert done.returncode == 2
    assert done.stderr == f"Error: this needs the package {package}: pip install 'bamboo_logmetrics[{extras}]'\n"
    verify = run_code(code.replace("'ship'", "'verify'").replace(", '--to', 'otlp', '--url', 'http://localhost'", ""))
    assert verify.returncode == 0


def test_without_the_extra_in_this_process(run, path, monkeypatch):
    """The hints come in this process too, and an import that fails for another reason is not taken for one."""
    from bamboo_logmetrics import ship
    from bamboo_logmetrics.ship import destinations

    options = [path, "--to", "otlp", "--url", "http://localhost"]
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
    monkeypatch.delitem(sys.modules, "bamboo_logmetrics.ship.destinations.otlp", raising=False)
    monkeypatch.delattr(destinations, "otlp", raising=False)
    monkeypatch.setitem(sys.modules, "bamboo_logmetrics.format.layouts", None)
    result = run(*options)
    assert isinstance(result.exception, ImportError)


# -- delivering ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["loki", "elasticsearch", "otlp"])
def test_ship(run, stub, path, kind):
    """A log is delivered once; the same command again has nothing to do."""
    result = run(path, *to(stub, kind))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "delivered 12 lines\n"
    assert stub.kept == numbers(path)
    result = run(path, *to(stub, kind))
    assert (result.exit_code, result.stdout) == (0, "delivered 0 lines\n")
    assert len(stub.requests) == 1


def test_ship_in_a_process(stub, path):
    """The installed program does the same, and prints nothing but the result."""
    with start("ship", path, *to(stub)) as process:
        out, error = process.communicate(timeout=30)
    assert (process.returncode, out, error) == (0, b"delivered 12 lines\n", b"")
    assert stub.kept == numbers(path)


def test_options_arrive(run, stub, path):
    """Service, environment, tenant, name and data stream arrive where they belong."""
    run(path, *to(stub), "--service", "shop", "--env", "prod", "--tenant", "team", "--name", "first")
    [request] = stub.requests
    assert {stream["stream"]["service_name"] for stream in json.loads(request.body)["streams"]} == {"shop"}
    assert {stream["stream"]["env"] for stream in json.loads(request.body)["streams"]} == {"prod"}
    assert request.headers["X-Scope-OrgID"] == "team"
    assert (path.parent / ".agent.jsonl.first.checkpoint").exists()
    run(path, *to(stub, "elasticsearch"), "--data-stream", "logs-a-b")
    assert stub.requests[1].path == "/logs-a-b/_bulk"


def test_secrets_from_the_environment(run, stub, path, monkeypatch):
    """A user on the command line finds its password in the environment or in a file."""
    monkeypatch.setenv("BAMBOO_LOGMETRICS_SHIP_PASSWORD", "s3cret")
    run(path, *to(stub), "--user", "me")
    (path.parent / "secret").write_text("an0ther\n", encoding="utf-8")
    run(path, *to(stub), "--user", "me", "--password-file", path.parent / "secret", "--name", "b")
    told = [request.headers["Authorization"] for request in stub.requests]
    assert told == ["Basic bWU6czNjcmV0", "Basic bWU6YW4wdGhlcg=="]


def test_patterns(run, stub, path):
    """A quoted pattern names every log that matches; each has its own checkpoint, and its name as the service."""
    other = path.with_name("other.jsonl")
    write(other, 3)
    result = run(path.parent / "*.jsonl", *to(stub))
    assert result.stdout == "delivered 17 lines\n"
    assert stub.kept == sorted(numbers(path) + numbers(other))
    services = {dict(labels)["service_name"] for labels, _, _ in stub.entries}
    assert services == {"agent", "other"}


def test_checkpoint_dir(run, stub, path, tmp_path):
    """With --checkpoint-dir nothing is left beside the log, and --status looks there."""
    (tmp_path / "state").mkdir()
    run(path, *to(stub), "--checkpoint-dir", tmp_path / "state")
    assert sorted(os.listdir(tmp_path)) == [".agent.jsonl.lock", "agent.jsonl", "state"]
    assert "12" in run(path, "--status", "--checkpoint-dir", tmp_path / "state").stdout
    assert run(path, "--status").stdout == "no shipper has a checkpoint of these logs\n"


def test_refused_lines(run, stub, path):
    """Lines that are refused give 1, and go to a file that --status names."""
    [bad, *_] = [line["seq"] for line in flat(path) if line["event"] == "chat.tool_called"]
    stub.poison = lambda identity: "mapper says no" if identity[1] == bad else None
    result = run(path, *to(stub, "elasticsearch"))
    assert result.exit_code == 1
    assert result.stdout == "delivered 11 lines; 1 refused: see the dead-letter file (--status names it)\n"
    [letter] = path.parent.glob(".*.dead-letter")
    assert str(letter) in run(path, "--status").stdout.replace("\n", "")
    assert json.loads(letter.read_text(encoding="utf-8"))["seq"] == bad
    assert run(path, *to(stub, "elasticsearch")).exit_code == 0


def test_lost_lines(run, stub, path):
    """Lines that the files do not hold any more are counted, and give 1."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], *lines[5:]]))
    result = run(path, *to(stub))
    assert result.exit_code == 1
    assert result.stdout == "delivered 10 lines; 2 lost: the files do not hold them any more\n"


def test_giving_up(run, stub, path):
    """A server that takes nothing for too long gives 1 and its own words; the same command goes on afterwards."""
    stub.fail(503, body=b"down \x1b[2Jfor repair")
    result = run(path, *to(stub), "--give-up-after", "0")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert r"503 Service Unavailable: down \x1b[2Jfor repair" in result.stderr
    assert "the same command goes on where this one ended" in result.stderr
    assert run(path, *to(stub)).stdout == "delivered 12 lines\n"


def test_a_wrong_url(run, stub, path):
    """A URL where every batch is answered with 400 makes no dead letters."""
    stub.fail(400, body=b"unsupported path requested", times=20)
    result = run(path, *to(stub), "--give-up-after", "0")
    assert result.exit_code == 1
    assert "is this the right URL?" in result.stderr
    assert not list(path.parent.glob(".*.dead-letter"))
    stub._replies.clear()
    assert run(path, *to(stub)).stdout == "delivered 12 lines\n"


def test_trouble_that_passes(run, stub, path):
    """Trouble, and its end, are said on stderr, once each."""
    stub.fail(503, {"Retry-After": "0"}, b"just a moment")
    result = run(path, *to(stub))
    assert (result.exit_code, result.stdout) == (0, "delivered 12 lines\n")
    assert result.stderr == "503 Service Unavailable: just a moment; trying again\ngoing on\n"


def test_moved_and_name(run, path):
    """Another URL needs --moved, to go on there, or another --name, to begin anew; else it is refused."""
    with StubServer() as first, StubServer() as second:
        run(path, *to(first))
        result = run(path, *to(second))
        assert result.exit_code == 2
        assert "--moved" in result.stderr
        assert "--name" in result.stderr
        assert run(path, *to(second), "--moved").stdout == "delivered 0 lines\n"
        assert run(path, *to(second), "--name", "again").stdout == "delivered 12 lines\n"
        assert second.kept == numbers(path)
        assert len(first.requests) == 1


def test_interrupted(run, stub, path):
    """Ctrl-C gives 130 and no traceback, and the next run loses nothing."""
    stub.fail(503)
    stub.before = lambda _: os.kill(os.getpid(), signal.SIGINT) if len(stub.requests) == 1 else None
    result = run(path, *to(stub))
    assert result.exit_code == 130
    assert "interrupted" in result.stderr
    assert "Traceback" not in result.stderr
    run(path, *to(stub))
    assert stub.kept == numbers(path)


def test_interrupted_while_an_answer_is_counted(run, stub, path, monkeypatch):
    """Ctrl-C between an answer and its checkpoint has nothing delivered again."""
    commit = LogSource.commit

    def interrupted(*args):
        signal.raise_signal(signal.SIGINT)
        commit(*args)

    with monkeypatch.context() as patch:
        patch.setattr(LogSource, "commit", interrupted)
        assert run(path, *to(stub)).exit_code == 130
    assert run(path, *to(stub)).stdout == "delivered 0 lines\n"
    assert sorted(stub.stored) == numbers(path)


def test_interrupted_twice(run, stub, path, monkeypatch):
    """The second Ctrl-C does not wait for what is under way."""
    monkeypatch.setattr(shipper, "_LAST_ANSWER", 600.0)
    going_on = stub.hold()

    def interrupt(_):
        os.kill(os.getpid(), signal.SIGINT)
        while signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            going_on.wait(0.01)  # the first is not heard yet
        os.kill(os.getpid(), signal.SIGINT)

    stub.before = interrupt
    assert run(path, *to(stub)).exit_code == 130
    going_on.set()


def test_interrupts_that_are_ignored(run, stub, path):
    """Where Ctrl-C is ignored, as in the background of a shell, it stays so."""
    stub.after = lambda _: os.kill(os.getpid(), signal.SIGINT)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert run(path, *to(stub)).exit_code == 0
    finally:
        signal.signal(signal.SIGINT, before)


def test_progress_of_bytes(run, stub, path, monkeypatch):
    """On a terminal the bar counts the bytes that are settled, on stderr."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = run(path, *to(stub))
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


def test_progress_on_a_terminal(stub, path):
    """On a real terminal there is a bar while one waits, and none with --status."""
    code, shown = on_a_terminal("ship", path, *to(stub))
    assert code == 0
    assert "delivering" in shown
    assert "delivered 12 lines" in shown
    code, shown = on_a_terminal("ship", path, "--status")
    assert code == 0
    assert "delivering" not in shown
    assert "loki" in shown


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
def test_a_follower_that_is_stopped(stub, path, number, code):
    """SIGTERM ends a follower with 0, Ctrl-C with 130; what was under way is waited for, and nothing is lost or doubled."""
    going_on = stub.hold(stored=True)
    with follow(path, stub) as process:
        assert stub.until_reached()
        process.send_signal(number)
        going_on.set()
        out, error = process.communicate(timeout=30)
    assert process.returncode == code
    assert b"Traceback" not in error
    if code == 0:
        assert (out, error) == (b"delivered 12 lines\n", b"")
    write(path, 5)
    with start("ship", path, *to(stub)) as process:
        out, _ = process.communicate(timeout=30)
    assert out == b"delivered 7 lines\n"
    assert sorted(stub.stored) == numbers(path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_follower_that_is_stopped_in_an_outage(stub, path, number):
    """A follower that waits for a server stops at once, and the next run delivers everything."""
    stub.fail(503, {"Retry-After": "600"}, times=100)
    with follow(path, stub) as process:
        assert process.stderr.readline() == b"503 Service Unavailable; trying again\n"
        process.send_signal(number)
        process.communicate(timeout=30)
    assert process.returncode == (0 if number == signal.SIGTERM else 130)
    assert stub.stored == []
    stub._replies.clear()
    with start("ship", path, *to(stub)) as process:
        process.communicate(timeout=30)
    assert stub.kept == numbers(path)


def test_a_run_that_is_terminated(stub, path):
    """SIGTERM ends a run without --follow as it ends any program: not with 0, since not all is delivered."""
    going_on = stub.hold()
    with start("ship", path, *to(stub)) as process:
        assert stub.until_reached()
        process.terminate()
        out, _ = process.communicate(timeout=30)
    going_on.set()
    assert process.returncode == -signal.SIGTERM
    assert out == b""


def test_a_follower_gets_what_is_appended(stub, path):
    """What is appended while it follows is delivered, without another command."""
    with follow(path, stub) as process:
        assert stub.until_reached()
        write(path, 3)
        found = 0
        while found < len(numbers(path)):
            assert stub.until_reached() or len(stub.stored) == len(numbers(path))
            found = sum(len(request.ids) for request in stub.requests)
        process.terminate()
        out, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (0, b"")
    assert out == b"delivered 17 lines\n"
    assert stub.kept == numbers(path)


def test_a_follower_in_this_process(run, stub, path):
    """The program's own handler of SIGTERM ends the follower."""
    stub.after = lambda _: os.kill(os.getpid(), signal.SIGTERM)
    result = run(path, *to(stub), "--follow")
    assert (result.exit_code, result.stdout) == (0, "delivered 12 lines\n")


def test_a_follower_that_gave_up(run, stub, path):
    """With --give-up-after a follower ends as well."""
    stub.fail(503)
    assert run(path, *to(stub), "--follow", "--give-up-after", "0").exit_code == 1


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


def test_refused_lines_do_not_fail_a_follower(run, stub, path):
    """A follower that was stopped gives 0, also when lines were refused: it did what it could, and said so."""
    stub.poison = lambda identity: "no" if identity[1] == 2 else None
    stub.after = lambda _: os.kill(os.getpid(), signal.SIGTERM)
    result = run(path, *to(stub, "elasticsearch"), "--follow")
    assert result.exit_code == 0
    assert "1 refused" in result.stdout


def test_two_under_one_name(stub, path):
    """While one ships a log, another under the same name is refused, and one under another name is not."""
    going_on = stub.hold()
    with follow(path, stub) as process:
        assert stub.until_reached()
        with start("ship", path, *to(stub)) as second:
            _, error = second.communicate(timeout=30)
        assert second.returncode == 2
        assert b"another process ships" in error
        assert b"'loki'" in error
        going_on.set()
        with start("ship", path, *to(stub), "--name", "other") as third:
            out, _ = third.communicate(timeout=30)
        assert (third.returncode, out) == (0, b"delivered 12 lines\n")
        process.terminate()
        process.communicate(timeout=30)


# -- status --------------------------------------------------------------------------------


def test_status(run, stub, path):
    """--status shows, for each shipper of each log, how far it is, and that none is running."""
    run(path, *to(stub))
    run(path, *to(stub, "otlp"), "--name", "second")
    write(path, 1)
    result = run(path, "--status")
    assert (result.exit_code, result.stderr) == (0, "")
    [head, first, second] = result.stdout.splitlines()
    assert head.split() == ["log", "name", "state", "delivered", "refused", "lost", "repeated", "behind", "for"]
    assert re.search(r"agent\.jsonl +loki +not running +12 +0 +0 +0 +[\d,]+ B +\d+ s", first)
    assert re.search(r"agent\.jsonl +second +not running +12 ", second)


def test_status_as_json(run, stub, path):
    """--format json prints one list and nothing else, with the same keys for each shipper."""
    assert json.loads(run(path, "--status", "--format", "json").stdout) == []
    run(path, *to(stub))
    result = run(path, "--status", "--format", "json")
    assert (result.exit_code, result.stderr) == (0, "")
    [found] = json.loads(result.stdout)
    assert found.pop("saved_at").endswith("Z")
    assert found == {
        "log": str(path), "name": "loki", "to": "loki", "url": f"{stub.url}/loki/api/v1/push", "running": False,
        "shipped": 12, "refused": 0, "lost": 0, "repeated": 0, "lag_bytes": 0, "lag_seconds": 0.0, "error": "",
        "error_since": "", "dead_letters": "",
    }  # fmt: skip


def test_status_in_an_outage(run, stub, path):
    """While a shipper waits for its server, --status says that it runs, what is wrong, since when, and how far it is behind."""
    stub.fail(503, {"Retry-After": "600"}, b"down \x1b[2J")
    with follow(path, stub) as process:
        process.stderr.readline()
        result = run(path, "--status")
        [found] = json.loads(run(path, "--status", "--format", "json").stdout)
        process.terminate()
        process.communicate(timeout=30)
    assert re.search(r" loki +running +0 ", result.stdout)
    assert r"problem: loki: 503 Service Unavailable: down \x1b[2J (since 20" in result.stdout
    assert "\x1b" not in result.stdout
    assert found["running"] is True
    assert found["lag_bytes"] == path.stat().st_size
    assert found["error"] == "503 Service Unavailable: down \x1b[2J"
    assert found["error_since"].endswith("Z")


def test_status_without_a_valid_checkpoint(run, stub, path):
    """A checkpoint that is torn is a problem without a date."""
    run(path, *to(stub))
    for file in path.parent.glob(".*.checkpoint*"):
        file.write_bytes(b"torn")
    result = run(path, "--status")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "problem: loki: no checkpoint that is there is valid"


# -- nobody listens --------------------------------------------------------------------------


@pytest.mark.parametrize("args", [["--status"], ["--status", "--format", "json"], []], ids=str)
def test_a_reader_that_goes_away(stub, path, args):
    """Behind a reader that has gone, as in "| head", the exit code is what it would be, and there is no traceback."""
    if args:
        with start("ship", path, *to(stub)) as process:
            process.communicate(timeout=30)
    ours, theirs = os.pipe()
    os.close(ours)
    with start("ship", path, *(args or to(stub)), stdout=theirs) as process:
        os.close(theirs)
        _, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (0, b"")
    assert stub.kept == numbers(path)


def test_behind_head(stub, path):
    """In a real pipe to head, both end well."""
    command = " ".join(map(repr, map(str, [*PROGRAM, "ship", path, *to(stub)])))
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | head -c 1"], capture_output=True, check=False, env=ENVIRONMENT, timeout=60
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, b"d", b"")


def test_trouble_that_nobody_hears(stub, path):
    """A shipper whose stderr leads nowhere goes on through trouble."""
    stub.reply(Reply(503), Reply(503))
    ours, theirs = os.pipe()
    os.close(ours)
    with start("ship", path, *to(stub), stderr=theirs) as process:
        os.close(theirs)
        out, _ = process.communicate(timeout=30)
    assert out == b"delivered 12 lines\n"
    assert stub.kept == numbers(path)


def test_patience_is_told():
    """The help names the give_up_after that counts."""
    assert f"{ship_command._GIVE_UP_AFTER:.0f}" in CliRunner().invoke(cli, ["ship", "--help"]).stdout
