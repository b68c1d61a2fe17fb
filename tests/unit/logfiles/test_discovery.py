from __future__ import annotations

import os

import pytest
from support.logs import compress, rotated

import bamboo_logmetrics as blm
from bamboo_logmetrics.logfiles import discovery
from bamboo_logmetrics.system import FS


class AtListing(FS):
    """Does something to the log before its directory is listed, as another process might."""

    def __init__(self, *actions):
        self.actions = list(actions)

    def listdir(self, path):
        if self.actions:
            self.actions.pop(0)()
        return super().listdir(path)


def rotate(path, stamp="20260101T000000000001Z"):
    name = path.with_name(f"{path.name}.{stamp}-{'a' * 20}")
    path.rename(name)
    return name


def contents(path, fs):
    opened = discovery.open_files(fs, str(path), skip_removed=False)
    return [b"".join(file.blocks()) for file in opened]


def test_a_rotation_while_listing(path):
    """A file that is rotated between being opened and being listed is read once, in its place."""

    def act():
        rotate(path)
        path.write_bytes(b"new\n")

    path.write_bytes(b"old\n")
    assert contents(path, AtListing(act)) == [b"old\n"]


def test_two_rotations_while_listing(path):
    """Of two rotations between opening and listing, both files are read, each once and in order."""

    def act():
        rotate(path)
        path.write_bytes(b"second\n")
        rotate(path, "20260101T000000000002Z")
        path.write_bytes(b"third\n")

    path.write_bytes(b"first\n")
    assert contents(path, AtListing(act)) == [b"first\n", b"second\n"]


def test_rotated_and_compressed_while_listing(path):
    """A file that is compressed before the listing is read once, in its place."""

    def act():
        compress(rotate(path))
        path.write_bytes(b"second\n")

    path.write_bytes(b"first\n")
    assert contents(path, AtListing(act)) == [b"first\n", b"second\n"]


def test_created_while_listing(path):
    """An active file that appears while the directory is listed is read."""
    path.write_bytes(b"first\n")
    rotate(path)
    assert contents(path, AtListing(lambda: path.write_bytes(b"second\n"))) == [b"first\n", b"second\n"]


def test_files_that_never_stand_still(path):
    """Listing a log that changes every time fails in the end, with the reason."""

    def act():
        path.rename(path.with_name("gone"))
        path.write_bytes(b"another\n")

    path.write_bytes(b"first\n")
    with pytest.raises(OSError, match="change faster"):
        contents(path, AtListing(*[act] * 1000))


@pytest.mark.usefixtures("one_at_a_time")
def test_compressed_between_listing_and_opening(many):
    """A rotated file that is compressed after it was listed is read in its new form."""
    opened = discovery.open_files(FS(), str(many), skip_removed=False)
    contents_read = [b"".join(next(opened).blocks())]
    compress(rotated(many)[1])
    contents_read += [b"".join(file.blocks()) for file in opened]
    assert b"".join(contents_read).count(b"\n") == 102


def test_the_oldest_is_removed_while_listing(many):
    """When only the oldest file goes before it is opened, the others are the log, without another look."""
    listed = discovery._existing(FS(), str(many))

    class Late(FS):
        def listdir(self, path):
            names = super().listdir(path)
            os.unlink(many.with_name(listed[0].name))
            return names

    paths = [file.path for file in discovery.open_files(Late(), str(many), skip_removed=False)]
    assert paths == [str(file) for file in rotated(many)] + [str(many)]


def test_progress_of_what_is_removed(many):
    """A file that goes while sizes are taken counts nothing."""
    gone = rotated(many)[0]
    size = discovery.size_of(FS(), str(many))

    class Goes(FS):
        def stat(self, path):
            if path == str(gone):
                raise FileNotFoundError
            return super().stat(path)

    assert discovery.size_of(Goes(), str(many)) == size - gone.stat().st_size


@pytest.fixture
def stdin(tmp_path):
    """Make a text the standard input of this process."""
    saved = os.dup(0)

    def giving(data):
        (tmp_path / "stdin").write_bytes(data)
        fd = os.open(tmp_path / "stdin", os.O_RDONLY)
        os.dup2(fd, 0)
        os.close(fd)

    yield giving
    os.dup2(saved, 0)
    os.close(saved)


def test_standard_input(tmp_path, stdin, monkeypatch):
    """A dash is standard input, read once as one file that has ended, also where a file has that name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-").write_bytes(b"a file\n")
    with blm.open_log(tmp_path / "a.jsonl") as log:
        log.info("a line")
    data = (tmp_path / "a.jsonl").read_bytes()
    stdin(data)
    assert [line.text for line in blm.read("-") if line.event is None] == ["a line"]
    stdin(data)
    report = blm.verify("-")
    assert (report.ok, report.written, report.files) == (True, 1, ("-",))
    stdin(data[:-10])
    report = blm.verify(["-"])
    assert "broken_line" in {finding.kind for finding in report.problems}
    assert report.writers[0].end == "running"  # its process is this one
    stdin(b"")
    assert [finding.kind for finding in blm.verify("-").problems] == ["no_lines"]


# -- from the newest on ------------------------------------------------------------------


def test_newest_first(many):
    """The files come newest first, each with the name of the one before it."""
    names = [file.name for file in rotated(many)]
    compress(rotated(many)[0])
    files = [(file.path, file.base, before) for file, before in discovery.open_newest_first(FS(), str(many))]
    assert [base for _, base, _ in files] == ["", *reversed(names)]
    assert [before for *_, before in files] == [*reversed(names), ""]
    assert files[-1][0].endswith(".gz")


def test_newest_first_while_it_is_rotated_and_removed(path):
    """A file that is rotated meanwhile comes once; at one that retention removes it ends."""
    path.write_bytes(b"1\n")
    oldest = rotate(path)
    path.write_bytes(b"2\n")
    fs = AtListing(lambda: rotate(path, "20260101T000000000002Z"))
    files = discovery.open_newest_first(fs, str(path))
    assert b"".join(next(files)[0].blocks()) == b"2\n"
    oldest.unlink()
    assert list(files) == []


def test_newest_first_without_an_active_file(path):
    """Where the active file is missing, the newest rotated file is the first."""
    path.write_bytes(b"1\n")
    name = rotate(path).name
    assert [(file.base, before) for file, before in discovery.open_newest_first(FS(), str(path))] == [(name, "")]
