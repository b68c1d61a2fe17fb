from __future__ import annotations

import errno
import os
import socket
from datetime import datetime, timedelta, timezone

from support.faults import FaultyFS
from support.sinks import flush_at_last
from support.tools import dropped, flat, kinds, of_kind, tool, typed

import bamboo_logmetrics as blm
from bamboo_logmetrics.events.times import parse_utc
from bamboo_logmetrics.pipeline import step
from bamboo_logmetrics.pipeline.step import worker_started_fields
from bamboo_logmetrics.testing import FailingSink, GateSink, ManualClock, open_log_on


def test_drops_are_announced_though_nothing_follows(gate, path):
    """A flood followed by silence is announced by the worker's own clock."""
    sink, log = gate(queue_size=5)
    for n in range(9):
        log.emit(tool(n))
    sink.open_gate()
    assert log.flush()
    assert dropped(path) == {"queue_full": 4}


def test_drops_are_announced_once_a_second(path):
    """Two floods within a second make one announcement each second, with exact counts and totals."""
    clock, sink = ManualClock(), GateSink()
    log = open_log_on(sink, path, queue_size=2, clock=clock)
    try:
        for _ in range(2):
            sink.shut_gate()
            log.emit(tool())
            assert sink.wait_for_writer()
            for n in range(5):
                log.emit(tool(n))
            sink.open_gate()
            assert log.flush()
        said = of_kind(path, "system.metrics_dropped")
        assert len(said) == 1
        before = said[0]["total"]
        clock.advance(1)
        assert log.flush()
        total = log.stats().dropped["queue_full"]
        last = of_kind(path, "system.metrics_dropped")[-1]
        assert (last["count"], last["total"]) == (total - before, total)
    finally:
        sink.open_gate()
        log.close()


def test_a_full_disk_keeps_the_lines(path, capsys):
    """While the disk is full lines are kept; when there is space again they and one StorageError are written."""
    clock, fs = ManualClock(), FaultyFS()
    log = blm.open_log(path, fs=fs, clock=clock)
    try:
        assert log.flush()
        fs.fail("write", errno.ENOSPC, times=None)
        for n in range(10):
            log.emit(tool(n))
        for _ in range(8):
            assert not log.flush(timeout=0)
            clock.advance(5)
        assert log.stats().queued == 10
        fs.heal()
        flush_at_last(log, clock)
        assert len(typed(path)) == 10
        (said,) = of_kind(path, "system.storage_error")
        assert "No space left" in said["error"]
    finally:
        fs.heal()
        flush_at_last(log, clock)
        log.close()
    assert capsys.readouterr().err.count("\n") == 1


def test_a_failure_at_the_very_end_is_told_before_the_stop(path):
    """When worker_stopped itself fails once, the StorageError comes and worker_stopped is still the last line."""
    sink = FailingSink(None, None, OSError(errno.EIO, "I/O error"))
    log = open_log_on(sink, path)
    log.emit(tool())
    assert log.flush()
    assert log.close()
    assert kinds(path)[-1] == "system.worker_stopped"
    assert "system.storage_error" in kinds(path)
    assert blm.verify([path]).ok


def test_the_stop_waits_for_what_failed(path):
    """When storing fails at close and works again in time, there is one worker_stopped, and it is the last line."""
    sink = FailingSink(None, *[OSError(errno.EIO, "I/O error")] * 3)
    log = open_log_on(sink, path)
    log.emit(tool())
    assert log.close()
    assert kinds(path) == [
        "system.worker_started",
        "chat.tool_called",
        "system.storage_error",
        "system.worker_stopped",
    ]
    assert blm.verify([path]).ok


def test_trouble_beside_the_writing_is_told(path):
    """A rotation that fails is a StorageError in the log, which goes on."""
    fs = FaultyFS()
    log = blm.open_log(path, fs=fs, max_bytes=1000)
    fs.fail("rename", errno.EACCES)
    for n in range(10):
        log.emit(tool(n))
        assert log.flush()
    assert log.close()
    assert [line["error"] for line in of_kind(path, "system.storage_error")] == ["rotate: [Errno 13] Permission denied"]
    assert len(typed(path)) == 10


def test_fsync_syncs_before_it_acknowledges(path):
    """Under durability fsync the file is synced for each acknowledgement, and the directory after creation."""
    fs = FaultyFS()
    with blm.open_log(path, durability="fsync", fs=fs) as log:
        assert log.emit(tool(1))
        assert fs.count("fsync") == 2
        assert log.emit(tool(2))
        assert fs.count("fsync") == 3


def test_a_failed_fsync_is_no_acknowledgement(path):
    """When fsync fails the answer is False, the line is written, and a StorageError tells of it."""
    fs = FaultyFS()
    with blm.open_log(path, durability="fsync", fs=fs) as log:
        assert log.flush()
        fs.fail("fsync", errno.EIO)
        assert not log.emit(tool(1))
        assert log.emit(tool(2))
    assert len(typed(path)) == 2
    assert "fsync" in of_kind(path, "system.storage_error")[0]["error"]


def test_a_line_too_long_answers_no(open_log):
    """Under durability write a line that is too large to write is not acknowledged and counted."""
    log = open_log(durability="write", max_line_bytes=1000)
    assert not log.emit(tool(session_id="s" * 2000))
    assert log.stats().dropped == {"too_large": 1}


def test_a_fault_in_the_middle_of_a_batch_loses_nothing(open_log, path, monkeypatch):
    """When making lines is interrupted in the middle of a batch, every record of it is written once."""
    log = open_log()
    assert log.flush()
    encoder = log._pipeline._encoder
    real, calls = encoder.encode, []

    def encode(item):
        calls.append(item)
        if len(calls) == 3:
            raise SystemExit
        return real(item)

    monkeypatch.setattr(encoder, "encode", encode)
    for n in range(6):
        log.emit(tool(n))
    assert log.flush()
    assert [line["tool_call_id"] for line in typed(path)] == [f"c{n}" for n in range(6)]
    assert log.stats().written == 6


def test_a_stored_batch_that_was_not_put_away_is_not_stored_again(open_log, path):
    """When an interrupt comes after a batch was stored and before it was put away, it is not written twice."""
    log = open_log()
    assert log.flush()
    step = log._pipeline._step

    class Pending(list):
        def remove(self, item):
            step._pending = list(self)
            raise SystemExit

    step._pending = Pending()
    log.emit(tool(1))
    assert log.flush()
    assert len(typed(path)) == 1
    assert log.stats().written == 1


def test_a_fault_in_making_an_own_line_leaves_no_gap(open_log, path, monkeypatch, capsys):
    """When making one of the log's own lines fails, its number is used by the next line."""
    log = open_log()
    log.emit(tool(1))
    assert log.flush()
    encoder = log._pipeline._encoder
    real = encoder.encode_internal

    def encode_internal(event, fields):
        monkeypatch.setattr(encoder, "encode_internal", real)
        real(event, fields)
        raise SystemExit

    monkeypatch.setattr(encoder, "encode_internal", encode_internal)
    assert log.close()
    assert [line["seq"] for line in flat(path)] == list(range(1, len(flat(path)) + 1))
    assert kinds(path)[-1] == "system.worker_stopped"
    capsys.readouterr()


def test_a_start_that_cannot_be_encoded_is_encoded_later(open_log, path, monkeypatch):
    """When worker_started cannot be encoded, it is encoded before the first line that follows."""
    log = open_log()
    assert log.flush()
    encoder, real = log._pipeline._encoder, log._pipeline._encoder.encode_internal

    def encode_internal(event, fields):
        monkeypatch.setattr(encoder, "encode_internal", real)
        raise MemoryError

    assert log._pipeline.flush_and_mark_stopped()
    monkeypatch.setattr(encoder, "encode_internal", encode_internal)
    log.emit(tool())
    assert log.flush()
    started, stopped = "system.worker_started", "system.worker_stopped"
    assert [kind for kind in kinds(path) if kind != "system.storage_error"] == [
        started,
        stopped,
        started,
        "chat.tool_called",
    ]


class Unprintable(Exception):
    """An exception without a text."""

    def __str__(self):
        raise ValueError


def test_an_error_without_a_text_is_reported_by_its_type(path, capsys):
    """An exception whose text raises is reported by the name of its type, and the lines are written later."""
    with open_log_on(FailingSink(None, Unprintable()), path) as log:
        assert log.flush()
        log.emit(tool())
    assert of_kind(path, "system.storage_error")[0]["error"] == "Unprintable"
    assert "will keep trying: Unprintable" in capsys.readouterr().err


def test_fields_of_a_start():
    """A worker_started line identifies the process and its machine, and says what was repaired."""
    fields = worker_started_fields("1.2.3", ManualClock(), 17)
    proof = ["boot_id", "pid_namespace"] if os.path.exists("/proc/self/ns/pid") else []
    assert list(fields) == ["version", "pid", "host", "started_at", "repaired_bytes", *proof]
    assert (fields["version"], fields["pid"], fields["repaired_bytes"]) == ("1.2.3", os.getpid(), 17)
    assert fields["host"] == socket.gethostname()
    started = parse_utc(fields["started_at"])
    now = datetime.now(timezone.utc)
    assert now - timedelta(hours=24) < started < now + timedelta(seconds=2)


def test_fields_of_a_start_where_the_process_start_is_unknown(monkeypatch):
    """Where the system does not tell when the process was started, the time is now."""
    monkeypatch.setattr(step, "process_started_at", lambda _: None)
    clock = ManualClock(1_795_362_433_417_696_999)
    assert worker_started_fields("1", clock, 0)["started_at"] == "2026-11-22T15:47:13.417696Z"


def test_a_fault_while_another_thread_recovers(open_log, path):
    """A caller that stores a record while the worker reports a fault does not end the worker."""
    log = open_log()
    assert log.flush()
    step = log._logger.pipeline._step
    report = step._diagnostics.report

    def recovered_meanwhile(text):
        report(text)
        step._retries = None
        step._pending = []

    step._diagnostics.report = recovered_meanwhile
    step.fail(OSError(errno.EIO, "broken"))
    step._diagnostics.report = report
    assert step._failure.event_type == "file"
    step._retry_at = 0.0
    assert log.emit(tool(1))
    assert log.flush()
    assert len(of_kind(path, "system.storage_error")) == 1
