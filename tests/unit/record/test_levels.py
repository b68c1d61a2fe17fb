from __future__ import annotations

import logging

import pytest

from bamboo_logmetrics.record.levels import LEVELS, level_at, level_name


@pytest.mark.parametrize(("name", "number"), LEVELS.items())
def test_a_level_has_the_number_of_the_standard_library(name, number):
    """Each level is known by its name in any case and by the number of the standard library."""
    assert number == getattr(logging, name.upper())
    assert level_name(name) == level_name(name.upper()) == level_name(number) == name


@pytest.mark.parametrize("level", ["loud", "", 0, 25, -10, True, None, [], object()])
def test_anything_else_is_no_level(level):
    """A value that names no level gives None, whatever its type."""
    assert level_name(level) is None


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (-1, "debug"),
        (0, "debug"),
        (10, "debug"),
        (19, "debug"),
        (20, "info"),
        (35, "warning"),
        (50, "critical"),
        (99, "critical"),
    ],
)
def test_a_number_between_two_levels_belongs_to_the_lower(number, name):
    """A number has the level at or below it, and debug below all levels."""
    assert level_at(number) == name
