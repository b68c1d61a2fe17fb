from __future__ import annotations

import random

from bamboo_logmetrics.reading.verification import tallies


def test_numbers_against_a_set():
    """The ranges hold what a plain set holds, whatever the order of the numbers."""
    chance = random.Random(1)
    for _ in range(300):
        numbers, known = tallies.IntervalSet(), set()
        for _ in range(40):
            number = chance.randrange(1, 30)
            assert numbers.add(number) is (number not in known)
            known.add(number)
        there = {n for low, high in zip(numbers.starts, numbers.ends, strict=True) for n in range(low, high + 1)}
        missing = {n for low, high in numbers.gaps(1) for n in range(low, high + 1)}
        assert there == known
        assert missing == set(range(1, max(known))) - known
