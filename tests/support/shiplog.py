"""A log that a test writes by hand, for the shipper: lines of writers with numbers, and what can happen to its files.

Lines are known by (writer, seq). A writer is one letter from a to f, twenty times.
"""

from __future__ import annotations

import gzip
import os
import re
from collections import Counter

from bamboo_logmetrics.ship import Shipper
from support.faults import QuickFS
from support.packing import pack_zstd
from support.stub_server import StubServer

PACK = {"gzip": (".gz", gzip.compress), "zstd": (".zst", pack_zstd)}
_ID = re.compile(rb'"writer":"([0-9a-f]{20})","seq":(\d+)')


def line(writer, seq, text=""):
    """Return one line, with its newline; each has another time, as in life."""
    time = f"2026-11-22T15:47:13.{seq % 1_000_000:06}Z"
    return (
        f'{{"timestamp":"{time}","level":"info","event":"chat.tool_called","v":1,"writer":"{writer * 20}",'
        f'"seq":{seq},"tool_call_id":"c{seq}{text}"}}\n'
    ).encode()


def ids_in(data):
    """Return the (writer, seq) of lines, joined or in a list."""
    data = b"\n".join(data) if isinstance(data, list) else data
    return [(writer.decode(), int(seq)) for writer, seq in _ID.findall(data)]


class HandLog:
    """The files of one log. ``written`` is what was written, in order; ``last`` the highest number of each writer."""

    def __init__(self, folder, name="a.jsonl"):
        self.folder = str(folder)
        self.path = os.path.join(self.folder, name)
        self.written = []
        self.last = Counter()
        self._rotations = 0

    def make(self, count=1, writer="a", text=""):
        """Return the next lines of a writer, not written yet."""
        first = self.last[writer] + 1
        self.last[writer] += count
        return b"".join(line(writer, seq, text) for seq in range(first, first + count))

    def append(self, data):
        """Append bytes to the active file, which need not be there."""
        self.written += ids_in(data)
        with open(self.path, "ab") as file:
            file.write(data)

    def write(self, count=1, writer="a", text=""):
        """Append the next lines of a writer."""
        self.append(self.make(count, writer, text))

    def rotate(self, *, new=True):
        """Rotate the active file, and make a new one; return the name."""
        self._rotations += 1
        name = f"{self.path}.20261122T1547{self._rotations:08}Z-{'a' * 20}"
        os.rename(self.path, name)
        if new:
            self.append(b"")
        return name

    @property
    def rotated(self):
        """The paths of the rotated files, the oldest first."""
        here = os.path.basename(self.path) + ".2"
        return sorted(os.path.join(self.folder, name) for name in os.listdir(self.folder) if name.startswith(here))

    @property
    def plain(self):
        """The paths of those that are not compressed."""
        return [path for path in self.rotated if path.endswith("a")]

    def hidden(self, kind, name="loki"):
        """Return the path of one of a shipper's files."""
        return os.path.join(self.folder, f".{os.path.basename(self.path)}.{name}.{kind}")


def compress(path, kind="gzip"):
    """Compress a rotated file, as the log does; return its new path."""
    suffix, pack = PACK[kind]
    with open(path, "rb") as file:
        data = pack(file.read())
    with open(path + suffix, "wb") as file:
        file.write(data)
    os.unlink(path)
    return path + suffix


def ship(log, stub: StubServer, to="loki", **options):
    """Ship a log once, to its end; return what came of it."""
    run = {key: options.pop(key) for key in ("give_up_after",) if key in options}
    return Shipper(log.path, to=to, url=stub.url, **({"fs": QuickFS()} | options)).run(**run)
