from __future__ import annotations

from pathlib import Path

import pytest

from bamboo_logmetrics.importers.base import Importer, ImportReport, Problem, read_each


class Lines(Importer):
    name = "lines"
    help = "Nothing."
    patterns = ("*.jsonl", "*.old")
    usual_path = "~/lines"

    def read(self, files, report):
        return iter(())


def test_find_gives_files_as_they_are_and_directories_sorted(tmp_path):
    """A file is taken whatever its name, of a directory every file that matches, in order, none of them twice."""
    parent, other, child = tmp_path / "s1.jsonl", tmp_path / "notes.txt", tmp_path / "s1" / "subagents" / "a.old"
    child.parent.mkdir(parents=True)
    (tmp_path / "folder.jsonl").mkdir()
    for file in (parent, other, child):
        file.touch()
    assert Lines().find([tmp_path]) == [child, parent]
    assert Lines().find([other, parent, tmp_path]) == [other, parent, child]


def test_find_names_a_missing_path(tmp_path):
    """A path that does not exist raises FileNotFoundError, whose message names it and an example."""
    with pytest.raises(FileNotFoundError, match=r"nowhere; give a file or a directory such as ~/lines"):
        Lines().find([tmp_path / "nowhere"])


def test_a_problem_names_its_place():
    """A problem is shown with the file and the line, or with the file alone."""
    assert str(Problem(Path("/a"), 3, "torn")) == "/a:3: torn"
    assert str(Problem(Path("/a"), None, "Permission denied")) == "/a: Permission denied"


def test_a_report_without_listeners():
    """A report counts whether or not anybody listens."""
    report = ImportReport()
    report.begin(Path("/a"))
    report.progress(5)
    report.problem(Path("/a"), "torn", 1)
    assert (report.files, report.unread_files, report.skipped_lines) == (1, 0, 1)


def test_read_each_goes_on_after_a_file_that_cannot_be_read():
    """A file that cannot be read is reported with its path, after its events, and does not stop the next."""
    problems = []
    report = ImportReport(problems.append)

    def read_file(file, _report):
        yield file.name
        if file.name == "a":
            raise PermissionError(13, "Permission denied")
        if file.name == "b":
            raise OSError("odd")

    assert list(read_each([Path("/a"), Path("/b"), Path("/c")], report, read_file)) == ["a", "b", "c"]
    assert [str(problem) for problem in problems] == ["/a: Permission denied", "/b: odd"]
    assert (report.files, report.unread_files) == (3, 2)
