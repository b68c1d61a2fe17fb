"""Descriptors that the application has closed: whatever has their numbers now is never written, locked or closed."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress

import pytest
from support.faults import FaultyFS, HurriedClock

from bamboo_logmetrics.logfiles import RotatingFile
from bamboo_logmetrics.logfiles.archive import Archive
from bamboo_logmetrics.logfiles.descriptors import close_own, identify, identity_of, is_taken
from bamboo_logmetrics.logfiles.lockfile import LockFile
from bamboo_logmetrics.logfiles.log_file import PlainFile
from bamboo_logmetrics.logfiles.repair import LineTests
from bamboo_logmetrics.logfiles.stream import PIPE_LINE, StreamSink
from bamboo_logmetrics.system import FS
from bamboo_logmetrics.testing import ManualClock

WRITER = "0123456789abcdef0123"
ANY_LINES = LineTests(lambda _: True, lambda _: True)
MINE = b"data of the application, longer than the lines of the log\n"
ROTATED = "a.jsonl.20260101T000000000001Z-0123456789abcdef0123"


class Application:
    """Takes the numbers of descriptors for files of its own, and says whether these are as it left them."""

    def __init__(self, folder):
        self._folder = folder
        self.taken = []

    def take(self, fd):
        """Close a descriptor, and open a file that gets its number."""
        path = self._folder / f"mine{len(self.taken)}"
        path.write_bytes(MINE)
        own = os.open(path, os.O_RDWR | os.O_APPEND)
        if own != fd:  # which was open
            os.dup2(own, fd)
            os.close(own)
        self.taken.append((fd, path))

    def check(self):
        """Check that each file is still open at its number, and has its bytes."""
        for fd, path in self.taken:
            assert identity_of(os.fstat(fd)) == identity_of(os.stat(path))
            assert path.read_bytes() == MINE

    def close(self):
        for fd, _ in self.taken:
            with suppress(OSError):
                os.close(fd)


@pytest.fixture
def app(tmp_path):
    application = Application(tmp_path)
    yield application
    application.close()


@pytest.fixture
def fs():
    return FaultyFS()


@pytest.fixture
def sink(tmp_path, fs):
    rotating = RotatingFile(
        str(tmp_path / "a.jsonl"),
        max_bytes=30,
        backup_count=None,
        rotate_every=None,
        compress=None,
        mode=0o640,
        writer=lambda: WRITER,
        fs=fs,
        clock=ManualClock(),
        tests=ANY_LINES,
    )
    yield rotating
    fs.heal()
    rotating.close()


@contextmanager
def opened(path, data=b""):
    path.write_bytes(data)
    fd = os.open(path, os.O_RDWR)
    try:
        yield fd
    finally:
        with suppress(OSError):
            os.close(fd)


def test_whose_a_descriptor_is(tmp_path, fs, app):
    """A descriptor is taken when it is closed or another file's; one that cannot be looked at is not."""
    with opened(tmp_path / "a") as fd:
        identity = identify(fs, fd)
        assert not is_taken(fs, fd, identity)
        fs.fail("fstat", errno.EIO)
        assert not is_taken(fs, fd, identity)
        fs.heal()
        app.take(fd)
        assert is_taken(fs, fd, identity)
        close_own(fs, fd, identity)
        app.check()
    assert is_taken(fs, fd, identity)
    close_own(fs, fd, identity)
    assert fs.count("close") == 0


def test_a_look_that_fails_closes(tmp_path, fs):
    """If the look itself raises, the descriptor is closed: nobody else would do it."""
    with opened(tmp_path / "a") as fd:
        identity = identify(fs, fd)
        fs.fail("fstat", MemoryError())
        with pytest.raises(MemoryError):
            close_own(fs, fd, identity)
        fs.heal()
        assert is_taken(fs, fd, identity)
    with opened(tmp_path / "a") as fd:
        fs.fail("fstat", MemoryError())
        with pytest.raises(MemoryError):
            identify(fs, fd)
        assert fs.calls[-1] == ("close", fd)


# -- the log and its lock ------------------------------------------------------------------


@pytest.mark.parametrize("which", [("log",), ("lock",), ("log", "lock"), ("lock", "log")])
@pytest.mark.parametrize("how", ["closed", "taken"])
@pytest.mark.parametrize("then", ["write", "sync", "close", "after_fork"])
def test_the_numbers_of_a_log(tmp_path, app, sink, which, how, then):  # noqa: PLR0917
    """Whatever the sink does next, files that have its numbers stay open and as they are, and every line is in the log."""
    sink.write([b"one\n"])
    fds = [sink._fd if name == "log" else sink._lock._fd for name in which]
    for fd in fds:
        os.close(fd)
    if how == "taken":
        for fd in fds:
            app.take(fd)
    {"write": lambda: sink.write([b"two\n"])}.get(then, lambda: getattr(sink, then)())()
    app.check()
    sink.write([b"three\n"])
    sink.sync()
    sink.close()
    app.check()
    wanted = b"one\ntwo\nthree\n" if then == "write" else b"one\nthree\n"
    assert (tmp_path / "a.jsonl").read_bytes() == wanted
    assert sink.problems() == []


def test_no_file_of_the_application_is_locked(app, fs, sink):
    """A lock is neither taken nor released at a number that another file has by now."""
    sink.write([b"one\n"])
    lock = sink._lock._fd
    app.take(lock)
    fs.calls.clear()
    sink.write([b"two\n"])
    assert fs.count("lock") == fs.count("unlock") == 1
    assert not {("lock", lock), ("unlock", lock), ("close", lock)} & set(fs.calls)


def test_a_lock_of_the_application_stays(tmp_path, app, fs, sink):
    """A lock that the application has taken, at the number of the log's while that was held, is not released."""
    sink.write([b"one\n"])
    lock = sink._lock._fd

    def write(*_):
        app.take(lock)
        assert FS().lock(lock)

    fs.plan["write"] = write
    sink.write([b"two\n"])
    fs.heal()
    other = os.open(tmp_path / "mine0", os.O_RDWR)
    assert not FS().lock(other)
    os.close(other)
    sink.write([b"three\n"])
    app.check()
    assert (tmp_path / "a.jsonl").read_bytes() == b"one\ntwo\nthree\n"


@pytest.mark.parametrize("name", ["fstat", "unlock"])
def test_a_release_is_not_left_out(tmp_path, fs, name):
    """When the look before the release raises, or the release fails, the lock is released."""
    lock = LockFile(str(tmp_path / "a.jsonl"), mode=0o640, fs=fs, clock=ManualClock())
    lock.acquire(None)
    fs.fail(name, MemoryError() if name == "fstat" else errno.EIO)
    with suppress(MemoryError):
        lock.release()
    fs.heal()
    other = os.open(tmp_path / ".a.jsonl.lock", os.O_RDWR)
    assert FS().lock(other)
    os.close(other)
    lock.close()


def test_lines_that_were_rotated_before_their_sync(tmp_path, app, sink):
    """Lines of a file that was rotated before it could be opened again to be synced count as not synced."""
    sink.write([b"one\n"])
    app.take(sink._fd)
    os.rename(tmp_path / "a.jsonl", tmp_path / ROTATED)
    with pytest.raises(OSError, match="rotated before it was synced"):
        sink.sync()
    sink.write([b"two\n"])
    sink.sync()
    app.check()


@pytest.mark.parametrize("data", [b"tw", b"two\nthr"])
def test_a_write_that_fails_as_the_number_is_taken(tmp_path, app, fs, sink, data):
    """Cutting after a failed write never cuts another file; half a line is cut away later."""
    sink.write([b"one\n"])
    log = sink._fd

    def write(fd, view):
        if view == data[-1:]:
            app.take(log)
            raise OSError(errno.ENOSPC, "full")
        return FS().write(fd, view[: len(data)]) if fs.count("write") == 2 else app.take(log) or fail()

    def fail():
        raise OSError(errno.ENOSPC, "full")

    fs.plan["write"] = write
    with suppress(OSError):
        sink.write([b"two\n", b"three\n"])
    stored = sink.stored
    assert stored == 1 + data.count(b"\n")
    fs.heal()
    app.check()
    sink.write([b"two\n", b"three\n"][stored - 1 :])
    app.check()
    assert (tmp_path / "a.jsonl").read_bytes() == b"one\ntwo\nthree\n"
    assert sink.stored == 3


def test_a_rotation_as_the_number_is_taken(tmp_path, app, fs, sink):
    """A rotation does not close what has the old file's number."""
    sink.write([b"a line that fills the file...\n"])
    log = sink._fd
    fs.plan["rename"] = lambda *_: app.take(log)
    sink.write([b"two\n", b"three\n"])
    fs.heal()
    app.check()
    assert (tmp_path / "a.jsonl").read_bytes() == b"two\nthree\n"


# -- rotated files and files that are read -------------------------------------------------


@pytest.mark.parametrize("which", ["source", "target"])
def test_a_compression_as_its_number_is_taken(tmp_path, app, fs, which):
    """A compression whose number is taken is given up, with the plain file left, and is done the next time."""
    plain = tmp_path / ROTATED
    plain.write_bytes(b"line\n" * 1000)
    (tmp_path / ROTATED.replace("01Z", "02Z")).write_bytes(b"line\n")
    archive = Archive(str(tmp_path / "a.jsonl"), fs=fs)
    partials = []

    def opening(path, *rest):
        if "gz" in path:
            partials.append(FS().open(path, *rest))
            return partials[-1]
        return None

    def reading(fd, size, offset):
        data = FS().pread(fd, size, offset)
        if data and not app.taken:
            app.take(fd if which == "source" else partials[0])
        return data

    fs.plan = {"open": opening, "pread": reading}
    with pytest.raises(OSError, match="closed from outside while"):
        archive.tidy(compress="gzip", backup_count=None, mode=0o640)
    app.check()
    assert plain.read_bytes() == b"line\n" * 1000
    fs.heal()
    archive.tidy(compress="gzip", backup_count=None, mode=0o640)
    app.check()
    assert (tmp_path / f"{ROTATED}.gz").exists()
    assert not plain.exists()


def test_a_directory_as_its_number_is_taken(tmp_path, app, fs):
    """A directory whose number is taken while it is synced counts as not synced, and what has its number stays open."""
    archive = Archive(str(tmp_path / "a.jsonl"), fs=fs)
    fs.plan["fsync"] = app.take
    with pytest.raises(OSError, match="closed from outside while it was in use"):
        archive.sync_directory()
    fs.heal()
    app.check()
    archive.sync_directory()


def test_a_child_leaves_what_has_the_numbers(tmp_path, app, fs):
    """A forked child does not close a file that has the number of a rotated file's lock."""
    (tmp_path / ROTATED).write_bytes(b"line\n")
    archive = Archive(str(tmp_path / "a.jsonl"), fs=fs)
    app.take(archive._lock(ROTATED))
    archive.close_locked()
    app.check()


def test_a_file_that_is_read(tmp_path, app, fs):
    """Closing a file that was read leaves what has its number."""
    (tmp_path / "a.jsonl").write_bytes(b"line\n")
    file = PlainFile(fs, str(tmp_path / "a.jsonl"), "")
    app.take(file._fd)
    file.close()
    app.check()


# -- streams -------------------------------------------------------------------------------


@pytest.fixture
def stream(tmp_path):
    """Return the descriptor of a redirected file, and the sink on it."""
    fd = os.open(tmp_path / "out", os.O_RDWR | os.O_CREAT)
    sink = StreamSink(f"/dev/fd/{fd}", max_line_bytes=PIPE_LINE, sync=True, fs=FS(), clock=HurriedClock())
    yield fd, sink
    sink.close()
    with suppress(OSError):
        os.close(fd)


@pytest.mark.parametrize("how", ["closed", "taken"])
@pytest.mark.parametrize("then", ["write", "sync", "close"])
def test_the_number_of_a_stream(tmp_path, app, stream, how, then):
    """A stream whose own descriptor was closed is opened again, and what has its number stays as it is."""
    _, sink = stream
    sink.write([b"one\n"])
    number = sink._fd
    os.close(number)
    if how == "taken":
        app.take(number)
    {"write": lambda: sink.write([b"two\n"])}.get(then, lambda: getattr(sink, then)())()
    app.check()
    sink.close()
    app.check()
    assert (tmp_path / "out").read_bytes() == (b"one\ntwo\n" if then == "write" else b"one\n")


@pytest.mark.parametrize("how", ["closed", "taken"])
def test_a_stream_that_is_gone(tmp_path, app, stream, how):
    """If the stream's number is closed or another file's too, nothing is written, and the error says what to do."""
    fd, sink = stream
    sink.write([b"one\n"])
    app.take(sink._fd)
    os.close(fd)
    if how == "taken":
        app.take(fd)
    for act in (lambda: sink.write([b"two\n"]), sink.sync):
        with pytest.raises(OSError, match="open the log after that"):
            act()
    assert sink.stored == 1
    app.check()
    assert (tmp_path / "out").read_bytes() == b"one\n"


def test_a_stream_that_comes_back(tmp_path, app, stream):
    """When the stream is at its number again, the log goes on with it."""
    fd, sink = stream
    again = os.dup(fd)
    app.take(sink._fd)
    os.close(fd)
    with pytest.raises(OSError, match="has closed the descriptors"):
        sink.write([b"one\n"])
    os.dup2(again, fd)
    os.close(again)
    sink.write([b"one\n"])
    app.check()
    assert (tmp_path / "out").read_bytes() == b"one\n"
