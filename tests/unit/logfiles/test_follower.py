from __future__ import annotations

import errno
import gzip
import os
from pathlib import Path

import pytest
from support.faults import FaultyFS
from support.shiplog import compress, ids_in, line

from bamboo_logmetrics.logfiles import follower
from bamboo_logmetrics.logfiles import follower as follow
from bamboo_logmetrics.logfiles.follower import GONE, TRUNCATED, Follower
from bamboo_logmetrics.logfiles.position import Position

BIG = 1024 * 1024


@pytest.fixture
def fs():
    return FaultyFS()


@pytest.fixture
def following(hand_log, fs):
    """Begin to follow the log, at a place; closed after the test."""
    made = []

    def beginning(place=None):
        made.append(Follower(hand_log.path, place, fs=fs))
        return made[-1]

    yield beginning
    for each in made:
        each.close()


def pieces(follower, size=BIG, found=None):
    """Return all pieces up to the end; with ``found``, those after these."""
    found = [] if found is None else found
    while (piece := follower.read(size)) is not None:
        found.append(piece)
    return found


def descriptors():
    """Return how many descriptors are open, where the system tells."""
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def seqs(follower, size=BIG):
    """Return the numbers of all lines up to the end; nothing may be broken."""
    found = pieces(follower, size)
    assert not [piece for piece in found if piece.reason]
    return [seq for piece in found for _, seq in ids_in(piece.lines)]


# -- in order ----------------------------------------------------------------------------


def test_all_files_in_order(hand_log, following):
    """The oldest file comes first, whatever its form, and the active one last; each piece is of one file."""
    for kind in ("gzip", "zstd", None):
        hand_log.write(3)
        name = hand_log.rotate()
        if kind:
            compress(name, kind)
    hand_log.write(3)
    found = pieces(following())
    assert [[seq for _, seq in ids_in(piece.lines)] for piece in found] == [
        [1, 2, 3],
        [4, 5, 6],
        [7, 8, 9],
        [10, 11, 12],
    ]
    assert [piece.position.in_oldest for piece in found] == [True, False, False, False]


@pytest.mark.parametrize("size", [1, 150, 1_000, BIG])
def test_pieces_of_any_size_hold_whole_lines(hand_log, following, size):
    """Whatever size is asked for, lines come whole and each once, and every place leads to the next line."""
    hand_log.write(20)
    compress(hand_log.rotate())
    hand_log.write(20)
    assert seqs(following(), size) == list(range(1, 41))
    for piece in pieces(following(), size):
        *_, (_, last) = ids_in(piece.lines)
        assert seqs(following(piece.position), size) == list(range(last + 1, 41))


def test_nothing_yet(hand_log, following, tmp_path):
    """Without a file, or even a directory, there is nothing to read, and that is no error."""
    follower = following()
    assert follower.read(BIG) is None
    assert follower.size_ahead() == 0
    hand_log.write(1)
    assert seqs(follower) == [1]
    gone = Follower(str(tmp_path / "no" / "a.jsonl"), fs=FaultyFS())
    assert gone.read(BIG) is None


def test_what_is_appended_comes_next(hand_log, following):
    """At the end it waits for what is appended."""
    follower = following()
    for number in range(1, 4):
        hand_log.write(1)
        assert seqs(follower) == [number]


@pytest.mark.parametrize("cut", [1, 50, -1])
def test_half_a_line_waits(hand_log, following, cut):
    """A last line without its newline is not delivered before it is complete, also behind a whole one."""
    hand_log.write(1)
    follower = following()
    assert seqs(follower) == [1]
    whole, half = hand_log.make(1), hand_log.make(1)
    hand_log.append(whole + half[:cut])
    assert seqs(follower) == [2]
    assert follower.read(BIG) is None
    hand_log.append(half[cut:])
    assert [piece.lines for piece in pieces(follower)] == [[half[:-1]]]


def test_a_torn_tail_that_is_repaired(hand_log, following):
    """Half a line that the next writer cuts away is never seen."""
    hand_log.write(2)
    follower = following()
    assert seqs(follower) == [1, 2]
    whole = os.path.getsize(hand_log.path)
    hand_log.append(line("b", 1)[:40])
    assert follower.read(BIG) is None
    os.truncate(hand_log.path, whole)
    hand_log.write(1)
    assert seqs(follower) == [3]


def test_a_torn_tail_in_a_rotated_file_is_broken(hand_log, following):
    """Bytes after the last newline of a file that no process writes any more come as broken, once."""
    hand_log.write(1)
    hand_log.append(b'{"half')
    hand_log.rotate()
    hand_log.write(1)
    follower = following()
    first, broken, second = pieces(follower)
    assert (broken.lines, broken.broken, broken.reason) == ([], b'{"half', "cut off: it has no newline")
    assert [ids_in(first.lines)[0][1], ids_in(second.lines)[0][1]] == [1, 2]
    assert seqs(following(broken.position)) == [2]


def test_a_line_without_an_end_does_not_fill_the_memory(hand_log, following, monkeypatch):
    """A line that is longer than any comes as broken, in parts, and what follows it is read."""
    monkeypatch.setattr(follow, "LONGEST_LINE", 1_000)
    monkeypatch.setattr(follow, "HEAD", 100)
    hand_log.append(hand_log.make(1) + b"x" * 3_500)
    _, *broken = pieces(following(), 100)
    reason = "longer than any line; 1001 bytes of it are left out but for its beginning"
    assert [(piece.broken, piece.reason) for piece in broken] == [(b"x" * 100, reason)] * 3
    hand_log.append(b"\n" + hand_log.make(1))
    for piece in broken:
        *_, last = pieces(following(piece.position), 100)
        assert ids_in(last.lines) == [("a" * 20, 2)]
    hand_log.rotate()
    compress(hand_log.rotated[0])
    *_, last = pieces(following(broken[1].position), 100)
    assert ids_in(last.lines) == [("a" * 20, 2)]


# -- rotation ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [None, "gzip", "zstd"])
@pytest.mark.parametrize("rotations", [1, 3])
def test_rotated_between_two_reads(hand_log, following, kind, rotations):
    """However often the log is rotated and compressed between two reads, the rest of the old file comes first."""
    hand_log.write(5)
    follower = following()
    assert follower.read(200) is not None
    for _ in range(rotations):
        hand_log.write(2)
        name = hand_log.rotate()
        if kind:
            compress(name, kind)
    hand_log.write(1)
    first = ids_in(line("a", 1))
    assert seqs(follower) == [seq for _, seq in hand_log.written if seq > len(first)]
    assert follower.position.passed == os.path.basename(name)


def test_what_is_appended_just_before_a_rotation(hand_log, following, fs):
    """Lines that are appended after the last look at a file, and before it is rotated, are read."""
    hand_log.write(1)
    follower = following()
    assert seqs(follower) == [1]

    def append_and_rotate(*_):
        fs.heal()
        hand_log.write(2)
        hand_log.rotate()
        hand_log.write(1)

    fs.plan["stat"] = append_and_rotate  # is it still the active file?
    assert seqs(follower) == [2, 3, 4]


@pytest.mark.parametrize("kind", [None, "gzip", "zstd"])
def test_resumed_after_rotations(hand_log, following, kind):
    """From a place in the active file it goes on though the file has another name and form by now."""
    hand_log.write(5)
    first = following().read(200)
    hand_log.write(1)
    name = hand_log.rotate()
    if kind:
        compress(name, kind)
    hand_log.write(2)
    hand_log.rotate()
    hand_log.write(1)
    done = len(ids_in(first.lines))
    assert seqs(following(first.position)) == list(range(done + 1, 10))


def test_resumed_at_the_end_of_a_rotated_file(hand_log, following):
    """A place at the end of a file that was rotated since leads to the file that follows."""
    hand_log.write(2)
    follower = following()
    assert seqs(follower) == [1, 2]
    place = follower.position
    compress(hand_log.rotate())
    hand_log.write(1)
    assert seqs(following(place)) == [3]


def test_a_rotation_in_the_middle_is_waited_for(hand_log, following):
    """While the active file is renamed and no new one is there, nothing is decided; put back, it is gone on with."""
    hand_log.write(2)
    follower = following()
    assert seqs(follower) == [1, 2]
    name = hand_log.rotate(new=False)
    assert follower.read(BIG) is None
    assert follower.position.passed == ""
    os.rename(name, hand_log.path)
    hand_log.write(1)
    assert seqs(follower) == [3]
    hand_log.rotate(new=False)
    assert follower.read(BIG) is None
    hand_log.write(1)
    assert seqs(follower) == [4]


def test_rotated_twice_and_no_active_file(hand_log, following):
    """Files that were rotated behind it are read although no active one is there."""
    hand_log.write(2)
    follower = following()
    assert seqs(follower) == [1, 2]
    hand_log.rotate()
    hand_log.write(2)
    hand_log.rotate(new=False)
    assert seqs(follower) == [3, 4]
    assert follower.read(BIG) is None


def test_the_file_it_reads_is_removed(hand_log, following):
    """A file that is removed while it is open is read to its end, and those that are left after it."""
    hand_log.write(20)
    follower = following()
    assert follower.read(300) is not None
    for _ in range(3):
        hand_log.rotate()
        hand_log.write(2)
    os.unlink(hand_log.rotated[0])
    assert seqs(follower) == list(range(2, 27))


def test_the_next_file_is_removed(hand_log, following):
    """A file that is removed unseen is jumped over."""
    hand_log.write(2)
    follower = following()
    assert seqs(follower) == [1, 2]
    for _ in range(3):
        hand_log.rotate()
        hand_log.write(2)
    os.unlink(hand_log.rotated[1])
    assert seqs(follower) == [5, 6, 7, 8]


def test_removed_and_renamed_from_outside(hand_log, following):
    """A file that somebody else renames or removes is read to its end, and the new one from its beginning."""
    hand_log.write(2)
    follower = following()
    assert seqs(follower) == [1, 2]
    hand_log.write(1)
    os.rename(hand_log.path, hand_log.path + ".1")
    hand_log.write(1)
    assert seqs(follower) == [3, 4]
    os.unlink(hand_log.path)
    assert follower.read(BIG) is None
    hand_log.write(1)
    assert seqs(follower) == [5]


def test_a_file_vanishes_while_it_is_looked_for(hand_log, following, fs):
    """A rotated file that is gone when it is opened is left out; one that is compressed meanwhile is read."""
    hand_log.write(2)
    first = hand_log.rotate()
    hand_log.write(2)
    second = hand_log.rotate()
    hand_log.write(2)
    fs.plan["open"] = lambda path, *_: (
        os.unlink(first)
        if path == first and os.path.exists(first)
        else compress(second) and None
        if path == second and os.path.exists(second)
        else None
    )
    assert seqs(following()) == [3, 4, 5, 6]


def test_its_own_file_vanishes_while_it_is_looked_for(hand_log, following, fs):
    """A file that is rotated, and removed just when it is to be known again, is not passed, and the next is read."""
    hand_log.write(2)
    follower = following()
    assert seqs(follower) == [1, 2]
    name = hand_log.rotate()
    hand_log.write(1)
    fs.plan["open"] = lambda path, *_: os.unlink(name) if path == name and os.path.exists(name) else None
    assert seqs(follower) == [3]
    assert follower.position.passed == ""


def test_links_and_directories_are_no_rotated_files(hand_log, following, tmp_path):
    """A directory with the name of a rotated file is left alone."""
    hand_log.write(1)
    (tmp_path / f"a.jsonl.20200101T000000000000Z-{'0' * 20}").mkdir()
    (tmp_path / f"a.jsonl.20200101T000000000001Z-{'0' * 20}").symlink_to(hand_log.path)
    assert seqs(following()) == [1]


def test_an_empty_file_that_is_rotated(hand_log, following):
    """A file without any line is known again by its identity, and passed."""
    hand_log.append(b"")
    follower = following()
    assert follower.read(BIG) is None
    name = hand_log.rotate()
    hand_log.write(1)
    assert seqs(follower) == [1]
    assert follower.position.passed == os.path.basename(name)


def test_names_that_go_back(hand_log, following):
    """Where the last file is gone and older names come, as with a clock that was wrong, they are read."""
    hand_log.write(2)
    name = hand_log.rotate()
    follower = following()
    hand_log.write(2)
    assert seqs(follower) == [1, 2, 3, 4]
    place = follower.position
    os.unlink(name)
    earlier = f"{hand_log.path}.20250101T000000000000Z-{'a' * 20}"
    os.rename(hand_log.path, earlier)
    hand_log.write(1)
    assert seqs(follower) == [5]
    assert follower.position.passed == os.path.basename(earlier)
    assert seqs(following(place)) == [5]


# -- from outside ------------------------------------------------------------------------


@pytest.mark.parametrize("again", [0, 1, 30])
def test_truncated_from_outside(hand_log, following, again):
    """A file that was truncated, and perhaps has grown beyond the place since, is read from its beginning."""
    hand_log.write(10)
    follower = following()
    assert seqs(follower) == list(range(1, 11))
    assert follower.position.in_oldest
    os.truncate(hand_log.path, 0)
    hand_log.write(again)
    assert seqs(follower) == list(range(11, 11 + again))
    assert not follower.position.in_oldest


def test_cut_shorter_from_outside(hand_log, following):
    """A file that somebody cut at a line, or in one, is read from its beginning."""
    hand_log.write(20)
    size = os.path.getsize(hand_log.path)
    follower = following()
    assert len(seqs(follower)) == 20
    place = follower.position
    os.truncate(hand_log.path, size // 2)
    found = pieces(follower)
    assert [seq for _, seq in ids_in(found[0].lines)] == list(range(1, 11))
    for more in ([], [1]):  # the lines that followed while no process looked are not known
        if more:
            hand_log.append(hand_log.make(1, "b"))
            compress(hand_log.rotate())
        follower = following(place)
        assert follower.read(1)[2:] == (b"", TRUNCATED)
        assert seqs(follower) == [*range(1, 11), *more]


@pytest.mark.parametrize("again", [0, 30])
def test_truncated_before_all_was_read(hand_log, following, again):
    """That more stood in a file that was truncated than was read of it is said, once."""
    hand_log.write(10)
    follower = following()
    assert len(follower.read(1).lines) == 1
    os.truncate(hand_log.path, 0)
    hand_log.write(again)
    assert follower.read(1)[2:] == (b"", TRUNCATED)
    assert seqs(follower) == list(range(11, 11 + again))


@pytest.mark.parametrize("kind", [None, "active", "gzip"])
@pytest.mark.parametrize("same_inode", [True, False])
def test_other_content_at_the_same_place(hand_log, following, same_inode, kind):
    """A file with another beginning is another file, whatever its inode and name: it is read from 0."""
    hand_log.write(8)
    follower = following()
    assert len(seqs(follower)) == 8
    place = follower.position
    follower.close()
    if same_inode:
        os.truncate(hand_log.path, 0)
    else:
        os.unlink(hand_log.path)
    hand_log.write(12, "b")  # the place is behind one of these lines too
    if kind != "active":
        name = hand_log.rotate()
        if kind:
            compress(name, kind)
    follower = following(place)
    assert follower.read(1)[2:] == (b"", GONE)
    assert seqs(follower) == list(range(1, 13))


# -- damage and errors -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_damaged_file(hand_log, following, kind):
    """Of a compressed file that is damaged or cut off, what can be read is read, the rest said, and the next follows."""
    hand_log.write(200)
    path = compress(hand_log.rotate(), kind)
    hand_log.write(2)
    os.truncate(path, os.path.getsize(path) - 5)
    found = pieces(following())
    assert [piece.reason for piece in found if piece.reason] == [f"{kind} data ends too early"]
    assert ids_in(found[-1].lines) == [("a" * 20, 201), ("a" * 20, 202)]
    with open(path, "r+b") as file:
        file.write(b"XXXXXXXXXX")
    first, second = pieces(following())
    assert "damaged" in first.reason
    assert ids_in(second.lines) == [("a" * 20, 201), ("a" * 20, 202)]
    assert seqs(following(first.position)) == [201, 202]


@pytest.mark.parametrize("kind", [None, "gzip"])
@pytest.mark.parametrize("call", ["open", "pread", "fstat", "listdir", "stat", "lstat"])
def test_an_error_of_the_disk_is_raised_and_forgotten(hand_log, following, fs, call, kind):
    """Whichever call fails, reading goes on afterwards where it was: nothing is left out, doubled or left open."""
    hand_log.write(100)
    name = hand_log.rotate()
    if kind:
        compress(name, kind)
    hand_log.write(5)
    hand_log.rotate()
    hand_log.write(5)
    before = descriptors()
    for after in range(40):
        fs.fail(call, errno.EIO, after=after)
        follower, found, raised = following(), [], 0
        for _ in range(3):
            try:
                pieces(follower, 5_000, found)
            except OSError:
                raised += 1
        assert [seq for piece in found for _, seq in ids_in(piece.lines)] == list(range(1, 111))
        assert not [piece for piece in found if piece.reason]
        assert raised <= 1
        follower.close()
        assert descriptors() == before
        if not raised:
            return
    raise AssertionError("it never came through")


def test_a_descriptor_is_closed_when_the_place_cannot_be_found(hand_log, following, fs):
    """A file in which the place cannot be looked for is closed, and the place is kept."""
    hand_log.write(10)
    place = following().read(500).position
    follower = following(place)
    for call in ("pread", "listdir"):
        fs.fail(call, errno.EIO)
        before = descriptors()
        with pytest.raises(OSError, match="Input/output"):
            follower.read(BIG)
        assert descriptors() == before
        assert follower.position == place
        fs.heal()
    first, *_ = seqs(follower)
    assert first == 4
    hand_log.rotate(new=False)
    fs.fail("pread", errno.EIO)
    fs.fail("lstat", errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        following().read(BIG)


# -- sizes -------------------------------------------------------------------------------


def test_what_is_ahead(hand_log, following):
    """The bytes behind a place are those of its file behind it, and of all files after that."""
    hand_log.write(10)
    hand_log.rotate()
    hand_log.write(5)
    path = compress(hand_log.rotate())
    hand_log.write(3)
    sizes = [os.path.getsize(hand_log.rotated[0]), len(gzip.decompress(Path(path).read_bytes())), os.path.getsize(hand_log.path)]  # fmt: skip
    follower = following()
    assert follower.size_ahead() == sum(sizes)
    piece = follower.read(500)
    assert follower.size_ahead() == sum(sizes) - piece.position.offset
    while follower.read(BIG):
        pass
    assert follower.size_ahead() == 0
    os.unlink(hand_log.path)
    assert following().size_ahead() == sum(sizes[:2])


def test_the_beginning(hand_log, following):
    """Where a log begins is known by its first line, once there is one, and no more when that is passed."""
    follower = following()
    assert follower.beginning() is None
    hand_log.append(line("a", 1)[:-1])
    assert follower.beginning() is None
    hand_log.append(b"\n" + line("a", 2))
    place, first = follower.beginning()
    assert first + b"\n" == line("a", 1)
    assert place.offset == 0
    assert seqs(following(place)) == seqs(follower) == [1, 2]
    assert follower.beginning() is None
    hand_log.write(3, "b")
    compress(hand_log.rotate())
    assert seqs(following(place)) == [1, 2, 1, 2, 3]


def test_a_default_place_is_the_beginning(hand_log, following):
    """A place that says nothing is the beginning of the oldest file."""
    hand_log.write(1)
    assert following(Position()).read(BIG) == following().read(BIG)


def test_a_chunk_has_a_limited_number_of_lines(monkeypatch):
    """Of data with very many short lines about as many as the limit are taken at a time, and always one."""
    monkeypatch.setattr(follower, "MOST_LINES", 10)
    chunk = follower._whole_lines(b"a\n" * 100 + b"half")
    assert 1 <= chunk.count(b"\n") <= 10
    assert follower._whole_lines(b"x" * 50 + b"\n" * 40).startswith(b"x" * 50 + b"\n")


@pytest.mark.parametrize(("repeats", "expected"), [(False, [10]), (True, [1, 2, 3, 7, 8, 9, 10])])
def test_no_line_twice_without_repeats(hand_log, fs, repeats, expected):
    """Where no line may be read twice, older files stay unread though the newest that was passed is gone."""
    hand_log.write(3)
    hand_log.rotate()
    hand_log.write(3)
    newest = hand_log.rotate()
    hand_log.write(3)
    follower = Follower(hand_log.path, repeats=repeats, fs=fs)
    assert len(seqs(follower)) == 9
    follower.close()
    os.unlink(newest)
    hand_log.write(1)
    assert [seq for piece in pieces(follower) for _, seq in ids_in(piece.lines)] == expected
    follower.close()
