from __future__ import annotations

import json
import os
from contextlib import closing
from dataclasses import dataclass, field

import pytest
from support.shiplog import HandLog, compress, ids_in, line

import bamboo_logmetrics as blm
from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.logfiles.position import Position
from bamboo_logmetrics.reading import following as module
from bamboo_logmetrics.reading.following import LogTail, find_start
from bamboo_logmetrics.reading.lines import flat_line
from bamboo_logmetrics.system import FS
from bamboo_logmetrics.testing import ManualClock


@dataclass
class ByHand:
    """A clock that a test sets."""

    now: float = 0.0

    def monotonic(self):
        return self.now


@dataclass
class Reader:
    """Follows logs, and keeps their problems."""

    paths: list
    follow: bool = True
    count: int | None = None
    clock: ByHand = field(default_factory=ByHand)
    problems: list = field(default_factory=list)
    fs: FS = field(default_factory=FS)

    def __post_init__(self):
        self.following = LogTail(
            self.paths,
            follow=self.follow,
            start=lambda log: find_start(self.fs, log, self.count, lambda _: True),
            on_problem=lambda _, problem: self.problems.append(problem),
            fs=self.fs,
            clock=self.clock,
        )

    def close(self):
        self.following.close()

    def history(self):
        return [
            (os.path.basename(log), seq) for log, chunk in self.following.history() for _, seq in ids_in(chunk.lines)
        ]

    def arrivals(self):
        """Look again after a while, until nothing comes."""
        self.clock.now += 10
        seqs = []
        while arrivals := list(self.following.arrivals()):
            seqs += [seq for _, chunk in arrivals for _, seq in ids_in(chunk.lines)]
        return seqs


@pytest.fixture
def reading():
    """Make readers, which are closed after the test."""
    readers = []

    def make(*paths, **options):
        readers.append(Reader([str(path) for path in paths], **options))
        return readers[-1]

    yield make
    for reader in readers:
        reader.close()


# -- the last lines ----------------------------------------------------------------------


@pytest.mark.parametrize("accepted", [1, 3])
@pytest.mark.parametrize("packed", [0, 2, 3])
def test_the_last_lines(hand_log, packed, accepted):
    """The last lines come of as many files as are needed, whatever their form, and no earlier line does."""
    for number in range(3):
        hand_log.write(4)
        name = hand_log.rotate()
        if number < packed:
            compress(name)
    hand_log.append(hand_log.make(4) + b'{"half')

    def accept(line):
        return ids_in(line)[0][1] % accepted == 0

    wanted = [seq for seq in range(1, 17) if seq % accepted == 0]
    for count in range(1, 20):
        position = find_start(FS(), hand_log.path, count, accept)
        with closing(module.Follower(hand_log.path, position, fs=FS())) as follower:
            lines = [line for chunk in iter(lambda: follower.read(1_000_000), None) for line in chunk.lines]
        assert [seq for (_, seq), line in zip(ids_in(lines), lines, strict=True) if accept(line)] == wanted[-count:]
        if count <= len(wanted):
            assert ids_in(lines)[0][1] == wanted[-count]


@pytest.mark.parametrize("active", [True, False])
def test_no_last_lines(hand_log, reading, active):
    """With none of the last lines, only what is appended comes, also behind a line that was begun."""
    hand_log.write(2)
    hand_log.rotate(new=False)
    whole = hand_log.make()
    if active:
        hand_log.write(2)
        hand_log.append(whole[:50])
    reader = reading(hand_log.path, count=0)
    assert reader.history() == []
    hand_log.append(whole[50 * active :] + hand_log.make())
    assert len(reader.arrivals()) == 2


def test_no_last_lines_of_an_empty_file(hand_log, reading):
    """An empty file has no last lines; its first one comes when it is written."""
    hand_log.append(b"")
    reader = reading(hand_log.path, count=0)
    hand_log.write(1)
    assert reader.history() == [("a.jsonl", 1)]


def test_only_the_end_of_a_large_file_is_read(hand_log):
    """The last lines of a large file are found without reading the rest of it, and no older file is opened."""

    class Counting(FS):
        read_bytes = 0
        opened = 0

        def pread(self, fd, size, offset):
            data = super().pread(fd, size, offset)
            self.read_bytes += len(data)
            return data

        def open(self, *args):
            self.opened += 1
            return super().open(*args)

    hand_log.write(1)
    hand_log.rotate()
    hand_log.write(30_000)
    fs = Counting()
    assert os.path.getsize(hand_log.path) > 4_000_000
    assert find_start(fs, hand_log.path, 10, lambda _: True).offset
    assert fs.read_bytes < 300_000
    assert fs.opened == 1


# -- following ---------------------------------------------------------------------------


def test_what_is_appended(hand_log, reading):
    """Lines come as they are appended, each once and in order, through rotation, compression and truncation."""
    hand_log.write(20)
    reader = reading(hand_log.path, count=3)
    assert [seq for _, seq in reader.history()] == [18, 19, 20]
    assert reader.arrivals() == []
    hand_log.write(2)
    name = hand_log.rotate()
    hand_log.write(2)
    assert reader.arrivals() == [21, 22, 23, 24]
    hand_log.write(1)
    compress(name)
    compress(hand_log.rotate(), "zstd")
    hand_log.write(1)
    assert reader.arrivals() == [25, 26]
    os.truncate(hand_log.path, 0)
    hand_log.write(2)
    assert reader.arrivals() == [27, 28]
    assert reader.problems == []


def test_logs_that_appear_later(tmp_path, reading):
    """A log that does not exist yet is waited for, and read from its first line; so is a new one of a pattern."""
    reader = reading(tmp_path / "a.jsonl", tmp_path / "b*.jsonl")
    assert reader.history() == []
    assert [problem.endswith("waiting for it") for problem in reader.problems] == [True, True]
    first, second = HandLog(tmp_path), HandLog(tmp_path, "b1.jsonl")
    first.write(2)
    assert reader.arrivals() == [1, 2]
    second.write(3)
    assert reader.arrivals() == [1, 2, 3]
    assert reader.following.logs == [first.path, second.path]


def test_without_following(tmp_path, hand_log, reading):
    """Without following, what is missing is an error, and what is no file is one in any case."""
    with pytest.raises(FileNotFoundError, match="no such log"):
        reading(hand_log.path, follow=False)
    for follow in (True, False):
        with pytest.raises(ConfigError, match="not a regular file"):
            reading(tmp_path, follow=follow)
    hand_log.write(1)
    reader = reading(hand_log.path, follow=False)
    assert reader.history() == [("a.jsonl", 1)]
    HandLog(tmp_path, "b.jsonl").write(1)
    assert reader.arrivals() == []


def test_a_folder_that_comes_in_the_place_of_a_log(tmp_path, reading):
    """While it follows, a path that is no file is a problem, and the other logs go on."""
    log = HandLog(tmp_path)
    log.write(1)
    reader = reading(log.path, tmp_path / "b.jsonl")
    assert reader.history() == [("a.jsonl", 1)]
    (tmp_path / "b.jsonl").mkdir()
    log.write(1)
    assert reader.arrivals() == [2]
    assert "not a regular file" in reader.problems[-1]


def test_a_log_that_cannot_be_read(hand_log, reading):
    """An error of the disk is a problem while it follows, and an error otherwise."""

    class Failing(FS):
        failing = False

        def pread(self, fd, size, offset):
            if self.failing:
                raise OSError(5, "Input/output error")
            return super().pread(fd, size, offset)

    hand_log.write(1)
    for follow in (True, False):
        fs = Failing()
        reader = reading(hand_log.path, follow=follow, fs=fs)
        fs.failing = True
        if follow:
            assert reader.history() == []
            assert reader.problems == [f"{hand_log.path} cannot be read: [Errno 5] Input/output error"]
            fs.failing = False
            assert reader.arrivals() == [1]
        else:
            with pytest.raises(OSError, match="Input/output"):
                reader.history()


def test_several_logs_in_order_of_time(tmp_path, reading):
    """The lines that are there come in order of time, each log in its own order, with what has no time."""
    first, second = HandLog(tmp_path), HandLog(tmp_path, "b.jsonl")
    first.write(2)
    first.last["a"] = 6
    first.write(1)
    first.append(b"no line\n")
    second.last["a"] = 3
    second.write(2)
    second.rotate()
    second.append(second.make(1) + b"cut off")
    second.rotate()
    second.last["a"] = 1
    second.write(1)
    reader = reading(first.path, second.path)
    arrivals = list(reader.following.history())
    names = [
        (os.path.basename(log)[0], [seq for _, seq in ids_in(chunk.lines)] or chunk.reason) for log, chunk in arrivals
    ]
    assert names == [
        ("a", [1]),
        ("a", [2]),
        ("b", [4]),
        ("b", [5]),
        ("b", [6]),
        ("b", "cut off: it has no newline"),
        ("b", [2]),
        ("a", [7]),
        ("a", ""),
    ]


def test_many_logs_keep_no_file_open(tmp_path, reading, monkeypatch):
    """Of many logs no file stays open while nothing is appended, and each goes on where it was."""
    monkeypatch.setattr(module, "_MOST_OPEN", 2)
    logs = [HandLog(tmp_path, f"{name}.jsonl") for name in "abc"]
    for log in logs:
        log.write(2)
    reader = reading(tmp_path / "*.jsonl")
    assert len(reader.history()) == 6
    assert reader.arrivals() == []
    assert all(source._file is None for source in reader.following._sources.values())
    logs[1].rotate()
    logs[1].write(1)
    assert reader.arrivals() == [3]


# -- standard input ----------------------------------------------------------------------


@pytest.fixture
def stdin():
    """Put a pipe in the place of standard input; give its other end."""
    before, (reader, writer) = os.dup(0), os.pipe()
    os.dup2(reader, 0)
    os.close(reader)
    file = os.fdopen(writer, "wb", buffering=0)
    yield file
    file.close()
    os.dup2(before, 0)
    os.close(before)


def test_standard_input(stdin, hand_log, reading, monkeypatch):
    """Standard input is read as it comes, beside logs; a last line without newline comes at its end."""
    monkeypatch.setattr(module, "LONGEST_LINE", 200)
    hand_log.write(1)
    reader = reading("-", hand_log.path)
    assert reader.history() == [("a.jsonl", 1)]
    assert reader.following.waits_for_stdin
    stdin.write(hand_log.make(2)[:-20])
    assert reader.arrivals() == [2]
    stdin.write(b"x" * 300)
    assert reader.arrivals() == []
    stdin.write(b"\n" + hand_log.make(1)[:-1])
    assert reader.arrivals() == []
    stdin.close()
    assert reader.arrivals() == [4]
    assert not reader.following.waits_for_stdin
    assert not reader.following.ended
    assert Position() == find_start(FS(), hand_log.path, None, lambda _: True)


def test_standard_input_alone(stdin, reading):
    """Where standard input is all, its end is the end."""
    reader = reading("-")
    stdin.write(b"a\nb\n")
    ((log, chunk),) = reader.following.arrivals()
    assert (log, chunk.lines, reader.following.ended) == ("-", [b"a", b"b"], False)
    stdin.close()
    assert reader.arrivals() == []
    assert reader.following.ended


# -- compressed files by name ------------------------------------------------------------


@pytest.mark.parametrize("follow", [True, False])
@pytest.mark.parametrize("kind", ["gzip", "zstd"])
@pytest.mark.parametrize("count", [None, 2, 0])
def test_a_compressed_file_by_its_name_ends(tmp_path, reading, kind, follow, count):
    """A compressed file that is named itself is read once, to its end, and nothing is waited for then."""
    hand_log = HandLog(tmp_path, "plain")
    hand_log.write(5)
    packed = compress(hand_log.path, kind)
    reader = reading(packed, follow=follow, count=count)
    assert [seq for _, seq in reader.history()] == [1, 2, 3, 4, 5][5 if count == 0 else -(count or 5) :]
    assert reader.arrivals() == []
    assert reader.following.ended
    assert reader.problems == []


def test_a_pattern_of_compressed_files_may_grow(tmp_path, reading):
    """A pattern is followed on, because another file may come."""
    hand_log = HandLog(tmp_path, "plain")
    hand_log.write(2)
    compress(hand_log.path)
    reader = reading(tmp_path / "*.gz")
    assert len(reader.history()) == 2
    assert not reader.following.ended


@pytest.mark.parametrize("left", [0.5, 0.9])
def test_a_compressed_file_that_is_cut_off(tmp_path, left):
    """Of a damaged file the lines come that can be read, its damage is said once, and it ends."""
    hand_log = HandLog(tmp_path, "plain")
    hand_log.append(b"".join(hand_log.make(1, text=os.urandom(40).hex()) for _ in range(2_000)))
    packed = compress(hand_log.path)
    os.truncate(packed, int(os.path.getsize(packed) * left))
    for start in (Position(), find_start(FS(), os.fspath(packed), 3, lambda _: True)):
        with closing(module.Follower(os.fspath(packed), start, repeats=False, fs=FS())) as follower:
            chunks = [*iter(lambda: follower.read(1_000_000), None)]
            assert [bool(chunk.reason) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
            assert sum(len(chunk.lines) for chunk in chunks) >= 3
            assert follower.ended
            assert follower.read(1_000_000) is None


# -- order -------------------------------------------------------------------------------


def test_lines_of_several_logs_come_in_order_of_time(tmp_path, reading):
    """The lines of several logs are merged by the times that they name, whatever the form of a time or of a line."""
    times = {
        "a.jsonl": ["2026-11-22T10:00:00Z", "2026-11-22T10:00:02.5Z", "2026-11-22T13:00:05+03:00"],
        "b.jsonl": ["2026-11-22T12:00:01+02:00", "2026-11-22T10:00:02.400000Z", "2026-11-22T05:00:04-05:00"],
    }
    for name, texts in times.items():
        flats = [{**json.loads(line(name[0], seq)), "timestamp": text} for seq, text in enumerate(texts, 1)]
        lines = [json.dumps(flat, separators=(",", ":")) + "\n" for flat in flats]
        (tmp_path / name).write_text("".join(lines), encoding="utf-8")
    reader = reading(tmp_path / "*.jsonl")
    assert reader.history() == [
        ("a.jsonl", 1), ("b.jsonl", 1), ("b.jsonl", 2), ("a.jsonl", 2), ("b.jsonl", 3), ("a.jsonl", 3),
    ]  # fmt: skip


def test_logs_of_other_layouts_come_in_order_of_time(tmp_path, reading):
    """Each layout has a key of its own for the time."""
    layouts = ("native", "ecs", "otel")
    clock = ManualClock()
    logs = {layout: blm.open_log(tmp_path / f"{layout}.jsonl", layout=layout, clock=clock) for layout in layouts}
    for number in range(6):
        clock.advance(1)
        logs[layouts[number % 3]].info(f"line {number}")
    for log in logs.values():
        log.close()
    reader = reading(tmp_path / "*.jsonl")
    flats = [flat_line(each) for _, chunk in reader.following.history() for each in chunk.lines]
    assert [flat["event"] for flat in flats if flat["event"].startswith("line")] == [f"line {n}" for n in range(6)]
