"""Files beside a log: opened as regular files only, with the log's mode, and never through a link."""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress

import pytest
from support.faults import FaultyFS, each_call_failing

from bamboo_logmetrics.logfiles import checkpoint
from bamboo_logmetrics.logfiles.compression import compress
from bamboo_logmetrics.logfiles.side_files import (
    create_side_file,
    mode_of,
    open_regular,
    open_side_file,
    read_side_file,
)
from bamboo_logmetrics.system import FS

PLANTED = ["fifo", "directory", "socket", "device", "link", "dangling"]


def plant(path, kind):
    """Put something at a path that is no regular file; return the file that must not change."""
    victim = path.parent / "victim"
    victim.write_bytes(b"somebody's data")
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    elif kind == "device":
        path.symlink_to("/dev/zero")  # to make a device takes root
    else:
        path.symlink_to(victim if kind == "link" else path.parent / "nowhere")
    return victim


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY, os.O_RDWR | os.O_CREAT, os.O_RDWR | os.O_APPEND])
def test_only_regular_files_are_opened(tmp_path, kind, flags):
    """Whatever else is at a path, opening it returns at once with an error that names the path, and changes nothing."""
    victim = plant(tmp_path / "side", kind)
    fds = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="not a regular file, or a symbolic link: move it away.*side"):
        open_regular(FS(), str(tmp_path / "side"), flags)
    assert len(os.listdir("/proc/self/fd")) == fds
    assert victim.read_bytes() == b"somebody's data"
    assert not (tmp_path / "nowhere").exists()


def test_a_real_device_is_not_opened(tmp_path):
    """A device in place of a side file is no regular file."""
    with pytest.raises(OSError, match="not a regular file"):
        read_side_file(FS(), "/dev/zero", 10)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize("wanted", [0o600, 0o640, 0o660, 0o666])
def test_the_mode_is_exact(tmp_path, umask, wanted):
    """A side file has the mode that is asked for, new or found with another, whatever the umask is."""
    found = tmp_path / "found"
    found.touch(0o644)
    previous = os.umask(umask)
    try:
        for path in (tmp_path / "new", found):
            os.close(open_side_file(FS(), str(path), os.O_RDWR | os.O_CREAT, wanted))
        os.close(create_side_file(FS(), str(tmp_path / "temporary"), wanted))
    finally:
        os.umask(previous)
    assert [mode(tmp_path / name) for name in ("new", "found", "temporary")] == [wanted] * 3


def test_a_file_of_another_user_keeps_its_mode(tmp_path):
    """A mode that this user may not change is no error."""
    fs = FaultyFS()
    fs.fail("fchmod", errno.EPERM)
    (tmp_path / "side").touch(0o600)
    os.close(open_side_file(fs, str(tmp_path / "side"), os.O_RDWR, 0o660))
    assert mode(tmp_path / "side") == 0o600


@pytest.mark.parametrize("kind", [kind for kind in PLANTED if kind != "directory"])
def test_a_temporary_takes_the_place_of_anything(tmp_path, kind):
    """Anything at the name of a temporary file is removed, not followed and not emptied."""
    victim = plant(tmp_path / "side", kind)
    fd = create_side_file(FS(), str(tmp_path / "side"), 0o640)
    os.write(fd, b"new")
    os.close(fd)
    assert (tmp_path / "side").read_bytes() == b"new"
    assert victim.read_bytes() == b"somebody's data"


def test_a_temporary_never_empties_a_hard_link(tmp_path):
    """A name that is a second name of another file leaves that file as it is."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"somebody's data")
    os.link(victim, tmp_path / "side")
    os.close(create_side_file(FS(), str(tmp_path / "side"), 0o640))
    assert victim.read_bytes() == b"somebody's data"


def test_a_hard_link_is_no_side_file(tmp_path):
    """A second name of another file is refused by everything that opens a side file, and the file keeps all it has."""
    victim, side = tmp_path / "victim", str(tmp_path / "side")
    victim.write_bytes(b"somebody's data")
    victim.chmod(0o600)
    os.link(victim, side)
    fds = len(os.listdir("/proc/self/fd"))
    match = "a hard link, which may lead to another file: move it away.*side"
    for flags in (os.O_RDWR | os.O_CREAT, os.O_RDWR | os.O_CREAT | os.O_APPEND):
        with pytest.raises(OSError, match=match):
            open_side_file(FS(), side, flags, 0o666)
    with pytest.raises(OSError, match=match):
        read_side_file(FS(), side, 1000)
    assert len(os.listdir("/proc/self/fd")) == fds
    assert (mode(victim), victim.read_bytes()) == (0o600, b"somebody's data")
    os.unlink(victim)
    assert read_side_file(FS(), side, 1000) == b"somebody's data"


def test_a_side_file_that_is_replaced_meanwhile(tmp_path):
    """A side file that loses its name between opening and looking is read: another process has replaced it."""
    side = tmp_path / "side"
    side.write_bytes(b"old")
    fs = FaultyFS()
    fs.plan["fstat"] = lambda fd: side.unlink(missing_ok=True)
    assert read_side_file(fs, str(side), 1000) == b"old"


@pytest.mark.parametrize("call", ["fstat", "fchmod"])
@pytest.mark.parametrize("work", [open_side_file, create_side_file])
def test_a_failed_call_leaves_no_descriptor(tmp_path, call, work):
    """Whichever call fails, the file is closed again."""
    fds = len(os.listdir("/proc/self/fd"))
    flags = (os.O_RDWR | os.O_CREAT,) if work is open_side_file else ()
    for number, fs in each_call_failing(call):
        with suppress(OSError):
            os.close(work(fs, str(tmp_path / f"side{number}"), *flags, 0o606))
        assert len(os.listdir("/proc/self/fd")) == fds


def test_a_huge_file_is_not_read(tmp_path):
    """A file of more bytes than any side file has is an error that names it."""
    with open(tmp_path / "side", "wb") as file:
        file.truncate(10_000_000_000)
    with pytest.raises(OSError, match="larger than 1000 bytes.*side"):
        read_side_file(FS(), str(tmp_path / "side"), 1000)
    (tmp_path / "small").write_bytes(b"x" * 1000)
    assert read_side_file(FS(), str(tmp_path / "small"), 1000) == b"x" * 1000


def test_the_mode_of_a_log(tmp_path):
    """The mode of a log is that of its file; of one that is not there, or is no file, the default."""
    (tmp_path / "a.jsonl").touch()
    (tmp_path / "a.jsonl").chmod(0o664)
    (tmp_path / "link").symlink_to(tmp_path / "a.jsonl")
    assert mode_of(FS(), str(tmp_path / "a.jsonl"), 0o600) == 0o664
    assert mode_of(FS(), str(tmp_path / "link"), 0o600) == 0o600
    assert mode_of(FS(), str(tmp_path / "none"), 0o600) == 0o600


@pytest.mark.parametrize("kind", [kind for kind in PLANTED if kind != "directory"])
def test_compression_follows_no_link(tmp_path, kind):
    """A planted temporary file of a compression is replaced, and nothing behind it changes."""
    victim = plant(tmp_path / "side", kind)
    (tmp_path / "source").write_bytes(b"a line\n")
    fs = FS()
    fd = open_regular(fs, str(tmp_path / "source"), os.O_RDONLY)
    compress(fs, fd, str(tmp_path / "side"), "gzip", 0o660)
    os.close(fd)
    assert (mode(tmp_path / "side"), victim.read_bytes()) == (0o660, b"somebody's data")


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_checkpoint(tmp_path, kind):
    """A checkpoint that is no regular file is an error at once; one that is planted as temporary is replaced."""
    path = tmp_path / ".a.jsonl.loki.checkpoint"
    victim = plant(path, kind)
    with pytest.raises(OSError, match="not a regular file"):
        checkpoint.load(FS(), str(path))
    if kind != "directory":
        path.rename(tmp_path / ".a.jsonl.loki.checkpoint.tmp")
        checkpoint.save(FS(), str(path), {"to": "loki"}, 0o664)
        assert (checkpoint.load(FS(), str(path)), mode(path)) == ({"to": "loki"}, 0o664)
    assert victim.read_bytes() == b"somebody's data"
