"""Writing the page: all of it or nothing, and never over something else."""

from __future__ import annotations

import os
import stat

import pytest
from support.log_lines import as_bytes, with_headers
from support.pages import data_of

import bamboo_logmetrics as blm
from bamboo_logmetrics.reading.report import writing

ROUND = {
    "event": "chat.round_completed", "round_id": "r", "session_id": "s", "status": "success", "latency_ms": 100,
    "prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12,
}  # fmt: skip
OLD = b'<!DOCTYPE html><meta name="generator" content="bamboo-logmetrics">old'


@pytest.fixture
def small_log(path):
    """Write a log of one call."""
    path.write_bytes(as_bytes(with_headers([ROUND])))
    return path


def test_a_page_is_written(small_log, tmp_path):
    """The page has what its summary has, and nothing is left beside it."""
    before = set(os.listdir(tmp_path))
    summary = blm.write_report(small_log, tmp_path / "report.html", title="T", tz="UTC")
    assert summary.totals.rounds == 1
    data = data_of((tmp_path / "report.html").read_bytes())
    assert (data["totals"]["rounds"], data["title"], data["zone"]) == (1, "T", "UTC")
    assert set(os.listdir(tmp_path)) - before == {"report.html"}


def test_an_older_page_is_replaced(small_log, tmp_path):
    """An older page and an empty file are replaced, by way of a link too, and the file keeps its rights."""
    page, link = tmp_path / "page.html", tmp_path / "link.html"
    page.write_bytes(OLD)
    page.chmod(0o600)
    link.symlink_to(page)
    blm.write_report(small_log, link)
    assert link.is_symlink()
    assert data_of(page.read_bytes())["totals"]["rounds"] == 1
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    page.write_bytes(b"")
    blm.write_report(small_log, page)
    assert page.stat().st_size > len(OLD)


def test_something_else_is_not_replaced(small_log, tmp_path):
    """A log, a page of others, a directory and a dash are refused before anything is read, and stay."""
    before = small_log.read_bytes()
    other = tmp_path / "other.html"
    other.write_bytes(b"<!DOCTYPE html><title>Budget</title>")
    late = tmp_path / "late.html"  # a page of others that quotes one of ours
    late.write_bytes(b"<!DOCTYPE html>" + bytes(4096) + OLD)
    refused = {small_log: "not a page of this", other: "remove it, or give another name", late: "not a page of this"}
    for output, name in (refused | {tmp_path: "is a directory", "-": "give the path of the page"}).items():
        with pytest.raises(blm.ConfigError, match=name):
            blm.write_report(small_log, output)
    with pytest.raises(FileNotFoundError, match="no such directory"):
        blm.write_report(small_log, tmp_path / "none" / "report.html")
    assert small_log.read_bytes() == before
    assert other.read_bytes() == b"<!DOCTYPE html><title>Budget</title>"
    assert not os.path.exists("-")


@pytest.mark.skipif(not hasattr(os, "setresuid"), reason="needs setresuid to be another user than root")
def test_where_nobody_may_write(tmp_path):
    """A directory that is not writable is told before anything is read, with what to do."""
    tmp_path.chmod(0o700)
    ids = os.getresuid()
    os.setresuid(*(ids if ids[0] else (65_534, 65_534, 0)))
    try:
        with pytest.raises(PermissionError, match="no permission to write in /; use another directory"):
            writing.check_output("/report.html")
    finally:
        os.setresuid(*ids)


@pytest.mark.parametrize("failing", ["replace", "fchmod"])
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failure_leaves_the_older_page(tmp_path, monkeypatch, failing, error):
    """If the page cannot be finished, the older one stays and nothing is left beside it."""

    def fail(*_):
        raise error

    page = tmp_path / "page.html"
    page.write_bytes(OLD)
    monkeypatch.setattr(writing.os, failing, fail)
    with pytest.raises(type(error)):
        writing.replace_page(page, b"new")
    assert os.listdir(tmp_path) == ["page.html"]
    assert page.read_bytes() == OLD


def test_a_directory_that_is_gone(tmp_path):
    """A page that cannot be written is an error that names the page, not a temporary file, and nothing is there."""
    page = tmp_path / "none" / "page.html"
    with pytest.raises(FileNotFoundError, match=f"cannot write {page}: No such file or directory; .* another path"):
        writing.replace_page(page, b"new")
    assert os.listdir(tmp_path) == []


def test_a_pipe_is_written_to(tmp_path):
    """Something that is no file, such as a pipe or a device, is written to."""
    reading, end = os.pipe()
    writing.replace_page(f"/dev/fd/{end}", b"page")
    os.close(end)
    assert os.read(reading, 10) == b"page"
    os.close(reading)
    writing.check_output("/dev/null")
