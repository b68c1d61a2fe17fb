"""Code that tests share: programs to run, doubles, strategies, counts that are made from files."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]  # of the project
TESTS = str(ROOT / "tests")  # for programs that import this package
DATA = ROOT.parent / "shared" / "data"  # real transcripts and exchanges; not on every machine
