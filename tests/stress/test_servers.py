"""The recipes of docs/guides/servers.md with the real servers: under load, stopped in the middle of it."""

from __future__ import annotations

import collections
import importlib.util
import json
import re
import signal

import pytest
from support.servers import Load, commands, recipe, serving
from support.tools import flat, typed

import bamboo_logmetrics as blm

KINDS = ("forward.request_started", "forward.request_completed")
MODULES = {"FastAPI": ["fastapi"], "Django": ["django"], "Flask": ["flask"]}


@pytest.fixture
def need():
    """Skip, with the reason, a test of something that is not installed."""

    def needing(*names):
        for name in names:
            if importlib.util.find_spec(name) is None:
                pytest.skip(f"{name} is not installed")

    return needing


def needed(title, command):
    """Return the modules that a command of a recipe needs."""
    name = command.split()[0]
    workers = re.findall(r"-k (gevent|uvicorn_worker)", command)
    return [*MODULES[title], "uwsgidecorators" if name == "uwsgi" else name, *workers]


def wait_for_workers(load, path, workers):
    """Wait until so many processes have answered: one that is stopped while it starts has nothing to lose."""
    while len(_writers_so_far(path)) < workers:
        load.wait(len(load.answered) + 20)


def _writers_so_far(path):
    whole = path.read_bytes().rpartition(b"\n")[0]  # the last line may be seen half written
    lines = [json.loads(line) for line in whole.splitlines()]
    return {line["writer"] for line in lines if line["event"].startswith(("chat.", "forward."))}


def complete(path, answered):
    """Assert that of each answered question the log has each event, once, with what was bound, and ends well."""
    assert len(answered) == len(set(answered))
    events = collections.Counter((line["request_id"], line["event"]) for line in typed(path))
    texts = collections.Counter(line["question"] for line in flat(path) if line["event"] == "audited")
    assert [name for name in answered if not all(events[name, kind] == 1 for kind in KINDS)] == []
    assert [name for name in answered if texts[name] != 1] == []
    assert max(events.values()) == max(texts.values()) == 1
    report = blm.verify([path])
    assert report.ok, report.problems
    assert {writer.end for writer in report.writers} == {"stopped"}
    assert dict(report.dropped) == {}
    return report


@pytest.mark.parametrize(("title", "command"), commands("FastAPI", "Django", "Flask"))
def test_a_recipe_loses_nothing(need, tmp_path, title, command):
    """Stopped under load, a server of the documentation has every event of every answered request, and a clean end."""
    need(*needed(title, command))
    name, program, _ = recipe(title)
    (tmp_path / name).write_text(program, encoding="utf-8")
    workers = 2 if re.search(r"(-w|-p|--workers) 2", command) else 1
    with serving(tmp_path, command) as server, Load(server) as load:
        load.wait(150)
        (path,) = (tmp_path / "logs").glob("*.jsonl")
        wait_for_workers(load, path, workers)
        server.stop()
    report = complete(path, load.answered)
    if title != "FastAPI":
        return
    lines = flat(path)
    assert {line["trace_id"] for line in typed(path)} >= set(load.answered)
    assert all(line["path"] == f"/ask/{line['request_id']}" for line in typed(path))
    assert all(line["options"] == {"retries": 2} for line in typed(path) if line["event"] == KINDS[0])
    ends = [line for line in lines if line["event"] == "no request is under way any more"]
    assert len(ends) == sum(line["event"] == "serving" for line in lines) == len(report.writers) >= workers


# -- uvicorn and SIGTERM --------------------------------------------------------------------

LATE = """
import os
from contextlib import asynccontextmanager
from fastapi import BackgroundTasks, FastAPI
import bamboo_logmetrics as blm

log = blm.get_logger()
how = os.environ["HOW"].split()
acknowledged = os.open("acknowledged", os.O_CREAT | os.O_APPEND | os.O_WRONLY)

def configure():
    blm.configure("a.jsonl", close_on_sigterm="signal" in how)
    if "two" in how:
        global other
        other = blm.open_log("b.jsonl", close_on_sigterm="signal" in how)

def emit(name, log=log):
    event = blm.ToolCalled(
        tool_call_id=name, round_id="r", session_id="s", tool_name="t", latency_ms=1, success=True
    )
    if log.emit(event): os.write(acknowledged, f"{name}\\n".encode())

if "import" in how: configure()

@asynccontextmanager
async def lifespan(app):
    if "lifespan" in how: configure()
    yield
    for n in range(20):
        emit(f"late-{os.getpid()}-{n}")
        if "two" in how: emit(f"other-{os.getpid()}-{n}", other)
    if "close" in how: blm.close()

app = FastAPI(lifespan=lifespan)

@app.get("/ask/{name}")
async def ask(name: str, background: BackgroundTasks):
    if "request" in how and log._logger.pipeline is None: configure()
    emit(name)
    background.add_task(emit, f"background-{name}")
    return {}
"""


def missing(folder):
    """Return the acknowledged events that no log of a folder has, and whether ``verify`` takes all logs for complete."""
    acknowledged = (folder / "acknowledged").read_text(encoding="ascii").split()
    logs = sorted(folder.glob("*.jsonl"))
    written = [line["tool_call_id"] for log in logs for line in typed(log)]
    assert len(written) == len(set(written))
    assert sum(name.startswith("late") for name in acknowledged) >= 20
    return set(acknowledged) - set(written), blm.verify(logs).ok


@pytest.mark.parametrize("more", ["", "--workers 2", "--reload"])
@pytest.mark.parametrize(
    "how",
    [
        "signal lifespan",
        "signal import",
        "signal request",
        "signal lifespan two",
        "lifespan close",
        "signal lifespan close",
    ],
)
def test_uvicorn_loses_nothing_that_its_lifespan_emits(need, tmp_path, how, more):
    """With close_on_sigterm or a close in the lifespan, everything acknowledged is in the files, though the signal kills."""
    need("uvicorn", "fastapi")
    (tmp_path / "late.py").write_text(LATE, encoding="utf-8")
    with serving(tmp_path, f"uvicorn late:app {more}", HOW=how) as server, Load(server) as load:
        load.wait(100)
        wait_for_workers(load, tmp_path / "a.jsonl", 2 if "workers" in more else 1)
        server.stop()
    assert missing(tmp_path) == (set(), True)


@pytest.mark.parametrize("more", ["", "--workers 2"])
def test_uvicorn_without_the_recipe_is_an_unclean_end(need, tmp_path, more):
    """Without both, what was queued is lost when uvicorn raises the signal again, and ``verify`` says so."""
    need("uvicorn", "fastapi")
    (tmp_path / "late.py").write_text(LATE, encoding="utf-8")
    with serving(tmp_path, f"uvicorn late:app {more}", HOW="lifespan") as server, Load(server) as load:
        load.wait(100)
        server.stop()
    lost, ok = missing(tmp_path)
    assert not (lost and ok)


@pytest.mark.parametrize("signums", [(signal.SIGINT,), (signal.SIGINT, signal.SIGINT), (signal.SIGINT, signal.SIGTERM)])
@pytest.mark.parametrize("how", ["lifespan", "signal lifespan"])
def test_ctrl_c_under_uvicorn(need, tmp_path, how, signums):
    """Ctrl-C, twice too, ends Python in the ordinary way, and beside SIGTERM what is acknowledged is written or missed aloud."""
    need("uvicorn", "fastapi")
    (tmp_path / "late.py").write_text(LATE, encoding="utf-8")
    with serving(tmp_path, "uvicorn late:app", HOW=how) as server, Load(server) as load:
        load.wait(100)
        server.stop(*signums)
    acknowledged = set((tmp_path / "acknowledged").read_text(encoding="ascii").split())
    written = {line["tool_call_id"] for line in typed(tmp_path / "a.jsonl")}
    if signal.SIGTERM not in signums or "signal" in how:
        assert acknowledged <= written
    assert acknowledged <= written or not blm.verify([tmp_path / "a.jsonl"]).ok


# -- uWSGI ----------------------------------------------------------------------------------

ACKNOWLEDGED = """
import os
acknowledged = os.open("acknowledged", os.O_CREAT | os.O_APPEND | os.O_WRONLY)

@app.get("/acknowledged/<question>")
def acknowledge(question):
    if log.emit(blm.RequestStarted(request_id=question, endpoint="chat", model="m", is_stream=False)):
        os.write(acknowledged, f"{question}\\n".encode())
    return {}
"""


@pytest.mark.parametrize("more", ["", "--threads 4", "--enable-threads --py-call-uwsgi-fork-hooks", "--lazy-apps"])
def test_uwsgi_that_kills_its_workers_is_an_unclean_end(need, tmp_path, more):
    """Stopped without grace, uWSGI's workers may die with events queued; ``verify`` then never takes the log for complete."""
    need("uwsgidecorators", "flask")
    name, program, _ = recipe("Flask")
    (tmp_path / name).write_text(program + ACKNOWLEDGED, encoding="utf-8")
    command = f"uwsgi --master -p 2 --module site_app:app --die-on-term {more}"
    path = tmp_path / "logs" / "site.jsonl"
    with serving(tmp_path, command) as server, Load(server, path="/acknowledged/{}") as load:
        load.wait(150)
        wait_for_workers(load, path, 2)  # one that is killed while it loads the application never ends
        server.stop()
    # a log that --die-on-term closes in the ordinary way refuses what other threads emit meanwhile
    acknowledged = set((tmp_path / "acknowledged").read_text(encoding="ascii").split())
    written = {line["request_id"] for line in typed(path)}
    assert acknowledged <= written or not blm.verify([path]).ok
    assert len(acknowledged) >= 150
    assert written  # all but what was queued when they were killed


# -- gunicorn kills a worker ----------------------------------------------------------------

STUCK = """
import os, threading
import bamboo_logmetrics as blm

blm.configure("a.jsonl", close_on_sigterm="uvicorn" in os.environ["HOW"])
log = blm.get_logger()
acknowledged = os.open("acknowledged", os.O_CREAT | os.O_APPEND | os.O_WRONLY)

def emit(name):
    event = blm.ToolCalled(
        tool_call_id=name, round_id="r", session_id="s", tool_name="t", latency_ms=1, success=True
    )
    if log.emit(event): os.write(acknowledged, f"{name}\\n".encode())

def ask(name):
    emit(name)
    while name.startswith("stuck"):
        emit(f"{name}-{threading.get_ident()}-{len(os.listdir('.'))}-{os.times().elapsed}")
        threading.Event().wait(0.01)

def wsgi(environ, start_response):
    ask(environ["PATH_INFO"].rpartition("/")[2])
    start_response("200 OK", [("Content-Length", "0")])
    return [b""]

async def asgi(scope, receive, send):
    if scope["type"] != "http": return
    ask(scope["path"].rpartition("/")[2])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})
"""


@pytest.mark.parametrize(
    "command", ["gunicorn -t 1 stuck:wsgi", "gunicorn -t 1 -k uvicorn_worker.UvicornWorker stuck:asgi"]
)
def test_a_worker_that_gunicorn_aborts_ends_well_or_uncleanly(need, tmp_path, command):
    """A worker that is aborted for its timeout has written everything, or ``verify`` names its unclean end."""
    need("gunicorn", "uvicorn_worker")
    (tmp_path / "stuck.py").write_text(STUCK, encoding="utf-8")
    with serving(tmp_path, command, HOW=command) as server:
        with Load(server, threads=1) as load:
            load.wait(50)
        with Load(server, threads=1, path="/ask/stuck-{}"):
            server.wait_until_said("WORKER TIMEOUT")
            server.wait_until_said("Booting worker with pid", 2)
            server.stop(signal.SIGQUIT)
    acknowledged = set((tmp_path / "acknowledged").read_text(encoding="ascii").split())
    written = {line["tool_call_id"] for line in typed(tmp_path / "a.jsonl")}
    if "uvicorn" not in command:
        assert acknowledged <= written
    assert acknowledged <= written or not blm.verify([tmp_path / "a.jsonl"]).ok
    assert len(written) > 50


# -- Celery ---------------------------------------------------------------------------------

SETTINGS = """
import os
from celery.signals import worker_ready

acknowledged = os.open("acknowledged", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
emit = log.emit
class Recording:
    def emit(self, event):
        if emit(event): os.write(acknowledged, f"{event.tool_call_id}\\n".encode())
log = Recording()
app.conf.update(
    broker_transport_options=dict(
        data_folder_in="box", data_folder_out="box", control_folder="control", polling_interval=0.02
    ),
    task_ignore_result=True,
    worker_prefetch_multiplier=8,
)

@worker_ready.connect
def send(**_):
    for n in range(400): work.delay(n)
"""


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGQUIT])
def test_celery_warm_and_cold(need, tmp_path, signum):
    """A warm shutdown of Celery loses nothing that was acknowledged; after a cold one nothing is missing unnoticed."""
    need("celery")
    name, program, _ = recipe("Celery")
    program = program.replace("amqp://localhost", "filesystem://") + SETTINGS
    (tmp_path / name).write_text(program, encoding="utf-8")
    (tmp_path / "box").mkdir()
    options = "-P prefork -c 2 -l info --without-gossip --without-mingle --without-heartbeat"
    with serving(tmp_path, f"celery -A tasks worker {options}") as worker:
        worker.wait_until_said("succeeded in", 100)
        worker.stop(signum)
    acknowledged = set((tmp_path / "acknowledged").read_text(encoding="ascii").split())
    (path,) = (tmp_path / "logs").glob("*.jsonl")
    written = {line["tool_call_id"] for line in typed(path)}
    assert len(acknowledged) >= 100
    report = blm.verify([path])
    if signum == signal.SIGTERM:
        assert acknowledged <= written
        assert report.ok
    assert acknowledged <= written or not report.ok


# -- restarts -------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("more", ["", "--workers 2"])
def test_uvicorn_is_restarted_a_hundred_times(need, tmp_path, more):
    """Restarted a hundred times under load, with one log, uvicorn has every event of every answered request each time."""
    need("uvicorn", "fastapi")
    name, program, _ = recipe("FastAPI")
    (tmp_path / name).write_text(program, encoding="utf-8")
    answered, restarts = [], 100
    for restart in range(restarts):
        with (
            serving(tmp_path, f"uvicorn web:app --log-level warning {more}") as server,
            Load(server, path=f"/ask/{restart}-{{}}") as load,
        ):
            load.wait(100)
            server.stop()
        answered += [f"{restart}-{name}" for name in load.answered]
        assert len(complete(tmp_path / "logs" / "web.jsonl", answered).writers) >= restart + 1
