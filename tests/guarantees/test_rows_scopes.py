"""Row 51: a block of code ends, and nobody says so; each scope has one terminal event, and the log is whole."""

from __future__ import annotations

import pytest
from support.tools import typed

import bamboo_logmetrics as blm

PROGRAM = """
import asyncio, contextlib, gc, os, sys, threading
import bamboo_logmetrics as blm

log = blm.open_log(sys.argv[1])

def nest(stack):
    stack.enter_context(log.session(model="m"))
    stack.enter_context(log.round(model="m"))
    stack.enter_context(log.request(endpoint="e", model="m"))
    return stack

def thread(work):
    started = threading.Event()
    threading.Thread(target=lambda: work(started), daemon=True).start()
    started.wait()

def inside(started):
    with nest(contextlib.ExitStack()):
        started.set()
        threading.Event().wait()

def generator():
    with nest(contextlib.ExitStack()):
        yield

async def task(started):
    with nest(contextlib.ExitStack()):
        started.set()
        await asyncio.Event().wait()

async def leave():
    started = asyncio.Event()
    global left
    left = asyncio.ensure_future(task(started))
    await started.wait()

async def stream():
    async with log.session(model="m"), log.round(model="m"), log.request(endpoint="e", model="m"):
        yield

async def leave_stream():
    async for _ in stream():
        break
"""

WAYS = {
    "exception": "with nest(contextlib.ExitStack()): 1 / 0",
    "sys.exit": "with nest(contextlib.ExitStack()): sys.exit(3)",
    "Ctrl-C": "with nest(contextlib.ExitStack()): raise KeyboardInterrupt",
    "never left": "kept = nest(contextlib.ExitStack())",
    "a thread that is inside": "thread(inside)",
    "a generator that is never finished": "kept = generator(); next(kept)",
    "a task that is never finished": "asyncio.run(leave())",
    "a stream that is left": "asyncio.run(leave_stream())",
    "the log is closed inside": "with nest(contextlib.ExitStack()): log.close()",
    "collected together with the log": """
agent = {"scopes": nest(contextlib.ExitStack()), "log": log}
agent["itself"] = agent
del agent, log
gc.collect()
""",
    "a fork inside": """
with nest(contextlib.ExitStack()):
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
""",
}


def ends(path):
    """Return the ids of the events that start and of those that end, sorted."""
    found = typed(path)
    names = {"session": "session_id", "round": "round_id", "request": "request_id"}
    ids = {"started": [], "completed": []}
    for line in found:
        kind, _, end = line["event"].partition(".")[2].partition("_")
        ids[end].append((kind, line[names[kind]]))
    return sorted(ids["started"]), sorted(ids["completed"])


@pytest.mark.parametrize("way", WAYS)
def test_row_51_every_way_out(run_python, path, way):
    """Session, round and request have one start and one end each, whatever way the process leaves their blocks."""
    run_python(PROGRAM + WAYS[way], path)
    started, completed = ends(path)
    assert [kind for kind, _ in started] == ["request", "round", "session"]
    assert started == completed
    assert blm.verify([path], complete=True).ok
