"""Real servers on loopback: started, asked under load, and stopped by their process id."""

from __future__ import annotations

import http.client
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

from support import ROOT

PAGE = ROOT / "docs" / "guides" / "servers.md"
_PORT = re.compile(r"(?:http://)?127\.0\.0\.1:(\d+)")


def recipe(title):
    """Return the file's name, the program and the commands of a recipe in the documentation."""
    section = PAGE.read_text(encoding="utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    program = re.search(r"```python\n# (\S+)\n(.*?)```", section, re.DOTALL)
    commands = re.search(r"```console\n(.*?)```", section, re.DOTALL)
    return program[1], program[2], [line.removeprefix("$ ") for line in commands[1].splitlines()] if commands else []


def commands(*titles):
    """Return (title, command) for each command of the recipes."""
    return [(title, command) for title in titles for command in recipe(title)[2]]


def free_port():
    """Return the number of a port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


_ADDRESS = {
    "uvicorn": lambda port: ["--port", port],
    "gunicorn": lambda port: ["-b", f"127.0.0.1:{port}"],
    "hypercorn": lambda port: ["-b", f"127.0.0.1:{port}"],
    "celery": lambda _: [],
    "uwsgi": lambda port: ["--http-socket", f"127.0.0.1:{port}"],
}


class Server:
    """A running server: its process, its port, and what it said so far."""

    def __init__(self, process, port, output):
        self.process = process
        self.port = port
        self._output = output

    def said(self):
        """Return the output of its processes so far."""
        return self._output.read_text(encoding="utf-8", errors="replace")

    def wait_until_said(self, text, times=1):
        """Wait until its processes have written a text so many times."""
        pause = threading.Event()
        for _ in range(1_000):
            if self.said().count(text) >= times:
                return
            pause.wait(0.05)
        raise AssertionError(self.said())

    def stop(self, *signums):
        """Send signals, SIGTERM unless told otherwise, wait until all its processes end, and return the exit code."""
        for signum in signums or (signal.SIGTERM,):
            self.process.send_signal(signum)
        try:
            code = self.process.wait(40)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end\n{self.said()}") from None
        self._wait_for_workers()
        return code

    def _wait_for_workers(self):
        """Wait for workers that were killed and have not ended yet: for ``verify`` they run until then."""
        pause = threading.Event()
        for _ in range(400):
            if not _processes_of(self.process.pid):
                return
            pause.wait(0.05)
        raise AssertionError(f"workers do not end\n{self.said()}")


def _processes_of(session):
    """Return the ids of the processes of a session that have not ended."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            state, _, _, its_session = (directory / "stat").read_text().rpartition(") ")[2].split()[:4]
            if its_session == str(session) and state not in "ZX":
                found.append(directory.name)
    return found


@contextmanager
def serving(folder, command, **environ):
    """Run the server of a command of the documentation in a folder; nothing of it is left afterwards."""
    name, *arguments = shlex.split(command)
    port, output = str(free_port()), folder / "output"
    program = (
        [os.path.join(os.path.dirname(sys.executable), "uwsgi")] if name == "uwsgi" else [sys.executable, "-m", name]
    )
    paths = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    environ = os.environ | {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "PYTHONPATH": paths} | environ
    # Celery forks in a thread: a child would wait for ever for the lock of stderr's buffer, if it is held at that moment
    environ["PYTHONUNBUFFERED"] = "1"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [*program, *_ADDRESS[name](port), *arguments],
            cwd=folder,
            env=environ,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(process, int(port), output)
    try:
        yield server
    finally:
        with suppress(ProcessLookupError):  # all have ended, as they should
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)


class Load:
    """Threads that ask a server one question after the other until it is gone; each question has a name of its own."""

    def __init__(self, server, *, threads=3, path="/ask/{}"):
        self._server = server
        self._path = path
        self._go_on = True
        self._reached = threading.Condition()
        self.answered = []
        self._threads = [threading.Thread(target=self._ask_on, args=(number,)) for number in range(threads)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._go_on = False
        for thread in self._threads:
            thread.join()

    def wait(self, count):
        """Wait until so many questions were answered."""
        with self._reached:
            done = self._reached.wait_for(lambda: len(self.answered) >= count or not self._alive(), 50)
        assert done, self._server.said()
        assert self._alive(), self._server.said()

    def _alive(self):
        return self._server.process.poll() is None

    def _ask_on(self, thread):
        pause, number = threading.Event(), 0
        while self._go_on and self._alive():
            number += 1
            name = f"q{thread}-{number}"
            if self._ask(name):
                with self._reached:
                    self.answered.append(name)
                    self._reached.notify_all()
            else:
                pause.wait(0.02)
        with self._reached:
            self._reached.notify_all()

    def _ask(self, name):
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=20)
        try:
            connection.request("GET", self._path.format(name), headers={"X-Request-ID": name})
            answer = connection.getresponse()
            body = answer.read()
        except (http.client.HTTPException, OSError):
            return False
        finally:
            connection.close()
        assert answer.status in {200, 500, 503}, body  # 500: the worker was killed meanwhile
        return answer.status == 200
