"""Row 14, its second half: nothing is lost on SIGTERM with the opt-in ``close_on_sigterm``."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from support.tools import flat, of_kind, typed

import bamboo_logmetrics as blm

START = """
import mmap, os, select, signal, sys, threading
import bamboo_logmetrics as blm
path = sys.argv[1]
def tool(n):
    return blm.ToolCalled(tool_call_id=str(n), round_id="r", session_id="s", tool_name="t", latency_ms=1, success=True)
def opened(**options):
    return blm.open_log(path, close_on_sigterm=True, flush_interval=60, **options)
def ready():
    os.write(1, b"ready\\n")
def wait(fd=None):
    # not in one system call: a signal that comes just before it would be heard only after it
    while not select.select([] if fd is None else [fd], [], [], 0.05)[0]: pass
"""
WAIT = "log = opened()\nfor n in range(5_000): log.emit(tool(n))\nready()\nwait()\n"


@pytest.fixture
def terminated(path, tmp_path):
    """Run a program, send it SIGTERM each time it says that it is ready, and return its exit code and later output."""

    def running(code, times=1):
        script = tmp_path / "program.py"
        script.write_text(START + code, encoding="utf-8")
        command = [sys.executable, str(script), str(path)]
        # unbuffered: else readline would keep what communicate is to return
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0) as child:
            try:
                for _ in range(times):
                    assert child.stdout.readline() == b"ready\n", child.stderr.read().decode()
                    child.send_signal(signal.SIGTERM)
                out, err = child.communicate(timeout=30)
            finally:
                child.kill()
        assert err == b""
        return child.returncode, out.decode()

    return running


def counted(path, events):
    """Assert that the log holds so many events, each once, and that every writer ended well."""
    assert len(typed(path)) == len({line["tool_call_id"] for line in typed(path)}) == events
    assert blm.verify([path]).ok
    assert flat(path)[-1]["event"] == "system.worker_stopped"


def test_row_14_sigterm_that_kills(terminated, path):
    """Where SIGTERM kills, everything is written first, the log ends well, and the process dies of SIGTERM all the same."""
    assert terminated(WAIT) == (-signal.SIGTERM, "")
    counted(path, 5_000)


HANDLER = """
def handler(signum, frame):
    print("mine", signum, flush=True)
    {body}
signal.signal(signal.SIGTERM, handler)
"""


@pytest.mark.parametrize(
    ("body", "code", "events"),
    [
        ("sys.exit(3)", 3, 5_000),
        ("os._exit(7)", 7, 5_000),
        ("log.emit(tool('late')); sys.exit(4)", 4, 5_001),
        ("log.emit(tool('late')); raise KeyboardInterrupt", -signal.SIGINT, 5_001),
        ("log.emit(tool('late')); log.close(); os._exit(5)", 5, 5_001),
    ],
)
def test_row_14_sigterm_with_a_handler_of_the_application(path, terminated, body, code, events):
    """The application's handler runs after everything is written, once; what it emits is written too."""
    program = HANDLER.format(body=body) + WAIT
    if "KeyboardInterrupt" in body:
        program = program.replace("ready()\n", "sys.stderr = open(os.devnull, 'w')\nready()\n")
    assert terminated(program) == (code, f"mine {signal.SIGTERM}\n")
    counted(path, events)


def test_row_14_sigterm_that_the_application_survives(terminated, path):
    """Where the application's handler returns, the log goes on under its writer, and the next SIGTERM is as the first."""
    code, out = terminated(
        """
reading, writing = os.pipe()
signal.signal(signal.SIGTERM, lambda *_: os.write(writing, b"x"))
log = opened()
for number in range(3):
    for n in range(100): log.emit(tool((number, n)))
    ready()
    wait(reading)
    os.read(reading, 1)
print(log.stats().written)
""",
        times=3,
    )
    assert (code, out) == (0, "300\n")
    counted(path, 300)
    assert len({line["writer"] for line in flat(path)}) == 1
    assert len(of_kind(path, "system.worker_started")) == 3
    assert len(of_kind(path, "system.worker_stopped")) == 1 + 200  # after the first signal the last line says so always


def test_row_14_sigterm_is_chained_by_a_later_handler(terminated, path):
    """A handler set later that calls the one it found gets everything written, also where the log is opened again."""
    code, out = terminated("""
log = opened()
ours = signal.getsignal(signal.SIGTERM)
def mine(signum, frame):
    print("mine", flush=True)
    ours(signum, frame)
signal.signal(signal.SIGTERM, mine)
other = blm.open_log(path + "2", close_on_sigterm=True)
for n in range(1_000): log.emit(tool(n)), other.emit(tool(n))
ready()
wait()
""")
    assert (code, out) == (-signal.SIGTERM, "mine\n")
    counted(path, 1_000)
    counted(f"{path}2", 1_000)


def test_row_14_sigterm_stays_ignored(terminated, path):
    """Where SIGTERM is ignored it stays so, and the log goes on."""
    program = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nlog = opened()\nready()\nos.kill(os.getpid(), 15)\nlog.emit(tool(1))"
    assert terminated(program + "\nprint(log.flush())") == (0, "True\n")
    counted(path, 1)


def test_row_14_sigterm_under_asyncio(terminated, path):
    """A handler that asyncio had before is called once, and what the tasks emit while they end is written."""
    code, out = terminated("""
import asyncio
async def main():
    stop = asyncio.Event()
    def stopping():
        print("stopping", flush=True)
        stop.set()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping)
    log = opened()
    for n in range(100): log.emit(tool(n))
    ready()
    await stop.wait()
    log.emit(tool("late"))
asyncio.run(main())
""")
    assert (code, out) == (0, "stopping\n")
    counted(path, 101)


@pytest.mark.parametrize("durability", ["queue", "write"])
def test_row_14_sigterm_in_the_middle_of_emits(terminated, path, tmp_path, durability):
    """Of what four threads and the main one were told is in while SIGTERM came, every event is written."""
    code, _ = terminated(f"""
with open(path + "-counts", "wb") as file: file.write(bytes(40))
counts = memoryview(mmap.mmap(os.open(path + "-counts", os.O_RDWR), 40)).cast("q")
log = opened(durability="{durability}", max_bytes=200_000, queue_size=2_000)
def work(me):
    for n in range(100_000_000):
        if log.emit(tool((me, n))): counts[me] += 1
        if me == 4 and n == 500: ready()
for me in range(4): threading.Thread(target=work, args=(me,), daemon=True).start()
work(4)
""")
    assert code == -signal.SIGTERM
    told = memoryview((tmp_path / "a.jsonl-counts").read_bytes()).cast("q")
    assert blm.verify([path]).ok
    written = [int(line["tool_call_id"][1]) for line in typed(path)]
    assert len({line["tool_call_id"] for line in typed(path)}) == len(written) > 0
    for me, count in enumerate(told):
        assert 0 <= written.count(me) - count <= 1  # it was killed between the answer and its count


def test_row_14_sigterm_in_a_forked_child(terminated, path):
    """A forked child has the handler too: what it queued is written before SIGTERM kills it."""
    code, out = terminated("""
import warnings
warnings.simplefilter("ignore")
log = opened()
log.emit(tool("parent"))
reading, writing = os.pipe()
child = os.fork()
if not child:
    for n in range(500): log.emit(tool(n))
    os.write(writing, b"x")
    wait()
os.read(reading, 1)
os.kill(child, signal.SIGTERM)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
ready()
wait()
""")
    assert (code, out) == (-signal.SIGTERM, "")
    counted(path, 501)


def test_row_14_sigterm_needs_the_main_thread(run_python, path):
    """Outside the main thread, where Python sets no handlers, asking for it is a ConfigError that says what to do."""
    done = run_python(
        START
        + """
from bamboo_logmetrics.errors import ConfigError
def work():
    try: opened()
    except ConfigError as error: print(error)
thread = threading.Thread(target=work); thread.start(); thread.join()
opened()
""",
        path,
    )
    assert done.stdout == "option close_on_sigterm=True needs the main thread: open the log there\n"
    assert done.stderr == ""


def test_row_14_the_handler_is_put_once(open_log, request):
    """However many logs ask for it, one handler is put, before the one that was there."""
    before = signal.getsignal(signal.SIGTERM)
    request.addfinalizer(lambda: signal.signal(signal.SIGTERM, before))
    open_log("a.jsonl", close_on_sigterm=True)
    ours = signal.getsignal(signal.SIGTERM)
    open_log("b.jsonl", close_on_sigterm=True)
    assert signal.getsignal(signal.SIGTERM) is ours is not before


@pytest.mark.parametrize("ending", ["sys.exit(3)", "os._exit(3)"])
def test_row_14_sigterm_within_a_durable_emit(terminated, path, ending):
    """A SIGTERM that strikes in the middle of a durable emit has that finished before the application's handler runs."""
    code, out = terminated(
        f"""
from bamboo_logmetrics.system import FS
class Struck(FS):
    def write(self, fd, data):
        if b'"c7"' in bytes(data): signal.raise_signal(signal.SIGTERM)
        return super().write(fd, data)
def handler(*_):
    print("mine", flush=True)
    {ending}
signal.signal(signal.SIGTERM, handler)
log = opened(durability="write", fs=Struck())
ready()
for n in range(8): log.emit(tool(f"c{{n}}"))
wait()
""",
        0,
    )
    assert (code, out) == (3, "ready\nmine\n")
    counted(path, 8)


def test_row_14_sigterm_in_a_child_forked_meanwhile(terminated, path):
    """A child that is forked while SIGTERM is closing the parent's logs dies of its own SIGTERM, with its log written."""
    code, out = terminated(
        """
import warnings
warnings.simplefilter("ignore")
from bamboo_logmetrics.system import FS
shut, reading, writing = threading.Event(), *os.pipe()
class Slow(FS):
    def lock(self, fd):
        if shut.is_set() and os.getpid() == parent: os.read(reading, 1)
        return super().lock(fd)
parent = os.getpid()
log = opened(fs=Slow())
log.emit(tool(1))
assert log.flush()
shut.set()
log.emit(tool(2))
os.kill(parent, signal.SIGTERM)
child = os.fork()
if not child:
    log.emit(tool("child"))
    os.kill(os.getpid(), signal.SIGTERM)
    wait()
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
os.write(1, str(code).encode())
os.write(writing, bytes(100))
wait()
""",
        0,
    )
    assert (code, out) == (-signal.SIGTERM, str(-signal.SIGTERM))
    counted(path, 3)


def test_row_14_settled_beside_threads_that_emit(terminated, path):
    """A log that is settled again and again while threads emit ends well all the same."""
    code, out = terminated(
        """
signal.signal(signal.SIGTERM, lambda *_: None)
log = opened(flush_interval=0)
done = threading.Event()
def work(me):
    n = 0
    while not done.is_set():
        log.emit(tool((me, n)))
        n += 1
threads = [threading.Thread(target=work, args=(me,)) for me in range(2)]
for thread in threads: thread.start()
for _ in range(5): signal.raise_signal(signal.SIGTERM)
done.set()
for thread in threads: thread.join()
print(log.close(30), log.stats().written + log.stats().dropped_total == log.stats().emitted)
""".replace("opened(flush_interval=0)", "blm.open_log(path, close_on_sigterm=True, flush_interval=0, queue_size=100)"),
        0,
    )
    assert (code, out) == (0, "True True\n")
    assert blm.verify([path]).ok
    assert flat(path)[-1]["event"] == "system.worker_stopped"


CAPTURED = """
caught = []
signal.signal(signal.SIGTERM, lambda *_: caught.append(1))
log = opened({options})
{other}
ready()
while not caught: select.select([], [], [], 0.05)
late = {late}
for n in range(50):
    print(log.emit(tool(n)), late.emit(tool((n, "late"))), flush=True)
log.info("the last line")
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.raise_signal(signal.SIGTERM)
"""


@pytest.mark.parametrize("options", ["", "durability='write'", "durability='fsync'", "on_full='block'"])
@pytest.mark.parametrize(
    ("other", "late"),
    [
        ("other = log.bind(a=1)", "other"),
        ("other = blm.open_log(path + '2')", "other"),
        ("", "blm.open_log(path + '2')"),
    ],
    ids=["one log", "two logs", "opened after the signal"],
)
def test_row_14_sigterm_raised_again_after_the_shutdown(terminated, path, options, other, late):
    """Where the application takes SIGTERM, emits, restores the handler and dies of the signal, as uvicorn does, all is written."""
    code, out = terminated(CAPTURED.format(options=options, other=other, late=late))
    assert (code, out) == (-signal.SIGTERM, "True True\n" * 50)
    logs = [path] if late == "other" and "bind" in other else [path, path.parent / f"{path.name}2"]
    written = [line["tool_call_id"] for log in logs for line in typed(log)]
    assert len(written) == len(set(written)) == 100
    for log in logs:
        assert blm.verify([log]).ok
        assert flat(log)[-1]["event"] == "system.worker_stopped"
    assert flat(path)[-2]["event"] == "the last line"


def test_row_14_sigterm_on_a_full_disk_acknowledges_nothing(terminated, path):
    """After SIGTERM a call whose line cannot be stored answers False and waits briefly; ``verify`` then knows of no line more."""
    code, out = terminated(
        """
from bamboo_logmetrics.system import FS
class Full(FS):
    def write(self, fd, data):
        if caught: raise OSError(28, "No space left on device")
        return super().write(fd, data)
caught = []
sys.stderr = open(os.devnull, "w")
signal.signal(signal.SIGTERM, lambda *_: caught.append(1))
log = opened(fs=Full())
log.emit(tool(1))
ready()
while not caught: select.select([], [], [], 0.05)
print([log.emit(tool(n)) for n in range(2, 6)], flush=True)
os._exit(3)
"""
    )
    assert (code, out) == (3, "[False, False, False, False]\n")
    assert len(typed(path)) == 1
