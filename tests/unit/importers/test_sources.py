"""Files to import: lines of any length, plain and compressed; links that lead nowhere."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from bamboo_logmetrics.importers import sources
from bamboo_logmetrics.importers.base import ImportReport
from bamboo_logmetrics.logfiles import compression


@pytest.mark.parametrize("name", ["a", "a.gz"])
def test_lines(tmp_path, monkeypatch, name):
    """Lines come with their numbers whatever the chunks; the last may have no newline, and one too long is reported."""
    monkeypatch.setattr(sources, "_CHUNK", 7)
    monkeypatch.setattr(compression, "MOST_PLAIN", 7)
    monkeypatch.setattr(sources, "LONGEST_LINE", 10)
    path = tmp_path / name

    def write(data):
        path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)

    write(b"one\n\n" + b"x" * 30 + b"\nfour\nend")
    problems = []
    assert list(sources.lines_of(path, ImportReport(problems.append))) == [
        (1, b"one\n"), (2, b"\n"), (4, b"four\n"), (5, b"end"),
    ]  # fmt: skip
    assert [str(problem) for problem in problems] == [f"{path}:3: longer than 10 bytes"]
    write(b"x" * 30)
    problems, sizes = [], []
    assert list(sources.lines_of(path, ImportReport(problems.append, sizes.append))) == []
    assert [str(problem) for problem in problems] == [f"{path}:1: longer than 10 bytes"]
    assert sum(sizes) == path.stat().st_size


def test_a_compressed_file_without_its_library(tmp_path, monkeypatch):
    """A compressed file that this Python cannot read is an OSError with the remedy, so that the others are read."""
    path = tmp_path / "a.zst"
    path.write_bytes(b"x")
    monkeypatch.setattr(
        compression, "need_zstd", lambda *_: (_ for _ in ()).throw(compression.ConfigError("install it"))
    )
    with pytest.raises(OSError, match="install it"):
        list(sources.lines_of(path, ImportReport()))


def test_progress_of_a_compressed_file(tmp_path):
    """The progress of a compressed file adds up to its own size."""
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"line\n" * 1000))
    sizes = []
    assert len(list(sources.lines_of(path, ImportReport(on_progress=sizes.append)))) == 1000
    assert sum(sizes) == path.stat().st_size


def test_links(tmp_path):
    """A link that leads nowhere is left out, and a folder that links to itself is walked once."""
    (tmp_path / "a.jsonl").touch()
    (tmp_path / "dead.jsonl").symlink_to(tmp_path / "nowhere")
    (tmp_path / "self").symlink_to(tmp_path)
    assert list(sources.files_below(tmp_path, ["*.jsonl"])) == [tmp_path / "a.jsonl"]


def test_a_fingerprint(tmp_path):
    """A change at either end of a large file is seen, also at the same size and time."""
    path = tmp_path / "a"
    path.write_bytes(b"a" * 20_000)
    first = sources.state_of(path)
    path.write_bytes(b"a" * 19_999 + b"b")
    assert sources.state_of(path).fingerprint != first.fingerprint
    assert sources.state_of(path).size == first.size
    with pytest.raises(OSError, match="nowhere"):
        sources.state_of(Path("/nowhere"))


def test_patterns_with_folders(tmp_path):
    """A pattern with slashes is of the folders above a file too; one without is of its name."""
    assert sources.fits("/a/session/p/ses_1.json", "session/*/ses_*.json")
    assert not sources.fits("/a/session_diff/ses_1.json", "session/*/ses_*.json")
    assert not sources.fits("ses_1.json", "session/*/ses_*.json")
    assert sources.fits("ses_1.json", "ses_*.json")
    for name in ("session/p/ses_1.json", "session_diff/ses_1.json"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    assert list(sources.files_below(tmp_path, ["session/*/*.json"])) == [tmp_path / "session" / "p" / "ses_1.json"]
