"""More random programs than the ordinary suite has time for, and others each time."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent.parent / "guarantees"))  # its machine and model
from test_state_machine import ORDINARY, run_machine, worlds

__all__ = ["worlds"]  # a fixture


@pytest.mark.timeout(400)
@pytest.mark.parametrize("part", range(3))
def test_rows_1_to_33_many_random_programs(worlds, tmp_path, part):
    """Whatever happens in whatever order, the counters, the files, verify and the model agree; new programs each time."""
    run_machine(worlds, tmp_path, settings(ORDINARY, max_examples=120, derandomize=False, print_blob=True))
