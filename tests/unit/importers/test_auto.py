from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from support.transcripts import answer, message, moment, user, write

import bamboo_logmetrics as blm
from bamboo_logmetrics.cli.commands import cli
from bamboo_logmetrics.importers import IMPORTERS, ImportReport

AUTO = IMPORTERS["auto"]


def test_each_file_has_its_importer(tmp_path):
    """A file belongs to the importer whose pattern and content it has; one of none is refused by name."""
    transcript = write(tmp_path / "s1.jsonl", user("u1", 1), answer("a1", 2, "u1", message()))
    other = tmp_path / "notes.jsonl"
    other.write_text(json.dumps({"text": "x"}) + "\n", "utf-8")
    assert AUTO.source_of(transcript) is IMPORTERS["claude-code"]
    assert AUTO.source_of(other) is None
    assert AUTO.scan(transcript, ImportReport(), growing=False).calls
    with pytest.raises(OSError, match="of no tool that is known"):
        AUTO.scan(other, ImportReport(), growing=False)
    rollout = tmp_path / "renamed.jsonl"
    rollout.write_text(json.dumps({"timestamp": "x", "type": "session_meta", "payload": {"id": "t"}}) + "\n", "utf-8")
    assert AUTO.source_of(rollout) is IMPORTERS["codex"]
    assert set(IMPORTERS["codex"].patterns) < set(AUTO.patterns)


def test_tagged_json_among_the_others(tmp_path):
    """Files of a simple importer take part: in one order of time, once over files and imports, also beside its own import."""
    folder, out = tmp_path / "files", tmp_path / "out.jsonl"
    folder.mkdir()
    write(folder / "s1.jsonl", user("u1", 1), answer("a1", 5, "u1", message()))
    times = [moment(at) for at in (0, 3, 9)]
    events = [
        blm.SessionStarted(session_id="r", model="m", meta=blm.EventMeta(event_id=f"e{n}", occurred_at=at))
        for n, at in enumerate(times)
    ]
    lines = "".join(f"{event.to_json()}\n" for event in events)
    for name in ("events.jsonl", "renamed.jsonl"):
        (folder / name).write_text(lines, "utf-8")
    assert AUTO.source_of(folder / "events.jsonl") is IMPORTERS["bamboo"]
    result = run("auto", folder, "-o", out, "--all")
    assert result.exit_code == 0, result.output
    for text in ("files of bamboo: 2", "files of claude-code: 1", "already there: 3 events"):
        assert text in result.output
    log = [line for line in blm.read(out) if not line.own]
    assert [line.event for line in log if line.event in events] == events
    assert [line.timestamp for line in log] == sorted(line.timestamp for line in log)
    assert "written: 0 events" in run("auto", folder, "-o", out, "--append", "--all").output
    assert "written: 0 events" in run("bamboo", folder / "events.jsonl", "-o", out, "--append").output
    assert len(list(AUTO.read([folder / "events.jsonl"], ImportReport()))) == 3
    assert AUTO.state(folder / "events.jsonl").size == len(lines)
    wrong = run("codex", folder / "events.jsonl", "-o", tmp_path / "x.jsonl")
    assert "'import bamboo' reads them" in wrong.output


def run(*args):
    return CliRunner().invoke(cli, ["import", *map(str, args)], prog_name="bamboo-logmetrics")
