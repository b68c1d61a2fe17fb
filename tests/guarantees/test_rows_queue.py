"""Rows 1 to 5 and 9 of the fault matrix: a full queue, and the end of a log."""

from __future__ import annotations

import threading
import tracemalloc
from itertools import chain, compress

import pytest
from support.tools import balanced, dropped, flat, of_kind, tool, typed

import bamboo_logmetrics as blm
from bamboo_logmetrics.testing import GateSink, ManualClock, open_log_on

CAPACITY, EXTRA = 50, 20


@pytest.fixture
def gated(path):
    """Open a log whose worker stands before a shut gate with the line of one event."""
    logs = []

    def opening(**options):
        sink = GateSink()
        log = open_log_on(sink, path, **options)
        logs.append((sink, log, options.get("clock")))
        assert sink.wait_for_writer()
        sink.open_gate()
        assert log.flush()
        assert "clock" not in options or options["clock"].until_waiting()  # so that the event wakes it
        sink.shut_gate()
        assert log.emit(tool("held"))
        assert sink.wait_for_writer()
        return sink, log

    yield opening
    for sink, log, clock in logs:
        sink.open_gate()
        assert clock is None or log.flush()  # a clock that stands would let close wait for good
        log.close()


def emit(log, names, how=None):
    """Emit one event for each name; return the answers. Every snapshot on the way adds up."""
    answers = []
    for name in names:
        answers.append(how(name) if how else log.emit(tool(name)))
        assert balanced(log.stats())
    return answers


def together(*works):
    """Run each in a thread of its own, all starting at once; return their results in order."""
    barrier, results = threading.Barrier(len(works)), [None] * len(works)

    def run(index, work):
        barrier.wait()
        results[index] = work()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def in_thread(work):
    """Start a call in a thread; return a function that waits for its answer."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(work()))
    thread.start()

    def answer():
        thread.join()
        return answers[0]

    return answer


def ids(path):
    return [line["tool_call_id"][1:] for line in typed(path)]


def names(count, prefix=""):
    return [f"{prefix}{n}" for n in range(count)]


def assert_sound(path):
    assert blm.verify([path], complete=True).ok
    assert [line["seq"] for line in flat(path)] == list(range(1, len(flat(path)) + 1))


@pytest.mark.parametrize(
    ("on_full", "answers", "kept"),
    [
        ("drop_newest", [True] * CAPACITY + [False] * EXTRA, names(CAPACITY)),
        ("drop_oldest", [True] * (CAPACITY + EXTRA), names(CAPACITY + EXTRA)[EXTRA:]),
    ],
)
def test_row_01_overflow(gated, path, on_full, answers, kept):
    """Of capacity + K events behind one in flight, exactly K are dropped, and one MetricsDropped says so."""
    sink, log = gated(queue_size=CAPACITY, on_full=on_full)
    assert emit(log, names(CAPACITY + EXTRA)) == answers
    assert log.stats().dropped == {"queue_full": EXTRA}
    sink.open_gate()
    assert log.close()
    assert ids(path) == ["held", *kept]
    (said,) = of_kind(path, "system.metrics_dropped")
    assert (said["count"], said["reason"], said["total"]) == (EXTRA, "queue_full", EXTRA)
    assert_sound(path)


def test_row_01_plain_lines_give_way(gated, path):
    """Plain lines are refused in the queue's last tenth, which typed events still fill; each has its own count."""
    sink, log = gated(queue_size=CAPACITY)
    emit(log, names(CAPACITY), log.info)
    answers = emit(log, names(EXTRA))
    assert answers == [True] * (CAPACITY // 10) + [False] * (EXTRA - CAPACITY // 10)
    sink.open_gate()
    assert log.close()
    assert len([line for line in flat(path) if line.get("plain")]) == CAPACITY - CAPACITY // 10
    assert ids(path) == ["held", *names(CAPACITY // 10)]
    assert dropped(path) == {"plain_gave_way": CAPACITY // 10, "queue_full": EXTRA - CAPACITY // 10}
    assert_sound(path)


LONG = 1_000_000  # characters
USAGE = blm.TokenUsage(prompt_tokens=1, completion_tokens=1, total_tokens=2)


def log_exception(log, text):
    try:
        raise ValueError(text)
    except ValueError:
        log.exception("failed")


@pytest.mark.parametrize(
    "call",
    [
        lambda log, text: log.info(text),
        lambda log, text: log.info("answer", body=text),
        lambda log, text: log.info("answers", parts=[text, {"text": text}]),
        log_exception,
        lambda log, text: log.emit(tool(), body=text),
        lambda log, text: log.bind(body=text).emit(tool()),
        lambda log, text: log.emit(tool(tool_name=text)),
        lambda log, text: log.emit(
            blm.RoundCompleted(round_id="r", session_id="s", status="error", usage=USAGE, latency_ms=1, error=text)
        ),
    ],
    ids=["text", "value", "nested", "exception", "event's value", "context", "id", "error"],
)
def test_row_01_overflow_by_bytes(gated, path, call):
    """500 texts of 1 MB at a disk that stands still take no more memory than queue_bytes, and all are accounted for."""
    sink, log = gated(queue_bytes=16 * 2**20)
    tracemalloc.start()
    try:
        for number in range(500):
            call(log, chr(97 + number % 26) * LONG)
            assert balanced(log.stats())
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    stats = log.stats()
    assert used < 17 * 2**20
    assert 13 * 2**20 < stats.queued_bytes <= 16 * 2**20
    assert stats.emitted == 501
    assert stats.dropped_total > 50
    assert stats.dropped.keys() <= {"queue_full", "plain_gave_way"}
    sink.open_gate()
    assert log.flush(30)
    assert log.stats().queued_bytes == 0
    log.close()
    assert blm.verify(str(path)).ok


@pytest.mark.parametrize("on_full", ["drop_newest", "drop_oldest", "block"])
def test_row_02_overflow_from_eight_threads(gated, path, on_full):
    """Behind a shut gate exactly the capacity is let in from eight threads; each thread's answers are the file's."""
    sink, log = gated(queue_size=CAPACITY, on_full=on_full, block_timeout=0)
    threads = [names(200, f"{letter}-") for letter in "abcdefgh"]
    answers = together(*(lambda own=own: emit(log, own) for own in threads))
    reason = "block_timeout" if on_full == "block" else "queue_full"
    assert log.stats().dropped == {reason: 1600 - CAPACITY}
    sink.open_gate()
    assert log.close()
    found = ids(path)[1:]
    assert len(found) == len(set(found)) == CAPACITY
    if on_full == "drop_oldest":
        assert answers == [[True] * 200] * 8
    else:
        accepted = list(compress(chain(*threads), chain(*answers)))
        assert sorted(found) == sorted(accepted)
    assert dropped(path) == {reason: 1600 - CAPACITY}
    assert_sound(path)


@pytest.mark.parametrize("on_full", ["drop_newest", "drop_oldest"])
def test_row_02_overflow_while_the_worker_writes(path, on_full):
    """While eight threads overflow a queue that is being emptied, written and dropped add up to what was emitted."""
    log = blm.open_log(path, queue_size=20, on_full=on_full, flush_interval=0.001)
    threads = [names(500, f"{letter}-") for letter in "abcdefgh"]
    answers = together(*(lambda own=own: emit(log, own) for own in threads))
    assert log.close()
    found = ids(path)
    assert len(found) == len(set(found))
    assert len(found) + sum(dropped(path).values()) == 4000
    if on_full == "drop_newest":
        assert len(found) == sum(said.count(True) for said in answers)
    assert dropped(path).keys() <= {"queue_full"}
    assert_sound(path)


def test_row_03_flood_then_silence(gated, path):
    """Drops that no later call follows are announced when a second is over since the last announcement."""
    clock = ManualClock()
    sink, log = gated(queue_size=CAPACITY, clock=clock)
    flood(sink, log)
    assert dropped(path) == {"queue_full": EXTRA}  # the first at once
    sink.shut_gate()
    log.emit(tool("held"))
    while not sink.wait_for_writer(0.01):
        clock.advance(0.002)  # to the end of the worker's pause
    flood(sink, log)
    assert dropped(path) == {"queue_full": EXTRA}  # the next are not due
    assert clock.until_waiting()
    clock.advance(1)
    assert sink.wait_for_writer()  # the worker, of its own accord
    assert clock.until_waiting()
    assert dropped(path) == log.stats().dropped == {"queue_full": 2 * EXTRA}
    assert log.close()
    assert dropped(path) == {"queue_full": 2 * EXTRA}
    assert_sound(path)


def flood(sink, log):
    """Overflow the queue behind a shut gate, then let all of it through."""
    emit(log, names(CAPACITY + EXTRA))
    sink.open_gate()
    assert log.flush()
    while sink.wait_for_writer(0):
        pass


@pytest.mark.parametrize("ending", ["time", "room"])
def test_row_04_callers_that_wait_for_room(gated, path, ending):
    """A caller of a full queue waits; when its time is up it is refused and counted, when there is room it is let in."""
    clock = ManualClock()
    sink, log = gated(queue_size=CAPACITY, on_full="block", block_timeout=10, clock=clock)
    assert all(emit(log, names(CAPACITY)))
    waiters = [in_thread(lambda n=n: log.emit(tool(f"late-{n}"))) for n in range(3)]
    assert clock.until_waiting(3)
    clock.advance(9.5)
    assert clock.until_waiting(3)
    assert log.stats().emitted == CAPACITY + 1  # none of the three is decided
    if ending == "time":
        clock.advance(0.5)
    else:
        sink.open_gate()
    answers = [answer() for answer in waiters]
    assert answers == [ending == "room"] * 3
    assert balanced(log.stats())
    sink.open_gate()
    assert log.close()
    late = sorted(ids(path)[CAPACITY + 1 :])
    assert late == (names(3, "late-") if ending == "room" else [])
    assert dropped(path) == ({} if ending == "room" else {"block_timeout": 3})
    assert_sound(path)


@pytest.mark.parametrize("on_full", ["drop_newest", "block"])
def test_row_05_close_on_a_full_queue(gated, path, on_full):
    """A close that comes while the queue is full and the disk hangs writes all once the disk goes on."""
    sink, log = gated(queue_size=CAPACITY, on_full=on_full)
    assert all(emit(log, names(CAPACITY)))
    closed = in_thread(lambda: log.close(60))
    sink.open_gate()
    assert closed()
    assert ids(path) == ["held", *names(CAPACITY)]
    assert balanced(log.stats())
    assert log.stats().dropped == {}
    assert_sound(path)


def test_row_05_close_runs_out_of_time(gated, path, capsys):
    """When close's time is up, what was never taken is shutdown and the batch in hand stays queued, then is written."""
    clock = ManualClock()
    sink, log = gated(queue_size=CAPACITY, on_full="block", block_timeout=1000, clock=clock)
    assert all(emit(log, names(CAPACITY)))
    blocked = in_thread(lambda: log.emit(tool("blocked")))
    assert clock.until_waiting(1)
    closed = in_thread(lambda: log.close(10))
    assert not blocked()  # it would wait for room that no longer comes
    assert clock.until_waiting(1)
    clock.advance(10)
    assert not closed()
    stats = log.stats()
    assert balanced(stats)
    assert (stats.dropped, stats.queued) == ({"shutdown": CAPACITY, "closed": 1}, 1)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"emitted {CAPACITY + 2}, written 0" in said
    sink.open_gate()
    for thread in threading.enumerate():
        if thread.name == "bamboo-logmetrics":
            thread.join()
    assert ids(path) == ["held"]
    assert log.stats().written == 1
    assert log.stats().queued == 0
    assert balanced(log.stats())
    assert not log.close()


@pytest.mark.parametrize("durability", ["queue", "write", "fsync"])
def test_row_09_emit_after_close(path, durability):
    """After close, every emit is refused and counted as closed, close and flush come back, the file stays as it is."""
    log = blm.open_log(path, durability=durability)
    assert log.emit(tool("in time"))
    assert log.close()
    before = path.read_bytes()
    assert emit(log, names(3)) == [False] * 3
    log.info("late")
    assert log.close()
    assert log.flush()
    assert (log.stats().emitted, log.stats().dropped) == (5, {"closed": 4})
    assert path.read_bytes() == before
    assert ids(path) == ["in time"]
    assert_sound(path)


@pytest.mark.parametrize("durability", ["queue", "write", "fsync"])
def test_row_09_eight_closes_at_once(path, durability):
    """Eight closes at once beside four threads that emit all answer True; what was not refused is in the file."""
    log = blm.open_log(path, durability=durability)
    sent = {letter: [] for letter in "abcd"}

    def emit_until_refused(letter):
        answers = sent[letter]
        while not answers or answers[-1]:
            answers.append(log.emit(tool(f"{letter}-{len(answers)}")))
            assert balanced(log.stats())

    works = [lambda letter=letter: emit_until_refused(letter) for letter in sent]
    assert together(*works, *[log.close] * 8) == [None] * 4 + [True] * 8
    assert log.close()
    assert log.stats().dropped == {"closed": 4}
    accepted = [f"{letter}-{n}" for letter, answers in sent.items() for n, ok in enumerate(answers) if ok]
    assert sorted(ids(path)) == sorted(accepted)
    assert [line["event"] for line in flat(path)].count("system.worker_stopped") == 1
    assert flat(path)[-1]["event"] == "system.worker_stopped"
    assert_sound(path)
