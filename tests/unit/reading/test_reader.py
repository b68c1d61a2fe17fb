from __future__ import annotations

import os

import pytest
from support.logs import compress, put, rotated, write_log
from support.packing import pack_zstd

import bamboo_logmetrics as blm
from bamboo_logmetrics.reading import verify


def ids(lines):
    return [line.event.tool_call_id for line in lines if isinstance(line.event, blm.ToolCalled)]


def test_read_gives_every_line_in_order(many):
    """Reading goes from the oldest rotated file to the active one, and loses and doubles nothing."""
    lines = list(blm.read(many))
    assert [line.seq for line in lines] == list(range(1, 103))
    assert ids(lines) == [f"c{number}" for number in range(100)]


def test_read_takes_compressed_files(many):
    """A compressed file is read in its place."""
    for file in rotated(many)[:-1]:
        compress(file)
    assert ids(blm.read(many)) == [f"c{number}" for number in range(100)]


def test_read_takes_zstd(many):
    """A file that zstd has compressed is read in its place."""
    first = rotated(many)[0]
    first.with_name(first.name + ".zst").write_bytes(pack_zstd(first.read_bytes()))
    first.unlink()
    assert len(ids(blm.read(many))) == 100


def test_read_prefers_the_plain_form(many):
    """Of a file that is there plain and compressed, the plain one counts, whatever the other holds."""
    compress(rotated(many)[0], keep=True).write_bytes(b"half a file")
    assert len(ids(blm.read(many))) == 100


def test_read_of_a_rotated_file_is_that_of_its_log(many):
    """A rotated file names the log that it belongs to."""
    assert len(ids(blm.read(rotated(many)[2]))) == 100


def test_read_follows_a_link(many, tmp_path):
    """A symbolic link to a log is that log, with its rotated files."""
    link = tmp_path / "elsewhere" / "link.jsonl"
    link.parent.mkdir()
    link.symlink_to(many)
    assert len(ids(blm.read(link))) == 100


def test_read_leaves_out_a_line_that_is_being_written(path):
    """A last line of the active file without its newline is left out."""
    lines = write_log(path)
    path.write_bytes(path.read_bytes() + lines[3][:-5])
    assert [line.seq for line in blm.read(path)] == list(range(1, 13))


def test_read_names_the_broken_line(path):
    """At a broken line, DecodeError names file and line."""
    lines = write_log(path)
    put(path, [*lines[:4], b'{"event":', *lines[4:]])
    with pytest.raises(blm.DecodeError, match=r"a\.jsonl:5: not JSON"):
        list(blm.read(path))


def test_read_can_skip_what_is_broken(many):
    """With on_error="skip", a broken line, a cut one and a damaged file are passed over, and the rest is read."""
    first, second, third = rotated(many)[:3]
    first.write_bytes(b"rubbish\n" + first.read_bytes())
    second.write_bytes(second.read_bytes()[:-1])
    compress(third).write_bytes(b"no gzip")
    assert 80 < len(ids(blm.read(many, on_error="skip"))) < 99
    with pytest.raises(blm.DecodeError, match="not JSON"):
        list(blm.read(many))


def test_read_refuses_a_cut_line_in_a_rotated_file(many):
    """Nobody writes to a rotated file, so a last line without newline is broken there."""
    second = rotated(many)[1]
    second.write_bytes(second.read_bytes()[:-1])
    with pytest.raises(blm.DecodeError, match="has no newline"):
        list(blm.read(many))


def test_read_refuses_an_unknown_on_error(path):
    """on_error is "raise" or "skip"."""
    write_log(path)
    with pytest.raises(ValueError, match="on_error must be"):
        blm.read(path, on_error="ignore")


@pytest.mark.parametrize("name", ["none.jsonl", "none/none.jsonl", "a.jsonl/none"])
def test_a_log_that_is_not_there(path, tmp_path, name):
    """Reading and verifying a log that does not exist say so at once."""
    write_log(path)
    with pytest.raises(FileNotFoundError, match="no such log"):
        blm.read(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="no such log"):
        verify([tmp_path / name])


def test_only_regular_files(tmp_path):
    """A directory is not a log."""
    with pytest.raises(blm.ConfigError, match="not a regular file"):
        blm.read(tmp_path)


def test_a_log_of_rotated_files_only(many):
    """Rotated files are a log also where the active file is not there."""
    many.unlink()
    assert len(ids(blm.read(many))) > 80


@pytest.mark.usefixtures("one_at_a_time")
def test_removed_between_listing_and_opening(many):
    """A rotated file that retention removes before it is opened is left out when reading."""
    lines = blm.read(many)
    next(lines)
    lost = rotated(many)[1]
    count = lost.read_bytes().count(b"\n")
    lost.unlink()
    assert 1 + len(list(lines)) == 102 - count


def test_removed_while_reading(many):
    """Files that retention removes while the log is read are read all the same: they were opened ahead."""
    lines = blm.read(many)
    next(lines)
    for file in rotated(many)[:-1]:
        file.unlink()
    assert len(list(lines)) == 101


def test_no_descriptor_stays_open(many):
    """Closing the iterator closes its files."""
    before = len(os.listdir("/dev/fd"))
    lines = blm.read(many)
    next(lines)
    assert len(os.listdir("/dev/fd")) > before
    lines.close()
    assert len(os.listdir("/dev/fd")) == before
