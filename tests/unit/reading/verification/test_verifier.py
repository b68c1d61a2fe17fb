from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys

import pytest
from support.logs import FOREIGN, change, compress, kinds, put, rotated, write_log
from support.tools import tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.logfiles import discovery, log_file
from bamboo_logmetrics.reading import verify
from bamboo_logmetrics.system import FS, host

needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")


# -- verify: all is well -----------------------------------------------------------------


def test_a_closed_log(many):
    """A log that was closed is accounted for, over all of its files."""
    report = verify([many])
    assert report.ok
    assert report.problems == report.notes == ()
    assert (report.lines, report.written, report.own) == (102, 100, 2)
    assert len(report.files) == len(rotated(many)) + 1
    [writer] = report.writers
    assert (writer.first_seq, writer.last_seq, writer.lines, writer.end) == (1, 102, 102, "stopped")
    assert (writer.written, writer.own, writer.missing, writer.gaps) == (100, 2, 0, ())
    assert writer.stopped is not None
    assert (writer.stopped.emitted, writer.stopped.written, dict(writer.stopped.dropped)) == (100, 100, {})
    assert writer.counts_agree is True
    assert (writer.pid, writer.host, writer.version) == (os.getpid(), host(), blm.__version__)


def test_several_writers(path):
    """Each opening of a log is a writer of its own, in the order of their first lines."""
    write_log(path, 3)
    write_log(path, 4)
    report = verify(path)
    assert [writer.written for writer in report.writers] == [3, 4]
    assert report.ok


def test_writers_whose_lines_alternate(path):
    """Lines of several processes may stand in any order within one file."""
    first = write_log(path, 5)
    path.unlink()
    second = write_log(path, 5)
    put(path, [line for pair in zip(first, second, strict=True) for line in pair])
    assert verify(path).ok


def test_drops_that_are_announced(path):
    """Events that were dropped are accounted for when the log says so."""
    log = blm.open_log(path, queue_size=5)
    for number in range(5_000):
        log.emit(tool(number))
    log.close()
    report = verify(path)
    assert report.ok
    assert report.written + report.dropped["queue_full"] == 5_000
    assert dict(report.writers[0].dropped) == dict(log.stats().dropped)
    assert report.writers[0].counts_agree is True


def test_refused_after_close_need_no_line(path):
    """Drops of reason ``closed`` are in worker_stopped alone, since no line comes after it."""
    lines = write_log(path, 3)
    put(path, [*lines[:-1], change(lines[-1], emitted=5, dropped={"closed": 2})])
    assert verify(path).ok


def test_what_the_application_emits_is_not_the_logs_own(path):
    """System events of the application and plain lines of such names are the user's: they drop and stop nothing."""
    log = blm.open_log(path)
    log.emit(blm.MetricsDropped(count=7, reason="queue_full"))
    log.emit(blm.WorkerStopped())
    log.info("system.worker_stopped", emitted=1, written=1)
    log.info("system.metrics_dropped", count=3, reason="queue_full")
    log.flush()
    report = verify(path)
    assert (report.written, report.own, dict(report.dropped)) == (4, 1, {})
    assert report.writers[0].end == "running"
    log.close()
    assert verify(path).ok


def test_an_inner_stop(path):
    """A worker that stopped and was replaced is not the end: the last line decides."""
    lines = write_log(path, 4)
    inner = [change(lines[-1], seq=6), change(lines[0], seq=7), change(lines[1], seq=8)]
    put(path, [*lines[:5], *inner, change(lines[-1], seq=9, emitted=5, written=5)])
    report = verify(path)
    assert report.ok
    assert report.writers[0].own == 4


def test_a_storage_error_is_the_logs_own(path):
    """A storage error is a line of the log itself, and ends nothing."""
    lines = write_log(path, 1)
    error = change(lines[0], event="system.storage_error", seq=3, error="disk full", event_type="file")
    put(path, [*lines[:2], error, change(lines[-1], seq=4)])
    report = verify(path)
    assert report.ok
    assert (report.written, report.own) == (1, 3)


def test_repaired_bytes(path):
    """The bytes that a writer cut away at opening are in its report."""
    write_log(path, 1)
    path.write_bytes(path.read_bytes() + b'{"time')
    write_log(path, 1)
    report = verify(path)
    assert [writer.repaired_bytes for writer in report.writers] == [0, 6]


# -- verify: missing lines ---------------------------------------------------------------


def test_a_gap(path):
    """Lines that are not there are loss, and named."""
    lines = write_log(path)
    put(path, [line for number, line in enumerate(lines, 1) if number not in {3, 6, 7}])
    report = verify(path)
    assert not report.ok
    [writer] = report.writers
    assert (writer.gaps, writer.missing, writer.ok) == (((3, 3), (6, 7)), 3, False)
    assert writer.counts_agree is False
    assert kinds(report.problems) == ["gap", "counts"]
    assert "missing lines: 3, 6-7 (3 in all)" in str(report.problems[0])


def test_many_gaps_are_shortened(path):
    """A finding names the first few gaps; the report has them all."""
    lines = write_log(path, 40)
    put(path, lines[::2] + lines[-1:])
    report = verify(path)
    assert len(report.writers[0].gaps) == 20
    assert "and 15 more gaps (20 in all)" in report.problems[0].text


def test_a_line_that_is_there_twice(path):
    """No number may stand twice; the second is a repeat, with its place, and counts as nothing else."""
    lines = write_log(path)
    put(path, [*lines[:5], lines[4], lines[1], *lines[5:]])
    report = verify(path)
    assert kinds(report.problems) == ["repeat", "repeat"]
    assert report.problems[0].line == 6
    [writer] = report.writers
    assert (writer.repeats, writer.written, writer.lines, writer.counts_agree) == (2, 10, 14, True)


def test_only_the_first_of_many_findings_are_shown(path):
    """A log that is there twice does not give a finding for each line."""
    lines = write_log(path, 50)
    put(path, lines + lines)
    report = verify(path)
    assert report.writers[0].repeats == 52
    assert len(report.problems) == 6
    assert report.problems[-1].text == "and 47 more of this kind: repeat"


def test_any_order(path):
    """Lines that are out of order are all there, whatever the order is."""
    lines = write_log(path, 6)
    put(path, [lines[number] for number in (5, 1, 3, 7, 0, 6, 2, 4)])
    report = verify(path)
    assert report.ok
    assert (report.writers[0].first_seq, report.writers[0].last_seq) == (1, 8)


def test_removed_by_retention(many):
    """A beginning that retention removed is a note, and a problem only where completeness is asked for."""
    for file in rotated(many)[:2]:
        file.unlink()
    report = verify(many)
    [writer] = report.writers
    assert report.ok
    assert writer.ok
    assert writer.removed_by_retention
    assert (writer.first_seq > 1, writer.gaps, writer.counts_agree) == (True, (), None)
    assert kinds(report.notes) == ["removed_by_retention"]
    asked = verify(many, complete=True)
    assert not asked.ok
    assert not asked.writers[0].ok
    assert kinds(asked.problems) == ["removed_by_retention"]


def test_a_beginning_that_is_lost(many):
    """A beginning is lost, not removed, where an older file than its first line's is there."""
    oldest, second = rotated(many)[:2]
    foreign = write_log(many.with_name("b.jsonl"), 1)
    missing = (oldest.read_bytes() + second.read_bytes()).count(b"\n")
    put(oldest, foreign)
    second.unlink()
    report = verify(many)
    assert not report.ok
    assert report.writers[1].gaps == ((1, missing),)
    assert kinds(report.problems) == ["missing_beginning"]
    assert report.writers[1].counts_agree is None


def test_a_first_line_that_comes_late(many):
    """The first line is that with the lowest number, wherever it stands: here not in the oldest file."""
    oldest, second = rotated(many)[:2]
    [*first, last] = oldest.read_bytes().splitlines()
    put(oldest, second.read_bytes().splitlines())
    put(second, [last])
    report = verify(many)
    assert report.writers[0].gaps == ((1, len(first)),)
    assert kinds(report.problems) == ["missing_beginning"]


def test_counts_that_disagree(path):
    """The counts in worker_stopped must equal the sums over the lines."""
    lines = write_log(path, 5)
    put(path, [*lines[:-1], change(lines[-1], emitted=9, written=6, dropped={"queue_full": 2})])
    report = verify(path)
    assert kinds(report.problems) == ["counts"] * 3
    assert report.writers[0].counts_agree is False
    assert "6 lines written, the files have 5" in report.problems[0].text


# -- verify: how a writer ended ----------------------------------------------------------


def test_running(path):
    """A log that is open is running, and that is no problem."""
    with blm.open_log(path) as log:
        log.emit(tool())
        log.flush()
        report = verify(path)
    assert report.ok
    assert report.writers[0].end == "running"
    assert report.writers[0].stopped is None
    assert kinds(report.notes) == ["running"]


def test_a_killed_process(path):
    """A process that was killed has an unclean end, which is a problem."""
    code = "import sys, os, bamboo_logmetrics as blm; log = blm.open_log(sys.argv[1]); log.info('x'); log.flush(); "
    command = [sys.executable, "-c", code + "os.kill(os.getpid(), 9)", str(path)]
    done = subprocess.run(command, check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert done.returncode == -signal.SIGKILL
    report = verify(path)
    assert report.writers[0].end == "unclean end"
    assert not report.writers[0].ok
    assert kinds(report.problems) == ["unclean_end"]


@pytest.mark.parametrize(
    "facts",
    [
        {"started_at": "2001-01-01T00:00:00.000000Z"},
        {"host": "another.host"},
        {"started_at": "soon"},
        {"started_at": "9999-12-31T23:59:59.000000Z"},
    ],
    ids=["pid used again", "another host", "no time", "end of times"],
)
def test_a_process_that_is_not_the_writers(path, facts):
    """A living process is the writer's only with the same host and start time."""
    lines = write_log(path)
    put(path, [change(lines[0], **facts), *lines[1:-1]])
    assert verify(path).writers[0].end == "unclean end"


def test_stopped_in_the_middle(path, dead_pid):
    """A worker_stopped that is not the last line is no end."""
    lines = write_log(path, 1)
    put(path, [change(lines[0], pid=dead_pid), *lines[1:], change(lines[1], seq=4)])
    report = verify(path)
    assert report.writers[0].end == "unclean end"
    assert report.writers[0].stopped is None


def test_the_last_of_two_stops_counts(path):
    """Of two worker_stopped lines, that with the higher number is the end, in whatever order they stand."""
    lines = write_log(path, 1)
    put(path, [*lines[:2], change(lines[2], seq=4), change(lines[2], written=0)])
    report = verify(path)
    assert report.ok
    assert report.writers[0].end == "stopped"


def test_a_pid_that_is_not_there(path, dead_pid):
    """A writer whose process has ended without a last line has an unclean end."""
    lines = write_log(path)
    put(path, [change(lines[0], pid=dead_pid), *lines[1:-1]])
    assert verify(path).writers[0].end == "unclean end"


def retained(path):
    """Return an open log whose worker_started was removed by retention."""
    log = blm.open_log(path, max_bytes=1_000, backup_count=1, on_full="block")
    for number in range(60):
        log.emit(tool(number))
        log.flush()
    while any(isinstance(line.event, blm.WorkerStarted) for line in blm.read(path)):
        log.flush()  # retention works beside the worker
    return log


@needs_proc
def test_running_without_its_first_line(path):
    """A writer whose worker_started retention removed is running while a process has its log open."""
    log = retained(path)
    report = verify(path)
    log.close()
    assert report.ok
    assert report.writers[0].end == "running"
    assert report.writers[0].pid is None
    assert verify(path).writers[0].end == "stopped"


@needs_proc
def test_not_running_without_its_first_line(path):
    """Without its worker_started and with nobody at its log, a writer's end is unclean."""
    retained(path).close()
    last = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(last[:-1]))
    report = verify(path)
    assert report.writers[0].end == "unclean end"
    assert "its worker_started is missing" in report.problems[-1].text


@needs_proc
def test_another_process_at_the_log(path):
    """A process that is known to be another writer's does not make a writer running."""
    lines = write_log(path)
    put(path, lines[1:-1])
    with blm.open_log(path) as log:
        log.flush()
        report = verify(path)
    assert [writer.end for writer in report.writers] == ["unclean end", "running"]


def test_no_lock_file(path):
    """A log that was copied to a place where nobody logs has no running writer."""
    lines = write_log(path)
    put(path, lines[1:-1])
    path.with_name(".a.jsonl.lock").unlink()
    assert verify(path).writers[0].end == "unclean end"


def test_a_process_that_ends_while_its_log_is_read(path, tmp_path):
    """A log is read again when it has grown since, and its writer has ended: no unclean end is reported."""
    code = (
        "import sys, bamboo_logmetrics as blm\n"
        "with blm.open_log(sys.argv[1]) as log:\n"
        "    log.info('x'); log.flush(); print('ready', flush=True); sys.stdin.readline()\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout.readline() == b"ready\n"

        def end(done, total):
            if done == total and process.returncode is None:  # its log has been read, and the other one
                process.communicate(b"\n", timeout=30)

        write_log(tmp_path / "other.jsonl")
        report = verify([path, tmp_path / "other.jsonl"], on_progress=end)
    assert report.ok
    assert report.writers[0].end == "stopped"


def test_writers_that_die_all_the_time(path, tmp_path, dead_pid):
    """A log that gets another dead writer at each reading is read five times; the writers seen are reported."""
    [started, *_] = write_log(path, 0)

    def die(done, total):
        if done == total:
            writer = f"{len(deaths):020x}"
            deaths.append(writer)
            with path.open("ab") as file:
                file.write(change(started, writer=writer, pid=dead_pid) + b"\n")

    deaths = []
    die(0, 0)
    write_log(tmp_path / "other.jsonl")
    report = verify([path, tmp_path / "other.jsonl"], on_progress=die)
    assert len(deaths) == 6
    assert kinds(report.problems) == ["unclean_end"] * 5


@pytest.mark.usefixtures("one_at_a_time")
def test_a_file_removed_while_the_log_is_read(many):
    """When retention removes a file that was not read yet, the reading begins anew."""

    def remove(*_):
        for file in rotated(many)[:2]:
            file.unlink()
        removals.append(1)

    removals = []
    report = verify(many, on_progress=lambda *_: removals or remove())
    assert report.ok
    assert report.writers[0].removed_by_retention


@pytest.mark.usefixtures("one_at_a_time")
def test_files_that_are_removed_all_the_time(many):
    """A log that loses a file at each reading is read as far as it is there, in the end."""
    report = verify(many, on_progress=lambda *_: [file.unlink() for file in rotated(many)[1:2]])
    assert not report.ok
    assert "gap" in kinds(report.problems)


def test_progress(many):
    """Progress goes up to all bytes of all files; of a compressed one, to those of the compressed."""
    compress(rotated(many)[0])
    calls = []
    verify(many, on_progress=lambda done, total: calls.append((done, total)))
    size = sum(file.stat().st_size for file in [many, *rotated(many)])
    assert calls[-1] == (size, size)
    assert calls == sorted(calls)


# -- verify: broken, foreign, damaged ----------------------------------------------------

BROKEN = {
    "half": b'{"timestamp":"2026',
    "empty": b"",
    "text": b"Traceback (most recent call last):",
    "nul": b"\0" * 40,
    "NaN": b'{"a":NaN}',
    "two": b'{"a":1}{"b":2}',
    "utf-8": b'{"a":"\xff"}',
    "deep": b"[" * 200_000,
}


@pytest.mark.parametrize("line", BROKEN.values(), ids=BROKEN)
def test_a_line_that_is_not_json(path, line):
    """Every physical line has to be strict JSON; one that is not is a problem with its place."""
    lines = write_log(path)
    put(path, [*lines[:2], line, *lines[2:]])
    report = verify(path)
    assert not report.ok
    assert (report.broken_lines, report.lines) == (1, 13)
    assert kinds(report.problems) == ["broken_line"]
    assert (report.problems[0].file, report.problems[0].line) == (str(path), 3)
    assert report.writers[0].ok


def test_bad_utf8_in_a_value_of_ours(path):
    """A line of ours with bytes that are no UTF-8 is not JSON, though its numbers could be read."""
    lines = write_log(path)
    put(path, [*lines[:3], lines[3].replace(b'"t"', b'"\xff"'), change(lines[4], name="é"), *lines[5:]])
    report = verify(path)
    assert "broken_line" in kinds(report.problems)
    assert report.writers[0].gaps == ((4, 4),)


def test_text_beyond_ascii(path):
    """Lines in any language are fine."""
    with blm.open_log(path) as log:
        log.info("größer, 大きい", note="é\u2028")
    assert verify(path).ok


def test_a_line_without_end(path, monkeypatch):
    """A line that is longer than any of ours is broken, and does not fill the memory."""
    lines = write_log(path)
    monkeypatch.setattr(log_file, "LONGEST_LINE", 3_000_000)
    huge = b'{"a":"' + b"x" * 6_000_000 + b'"}'
    put(path, [*lines[:2], huge, *lines[2:]])
    report = verify(path)
    assert kinds(report.problems) == ["broken_line"]
    assert report.writers[0].ok
    opened = discovery.open_files(FS(), str(path), skip_removed=False)
    assert max(len(block) for file in opened for block in file.blocks()) < 5_500_000


def test_a_cut_last_line(path, dead_pid):
    """A last line without its newline is broken where no writer runs that could finish it."""
    lines = write_log(path)
    path.write_bytes(path.read_bytes() + lines[2][:30])
    report = verify(path)
    assert kinds(report.problems) == ["broken_line"]
    assert (report.broken_lines, report.problems[0].line) == (1, 13)
    assert "no writer is running" in report.problems[0].text


def test_a_last_line_that_is_being_written(path):
    """A last line without its newline is no problem while a writer runs."""
    with blm.open_log(path) as log:
        log.flush()
        with path.open("ab") as file:
            file.write(b'{"time')
        report = verify(path)
    assert report.ok
    assert kinds(report.notes) == ["being_written", "running"]


def test_a_cut_rotated_file(many):
    """A rotated file that does not end in a newline is broken, also while a writer runs."""
    first = rotated(many)[0]
    first.write_bytes(first.read_bytes()[:-1])
    with blm.open_log(many) as log:
        log.flush()
        report = verify(many)
    assert "broken_line" in kinds(report.problems)
    assert report.broken_lines == 1


@pytest.mark.parametrize("line", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_line(path, line):
    """JSON that is not ours is counted and shown, and is no problem."""
    lines = write_log(path)
    put(path, [*lines[:2], line, *lines[2:]])
    report = verify(path)
    assert report.ok
    assert report.foreign_lines == 1
    assert kinds(report.notes) == ["foreign_line"]
    assert report.notes[0].line == 3


def test_a_newer_version(path):
    """A line of a later format cannot be accounted for, and is a problem that names the remedy."""
    lines = write_log(path)
    put(path, [*lines, change(lines[1], v=2, seq=13)])
    report = verify(path)
    assert kinds(report.problems) == ["newer_version"]
    assert "update this package" in report.problems[0].text


def test_an_own_line_with_a_wrong_value(path):
    """A line of the log itself whose numbers are none is broken."""
    lines = write_log(path)
    put(path, [change(lines[0], pid="many"), *lines[1:]])
    report = verify(path)
    assert kinds(report.problems) == ["broken_line"]
    assert report.writers[0].own == 2


@pytest.mark.parametrize("content", [b"", b'{"a":1}\n'], ids=["empty", "foreign"])
def test_a_file_without_a_line_of_ours(path, content):
    """A file that holds nothing of ours is not accounted for."""
    path.write_bytes(content)
    report = verify(path)
    assert not report.ok
    assert kinds(report.problems) == ["no_lines"]
    assert report.writers == ()


def test_lines_of_a_wrong_writer_are_none_of_ours(path):
    """A file whose lines only look like ours holds no line of ours."""
    put(path, [FOREIGN["other writer"]])
    assert kinds(verify(path).problems) == ["no_lines"]


@pytest.mark.parametrize("cut", [0.5, 0.99])
def test_a_compressed_file_that_is_cut_off(many, cut):
    """A compressed file that ends too early is a problem, and so are the lines missing with it."""
    first = compress(rotated(many)[0])
    first.write_bytes(first.read_bytes()[: int(first.stat().st_size * cut)])
    report = verify(many)
    assert not report.ok
    assert report.problems[0].kind == "damaged_file"
    assert report.problems[0].file == str(first)


def test_a_damaged_compressed_file(many):
    """A compressed file that cannot be read is a problem, not a crash."""
    compress(rotated(many)[1]).write_bytes(b"this is no gzip file")
    report = verify(many)
    assert kinds(report.problems) == ["damaged_file", "gap", "counts"]


def test_a_compressed_log_of_another_name(path, tmp_path):
    """A log that somebody compressed and renamed is read by its suffix."""
    write_log(path)
    moved = tmp_path / "old.jsonl.gz"
    moved.write_bytes(gzip.compress(path.read_bytes()))
    assert verify(moved).ok


# -- verify: paths -----------------------------------------------------------------------


def test_paths_are_read_once(many):
    """A log that is named several times, by itself, by rotated files and by a pattern, is read once."""
    report = verify([many, str(many), rotated(many)[0], f"{many}*"])
    assert report.ok
    assert report.lines == 102


def test_patterns(tmp_path):
    """A pattern names all logs that match."""
    for name in ("a.jsonl", "b.jsonl"):
        write_log(tmp_path / name, 2)
    (tmp_path / "c.jsonl").mkdir()
    report = verify(str(tmp_path / "*.jsonl"))
    assert report.ok
    assert [os.path.basename(file) for file in report.files] == ["a.jsonl", "b.jsonl"]


def test_a_name_that_looks_like_a_pattern(tmp_path):
    """A file whose name holds brackets is that file."""
    write_log(tmp_path / "a[1].jsonl", 2)
    assert verify(tmp_path / "a[1].jsonl").lines == 4


def test_a_pattern_without_a_match(tmp_path):
    """A pattern that names nothing is an error, not an empty success."""
    with pytest.raises(FileNotFoundError, match="no file matches"):
        verify(tmp_path / "*.jsonl")


def test_no_path_at_all():
    """No path is an error, not an empty success."""
    with pytest.raises(ValueError, match="at least one"):
        verify([])


def test_a_writer_over_two_logs(many, tmp_path):
    """A file that was renamed by somebody else still counts, when it is named, too."""
    oldest = rotated(many)[0]
    oldest.rename(tmp_path / "moved.jsonl")
    assert verify([many, tmp_path / "moved.jsonl"]).ok
