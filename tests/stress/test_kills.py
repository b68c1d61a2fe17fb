"""A hundred kills at random moments, for each durability, of processes that append to the same rotating file."""

from __future__ import annotations

import gc
import json
import os
import random
import signal
from itertools import count

import pytest
from click.testing import CliRunner
from support.crashpoints import (
    ChildReport,
    CrashFS,
    exit_code,
    fork,
    join_workers,
    leftovers,
    listen,
    numbers,
    program,
    rotated,
    send,
    torn,
    whole_lines,
)
from support.tools import tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.cli.commands import cli

KILLS = 100  # at random moments
IN_A_WRITE = 20  # more, among them
SEED = 20_260_101
MOST_ACKNOWLEDGED = {"queue": 12, "write": 120, "fsync": 40}  # before a kill; for the queue, flushes
MOST_SPINS = 30_000  # after that; about a millisecond
MOST_AT_ONCE = 60  # events before a flush, for the queue
OPTIONS = {"max_bytes": 20_000, "compress": "gzip", "block_timeout": 60.0}


def emit_until_killed(path, durability, seed, point, tell):
    """Emit for ever, and say what was acknowledged: for the queue, what was flushed."""
    chance = random.Random(seed)
    log = blm.open_log(path, durability=durability, fs=CrashFS(point), **OPTIONS)
    send(tell, log.stats().writer)
    numbered = count(1)
    while True:
        events = [tool(next(numbered)) for _ in range(chance.randint(1, MOST_AT_ONCE) if durability == "queue" else 1)]
        send(tell, "emitting", events[-1].tool_call_id[1:])
        accepted = [log.emit(event) for event in events]
        if all(accepted) and (durability != "queue" or log.flush()):
            send(tell, "acknowledged", events[-1].tool_call_id[1:])


def killed_in_a_write(path, durability, chance):
    """Have a process die within some write: the system is rarely caught there, since short writes are quick."""
    point = f"write@log:{chance.randint(1, MOST_ACKNOWLEDGED[durability])}:within"
    told = listen(emit_until_killed, path, durability, chance.random(), point)
    assert told.code == -signal.SIGKILL
    return told


def killed(path, durability, chance):
    """Start a process, kill it at some moment, and return what it had said."""
    after, spins = chance.randint(-1, MOST_ACKNOWLEDGED[durability]), chance.randrange(MOST_SPINS)
    reading, tell = os.pipe()
    pid = fork(emit_until_killed, path, durability, chance.random(), None, tell)
    os.close(tell)
    told = ChildReport()
    with open(reading, encoding="utf-8") as pipe:
        while after >= 0:
            line = pipe.readline().rstrip("\n")
            assert line  # else it has died by itself
            told.take(line)
            after -= line.startswith("acknowledged") or line == told.others[0]
        for _ in range(spins):
            pass
        os.kill(pid, signal.SIGKILL)
        for line in pipe:
            told.take(line.rstrip("\n"))
    assert exit_code(pid) == -signal.SIGKILL
    return told


def unclean_ends(path):
    """Return the writers whose unclean ends verify names at the prompt, having checked that it names nothing else."""
    done = CliRunner().invoke(cli, ["verify", str(path), "--format", "json"])
    problems = json.loads(done.stdout)["problems"]
    assert done.exit_code == (1 if problems else 0)
    found = [problem["writer"] for problem in problems if problem["kind"] == "unclean_end"]
    others = [problem["kind"] for problem in problems if problem["kind"] != "unclean_end"]
    assert others == (["broken_line"] if torn(path) else []), problems
    assert len(found) == len(set(found))
    return set(found)


def check(told, mine):
    """Check that all that was acknowledged is there, and nothing but the last events is lost."""
    assert mine == list(range(1, len(mine) + 1)), (told, mine)
    assert told.acknowledged <= len(mine) <= told.emitted, (told, mine)


def kill_often(folder, durability):
    """Kill process after process; return what came of it."""
    path = os.path.join(folder, "a.jsonl")
    with blm.open_log(path, **OPTIONS) as log:
        log.emit(tool(0))
    join_workers()
    gc.freeze()  # forking is faster then
    chance = random.Random(SEED)
    all_told, half, halves = {}, 0, 0
    for number in range(KILLS + IN_A_WRITE):
        newest = rotated(path)[-1:]
        told = (killed_in_a_write if number % 6 == 5 else killed)(path, durability, chance)
        recent = whole_lines(path, after=newest[0].removesuffix(".gz") if newest else "")
        started = [line for line in recent if line["event"] == "system.worker_started" and line["seq"] == 1]
        new = [line for line in started if line["writer"] not in {*all_told, log.stats().writer}]
        assert len(new) <= 1
        if not new:
            assert told.acknowledged == 0  # killed before its first line
        for line in new:
            assert told.others in ([], [line["writer"]])
            assert line["repaired_bytes"] == half
            all_told[line["writer"]] = told
            check(told, numbers(recent)[line["writer"]])
        half = torn(path)
        halves += half > 0
        assert unclean_ends(path) == set(all_told)
    with blm.open_log(path, **OPTIONS) as last:
        assert last.emit(tool(0))
    assert last.stats().repaired_bytes == half
    return check_all(path, all_told) | {"halves": halves}


def check_all(path, all_told):
    """Check the whole log once more, after a process that was not killed."""
    found = numbers(whole_lines(path))
    for writer, told in all_told.items():
        check(told, found[writer])
    assert unclean_ends(path) == set(all_told)
    assert (torn(path), leftovers(path)) == (0, [])
    files = rotated(path)
    assert [name.endswith(".gz") for name in files] == [True] * (len(files) - 1) + [False]
    lost = sum(told.emitted - len(found[writer]) for writer, told in all_told.items())
    return {"writers": len(all_told), "events": sum(map(len, found.values())), "lost": lost, "files": len(files)}


@pytest.mark.parametrize("durability", ["queue", "write", "fsync"])
def test_row_12_hundred_kills(run_python, tmp_path, durability):
    """Over a hundred kills nothing acknowledged is lost, nor anything that was ever whole, and verify names each."""
    done = run_python(program(kill_often), tmp_path, durability, timeout=110)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["writers"] > KILLS / 2  # the others were killed before their first line
    assert found["files"] > 10
    assert found["halves"] >= IN_A_WRITE
