"""Paths at which no log can ever be written are refused at opening, with the remedy, and nothing is created."""

from __future__ import annotations

import errno
import os
import socket

import pytest
from support.faults import FaultyFS, oserror

import bamboo_logmetrics as blm
from bamboo_logmetrics.events.times import from_ns
from bamboo_logmetrics.logfiles.names import acknowledged_path, lock_path, rotated_name, shipper_file
from bamboo_logmetrics.logfiles.path_check import check_path
from bamboo_logmetrics.logfiles.repair import OWN_LINES
from bamboo_logmetrics.system import FS

WRITER = "0123456789abcdef0123"


def refused(path, **options):
    """Return the message with which opening a path is refused, after checking that it is one line that names the path."""
    with pytest.raises(blm.ConfigError) as error:
        blm.open_log(path, **options)
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.zst", ".gz.gz", "x.gz"])
def test_names_of_compressed_files(tmp_path, name):
    """A name that reading takes for a compressed file is refused."""
    assert "give a name without it" in refused(tmp_path / name)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_names_of_rotated_files(tmp_path, suffix):
    """The name of a rotated file of any log is refused, with the path to give."""
    message = refused(tmp_path / (rotated_name("a.jsonl", from_ns(10**18), WRITER) + suffix))
    assert "compressed file" in message if suffix else message.endswith("give the path of a.jsonl")


@pytest.mark.parametrize(
    "name",
    [
        ".a.jsonl.lock",
        ".a.jsonl.loki.checkpoint",
        ".a.jsonl.loki.checkpoint.old",
        ".a.jsonl.loki.checkpoint.tmp",
        ".a.jsonl.my-name.shipper",
        ".a.jsonl.loki.dead-letter",
        ".a.jsonl.loki.dead-letter.tmp",
        ".a.jsonl.import.sqlite",
        ".a.jsonl.acknowledged",
        ".a.jsonl.acknowledged.tmp",
        f".{rotated_name('a.jsonl', from_ns(10**18), WRITER)}.gz.tmp",
    ],
)
def test_names_of_side_files(tmp_path, name):
    """The name of a lock, a temporary or a shipper's file of any log is refused."""
    assert refused(tmp_path / name).endswith("of a.jsonl; give the path of a.jsonl")


def test_names_of_real_side_files():
    """The names that are refused are those that the package gives."""
    for path in (
        lock_path("/d/x"),
        acknowledged_path("/d/x"),
        *(shipper_file("/d/x", "loki", kind) for kind in ("checkpoint", "shipper", "dead-letter")),
    ):
        with pytest.raises(blm.ConfigError, match="hidden file of x"):
            check_path(FS(), path, OWN_LINES)


@pytest.mark.parametrize(
    "name", [".a.jsonl", "a.lock", ".lock", "a.checkpoint", "a.jsonl.1", ".a.tmp", "a b.jsonl", "é"]
)
def test_other_names_are_no_trouble(tmp_path, name):
    """Names that only resemble those of other files are names of logs."""
    with blm.open_log(tmp_path / name) as log:
        assert log.emit(blm.SessionStarted(session_id="s", model="m"))
    assert blm.verify(tmp_path / name).ok


@pytest.mark.parametrize("letter", ["n", "é"])
def test_the_longest_name_works(tmp_path, letter):
    """The longest name that is let in is rotated, compressed and verified; one byte more is refused with the limit."""
    most = os.pathconf(tmp_path, "PC_NAME_MAX") - 53
    name = letter * (most // len(letter.encode()))
    with blm.open_log(tmp_path / name, max_bytes=500, compress="gzip") as log:
        for number in range(8):
            assert log.emit(blm.SessionStarted(session_id=f"s{number}", model="m"))
            log.flush()
    assert log.stats().written == 8
    with blm.open_log(tmp_path / name, compress="gzip"):
        pass
    assert any(entry.endswith(".gz") for entry in os.listdir(tmp_path))
    assert blm.verify(tmp_path / name).ok
    assert f"give a name of at most {most} bytes" in refused(tmp_path / (name + letter))


@pytest.mark.parametrize("size", [215, 250, 255, 256, 5000])
def test_names_that_are_too_long(tmp_path, size):
    """A name with which the log could not be rotated, locked or written is refused."""
    message = refused(tmp_path / ("n" * size))
    assert f"its name has {size} bytes" in message
    assert os.listdir(tmp_path) == []


def test_a_path_that_is_too_long(tmp_path):
    """A path that leaves no room for the names of the other files is refused."""
    deep = tmp_path.joinpath(*["d" * 200] * 20)
    assert "give a path of at most" in refused(deep / "a.jsonl")


def test_a_limit_that_the_system_does_not_say(tmp_path, monkeypatch):
    """Where the system does not say how long a name may be, it is 255 bytes."""
    monkeypatch.setattr(os, "pathconf", lambda *_: (_ for _ in ()).throw(OSError(errno.EINVAL, "no")))
    check_path(FS(), str(tmp_path / ("n" * 202)), OWN_LINES)
    with pytest.raises(blm.ConfigError, match="at most 202 bytes"):
        check_path(FS(), str(tmp_path / ("n" * 203)), OWN_LINES)


class OtherUserFS(FS):
    """The file system as a user sees it who may not write to some paths."""

    def __init__(self, *paths):
        self.paths = [str(path) for path in paths]

    def access(self, path, mode):
        return path not in self.paths


@pytest.mark.parametrize("file_exists", [True, False])
def test_a_directory_that_is_not_writable(tmp_path, file_exists):
    """A directory in which no lock file and no rotated file can be created is refused, though the file is writable."""
    if file_exists:
        (tmp_path / "a.jsonl").touch()
    message = refused(tmp_path / "a.jsonl", fs=OtherUserFS(tmp_path))
    assert "the lock file .a.jsonl.lock and rotated files are created there" in message
    assert str(tmp_path) in message


def test_a_directory_that_cannot_be_made(tmp_path):
    """The nearest directory that exists is the one that must be writable."""
    assert str(tmp_path) in refused(tmp_path / "deep" / "er" / "a.jsonl", fs=OtherUserFS(tmp_path))
    assert os.listdir(tmp_path) == []


def test_a_file_in_place_of_a_directory(tmp_path):
    """A path below a file is refused."""
    (tmp_path / "file").touch()
    assert f"{tmp_path / 'file'} is not a directory; give another path" in refused(tmp_path / "file" / "a.jsonl")
    message = refused(tmp_path / "file" / "deeper" / "a.jsonl")
    assert f"{tmp_path / 'file' / 'deeper'} cannot be used as a directory: Not a directory" in message


def test_a_directory_of_which_nothing_is_known(tmp_path):
    """An error that may pass does not refuse a path."""
    fs = FaultyFS()
    fs.fail("stat", errno.EIO)
    check_path(fs, str(tmp_path / "a.jsonl"), OWN_LINES)


@pytest.mark.parametrize("kind", ["fifo", "directory", "link", "socket"])
def test_a_lock_file_that_is_none(tmp_path, kind):
    """Something else than a regular file at the lock's path is refused, and not followed."""
    lock, victim = tmp_path / ".a.jsonl.lock", tmp_path / "victim"
    victim.touch(0o600)
    if kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(lock))
    else:
        {"fifo": os.mkfifo, "directory": os.mkdir, "link": lambda path: os.symlink(victim, path)}[kind](lock)
    assert "the lock file is not a regular file, or a symbolic link; move it away" in refused(tmp_path / "a.jsonl")
    assert victim.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", [".a.jsonl.lock", "a.jsonl"])
def test_files_of_another_user(tmp_path, name):
    """A lock or a log that this user may not write to is refused, with the remedy."""
    (tmp_path / name).touch()
    message = refused(tmp_path / "a.jsonl", fs=OtherUserFS(tmp_path / name))
    assert "this user" in message
    assert "chmod" in message


FOREIGN = {
    "config": b'{\n  "name": "x"\n}\n',
    "config without newline": b'{"name": "x", "list": [1, 2]}',
    "text": b"root:x:0:0\n",
    "half a text": b"root:x:0:0",
    "binary": bytes(range(256)) * 4,
    "binary without newline": b"\x7fELF\x02\x01\x01\0\0\0",
    "zeros": b"\0" * 5000,
    "lines of another program": b'{"timestamp":"2026-11-30T12:00:00.123456Z","level":"info","event":"x"}\n' * 3,
    "half a line of another program": b'{"timestamp":"2026-11-30T12:00:00.123456Z","level":"info","event":"x","user":1',
    "a whole line of another program without newline": b'{"timestamp":"2026-11-30T12:00:00Z","msg":"x"}',
    "lines without a writer": b'{"event":"x","v":1}\n',
    "an empty line": b"\n",
    "deep JSON": b"[" * 100_000 + b"\n",
    "no newline for long": b"x" * 200_000,
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("linked", [False, True])
def test_a_foreign_file_is_left_as_it_is(tmp_path, name, linked):
    """A file that is no log is refused, also through a link, and not one byte of it is cut or appended."""
    path = tmp_path / "config.json"
    path.write_bytes(FOREIGN[name])
    if linked:
        (tmp_path / "a.jsonl").symlink_to(path)
    message = refused(tmp_path / "a.jsonl" if linked else path)
    assert "is not a log of this package, and is left as it is; move it away" in message
    assert path.read_bytes() == FOREIGN[name]
    assert sorted(os.listdir(tmp_path)) == (["a.jsonl"] if linked else []) + ["config.json"]


@pytest.mark.parametrize("layout", ["native", "ecs", "otel"])
@pytest.mark.parametrize("tail", [b"", b"not a line", b'{"a":1}\n', b"\0" * 100])
def test_a_log_with_foreign_lines_is_a_log(tmp_path, layout, tail):
    """A log into which another program has written stays one; what it wrote stays, and zeros of a power cut go."""
    path = tmp_path / "a.jsonl"
    with blm.open_log(path, layout=layout) as log:
        log.info("first")
    before = path.read_bytes()
    path.write_bytes(before + tail)
    with blm.open_log(path, layout=layout) as log:
        log.info("second")
    kept = tail if tail.strip(b"\0") else b""
    assert path.read_bytes().startswith(before + kept)
    assert path.read_bytes().count(b"\n") == 6 + bool(kept) + (kept == b"not a line")
    assert log.stats().repaired_bytes == (100 if tail == b"\0" * 100 else 0)


def test_a_log_whose_first_line_is_foreign(tmp_path):
    """The last line is enough to know a log by."""
    path = tmp_path / "a.jsonl"
    with blm.open_log(path) as log:
        log.info("first")
    path.write_bytes(b"somebody's line\n" + path.read_bytes())
    with blm.open_log(path) as log:
        log.info("second")
    assert path.read_bytes().startswith(b"somebody's line\n")


def test_a_log_with_a_long_first_line(tmp_path):
    """A first line that is longer than what is looked at is known by its beginning."""
    path = tmp_path / "a.jsonl"
    with blm.open_log(path, max_line_bytes=200_000) as log:
        log.info("x" * 150_000)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[1] + b"somebody's line\n")
    blm.open_log(path).close()
    assert path.read_bytes().startswith(lines[1] + b"somebody's line\n")


def test_lines_of_a_newer_version_are_lines(tmp_path):
    """A file that a newer release has written is a log."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        b'{"timestamp":"2030-01-01T00:00:00.000000Z","level":"info","event":"x","v":2,"writer":"%s"}\n'
        % WRITER.encode()
    )
    blm.open_log(path).close()
    assert path.read_bytes().count(b"\n") == 3


def test_an_empty_file_is_a_log(tmp_path):
    """An empty file, as deployments create it to set its owner, is written to."""
    (tmp_path / "a.jsonl").touch()
    with blm.open_log(tmp_path / "a.jsonl") as log:
        log.info("first")
    assert blm.verify(tmp_path / "a.jsonl").ok


@pytest.mark.parametrize("where", ["the file", "its directory"])
def test_a_dangling_link(tmp_path, where):
    """A link to nothing is refused, and what it names is not created."""
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    path = tmp_path / "link" if where == "the file" else tmp_path / "link" / "a.jsonl"
    assert "is a symbolic link to nothing" in refused(path)
    assert os.listdir(tmp_path) == ["link"]


def test_links_in_a_circle(tmp_path):
    """Links that lead in a circle are refused."""
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert "symbolic link" in refused(tmp_path / "a")


def test_a_link_to_a_log(tmp_path):
    """A link to a log is followed once, at opening: the log is the file behind it."""
    blm.open_log(tmp_path / "real.jsonl").close()
    (tmp_path / "a.jsonl").symlink_to(tmp_path / "real.jsonl")
    with blm.open_log(tmp_path / "a.jsonl") as log:
        assert log.path == str(tmp_path / "real.jsonl")
    assert blm.verify(tmp_path / "a.jsonl").ok


@pytest.mark.parametrize("call", ["open", "fstat", "pread"])
def test_a_file_that_cannot_be_read_now(tmp_path, call):
    """An error at looking into the file does not refuse it, and the log is written once it can be."""
    path = tmp_path / "a.jsonl"
    blm.open_log(path).close()
    fs = FaultyFS()
    fs.fail(call, errno.EIO)
    check_path(fs, str(path), OWN_LINES)
    assert fs.failed == 1


def test_a_file_that_changes_while_it_is_looked_at(tmp_path):
    """A link that takes the place of the file at this moment is refused."""
    path, fs = tmp_path / "a.jsonl", FaultyFS()
    path.touch()
    fs.plan["open"] = lambda *_: (_ for _ in ()).throw(oserror(errno.ELOOP))
    with pytest.raises(blm.ConfigError, match="not a regular file, or a symbolic link"):
        check_path(fs, str(path), OWN_LINES)


def test_a_lock_with_another_name(path):
    """A lock file that is a hard link is refused, and what it leads to keeps its mode."""
    victim = path.with_name("victim")
    victim.write_bytes(b"")
    victim.chmod(0o600)
    os.link(victim, lock_path(str(path)))
    with pytest.raises(blm.ConfigError, match="the lock file is a hard link, which may lead to another file; move it"):
        blm.open_log(path, mode=0o666)
    assert victim.stat().st_mode & 0o777 == 0o600
