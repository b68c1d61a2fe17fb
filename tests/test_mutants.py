"""The planted faults fit the code: mutants of code that has changed would be caught, or survive, for no reason."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from mutants.planting import AREAS, mutants

import bamboo_logmetrics as blm

PACKAGE = Path(blm.__file__).parent
TESTS = Path(__file__).parent
ALL = mutants()


@pytest.mark.parametrize("mutant", ALL, ids=lambda mutant: mutant.name)
def test_a_mutant_fits(mutant):
    """The lines that a mutant changes are there exactly once, and what they become compiles and is something else."""
    source = (PACKAGE / mutant.file).read_text(encoding="utf-8")
    planted = mutant.planted(source)
    assert planted != source
    compile(planted, mutant.file, "exec")


@pytest.mark.parametrize("mutant", ALL, ids=lambda mutant: mutant.name)
def test_a_mutants_tests_are_there(mutant):
    """Each test that has to catch a mutant exists."""
    for test in mutant.tests:
        file, _, name = test.partition("::")
        assert f"def {name}(" if name else "def test_" in (TESTS / file).read_text(encoding="utf-8")


def test_every_area_has_mutants():
    """Channel, pipeline, sinks, ship, scopes and usage have at least 20 mutants each, and no two have one name."""
    assert len({mutant.name for mutant in ALL}) == len(ALL)
    count = Counter(mutant.area for mutant in ALL)
    assert set(count) == set(AREAS)
    assert min(count.values()) >= 20


@pytest.mark.parametrize("source", ["", "a = 1\nb = 2\n" + 2 * ALL[0].old], ids=["nowhere", "twice"])
def test_a_stale_mutant_is_refused(source):
    """A mutant whose lines are not there, or are there twice, is refused."""
    with pytest.raises(ValueError, match=r"times in pipeline/channel\.py, not once"):
        ALL[0].planted(source)
