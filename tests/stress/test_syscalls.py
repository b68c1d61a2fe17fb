"""The system calls under durability ``fsync``, seen by strace and by an FS that records its calls."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
from dataclasses import dataclass

import pytest
from support.crashpoints import program, rotated
from support.tools import tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.system import FS

EVENTS = 40
TRACED = "open,openat,creat,close,write,pwrite64,writev,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat"


@dataclass
class Call:
    """One call, with its place in the order of all beginnings and ends."""

    name: str
    args: tuple
    result: int
    begin: int
    end: int


# -- the rules -----------------------------------------------------------------------------


class Checked:
    """The calls of a process, as far as they are about a log, with every file by a number that renames do not change."""

    def __init__(self, calls, log):
        self.log = str(log)
        self.acks, self.writes, self.syncs, self.names, self.unlinks = [], [], [], [], []
        self._files = {}  # by path
        self._new = itertools.count()
        self._fds = {}  # the file and the time of opening
        for call in sorted(calls, key=lambda call: call.end):
            if call.result >= 0:
                getattr(self, f"_{call.name}")(call)

    def _file(self, path):
        return self._files.setdefault(path, next(self._new))

    def _open(self, call):
        path = os.path.abspath(call.args[0])
        self._fds[call.result] = self._file(path), call.end
        if path == self.log:
            self.names.append(("open", path, path, call))

    def _close(self, call):
        _, opened = self._fds.get(call.args[0], (None, 0))
        if opened < call.begin:  # else another thread got the same number at once
            self._fds.pop(call.args[0], None)

    def _write(self, call):
        fd, data = call.args
        if data.startswith(b"ack "):
            self.acks.append((int(data.split()[1]), call))
        elif fd in self._fds:
            self.writes.append((self._fds[fd][0], data, call))

    def _fsync(self, call):
        if call.args[0] in self._fds:
            self.syncs.append((self._fds[call.args[0]][0], call))

    def _rename(self, call):
        old, new = map(os.path.abspath, call.args)
        self._files[new] = self._files.pop(old, next(self._new))
        self.names.append(("rename", old, new, call))

    def _unlink(self, call):
        path = os.path.abspath(call.args[0])
        self.unlinks.append((path, call))
        self._files.pop(path, None)

    def _synced(self, file, after, before):
        """Return True if a sync of ``file`` lies wholly between the end of one call and the beginning of another."""
        return any(each == file and after.end < sync.begin and sync.end < before.begin for each, sync in self.syncs)

    def faults(self):
        """Return the calls that acknowledged or removed something too early."""
        return [*self._lines(), *self._names_on_disk(), *self._unlinked()]

    def _lines(self):
        for number, ack in self.acks:
            wanted = b'"tool_call_id":"c%d"' % number
            writes = [(file, call) for file, data, call in self.writes if wanted in data]
            if not any(self._synced(file, call, ack) for file, call in writes):
                yield "a line was not synced"

    def _names_on_disk(self):
        folder = self._file(os.path.dirname(self.log))
        for kind, old, _, call in self.names:
            later = [ack for _, ack in self.acks if ack.begin > call.end]
            if old == self.log and later and not self._synced(folder, call, later[0]):
                yield f"the directory was not synced after {kind}"

    def _unlinked(self):
        """Look whether a plain file goes only when its compressed form, and the name of that, are on the disk."""
        folder = self._file(os.path.dirname(self.log))
        for path, unlink in self.unlinks:
            packed = path + ".gz"
            renames = [call for _, _, new, call in self.names if new == packed]
            if not renames:
                continue
            file = self._files[packed]
            last = [call for each, _, call in self.writes if each == file][-1]
            if not self._synced(file, last, renames[0]):
                yield "a compressed file was not synced"
            if not self._synced(folder, renames[0], unlink):
                yield "the directory was not synced before unlink"


# -- who watches -----------------------------------------------------------------------------


class RecordingFS(FS):
    """Keeps what was called; also the acknowledgements that :meth:`ack` is told."""

    def __init__(self):
        self.calls = []
        self._guard = threading.Lock()
        self._time = 0

    def now(self):
        with self._guard:
            self._time += 1
            return self._time

    def ack(self, number):
        self.calls.append(Call("write", (1, b"ack %d\n" % number), 1, self.now(), self.now()))


def _recorded(name):
    real = getattr(FS, name)

    def calling(self, *args):
        begin, result = self.now(), -1
        try:
            answer = real(self, *args)
            result = answer or 0
            return answer
        finally:
            args = (args[0], bytes(args[1])) if name == "write" else args[:2] if name == "rename" else args[:1]
            self.calls.append(Call(name, args, result, begin, self.now()))

    return calling


for _name in ("open", "close", "write", "fsync", "rename", "unlink"):
    setattr(RecordingFS, _name, _recorded(_name))


class NoSync(RecordingFS):
    """Never syncs anything."""

    def fsync(self, fd):
        """Do nothing."""


class NoDirectorySync(RecordingFS):
    """Never syncs a directory."""

    def fsync(self, fd):
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            super().fsync(fd)


class EarlySync(RecordingFS):
    """Syncs before it writes, and then no more."""

    def write(self, fd, data):
        super().fsync(fd)
        return super().write(fd, data)

    def fsync(self, fd):
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            super().fsync(fd)


KINDS = {each.__name__: each for each in (RecordingFS, NoSync, NoDirectorySync, EarlySync)}
LINE, PACKED = "a line was not synced", "a compressed file was not synced"
NAMES = {f"the directory was not synced {when}" for when in ("after open", "after rename", "before unlink")}
FAULTS = {
    "RecordingFS": set(),
    "NoSync": {LINE, PACKED, *NAMES},
    "NoDirectorySync": NAMES,
    "EarlySync": {LINE, PACKED},
}


def emit_and_say(path, kind):
    """Emit durably into a rotating, compressed file, and write ``ack`` and the number after each acknowledgement."""
    fs = KINDS[kind]()
    log = blm.open_log(path, durability="fsync", max_bytes=2_000, compress="gzip", fs=fs)
    for number in range(EVENTS):
        assert log.emit(tool(number))
        fs.ack(number)
        os.write(1, b"ack %d\n" % number)
    log.close()
    return fs.calls


def say_quietly(path, kind):
    emit_and_say(path, kind)


def check(calls, path):
    """Return the faults, having checked that there was something to see."""
    checked = Checked(calls, path)
    assert [number for number, _ in checked.acks] == list(range(EVENTS))
    assert len(rotated(path)) == sum(kind == "rename" and old == str(path) for kind, old, _, _ in checked.names) > 3
    packed = [name for name in rotated(path) if name.endswith(".gz")]
    assert sorted(f"{name}.gz" for name, _ in checked.unlinks if f"{name}.gz" in packed) == packed
    assert len(packed) == len(rotated(path)) - 1
    return set(checked.faults())


@pytest.mark.parametrize("kind", KINDS)
def test_fsync_recorded(tmp_path, capfd, kind):
    """An acknowledged line, and the names of its files, are synced before; each missing sync is seen, as recorded."""
    path = tmp_path / "a.jsonl"
    assert check(emit_and_say(path, kind), path) == FAULTS[kind]


# -- strace ----------------------------------------------------------------------------------

_BEGINNING = re.compile(r"(\d+) +(\w+)\((.*)$")
_RESUMED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)$")
_ANSWER = re.compile(r"\) += (-?\d+|\?)")
_SAME = {"openat": "open", "creat": "open", "fdatasync": "fsync", "pwrite64": "write", "renameat": "rename"}
_SAME |= {"renameat2": "rename", "unlinkat": "unlink"}
_UNFINISHED = " <unfinished ...>"


def parse(text):
    """Return the calls of a trace; the order is that of its lines."""
    calls, begun = [], {}
    for time, line in enumerate(text.splitlines()):
        if found := _RESUMED.match(line):
            begin, args = begun.pop((found[1], found[2]))
            name, args = found[2], args + found[3]
        elif found := _BEGINNING.match(line):
            begin, name, args = time, found[2], found[3]
            if args.endswith(_UNFINISHED):
                begun[found[1], name] = begin, args.removesuffix(_UNFINISHED)
                continue
        else:
            continue  # a signal, or the end of a thread
        answer = list(_ANSWER.finditer(args))[-1]
        result = -1 if answer[1] == "?" else int(answer[1])
        name = _SAME.get(name, name)
        calls.append(Call(name, _arguments(name, args[: answer.start()]), result, begin, time))
    return calls


def _arguments(name, args):
    strings = [bytes.fromhex(each.replace("\\x", "")) for each in re.findall(r'"((?:\\x[0-9a-f]{2})*)"', args)]
    if name in {"open", "rename", "unlink"}:
        return tuple(map(os.fsdecode, strings))
    number = int(re.match(r"\d+", args)[0])
    return (number, *strings)


@pytest.fixture(scope="module")
def strace():
    """Return the path of a strace that is allowed to do its work."""
    found = shutil.which("strace")
    if not found:
        pytest.skip("strace is not installed")
    tried = subprocess.run([found, "-f", "-o", os.devnull, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"strace may not trace here: {tried.stderr.strip()}")
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_fsync_traced(strace, tmp_path, kind):
    """An acknowledged line, and the names of its files, are synced before; each missing sync is seen, by strace."""
    path, trace = tmp_path / "a.jsonl", tmp_path / "trace"
    command = [strace, "-f", "-xx", "-s", "100000", "-e", f"trace={TRACED}", "-o", trace]
    command += [sys.executable, "-c", program(say_quietly), path, kind]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert check(parse(trace.read_text(encoding="ascii")), path) == FAULTS[kind]
