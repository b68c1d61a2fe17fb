"""Real log servers on loopback: build what is missing, start, wait until they answer, say where they are.

`start` and `stop` beside this call it; README.md beside this says what the servers are.
"""

import argparse
import contextlib
import fcntl
import hashlib
import http.client
import json
import os
import re
import shlex
import shutil
import signal
import socket
import string
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

VICTORIALOGS = "v1.121.0"
OTELCOL = "v0.160.0"  # also in otelcol.yaml
OPENSEARCH = "2.19.1.0"  # also in pom.xml

HERE = Path(__file__).resolve().parent
DEADLINE = 120  # seconds for a server to answer, on a machine that still builds another
LOOKS = 0.05  # seconds between two looks at a process
LINES = 30  # of a log that are shown when something fails


class Failure(Exception):
    """A build or a server that did not work."""


def main():
    args = arguments()
    cache = args.dir.expanduser().resolve()
    (cache / "run").mkdir(parents=True, exist_ok=True)
    with alone(cache / "lock"):
        return stop(cache) if args.action == "stop" else start(cache)


def arguments():
    parser = argparse.ArgumentParser(prog="tests/servers/start or stop", description=__doc__)
    parser.add_argument("action", choices=["start", "stop"], help=argparse.SUPPRESS)
    home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    parser.add_argument("--dir", type=Path, default=home / "bamboo-logmetrics-servers", help="the cache folder")
    return parser.parse_args()


@contextlib.contextmanager
def alone(path):
    """One start or stop at a time in a folder: two would build into the same place."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def start(cache):
    book = Book(cache / "run" / "servers.json")
    servers = [kind(cache) for kind in KINDS]
    with ThreadPoolExecutor(len(servers)) as pool:
        results = list(pool.map(lambda server: attempt(server, book), servers))
    for variables in results:
        for name, value in (variables or {}).items():
            print(f"export {name}={shlex.quote(value)}")
    return 1 if None in results else 0


def attempt(server, book):
    """Return the variables of one server, or None when it failed: the others go on."""
    try:
        return server.variables_when_up(book)
    except Failure as failure:
        say(f"{server.name} FAILED: {failure}")
        return None


def stop(cache):
    book = Book(cache / "run" / "servers.json")
    for name, entry in book.entries.items():
        if is_ours(entry["pid"], cache / "run" / name):
            end(entry["pid"], cache / "run" / name)
            say(f"{name}: stopped")
        for variable in entry["variables"]:
            print(f"unset {variable}")
    return 0


class Book:
    """The file that says which server runs under which process id.

    It stays after a stop: a variable with a value from it was set by an earlier start, not from outside.
    """

    def __init__(self, path):
        self.path = path
        self.lock = threading.Lock()
        self.entries = json.loads(path.read_text()) if path.exists() else {}

    def enter(self, name, pid, program, variables):
        with self.lock:
            self.entries[name] = {"pid": pid, "program": str(program), "variables": variables}
            self.path.write_text(json.dumps(self.entries, indent=2) + "\n")

    def knows(self, variable, value):
        with self.lock:
            return any(entry["variables"].get(variable) == value for entry in self.entries.values())


class Server:
    """The steps common to all servers: build unless built, start unless running, wait."""

    name: str
    variables: tuple[str, ...]
    build_tools = ("go",)
    run_tools = ()
    probe = "/"
    probe_body = None

    def __init__(self, cache):
        self.cache = cache
        self.folder = cache / "run" / self.name

    def variables_when_up(self, book):
        outside = [name for name in self.variables if is_outside(name, book)]
        if outside:
            say(f"{self.name}: {outside[0]} is set, left alone")
            return {}
        if missing := self.missing_tools():
            say(f"no {missing[0]}: no {self.name}")
            return {}
        program = built(self.program(), self.build)
        return self.running(book, program) or self.started(book, program)

    def missing_tools(self):
        needed = self.run_tools if self.program().exists() else (*self.build_tools, *self.run_tools)
        return [tool for tool in needed if not shutil.which(tool)]

    def running(self, book, program):
        """Return the variables of a server that an earlier start has left running, if it is the same version."""
        entry = book.entries.get(self.name)
        if not entry or not is_ours(entry["pid"], self.folder):
            return None
        if entry["program"] == str(program) and self.answers(entry["variables"][self.variables[0]], patience=30):
            say(f"{self.name}: runs")
            return entry["variables"]
        end(entry["pid"], self.folder)
        return None

    def started(self, book, program):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        ports = free_ports(2)
        url = f"http://127.0.0.1:{ports[0]}"
        log = self.folder / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.command(program, ports),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # lives on when this shell is closed
            )
        variables = self.exports(program, url)
        book.enter(self.name, process.pid, program, variables)
        self.wait(process, url, log)
        return variables

    def wait(self, process, url, log):
        began = time.monotonic()
        while not self.answers(url):
            if process.poll() is not None:
                raise Failure(f"ended with {process.returncode}\n{tail(log)}")
            if time.monotonic() - began > DEADLINE:
                end(process.pid, self.folder)
                raise Failure(f"no answer in {DEADLINE} s\n{tail(log)}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(LOOKS)
        say(f"{self.name}: answers after {time.monotonic() - began:.1f} s")

    def answers(self, url, patience=5):
        request = urllib.request.Request(url + self.probe, self.probe_body, {"Content-Type": "application/json"})
        # a proxy of the environment is not for loopback
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=patience):
                return True
        except (OSError, http.client.HTTPException):
            return False

    def exports(self, program, url):
        return {self.variables[0]: url}

    def config(self, name, ports):
        """Write a configuration into the folder; its path, in the command line, says whose process it is."""
        text = string.Template((HERE / name).read_text())
        path = self.folder / name
        path.write_text(text.substitute(folder=self.folder, port=ports[0], port2=ports[1]))
        return path


class VictoriaLogs(Server):
    name = "VictoriaLogs"
    variables = ("BAMBOO_TEST_VICTORIALOGS_URL",)
    probe = "/health"

    def program(self):
        return self.cache / f"victoria-logs-{VICTORIALOGS}"

    def build(self, scratch, log):
        source = go_source(f"github.com/VictoriaMetrics/VictoriaMetrics@{VICTORIALOGS}", scratch, log)
        return go_build(source, "./app/victoria-logs", log)

    def command(self, program, ports):
        return [
            program,
            f"-httpListenAddr=127.0.0.1:{ports[0]}",
            f"-storageDataPath={self.folder}/data",
            "-memory.allowedBytes=512MB",
            "-retentionPeriod=100y",  # by default it drops what is older than seven days
        ]


class OpenSearch(Server):
    name = "OpenSearch"
    variables = ("BAMBOO_TEST_ELASTICSEARCH_URL",)
    build_tools = ("mvn", "javac")
    run_tools = ("java",)
    probe = "/_cluster/health?wait_for_status=yellow&timeout=1s"  # yellow: indices with replicas

    def program(self):
        return self.cache / f"opensearch-{OPENSEARCH}-{digest('pom.xml', 'Node.java')}"

    def build(self, scratch, log):
        pom, output = HERE / "pom.xml", scratch / "lib"
        # --strict-checksums: a jar that is not what the registry says is refused
        maven = ["mvn", "-q", "-B", "--strict-checksums", "-f", pom, "dependency:copy-dependencies"]
        run(*maven, f"-DoutputDirectory={output}", cwd=scratch, log=log)
        run("javac", "-cp", f"{output}/*", "-d", output, HERE / "Node.java", cwd=scratch, log=log)
        return output

    def command(self, program, ports):
        options = ["-Xms256m", "-Xmx768m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]  # starts sooner, stays small
        return ["java", *options, "-cp", f"{program}/*:{program}", "Node", f"{self.folder}/data", str(ports[0])]


class Collector(Server):
    """The binary alone: tests run it with configurations of their own."""

    name = "otelcol"
    variables = ("BAMBOO_TEST_OTELCOL",)

    def program(self):
        return self.cache / f"otelcol-{OTELCOL}-{digest('otelcol.yaml')}"

    def build(self, scratch, log):
        builder = f"go.opentelemetry.io/collector/cmd/builder@{OTELCOL}"
        run("go", "install", "-p", "2", builder, cwd=scratch, log=log, GOBIN=str(scratch))
        # only the sources: its "go mod tidy" also wants what the modules' own tests need, and not all of that is to be had
        options = ["--skip-get-modules", "--skip-compilation", "--config", HERE / "otelcol.yaml"]
        run(scratch / "builder", *options, cwd=scratch, log=log)
        source = scratch / "generated"
        run("go", "mod", "init", "otelcol", cwd=source, log=log)
        run("go", "mod", "edit", *(f"-require={module}" for module in collector_modules()), cwd=source, log=log)
        return go_build(source, ".", log)

    def running(self, book, program):
        book.enter(self.name, 0, program, {self.variables[0]: str(program)})
        return {self.variables[0]: str(program)}


class Receiver(Collector):
    """A collector that writes to a file what it gets by OTLP."""

    name = "otlp-receiver"
    variables = ("BAMBOO_TEST_OTLP_URL", "BAMBOO_TEST_OTLP_FILE")
    probe = "/v1/logs"
    probe_body = b"{}"  # no logs: nothing of it comes to the file
    running = Server.running

    def command(self, program, ports):
        return [program, "--config", self.config("otlp.yaml", ports)]

    def exports(self, program, url):
        return {self.variables[0]: url, self.variables[1]: f"{self.folder}/received.jsonl"}


KINDS = (VictoriaLogs, OpenSearch, Collector, Receiver)

go_turns = threading.BoundedSemaphore(2)  # Go builds at a time, each of two compilers
program_locks = defaultdict(threading.Lock)


def built(program, build):
    """Return the program, built where it is not there yet and moved there at last: what is there is whole."""
    with program_locks[program]:
        if not program.exists():
            say(f"{program.name}: building")
            began = time.monotonic()
            scratch = program.with_name(program.name + ".building")
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir()
            result = build(scratch, scratch / "log")
            result.rename(program)
            shutil.rmtree(scratch)
            say(f"{program.name}: built in {time.monotonic() - began:.0f} s")
    return program


def collector_modules():
    """Return the requirements of the collector's go.mod: the modules of otelcol.yaml and the frame around them."""
    named = re.findall(r"gomod: (\S+) (\S+)", (HERE / "otelcol.yaml").read_text())
    frame = [(f"go.opentelemetry.io/collector/{name}", OTELCOL) for name in ("otelcol", "service")]
    return [f"{module}@{version}" for module, version in named + frame]


def go_source(module, scratch, log):
    """Make a copy of a module that can be changed: what has `replace` lines cannot be installed by name."""
    answer = scratch / "download.json"
    run("go", "mod", "download", "-json", module, cwd=scratch, log=log, answer=answer)
    source = scratch / "source"
    run("cp", "-R", json.loads(answer.read_text())["Dir"], source, cwd=scratch, log=log)
    run("chmod", "-R", "u+w", source, cwd=scratch, log=log)
    return source


def go_build(source, package, log):
    # -buildvcs: the cache folder may lie in a repository that has nothing to do with it
    options = ["-mod=mod", "-buildvcs=false", "-p", "2", "-ldflags=-s -w"]
    with go_turns:
        run("go", "build", *options, "-o", "program", package, cwd=source, log=log, CGO_ENABLED="0", GOWORK="off")
    return source / "program"


def run(*command, cwd, log, answer=None, **environment):
    """Run a command; what it says goes to `log`, and what it answers on stdout to `answer` if that is wanted alone."""
    with log.open("ab") as errors, (answer or log).open("ab") as output:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            check=False,
        )
    if done.returncode:
        said = tail(log) + (tail(answer) if answer else "")
        raise Failure(f"{' '.join(map(str, command))} ended with {done.returncode}\n{said}")


def is_outside(variable, book):
    value = os.environ.get(variable)
    return bool(value) and not book.knows(variable, value)


def is_ours(pid, folder):
    """Whether the process still is the one that was started: a number is given again to others."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_text() if Path("/proc/self/cmdline").exists() else ps(pid)
    except OSError:
        return False
    return pid > 0 and f"{folder}/" in command


def ps(pid):
    return subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True).stdout


def end(pid, folder):
    for signum, seconds in ((signal.SIGTERM, 15), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)
        until, pause = time.monotonic() + seconds, threading.Event()
        while is_ours(pid, folder) and time.monotonic() < until:
            pause.wait(LOOKS)  # it is no child of this process
        if not is_ours(pid, folder):
            return


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


def digest(*names):
    return hashlib.sha256(b"".join((HERE / name).read_bytes() for name in names)).hexdigest()[:8]


def tail(log):
    return "\n".join(log.read_text(errors="replace").splitlines()[-LINES:])


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
