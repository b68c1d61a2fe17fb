"""Counting a log from its files alone, children that begin at once, and file systems that lose or double lines."""

from __future__ import annotations

import collections
import glob
import gzip
import json
import os
import sys
import traceback

import bamboo_logmetrics as blm
from bamboo_logmetrics.system import FS
from support.packing import unpack_zstd
from support.tools import tool

# -- what the files hold --------------------------------------------------------------------


def _plain(name):
    with open(name, "rb") as file:
        data = file.read()
    if name.endswith(".gz"):
        return gzip.decompress(data)
    if name.endswith(".zst"):
        return unpack_zstd(data)
    return data


def lines_of(path):
    """Return every physical line of a log as bytes, rotated ones first; of two forms of a file the plain one."""
    names = sorted(glob.glob(f"{glob.escape(str(path))}.2*"))
    forms = {name.removesuffix(".gz").removesuffix(".zst"): name for name in reversed(names)}
    return [line for name in [*forms.values(), str(path)] for line in _plain(name).splitlines(keepends=True)]


def _not_json(name):
    raise ValueError(name)


def findings(path, expected):
    """Return the errors in a log that should hold the tools ``expected`` once each; ``{}`` for none.

    ``lost`` and ``doubled`` count tools, ``unknown`` those that nobody emitted, ``broken`` lines that are not
    strict JSON, and ``repeated`` numbers that a writer has used before.
    """
    tools, numbers, broken = collections.Counter(), collections.Counter(), 0
    for raw in lines_of(path):
        try:
            line = json.loads(raw, parse_constant=_not_json)
        except ValueError:
            broken += 1
            continue
        broken += not raw.endswith(b"\n")
        numbers[line["writer"], line["seq"]] += 1
        if line["event"] == "chat.tool_called":
            tools[line["tool_call_id"]] += 1
    expected = set(expected)
    counts = {
        "lost": len(expected - tools.keys()),
        "doubled": tools.total() - len(tools),
        "unknown": len(tools.keys() - expected),
        "broken": broken,
        "repeated": numbers.total() - len(numbers),
    }
    return {name: count for name, count in counts.items() if count}


def tools_of_writers(path):
    """Return how many tools each writer's lines hold."""
    lines = [json.loads(line) for line in lines_of(path)]
    return collections.Counter(line["writer"] for line in lines if line["event"] == "chat.tool_called")


# -- children -------------------------------------------------------------------------------


def fork_all(works):
    """Fork a child for each function and return what they return, as JSON carries it.

    Each is given a function that comes back when all of them have called it.
    """
    ready, say_ready = os.pipe()
    go, say_go = os.pipe()
    children = []
    for work in works:
        answer, say_answer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(say_go)
            _be_child(work, lambda: (os.write(say_ready, b"."), os.read(go, 1)), say_answer)
        os.close(say_answer)
        children.append((pid, answer))
    os.close(say_ready)
    for _ in children:
        os.read(ready, 1)  # nothing, when one has failed before
    os.close(say_go)
    answers = [_read_all(answer) for _, answer in children]
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid, _ in children]
    assert codes == [0] * len(codes), codes
    return [json.loads(answer) for answer in answers]


def _be_child(work, barrier, say_answer):
    code = 1
    try:
        os.write(say_answer, json.dumps(work(barrier)).encode())
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _read_all(fd):
    with os.fdopen(fd, "rb") as file:
        return file.read()


def write_at_once(path, processes, events, fs=FS, **options):
    """Let processes open the log at ``path``, begin at once and close it.

    Returns for each its writer, how many lines it counts as written, and what its file system says that it planted.
    """

    def work_of(name):
        def work(barrier):
            system = fs()
            log = blm.open_log(path, on_full="block", block_timeout=60, fs=system, **options)
            barrier()
            for n in range(events):
                log.emit(tool(f"{name}-{n}"))
            assert log.close(60)
            stats = log.stats()
            return stats.writer, stats.written, getattr(system, "planted", 0)

        return work

    return fork_all(work_of(name) for name in range(processes))


# -- file systems that lie ------------------------------------------------------------------


class LyingFS(FS):
    """Claims to have written all lines of a log, and has changed every 20th tool's; ``planted`` counts them."""

    def __init__(self):
        self.planted = 0
        self._seen = 0
        self._logs = set()

    def open(self, path, flags, mode=0o640):
        fd = super().open(path, flags, mode)
        (self._logs.add if path.endswith(".jsonl") else self._logs.discard)(fd)
        return fd

    def write(self, fd, data):
        if fd not in self._logs:
            return super().write(fd, data)  # a compressed file
        lines = bytes(data).splitlines(keepends=True)
        changed = b"".join(self._changed(lines))
        assert super().write(fd, changed) == len(changed)
        return len(data)

    def _changed(self, lines):
        for line, following in zip(lines, [*lines[1:], b""], strict=True):
            self._seen += b"tool_called" in line
            if b"tool_called" in line and self._seen % 20 == 0 and self._fits(following):
                self.planted += 1
                yield self.change(line)
            else:
                yield line

    def _fits(self, following):
        return True


class DroppingFS(LyingFS):
    """Leaves whole lines out."""

    def change(self, line):
        return b""


class DoublingFS(LyingFS):
    """Writes lines twice."""

    def change(self, line):
        return line * 2


class MergingFS(LyingFS):
    """Leaves newlines out between two tools."""

    def change(self, line):
        return line[:-1]

    def _fits(self, following):
        return b"tool_called" in following


def write_many(path, name, start):
    """Write 20,000 events, as one process of several."""
    log = blm.open_log(path, max_bytes=1_000_000, compress="gzip", on_full="block", block_timeout=60).bind(process=name)
    start.wait()
    for n in range(20_000):
        log.emit(tool(f"{name}-{n}"))
    assert log.close(60)
