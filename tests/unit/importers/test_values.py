"""Ids, names, counts and times of session files, and the names of projects."""

from __future__ import annotations

import pytest

from bamboo_logmetrics.importers import values


@pytest.mark.parametrize(
    ("value", "microseconds"),
    [
        ("1970-01-01T00:00:01.5Z", 1_500_000),
        ("1970-01-01T01:00:01+01:00", 1_000_000),
        ("1970-01-01 00:00:01+0000", 1_000_000),
        (1_767_225_602_000, 1_767_225_602_000_000),
        (1_767_225_602.25, 1_767_225_602_250_000),
        ("1970-01-01T00:00:01", None),
        ("1970-01-01T00:00:01.250Z", 1_250_000),
        ("1970-01-01T00:00:61.250Z", None),
        ("1970-01-01T00:00:01.2x0Z", None),
        ("yesterday", None),
        (True, None),
        (-5, None),
        (float("nan"), None),
        (1e300, None),
        (1.797693134862316e305, None),
        (10**400, None),
        (None, None),
    ],
)
def test_times(value, microseconds):
    """A time is a text with an offset, or a number of seconds or milliseconds."""
    assert values.moment(value) == microseconds
    if microseconds is not None:
        assert values.datetime_of(microseconds).timestamp() * 1e6 == microseconds


def test_ids_and_names():
    """A printable text is an id; a long one keeps its beginning and a hash; a name is never long."""
    assert values.identifier("a" * 200) == values.label("a" * 200) == "a" * 200
    first, second = values.identifier("a" * 900), values.identifier("a" * 899 + "b")
    assert len(first) < 200
    assert first != second
    for text in ("", "a\n", "\ud800", None, 5, ["a"]):
        assert values.identifier(text) is None
        assert values.label(text) is None
    assert values.label("a" * 201) is None
    assert values.branch("feature/a-1") == "feature/a-1"
    for text in ("two words", "a..\n", "", None):
        assert values.branch(text) is None


@pytest.mark.parametrize(
    ("value", "count"), [(5, 5), (5.0, 5), (0, 0), (2**53, 2**53), (-1, None), (1.5, None), (True, None), ("5", None), (2**53 + 1, None)]
)  # fmt: skip
def test_counts(value, count):
    """A count is a whole number that every reader holds exactly."""
    assert values.count(value) == count


@pytest.mark.parametrize(
    ("value", "number"),
    [(5, 5), (5.9, 5), (-1, None), (float("inf"), None), (10**400, None), (True, None), ("5", None)],
)
def test_milliseconds(value, number):
    """A duration is floored; what is none is None."""
    assert values.milliseconds(value) == number


@pytest.mark.parametrize(
    ("cwd", "name"),
    [
        ("/home/ann/work/app", "work/app"),
        ("/Users/ann/work/app/", "work/app"),
        ("/root/app", "app"),
        ("/rooted/app", "rooted/app"),
        ("C:\\Users\\ann\\app\\", "app"),
        ("/srv/app", "srv/app"),
        ("/home/ann/app/.claude/worktrees/fix-1/src", "app"),
        ("/home/ann/app/.worktrees/fix-1", "app"),
        ("/home/ann", None),
        ("/", None),
        (None, None),
        ("/a\0b", None),
    ],
)
def test_projects(cwd, name):
    """A project has the name of its whole directory, without the home directory and the worktree."""
    assert values.project(cwd) == name


def test_a_worktree_anywhere(tmp_path):
    """A worktree outside its repository has the repository's name, as git notes it in the worktree."""
    tree = tmp_path / "elsewhere"
    tree.mkdir()
    (tree / ".git").write_text("gitdir: /srv/app/.git/worktrees/elsewhere\n", "utf-8")
    assert values.project(str(tree)) == "srv/app"
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / ".git").write_text("gitdir: /srv/app/.git/modules/sub\n", "utf-8")
    assert values.project(str(tmp_path / "sub")).endswith("/sub")
