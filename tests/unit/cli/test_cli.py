from __future__ import annotations

import os
import runpy
import shlex
import subprocess
import sys

import pytest
from support.programs import ENVIRONMENT, PROGRAM, run_code

import bamboo_logmetrics as blm
from bamboo_logmetrics.cli import main


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
        "export FILE --format tagged", "config lnav", "config elasticsearch", "config kibana",
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
