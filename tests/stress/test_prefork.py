"""Servers and task queues that fork their workers: gunicorn, Celery, billiard, and one written by hand.

None of them is told about the log: their workers' ends must be clean without a hook.
"""

from __future__ import annotations

import collections
import http.client
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress

import pytest
from support.counting import findings, lines_of
from support.tools import typed

import bamboo_logmetrics as blm

TOOL = """
import json, os, socket, sys
import bamboo_logmetrics as blm
def tool(n):
    return blm.ToolCalled(tool_call_id=str(n), round_id="r", session_id="s", tool_name="t", latency_ms=1, success=True)
"""


@pytest.fixture
def need():
    """Skip, with the reason, a test of something that is not installed."""

    def needing(name):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")

    return needing


@contextmanager
def running(path, *command):
    """Run a module beside the log, in a process group of its own that is gone afterwards."""
    environ = os.environ | {"LOG_PATH": str(path), "XDG_RUNTIME_DIR": str(path.parent), "HOME": str(path.parent)}
    # Celery forks in a thread: a child inherits the lock of stderr's buffer, held if another thread writes at that
    # moment, and waits for it for ever when it says its first word. Without a buffer there is no such lock.
    environ["PYTHONUNBUFFERED"] = "1"
    command = [sys.executable, "-m", *map(str, command)]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, cwd=path.parent, env=environ, start_new_session=True
    )
    try:
        with process.stderr:
            yield process
    finally:
        with suppress(ProcessLookupError):  # all have ended, as they should
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)


def read_until(process, pattern, count):
    """Read a process's stderr until a pattern has come so many times; return its first groups."""
    found = []
    while len(found) < count:
        line = process.stderr.readline()
        assert line, "it has ended"
        found += re.findall(pattern, line)
    return found


def stop(process):
    """End a process by SIGTERM; return what else it said."""
    process.terminate()
    said = process.stderr.read()
    assert process.wait(20) == 0, said
    return said


def all_clean(path):
    """Assert that every writer has said that it stopped and nothing was lost; return their reports."""
    report = blm.verify([path])
    assert not report.problems
    assert {writer.end for writer in report.writers} == {"stopped"}
    assert dict(report.dropped) == {}
    return report.writers


# -- gunicorn -------------------------------------------------------------------------------

WEB_APP = """
import os
import bamboo_logmetrics as blm

blm.configure(os.environ["LOG_PATH"], max_bytes=500_000)
log = blm.get_logger()

def app(environ, start_response):
    name = environ["QUERY_STRING"]
    log.emit(blm.RequestStarted(request_id=name, endpoint="/v1", model="m", is_stream=False))
    body = str(os.getpid()).encode()
    log.emit(blm.RequestCompleted(request_id=name, status_code=200, status="success", usage=None, latency_ms=1))
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
THREADS = 3


class Client:
    """Asks a server from several threads; keeps what was answered, and by which process."""

    def __init__(self, port, *, keep_alive):
        self._port = port
        self._keep_alive = keep_alive
        self.answered = []
        self.unanswered = []
        self.pids = set()

    def ask(self, count, halfway):
        """Get ``count`` answers; call ``halfway`` when the first half is there."""
        shares = [range(number, count, THREADS) for number in range(THREADS)]
        threads = [threading.Thread(target=self._ask_share, args=(share, count // 2, halfway)) for share in shares]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def ask_until_reloaded(self, old):
        """Go on until a process that was not there before has answered."""
        while self.pids <= old:
            self._ask_share([len(self.answered)], -1, None)

    def _ask_share(self, numbers, half, halfway):
        connection = self._connect()
        for number in numbers:
            if number == half:
                halfway()
            tries = 0
            while not self._get(connection, f"{number}-{tries}"):  # a new id: the old one may have been seen
                tries += 1
                connection.close()
                connection = self._connect()
        connection.close()

    def _connect(self):
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)

    def _get(self, connection, name):
        try:
            connection.request("GET", f"/?{name}", headers={} if self._keep_alive else {"Connection": "close"})
            response = connection.getresponse()
            self.pids.add(int(response.read()))
        except (http.client.HTTPException, OSError):
            self.unanswered.append(name)
            return False
        assert response.status == 200
        self.answered.append(name)
        return True


@pytest.mark.parametrize(
    ("worker_class", "preload"), [("sync", "--preload"), ("gthread", "--preload"), ("sync", ""), ("gthread", "")]
)
def test_gunicorn_loses_nothing(need, path, worker_class, preload):
    """Of 10,000 requests through a reload and a stop, each that was answered has its two events, once."""
    need("gunicorn")
    (path.parent / "webapp.py").write_text(WEB_APP, encoding="utf-8")
    options = ["-k", worker_class, "-w", 2, "-b", "127.0.0.1:0", *preload.split()]
    with running(path, "gunicorn", *options, "webapp:app") as server:
        (port,) = read_until(server, r"Listening at: http://127.0.0.1:(\d+)", 1)
        old = {int(pid) for pid in read_until(server, r"Booting worker with pid: (\d+)", 2)}
        client = Client(int(port), keep_alive=worker_class == "gthread")
        client.ask(10_000, lambda: server.send_signal(signal.SIGHUP))
        client.ask_until_reloaded(old)
        said = stop(server)
    assert "Handling signal: hup" in said

    events = collections.Counter((line["request_id"], line["event"]) for line in typed(path))
    kinds = ("forward.request_started", "forward.request_completed")
    assert len(client.answered) == len(set(client.answered)) >= 10_000
    assert [name for name in client.answered if not all(events[name, kind] == 1 for kind in kinds)] == []
    assert max(events.values()) == 1
    assert {name for name, _ in events} <= {*client.answered, *client.unanswered}
    writers = all_clean(path)
    assert client.pids <= {writer.pid for writer in writers}
    assert len(list(path.parent.glob("a.jsonl.2*"))) > 5
    assert len(lines_of(path)) == events.total() + sum(writer.own for writer in writers)
    if preload:
        assert server.pid in {writer.pid for writer in writers if writer.written == 0}  # opened it for all


# -- Celery ---------------------------------------------------------------------------------

TASKS = (
    TOOL
    + """
from celery import Celery
from celery.signals import worker_process_shutdown, worker_ready

blm.configure(os.environ["LOG_PATH"], max_bytes=20_000)
log = blm.get_logger()
count, per_child, method = {settings}
ran = []
box = os.path.dirname(os.environ["LOG_PATH"]) + "/box"
os.makedirs(box, exist_ok=True)
app = Celery("tasks", broker="filesystem://")
app.conf.update(
    broker_transport_options=dict(
        data_folder_in=box, data_folder_out=box, control_folder=box + "/control", polling_interval=0.02
    ),
    task_ignore_result=True,
    worker_max_tasks_per_child=per_child,
    worker_prefetch_multiplier=8,
    worker_pool_start_method=method,
)

@app.task
def work(n):
    ran.append(n)
    log.emit(tool(n))

@worker_ready.connect
def send(**_):
    for n in range(count): work.delay(n)

@worker_process_shutdown.connect
def say_last(pid, **_):
    if ran: log.emit(tool(f"last-{{pid}}"))
"""
)


@pytest.mark.parametrize(("method", "count", "per_child"), [("fork", 400, 50), ("spawn", 60, 20)])
def test_celery_loses_nothing(need, path, method, count, per_child):
    """Tasks in prefork children that are replaced, and then shut down warmly, have each event once."""
    need("celery")
    source = TASKS.format(settings=(count, per_child, method))
    (path.parent / "tasks.py").write_text(source, encoding="utf-8")
    options = ["-P", "prefork", "-c", 2, "-l", "info", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    with running(path, "celery", "-A", "tasks", "worker", *options) as worker:
        read_until(worker, r"Task tasks.work\[.*\] succeeded", count)
        stop(worker)
    events = collections.Counter(line["tool_call_id"] for line in typed(path))
    assert {name: n for name, n in events.items() if not name.startswith("last")} == {str(n): 1 for n in range(count)}
    writers = all_clean(path)
    at_work = {writer.pid for writer in writers if writer.written}
    assert {name for name in events if name.startswith("last")} == {f"last-{pid}" for pid in at_work}
    assert len(at_work) >= count // per_child


# -- billiard without Celery ----------------------------------------------------------------

BILLIARD = (
    TOOL
    + """
import billiard

path, how, method, where = sys.argv[1:]
log = None

def open_here(path):
    global log
    log = blm.open_log(path)

def one(n):
    log.emit(tool(n))

def fifty(path, first):
    if log is None: open_here(path)
    for n in range(first, first + 50): one(n)

if __name__ == "__main__":
    context = billiard.get_context(method)
    if where == "parent": open_here(path)
    if how == "process":
        children = [context.Process(target=fifty, args=(path, first)) for first in (0, 50)]
        for child in children: child.start()
        for child in children: child.join()
    else:
        at_start = dict(initializer=open_here, initargs=(path,)) if where == "child" else {}
        pool = context.Pool(2, maxtasksperchild=20, **at_start)
        pool.map(one, range(100), chunksize=1)
        pool.close(); pool.join()
"""
)


@pytest.mark.parametrize("how", ["process", "pool"])
@pytest.mark.parametrize("opened", [("fork", "child"), ("fork", "parent"), ("spawn", "child")], ids="-".join)
def test_billiard_loses_nothing(need, run_python, path, how, opened):
    """Children of billiard, whose pool ends them by os._exit, have written all, and said so."""
    need("billiard")
    done = run_python(BILLIARD, path, how, *opened)
    assert done.returncode == 0, done.stderr
    assert findings(path, map(str, range(100))) == {}
    assert sum(writer.written > 0 for writer in all_clean(path)) >= (2 if how == "process" else 4)


# -- a server by hand -----------------------------------------------------------------------

BARE = (
    TOOL
    + """
path, ending = sys.argv[1:]
log = blm.open_log(path)
listening = socket.create_server(("127.0.0.1", 0))

def serve():
    "Log what comes, one number on a line, until the client hangs up; a word asks for a flush."
    connection, _ = listening.accept()
    with connection, connection.makefile("rw") as talk:
        for line in talk:
            if line == "flush\\n": assert log.flush(20)
            else: log.emit(tool(line.strip()))
            print("ok", file=talk, flush=True)

children = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        serve()
        if ending == "os._exit": os._exit(0)
        if ending == "close": log.close(); os._exit(0)
        if ending == "raise": raise ValueError("as the test wants it")
        sys.exit(0)
    children.append(pid)

clients = [socket.create_connection(listening.getsockname()) for _ in children]
talks = [client.makefile("rw") for client in clients]
for n in [*range(50), "flush", *range(50, 100)]:
    for name, talk in zip("abc", talks):
        print(n if n == "flush" else f"{name}-{n}", file=talk, flush=True)
        assert talk.readline() == "ok\\n"
for talk, client in zip(talks, clients): talk.close(); client.close()
for pid in children: os.waitpid(pid, 0)
print(json.dumps(children))
"""
)


@pytest.mark.parametrize("ending", ["sys.exit", "raise", "close", "os._exit"])
def test_a_bare_prefork_server(run_python, path, ending):
    """A child of os.fork that ends by itself has written all; one that calls os._exit at least what it flushed."""
    done = run_python(BARE, path, ending)
    assert done.returncode == 0, done.stderr
    children = set(json.loads(done.stdout))
    lines = typed(path)
    for name in "abc":
        numbers = [line["tool_call_id"] for line in lines if line["tool_call_id"].startswith(name)]
        assert numbers == [f"{name}-{n}" for n in range(len(numbers))]
        assert (50 if ending == "os._exit" else 100) <= len(numbers) <= 100
    if ending != "os._exit":
        assert children < {writer.pid for writer in all_clean(path)}
        return
    report = blm.verify([path])
    assert {writer.pid for writer in report.writers if writer.end == "unclean end"} == children
    assert {finding.kind for finding in report.problems} == {"unclean_end"}
