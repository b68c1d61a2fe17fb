"""Random programs of everything that may happen to a log, each done by a real log and by a small model of it.

The model, and what stands for which row of the fault matrix, is in model.py. Here are the steps of a program with
what each must answer, the checks, and the machine that makes programs up. A program that has failed is kept in
programs/, and done again by each run.
"""

from __future__ import annotations

import json
import pathlib

import pytest
from support.state_machine import ORDINARY, Play, run_machine

PROGRAMS = pathlib.Path(__file__).parent / "programs"


# -- the machine ---------------------------------------------------------------------------


def test_rows_1_to_33_random_programs(worlds, tmp_path):
    """Whatever happens in whatever order, the counters, the files, verify and the model agree."""
    run_machine(worlds, tmp_path, ORDINARY)


@pytest.mark.parametrize("program", sorted(PROGRAMS.glob("*.json")), ids=lambda file: file.stem)
def test_kept_programs(worlds, tmp_path, program):
    """A program that once failed does not fail again."""
    play = Play(worlds, str(tmp_path))
    try:
        for step in json.loads(program.read_text("utf-8")):
            play.do(*step)
        play.finish()
    finally:
        worlds.stop()
        worlds.complaints()
