from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import threading

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from support.logs import compress, rotated
from support.programs import PROGRAM
from support.strategies import BOUND, EVENTS, EXAMPLES

import bamboo_logmetrics as blm
from bamboo_logmetrics.cli.commands import cli


def put(path, *events, **options):
    """Write a log of events, each with bound values, and a plain line."""
    with blm.open_log(path, **options) as log:
        for event in events:
            log.emit(event, project="p")
        log.info("plain")
    return path


def events_of(path):
    """Return the events of a log but for its own."""
    return [line.event for line in blm.read(path) if not line.own and line.event is not None]


def tagged(text):
    return [blm.MetricsEvent.from_json(line) for line in text.splitlines()]


def test_export(run, path):
    """Events come on stdout; stderr says how many there are, and what tagged JSON cannot hold."""
    put(path, *EXAMPLES[:4])
    result = run("export", path, "--format", "tagged")
    assert result.exit_code == 0
    assert tagged(result.stdout) == EXAMPLES[:4]
    assert result.stderr.splitlines() == [
        "exported: 4 events",
        "left out, since tagged JSON cannot hold them: 1 plain line, 2 lines of the log itself, 4 bound values",
    ]


@pytest.mark.parametrize("layout", ["native", "ecs", "otel"])
def test_export_of_every_layout(run, path, layout):
    """A log of any layout, with its rotated and compressed files, gives its events, the oldest first."""
    events = [event for event in EXAMPLES if hasattr(event, "meta")]
    put(path, *events, layout=layout, max_bytes=1000)
    for file in rotated(path)[:-1]:
        compress(file)
    assert len(rotated(path)) > 1
    assert tagged(run("export", path, "--format", "tagged").stdout) == events


def test_export_to_a_file(run, path, tmp_path):
    """With -o a new file is written; one that exists, and a folder that does not, are errors that say so."""
    put(path, EXAMPLES[0])
    out = tmp_path / "events.jsonl"
    assert run("export", path, "--format", "tagged", "-o", out).exit_code == 0
    assert tagged(out.read_text("utf-8")) == EXAMPLES[:1]
    again = run("export", path, "--format", "tagged", "-o", out)
    assert again.exit_code == 2
    assert "exists; remove it, or use another name" in again.stderr
    none = run("export", path, "--format", "tagged", "-o", tmp_path / "none" / "x")
    assert none.exit_code == 2
    assert "make it first" in none.stderr


def test_export_names_broken_lines(run, path):
    """Torn lines are named and counted on stderr, of many the first ones, and give 1."""
    put(path, *EXAMPLES[:2])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1] + b'{"torn\n' * 30 + b'{"a":1}\n' + lines[2] + b'{"half')
    result = run("export", path, "--format", "tagged")
    assert result.exit_code == 1
    assert tagged(result.stdout) == EXAMPLES[:2]
    assert f"{path}:3: not JSON" in result.stderr
    assert "NOT READ: 31 lines that cannot be read, the first 20 named above" in result.stderr
    assert result.stderr.count("not JSON") == 20


def test_export_of_events_alone(run, path):
    """Where nothing is left out, nothing is said about it."""
    with blm.open_log(path) as log:
        log.emit(EXAMPLES[0])
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[1])
    assert run("export", path, "--format", "tagged").stderr == "exported: 1 event\n"


def test_export_counts_exceptions(run, path):
    """The exception of an event is left out, and counted."""
    with blm.open_log(path) as log:
        try:
            raise ValueError
        except ValueError:
            log.emit(EXAMPLES[0], exc_info=True)
    result = run("export", path, "--format", "tagged")
    assert tagged(result.stdout) == EXAMPLES[:1]
    assert "2 lines of the log itself, 1 exception" in result.stderr


def test_export_of_kinds_that_are_unknown(run, path, tmp_path):
    """An event whose class is not known here keeps its id, its time and its values, there and back."""
    paused = {"meta": {"event_id": "e-1", "occurred_at": "2026-11-22T15:47:13Z", "trace_id": None}, "session_id": "s"}
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    with blm.open_log(path) as log:
        log.emit(
            blm.UnknownEvent(family="Chat", variant="SessionPaused", payload=json.dumps({**paused, "usage": usage}))
        )
        log.emit(blm.UnknownEvent(family="Audit", variant="KeyRotated"))
        log.emit(blm.UnknownEvent(family="Audit", variant="Listed", payload="[1]"))
    out = tmp_path / "events.jsonl"
    run("export", path, "--format", "tagged", "-o", out)
    first, *others = map(json.loads, out.read_text("utf-8").splitlines())
    assert first == {"Chat": {"SessionPaused": {**paused, "usage": usage}}}
    assert others == [{"Audit": "KeyRotated"}, {"Audit": {"Listed": {"payload": [1]}}}]
    back = tmp_path / "back.jsonl"
    assert run("import", "bamboo", out, "-o", back).exit_code == 0
    again = run("export", back, "--format", "tagged").stdout.splitlines()
    assert json.loads(again[0])["Chat"]["SessionPaused"]["meta"] == paused["meta"]
    assert len(again) == 3


def test_export_of_a_stream(path):
    """A dash is a saved stream, and patterns name several logs."""
    put(path, EXAMPLES[0])
    with path.open("rb") as stream:
        done = subprocess.run(
            [*PROGRAM, "export", "-", "--format", "tagged"], stdin=stream, capture_output=True, check=False
        )
    assert tagged(done.stdout.decode()) == EXAMPLES[:1]
    pattern = subprocess.run(
        [*PROGRAM, "export", f"{path.parent}/*.jsonl", "--format", "tagged"], capture_output=True, check=False
    )
    assert pattern.stdout == done.stdout


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ([], "Missing argument"),
        (["none.jsonl", "--format", "tagged"], "no such log: none.jsonl"),
        (["none.jsonl"], "Missing option '--format'"),
        (["none.jsonl", "--format", "xml"], "'xml' is not 'tagged'"),
    ],
)
def test_export_wrong_usage(run, tmp_path, monkeypatch, args, text):
    """Wrong usage gives 2, and a line that says what is right."""
    monkeypatch.chdir(tmp_path)
    result = run("export", *args)
    assert result.exit_code == 2
    assert text in result.stderr


def test_export_into_a_pipe_that_ends(path):
    """A reader that goes early, as head does, ends the export without a word."""
    put(path, *EXAMPLES[:13] * 3000, flush_interval=0.01)
    with subprocess.Popen(
        [*PROGRAM, "export", path, "--format", "tagged"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as exporting:
        assert exporting.stdout.readline()
        exporting.stdout.close()
        assert exporting.stderr.read() == b""
    assert exporting.returncode == 0


def test_ctrl_c_during_an_export(path):
    """Ctrl-C gives 130, and no traceback."""
    put(path, *EXAMPLES[:3])
    data = path.read_bytes() * 4_000  # more than the buffers of any Python hold

    def feed(stdin):
        with contextlib.suppress(OSError):  # the reader is gone
            stdin.write(data)

    with subprocess.Popen(
        [*PROGRAM, "export", "-", "--format", "tagged"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    ) as exporting:
        feeding = threading.Thread(target=feed, args=(exporting.stdin,))
        feeding.start()
        assert exporting.stdout.read(1)  # from here on it exports
        exporting.send_signal(signal.SIGINT)
        while exporting.stdout.read(65_536):
            pass
        assert exporting.stderr.read() == b"interrupted\n"
        exporting.wait(30)
        feeding.join(30)
    assert exporting.returncode == 130


def unique(events):
    """Return the events, each with an id of its own."""
    whole = []
    for number, event in enumerate(events):
        meta = getattr(event, "meta", None)
        whole.append(
            event if meta is None else event.__replace__(meta=meta.__replace__(event_id=f"{number}-{meta.event_id}"))
        )
    return whole


@settings(max_examples=20)
@given(
    st.lists(EVENTS, max_size=6).map(unique),
    st.lists(BOUND, min_size=6, max_size=6),
    st.sampled_from(["native", "ecs", "otel"]),
)
def test_there_and_back(tmp_path_factory, events, bound, layout):
    """An import of an export gives the same events, with their ids and times, whatever is bound beside them."""
    folder = tmp_path_factory.mktemp("export")
    path, out, back = folder / "a.jsonl", folder / "events.jsonl", folder / "back.jsonl"
    with blm.open_log(path, layout=layout) as log:
        for event, values in zip(events, bound, strict=False):
            blm.get_logger
            log.emit(
                event,
                **{key: value for key, value in values.items() if key.isidentifier() and key not in ("event", "self")},
            )
    running = CliRunner()
    exported = running.invoke(cli, ["export", str(path), "--format", "tagged", "-o", str(out)])
    assert exported.exit_code == 0, exported.output
    imported = running.invoke(cli, ["import", "bamboo", str(out), "-o", str(back)])
    if events:
        assert imported.exit_code == 0, imported.output
        assert by_text(events_of(back)) == by_text(events_of(path))
        again = running.invoke(cli, ["import", "bamboo", str(out), "-o", str(back), "--append"])
        assert "written: 0 events" in again.output


def by_text(events):
    return sorted(map(repr, events))
