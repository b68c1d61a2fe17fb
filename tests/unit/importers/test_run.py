"""Several imports into one log: what is known stays, what may go on is held back, and nothing is written twice."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
from collections import Counter
from datetime import datetime, timezone

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.programs import start
from support.recount import eventually
from support.transcripts import Imported, answer, message, tool_result, tool_use, usage, user, write

import bamboo_logmetrics as blm
from bamboo_logmetrics.cli.commands import cli
from bamboo_logmetrics.importers import ImportReport, store
from bamboo_logmetrics.importers import run as import_run

SETTLE = 600


class Nights:
    """Imports a folder into a log at times that the test sets.

    Attributes:
        now: the time of the next import, in seconds since the epoch.
        output: the lines that the last import printed.
    """

    def __init__(self, folder):
        self.folder, self.log = folder / "projects", folder / "log" / "history.jsonl"
        self.folder.mkdir()
        self.now = 1_800_000_000
        self.output = ""

    def write(self, name, lines):
        """Write a transcript that has changed just now."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, *lines)
        os.utime(path, (self.now, self.now))
        return path

    def run(self, *options):
        """Import, and return the lines of the log that are not its own."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(import_run, "now_ns", lambda: int(self.now * 1e9))
            args = ["import", "claude-code", str(self.folder), "-o", str(self.log), "--append", *options]
            result = CliRunner().invoke(cli, args, prog_name="bamboo-logmetrics")
        self.output = result.output
        assert result.exit_code == 0, result.output
        return self.lines()

    def has_written(self, size):
        """Return True if the log has so many bytes."""
        return self.log.exists() and self.log.stat().st_size > size

    def lines(self):
        """Return the lines of the log that are not its own."""
        lines = [json.loads(line) for line in self.log.read_text("utf-8").splitlines()]
        return [line for line in lines if not line["event"].startswith("system.")]

    @property
    def totals(self):
        """The number of rounds in the log, and of their tokens."""
        rounds = [line for line in self.lines() if line["event"] == "chat.round_completed"]
        return len(rounds), sum(line["total_tokens"] for line in rounds)

    def kinds(self):
        """Return the number of lines of each kind."""
        return Counter(line["event"] for line in self.lines())


@pytest.fixture
def nights(tmp_path):
    """Return imports at times that the test sets."""
    return Nights(tmp_path)


def session(count=2, name="s1", outputs=(40, 260)):
    """Return a session of prompts, answers and tool calls."""
    lines = []
    for number in range(count):
        at, parent = 10 * number, f"{name}-r{number - 1}" if number else None
        u, a, t, r = (f"{name}-{kind}{number}" for kind in "uatr")
        more = {"sessionId": name, "requestId": f"{name}-q{number}"}
        output = outputs[number % len(outputs)]
        partial = message(f"{name}-m{number}", usage=usage(1), stop_reason=None)
        whole = message(f"{name}-m{number}", tool_use(t), usage=usage(output), stop_reason="tool_use")
        lines += [
            user(u, at + 1, parent=parent, sessionId=name),
            answer(f"{a}x", at + 2, u, partial, **more),
            answer(a, at + 3, f"{a}x", whole, **more),
            user(r, at + 4, [tool_result(t)], a, sessionId=name),
        ]
    return lines


def test_an_import_each_night(nights):
    """H7: the call that was under way the first time is written once, when it is complete, and the session ends once."""
    lines = session()
    nights.write("s1.jsonl", lines[:6])
    nights.run()
    assert nights.totals == (1, 153)
    assert "held back: 1 round and the end of 1 session" in nights.output
    nights.now += 60
    nights.write("s1.jsonl", lines)
    nights.run()
    nights.now += SETTLE
    nights.run()
    assert nights.totals == (2, 526)
    assert nights.kinds()["chat.session_completed"] == nights.kinds()["chat.session_started"] == 1
    assert blm.verify(nights.log).ok
    before = nights.lines()
    nights.now += SETTLE
    assert nights.run() == before


@pytest.mark.parametrize("step", [1, 3])
def test_a_file_that_is_imported_after_every_line(nights, step):
    """A growing file gives the same events as the whole file, each once, wherever the imports fell."""
    lines = session(3)
    whole = Imported(write(nights.folder.parent / "whole.jsonl", *lines))
    for cut in range(step, len(lines) + 1, step):
        nights.write("s1.jsonl", lines[:cut])
        nights.run()
        nights.now += 5
    nights.now += SETTLE
    nights.run()
    events = {line["event_id"]: line for line in nights.lines()}
    assert len(events) == len(nights.lines())
    assert events.keys() == {event.meta.event_id for event, _ in whole.pairs}
    assert nights.totals == whole.totals


def test_a_torn_last_line_of_a_growing_file(nights):
    """An unfinished last line is no problem while the file may grow, and is reported when it has settled."""
    path = nights.write("s1.jsonl", session())
    with path.open("ab") as file:
        file.write(b'{"type":"assistant","mess')
    os.utime(path, (nights.now, nights.now))
    nights.run()
    assert "skipped" not in nights.output
    nights.now += SETTLE
    os.utime(path, (nights.now - SETTLE, nights.now - SETTLE - 1))
    nights.run()
    assert "skipped: 1 line" in nights.output


def test_a_copy_that_comes_later(nights):
    """A fork that is imported after its parent counts only what is new, and knows its parent."""
    nights.write("s1.jsonl", session())
    nights.run("--all")
    fork = [{**line, "sessionId": "s2"} for line in session()]
    nights.write(
        "s2.jsonl",
        [*fork, user("f1", 50, sessionId="s2"), answer("f2", 51, "f1", message("m9", usage=usage(7)), sessionId="s2")],
    )
    lines = nights.run("--all")
    assert nights.totals == (3, 646)
    assert "counted once: 2 calls" in nights.output
    started = [line for line in lines if line["event"] == "chat.session_started"]
    assert [line.get("forked_from") for line in started] == [None, "s1"]


def test_a_written_call_that_has_other_numbers_later(nights):
    """A written call stays as it is; the summary says how many calls and tokens differ."""
    lines = session()
    nights.write("s1.jsonl", lines[:6])
    nights.run("--all")
    assert nights.totals == (2, 267)
    nights.write("s1.jsonl", lines)
    nights.run("--all")
    assert nights.totals == (2, 267)
    assert "DIFFERENT NOW: 1 call written before, by 259 tokens" in nights.output
    assert "PARTIAL" not in nights.output


@pytest.mark.parametrize("apart", [True, False])
def test_pieces_of_an_answer_that_are_joined_after_they_were_written(nights, apart):
    """Calls that turn out to be one stay as they are written; a piece that was not written yet joins the other."""
    first = answer("a1", 2, "u1", message("m1", usage=usage(1), stop_reason=None))
    between = answer("a2", 3, "a1", message("m1", usage=usage(1), stop_reason=None))
    last = answer("a3", 4, "a2", message("m1", tool_use("t1"), usage=usage(40)))
    nights.write("a.jsonl", [user("u1", 1), first])
    if not apart:
        nights.run("--all")
    nights.write("b.jsonl", [last, user("r1", 5, [tool_result("t1")], "a3")])
    if apart:
        nights.run("--all")
    nights.write("c.jsonl", [first, between, last])
    nights.run("--all")
    assert nights.totals == ((2, 114 + 153) if apart else (1, 114))
    assert nights.kinds()["chat.tool_called"] == 1
    assert "DIFFERENT NOW: 1 call" in nights.output
    assert blm.verify(nights.log).ok


def test_the_file_of_a_sub_agent_that_comes_after_its_result_was_written(nights):
    """The last call of a sub-agent that was written from the result of its tool is not written again from its lines."""
    described = {"agentId": "a1", "totalDurationMs": 4000, "usage": usage(260)}
    call = answer("p1", 2, "u1", message("m1", tool_use("t0", "Task"), usage=usage(40)))
    nights.write("s1.jsonl", [user("u1", 1), call, user("r1", 7, [tool_result("t0")], "p1", toolUseResult=described)])
    nights.run("--all")
    own = [user("k1", 3), answer("k2", 4, "k1", message("m2", usage=usage(260)))]
    nights.write("s1/subagents/agent-a1.jsonl", [{**line, "isSidechain": True, "agentId": "a1"} for line in own])
    nights.run("--all")
    assert nights.totals == (2, 526)


def test_a_session_that_goes_on_after_its_end(nights):
    """A session that is resumed after its end was written has a later end, with another event id."""
    nights.write("s1.jsonl", session(1))
    nights.run("--all")
    nights.write("s1.jsonl", session(2))
    nights.run("--all")
    ends = [line for line in nights.lines() if line["event"] == "chat.session_completed"]
    counts = [line["message_count"] for line in nights.lines() if line["event"] == "chat.message_count_updated"]
    assert len({line["event_id"] for line in ends}) == 2
    assert counts == [2, 4]
    assert nights.kinds()["chat.session_started"] == 1


def test_unchanged_files_are_not_read_again(nights, monkeypatch):
    """A file of the same size, time and fingerprint is not read; one whose content changed in place is."""
    path = nights.write("s1.jsonl", session())
    nights.run("--all")
    nights.run("--all")
    assert "imported from 0 files" in nights.output
    assert "unchanged: 1 file, not read again" in nights.output
    path.write_bytes(
        path.read_bytes().replace(b"s1-m1", b"s1-m9").replace(b"s1-q1", b"s1-q9").replace(b"s1-a1", b"s1-a9")
    )
    os.utime(path, (nights.now, nights.now))
    nights.run("--all")
    assert "imported from 1 file: 0 sessions, 1 round" in nights.output


def test_the_store_is_lost(nights):
    """Without the store the ids are read from the log, and nothing is written twice."""
    nights.write("s1.jsonl", session())
    before = nights.run("--all")
    os.unlink(import_run.store_path(str(nights.log)))
    assert nights.run("--all") == before
    assert f"already there: {len(before)} events" in nights.output


def test_the_log_is_gone(nights):
    """Without the log a store that is left over is of no use, and everything is written again."""
    nights.write("s1.jsonl", session())
    before = nights.run("--all")
    os.unlink(nights.log)
    assert [line["event_id"] for line in nights.run("--all")] == [line["event_id"] for line in before]


def test_a_store_of_another_kind(nights):
    """A file that is no store is refused with its name and a remedy."""
    nights.write("s1.jsonl", session())
    nights.run("--all")
    path = import_run.store_path(str(nights.log))
    with open(path, "wb") as file:
        file.write(b"x" * 5000)
    args = ["import", "claude-code", str(nights.folder), "-o", str(nights.log), "--append"]
    result = CliRunner().invoke(cli, args)
    assert result.exit_code != 0


def test_an_interrupted_import_goes_on(nights, monkeypatch):
    """After an import that was stopped between two events, the next one writes the rest, and nothing twice."""
    nights.write("s1.jsonl", session(5))
    emit = import_run.ImportRun._emit
    count = 0

    def stopping(self, imported):
        nonlocal count
        count += 1
        if count == 8:
            raise KeyboardInterrupt
        return emit(self, imported)

    monkeypatch.setattr(import_run.ImportRun, "_emit", stopping)
    args = ["import", "claude-code", str(nights.folder), "-o", str(nights.log), "--all"]
    assert CliRunner().invoke(cli, args).exit_code == 130
    monkeypatch.undo()
    lines = nights.run("--all")
    assert len({line["event_id"] for line in lines}) == len(lines)
    assert nights.totals == (5, 3 * 153 + 2 * 373)
    assert blm.verify(nights.log).ok


def test_an_import_that_is_killed(nights):
    """After SIGKILL while it writes, the next import completes the log."""
    nights.write("s1.jsonl", session(1000))
    with start("import", "claude-code", nights.folder, "-o", nights.log, "--all") as process:
        eventually(lambda: process.poll() is not None or nights.has_written(100_000))
        process.kill()
        process.communicate()
    lines = nights.run("--all")
    assert len({line["event_id"] for line in lines}) == len(lines)
    assert nights.totals[0] == 1000


def test_sigterm_ends_an_import_cleanly(nights):
    """SIGTERM writes what is queued and closes the log: verify accounts for everything, also after the next import."""
    nights.write("s1.jsonl", session(1000))
    with start("import", "claude-code", nights.folder, "-o", nights.log, "--all") as process:
        eventually(lambda: process.poll() is not None or nights.has_written(100_000))
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate()
    assert process.returncode in {0, 130, -signal.SIGTERM}, output  # the last: it came after the end of the import
    assert blm.verify(nights.log).ok
    nights.run("--all")
    assert nights.totals[0] == 1000
    assert blm.verify(nights.log).ok


@pytest.mark.parametrize("at", ["set", "commit"])
def test_a_disk_that_fills_up(nights, monkeypatch, at):
    """A store that cannot be written any more ends the import with exit code 1; the next one completes the log."""
    nights.write("s1.jsonl", session(5))

    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store.Store, at, full)
        args = ["import", "claude-code", str(nights.folder), "-o", str(nights.log), "--all"]
        result = CliRunner().invoke(cli, args)
    assert result.exit_code == 1
    assert "IDS NOT SAVED: database or disk is full; the next import reads them from the log" in result.stdout
    lines = nights.run("--all")
    assert len({line["event_id"] for line in lines}) == len(lines)
    assert nights.totals[0] == 5


def test_notes_in_the_store_by_batches(nights, monkeypatch):
    """Written events are noted while the import goes on, and not when the log takes no more."""
    monkeypatch.setattr(import_run, "_BATCH", 2)
    nights.write("s1.jsonl", session(5))
    nights.run("--all")
    assert nights.totals[0] == 5
    nights.write("s2.jsonl", session(5, "s2"))
    monkeypatch.setattr(import_run.ImportRun, "_flush", lambda _: False)
    args = ["import", "claude-code", str(nights.folder), "-o", str(nights.log), "--all", "--append"]
    CliRunner().invoke(cli, args)
    monkeypatch.undo()
    nights.run("--all")
    assert nights.totals[0] == 10


def test_two_imports_at_once(nights):
    """H12: the second import waits for the first, says so, and adds nothing twice."""
    nights.write("s1.jsonl", session(1000))
    args = ("import", "claude-code", nights.folder, "-o", nights.log, "--all", "--append")
    processes = [start(*args, stderr=subprocess.PIPE) for _ in range(2)]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert nights.totals[0] == 1000
    lines = nights.lines()
    assert len({line["event_id"] for line in lines}) == len(lines)


def test_retention_of_the_environment(nights, monkeypatch):
    """H13: a small limit on files in the environment deletes nothing that an import wrote."""
    monkeypatch.setenv("BAMBOO_LOGMETRICS_MAX_BYTES", "20000")
    monkeypatch.setenv("BAMBOO_LOGMETRICS_BACKUP_COUNT", "1")
    nights.write("s1.jsonl", session(100))
    result = CliRunner().invoke(cli, ["import", "claude-code", str(nights.folder), "-o", str(nights.log), "--all"])
    assert result.exit_code == 0
    rounds = [line for line in blm.read(nights.log) if isinstance(line.event, blm.RoundCompleted)]
    assert len(rounds) == 100
    assert blm.verify(nights.log).ok


def test_notes_have_their_own_time(nights, monkeypatch):
    """A plain line of an import has the time of what it tells, at any level of the environment."""
    monkeypatch.setenv("BAMBOO_LOGMETRICS_LEVEL", "error")
    nights.write("s1.jsonl", [*session(1), user("i", 8, "[Request interrupted by user]", "s1-r0")])
    lines = nights.run("--all")
    (note,) = (line for line in lines if line.get("plain"))
    assert (note["event"], note["timestamp"], note["session_id"]) == (
        "interrupted by the user",
        "2026-01-01T00:00:08.000000Z",
        "s1",
    )
    times = [line["timestamp"] for line in lines]
    assert times == sorted(times)


# -- any history ------------------------------------------------------------------------------


ACTIONS = st.tuples(
    st.integers(0, 2),  # a session
    st.sampled_from(["grow", "fork", "copy", "split"]),
    st.integers(0, 12),  # lines
    st.sampled_from([0, 1, 60]),  # seconds until an import; 0 for none
)


def steps_of(actions):
    """Return the sessions, and what happens: files that are written, and seconds until an import."""
    sessions = {f"s{number}": session(number + 1, f"s{number}") for number in range(3)}
    done = dict.fromkeys(sessions, 0)
    for extra, (number, kind, amount, pause) in enumerate(actions):
        name = f"s{number}"
        lines = sessions[name]
        if kind == "grow":
            done[name] = min(len(lines), done[name] + amount)
            yield f"{name}.jsonl", lines[: done[name]]
        else:
            part = lines[min(amount, done[name]) if kind == "split" else 0 : done[name]]
            yield (
                f"x{extra}/{name}.jsonl",
                [{**line, "sessionId": f"f{extra}"} for line in part] if kind == "fork" else part,
            )
        yield pause
    yield from ((f"{name}.jsonl", lines) for name, lines in sessions.items())


@given(st.lists(ACTIONS, max_size=8))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_history_gives_the_totals_of_its_distinct_calls(tmp_path_factory, actions):
    """Sessions that are split, copied, forked and appended to over any imports give each call once, with its final usage."""
    nights = Nights(tmp_path_factory.mktemp("nights"))
    for step in steps_of(actions):
        if isinstance(step, tuple):
            nights.write(*step)
        elif step and any(path.stat().st_size for path in nights.folder.rglob("*.jsonl")):
            nights.now += step
            nights.run()
    nights.now += SETTLE + 1
    nights.run()
    expected = {
        line["message"]["id"]: line["message"]["usage"]
        for number in range(3)
        for line in session(number + 1, f"s{number}")
        if line["type"] == "assistant"
    }
    tokens = sum(113 + each["output_tokens"] for each in expected.values())
    assert nights.totals == (len(expected), tokens)
    assert nights.kinds()["chat.tool_called"] == len(expected)
    ids = [line["event_id"] for line in nights.lines()]
    assert len(ids) == len(set(ids))
    assert blm.verify(nights.log).ok


def test_what_is_left_to_write_is_reported(nights, monkeypatch):
    """While events are written, their number and that of all are reported, from the first to the last."""
    calls = []
    monkeypatch.setattr(import_run, "_REPORTED", 1)
    monkeypatch.setattr(ImportReport, "written", lambda _, number, total: calls.append((number, total)))
    nights.write("s1.jsonl", session())
    lines = nights.run("--all")
    assert calls == [(number, len(lines)) for number in range(len(lines) + 1)]


def test_the_clock_of_the_log(nights):
    """The clock gives a note its time in the thread of the import only, and the time otherwise."""
    clock = import_run.EventClock()
    clock.moment_ns = 5
    assert clock.time_ns() == 5
    clock.moment_ns = None
    assert abs(clock.time_ns() - datetime.now(timezone.utc).timestamp() * 1e9) < 1e12
