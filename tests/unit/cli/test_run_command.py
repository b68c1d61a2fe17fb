"""``bamboo-logmetrics run`` starts real programs, whose code knows nothing of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner
from support.provider_server import ProviderServer
from support.tools import typed

import bamboo_logmetrics as blm
from bamboo_logmetrics.cli.commands import cli
from bamboo_logmetrics.cli.run_command import program_of
from bamboo_logmetrics.instrument.autostart import FOLDER

CALL = """
import httpx, os, sys
url = os.environ["PROVIDER"] + "/v1/chat/completions"
print(httpx.post(url, json={"model": "m-1", "messages": []}).json()["id"])
"""


@pytest.fixture
def provider(monkeypatch):
    """Run a provider on loopback; no proxy stands before it."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    with ProviderServer() as server:
        monkeypatch.setenv("PROVIDER", server.url)
        yield server


@pytest.fixture
def run(tmp_path):
    """Run ``bamboo-logmetrics run`` in the directory of the test, for hosts on loopback."""

    def running(*command, options=("--host", "127.0.0.1"), env=None, **more):
        program = [sys.executable, "-m", "bamboo_logmetrics", "run", "--log", "logs/a.jsonl", *options, "--", *command]
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), **(env or {})}
        return subprocess.run(
            program, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=50, check=False, **more
        )

    return running


def script(tmp_path, text, name="program.py"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return name


def test_an_unmodified_script(tmp_path, run, provider):
    """The calls of a script are in the log, complete, and its output and exit code are its own."""
    done = run(script(tmp_path, CALL + "sys.exit(7)"))
    assert (done.returncode, done.stdout, done.stderr) == (7, "chatcmpl-1\n", "")
    started, completed = typed(tmp_path / "logs/a.jsonl")
    assert (started["endpoint"], started["model"]) == ("openai.chat_completions", "m-1")
    assert (completed["prompt_tokens"], completed["status"]) == (30, "success")
    assert blm.verify(tmp_path / "logs/a.jsonl", complete=True).ok
    assert len(provider.requests) == 1


def test_every_form_of_a_command(tmp_path, run, provider):
    """A module, an interpreter by its path and children of a shell are covered; their arguments are their own."""
    script(tmp_path, CALL + "print(sys.argv[1:])", "module.py")
    path = {"PYTHONPATH": os.pathsep.join([str(tmp_path), *(path for path in sys.path if path)])}
    assert run("-m", "module", "--log", "x", env=path).stdout == "chatcmpl-1\n['--log', 'x']\n"
    assert run(sys.executable, "module.py", "-h").stdout == "chatcmpl-1\n['-h']\n"
    assert run("sh", "-c", f"{sys.executable} module.py & wait; {sys.executable} module.py").returncode == 0
    assert len(typed(tmp_path / "logs/a.jsonl")) == 2 * 4 == 2 * len(provider.requests)
    assert blm.verify(tmp_path / "logs/a.jsonl", complete=True).ok


def test_hosts_that_are_not_named(tmp_path, run, provider):
    """Requests to a host that is no known provider are left alone."""
    assert run(script(tmp_path, CALL), options=()).stdout == "chatcmpl-1\n"
    assert typed(tmp_path / "logs/a.jsonl") == []
    assert len(provider.requests) == 1


@pytest.mark.parametrize("host", ["https://gateway.example", "*", ""])
def test_a_host_that_is_none(tmp_path, run, host):
    """A value that is no name of a host is refused before the program is started, and no log is made."""
    done = run(script(tmp_path, "print('started')"), options=("--host", host))
    assert (done.returncode, done.stdout) == (2, "")
    assert "hosts must be names of hosts such as 'gateway.example.com'" in done.stderr
    assert not (tmp_path / "logs").exists()


def test_a_signal_ends_the_program(tmp_path, run, provider):
    """A program that a signal ends has its calls in the log, and the exit status says the signal."""
    done = run(script(tmp_path, CALL + "import signal; os.kill(os.getpid(), 15); signal.pause()"))
    assert done.returncode == -signal.SIGTERM
    assert len(typed(tmp_path / "logs/a.jsonl")) == 2
    assert blm.verify(tmp_path / "logs/a.jsonl", complete=True).ok
    assert len(provider.requests) == 1


def test_the_sitecustomize_that_is_hidden_runs_too(tmp_path, run, provider):
    """A ``sitecustomize`` of the application's own is imported as without us."""
    script(tmp_path, "print('own')", "sitecustomize.py")
    path = {"PYTHONPATH": os.pathsep.join([str(tmp_path), *(path for path in sys.path if path)])}
    done = run(script(tmp_path, CALL + "import sitecustomize; print(sitecustomize.__file__)"), env=path)
    # once in the command's own Python, which is not instrumented yet, and once in the program
    assert done.stdout.splitlines() == ["own", "own", "chatcmpl-1", str(tmp_path / "sitecustomize.py")]
    assert len(typed(tmp_path / "logs/a.jsonl")) == 2
    assert len(provider.requests) == 1


def test_a_log_that_cannot_be_opened(tmp_path, run, provider):
    """A log that cannot be opened costs one line on stderr, and the program runs."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/a.jsonl").write_text("not ours\n", encoding="utf-8")
    done = run(script(tmp_path, CALL))
    assert (done.returncode, done.stdout) == (0, "chatcmpl-1\n")
    assert "the calls of this process are not logged: ConfigError" in done.stderr
    assert (tmp_path / "logs/a.jsonl").read_text(encoding="utf-8") == "not ours\n"
    assert len(provider.requests) == 1


@pytest.mark.skipif(sys.prefix == sys.base_prefix, reason="there is no Python without the package")
def test_a_python_without_the_package(tmp_path, run):
    """A Python that does not have the package says so in one line, and the program runs."""
    other = os.path.realpath(sys.executable)
    if (
        subprocess.run([other, "-I", "-c", "import bamboo_logmetrics"], capture_output=True, check=False).returncode
        == 0
    ):
        pytest.skip("the Python of this environment has the package too")
    done = run("env", f"PYTHONPATH={FOLDER}", other, script(tmp_path, "print('ran')"))
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert f"{other}: this Python has no bamboo_logmetrics" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("command", "program"),
    [
        (("-m", "app", "-x"), [sys.executable, "-m", "app", "-x"]),
        (("app.py", "-m"), [sys.executable, "app.py", "-m"]),
        (("uvicorn", "app:app"), ["uvicorn", "app:app"]),
    ],
)
def test_the_program_of_a_command(command, program):
    """A module and a script are run by this Python; anything else is a program."""
    assert program_of(command) == program


@pytest.mark.parametrize(("command", "code"), [("no-such-program-here", 127), ("/", 126)])
def test_what_cannot_be_run_in_this_process(tmp_path, command, code):
    """The command itself goes on when there is nothing to run, and says so."""
    result = CliRunner().invoke(cli, ["run", "--log", str(tmp_path / "new/a.jsonl"), "--", command])
    assert result.exit_code == code
    assert result.stderr.startswith(f"Error: {command}: ")
    assert (tmp_path / "new").is_dir()
    result = CliRunner().invoke(cli, ["run", "--log", "/dev/null/a.jsonl", "--", command])
    assert result.exit_code == 2
    assert "give another --log" in result.stderr


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        (("no-such-program-here",), 127, "no-such-program-here: command not found"),
        (("/",), 126, "Permission denied"),
        ((), 2, "Missing argument"),
    ],
)
def test_what_cannot_be_run(run, command, code, text):
    """A command that cannot be run has the exit code that shells give it."""
    done = run(*command)
    assert done.returncode == code
    assert text in done.stderr


def test_a_directory_that_cannot_be_made(tmp_path, run):
    """A log whose directory cannot be made is an error before the program is started."""
    (tmp_path / "logs").write_text("a file", encoding="utf-8")
    done = run(script(tmp_path, "print('ran')"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "give another --log" in done.stderr
