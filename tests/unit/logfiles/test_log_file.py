from __future__ import annotations

import gzip
import os
import subprocess
import sys

import pytest
from support.faults import FaultyFS
from support.shiplog import HandLog, compress

from bamboo_logmetrics.logfiles.log_file import CompressedFile, PlainFile, open_file, open_rotated
from bamboo_logmetrics.logfiles.names import rotated_files
from bamboo_logmetrics.logfiles.position import HEAD, fingerprint

BIG = 1024 * 1024


@pytest.fixture
def hand_log(tmp_path):
    return HandLog(tmp_path)


@pytest.fixture
def fs():
    return FaultyFS()


@pytest.mark.parametrize("kind", [None, "gzip", "zstd"])
def test_a_file_is_read_from_any_line_on(hand_log, fs, kind):
    """A plain and a compressed file are read alike, from any line on, and recognised by their beginning."""
    hand_log.write(50)
    name = hand_log.rotate()
    with open(name, "rb") as file:
        data = file.read()
    path = compress(name, kind) if kind else name
    file = open_file(fs, path, os.path.basename(name))
    assert type(file) is (CompressedFile if kind else PlainFile)
    assert file.size_ahead() == os.path.getsize(path)
    assert file.begins_with(fingerprint(data[:HEAD]), HEAD)
    assert not file.begins_with(fingerprint(data[:HEAD]), HEAD + 1)
    assert not file.begins_with(fingerprint(data + b"x"), len(data) + 1)
    end = data.index(b"\n", 2_000) + 1
    assert file.seek(end)
    assert file.peek(10) == data[end : end + 10]
    file.skip(10)
    assert (file.offset, file.peek(BIG)) == (end + 10, data[end + 10 :])
    file.close()
    file = open_file(fs, path)
    assert not file.seek(end + 1)
    file.close()
    file = open_file(fs, path)
    assert not file.seek(len(data) + 1)
    file.close()


def test_a_beginning_has_no_newline_before_it(hand_log, fs):
    """Seeking to the beginning of a file succeeds, though no newline precedes it."""
    hand_log.write(1)
    file = open_file(fs, hand_log.path)
    assert file.seek(0)
    file.close()


@pytest.mark.parametrize("kind", [None, "gzip", "zstd"])
def test_blocks_follow_the_offset(hand_log, fs, kind):
    """Blocks hold what follows the offset, also after a look ahead, and a last line without newline comes alone."""
    hand_log.write(30)
    hand_log.append(b"torn")
    name = hand_log.rotate()
    with open(name, "rb") as file:
        data = file.read()
    file = open_file(fs, compress(name, kind) if kind else name, os.path.basename(name))
    end = data.index(b"\n") + 1
    assert file.seek(end)
    assert file.peek(20) == data[end : end + 20]
    *blocks, tail = file.blocks()
    assert (b"".join(blocks), tail) == (data[end:-4], b"torn")
    assert all(block.endswith(b"\n") for block in blocks)
    assert (file.offset, file.read()) == (len(data), b"")
    file.close()


def test_only_the_file_that_is_appended_to_is_active(hand_log, fs):
    """A log's own file is active; a rotated file is not, nor is one that somebody compressed."""
    hand_log.write(1)
    compressed = compress(hand_log.rotate())
    hand_log.write(1)
    for path, base, active in [(hand_log.path, "", True), (hand_log.path, "a", False), (compressed, "", False)]:
        file = open_file(fs, path, base)
        assert file.active is active
        file.close()


def test_other_than_regular_files_are_refused(tmp_path, fs):
    """A FIFO in the place of a log is refused without waiting for its writer, and closed; a missing file is None."""
    os.mkfifo(tmp_path / "a.jsonl")
    with pytest.raises(OSError, match="not a regular file"):
        open_file(fs, str(tmp_path / "a.jsonl"))
    assert fs.count("open") == fs.count("close") == 1
    assert open_file(fs, str(tmp_path / "b.jsonl")) is None


@pytest.mark.parametrize("kind", [None, "gzip"])
def test_a_rotated_file_is_opened_in_any_form(hand_log, fs, kind):
    """A listed file is opened in the form that it has by now; one that retention has removed is None."""
    hand_log.write(1)
    name = hand_log.rotate()
    (item,) = rotated_files(fs, hand_log.path)
    path = compress(name, kind) if kind else name
    file = open_rotated(fs, hand_log.path, item)
    assert (file.path, file.base) == (path, item.base)
    file.close()
    os.unlink(path)
    assert open_rotated(fs, hand_log.path, item) is None


@pytest.mark.parametrize("compressed", [False, True])
def test_a_duplicate_is_the_same_file_from_its_beginning(tmp_path, fs, compressed):
    """A duplicate reads the file that was opened, from its beginning, also when its path is another file's by now."""
    path = tmp_path / ("a.jsonl.gz" if compressed else "a.jsonl")
    path.write_bytes(gzip.compress(b"one\n") if compressed else b"one\n")
    file = open_file(fs, str(path))
    assert file.read() == b"one\n"
    path.unlink()
    copy = file.duplicate()
    file.close()
    assert (copy.offset, copy.read()) == (0, b"one\n")
    copy.close()


def test_an_interrupt_that_ends_no_wait_for_standard_input():
    """Ctrl-C is noticed while standard input is waited for, also if another thread got the signal."""
    program = """
import os, signal, threading
from bamboo_logmetrics.logfiles.log_file import StandardInput
from bamboo_logmetrics.system import FS
def kill():
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
class Reader(FS):
    def read(self, fd, size):
        data = super().read(fd, size)
        threading.Timer(0.3, kill).start()  # by then it waits for more
        return data
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
try:
    while True:
        StandardInput(Reader()).read()
except KeyboardInterrupt:
    print("interrupted")
"""
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(b"line\n")
        process.stdin.flush()
        assert process.stdout.read() == b"interrupted\n"
