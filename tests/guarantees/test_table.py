"""The table in docs/reference/guarantees.md names every row's tests, and each is there."""

from __future__ import annotations

import ast
import re

import pytest
from support import ROOT

TESTS = ROOT / "tests"
TABLE = (TESTS.parent / "docs/reference/guarantees.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
NAMED = re.compile(r"\[`([\w/]+\.py)`\]\(\.\./\.\./tests/\1\) ((?:`\w+`(?:, )?)+)")


def defined():
    """Return the names of the tests of rows, each as (file, function)."""
    found = set()
    for folder in ("guarantees", "stress"):
        for path in (TESTS / folder).glob("test_*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef) and re.match(r"test_row_\d\d_", node.name):
                    found.add((f"{folder}/{path.name}", node.name))
    return found


ROWS = {int(number): cells for number, *cells in ROW.findall(TABLE)}


def named(number):
    """Return the tests that the table names for a row."""
    return {(file, name) for file, names in NAMED.findall(ROWS[number][2]) for name in re.findall(r"\w+", names)}


def test_every_row_is_there():
    """The table has all rows in order, each with a fault, what the log does, and tests; a test without a row is none."""
    assert len(ROWS) >= 40
    assert list(ROWS) == list(range(1, len(ROWS) + 1))
    assert {int(name[9:11]) for _, name in defined()} == set(ROWS)
    assert f"[{len(ROWS)} kinds of faults]" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(cell.strip() for cells in ROWS.values() for cell in cells)


@pytest.mark.parametrize("number", sorted(ROWS))
def test_the_tests_of_a_row_are_those_named(number):
    """Each test named in a row exists under the row's number, and no test of the row is left out."""
    expected = {(file, name) for file, name in defined() if name.startswith(f"test_row_{number:02d}_")}
    assert expected
    assert named(number) == expected
