"""Row 29 of the fault matrix at its full size."""

from __future__ import annotations

import json

import pytest
from support import TESTS
from support.counting import findings, lines_of, tools_of_writers

import bamboo_logmetrics as blm

WRITE = f"""
import json, sys
sys.path.insert(0, {TESTS!r})
from support.counting import write_at_once
print(json.dumps(write_at_once(sys.argv[1], 8, 20_000, max_bytes=1_000_000, compress=sys.argv[2])))
"""


@pytest.mark.parametrize(("compress", "suffix"), [("gzip", ".gz"), ("zstd", ".zst")])
def test_row_29_eight_times_twenty_thousand(run_python, tmp_path, compress, suffix):
    """8 processes x 20,000 events with 1 MB rotation and compression: 160,000, each once, every line JSON."""
    path = tmp_path / "a.jsonl"
    done = run_python(WRITE, path, compress)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert findings(path, [f"c{name}-{n}" for name in range(8) for n in range(20_000)]) == {}
    assert tools_of_writers(path) == {writer: written for writer, written, _ in answers}
    assert [written for _, written, _ in answers] == [20_000] * 8
    assert len(list(tmp_path.glob(f"*{suffix}"))) > 30
    report = blm.verify([path])
    assert report.ok
    assert (report.written, len(report.writers), report.lines) == (160_000, 8, len(lines_of(path)))
