"""Losses that are acknowledged: what is covered, what is not, and the file beside the log."""

from __future__ import annotations

import json
import os
import re
import stat

import pytest
from support.logs import change, kinds, put, write_log

import bamboo_logmetrics as blm
from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.logfiles.names import acknowledged_path
from bamboo_logmetrics.reading import verify
from bamboo_logmetrics.reading.verification.acknowledgements import Acknowledgement


@pytest.fixture
def lines(path):
    """Write a closed log of which three lines are lost, and return what was written: the first line and ten events."""
    lines = write_log(path)
    put(path, [*lines[:3], *lines[6:]])
    return lines


def writer_of(path):
    return verify(path).writers[0].writer


def test_an_acknowledged_loss(path, lines):
    """A loss that is acknowledged is a note, and the verdict counts it; the writer is still not whole."""
    writer = writer_of(path)
    report = verify(path, acknowledge=[writer])
    assert report == verify(path)
    assert report.ok
    assert report.verdict == "accounted for, 1 acknowledged loss (3 lines, 1 contradiction)"
    assert set(kinds(report.notes)) == {"acknowledged"}
    assert "missing lines: 4-6 (3 in all)" in report.notes[0].text
    assert (report.writers[0].ok, report.writers[0].acknowledged) == (False, True)


def test_complete_counts_it(path, lines):
    """With complete, an acknowledged loss is a problem as any other."""
    report = verify(path, acknowledge=[writer_of(path)], complete=True)
    assert report.verdict == "not accounted for"
    assert "gap" in kinds(report.problems)
    assert not report.writers[0].acknowledged


def test_more_loss_is_not_covered(path, lines):
    """If the writer loses one line more later, all of its loss is a problem again."""
    verify(path, acknowledge=[writer_of(path)])
    put(path, [*lines[:3], *lines[7:]])
    report = verify(path)
    assert not report.ok
    assert "missing lines: 4-7 (4 in all)" in str(report.problems)
    assert verify(path, acknowledge=[writer_of(path)]).ok


def test_another_writer_is_not_covered(path, lines):
    """The acknowledgement of one writer's loss says nothing of another's."""
    verify(path, acknowledge=[writer_of(path)])
    first = path.read_bytes().splitlines()
    path.unlink()
    other = write_log(path)
    put(path, [*first, *other[:2], *other[3:]])
    report = verify(path)
    assert not report.ok
    assert [writer.acknowledged for writer in report.writers] == [True, False]


def test_less_loss_is_covered(path, lines):
    """Lines that come back, or a beginning that retention removes, leave the rest covered."""
    put(path, [*lines[:3], *lines[6:-1]])
    verify(path, acknowledge=[writer_of(path)])
    put(path, [*lines[:4], *lines[6:-1]])
    report = verify(path)
    assert report.verdict == "accounted for, 1 acknowledged loss (2 lines, 1 unclean end)"


def test_an_unclean_end(path, lines):
    """An unclean end is covered as it was known: not if lines were written after it, nor if lines vanish before it."""
    put(path, lines[:5])
    report = verify(path, acknowledge=[writer_of(path)])
    assert report.verdict == "accounted for, 1 acknowledged loss (1 unclean end)"
    for later in (lines[:6], lines[:4]):
        put(path, later)
        assert not verify(path).ok


def test_withdrawing(path, lines):
    """An acknowledgement can be withdrawn; without any, there is no file."""
    writer = writer_of(path)
    verify(path, acknowledge=[writer])
    assert not verify(path, withdraw=[writer]).ok
    assert not os.path.exists(acknowledged_path(str(path)))


def test_several_writers(path, lines):
    """Losses of several writers are counted together."""
    first = path.read_bytes().splitlines()
    path.unlink()
    other = write_log(path)
    put(path, [*first, *other[:2], *other[3:]])
    report = verify(path, acknowledge=[writer.writer for writer in verify(path).writers])
    assert report.verdict == "accounted for, 2 acknowledged losses (4 lines, 2 contradictions)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"acknowledge": ["0" * 20]}, f"no such writer in these files: {'0' * 20}; give an id as the report shows it"),
        ({"withdraw": ["0" * 20]}, "no such writer in these files"),
        ({"acknowledge": [None]}, "has lost nothing that could be acknowledged"),
        ({"withdraw": [None]}, "no loss of writer .* is acknowledged"),
    ],
)
def test_nothing_to_acknowledge(path, arguments, message):
    """A writer that is not there, has lost nothing or has no acknowledgement is an error, and nothing is noted."""
    write_log(path)
    writer = writer_of(path)
    with pytest.raises(ConfigError, match=message):
        verify(path, **{name: [value or writer for value in values] for name, values in arguments.items()})
    assert not os.path.exists(acknowledged_path(str(path)))


def test_other_problems_stay(path, lines):
    """A broken line and a repeated one are not a writer's loss, and stay problems."""
    put(path, [*lines[:3], *lines[6:], b"half", lines[2]])
    report = verify(path, acknowledge=[writer_of(path)])
    assert set(kinds(report.problems)) == {"broken_line", "repeat"}
    assert not report.ok


# -- the file ----------------------------------------------------------------------------


def test_the_file(path, lines):
    """The file is JSON with the log's mode, beside the log, and replaced as a whole."""
    path.chmod(0o660)
    verify(path, acknowledge=[writer_of(path)])
    file = path.with_name(".a.jsonl.acknowledged")
    assert stat.S_IMODE(file.stat().st_mode) == 0o660
    data = json.loads(file.read_bytes())
    assert data["v"] == 1
    assert data["writers"][writer_of(path)]["gaps"] == [[4, 6]]
    assert sorted(item.name for item in path.parent.iterdir()) == [".a.jsonl.acknowledged", ".a.jsonl.lock", "a.jsonl"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Input data was truncated"),
        (b'{"x":' + b"[" * 100_000, "(recursion|truncated)"),
        (b'{"v":2}', "version 2; this package reads version 1"),
        (b" " * 5_000_000, "larger than 4194304 bytes"),
    ],
    ids=["empty", "deep", "newer", "large"],
)
def test_a_file_of_something_else(path, lines, content, message):
    """A file that holds anything else is a problem in one line that names the remedy, and nothing replaces it."""
    before = verify(path)
    file = path.with_name(".a.jsonl.acknowledged")
    file.write_bytes(content)
    check_unusable(path, before, message)
    assert file.read_bytes() == content


def check_unusable(path, before, message):
    """Check the report with an unusable file, and that nothing can be acknowledged or withdrawn."""
    match = f"is not a file of acknowledged losses: .*{message}.*; remove it"
    report = verify(path)
    assert report.problems[:-1] == before.problems
    assert report.writers == before.writers
    assert (report.problems[-1].kind, report.problems[-1].file) == (
        "unusable_acknowledgements",
        acknowledged_path(str(path)),
    )
    assert re.match(match, report.problems[-1].text)
    for arguments in ({"acknowledge": [writer_of(path)]}, {"withdraw": [writer_of(path)]}):
        with pytest.raises(ConfigError, match=match):
            verify(path, **arguments)


@pytest.mark.parametrize("plant", [os.mkfifo, os.mkdir, lambda path: os.symlink("/etc/passwd", path)])
def test_no_regular_file(path, lines, plant):
    """A FIFO, a directory or a link in its place is not opened, followed or waited for."""
    before = verify(path)
    plant(acknowledged_path(str(path)))
    check_unusable(path, before, "")


def test_an_unusable_file_beside_a_whole_log(path):
    """Beside a log without a loss it is a problem too: somebody has put it there."""
    write_log(path)
    path.with_name(".a.jsonl.acknowledged").write_bytes(b"junk")
    report = verify(path)
    assert not report.ok
    assert kinds(report.problems) == ["unusable_acknowledgements"]


def test_both_at_once(path, lines):
    """To acknowledge and to withdraw the loss of one writer at once is an error, and nothing is noted."""
    writer = writer_of(path)
    with pytest.raises(ConfigError, match=f"acknowledge or withdraw the loss of writer {writer}"):
        verify(path, acknowledge=[writer], withdraw=["x", writer])
    assert not os.path.exists(acknowledged_path(str(path)))


def test_a_directory_that_is_not_writable(path, lines, monkeypatch):
    """If the file cannot be put in place, nothing is left of it."""
    os.mkdir(acknowledged_path(str(path)) + ".x")
    writer = writer_of(path)

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bamboo_logmetrics.system.FS.rename", refuse)
    with pytest.raises(OSError, match="No space left"):
        verify(path, acknowledge=[writer])
    assert not [item for item in path.parent.iterdir() if item.name.endswith(".tmp")]


def test_too_much_to_note(path):
    """A loss that takes more room than the file may have is refused."""
    lines = write_log(path, 1)
    put(path, [change(lines[0], seq=10**15 + 2 * number) for number in range(95_000)])
    with pytest.raises(ConfigError, match="too large to be acknowledged"):
        verify(path, acknowledge=[writer_of(path)])


@pytest.mark.parametrize(
    ("known", "now", "covered"),
    [
        (((1, 9),), ((1, 9),), True),
        (((1, 9),), ((2, 3), (5, 9)), True),
        (((1, 3), (7, 9)), ((8, 8),), True),
        (((1, 3), (7, 9)), ((3, 7),), False),
        (((1, 3),), ((5, 5),), False),
        ((), ((1, 1),), False),
        (((1, 3),), (), True),
    ],
)
def test_gaps_that_are_covered(known, now, covered):
    """A gap is covered if it lies within one that was acknowledged."""
    assert Acknowledgement("", known).covers(Acknowledgement("", now)) is covered


def test_the_public_name():
    """The function is the package's own verify."""
    assert blm.verify is verify
