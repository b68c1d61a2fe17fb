from __future__ import annotations

import errno
import os
import runpy
import shlex
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner
from support.programs import ENVIRONMENT, PROGRAM, run_code

import bamboo_logmetrics as blm
from bamboo_logmetrics.cli import main
from bamboo_logmetrics.cli.commands import cli


def test_version(run):
    """--version names the program and the package's version."""
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("bamboo-logmetrics")
    assert blm.__version__ in result.stdout


@pytest.mark.parametrize(
    "command", [[], ["verify"], ["import"], ["import", "claude-code"], ["export"], ["demo"]], ids=str
)
def test_every_command_has_help(run, command):
    """Each command explains itself, on lines that fit a terminal."""
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_help_names_the_completion(run):
    """The help says how to get tab completion, and that works."""
    assert "bamboo-logmetrics completion bash" in run("--help").stdout
    environment = {**ENVIRONMENT, "_BAMBOO_LOGMETRICS_COMPLETE": "zsh_source"}
    done = subprocess.run(PROGRAM, capture_output=True, text=True, check=False, env=environment)
    assert "#compdef bamboo-logmetrics" in done.stdout


@pytest.mark.parametrize(
    "command",
    [
        "verify FILE", "summary FILE", "summary FILE --format json", "query FILE", "query FILE --format csv",
        "query FILE --sql 'SELECT 1'", "report FILE -o -", "report FILE -o new.html", "tail FILE",
        "export FILE --format tagged", "completion bash", "demo", "ship FILE --status", "config lnav", "config elasticsearch", "config kibana",
    ],
)  # fmt: skip
def test_without_standard_output(command, path, tmp_path):
    """A command that prints says in one line that standard output is closed, and makes nothing."""
    with blm.open_log(path) as log:
        log.info("ready")
    before = sorted(os.listdir(tmp_path))
    text = f"exec {shlex.join(PROGRAM)} {command.replace('FILE', path.name)} >&-"
    done = subprocess.run(
        text, shell=True, stderr=subprocess.PIPE, text=True, check=False, cwd=tmp_path, env=ENVIRONMENT
    )
    assert done.returncode == 2
    assert done.stderr == "Error: standard output is closed; send it to a file or a program\n"
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_the_extra(missing):
    """Without click or rich, the program says what to install, and exits with 2."""
    code = f"import sys; sys.modules['{missing}'] = None; from bamboo_logmetrics.cli import main; main()"
    done = run_code(code)
    assert done.returncode == 2
    assert done.stderr == f"bamboo-logmetrics needs the package {missing}: pip install 'bamboo_logmetrics[cli]'\n"


def test_another_missing_package_is_not_hidden():
    """An import that fails for another reason is not taken for a missing extra."""
    code = "import sys; sys.modules['bamboo_logmetrics.cli.demo_command'] = None; from bamboo_logmetrics.cli import main; main()"
    done = run_code(code)
    assert "ModuleNotFoundError" in done.stderr
    assert "pip install" not in done.stderr


def test_as_a_module(monkeypatch, capsys):
    """``python -m bamboo_logmetrics`` is the same program."""
    monkeypatch.setattr(sys, "argv", ["bamboo_logmetrics", "--version"])
    with pytest.raises(SystemExit) as exited:
        runpy.run_module("bamboo_logmetrics", run_name="__main__")
    assert exited.value.code == 0
    assert capsys.readouterr().out.startswith("bamboo-logmetrics")
    assert runpy.run_module("bamboo_logmetrics.__main__")["main"]


def test_main_in_this_process(monkeypatch, capsys):
    """The entry point runs the command of sys.argv."""
    from bamboo_logmetrics.cli import main

    monkeypatch.setattr(sys, "argv", ["bamboo-logmetrics", "--version"])
    with pytest.raises(SystemExit) as exited:
        main()
    assert exited.value.code == 0
    assert blm.__version__ in capsys.readouterr().out


def test_main_says_what_is_missing(monkeypatch, capsys):
    """The entry point gives a hint, and no traceback, where rich is not installed."""
    from bamboo_logmetrics.cli import main

    monkeypatch.delitem(sys.modules, "bamboo_logmetrics.cli.commands")
    monkeypatch.setitem(sys.modules, "click", None)
    with pytest.raises(SystemExit) as exited:
        main()
    assert exited.value.code == 2
    assert "pip install 'bamboo_logmetrics[cli]'" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.delitem(sys.modules, "bamboo_logmetrics.cli.commands")
    monkeypatch.setitem(sys.modules, "bamboo_logmetrics.cli.demo_command", None)
    monkeypatch.setattr(sys, "argv", ["bamboo-logmetrics", "demo"])
    with pytest.raises(ModuleNotFoundError):
        main()


def test_ctrl_c_while_it_is_imported(monkeypatch, capsys):
    """Ctrl-C in the first moments, while modules are imported, ends it as later, without a traceback."""

    class Interrupting:
        @staticmethod
        def find_spec(name, *_):
            if name == "bamboo_logmetrics.cli.commands":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "bamboo_logmetrics.cli.commands")
    monkeypatch.setattr(sys, "meta_path", [Interrupting, *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize(
    "command", ["--help", "query --help", "completion bash", "verify FILE", "summary FILE", "tail FILE"]
)
def test_a_full_disk_behind_stdout(command, path):
    """An output that cannot be written is one line with a remedy, not a traceback."""
    with blm.open_log(path) as log:
        log.info("ready")
    text = f"exec {shlex.join(PROGRAM)} {command.replace('FILE', path.name)} >/dev/full"
    done = subprocess.run(
        text, shell=True, stderr=subprocess.PIPE, text=True, check=False, cwd=path.parent, env=ENVIRONMENT
    )
    assert (done.returncode, done.stderr) == (
        2,
        "Error: No space left on device; make room there, or use another place\n",
    )


def test_main_says_what_cannot_be_written(monkeypatch, capsys):
    """The entry point turns an error of stdout into one line, also where it comes with the last flush."""

    class Full:
        @staticmethod
        def write(_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        @staticmethod
        def flush():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        @staticmethod
        def fileno():
            raise OSError

    for command in ("--help", "--version"):
        monkeypatch.setattr(sys, "argv", ["bamboo-logmetrics", command])
        monkeypatch.setattr(sys, "stdout", Full)
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        assert capsys.readouterr().err == "Error: No space left on device; make room there, or use another place\n"


def test_main_without_stdout(monkeypatch):
    """Without standard output there is nothing to flush."""
    monkeypatch.setattr(sys, "argv", ["bamboo-logmetrics", "--version"])
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0


def test_a_program_needs_no_stdout(tmp_path):
    """run starts a program also where standard output is closed."""
    text = f"exec {shlex.join(PROGRAM)} run --log a.jsonl -- sh -c 'exit 7' >&-"
    done = subprocess.run(
        text, shell=True, stderr=subprocess.PIPE, text=True, check=False, cwd=tmp_path, env=ENVIRONMENT
    )
    assert (done.returncode, done.stderr) == (7, "")


def _parameters(command, names=()):
    yield from (("/".join(names), parameter) for parameter in command.params)
    for name, each in getattr(command, "commands", {}).items():
        yield from _parameters(each, (*names, name))


def test_files_are_completed():
    """A shell completes the names of files for each argument and option that takes one."""
    context = click.Context(cli)
    for name in {*cli.list_commands(context)} - {"proxy"}:
        command = cli.get_command(context, name)
        assert command is not None
        for place, parameter in _parameters(command, (name,)):
            text = getattr(parameter, "help", None) or ""
            if "FILE" in (parameter.metavar or "") or text.startswith("File with"):
                assert isinstance(parameter.type, click.Path), (place, parameter.name)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("command", ["summary", "verify", "export", "ship", "query", "tail", "report"])
def test_shells_are_asked_for_files(shell, command):
    """Behind each command that reads logs, a shell is told that it is to complete files."""
    words = {"COMP_WORDS": f"bamboo-logmetrics {command} lo", "COMP_CWORD": "lo" if shell == "fish" else "2"}
    variable = {"_BAMBOO_LOGMETRICS_COMPLETE": f"{shell}_complete"}
    done = CliRunner().invoke(cli, [], prog_name="bamboo-logmetrics", env={**words, **variable})
    assert "file" in done.stdout.split("\n")[0]


def test_links_that_lead_back_and_pipes(run, tmp_path):
    """A file that cannot be read as a log is an error with a remedy."""
    os.symlink("loop", tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    for command in ("summary", "tail", "query", "verify"):
        assert "leads back to itself" in run(command, tmp_path / "loop").stderr
        assert "give - and send it to standard input" in run(command, tmp_path / "pipe").stderr
        assert "quoted pattern" in run(command, tmp_path / "*.none").stderr


def test_an_unknown_command():
    """A command that there is not is bad usage."""
    done = CliRunner().invoke(cli, ["sumary"])
    assert done.exit_code == 2
    assert "No such command 'sumary'" in done.stderr
