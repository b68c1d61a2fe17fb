"""Streams as logs: which paths are streams, and what the sink does on pipes, sockets, terminals and files."""

from __future__ import annotations

import errno
import json
import os
import pty
import signal
import socket
import subprocess
import sys

import pytest
from support.faults import HurriedClock
from support.tools import tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.logfiles.stream import PIPE_LINE, StreamSink, find_stream, is_pipe, is_stream
from bamboo_logmetrics.system import FS

WAIT = 10_000  # seconds of a HurriedClock


@pytest.fixture
def pipe():
    """Return the two ends of a pipe."""
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            assert end in ends  # the test has closed it


@pytest.fixture
def make():
    sinks = []

    def making(fd, max_line_bytes=PIPE_LINE, *, sync=False):
        path = fd if isinstance(fd, str) else f"/dev/fd/{fd}"
        sinks.append(StreamSink(path, max_line_bytes=max_line_bytes, sync=sync, fs=FS(), clock=HurriedClock()))
        return sinks[-1]

    yield making
    for sink in sinks:
        sink.close()


def lines(*texts):
    return [text.encode() + b"\n" for text in texts]


# -- paths ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("-", "/dev/stdout"),
        ("/dev/stdout", "/dev/stdout"),
        ("/dev/../dev/stderr", "/dev/stderr"),
        ("/proc/self/fd/1", "/dev/stdout"),
        ("/proc/thread-self/fd/2", "/dev/stderr"),
        ("/proc/{pid}/fd/1", "/dev/stdout"),
        ("/proc/{pid}/task/{pid}/fd/1", "/dev/stdout"),
        ("/dev/fd/1", "/dev/stdout"),
        ("/dev/fd/7", "/dev/fd/7"),
        ("/proc/1/fd/1", "/proc/1/fd/1"),
        ("./-", None),
        ("stdout", None),
        ("/dev/null", None),
        ("/dev/fd/x", None),
        ("/var/log/a.jsonl", None),
    ],
)
def test_paths_of_streams(path, expected):
    """Each name of a stream is one path; any other path is a file's."""
    assert find_stream(path.format(pid=os.getpid())) == expected
    assert expected is None or is_stream(expected)


def test_links_to_streams(tmp_path):
    """A link to a stream is that stream, also by a relative link, through a directory, and over several links."""
    (tmp_path / "a").symlink_to("/dev/stdout")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "folder").symlink_to(tmp_path)
    assert [find_stream(str(tmp_path / name)) for name in ("a", "b", "folder/b")] == ["/dev/stdout"] * 3
    (tmp_path / "descriptors").symlink_to("/dev/fd")
    assert find_stream(str(tmp_path / "descriptors" / "2")) == "/dev/stderr"
    (tmp_path / "c").symlink_to("c")
    assert find_stream(str(tmp_path / "c")) is None


def test_which_streams_are_pipes(pipe, tmp_path):
    """Pipes and sockets are those on which lines may mix; files, terminals and what is not open are not."""
    one, other = socket.socketpair()
    with one, other, open(tmp_path / "file", "wb") as file:
        assert is_pipe(f"/dev/fd/{pipe[1]}")
        assert is_pipe(f"/proc/{os.getpid()}/fd/{pipe[1]}")
        assert is_pipe(f"/dev/fd/{one.fileno()}")
        assert not is_pipe(f"/dev/fd/{file.fileno()}")
        assert not is_pipe("/dev/fd/999")
        assert not is_pipe(str(tmp_path / "file"))


# -- opening -------------------------------------------------------------------------------


def test_a_closed_stream(make):
    """A descriptor that is not open is refused, with the remedy."""
    with pytest.raises(
        blm.ConfigError, match=r"/dev/fd/999 cannot be a log: it cannot be opened .*; redirect it, or give"
    ):
        make(999)
    with pytest.raises(blm.ConfigError, match="it cannot be opened"):
        make("/proc/999999999/fd/1")


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_process_without_the_stream(monkeypatch, name):
    """Where the process was started with stdout or stderr closed, another file may have the number: it is refused."""
    monkeypatch.setattr(sys, f"__{name}__", None)
    with pytest.raises(blm.ConfigError, match=f"/dev/{name} cannot be a log: it cannot be opened"):
        blm.open_log(f"/dev/{name}")


def test_a_stream_for_reading(make, tmp_path):
    """A descriptor that is open for reading only, or of a directory, is refused, and nothing stays open."""
    (tmp_path / "file").touch()
    before = len(os.listdir("/proc/self/fd"))
    for path in (tmp_path / "file", tmp_path):
        fd = os.open(path, os.O_RDONLY)
        with pytest.raises(blm.ConfigError, match="it is open for reading only"):
            make(fd)
        os.close(fd)
    assert len(os.listdir("/proc/self/fd")) == before


def test_two_logs_on_one_pipe(pipe, make):
    """Several logs of a process share a pipe while their lines are short; a long one is refused."""
    make(pipe[1])
    make(pipe[1])
    with pytest.raises(blm.ConfigError, match="another log of this process is on this pipe.*leave out max_line_bytes"):
        make(pipe[1], 5_000)


def test_one_log_with_long_lines(pipe, make):
    """One log alone may have long lines, after which a second one is refused until the first is closed."""
    first = make(pipe[1], 5_000)
    with pytest.raises(blm.ConfigError, match="another log"):
        make(pipe[1])
    first.close()
    make(pipe[1])


def test_fsync(pipe, make, tmp_path):
    """A pipe cannot be brought to the disk; a file can."""
    with pytest.raises(blm.ConfigError, match="durability='fsync' needs a file; use 'write'"):
        make(pipe[1], sync=True)
    with open(tmp_path / "file", "wb") as file:
        sink = make(file.fileno(), sync=True)
        sink.write(lines("a"))
        sink.sync()


@pytest.mark.parametrize(
    ("options", "environment", "expected"),
    [({}, {}, 4096), ({"max_line_bytes": 9_000}, {}, 9_000), ({}, {"BAMBOO_LOGMETRICS_MAX_LINE_BYTES": "8000"}, 8_000)],
)
def test_the_length_of_lines(pipe, monkeypatch, options, environment, expected):
    """On a pipe lines have up to 4,096 bytes, unless an argument or the environment says otherwise."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    log = blm.open_log(f"/dev/fd/{pipe[1]}", **options)
    log.info("x" * 20_000)
    assert log.close()
    line = os.read(pipe[0], 100_000).split(b"\n")[1]
    assert expected - 10 <= len(line) + 1 <= expected
    assert json.loads(line)["truncated"]


def test_the_length_of_lines_in_a_file(tmp_path):
    """On a file that stdout is redirected to, lines have their usual length."""
    with open(tmp_path / "file", "wb") as file:
        log = blm.open_log(f"/dev/fd/{file.fileno()}")
        log.info("x" * 20_000)
        assert log.close()
    assert max(map(len, (tmp_path / "file").read_bytes().splitlines())) > 20_000


# -- writing -------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["as it is", "an old kernel"])
def test_writes_to_a_pipe_hold_whole_lines(pipe, make, monkeypatch, how):
    """Each write to a pipe holds whole lines of at most 4,096 bytes, whatever the kernel can do."""
    sink = make(pipe[1])
    if how == "an old kernel":
        sink._flags = None
    sizes = []
    for name in ("write", "pwritev"):
        real = getattr(os, name)

        def watched(fd, data, *args, real=real):
            sizes.append(real(fd, data, *args))
            return sizes[-1]

        monkeypatch.setattr(os, name, watched)
    batch = lines(*("x" * size for size in (10, 4_000, 85, 3_000, 1_000, 93, 1)))
    sink.write(batch)
    assert os.read(pipe[0], 100_000) == b"".join(batch)
    assert max(sizes) <= PIPE_LINE
    assert sum(sizes) == sum(map(len, batch))
    assert len(sizes) <= 3
    assert sink.stored == 7


def test_an_operation_that_is_not_supported(pipe, make, monkeypatch):
    """Where the kernel refuses to write without waiting, the sink looks for room before it writes."""
    sink = make(pipe[1])

    def refuse(*_):
        raise OSError(errno.EOPNOTSUPP, "no")

    monkeypatch.setattr(os, "pwritev", refuse)
    sink.write(lines("a"))
    assert os.read(pipe[0], 100) == b"a\n"
    fill(pipe[1])
    with pytest.raises(BlockingIOError, match="its reader is slow"):
        sink.write(lines("b"))
    assert sink.stored == 1


def fill(fd):
    """Fill a pipe, and leave its flags as they were."""
    os.set_blocking(fd, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(fd, b"x" * 4096)
    os.set_blocking(fd, True)


def test_a_full_pipe(pipe, make):
    """On a full pipe a write waits for a while, then fails with nothing stored; once it is read, all is written."""
    sink = make(pipe[1])
    fill(pipe[1])
    with pytest.raises(BlockingIOError, match="full, because its reader is slow"):
        sink.write(lines("a"))
    with pytest.raises(BlockingIOError):
        sink.write(lines("a"), deadline=0.0)
    assert sink.stored == 0
    os.read(pipe[0], 10_000)
    sink.write(lines("a"))
    assert sink.stored == 1


def test_a_pipe_that_takes_a_part(pipe, make):
    """Lines that found room are stored, and the call returns; the rest is left to the next one."""
    sink = make(pipe[1])
    batch = lines(*("x" * 999 for _ in range(100)))
    sink.write(batch)
    stored = sink.stored
    assert 0 < stored < 100
    data = os.read(pipe[0], 200_000)
    sink.write(batch[stored:])
    assert data + os.read(pipe[0], 200_000) == b"".join(batch)
    assert sink.stored == 100


def test_a_long_line_in_parts(pipe, make):
    """A line longer than the pipe is written in parts, over several calls, and is stored once it is whole."""
    sink = make(pipe[1], 300_000)
    batch = lines("a", "x" * 200_000, "b")
    got = b""
    while sink.stored < 3:
        try:
            sink.write(batch[sink.stored :])
        except BlockingIOError:
            got += os.read(pipe[0], 50_000)
    got += os.read(pipe[0], 200_000)
    assert got == b"".join(batch)


def test_a_reader_that_is_gone(pipe, make):
    """Without a reader a write fails, and no SIGPIPE is left for the process."""
    sink = make(pipe[1])
    os.close(pipe[0])
    with pytest.raises(BrokenPipeError):
        sink.write(lines("a"))
    assert sink.stored == 0
    assert signal.SIGPIPE not in signal.sigpending()


@pytest.mark.parametrize("blocked", [False, True])
def test_sigpipe_does_not_kill(run_python, blocked):
    """With the action that kills, a write to a pipe without a reader raises, and the mask of the thread stays."""
    code = """
import os, signal, sys
from bamboo_logmetrics.logfiles.stream import StreamSink
from bamboo_logmetrics.system import FS, Clock
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
if sys.argv[1] == "True":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})
before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
read, write = os.pipe()
os.close(read)
sink = StreamSink(f"/dev/fd/{write}", max_line_bytes=4096, sync=False, fs=FS(), clock=Clock())
for _ in range(3):
    try:
        sink.write([b"a\\n"])
    except BrokenPipeError:
        print("broken")
print(before == signal.pthread_sigmask(signal.SIG_BLOCK, []))
"""
    done = run_python(code, blocked)
    assert (done.returncode, done.stdout.split()) == (0, ["broken"] * 3 + ["True"])


def test_an_interrupt_after_a_write(pipe, make, monkeypatch):
    """A line that was written before an interrupt is counted by the next call, and not written again."""
    sink = make(pipe[1])
    real = StreamSink._count
    calls = []

    def interrupted(self, batch):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, batch)

    monkeypatch.setattr(StreamSink, "_count", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sink.write(lines("a", "b"))
    sink.write(lines("a", "b"))
    assert os.read(pipe[0], 100) == b"a\nb\n"
    assert sink.stored == 2


def test_an_interrupted_call_is_repeated(pipe, make, monkeypatch):
    """A call that a signal interrupts is made again."""
    sink, real, calls = make(pipe[1]), os.pwritev, []

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 1:
            raise InterruptedError
        return real(*args)

    monkeypatch.setattr(os, "pwritev", interrupted)
    sink.write(lines("a"))
    assert (os.read(pipe[0], 100), sink.stored, len(calls)) == (b"a\n", 1, 2)


def test_a_regular_file_is_appended_to(tmp_path, make):
    """In a file that the shell opened, lines come after what is there, and what others print comes after the lines."""
    path = tmp_path / "file"
    path.write_bytes(b"before\n")
    with open(path, "r+b", buffering=0) as file:  # as "1<>file": at the beginning, without O_APPEND
        sink = make(file.fileno(), 32_000)
        sink.write(lines("a" * 10_000, "b"))
        file.write(b"printed\n")
        sink.write(lines("c"))
        path.write_bytes(b"")  # copied and truncated from outside
        sink.write(lines("d"))
    assert path.read_bytes() == b"d\n"


def test_a_redirected_file_is_not_truncated(tmp_path, make):
    """The contents of the file stay, also where the process prints in between."""
    path = tmp_path / "file"
    path.write_bytes(b"before\n")
    with open(path, "ab", buffering=0) as file:
        sink = make(file.fileno(), 32_000)
        sink.write(lines("a"))
        file.write(b"printed\n")
        sink.write(lines("b"))
    assert path.read_bytes() == b"before\na\nprinted\nb\n"


@pytest.mark.parametrize("flags", [True, False])
@pytest.mark.parametrize(("before", "newline"), [(b"", b""), (b"x\n", b""), (b"x\nhalf", b"\n")])
def test_the_first_line_is_whole_behind_half_a_line(tmp_path, make, monkeypatch, before, newline, flags):  # noqa: PLR0917
    """A file that ends within a line when the log is opened gets a newline, once, before the log's first line."""
    if not flags:
        monkeypatch.delattr(os, "RWF_APPEND", raising=False)
    path = tmp_path / "file"
    path.write_bytes(before)
    with open(path, "ab", buffering=0) as file:
        sink = make(file.fileno(), 32_000)
        assert path.read_bytes() == before
        sink.write(lines("a"))
        sink.write(lines("b"))
    assert path.read_bytes() == before + newline + b"a\nb\n"
    assert sink.stored == 2


def test_a_file_that_must_not_be_read_counts_as_whole(tmp_path, make, monkeypatch):
    """Where the end of the file cannot be read, the log writes as after a whole line."""
    path = tmp_path / "file"
    path.write_bytes(b"half")
    real = os.open

    def refused(name, flags, *rest):
        if flags & os.O_ACCMODE == os.O_RDONLY and str(name).startswith("/dev/fd/"):
            raise PermissionError(errno.EACCES, "not for you", name)
        return real(name, flags, *rest)

    with open(path, "ab", buffering=0) as file:
        monkeypatch.setattr(os, "open", refused)
        make(file.fileno(), 32_000).write(lines("a"))
    assert path.read_bytes() == b"halfa\n"


def test_a_file_without_special_writes(tmp_path, make):
    """Where the system cannot append by a flag, a file is written to as it was opened."""
    with open(tmp_path / "file", "ab") as file:
        sink = make(file.fileno(), 32_000)
        sink._flags = None
        sink.write(lines("a", "b" * 10_000))
    assert (tmp_path / "file").read_bytes() == b"a\n" + b"b" * 10_000 + b"\n"


def test_a_terminal(make):
    """A terminal gets every line, and a terminal that stands still is a full pipe."""
    leader, follower = pty.openpty()
    sink = make(follower, 32_000)
    assert not sink._pipe
    sink.write(lines("a", "b"))
    assert os.read(leader, 100) == b"a\r\nb\r\n"
    with pytest.raises(BlockingIOError):
        for _ in range(1_000):
            sink.write(lines("x" * 100))
    os.close(leader)
    os.close(follower)


def test_a_socket(make):
    """A socket, as journald gives a service, is written to like a pipe."""
    one, other = socket.socketpair()
    with one, other:
        sink = make(one.fileno())
        sink.write(lines("a"))
        assert other.recv(100) == b"a\n"
        with pytest.raises(BlockingIOError):
            while True:
                sink.write(lines("x" * 1_000))
        other.close()
        with pytest.raises(OSError, match="Broken pipe|reset"):
            sink.write(lines("a"))


def test_the_stream_of_another_process(make):
    """A pipe of another process, such as that of pid 1, is opened by its path."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as cat:
        sink = make(f"/proc/{cat.pid}/fd/1")
        sink.write(lines("a"))
        assert cat.stdout.readline() == b"a\n"
        sink.close()
        cat.stdin.close()


def test_a_full_device(make):
    """A device without space is a full disk."""
    with open("/dev/full", "wb", buffering=0) as file:
        sink = make(file.fileno(), 32_000)
        with pytest.raises(OSError, match="No space left"):
            sink.write(lines("a"))


# -- forks, pickles ------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
@pytest.mark.parametrize(("limit", "allowed"), [(PIPE_LINE, True), (PIPE_LINE + 1, False)])
def test_a_forked_child(pipe, make, limit, allowed):
    """A child writes beside its parent while lines are short; else it is refused, with the remedy."""
    sink = make(pipe[1], limit)
    sink.write(lines("parent"))
    pid = os.fork()
    if pid == 0:
        sink.after_fork()
        try:
            sink.write(lines("child"))
        except OSError as error:
            os.write(pipe[1], str(error).encode() + b"\n")
        os._exit(0)
    os.waitpid(pid, 0)
    child = os.read(pipe[0], 10_000).split(b"\n")[1]
    assert child == b"child" if allowed else b"is for one process, and this one was forked" in child


def test_after_a_fork(pipe, make):
    """With short lines a sink goes on in a child; with long ones it refuses every write and names the limit."""
    short = make(pipe[1])
    short.after_fork()
    short.write(lines("a"))
    assert os.read(pipe[0], 100) == b"a\n"
    short.close()
    long = make(pipe[1], PIPE_LINE + 1)
    long.after_fork()
    with pytest.raises(
        OSError, match="max_line_bytes=4097 is for one process, and this one was forked: use at most 4096"
    ):
        long.write(lines("a"))
    assert long.stored == 0


def test_a_pickled_logger(run_python):
    """A logger of stdout that is pickled writes to stdout in the other process, unless lines are too long for two."""
    code = """
import pickle, subprocess, sys
import bamboo_logmetrics as blm
other = "import pickle, sys; log = pickle.loads(bytes.fromhex(sys.argv[1])); log.info('other')"
for options in ({}, {"max_line_bytes": 5000}):
    log = blm.open_log("-", **options)
    subprocess.run([sys.executable, "-c", other, pickle.dumps(log).hex()])
    log.close()
"""
    done = run_python(code)
    texts = [json.loads(line)["event"] for line in done.stdout.splitlines() if line[0] == "{"]
    assert texts.count("other") == 1
    assert "max_line_bytes=5000 on a pipe is for one process: use at most 4096" in done.stderr


@pytest.mark.parametrize("how", ["open_log", "configure", "MetricsHandler"])
def test_every_way_to_open(run_python, how):
    """Each way to open a log takes stdout, and leaves it open."""
    code = f"""
import logging, sys, bamboo_logmetrics as blm
how = {how!r}
if how == "MetricsHandler":
    logging.getLogger().addHandler(blm.MetricsHandler("-"))
    logging.getLogger().warning("a line")
elif how == "configure":
    blm.configure("-")
    blm.get_logger().warning("a line")
    assert blm.close()
else:
    with blm.open_log("-") as log:
        log.warning("a line")
        assert log.path == "/dev/stdout"
sys.stdout.write("printed\\n")
"""
    done = run_python(code)
    assert (done.returncode, done.stderr) == (0, "")
    events = [json.loads(line)["event"] for line in done.stdout.splitlines() if line != "printed"]
    assert events == ["system.worker_started", "a line", "system.worker_stopped"]


def test_stats_on_a_stream(pipe):
    """The counts are those of a file."""
    log = blm.open_log(f"/dev/fd/{pipe[1]}", queue_size=10, flush_interval=1e6)
    for number in range(15):
        log.emit(tool(number))
    assert log.close()
    events = [json.loads(line) for line in os.read(pipe[0], 100_000).splitlines()]
    stats = log.stats()
    assert stats.emitted == 15 == stats.written + stats.dropped_total
    assert stats.own == len(events) - stats.written
    assert [line["seq"] for line in events] == list(range(1, len(events) + 1))
    assert sum(line["count"] for line in events if line["event"] == "system.metrics_dropped") == stats.dropped_total
