"""More random programs than the ordinary suite has time for; others with another BAMBOO_TEST_SEED."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings
from support.state_machine import ORDINARY, run_machine

FIRST_SEED = int(os.environ.get("BAMBOO_TEST_SEED", "1"))


@pytest.mark.timeout(400)
@pytest.mark.parametrize("number", range(FIRST_SEED, FIRST_SEED + 3))
def test_rows_1_to_33_many_random_programs(worlds, tmp_path, number):
    """Whatever happens in whatever order, the counters, the files, verify and the model agree."""
    run_machine(worlds, tmp_path, settings(ORDINARY, max_examples=120, derandomize=False, print_blob=True), number)
