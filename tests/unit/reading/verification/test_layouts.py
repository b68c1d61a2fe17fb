"""read and verify over logs of every layout."""

from __future__ import annotations

import gzip
import json
import threading

import msgspec
import pytest
from support.flats import exact
from support.logs import FOREIGN, change, compress, kinds, put, rotated, write_log
from support.strategies import EXAMPLES
from support.tools import tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.format.layouts import LAYOUTS, NATIVE, decode_header, flat_of
from bamboo_logmetrics.format.parse import parse_line
from bamboo_logmetrics.format.strict_json import encode
from bamboo_logmetrics.reading import verify

OTHERS = ["ecs", "otel"]


def translated(line, layout):
    """Return a native line in another layout, and any other line as it is."""
    try:
        flat = msgspec.json.decode(line)
        return encode(LAYOUTS[layout].write(flat_of(flat)))
    except (ValueError, KeyError, RecursionError):
        return line


def translate(path, layout):
    """Rewrite all files of a native log in another layout; other lines stay as they are."""
    for file in [*rotated(path), path]:
        packed = file.suffix == ".gz"
        data = gzip.decompress(file.read_bytes()) if packed else file.read_bytes()
        data = b"\n".join(translated(line, layout) for line in data.split(b"\n"))
        file.write_bytes(gzip.compress(data) if packed else data)


# -- the same run in each layout -------------------------------------------------------------


def many_files(path):
    write_log(path, 60, max_bytes=3_000)
    compress(rotated(path)[1])


def gaps(path):
    lines = write_log(path, 20)
    put(path, [line for number, line in enumerate(lines, 1) if number not in {3, 6, 7}])


def repeats(path):
    lines = write_log(path)
    put(path, [*lines[:5], lines[4], lines[1], *lines[5:]])


def rubbish(path):
    lines = write_log(path)
    put(
        path, [*lines[:2], b"", b"Traceback", b'{"a":NaN}', b'{"a":"\xff"}', *lines[2:5], *FOREIGN.values(), *lines[5:]]
    )


def newer(path):
    lines = write_log(path)
    put(path, [*lines, change(lines[1], v=2, seq=13)])


def wrong_values(path):
    lines = write_log(path)
    put(path, [change(lines[0], pid="many"), *lines[1:-1], change(lines[-1], written=[])])


def wrong_counts(path):
    lines = write_log(path, 5)
    put(path, [*lines[:-1], change(lines[-1], emitted=9, written=6, dropped={"queue_full": 2})])


def no_end(path):
    put(path, [change(line, host="another") for line in write_log(path)[:-1]])


def stopped_in_the_middle(path):
    lines = write_log(path, 1)
    put(path, [change(lines[0], host="another"), *lines[1:], change(lines[1], seq=4)])


def no_beginning(path):
    many_files(path)
    rotated(path)[0].unlink()


def lost_beginning(path):
    write_log(path, 100, max_bytes=4_000)
    oldest, second = rotated(path)[:2]
    put(oldest, write_log(path.with_name("b.jsonl"), 1))
    second.unlink()


def torn_tail(path):
    lines = write_log(path)
    path.write_bytes(path.read_bytes() + lines[2][:30])


def torn_rotated(path):
    write_log(path, 60, max_bytes=3_000)
    first = rotated(path)[0]
    first.write_bytes(first.read_bytes()[:-60])


def repaired(path):
    write_log(path, 1)
    path.write_bytes(path.read_bytes() + b'{"half')
    write_log(path, 1)


def drops(path):
    log = blm.open_log(path, queue_size=5)
    for number in range(2_000):
        log.emit(tool(number))
    log.close()


def of_the_application(path):
    with blm.open_log(path) as log:
        log.emit(blm.MetricsDropped(count=7, reason="queue_full"))
        log.emit(blm.WorkerStopped(), emitted=1)
        log.info("system.worker_stopped", emitted=1, written=1, source="x")
        log.info("system.metrics_dropped", count=3, reason="queue_full", plain=False)


def two_writers_by_turns(path):
    first = write_log(path, 5)
    path.unlink()
    second = write_log(path, 5)
    put(path, [line for pair in zip(first, second, strict=True) for line in pair])


RUNS = [
    many_files, gaps, repeats, rubbish, newer, wrong_values, wrong_counts, no_end, stopped_in_the_middle, no_beginning,
    lost_beginning, torn_tail, torn_rotated, repaired, drops, of_the_application, two_writers_by_turns,
]  # fmt: skip


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.__name__)
@pytest.mark.parametrize("layout", OTHERS)
def test_the_same_run_is_the_same_report(path, layout, run):
    """Of one and the same run, whole or broken in any way, verify says the same in each layout."""
    run(path)
    native = verify(path)
    before = path.read_bytes()
    translate(path, layout)
    assert path.read_bytes() != before
    assert verify(path) == native


@pytest.mark.parametrize("run", [many_files, gaps, drops, of_the_application, two_writers_by_turns])
@pytest.mark.parametrize("layout", OTHERS)
def test_the_same_run_reads_the_same(path, layout, run):
    """Of one and the same run, read gives the same lines in each layout."""
    run(path)
    native = list(blm.read(path))
    translate(path, layout)
    read = list(blm.read(path))
    assert [line.event or line.text for line in read] == [line.event or line.text for line in native]
    assert exact([dict(line.bound) for line in read]) == exact([dict(line.bound) for line in native])
    assert [(line.writer, line.seq, line.level, line.timestamp, line.source, line.own) for line in read] == [
        (line.writer, line.seq, line.level, line.timestamp, line.source, line.own) for line in native
    ]


def test_layouts_by_turns(path):
    """A file whose lines are of all three layouts by turns is read and verified as one."""
    lines = write_log(path, 30)
    put(path, [translated(line, list(LAYOUTS)[number % 3]) for number, line in enumerate(lines)])
    report = verify(path)
    assert report.ok
    assert (report.written, report.own, report.lines) == (30, 2, 32)
    assert [line.seq for line in blm.read(path)] == list(range(1, 33))


# -- logs that are written in a layout --------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_threads_rotation_and_compression(path, layout):
    """The lines of several threads, through rotation and compression, are complete in each layout."""

    def work(thread):
        bound = log.bind(thread=thread)
        for number in range(100):
            bound.emit(tool(1_000 * thread + number), note="n")
            bound.info("text", number=number, session_id="s")

    log = blm.open_log(path, layout=layout, max_bytes=30_000, compress="gzip", on_full="block", flush_interval=0.001)
    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.close()
    report = verify(path)
    assert report.ok
    assert (report.written, report.own) == (800, 2)
    assert report.writers[0].end == "stopped"
    assert sum(file.endswith(".gz") for file in report.files) > 2
    lines = list(blm.read(path))
    numbers = [int(line.event.tool_call_id[1:]) for line in lines if isinstance(line.event, blm.ToolCalled)]
    assert sorted(numbers) == sorted(1_000 * thread + number for thread in range(4) for number in range(100))
    texts = [(line.bound["thread"], line.bound["number"]) for line in lines if line.text == "text"]
    assert sorted(texts) == [(thread, number) for thread in range(4) for number in range(100)]
    assert all(line.bound["session_id"] == "s" for line in lines if line.text)


@pytest.mark.parametrize("layout", OTHERS)
def test_every_kind_of_event(path, layout):
    """Every kind comes back from a log as it was emitted, with its bound fields."""
    with blm.open_log(path, layout=layout) as log:
        for event in EXAMPLES:
            log.emit(event, project="p", nested={"a": [1, None, 2.5, True]})
        log.warning("text", trace_id="t")
    lines = [line for line in blm.read(path) if not line.own]
    assert [line.event for line in lines[: len(EXAMPLES) - 2]] == EXAMPLES[:-2]
    assert [line.event.kind for line in lines[len(EXAMPLES) - 2 : -1]] == [event.kind for event in EXAMPLES[-2:]]
    assert dict(lines[0].bound) == {"project": "p", "nested": {"a": [1, None, 2.5, True]}}
    assert (lines[-1].text, lines[-1].level, dict(lines[-1].bound)) == ("text", "warning", {"trace_id": "t"})
    assert verify(path).ok


@pytest.mark.parametrize("layout", OTHERS)
def test_drops_are_accounted_for(path, layout):
    """Events that a small queue has dropped are announced in each layout."""
    log = blm.open_log(path, queue_size=5, layout=layout)
    for number in range(3_000):
        log.emit(tool(number))
    log.close()
    report = verify(path)
    assert report.ok
    assert report.written + report.dropped["queue_full"] == 3_000
    assert report.writers[0].counts_agree is True


@pytest.mark.parametrize("layout", OTHERS)
def test_a_torn_tail_is_repaired_by_another_layout(path, layout):
    """A log may be opened with another layout each time: a torn last line is cut away, and all is accounted for."""
    lines = write_log(path, 3, layout=layout)
    path.write_bytes(path.read_bytes() + lines[1][:40])
    write_log(path, 3)
    path.write_bytes(path.read_bytes() + lines[1][:50])
    write_log(path, 3, layout=layout)
    report = verify(path)
    assert report.ok
    assert [writer.repaired_bytes for writer in report.writers] == [0, 40, 50]
    assert report.written == 9
    assert {json.loads(line).get("ecs.version", "none") for line in lines} == {"9.4.0" if layout == "ecs" else "none"}


@pytest.mark.parametrize("layout", OTHERS)
def test_secrets_are_masked(path, layout):
    """Secrets are masked before a line is laid out."""
    with blm.open_log(path, layout=layout) as log:
        log.info("key sk-proj-abcdefghijklmnop1234567890", password="hunter2", nested={"authorization": "x y"})
        log.emit(tool(), note="Bearer abcdefgh12345678")
    data = path.read_bytes()
    assert data.count(b"[redacted]") == 4
    assert b"hunter2" not in data


# -- lines that only look like ours ----------------------------------------------------------


def ecs(bamboo=(), event=(), **changed):
    """Return an ECS document of a tool call, with other values; ... leaves one out."""
    document = {"@timestamp": "2026-11-22T15:47:16.000000Z", "log.level": "info", "message": "chat.tool_called"}
    document["bamboo"] = {"v": 1, "writer": "a" * 20, "seq": 1} | dict(bamboo)
    document["event"] = {"action": "chat.tool_called"} | dict(event)
    document = {key: value for key, value in (document | changed).items() if value is not ...}
    return {
        key: {name: item for name, item in value.items() if item is not ...} if isinstance(value, dict) else value
        for key, value in document.items()
    }


def otel(attributes=(), **changed):
    """Return a log record of a tool call, with other values; ... leaves one out."""
    pairs = {
        "bamboo.v": {"intValue": "1"}, "bamboo.writer": {"stringValue": "a" * 20}, "bamboo.seq": {"intValue": "1"}
    } | dict(attributes)  # fmt: skip
    document = {
        "timeUnixNano": "1",
        "severityText": "info",
        "eventName": "bamboo.chat.tool_called",
        "body": {"stringValue": "x"},
    }
    document["attributes"] = [{"key": key, "value": value} for key, value in pairs.items() if value is not ...]
    return {key: value for key, value in (document | changed).items() if value is not ...}


def test_the_shortest_lines_of_each_layout():
    """The line that the following tests change is valid."""
    for data in (ecs(), otel(), otel(body=...), otel({"bamboo.v": {"intValue": 1}, "bamboo.seq": {"intValue": 1}})):
        decode, head = decode_header(encode(data))
        assert (head.event, head.writer, head.seq) == ("chat.tool_called", "a" * 20, 1)
        assert decode is not NATIVE.decode_header
        assert flat_of(data)["writer"] == "a" * 20
    for data in (
        ecs({"plain": True}, message="text"),
        otel({"bamboo.plain": {"boolValue": True}}, body={"stringValue": "text"}),
    ):
        head = decode_header(encode(data))[1]
        assert (head.event, head.plain) == ("text", True)


LOOK_ALIKES = {
    "ecs of another program": {key: value for key, value in ecs().items() if key != "bamboo"},
    "ecs no writer": ecs({"writer": ...}),
    "ecs other writer": ecs({"writer": "\x1b[31m"}),
    "ecs text for a number": ecs({"seq": "1"}),
    "ecs number zero": ecs({"seq": 0}),
    "ecs version": ecs({"v": "2"}),
    "ecs no version": ecs({"v": ...}),
    "ecs no action": ecs(event={"action": ...}),
    "ecs plain without text": ecs({"plain": True}, message=...),
    "otel of another program": otel(attributes=dict.fromkeys(("bamboo.v", "bamboo.writer", "bamboo.seq"), ...)),
    "otel no attributes": otel() | {"attributes": None},
    "otel no writer": otel({"bamboo.writer": ...}),
    "otel other writer": otel({"bamboo.writer": {"stringValue": "A" * 20}}),
    "otel number for a writer": otel({"bamboo.writer": {"intValue": "5"}}),
    "otel number zero": otel({"bamboo.seq": {"intValue": "0"}}),
    "otel no number": otel({"bamboo.seq": {"intValue": "x"}}),
    "otel text for a number": otel({"bamboo.seq": {"stringValue": "1"}}),
    "otel version": otel({"bamboo.v": {"stringValue": "2"}}),
    "otel no name": otel(eventName=...),
    "otel plain without text": otel({"bamboo.plain": {"boolValue": True}}, body={}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_a_foreign_line(path, layout, name):
    """A document or log record that is not of a writer of ours is counted and shown, and is no problem."""
    lines = write_log(path, layout=layout)
    put(path, [*lines[:2], encode(LOOK_ALIKES[name]), *lines[2:]])
    report = verify(path)
    assert report.ok
    assert kinds(report.notes) == ["foreign_line"]
    assert (report.notes[0].line, report.written) == (3, 10)


@pytest.mark.parametrize("layout", OTHERS)
def test_a_newer_version(layout):
    """A line of a later version is named as such, in each layout."""
    data = ecs({"v": 2}) if layout == "ecs" else otel({"bamboo.v": {"intValue": "2"}})
    with pytest.raises(blm.DecodeError, match="a line of version 2; this package reads version 1: update it"):
        parse_line(encode(data))
