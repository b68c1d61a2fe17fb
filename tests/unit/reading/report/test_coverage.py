"""The part of the page on what it covers: files, the result of verify, unclean ends, gaps."""

from __future__ import annotations

import pytest
from support.log_lines import as_bytes, with_headers

from bamboo_logmetrics.reading.report import coverage
from bamboo_logmetrics.reading.report.collecting import collect

PLAIN = {"event": "hello", "plain": True}
STOP = {"event": "system.worker_stopped", "emitted": 2, "written": 2, "dropped": {}}


def page_of(path, lines):
    path.write_bytes(as_bytes(lines))
    return collect(path, tz="UTC").page


def test_a_whole_log(path, monkeypatch):
    """A log without loss is complete; its files are named as seen from the working directory."""
    monkeypatch.chdir(path.parent)
    data = page_of(path, with_headers([PLAIN, PLAIN, STOP]))
    assert data["covers"]["verify"] == {
        "complete": True,
        "ok": True,
        "text": "accounted for: 3 lines of 1 writer in 1 file",
        "problems": [],
        "more_problems": 0,
    }
    assert (data["covers"]["files"], data["covers"]["lines"]) == (["a.jsonl"], 3)
    assert data["unclean"] == data["gaps"]["time"] == []


def test_an_unclean_end(path):
    """A writer without an end is named with the time of its last line."""
    data = page_of(path, with_headers([PLAIN, PLAIN]))
    assert data["unclean"] == [
        {"time": 1_796_040_120, "writer": "0123456789abcdef0123", "text": "no end: lines that were queued are lost"}
    ]
    assert not data["covers"]["verify"]["ok"]
    assert data["covers"]["verify"]["text"].startswith("not accounted for")


def test_gaps(path):
    """A gap has the time of the line before it; one at the beginning has none."""
    lines = with_headers([PLAIN] * 9)
    data = page_of(path, [lines[0], lines[3], *lines[5:]])
    assert data["gaps"] == {
        "time": [1_796_040_060, 1_796_040_240],
        "writer": ["0123456789abcdef0123"] * 2,
        "missing": [2, 1],
        "text": ["lines 2 to 3", "line 5"],
    }
    other = [line | {"writer": "f" * 20} for line in lines[1:]]
    path.with_name(f"{path.name}.20261130T120000000000Z-0123456789abcdef0123").write_bytes(as_bytes(lines[:1]))
    data = page_of(path, other)
    assert (data["gaps"]["time"], data["gaps"]["text"]) == ([None], ["line 1"])


@pytest.fixture
def small(monkeypatch):
    """Make the limits small enough for a test."""
    for name in ("_MAX_FILES", "_MAX_PROBLEMS", "_MAX_ENDS", "_MAX_GAPS"):
        monkeypatch.setattr(coverage, name, 1)


def test_limits(tmp_path, small):
    """Of many files, problems, ends and gaps the first are shown, with the number of the rest."""
    for number in range(3):
        lines = with_headers([PLAIN] * 3)
        text = as_bytes([line | {"writer": f"{number}" * 20} for line in (lines[0], lines[2])])
        (tmp_path / f"{number}.jsonl").write_bytes(text)
    data = collect(tmp_path / "*.jsonl").page
    assert (len(data["covers"]["files"]), data["covers"]["more_files"]) == (1, 2)
    assert (len(data["covers"]["verify"]["problems"]), data["covers"]["verify"]["more_problems"]) == (1, 5)
    assert (len(data["unclean"]), data["more_unclean"]) == (1, 2)
    assert (len(data["gaps"]["text"]), data["more_gaps"]) == (1, 2)


def test_an_acknowledged_loss(path):
    """An unclean end that somebody has acknowledged is still there, and said to be acknowledged."""
    import bamboo_logmetrics as blm

    path.write_bytes(as_bytes(with_headers([PLAIN, PLAIN])))
    blm.verify(path, acknowledge=["0123456789abcdef0123"])
    data = collect(path).page
    assert data["unclean"][0]["text"].endswith("; acknowledged")
    assert data["covers"]["verify"]["ok"]
