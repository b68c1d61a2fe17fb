from __future__ import annotations

import pytest
from click.testing import CliRunner
from support import TESTS
from support.programs import run_code
from support.tools import flat
from support.toy_importer import ToyImporter

import bamboo_logmetrics as blm
from bamboo_logmetrics import importers
from bamboo_logmetrics.cli.commands import cli


@pytest.fixture
def chats(tmp_path):
    """Write two chats into two files, one of them in both, and a line that cannot be used."""
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "b.toy").write_text("c1 2026-01-01T00:00:02+00:00 m 10 5\n", encoding="utf-8")
    lines = ["c1 2026-01-01T00:00:01+00:00 m 20 5", "torn", "c2 2026-01-01T00:00:03+00:00 m 1 1", ""]
    (folder / "a.toy.old").write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture
def run():
    """Run ``bamboo-logmetrics import`` with the toy importer registered; returns click's result."""
    importers.register_importer(ToyImporter())
    yield lambda *args: CliRunner().invoke(cli, ["import", *map(str, args)], prog_name="bamboo-logmetrics")
    del importers._importers["toy"]


def test_the_toy_on_the_command_line(run, chats, path):
    """A registered importer has a command, whose log is accounted for and whose summary has the importer's counts."""
    result = run("toy", chats, "-o", path)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "imported from 2 files: 2 sessions, 3 rounds, 0 tool calls, 42 tokens",
        "chats in several files: 1",
        "skipped: 1 line that cannot be used, named above",
        f"written: 7 events to {path}",
    ]
    assert "a.toy.old:2: not a round" in result.stderr.replace("\n", "")
    assert blm.verify(path).ok
    rounds = [line for line in flat(path) if line["event"] == "chat.round_completed"]
    assert [line["round_id"] for line in rounds] == [
        "c1-2026-01-01T00:00:01+00:00", "c1-2026-01-01T00:00:02+00:00", "c2-2026-01-01T00:00:03+00:00",
    ]  # fmt: skip
    assert {line["importer"] for line in rounds} == {"toy"}


def test_the_toy_again(run, chats, path):
    """Events with ids that depend on the source only are written once, however often they are imported."""
    assert run("toy", chats, "-o", path).exit_code == 0
    result = run("toy", chats, "-o", path, "--append")
    assert "already there: 7 events" in result.stdout
    assert "written: 0 events" in result.stdout
    assert blm.verify(path).ok


def test_the_toy_in_the_help(run):
    """The help lists the importer, and that of its command has its own text, patterns and example."""
    assert "toy" in run("--help").stdout
    text = run("toy", "--help").stdout
    for part in ("chats of the toy", "*.toy and *.toy.old", "bamboo-logmetrics import toy ~/.toy -o history.jsonl"):
        assert part in text


def test_the_toy_in_a_program_of_its_own(chats, path):
    """A program that registers an importer and runs the command line imports with it."""
    code = f"""
import sys
sys.path.insert(0, {TESTS!r})
from support.toy_importer import ToyImporter
from bamboo_logmetrics.cli import main
from bamboo_logmetrics.importers import register_importer

register_importer(ToyImporter())
sys.argv = ["bamboo-logmetrics", "import", "toy", {str(chats)!r}, "-o", {str(path)!r}]
main()
"""
    done = run_code(code)
    assert done.returncode == 0, done.stderr
    assert "3 rounds" in done.stdout
    assert blm.verify(path).ok
