"""The promises of the whole, on real files, with counts that never come from the log's own counters."""

from __future__ import annotations

import collections
import multiprocessing
import threading

import pytest
from support.counting import write_many
from support.tools import balanced, dropped, flat, physical, tool, typed

import bamboo_logmetrics as blm
from bamboo_logmetrics.testing import GateSink, open_log_on


@pytest.mark.timeout(300)
def test_eight_threads_into_a_queue_of_a_thousand(path):
    """8 threads x 50,000 events into a queue of 1,000 with the sink shut throughout: calls, lines and drops add up."""
    gate = GateSink()
    log = open_log_on(gate, path, queue_size=1000)
    barrier, answers = threading.Barrier(8), []

    def emit(number):
        mine = log.bind(thread=number)
        event = tool(number)
        barrier.wait()
        counts = collections.Counter(mine.emit(event) for _ in range(50_000))
        answers.append(counts)

    threads = [threading.Thread(target=emit, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert gate.stored == 0
    gate.open_gate()
    assert log.close(60)

    calls = sum(counts.total() for counts in answers)
    accepted = sum(counts[True] for counts in answers)
    assert calls == 400_000
    assert len(typed(path)) == accepted
    assert accepted + sum(dropped(path).values()) == calls
    stats = log.stats()
    assert balanced(stats)
    assert (stats.emitted, stats.written, dict(stats.dropped)) == (calls, accepted, dropped(path))
    report = blm.verify([path])
    assert report.ok
    (writer,) = report.writers
    assert (writer.written, dict(writer.dropped)) == (accepted, dropped(path))


@pytest.mark.timeout(300)
def test_four_processes_on_one_rotating_file(path):
    """4 processes x 20,000 events with rotation at 1 MB and compression: 80,000 events, none twice, every line JSON."""
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(4)
    children = [context.Process(target=write_many, args=(path, name, start)) for name in "abcd"]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 4
    seen = collections.Counter(line["tool_call_id"] for line in typed(path))
    assert len(seen) == 80_000
    assert set(seen.values()) == {1}
    assert len({(line["writer"], line["seq"]) for line in flat(path)}) == len(physical(path))
    assert len(list(path.parent.glob("*.gz"))) > 10
    report = blm.verify([path])
    assert report.ok
    assert len(report.writers) == 4


def test_the_counters_are_those_of_the_file(path):
    """Lines in the file = last seq = written + own, for every writer."""
    with blm.open_log(path, max_bytes=5000) as log:
        for n in range(200):
            log.emit(tool(n))
            log.info("plain", n=n)
    stats, lines = log.stats(), flat(path)
    assert len(lines) == lines[-1]["seq"] == stats.written + stats.own
    assert stats.written == 400
