from __future__ import annotations

import errno
import sys
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tools import balanced, kinds, tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.pipeline import diagnostics
from bamboo_logmetrics.pipeline.life import ABANDONED, CLOSING, ENDED, OPEN, OVER, Life
from bamboo_logmetrics.testing import FailingSink, ManualClock, open_log_on

pytestmark = pytest.mark.usefixtures("no_threads", "quiet")

FULL = OSError(errno.ENOSPC, "No space left on device")
TIMEOUT = 10.0  # seconds that a close has


@pytest.fixture
def quiet(capsys):
    """Keep the reports of the logs out of the output of the run."""
    yield
    capsys.readouterr()
    diagnostics.stderr.reset()  # else owed reports are written at exit


def documented():
    """Return the transitions of the table in the docstring of Life."""
    rows = [line.split()[:2] for line in Life.__doc__.splitlines()]
    return {(Life[row[0]], Life[row[1]]) for row in rows if len(row) == 2 and set(row) <= Life.__members__.keys()}


class Ending:
    """A log without a thread, whose disk is full, and all that can happen to its life."""

    def __init__(self, path):
        self.clock, self.sink = ManualClock(), FailingSink()
        self.log = open_log_on(self.sink, path, clock=self.clock)
        self.pipeline = self.log._pipeline
        self.worker, self.step = self.pipeline._worker, self.pipeline._step
        self.sink.always = FULL
        self.log.emit(tool())

    @contextmanager
    def lock_held(self):
        """Let the step lock be held by another thread."""
        self.worker._run_in_step = lambda *_: False
        yield
        del self.worker._run_in_step

    def start_closing(self):
        self.worker.start_closing(TIMEOUT)

    def close(self):
        self.heal()
        assert self.log.close(TIMEOUT) is self.worker.finished

    def heal(self):
        self.sink.always = None
        self.clock.advance(5)  # the longest pause between two attempts

    def turn(self):
        self.worker.wake()

    def turn_healed(self):
        self.heal()
        self.worker.wake()

    def turn_too_late(self):
        self.clock.advance(TIMEOUT)
        self.worker.wake()

    def give_up(self):
        self.start_closing()
        self.worker.abandon()

    def give_up_behind_another(self):
        self.start_closing()
        with self.lock_held():
            self.worker.abandon()

    def fork(self):
        self.pipeline.after_fork()

    def run_turn(self):
        """Have the thread that was within the sink do its last turn."""
        self.worker.run_for_caller(self.worker._turn, 0)


def ending(path, life):
    """Return a log in this part of its life."""
    log = Ending(path)
    if life is not OPEN:
        log.start_closing()
    if life is ABANDONED:
        log.give_up_behind_another()
    if life is ENDED:
        log.turn_too_late()
    assert log.step.life is life
    return log


TRANSITIONS = [
    (OPEN, "turn", OPEN),
    (OPEN, "turn_healed", OPEN),
    (OPEN, "fork", OPEN),
    (OPEN, "start_closing", CLOSING),
    (OPEN, "close", ENDED),
    (CLOSING, "start_closing", CLOSING),
    (CLOSING, "turn", CLOSING),
    (CLOSING, "turn_healed", ENDED),
    (CLOSING, "turn_too_late", ENDED),
    (CLOSING, "close", ENDED),
    (CLOSING, "give_up", ENDED),
    (CLOSING, "give_up_behind_another", ABANDONED),
    (CLOSING, "fork", OPEN),
    (ABANDONED, "start_closing", ABANDONED),
    (ABANDONED, "close", ABANDONED),
    (ABANDONED, "give_up", ABANDONED),
    (ABANDONED, "give_up_behind_another", ABANDONED),
    (ABANDONED, "run_turn", ENDED),
    (ABANDONED, "fork", ENDED),
    *(
        (ENDED, action, ENDED)
        for action in ("start_closing", "turn", "close", "give_up", "give_up_behind_another", "fork")
    ),
]


@pytest.mark.parametrize(("before", "action", "after"), TRANSITIONS)
def test_each_row_of_the_table(path, before, action, after):
    """In each part of a log's life, each event leads to the part that the table names, or to none."""
    log = ending(path, before)
    getattr(log, action)()
    assert log.step.life is after
    assert balanced(log.log.stats())
    log.run_turn()
    log.close()


def test_the_table_has_all_transitions():
    """The table in the docstring names exactly the transitions that there are."""
    assert documented() - {(before, after) for before, _, after in TRANSITIONS} == set()
    assert {(before, after) for before, _, after in TRANSITIONS if before is not after} - documented() == {
        (OPEN, ENDED)
    }


ACTIONS = sorted({action for _, action, _ in TRANSITIONS})


@given(st.lists(st.sampled_from(ACTIONS), max_size=8))
@settings(deadline=None)
def test_no_life_leaves_the_table(tmp_path_factory, actions):
    """Whatever happens to a log, in any order, each change of its life is in the table, and it ends with right counts."""
    log = Ending(tmp_path_factory.mktemp("life") / "a.jsonl")
    seen = []

    class Watched(type(log.step)):
        """A step that notes each change of its life."""

        def __setattr__(self, name, value):
            if name == "life" and value is not self.life:
                seen.append((self.life, value))
            super().__setattr__(name, value)

    log.step.__class__ = Watched
    for action in actions:
        getattr(log, action)()
        assert balanced(log.log.stats())
    log.run_turn()
    log.close()
    assert log.step.life is ENDED
    assert set(seen) <= documented()
    assert not log.log.emit(tool())


def test_reading_the_life_is_no_call():
    """No thread and no signal handler can come between reading the life and comparing it: no call is made."""
    calls = []
    sys.setprofile(lambda frame, event, _: calls.append((frame.f_code.co_name, event)))
    outcome = OPEN in OVER, CLOSING in OVER, ABANDONED in OVER, ENDED in OVER, OPEN is CLOSING
    sys.setprofile(None)
    assert outcome == (False, False, True, True, False)
    assert [call for call in calls if call[0] != "<lambda>"] == [("test_reading_the_life_is_no_call", "c_call")]


class At:
    """Calls ``action`` at the profile event number ``nth`` in the pipeline: there signal handlers and threads come in."""

    def __init__(self, nth, action):
        self.left, self.action = nth, action

    def __call__(self, frame, event, _):
        if "/bamboo_logmetrics/pipeline/" not in frame.f_code.co_filename:
            return
        self.left -= 1
        if self.left == 0:
            sys.setprofile(None)
            self.action()


def strike_each(work, action, prepare):
    """Call ``work`` again and again, on a new log each, with ``action`` at one more place of it each time."""
    nth = 0
    while True:
        nth += 1
        log, answers = prepare(nth), []
        at = At(nth, lambda log=log, answers=answers: answers.append(action(log)))
        sys.setprofile(at)
        try:
            answers.append(work(log))
        finally:
            sys.setprofile(None)
        yield log, answers
        if at.left > 0:
            assert nth > 20
            return


def test_a_close_from_a_signal_handler_in_each_place_of_a_close(tmp_path):
    """Wherever a second close interrupts a close, both come back, and the file ends with one worker_stopped."""

    def prepare(nth):
        log = blm.open_log(tmp_path / f"{nth}.jsonl")
        log.emit(tool())
        return log

    def close_within(log):
        in_step.append(log._pipeline._worker.in_step())
        return log.close(0.01)

    in_step = []
    for nth, (log, answers) in enumerate(strike_each(blm.BoundLog.close, close_within, prepare), 1):
        assert answers[-1] is True
        assert answers[0] or in_step[-1]  # a close within the step must not wait for itself
        assert log._pipeline._step.life is ENDED
        assert log.stats().written == 1
        assert kinds(tmp_path / f"{nth}.jsonl") == [
            "system.worker_started",
            "chat.tool_called",
            "system.worker_stopped",
        ]
    assert set(in_step) == {True, False}


def test_a_close_from_a_signal_handler_in_each_place_of_giving_up(tmp_path):
    """Wherever a second close interrupts one that gives up behind another thread, both come back with False."""

    def prepare(nth):
        log = Ending(tmp_path / f"{nth}.jsonl")
        log.start_closing()
        return log

    def give_up(log):
        with log.lock_held():
            log.worker.abandon()
        return False

    for log, answers in strike_each(give_up, lambda log: log.log.close(0), prepare):
        assert set(answers) == {False}
        assert log.step.life in OVER
        log.run_turn()
        assert log.step.life is ENDED
        assert log.log.stats().dropped == {"storage": 1}
        assert balanced(log.log.stats())
