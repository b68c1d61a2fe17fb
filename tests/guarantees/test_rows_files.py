"""Rows 42 to 46 of the fault matrix: files that are not the log's, users that share one, paths that cannot be one."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import stat
import tempfile

import pytest
from click.testing import CliRunner
from support import TESTS
from support.faults import HurriedClock, assert_balanced
from support.tools import balanced, flat, of_kind, physical, tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.cli.commands import cli
from bamboo_logmetrics.logfiles import checkpoint
from bamboo_logmetrics.logfiles.names import shipper_file
from bamboo_logmetrics.system import FS

PATIENT = 10_000  # seconds of a HurriedClock, ten of ours


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def closed_log(path, **options):
    """Write a closed log of four events."""
    with blm.open_log(path, **options) as log:
        for number in range(4):
            assert log.emit(tool(number))


# -- row 42: the file is not a log -----------------------------------------------------------


@pytest.mark.parametrize(
    "data", [b'{"name": "x"}', b"\x7fELF\0\0", b"key = value\n", b'{"level":"info"}\n{"level":"in']
)
@pytest.mark.parametrize("through", ["its path", "a link"])
def test_row_42_a_file_of_somebody_else(tmp_path, path, data, through):
    """Opening a log at a file that is none is refused, and the file keeps every byte."""
    real = tmp_path / "config"
    real.write_bytes(data)
    if through == "a link":
        path.symlink_to(real)
    with pytest.raises(blm.ConfigError, match="is not a log of this package, and is left as it is; move it away"):
        blm.open_log(path if through == "a link" else real)
    assert real.read_bytes() == data


@pytest.mark.parametrize("durability", ["queue", "write"])
def test_row_42_half_a_line_of_somebody_else(path, open_log, durability):
    """Half a line that another program appends to a running log stays, and the log goes on on a line of its own."""
    log = open_log(durability=durability)
    kept = b""
    for number in range(5):
        assert log.emit(tool(number))
        assert log.flush()
        with path.open("ab") as file:
            file.write(b"a stranger's text")
        kept += b"a stranger's text\n"
    assert log.emit(tool(5))
    assert log.close()
    lines = path.read_bytes().splitlines(keepends=True)
    assert b"".join(line for line in lines if line[:1] != b"{") == kept
    events = [json.loads(line) for line in lines if line[:1] == b"{"]
    assert [line["tool_call_id"] for line in events if line["event"] == "chat.tool_called"] == [
        f"c{n}" for n in range(6)
    ]
    assert [line["seq"] for line in events] == list(range(1, len(events) + 1))
    assert "a new line was begun" in json.dumps(events)
    stats = log.stats()
    assert (stats.written, stats.repaired_bytes, balanced(stats)) == (6, 0, True)


def test_row_42_zeros_of_a_power_cut(path):
    """Zeros behind the last line, as a power cut leaves them, are cut away and counted."""
    closed_log(path)
    with path.open("ab") as file:
        file.write(b"\0" * 4000)
    with blm.open_log(path) as log:
        assert log.emit(tool(4))
    assert log.stats().repaired_bytes == 4000
    assert blm.verify(path).ok


# -- row 43: two users, one log --------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize("wanted", [0o600, 0o640, 0o660])
def test_row_43_all_files_have_the_mode(path, stub, umask, wanted):
    """The log, its rotated and compressed files, lock, checkpoint, shipper's lock and dead letters have one mode."""
    from bamboo_logmetrics.ship import Shipper

    previous = os.umask(umask)
    try:
        closed_log(path, mode=wanted, max_bytes=600, compress="gzip")
        blm.open_log(path, mode=wanted, compress="gzip").close()
        with path.open("ab") as file:
            file.write(b"not a line\n")
        Shipper(path, to="loki", url=stub.url).run()
    finally:
        os.umask(previous)
    modes = {name: mode(path.parent / name) for name in os.listdir(path.parent)}
    kinds = {name.rpartition(".")[2] for name in modes}
    assert {"gz", "lock", "checkpoint", "shipper", "dead-letter"} <= kinds
    assert set(modes.values()) == {wanted}, modes


USERS = (61_001, 61_002)
GROUP = 61_000

AS_USERS = """
import os, sys, tempfile
sys.path.insert(0, sys.argv[2])
from support.tools import tool
import bamboo_logmetrics as blm
from bamboo_logmetrics.ship import Shipper

path, url, users = sys.argv[1], sys.argv[3], [61001, 61002]
os.umask(0o022)

def write(path):
    log = blm.open_log(path, mode=0o660, max_bytes=3_000, compress="gzip", durability="write")
    for number in range(40):
        assert log.emit(tool(f"{os.getpid()}-{number}"))
    assert log.close()
    assert blm.verify(path).written >= 40

def ship(path):
    print(Shipper(path, to="loki", url=url).run().shipped, flush=True)

def start(user, work):
    pid = os.fork()
    if pid == 0:
        os.setgroups([61000])
        os.setgid(user)
        os.setuid(user)
        try:
            work(path)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", flush=True)
            os._exit(1)
        os._exit(0)
    return pid

def ended(*pids):
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    if any(codes):
        sys.exit(1)

with tempfile.TemporaryDirectory() as folder:  # imports everything: another user may not be able to read the modules
    write(f"{folder}/a.jsonl")
    ship(f"{folder}/a.jsonl")
"""


@pytest.fixture
def shared_folder():
    """Give a directory of a group, setgid, that two users of the group may write to."""
    folder = tempfile.mkdtemp(prefix="bamboo-shared-")
    os.chown(folder, 0, GROUP)
    os.chmod(folder, 0o2770)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
def test_row_43_two_users_of_one_group(shared_folder, stub, run_python):
    """Two users with umask 022 write, rotate, compress, verify and ship one log in turn and at the same time."""
    path = os.path.join(shared_folder, "a.jsonl")
    code = (
        AS_USERS
        + """
for user in users:
    ended(start(user, write))
ended(*[start(user, write) for user in users])
for user in users:
    ended(start(user, ship))
"""
    )
    done = run_python(code, path, TESTS, stub.url)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    report = blm.verify(path, complete=True)
    assert report.ok
    assert (report.written, len(report.writers)) == (160, 4)
    assert done.stdout.splitlines()[1:] == [str(report.lines), "0"]
    owners = {os.lstat(os.path.join(shared_folder, name)).st_uid for name in os.listdir(shared_folder)}
    assert owners == set(USERS)
    modes = {name: (mode(os.path.join(shared_folder, name))) for name in os.listdir(shared_folder)}
    assert set(modes.values()) == {0o660}, modes
    assert any(name.endswith(".gz") for name in modes)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
def test_row_43_a_lock_of_another_user(shared_folder, stub, run_python):
    """A second user who may not write to the lock file is told so at opening, not by lost events."""
    path = os.path.join(shared_folder, "a.jsonl")
    closed_log(path, mode=0o660)
    os.chmod(os.path.join(shared_folder, ".a.jsonl.lock"), 0o640)
    done = run_python(AS_USERS + "ended(start(users[1], write))", path, TESTS, stub.url)
    assert done.returncode == 1
    assert "ConfigError" in done.stdout
    assert "the lock file cannot be opened for reading and writing by this user; give it the mode" in done.stdout


# -- row 44: planted side files --------------------------------------------------------------


def plant(path, kind):
    """Put something else than a side file at its path; return the file that must not change."""
    victim = os.path.join(os.path.dirname(path), "victim")
    with open(victim, "wb") as file:
        file.write(b"somebody's data")
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        os.mkdir(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
    elif kind in {"link", "dangling", "device"}:
        os.symlink({"link": victim, "dangling": f"{path}.nowhere", "device": "/dev/zero"}[kind], path)
    elif kind == "hard link":
        os.chmod(victim, 0o600)
        os.link(victim, path)
    elif kind == "huge":
        with open(path, "wb") as file:
            file.truncate(100_000_000_000)
    elif kind == "deep":
        line = b"[" * 200_000
        with open(path, "wb") as file:
            file.write(line + b"\n" + checkpoint.hashlib.sha256(line).hexdigest().encode() + b"\n")
    return victim


KINDS = ["fifo", "directory", "socket", "link", "dangling", "device", "hard link", "huge", "deep"]


def side_path(path, kind, name="loki"):
    return shipper_file(str(path), name, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_row_44_a_planted_checkpoint_and_retention(path, kind):
    """Whatever lies in place of a shipper's checkpoint, retention and close return, and nothing is lost or followed."""
    victim = plant(side_path(path, "checkpoint"), kind)
    log = blm.open_log(path, max_bytes=600, backup_count=2, compress="gzip")
    for number in range(30):
        assert log.emit(tool(number))
        assert log.flush()
    assert log.close()
    stats = log.stats()
    assert (stats.written, balanced(stats)) == (30, True)
    assert len([name for name in os.listdir(path.parent) if name.startswith("a.jsonl.2")]) == 4  # twice backup_count
    assert blm.verify(path).ok
    with open(victim, "rb") as file:
        assert file.read() == b"somebody's data"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", ["checkpoint", "shipper", "dead-letter"])
def test_row_44_planted_files_of_a_shipper(path, stub, kind, side):
    """Whatever lies in place of a shipper's file, ship and its status end with one line that names it."""
    closed_log(path)
    with path.open("ab") as file:
        file.write(b"not a line\n")  # which goes to the dead letters
    victim = plant(side_path(path, side), kind)
    if side != "checkpoint":
        checkpoint.save(FS(), side_path(path, "checkpoint"), {"to": "loki", "url": f"{stub.url}/loki/api/v1/push"})
    ship = CliRunner().invoke(cli, ["ship", str(path), "--to", "loki", "--url", stub.url, "--give-up-after", "0.1"])
    status = CliRunner().invoke(cli, ["ship", str(path), "--status"])
    for done in (ship, status):
        assert done.exception is None or isinstance(done.exception, SystemExit)
        assert len(done.stderr.splitlines()) <= 3, done.stderr
    assert status.exit_code == 0
    if kind not in {"huge", "deep"}:
        assert f".a.jsonl.loki.{side}" in ship.stderr
        assert re.search("(not a regular file, or a symbolic link|a hard link, .*): move it away", ship.stderr)
        assert ship.exit_code != 0
        assert "problem: loki: " in status.stdout or side == "dead-letter"
    with open(victim, "rb") as file:
        assert file.read() == b"somebody's data"
    assert kind != "hard link" or stat.S_IMODE(os.stat(victim).st_mode) == 0o600
    assert not os.path.exists(f"{side_path(path, side)}.nowhere")


@pytest.mark.parametrize("kind", ["fifo", "link", "dangling", "device", "socket", "directory", "hard link"])
@pytest.mark.parametrize("at", ["before", "while open"])
def test_row_44_a_planted_lock_file(path, kind, at):
    """Something else in place of the lock file is refused at opening; later nothing is written until it is gone."""
    lock = str(path.parent / ".a.jsonl.lock")
    if at == "before":
        victim = plant(lock, kind)
        with pytest.raises(blm.ConfigError, match="the lock file is (not a regular file, or a symbolic|a hard) link"):
            blm.open_log(path, mode=0o666)
    else:
        log = blm.open_log(path, clock=HurriedClock())
        assert log.emit(tool(0))
        assert log.flush(timeout=PATIENT)
        os.unlink(lock)
        victim = plant(lock, kind)
        assert log.emit(tool(1))
        assert not log.flush(timeout=500)
        shutil.rmtree(lock) if kind == "directory" else os.unlink(lock)
        assert log.close(timeout=PATIENT)
        assert "move it away" in of_kind(path, "system.storage_error")[0]["error"]
        assert_balanced(path, log, 2)
    with open(victim, "rb") as file:
        assert file.read() == b"somebody's data"


# -- row 45: a path at which no log can ever be ------------------------------------------------


@pytest.mark.parametrize("name", ["n" * 215, "n" * 250, "é" * 120, "x.gz", "x.jsonl.zst", ".a.jsonl.lock"])
def test_row_45_names_that_cannot_be(tmp_path, name):
    """A name with which the log could not be rotated, locked or read is refused at opening, and nothing is created."""
    with pytest.raises(blm.ConfigError, match="cannot be a log: its? .*; give "):
        blm.open_log(tmp_path / name)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="root makes the directory of another user")
@pytest.mark.parametrize("exists", [True, False])
def test_row_45_a_directory_that_is_not_writable(shared_folder, stub, run_python, exists):
    """Where the user may write to the file and not to its directory, opening names the lock file and rotation."""
    path = os.path.join(shared_folder, "a.jsonl")
    if exists:
        with open(path, "w"):
            os.chmod(path, 0o666)
    os.chmod(shared_folder, 0o755)
    done = run_python(AS_USERS + "ended(start(users[0], write))", path, TESTS, stub.url)
    assert "ConfigError" in done.stdout
    text = "the directory is not writable, and the lock file .a.jsonl.lock and rotated files are created there"
    assert text in done.stdout
    assert os.listdir(shared_folder) == (["a.jsonl"] if exists else [])


@pytest.mark.skipif(not os.path.exists("/proc/self"), reason="needs a file system that is never writable")
def test_row_45_a_file_system_that_cannot_be_written(tmp_path):
    """A path on a file system that takes no files is refused at opening."""
    with pytest.raises(blm.ConfigError, match="not writable|cannot be used as a directory"):
        blm.open_log("/sys/kernel/a.jsonl", fs=_ReadOnly())


class _ReadOnly(FS):
    """A file system that is mounted read-only, for root as well."""

    def access(self, path, mode):
        return not mode & os.W_OK


# -- row 46: something else comes to the path while the log is open ---------------------------


@pytest.mark.parametrize("durability", ["queue", "write"])
@pytest.mark.parametrize("kind", ["fifo", "directory", "socket", "link", "dangling", "device", "foreign"])
def test_row_46_the_path_is_replaced(path, kind, durability):
    """While something else is at the path nothing is written there and nothing blocks; then the log goes on, complete."""
    log = blm.open_log(path, clock=HurriedClock(), durability=durability, queue_size=20)
    assert log.emit(tool(0))
    assert log.flush(timeout=PATIENT)
    path.rename(path.parent / "kept")
    victim = plant(str(path), kind)
    if kind == "foreign":
        path.write_bytes(b"somebody's data")
    answers = [log.emit(tool(number)) for number in range(1, 41)]
    assert not log.flush(timeout=500)
    stats = log.stats()
    assert balanced(stats)
    assert (stats.written, set(stats.dropped)) == (1, {"queue_full"})
    assert stats.dropped_total >= 18
    assert answers.count(True) == (stats.queued if durability == "queue" else 0)
    if kind == "foreign":
        assert path.read_bytes() == b"somebody's data"
    with open(victim, "rb") as file:
        assert file.read() == b"somebody's data"
    shutil.rmtree(path) if kind == "directory" else path.unlink()
    assert log.close(timeout=PATIENT)
    (error,) = of_kind(path, "system.storage_error")
    assert "a.jsonl" in error["error"]
    assert "move it away" in error["error"]
    assert not os.path.exists(f"{path}.nowhere")
    events = [line["tool_call_id"] for line in flat(path) if line["event"] == "chat.tool_called"]
    assert events == [f"c{number}" for number in range(1, stats.queued + 1)]
    assert [json.loads(line)["seq"] for line in [*physical(path.parent / "kept"), *physical(path)]] == list(
        range(1, log.stats().written + log.stats().own + 1)
    )


@pytest.mark.parametrize("kind", ["fifo", "directory", "link"])
def test_row_46_close_does_not_wait_for_the_path(path, kind):
    """If something else stays at the path, close returns in its time, and all that is not written is counted."""
    log = blm.open_log(path, clock=HurriedClock())
    assert log.emit(tool(0))
    assert log.flush(timeout=PATIENT)
    path.rename(path.parent / "kept")
    plant(str(path), kind)
    assert log.emit(tool(1))
    assert not log.close(timeout=100)
    stats = log.stats()
    assert (stats.emitted, stats.written, stats.dropped_total, stats.queued) == (2, 1, 1, 0)
