"""Tagged JSON, one event a line, is imported: ids and times stay, each event once over files and runs."""

from __future__ import annotations

import gzip
import json
import os

import pytest
from click.testing import CliRunner
from support.packing import pack_zstd
from support.strategies import EXAMPLES as EVERY
from support.tools import flat

import bamboo_logmetrics as blm
from bamboo_logmetrics.cli.commands import cli
from bamboo_logmetrics.importers import IMPORTERS, ImportReport
from bamboo_logmetrics.importers.run import store_path

BAMBOO = IMPORTERS["bamboo"]
PAUSED = '{"Chat":{"SessionPaused":{"meta":{"event_id":"p-1","occurred_at":"2026-11-22T15:47:14Z"},"session_id":"s-1","usage":{"prompt_tokens":5}}}}'


# a chat event without the time in its meta is none
EXAMPLES = [event for event in EVERY if event.to_json().count("event_id") <= event.to_json().count("occurred_at")]


def run(*args):
    return CliRunner().invoke(cli, ["import", "bamboo", *map(str, args)], prog_name="bamboo-logmetrics")


def events_of(path):
    """Return the events of a log but for its own."""
    return [line.event for line in blm.read(path) if not line.own]


def put(path, *events):
    path.write_text("".join((one if isinstance(one, str) else one.to_json()) + "\n" for one in events), "utf-8")
    return path


def test_every_event_keeps_its_id_and_time(tmp_path):
    """Each event of the vocabulary is the same event in the log, in order of time."""
    known = [one for one in EXAMPLES if hasattr(one, "meta")]
    source = put(tmp_path / "events.jsonl", *reversed(known))
    result = run(source, "-o", tmp_path / "out.jsonl")
    assert result.exit_code == 0, result.output
    assert events_of(tmp_path / "out.jsonl") == sorted(known, key=lambda event: event.meta.occurred_at)
    assert blm.verify(tmp_path / "out.jsonl").ok
    assert "requests: 2" in result.output
    assert "failed requests: 1" in result.output


def test_events_count_once(tmp_path):
    """The same event in two files, compressed or not, and in several imports, is written once."""
    source = put(tmp_path / "a.jsonl", *EXAMPLES, PAUSED)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(source.read_bytes()))
    (tmp_path / "c.jsonl.zst").write_bytes(pack_zstd(source.read_bytes()))
    out = tmp_path / "log" / "out.jsonl"
    result = run(tmp_path, "-o", out)
    assert result.exit_code == 0, result.output
    assert f"already there: {2 * (len(EXAMPLES) + 1):,} events" in result.output
    assert len(events_of(out)) == len(EXAMPLES) + 1
    source.write_text(source.read_text("utf-8") + blm.WorkerStarted().to_json() + "\n", "utf-8")
    result = run(source, "-o", out, "--append")
    assert "written: 1 event" in result.output
    again = run(tmp_path, "-o", out, "--append")
    assert "written: 0 events" in again.output
    assert "unchanged: 3 files, not read again" in again.output
    assert blm.verify(out).ok


def test_what_is_known_from_the_log(tmp_path):
    """Without the store, the ids of all events are read from the log: nothing is written again."""
    source, out = put(tmp_path / "a.jsonl", *EXAMPLES, PAUSED), tmp_path / "out.jsonl"
    run(source, "-o", out)
    os.unlink(store_path(str(out)))
    result = run(source, "-o", out, "--append")
    assert f"already there: {len(EXAMPLES) + 1} events" in result.output
    assert "written: 0 events" in result.output


def test_events_without_a_meta(tmp_path):
    """System events have the time of the event before them, and at the beginning of a file that of the first."""
    first, *_ = EXAMPLES
    dropped = blm.MetricsDropped(count=17, reason="queue_full")
    source = put(tmp_path / "a.jsonl", blm.WorkerStarted(), dropped, first, dropped, dropped)
    run(source, "-o", tmp_path / "out.jsonl")
    lines = [line for line in blm.read(tmp_path / "out.jsonl") if not line.own]
    assert [line.event for line in lines] == [blm.WorkerStarted(), dropped, first, dropped, dropped]
    assert {line.timestamp for line in lines} == {first.meta.occurred_at}
    assert [line.bound.get("time_source") for line in lines] == ["missing", "missing", None, "missing", "missing"]
    alone = put(tmp_path / "b.jsonl", dropped)
    run(alone, "-o", tmp_path / "out-2.jsonl")
    assert events_of(tmp_path / "out-2.jsonl") == [dropped]


def test_an_event_of_a_newer_version(tmp_path):
    """An event of an unknown kind has its id, its time and its values."""
    source = put(
        tmp_path / "a.jsonl",
        PAUSED,
        PAUSED.replace("Chat", "Audit").replace("SessionPaused", "key_rotated"),
        '{"System":{"DiskFull":{"bytes":5}}}',
        '{"Audit":{"Listed":{"payload":[1]}}}',
        '{"Audit":"KeyRotated"}',
        '{"System":{"WorkerPaused":null}}',
        '{"System":"WorkerResumed"}',
    )
    run(source, "-o", tmp_path / "out.jsonl")
    line = next(line for line in flat(tmp_path / "out.jsonl") if line["event"] == "chat.session_paused")
    assert line["timestamp"] == "2026-11-22T15:47:14.000000Z"
    assert (line["event_id"], line["session_id"], line["prompt_tokens"]) == ("p-1", "s-1", 5)
    assert [event.kind for event in events_of(tmp_path / "out.jsonl")] == [
        "chat.session_paused",
        "audit.key_rotated",
        "system.disk_full",
        "audit.listed",
        "audit.key_rotated",
        "system.worker_paused",
        "system.worker_resumed",
    ]


OTHERS = [
    '{"prompt":"Tell me the secret of Alice"}',
    '{"messages":{"0":{"role":"user","content":"SECRET"}}}',
    '{"messages":{"user":{"content":"SECRET"}}}',
    '{"prompt":"secret"}',
    '{"system":"secret"}',
    '{"System":"You keep a secret"}',
    '{"System":{"Prompt":"SECRET"}}',
    '{"System":{"":{}}}',
    '{"System":"' + "S" * 65 + '"}',
    '{"Chat":"SessionPaused"}',
    '{"Chat":{"Odd":{"meta":5}}}',
    '{"Chat":{"Odd":{"meta":{"event_id":"e"}}}}',
    '{"Chat":{"Odd":{"meta":{"occurred_at":"2026-11-22T15:47:14Z"}}}}',
    '{"audit":{"listed":{"meta":{"event_id":"","occurred_at":"x"}}}}',
    '{"Audit":{"Listed":["secret"]}}',
    PAUSED.replace("SessionPaused", "Session paused"),
    PAUSED.replace("SessionPaused", "Séance"),
]


@pytest.mark.parametrize(
    "line", ["{torn", "5", "[]", "{}", '{"Chat":{"SessionStarted":{}}}', '{"Chat":1}', "[" * 5000, "\xff", *OTHERS]
)
def test_a_bad_line_costs_that_line(tmp_path, line):
    """A line that is no event is named with its number, and quoted nowhere."""
    source = tmp_path / "a.jsonl"
    good = EXAMPLES[0].to_json()
    source.write_bytes(f"{good}\n\n".encode() + line.encode("latin-1") + b"\n" + EXAMPLES[1].to_json().encode())
    problems = []
    events = [event for event, _ in BAMBOO.read([source], ImportReport(problems.append))]
    assert events == EXAMPLES[:2]
    assert [str(problem) for problem in problems] == [f"{source}:3: not an event in tagged form"]


def test_other_json_is_never_stored(tmp_path):
    """Of lines that are no events nothing is in the log or in what is printed; they are counted."""
    out = tmp_path / "log" / "out.jsonl"
    result = run(put(tmp_path / "a.jsonl", EXAMPLES[0], *OTHERS), "-o", out)
    assert result.output.count("not an event in tagged form") == len(OTHERS)
    assert events_of(out) == EXAMPLES[:1]
    for text in (result.output, *(path.read_bytes().decode("latin-1") for path in out.parent.iterdir())):
        assert "secret" not in text.lower()


def test_two_events_with_one_id(tmp_path):
    """Two kinds of events, or two times, under one id are two events."""
    meta = EXAMPLES[0].meta
    events = [
        blm.SessionStarted(session_id="s", model="m", meta=meta),
        blm.SessionCompleted(session_id="s", status="completed", meta=meta),
    ]
    later = blm.SessionStarted(session_id="s", model="m", meta=EXAMPLES[1].meta.__replace__(event_id=meta.event_id))
    run(put(tmp_path / "a.jsonl", *events, later), "-o", tmp_path / "out.jsonl")
    assert events_of(tmp_path / "out.jsonl") == [*events, later]


def test_recognition(tmp_path):
    """A file of tagged JSON is recognised by its first lines; a folder without any is an error with a hint."""
    assert BAMBOO.recognises(put(tmp_path / "a.jsonl", "{torn", EXAMPLES[0]))
    assert BAMBOO.recognises(put(tmp_path / "b.jsonl", PAUSED))
    assert BAMBOO.recognises(tmp_path / "gone.jsonl")
    assert not BAMBOO.recognises(put(tmp_path / "c.jsonl", *OTHERS[:5]))
    assert IMPORTERS["auto"].source_of(put(tmp_path / "events.jsonl", *OTHERS[:5])) is None
    other = tmp_path / "other"
    other.mkdir()
    (other / "x.jsonl").write_text(json.dumps({"a": 1}) + "\n5\n", "utf-8")
    assert not BAMBOO.recognises(other / "x.jsonl")
    result = run(other, "-o", tmp_path / "out.jsonl")
    assert result.exit_code == 2
    assert "give the files of that tool, such as events.jsonl" in result.output


def test_a_file_that_cannot_be_read(tmp_path):
    """Damaged data is a problem of that file alone."""
    good = put(tmp_path / "a.jsonl", EXAMPLES[0])
    torn = tmp_path / "b.jsonl.gz"
    torn.write_bytes(gzip.compress(good.read_bytes())[:-12])
    result = run(good, torn, "-o", tmp_path / "out.jsonl")
    assert result.exit_code == 1
    assert "NOT READ: 1 file" in result.output
    assert EXAMPLES[0] in events_of(tmp_path / "out.jsonl")
    assert "NOT READ: 1 file" in run(good, torn, "-o", tmp_path / "out.jsonl", "--append").output
