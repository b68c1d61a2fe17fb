"""The faults that are planted, read from the text files beside this module.

A block is one fault::

    = name: What it breaks.
    channel.py | test_channel.py
    -        a line that is taken out
    +        a line that is put in its place
             a line that stays

The second line is the file in the package and, after the bar, the tests that must catch it (files of ``tests/``, or
single tests in them). Below it stand whole lines of that file, each behind one character, as in a diff; together they
have to occur in it exactly once. Blocks are parted by blank lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

AREAS = ("channel", "pipeline", "logfiles", "ship", "scopes", "usage")  # each is a text file
_HEAD = re.compile(r"= (?P<name>[a-z0-9-]+): (?P<breaks>\S.*\.)")
_PLACE = re.compile(r"(?P<file>[a-z_/]+\.py) \| (?P<tests>\S.*)")


@dataclass(frozen=True)
class Mutant:
    """One fault: which lines of which file become which, and which tests must fail."""

    name: str
    area: str
    breaks: str
    file: str
    tests: tuple[str, ...]
    old: str
    new: str

    def planted(self, source: str) -> str:
        """Return the file's text with the fault in it. Raises ValueError unless the old lines are there once."""
        places = [match.start() for match in re.finditer(f"^{re.escape(self.old)}", source, re.MULTILINE)]
        if len(places) != 1:
            msg = f"{self.name}: the old lines are {len(places)} times in {self.file}, not once"
            raise ValueError(msg)
        start = places[0]
        return source[:start] + self.new + source[start + len(self.old) :]


def mutants() -> list[Mutant]:
    """Return all of them, in the order of the text files."""
    blocks = []
    for area in AREAS:
        text = Path(__file__).with_name(f"{area}.txt").read_text(encoding="utf-8")
        blocks += [_mutant(area, block) for block in re.split(r"\n\n+", text.strip("\n"))]
    return blocks


def _mutant(area: str, block: str) -> Mutant:
    first, second, *lines = block.splitlines()
    head, place = _HEAD.fullmatch(first), _PLACE.fullmatch(second)
    if head is None or place is None or {line[0] for line in lines} - set("-+ "):
        msg = f"{area}.txt: not a block:\n{block}"
        raise ValueError(msg)
    return Mutant(
        name=head["name"],
        area=area,
        breaks=head["breaks"],
        file=place["file"],
        tests=tuple(place["tests"].split()),
        old="".join(f"{line[1:]}\n" for line in lines if line[0] != "+"),
        new="".join(f"{line[1:]}\n" for line in lines if line[0] != "-"),
    )
