from __future__ import annotations

import logging

import numpy as np
import pytest

from bamboo_logmetrics.record.levels import LEVELS, level_at, level_number, name_between


@pytest.mark.parametrize(("name", "number"), LEVELS.items())
def test_a_level_has_the_number_of_the_standard_library(name, number):
    """Each level is known by its name in any case and by the number of the standard library."""
    assert number == getattr(logging, name.upper())
    assert level_number(name) == level_number(name.upper()) == level_number(number) == number


@pytest.mark.parametrize("level", ["loud", "", "1.5", True, None, 1.5, [], object()])
def test_anything_else_is_no_level(level):
    """A value that names no level gives None, whatever its type."""
    assert level_number(level) is None


@pytest.mark.parametrize(
    ("level", "number"),
    [
        ("warn", 30),
        (" WARN ", 30),
        ("Fatal", 50),
        ("notset", 0),
        ("exception", 40),
        ("25", 25),
        (25, 25),
        (-10, -10),
        ("loud", None),
        ("", None),
        (True, None),
        (1.5, None),
        (None, None),
        (np.int64(25), 25),
        (logging.WARNING, 30),
    ],
)
def test_other_levels_of_the_standard_library(level, number):
    """Numbers, other names of the standard library and of structlog, and numbers as text are levels too."""
    assert level_number(level) == number


def test_names_that_the_application_adds():
    """A name of ``logging.addLevelName`` is a level, in any case."""
    logging.addLevelName(7, "Noise")
    try:
        assert [level_number(name) for name in ("Noise", "NOISE", "noise")] == [7, None, None]
        logging.addLevelName(7, "NOISE")
        assert [level_number(name) for name in ("Noise", "NOISE", "noise")] == [7, 7, 7]
        assert name_between(7) == "NOISE"
    finally:
        del logging._levelToName[7], logging._nameToLevel["NOISE"], logging._nameToLevel["Noise"]


def test_the_five_levels_need_no_other_name():
    """A name is written beside a level only where it is none of the five."""
    assert name_between(30) is None
    assert name_between(25) == "Level 25"


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
