"""OpenCode's sessions become events: its database, forks with new ids, sub-agents, older files, damage."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from support import DATA
from support.opencode import (
    add,
    answer,
    database,
    forked,
    json_files,
    ms,
    part,
    prompt,
    session,
    tokens,
    tool,
)
from support.transcripts import moment, totals

import bamboo_logmetrics as blm
from bamboo_logmetrics import (
    MessageCountUpdated,
    RequestCompleted,
    RoundCompleted,
    SessionCompleted,
    SessionStarted,
    ToolCalled,
)
from bamboo_logmetrics.cli.commands import cli
from bamboo_logmetrics.importers import AUTO, IMPORTERS, ImportReport, Note
from bamboo_logmetrics.importers.opencode.database import Database

OPENCODE = IMPORTERS["opencode"]
NEWEST = DATA / "newest" / "opencode"
A_CALL = 165  # tokens


def imported(*paths, importer=OPENCODE):
    """Return the events of files, and the problems."""
    problems = []
    return list(importer.read([Path(path) for path in paths], ImportReport(problems.append))), problems


def all_of(pairs, cls):
    return [(event, bound) for event, bound in pairs if isinstance(event, cls)]


def one_of(pairs, cls):
    (pair,) = all_of(pairs, cls)
    return pair


def chat(at=0, calls=2, **values):
    """Return a session with a prompt and some answers, each a second long."""
    asked = prompt(at + 1)
    said = [answer(at + 2 + n, at + 3 + n, parent=asked["id"]) for n in range(calls)]
    return session(at, asked, *said, **values)


def test_a_session(tmp_path):
    """A session has its rounds, tools, tokens and times, and nothing of its texts."""
    asked = prompt(1)
    shell = tool(start=4, end=9, metadata={"exit": 3, "output": "secret words"})
    said = answer(
        2, 10, part("reasoning", text="secret words", time={"start": ms(2), "end": ms(3)}), shell, parent=asked["id"]
    )
    path = database(tmp_path / "opencode.db", session(0, asked, said))
    pairs, problems = imported(path)
    event, bound = one_of(pairs, RoundCompleted)
    usage = event.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (150, 15, A_CALL)
    assert (usage.cache_read_tokens, usage.cache_write_tokens, usage.reasoning_tokens) == (50, 0, 5)
    assert (event.meta.occurred_at, event.latency_ms, event.status) == (moment(4), 2000, "success")
    assert {name: bound[name] for name in ("model", "provider", "stop_reason", "turn_id", "cost_usd_estimate", "project")} == {
        "model": "m", "provider": "p", "stop_reason": "stop", "turn_id": asked["id"], "cost_usd_estimate": 0.25, "project": "work/app",
    }  # fmt: skip
    call, bound = one_of(pairs, ToolCalled)
    assert (call.tool_name, call.success, call.latency_ms, bound["error_type"]) == ("bash", False, 5000, "exit_code")
    started, bound = one_of(pairs, SessionStarted)
    assert (started.model, started.meta.occurred_at, bound["client_version"]) == ("m", moment(0), "1.18.33")
    assert one_of(pairs, SessionCompleted)[0].meta.occurred_at == moment(10)
    assert one_of(pairs, MessageCountUpdated)[0].message_count == 2
    assert not problems
    assert "secret" not in repr(pairs)


def test_a_fork(tmp_path):
    """All that a fork copied under new ids counts for its parent alone; the fork says where it comes from."""
    first = chat()
    first["messages"][1]["parts"].append(tool())
    fork = forked(first, 10, prompt(11), answer(12, 13))
    again = forked(fork, 20, prompt(21), answer(22, 23), upto=5)
    path = database(tmp_path / "opencode.db", again, fork, first)
    pairs, problems = imported(path)
    assert totals(pairs) == (4, 4 * A_CALL)
    assert len(all_of(pairs, ToolCalled)) == 1
    counts = {event.session_id: event.message_count for event, _ in all_of(pairs, MessageCountUpdated)}
    assert counts == {first["id"]: 3, fork["id"]: 2, again["id"]: 2}
    starts = {
        event.session_id: (event.meta.occurred_at, bound.get("forked_from"))
        for event, bound in all_of(pairs, SessionStarted)
    }
    assert starts == {
        first["id"]: (moment(0), None), fork["id"]: (moment(10), first["id"]), again["id"]: (moment(20), fork["id"]),
    }  # fmt: skip
    assert not problems


def test_a_fork_of_a_session_that_is_gone(tmp_path):
    """Without their original copies count, once over all forks; with it in another file, for the original."""
    first = chat()
    forks = [forked(first, 10), forked(first, 20, answer(21, 22))]
    pairs, _ = imported(database(tmp_path / "opencode.db", *forks))
    assert totals(pairs) == (3, 3 * A_CALL)
    assert one_of(all_of(pairs, SessionStarted)[:1], SessionStarted)[0].meta.occurred_at == moment(1)
    pairs, _ = imported(tmp_path / "opencode.db", database(tmp_path / "opencode-beta.db", first))
    assert totals(pairs) == (3, 3 * A_CALL)
    owners = [event.session_id for event, _ in all_of(pairs, RoundCompleted)]
    assert owners == [first["id"], first["id"], forks[1]["id"]]


def test_equal_calls_are_not_copies(tmp_path):
    """Two sub-agents that were asked in one millisecond, with equal tokens, are two calls, also beside a fork."""
    parent = session(0, prompt(1), answer(2, 9, tool("task", "call_a", 3, 8, metadata={"sessionId": "ses_a"})))
    agents = [
        session(3, prompt(3), answer(4, 5), id=name, parent=parent["id"], agent="explore")
        for name in ("ses_a", "ses_b")
    ]
    path = database(tmp_path / "opencode.db", *agents, parent, forked(parent, 30, answer(31, 32)))
    pairs, _ = imported(path)
    assert totals(pairs) == (4, 4 * A_CALL)
    bound = {event.session_id: bound for event, bound in all_of(pairs, SessionStarted)}
    assert (bound["ses_a"]["parent_tool_call_id"], bound["ses_a"]["agent_type"]) == ("call_a", "explore")
    assert bound["ses_b"]["parent_session_id"] == parent["id"]
    assert "agent_type" not in bound[parent["id"]]
    assert "forked_from" not in bound["ses_a"]


def test_a_fork_of_an_answer_under_way(tmp_path):
    """A copy that was made while an answer was under way never ends, and is the same call."""
    first = session(
        0,
        prompt(1),
        answer(2, None, tokens={"input": 0, "output": 0, "reasoning": 0, "cache": {"read": 0, "write": 0}}),
    )
    fork = forked(first, 3, prompt(4), answer(5, 6))
    first["messages"][1]["data"] |= {"tokens": tokens(), "time": {"created": ms(2), "completed": ms(8)}}
    for order in ((first, fork), (fork, first)):
        path = database(tmp_path / f"opencode-{order[0]['id']}.db", *order)
        pairs, _ = imported(path)
        assert totals(pairs) == (2, 2 * A_CALL)
    pairs, _ = imported(database(tmp_path / "opencode.db", fork))
    assert [bound.get("usage_source") for _, bound in all_of(pairs, RoundCompleted)] == ["missing", None]


def test_failures(tmp_path):
    """A failed request has its status code; what was stopped is cancelled; each failed tool has its kind."""
    limit = {"name": "APIError", "data": {"message": "secret words", "statusCode": 529, "responseBody": "secret words"}}
    none = {"input": 0, "output": 0, "reasoning": 0, "cache": {"read": 0, "write": 0}}
    states = {
        "rejected": {"status": "error", "error": "The user rejected permission to use this specific tool call."},
        "interrupted": {"status": "error", "error": "Tool execution aborted"},
        "tool_error": {"status": "error", "error": "Error: secret words"},
        None: {"status": "running"},
    }
    tools = [tool(call=f"c{n}", **state) for n, state in enumerate(states.values())]
    messages = [
        prompt(1), answer(2, 3, tokens=none, error=limit), answer(4, 5, part("retry", attempt=1, error=limit, time={"created": ms(4.5)})),
        answer(6, 9, *tools, tokens=none, error={"name": "MessageAbortedError", "data": {"message": "secret words"}}),
    ]  # fmt: skip
    pairs, _ = imported(database(tmp_path / "opencode.db", session(0, *messages)))
    failed = [
        (event.status_code, event.error, event.latency_ms, bound.get("attempt"))
        for event, bound in all_of(pairs, RequestCompleted)
    ]
    assert failed == [(529, "APIError", 1000, None), (529, "APIError", 0, 1)]
    rounds = [(event.status, event.error, bound.get("usage_source")) for event, bound in all_of(pairs, RoundCompleted)]
    assert rounds == [("success", None, None), ("cancelled", "MessageAbortedError", "missing")]
    kinds = {bound.get("error_type") for _, bound in all_of(pairs, ToolCalled)}
    assert kinds == {"rejected", "interrupted", "tool_error", None}
    assert one_of(pairs, SessionCompleted)[0].status == "cancelled"
    assert [note.text for note, _ in all_of(pairs, Note)] == ["interrupted by the user"]
    assert "secret" not in repr(pairs)
    failing = session(0, prompt(1), answer(2, 3, tokens=none, error={"name": 5}))
    pairs, _ = imported(database(tmp_path / "opencode-2.db", failing))
    assert one_of(pairs, SessionCompleted)[0].status == "error"
    assert one_of(pairs, RequestCompleted)[0].status_code == 0
    assert one_of(pairs, SessionStarted)[0].model == "m"


def test_compactions_and_prompts(tmp_path):
    """A compaction is a line, and its answer a call; only what a person wrote is a prompt."""
    messages = [
        prompt(1), prompt(2, part("text", text="x", synthetic=True)), prompt(3, part("compaction", auto=True)),
        answer(4, 5, summary=True), prompt(6, part("subtask", prompt="x")), prompt(7, part("text", text="x"), part("file", url="x")),
    ]  # fmt: skip
    pairs, _ = imported(database(tmp_path / "opencode.db", session(0, *messages)))
    note, bound = one_of(pairs, Note)
    assert (note.text, bound["trigger"]) == ("conversation compacted", "auto")
    assert one_of(pairs, MessageCountUpdated)[0].message_count == 3


@pytest.mark.parametrize(
    ("given", "expected", "source"),
    [
        (tokens(1, 2, 3, 4, 5), (10, 5), None),
        (
            {"total": 160, "input": 100, "output": 10, "reasoning": 5, "cache": {"read": 50, "write": 0}},
            (150, 10),
            None,
        ),
        ({"input": 100.0, "output": 10, "reasoning": 5, "cache": {"read": 50}}, (150, 15), None),
        ({"input": "100", "output": 10, "reasoning": None, "cache": None}, (0, 10), "partial"),
        ({"input": 100, "output": 10**30, "cache": []}, (100, 0), "partial"),
        ({"input": -1, "output": True, "reasoning": [], "cache": "x"}, (0, 0), "missing"),
        (tokens(0, 0, 0, 0, 0), (0, 0), "missing"),
        (None, (0, 0), "missing"),
        ([1], (0, 0), "missing"),
    ],
)
def test_tokens(tmp_path, given, expected, source):
    """The prompt includes the cache, the answer its reasoning; of odd values what can be read counts."""
    path = database(tmp_path / "opencode.db", session(0, prompt(1), answer(2, 3, tokens=given)))
    pairs, _ = imported(path)
    event, bound = one_of(pairs, RoundCompleted)
    assert (event.usage.prompt_tokens, event.usage.completion_tokens) == expected
    assert bound.get("usage_source") == source


def test_several_steps(tmp_path):
    """An answer of several steps, whose message has the tokens of the last one, has the sum of all."""
    steps = [part("step-finish", tokens=tokens(100 * n, n, 0, 0)) for n in (1, 2)]
    path = database(tmp_path / "opencode.db", session(0, prompt(1), answer(2, 3, *steps, tokens=tokens(200, 2, 0, 0))))
    event, bound = one_of(imported(path)[0], RoundCompleted)
    assert (event.usage.prompt_tokens, event.usage.completion_tokens, bound["calls"]) == (300, 3, 2)
    lost = session(0, prompt(1), answer(2, None, steps[0], tokens=None))
    assert totals(imported(database(tmp_path / "opencode-2.db", lost))[0]) == (1, 101)


@pytest.mark.parametrize(
    "data",
    [
        None,
        5,
        b"\xff\xfe",
        "{torn",
        "[]",
        "null",
        '{"role":null}',
        '{"role":"system"}',
        '{"role":"assistant","time":1e999}',
        "[" * 5000,
    ],
)
def test_a_bad_row_costs_that_row(tmp_path, data):
    """A message or a part that is none is reported with its row; everything else counts."""
    one = chat()
    path = database(tmp_path / "opencode.db", one, forked(one, 50))
    connection = sqlite3.connect(path)
    connection.executescript(
        "PRAGMA writable_schema = 1; UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '');"
    )
    connection.commit()
    connection.close()
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO message VALUES ('msg_x', ?, NULL, NULL, ?)", (one["id"], data))
    connection.execute(
        "INSERT INTO part VALUES ('prt_x', ?, ?, 'x', 'x', ?)", (one["messages"][1]["id"], one["id"], data)
    )
    connection.execute("INSERT INTO part VALUES ('prt_y', 'msg_none', ?, 1, 1, '{}')", (one["id"],))
    connection.commit()
    connection.close()
    pairs, problems = imported(path)
    assert totals(pairs) == (2, 2 * A_CALL)
    assert problems
    assert all(problem.line and "secret" not in str(problem) for problem in problems)


def test_odd_values(tmp_path):
    """Ids, times and names of a wrong type cost only themselves; a message without times has that of its session."""
    long = "msg_" + "x" * 900
    messages = [
        {**answer(2, 3, modelID=5, providerID=None, parentID=[], finish={}, cost="1", agent=7), "id": long},
        answer(3, 4, time={"created": 10**40, "completed": "x"}), answer(4, 5, time=None, error="x"),
        answer(5, 6, tool(call=5), part("tool", tool="x", callID="c1", state=[]), part("tool", tool="y", callID="c2", state={"status": "completed"}),
               tool(call="c3", start=9, end=8), tool(call="c3"), part(5), part("retry", error=3)),
    ]  # fmt: skip
    path = database(tmp_path / "opencode.db", session(0))
    connection = sqlite3.connect(path)
    for one in messages:
        row = (one["id"], "ses_none", None if one["data"]["time"] is None else 5, ms(1), json.dumps(one["data"]))
        connection.execute("INSERT INTO message VALUES (?, ?, ifnull(?, 7), ?, ?)", row)
        for its_part in one["parts"]:
            values = (its_part["id"], one["id"], "ses_none", 0, 0, json.dumps(its_part["data"]))
            connection.execute("INSERT INTO part VALUES (?, ?, ?, ?, ?, ?)", values)
    connection.commit()
    connection.close()
    pairs, _ = imported(path)
    assert totals(pairs) == (4, 4 * A_CALL)
    assert sorted(event.tool_name for event, _ in all_of(pairs, ToolCalled)) == ["bash", "bash", "y"]


def test_missing_columns_and_tables(tmp_path):
    """Columns that are not needed may be missing; without parts the rounds count; a foreign database is refused."""
    path = tmp_path / "opencode.db"
    connection = sqlite3.connect(path)
    connection.executescript("CREATE TABLE session (id); CREATE TABLE message (id, session_id, data);")
    said = answer(2, 3)
    connection.execute("INSERT INTO session VALUES ('s')")
    connection.execute("INSERT INTO session VALUES (NULL)")
    connection.execute("INSERT INTO message VALUES ('m', 's', ?)", (json.dumps(said["data"]),))
    connection.execute("INSERT INTO message VALUES (NULL, 's', ?)", (json.dumps(said["data"]),))
    for name, of in (("n", None), ("o", 5), ("p", b"blob"), ("q", "\n"), ("r", "\t")):
        connection.execute("INSERT INTO message VALUES (?, ?, ?)", (name, of, json.dumps(said["data"])))
    connection.commit()
    connection.close()
    pairs, problems = imported(path)
    assert totals(pairs) == (3, 3 * A_CALL)
    assert sorted(problem.message for problem in problems) == [
        "a session without an id", "messages whose session is no text: 1", "messages without a session: 1",
        "messages without a session: 1", "not a message", "the table part cannot be read; tool calls are left out",
    ]  # fmt: skip
    other = tmp_path / "opencode-other.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE session (name)")
    connection.commit()
    connection.close()
    text = tmp_path / "opencode-text.db"
    text.write_text("x" * 5000)
    pairs, problems = imported(other, text, tmp_path / "opencode-gone.db")
    assert pairs == []
    assert [problem.message for problem in problems] == [
        "not a database of OpenCode: no id in the table session", "not a SQLite database", "No such file or directory",
    ]  # fmt: skip
    assert (OPENCODE.recognises(path), OPENCODE.recognises(text), OPENCODE.recognises(tmp_path / "gone.db")) == (
        True,
        False,
        True,
    )


def test_the_table_of_newer_versions(tmp_path):
    """Answers that stand only in a table which is not read are told, and the file counts as not read."""
    one = chat()
    path = database(tmp_path / "opencode.db", one)
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE session_message (id, session_id, type, data)")
    connection.execute("INSERT INTO session_message VALUES (1, ?, 'assistant', '{}')", (one["id"],))
    connection.commit()
    assert imported(path)[1] == []
    connection.execute(
        "INSERT INTO session_message VALUES (2, 'ses_new', 'assistant', '{}'), (3, 'ses_new', 'user', '{}')"
    )
    connection.commit()
    connection.close()
    pairs, problems = imported(path)
    assert totals(pairs)[0] == 2
    assert [(problem.line, problem.message) for problem in problems] == [
        (None, "answers in the table session_message, which is not read: 1; update this package")
    ]


@pytest.mark.parametrize("keep", [100, 4096, 0.3, 0.6, 0.9])
def test_a_torn_database(tmp_path, keep):
    """A database that is cut anywhere raises nothing; what can be read counts, and a problem is told."""
    path = database(tmp_path / "opencode.db", *(chat(at=10 * n, calls=20) for n in range(20)))
    size = path.stat().st_size
    os.truncate(path, int(keep * size) if keep < 1 else keep)
    pairs, problems = imported(path)
    assert len(all_of(pairs, RoundCompleted)) < 400
    assert [problem.line for problem in problems] == [None]
    assert "the database cannot be read" in problems[0].message


@pytest.mark.parametrize("of", [b"prt_", b"secret title", b'"role"'])
def test_damage_within_a_database(tmp_path, of):
    """A page that is damaged costs what stands on it, and the file counts as not read."""
    sessions = [chat(at=10 * n, calls=20) for n in range(20)]
    path = database(tmp_path / "opencode.db", *sessions, forked(sessions[0], 900))
    raw = bytearray(path.read_bytes())
    place = raw.index(of) & ~4095
    raw[place : place + 4096] = b"\xff" * 4096
    path.write_bytes(raw)
    pairs, problems = imported(path)
    assert totals(pairs)[0] > 0
    assert [problem.line for problem in problems] == [None]


def test_beside_a_running_opencode(tmp_path):
    """A database that is being written to is read as far as it is committed, without a change to its files."""
    path = tmp_path / "opencode.db"
    database(path, chat(), mode="wal")
    before = path.read_bytes()
    assert totals(imported(path)[0])[0] == 2
    assert sorted(os.listdir(tmp_path)) == ["opencode.db"]
    writer = sqlite3.connect(path)
    add(writer, chat(at=20))
    writer.commit()
    state = OPENCODE.state(path)
    add(writer, chat(at=40))
    assert totals(imported(path)[0])[0] == 4
    writer.commit()
    assert OPENCODE.state(path) != state
    assert totals(imported(path)[0])[0] == 6
    assert path.read_bytes() == before
    link = tmp_path / "link" / "opencode.db"
    link.parent.mkdir()
    link.symlink_to(path)
    assert totals(imported(link)[0])[0] == 6
    assert OPENCODE.state(link) == OPENCODE.state(path)
    writer.close()


def test_what_a_killed_writer_left(tmp_path):
    """A write that was cut off is rolled back in a copy; the file itself keeps every byte."""
    path = database(tmp_path / "opencode.db", chat())
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("PRAGMA cache_size = 1")
    writer.execute("BEGIN")
    for n in range(50):
        add(writer, chat(at=20 * n, calls=5))
    folder = tmp_path / "killed"
    folder.mkdir()
    for name in ("opencode.db", "opencode.db-journal"):
        shutil.copy(tmp_path / name, folder / name)
    writer.execute("ROLLBACK")
    writer.close()
    before = (folder / "opencode.db").read_bytes()
    pairs, problems = imported(folder / "opencode.db")
    assert totals(pairs)[0] == 2
    assert not problems
    assert (folder / "opencode.db").read_bytes() == before
    (folder / "opencode.db").write_bytes(before[:3000])
    assert imported(folder / "opencode.db")[0] == []


def test_a_copy_that_fails(tmp_path):
    """An obstacle in the way of a copy is a problem of that file alone."""
    path = database(tmp_path / "opencode.db", chat(), mode="wal")
    (tmp_path / "opencode.db-wal").mkdir()
    pairs, problems = imported(path)
    assert (pairs, [problem.message for problem in problems]) == ([], ["Is a directory"])


def test_a_locked_database(tmp_path, monkeypatch):
    """A database that another program locks for long is a problem that says so."""
    path = database(tmp_path / "opencode.db", chat())
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr("bamboo_logmetrics.importers.opencode.database.PATIENCE_SECONDS", 0)
    pairs, problems = imported(path)
    assert (pairs, [problem.message for problem in problems]) == (
        [],
        ["the database cannot be read: database is locked"],
    )
    writer.execute("ROLLBACK")
    writer.close()


@pytest.mark.parametrize("oldest", [False, True])
def test_files_of_older_versions(tmp_path, oldest):
    """Sessions in JSON files become the same events, and count once beside the database that took them over."""
    asked = prompt(1)
    first = session(0, asked, answer(2, 9, tool(), parent=asked["id"]))
    fork = forked(first, 20, prompt(21), answer(22, 23))
    storage = tmp_path / "storage"
    files = [json_files(storage, one, oldest=oldest) for one in (first, fork)]
    (storage / "session_diff").mkdir()
    (storage / "session_diff" / files[0].name).write_text("[]")
    path = database(tmp_path / "opencode.db", first, fork)
    assert OPENCODE.find([tmp_path]) == [path, *sorted(files)]
    assert all(OPENCODE.recognises(file) for file in files)
    from_files, problems = imported(*files)
    assert not problems
    from_database, _ = imported(path)
    assert [event for event, _ in from_files] == [event for event, _ in from_database]
    assert totals(imported(*files, path)[0]) == (2, 2 * A_CALL)
    state = OPENCODE.state(files[0])
    message = next(iter(storage.rglob(f"{asked['id']}.json")))
    message.write_text("{torn")
    assert OPENCODE.state(files[0]) != state
    next(iter(storage.rglob("prt_*.json"))).write_text("5")
    next(iter(storage.rglob(f"{first['messages'][1]['id']}/prt_*.json"))).write_text("5")
    _, problems = imported(files[0])
    assert {problem.line for problem in problems} == {1}
    assert totals(imported(files[1])[0])[0] >= 1
    files[0].write_text("[]")
    assert totals(imported(files[1])[0])[0] >= 1
    assert [problem.message for problem in imported(files[0])[1]] == ["not a session of OpenCode"]


def test_files_that_cannot_be_read(tmp_path):
    """A link to nothing among the files of messages is a problem, and costs nothing else."""
    file = json_files(tmp_path / "storage", chat())
    (tmp_path / "storage" / "message" / file.stem / "msg_zzz.json").symlink_to(tmp_path / "gone")
    pairs, problems = imported(file)
    assert totals(pairs)[0] == 2
    assert len(problems) == 1


def test_the_usual_place(monkeypatch, tmp_path):
    """OpenCode keeps its data where the environment says, else below the home directory."""
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert OPENCODE.usual_paths() == (Path("~/.local/share/opencode").expanduser(),)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert OPENCODE.usual_paths() == (tmp_path / "opencode",)


def test_auto(tmp_path):
    """The importer of all tools recognises a database, reads it, and sees its changes."""
    path = database(tmp_path / "opencode.db", chat(), mode="wal")
    assert AUTO.source_of(path) is OPENCODE
    report = ImportReport()
    assert totals(AUTO.read(AUTO.find([tmp_path]), report))[0] == 2
    assert report.counts["files of opencode"] == 1
    assert AUTO.state(path) == OPENCODE.state(path)
    assert len(AUTO.scan(path, report, growing=False).calls) == 2
    assert AUTO.state(Path(__file__)).size == Path(__file__).stat().st_size


def test_the_mode_of_the_file_is_kept(tmp_path):
    """A database that may only be read is read, and nothing appears beside it."""
    path = database(tmp_path / "opencode.db", chat(), mode="wal")
    path.chmod(stat.S_IRUSR)
    assert totals(imported(path)[0])[0] == 2
    assert os.listdir(tmp_path) == ["opencode.db"]
    with pytest.raises(OSError, match="not a SQLite"):
        Database(Path(__file__), 0, lambda *_: None)


def twin_of(one):
    """Return a session with the same times, models and tokens that is no copy."""
    other = json.loads(json.dumps(one))
    other["id"] += "t"
    for message in other["messages"]:
        message["id"] += "t"
    return other


@settings(max_examples=30)
@given(st.data())
def test_forks_in_any_order(tmp_path_factory, data):
    """Any tree of forks, beside sessions that are only equal, split over two files, gives the distinct calls."""
    folder = tmp_path_factory.mktemp("opencode")
    made, files, distinct, at = [], [folder / "opencode.db", folder / "opencode-other.db"], 0, 0
    for _ in range(data.draw(st.integers(1, 5), label="sessions")):
        at += 100
        own = data.draw(st.integers(0, 3), label="calls")
        new = [one for n in range(own) for one in (prompt(at + 2 * n + 1), answer(at + 2 * n + 2, at + 2 * n + 3))]
        if made and data.draw(st.booleans(), label="fork"):
            original = data.draw(st.sampled_from(made), label="of")
            cut = data.draw(st.integers(0, len(original["messages"])), label="at")
            made.append(forked(original, at, *new, upto=cut))
            database(data.draw(st.sampled_from(files), label="file"), made[-1])
        else:
            made.append(session(at, *new))
            database(files[0], made[-1])
            if data.draw(st.booleans(), label="twin"):
                database(files[0], twin_of({**made[-1], "messages": [{**one, "parts": []} for one in new]}))
                distinct += own
        distinct += own
    pairs, problems = imported(*(file for file in files if file.exists()))
    assert totals(pairs) == (distinct, distinct * A_CALL)
    assert not problems


@pytest.mark.skipif(not NEWEST.is_dir(), reason=f"the newest samples are not at {NEWEST}")
def test_the_newest_sample():
    """The right totals of the newest sample, whose fork copies two of its three calls."""
    pairs, problems = imported(NEWEST / "opencode.db")
    rounds = [event.usage for event, _ in all_of(pairs, RoundCompleted)]
    assert (len(rounds), sum(one.prompt_tokens for one in rounds), sum(one.completion_tokens for one in rounds)) == (
        3,
        9_015,
        225,
    )
    assert [(event.tool_name, bound["error_type"]) for event, bound in all_of(pairs, ToolCalled)] == [
        ("bash", "exit_code")
    ]
    assert [bound.get("forked_from") for _, bound in all_of(pairs, SessionStarted)][
        1
    ] == "ses_dd403ea41ffeX34nyC21UGVdOA"
    assert not problems


def test_a_database_that_grows(tmp_path, monkeypatch):
    """Each import reads the sessions that changed and writes what is new; a session that may go on is held back."""
    path, log = tmp_path / "opencode.db", tmp_path / "out.jsonl"
    args = ["import", "opencode", str(path), "-o", str(log), "--append"]
    done, under_way = chat(), session(500, prompt(501), answer(502, None, tokens=None))
    database(path, done, updated=100)
    database(path, under_way, updated=1000)
    os.utime(path, (ms(1000) / 1000, ms(1000) / 1000))
    monkeypatch.setattr("bamboo_logmetrics.importers.run.now_ns", lambda: ms(1001) * 10**6)
    result = CliRunner().invoke(cli, args)
    assert "1 session, 2 rounds" in result.output, result.output
    assert "held back: 1 round and the end of 1 session" in result.output
    under_way["messages"][1] = {**under_way["messages"][1], "data": answer(502, 1002)["data"]}
    database(path, under_way, updated=1002)
    os.utime(path, (ms(1002) / 1000, ms(1002) / 1000))
    monkeypatch.setattr("bamboo_logmetrics.importers.run.now_ns", lambda: ms(5000) * 10**6)
    asked = entries_asked(monkeypatch)
    result = CliRunner().invoke(cli, args)
    assert "1 session, 1 round, 0 tool calls, 165 tokens" in result.output, result.output
    assert [one.id for one in asked] == [under_way["id"]]
    assert blm.verify(log).ok
    assert "unchanged: 1 file" in CliRunner().invoke(cli, args).output


def entries_asked(monkeypatch):
    """Return the list of sessions whose messages will be read."""
    asked, entries = [], Database.entries

    def noted(storage, one):
        asked.append(one)
        return entries(storage, one)

    monkeypatch.setattr(Database, "entries", noted)
    return asked


class Nights:
    """A database that changes, imported again and again into one log; the clock is that of the database."""

    def __init__(self, folder):
        self.path, self.log = folder / "opencode.db", folder / "out.jsonl"
        self.now = 0.0
        self.sessions = {}

    def change(self, one):
        """Write a session in its present state, and let a second go by."""
        self.now += 1
        self.sessions[one["id"]] = one
        database(self.path, one, updated=self.now)

    def remove(self, one):
        del self.sessions[one["id"]]
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            for table, column in (("session", "id"), ("message", "session_id"), ("part", "session_id")):
                connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (one["id"],))
            connection.commit()

    def night(self, later=0.0):
        """Import, some time after the last change."""
        os.utime(self.path, (ms(self.now) / 1000, ms(self.now) / 1000))
        self.now += later
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("bamboo_logmetrics.importers.run.now_ns", lambda: ms(self.now) * 10**6)
            result = CliRunner().invoke(cli, ["import", "opencode", str(self.path), "-o", str(self.log), "--append"])
        assert result.exit_code == 0, result.output

    def tokens(self):
        rounds = [line for line in blm.read(self.log) if isinstance(line.event, RoundCompleted)]
        return len(rounds), sum(line.event.usage.total_tokens for line in rounds)


@settings(max_examples=12)
@given(st.data())
def test_any_number_of_imports(tmp_path_factory, data):
    """Sessions that grow, are forked and are removed between imports give each call once, and each end."""
    nights, made, distinct = Nights(tmp_path_factory.mktemp("nights")), [], 0
    for _ in range(data.draw(st.integers(1, 6), label="steps")):
        nights.now += 10
        step = data.draw(st.sampled_from(["new", "fork", "go on", "remove", "night"]), label="step")
        if step == "new" or not made:
            made.append(session(nights.now))
        elif step == "fork":
            made.append(forked(data.draw(st.sampled_from(made), label="of"), nights.now))
        elif step == "remove":
            nights.night(later=3600)  # else what was never imported is gone
            nights.remove(made.pop(data.draw(st.integers(0, len(made) - 1), label="which")))
            continue
        elif step == "night":
            nights.night()
            continue
        one = made[-1] if step != "go on" else data.draw(st.sampled_from(made), label="which")
        at = nights.now
        one["messages"] += [prompt(at + 1), answer(at + 2, None, tokens=None)]
        nights.change(one)
        if data.draw(st.booleans(), label="import under way"):
            nights.night()
        one["messages"][-1]["data"] = answer(at + 2, at + 3)["data"]
        nights.now += 5
        nights.change(one)
        distinct += 1
    if nights.path.exists():
        nights.night(later=3600)
        assert nights.tokens() == (distinct, distinct * A_CALL)
        ends = [line.event.session_id for line in blm.read(nights.log) if isinstance(line.event, SessionCompleted)]
        assert set(nights.sessions) <= set(ends)
        assert blm.verify(nights.log).ok
