"""Made-up sessions of OpenCode: a database with its tables, the JSON files of older versions, forks."""

from __future__ import annotations

import copy
import json
import sqlite3
from itertools import count
from pathlib import Path
from typing import Any

Json = dict[str, Any]
START = 1_767_225_600_000  # ms: 2026-01-01
TABLES = """
CREATE TABLE session (id text PRIMARY KEY, project_id text NOT NULL, parent_id text, directory text NOT NULL,
    title text NOT NULL, version text NOT NULL, agent text, time_created integer NOT NULL, time_updated integer NOT NULL);
CREATE TABLE message (id text PRIMARY KEY, session_id text NOT NULL, time_created integer NOT NULL,
    time_updated integer NOT NULL, data text NOT NULL);
CREATE TABLE part (id text PRIMARY KEY, message_id text NOT NULL, session_id text NOT NULL,
    time_created integer NOT NULL, time_updated integer NOT NULL, data text NOT NULL);
CREATE INDEX message_session_idx ON message (session_id);
CREATE INDEX part_session_idx ON part (session_id);
"""
_numbers = count()


def ms(seconds: float) -> int:
    """Return a time of OpenCode."""
    return START + round(seconds * 1000)


def tokens(given: int = 100, said: int = 10, thought: int = 5, read: int = 50, write: int = 0) -> Json:
    total = given + said + thought + read + write
    return {
        "total": total,
        "input": given,
        "output": said,
        "reasoning": thought,
        "cache": {"read": read, "write": write},
    }


def new_id(kind: str) -> str:
    return f"{kind}_{next(_numbers):06}"


def part(kind: str, **data: Any) -> Json:
    return {"id": new_id("prt"), "data": {"type": kind, **data}}


def tool(name: str = "bash", call: str = "call_1", start: float = 2, end: float = 3, **state: Any) -> Json:
    whole = {"status": "completed", "input": {"command": "secret words"}, "output": "secret words", "metadata": {}}
    return part("tool", tool=name, callID=call, state={**whole, "time": {"start": ms(start), "end": ms(end)}, **state})


def prompt(at: float, *parts: Json) -> Json:
    data = {"role": "user", "time": {"created": ms(at)}, "agent": "build", "model": {"providerID": "p", "modelID": "m"}}
    return {"id": new_id("msg"), "data": data, "parts": list(parts) or [part("text", text="secret words")]}


def answer(at: float, ended: float | None, *parts: Json, parent: str = "msg_p", **data: Any) -> Json:
    times = {"created": ms(at)} if ended is None else {"created": ms(at), "completed": ms(ended)}
    whole = {
        "parentID": parent, "role": "assistant", "mode": "build", "agent": "build", "path": {"cwd": "/x", "root": "/x"},
        "cost": 0.25, "tokens": tokens(), "modelID": "m", "providerID": "p", "time": times, "finish": "stop",
    }  # fmt: skip
    return {"id": new_id("msg"), "data": {**whole, **data}, "parts": list(parts)}


def session(at: float, *messages: Json, **values: Any) -> Json:
    made = {"parent": None, "directory": "/home/ann/work/app", "version": "1.18.33", "agent": "build", **values}
    return {"id": values.get("id") or new_id("ses"), "created": ms(at), "messages": list(messages), **made}


def forked(original: Json, at: float, *messages: Json, upto: int | None = None) -> Json:
    """Return a fork, as OpenCode makes it: new ids of messages and parts, everything else copied."""
    copies = copy.deepcopy(original["messages"][:upto])
    ids = {one["id"]: new_id("msg") for one in copies}
    for one in copies:
        one["id"] = ids[one["id"]]
        if one["data"].get("parentID") in ids:
            one["data"]["parentID"] = ids[one["data"]["parentID"]]
        for its_part in one["parts"]:
            its_part["id"] = new_id("prt")
    return session(at, *copies, *messages)


def database(path: Path, *sessions: Json, updated: float = 100, mode: str = "delete") -> Path:
    """Write a database; a session that is known in it is replaced."""
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA journal_mode = {mode}")
    connection.execute("PRAGMA synchronous = OFF")
    if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        connection.executescript(TABLES)
    for one in sessions:
        add(connection, one, updated)
    connection.commit()
    connection.close()
    return path


def add(connection: sqlite3.Connection, one: Json, updated: float = 100) -> None:
    """Add a session to an open database."""
    values = (one["id"], "global", one["parent"], one["directory"], "secret title", one["version"], one["agent"])
    for table in ("session WHERE id", "message WHERE session_id", "part WHERE session_id"):
        connection.execute(f"DELETE FROM {table} = ?", (one["id"],))
    connection.execute(f"INSERT INTO session VALUES ({','.join('?' * 9)})", (*values, one["created"], ms(updated)))
    for said in one["messages"]:
        row = (said["id"], one["id"], said["data"]["time"]["created"], ms(updated), json.dumps(said["data"]))
        connection.execute("INSERT INTO message VALUES (?, ?, ?, ?, ?)", row)
        for its_part in said["parts"]:
            part_row = (its_part["id"], said["id"], one["id"], ms(updated), ms(updated), json.dumps(its_part["data"]))
            connection.execute("INSERT INTO part VALUES (?, ?, ?, ?, ?, ?)", part_row)


def json_files(storage: Path, one: Json, *, oldest: bool = False) -> Path:
    """Write a session as the files of an older version; return that of the session."""
    base = storage / "session" if oldest else storage
    path = storage / "session" / ("info" if oldest else "global") / f"{one['id']}.json"
    info = {"id": one["id"], "directory": one["directory"], "version": one["version"], "title": "secret title"}
    put(path, {**info, "parentID": one["parent"], "time": {"created": one["created"], "updated": ms(100)}})
    for said in one["messages"]:
        put(base / "message" / one["id"] / f"{said['id']}.json", {**said["data"], "id": said["id"]})
        for its_part in said["parts"]:
            folder = base / "part" / one["id"] / said["id"] if oldest else base / "part" / said["id"]
            put(folder / f"{its_part['id']}.json", {**its_part["data"], "id": its_part["id"]})
    return path


def put(path: Path, data: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data), "utf-8")
