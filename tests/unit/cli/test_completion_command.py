"""Completion of commands, options and values by shells."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts(run, shell):
    """The script of each shell calls the command with the variable that click reads."""
    result = run("completion", shell)
    assert result.exit_code == 0
    assert f"_BAMBOO_LOGMETRICS_COMPLETE={shell}_complete" in result.stdout


def test_other_shells(run):
    """Another shell is bad usage."""
    assert run("completion", "csh").exit_code == 2


CASES = [
    ("bamboo-logmetrics qu", "query"),
    ("bamboo-logmetrics query --eve", "--event"),
    ("bamboo-logmetrics query a.jsonl --format p", "parquet"),
    ("bamboo-logmetrics query a.jsonl --level wa", "warning"),
    ("bamboo-logmetrics summary a.jsonl --by mo", "model month"),
    ("bamboo-logmetrics completion f", "fish"),
]


@pytest.mark.parametrize(("words", "completed"), CASES)
def test_bash_completes(run, words, completed, tmp_path):
    """The script in a real bash completes commands, options and the values of options."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    program = tmp_path / "bamboo-logmetrics"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m bamboo_logmetrics "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    count = len(words.split())
    script = f"""{run("completion", "bash").stdout}
        COMP_WORDS=({words}) COMP_CWORD={count - 1}
        _bamboo_logmetrics_completion bamboo-logmetrics
        echo "${{COMPREPLY[@]}}"
    """
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    result = subprocess.run([bash, "-c", script], capture_output=True, text=True, env=env, check=False)
    assert result.stdout.split() == completed.split(), result.stderr
