from __future__ import annotations

import json

import pytest
from support.transcripts import answer, message, user, write

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
