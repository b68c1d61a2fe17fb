"""Nothing in the library prints to stdout, and at most one line a minute to stderr, whatever fails."""

from __future__ import annotations

import ast
import functools
import json
from pathlib import Path

import pytest
from support import TESTS

import bamboo_logmetrics as blm

PACKAGE = Path(blm.__file__).parent
PREFIX = "bamboo_logmetrics: "
SECRETS = ("sk-proj-abcdefghij1234567890", "hunter2", "correcthorsebattery")

# Every trouble has a log of its own. The secrets stand in the path and in the errors.
TROUBLES = """
import errno, json, os, sys, threading, warnings
# Up to Python 3.13 a process that ends while a thread is in Rust code aborts, and these logs give up in the middle.
sys.modules["ahocorasick_rs"] = None
sys.path.insert(0, sys.argv[2])
from support.faults import FaultyFS, oserror
from support.tools import tool
import bamboo_logmetrics as blm
from bamboo_logmetrics.system import Clock
from bamboo_logmetrics.testing import FailingSink, ManualClock, open_log_on

folder = os.path.join(sys.argv[1], "api_key=hunter2", "two\\nlines")
os.makedirs(folder)
KEY = "sk-proj-abcdefghij1234567890"


class Spiteful:
    def __repr__(self):
        raise ValueError(f"password=correcthorsebattery {KEY}")

    __str__ = __reduce__ = __hash__ = __repr__


class Killing(FailingSink):
    def write(self, lines, deadline=None):
        if threading.current_thread() is threading.main_thread():
            raise OSError(errno.EIO, "not in the application's own thread")
        raise SystemExit(f"killed by {KEY}")


def failing(name, code=errno.EIO, when=lambda *_: True):
    fs = FaultyFS()
    fs.fail(name, OSError(code, f"the disk of {KEY} is gone\\n\\rTraceback: password=hunter2"), times=None, when=when)
    return fs


def troubled(clock):
    def opened(name, fs=None, **options):
        return blm.open_log(os.path.join(folder, name), fs=fs or FaultyFS(), clock=clock, queue_size=100, **options)

    raising = FailingSink()
    raising.always = RuntimeError(f"a fault with token={KEY}")
    return [
        opened("missing/directory.jsonl", failing("makedirs")),
        opened("full.jsonl", failing("write", errno.ENOSPC)),
        opened("locked.jsonl", failing("lock")),
        opened("rotation.jsonl", failing("rename", errno.EACCES), max_bytes=2000),
        opened("compression.jsonl", failing("pread"), max_bytes=2000, compress="gzip"),
        opened("fsync.jsonl", failing("fsync"), durability="fsync", block_timeout=0),
        opened("values.jsonl", on_full="drop_oldest"),
        open_log_on(Killing(), os.path.join(folder, "killed.jsonl"), clock=clock, queue_size=100),
        open_log_on(raising, os.path.join(folder, "raising.jsonl"), clock=clock, queue_size=100),
    ]


def emit(logs, count):
    for n in range(count):
        for log in logs:
            log.emit(tool(n), bad=Spiteful(), key=KEY)
            log.error("plain", bad=Spiteful(), exc_info=ValueError(KEY))
"""


def run(run_python, tmp_path, code):
    done = run_python(TROUBLES + code, tmp_path, TESTS)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == done.stderr.count("\n")
    for line in lines:
        assert line.startswith(PREFIX), line
        assert "Traceback (most" not in line
        assert not any(secret in line for secret in SECRETS), line
    return lines


def test_quiet_a_short_process_says_two_lines(run_python, tmp_path):
    """With nine logs in trouble, no threads to be had and a fork, a process says one line, and one at its end."""
    code = """
# Python itself warns of a fork beside threads
warnings.simplefilter("ignore", DeprecationWarning)
start = threading.Thread.start


def refuse(self):
    raise RuntimeError(f"can't start new thread {KEY}")


logs = troubled(Clock())
emit(logs, 200)
threading.Thread.start = refuse
logs += [blm.open_log(os.path.join(folder, "no threads.jsonl"), fs=failing("write"))]
emit(logs, 100)
for refused in (True, False):
    threading.Thread.start = refuse if refused else start
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(f"{sys.argv[1]}/child {refused}", os.O_WRONLY | os.O_CREAT), 2)
        emit(logs, 50)
        for log in logs:
            log.close(timeout=0.01)
        sys.exit()
    assert os.waitpid(pid, 0)[1] == 0
for log in logs:
    log.close(timeout=0.01)
    log.emit(tool("late"))
"""
    lines = run(run_python, tmp_path, code)
    assert len(lines) == 2
    assert "will keep trying" in lines[0]
    lost = ["directory", "full", "locked", "killed", "raising", "no threads"]
    missing = [name for name in lost if f"{name}.jsonl: closed before all was written" not in lines[1]]
    assert not missing, lines[1]
    for name in ("child True", "child False"):
        said = (tmp_path / name).read_text()
        assert said.count("\n") == 1  # the minute is that of the parent: the end is all that is said
        assert said.startswith(PREFIX)
        assert not any(secret in said for secret in SECRETS)


def test_quiet_for_an_hour(run_python, tmp_path):
    """In an hour of nine logs in trouble there is a line in most minutes, and in none are there two."""
    code = """
clock = ManualClock()
said = []  # (the time, the lines on stderr so far)


def look():
    said.append((clock.monotonic(), os.fstat(2).st_size and open(stderr).read().count("\\n")))


stderr = os.path.join(sys.argv[1], "stderr")
real = os.dup(2)
os.dup2(os.open(stderr, os.O_RDWR | os.O_CREAT | os.O_APPEND), 2)
logs = troubled(clock)
for step in range(180):
    emit(logs, 2)
    logs[step % len(logs)].flush(timeout=0)
    look()
    clock.advance(20)
closing = threading.Thread(target=lambda: [log.close(timeout=5) for log in logs])
closing.start()
while closing.is_alive():
    clock.advance(0.5)
    closing.join(0.01)
look()
os.dup2(real, 2)
with open(stderr) as file:
    sys.stderr.write(file.read())
with open(os.path.join(sys.argv[1], "said"), "w") as file:
    json.dump(said, file)
"""
    lines = run(run_python, tmp_path, code)
    said = json.loads((tmp_path / "said").read_text())
    for index, (then, before) in enumerate(said):
        for now, count in said[index + 1 :]:
            assert count - before <= (now - then) // 60 + 1
    minutes = said[-1][0] // 60
    assert minutes // 2 < said[-1][1] <= minutes + 1
    assert len(lines) <= said[-1][1] + 1
    assert any("more not shown)" in line for line in lines)


@pytest.mark.parametrize("stderr", ["None", "closed", "full"])
def test_quiet_without_stderr(run_python, tmp_path, stderr):
    """With a stderr that is None, closed or fails, logs in trouble say nothing, and nothing is raised."""
    code = f"""
how = {stderr!r}
if how == "None":
    sys.stderr = None
elif how == "closed":
    sys.stderr.close()
else:
    sys.stderr = open("/dev/full", "w", buffering=1)
try:
    logs = troubled(Clock())
    emit(logs, 50)
    for log in logs:
        log.close(timeout=0.01)
except BaseException as error:
    sys.stdout.write(repr(error))
if how == "full":
    sys.stderr = None
"""
    assert run(run_python, tmp_path, code) == []


# -- in the source -----------------------------------------------------------------------


def names_in(tree):
    """Give the dotted names in a module, as they are written, and those that it imports."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Attribute, ast.Name)):
            yield ast.unparse(node)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@functools.cache
def names_used():
    """Return (file, name) for all names in the package, but for the command line's.

    ``sitecustomize.py`` is part of ``bamboo-logmetrics run``: it says that a Python does not have the package.
    """
    return [
        (path.relative_to(PACKAGE).as_posix(), name)
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).parts[0] != "cli" and path.name != "sitecustomize.py"
        for name in names_in(ast.parse(path.read_text(encoding="utf-8")))
    ]


def users_of(*wanted):
    """Return the files in which one of the names occurs, or begins one where it ends with a line, once for each time."""
    beginnings = tuple(each for each in wanted if each.endswith("_"))
    return [file for file, name in names_used() if name in wanted or name.startswith(beginnings)]


def test_quiet_source_never_prints():
    """No module but the command line's prints, warns, or shows a traceback by itself."""
    assert users_of("print", "pprint.pprint", "sys.stdout") == []
    assert users_of("warnings.warn", "traceback.print_", "sys.excepthook", "threading.excepthook") == []
    assert users_of("logging.lastResort", "logging.basicConfig", "faulthandler.enable") == []
    assert users_of("sys.__stdout__", "sys.__stderr__") == ["logfiles/stream.py"] * 2  # whether they are open


def test_quiet_source_has_one_way_to_stderr():
    """stderr is written in one place."""
    assert users_of("sys.stderr") == ["pipeline/diagnostics.py"]


def test_quiet_source_search_finds_something():
    """The search for names sees calls, attributes and imports."""
    assert "pipeline/process.py" in users_of("atexit.register")
    assert "pipeline/channel.py" in users_of("_thread.get_ident")
    assert users_of("threading.Thread")
