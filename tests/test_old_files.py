"""Logs, checkpoints and rotated files that version 0.1.0 wrote: this version reads, continues and ships them."""

from __future__ import annotations

import json
import shutil

import pytest
from support import TESTS
from support.tools import tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.ship import Shipper
from bamboo_logmetrics.system import Clock

OLD = f"{TESTS}/data/0.1.0"
LAYOUTS = ("native", "ecs", "otel")
DESTINATIONS = ("loki", "elasticsearch", "otlp")


class LaterClock(Clock):
    """A clock that is ahead: the new rotated files come after the old ones, whatever time the machine has."""

    def time_ns(self):
        return super().time_ns() + 100 * 365 * 86_400 * 10**9


@pytest.fixture(params=LAYOUTS)
def old(request, tmp_path):
    """Return a copy of the files of one layout: the log's path, its layout, and the lines and requests of that time."""
    folder = tmp_path / "logs"
    shutil.copytree(f"{OLD}/{request.param}", folder)
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    return folder / "agent.jsonl", request.param, expected


def numbers(lines):
    return [(line.writer, line.seq) for line in lines]


def old_numbers(expected):
    return [(line["writer"], line["seq"]) for line in expected["lines"]]


def write_more(path, layout):
    """Write with another writer until old and new files are rotated and compressed."""
    before = set(path.parent.glob("agent.jsonl.2*"))
    log = blm.open_log(path, layout=layout, compress="gzip", max_bytes=5_000, on_full="block", clock=LaterClock())
    for number in range(30):
        log.emit(tool(number), project="p")
    assert log.close()
    assert len(set(path.parent.glob("agent.jsonl.2*")) - before) > 2
    assert len([file for file in path.parent.glob("agent.jsonl.2*") if file.suffix not in {".gz", ".zst"}]) == 1


def ship(path, to, stub):
    """Ship with the old checkpoint to a server at another port; return what the server got, in order."""
    assert Shipper(path, to=to, url=stub.url, moved=True, batch_bytes=5_000).run().lost == 0
    return [identity for request in stub.requests for identity in request.ids]


def test_old_lines_are_read(old):
    """Each line has the event, the text, the level and the bound values that the version before read in it."""
    path, _, expected = old
    lines = [
        {
            "writer": line.writer,
            "seq": line.seq,
            "level": line.level,
            "text": line.text,
            "event": line.event and json.loads(line.event.to_json()),
            "own": line.own,
            "bound": dict(line.bound),
        }
        for line in blm.read(path)
    ]
    assert lines == expected["lines"]


def test_old_files_are_verified(old):
    """The sums are those of the version before, and the only problems the writer that was killed and its last line."""
    path, _, expected = old
    report = blm.verify(path)
    sums = {"lines": report.lines, "written": report.written, "own": report.own}
    assert sums == {name: expected["verify"][name] for name in sums}
    assert {finding.kind for finding in report.problems} - {"unclean_end"} == {"broken_line"}


@pytest.mark.parametrize("to", DESTINATIONS)
def test_a_checkpoint_is_continued(old, stub, to):
    """From an old checkpoint, exactly those lines are sent that were not; to Loki, also by OTLP, by their times."""
    path, _, expected = old
    sent = {tuple(identity) for identity in expected["shipped"][to]["sent"]}
    now = ship(path, to, stub)
    left = [identity for identity in old_numbers(expected) if identity not in sent]
    assert now == left if to == "elasticsearch" else sorted(now) == sorted(left)
    state = json.loads(path.with_name(f".agent.jsonl.{to}.checkpoint").read_bytes().splitlines()[0])
    before = expected["shipped"][to]
    assert (state["shipped"], state["refused"]) == (before["shipped"] + len(now), before["refused"])


@pytest.mark.parametrize("to", DESTINATIONS)
def test_an_old_log_is_continued(old, stub, to):
    """Another writer repairs, continues, rotates and compresses an old log; old and new lines are read and shipped."""
    path, layout, expected = old
    letters = path.with_name(f".agent.jsonl.{to}.dead-letter").read_bytes()
    write_more(path, layout)
    everything = numbers(blm.read(path))
    more = everything[len(expected["lines"]) :]
    assert everything[: len(expected["lines"])] == old_numbers(expected)
    assert [seq for _, seq in more] == list(range(1, 33))  # 30 events, and the lines of the start and the end
    assert len({writer for writer, _ in more}) == 1
    report = blm.verify(path)
    assert report.written == expected["verify"]["written"] + 30
    assert {finding.kind for finding in report.problems} <= {"unclean_end"}
    sent = {tuple(identity) for identity in expected["shipped"][to]["sent"]}
    assert sorted(ship(path, to, stub)) == sorted(identity for identity in everything if identity not in sent)
    assert path.with_name(f".agent.jsonl.{to}.dead-letter").read_bytes() == letters
