from __future__ import annotations

import threading

import pytest

from bamboo_logmetrics.pipeline.locks import OwnedLock, try_acquire


def test_work_runs_with_the_lock():
    """The work runs while the calling thread holds the lock, which is free afterwards."""
    lock, held = OwnedLock(), []
    assert lock.run(lambda: held.append(lock.held_by_me()), try_acquire)
    assert held == [True]
    assert not lock.held_by_me()


def test_a_call_from_within_the_work_is_turned_away():
    """A thread that holds the lock does not get it again."""
    lock, answers = OwnedLock(), []
    assert lock.run(lambda: answers.append(lock.run(lambda: answers.append("inner"), try_acquire)), try_acquire)
    assert answers == [False]


def test_another_thread_is_turned_away():
    """A thread does not get a lock that another one holds, and does not release it."""
    lock, answers = OwnedLock(), []

    def other():
        answers.extend([lock.held_by_me(), lock.run(lambda: answers.append("other"), try_acquire)])

    def work():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        answers.append(lock.held_by_me())

    assert lock.run(work, try_acquire)
    assert answers == [False, False, True]


@pytest.mark.parametrize("acquired", [True, False])
def test_an_interrupt_leaves_the_lock_free(acquired):
    """Whether an interrupt comes before or after the lock is acquired, the lock is free afterwards."""
    lock = OwnedLock()

    def interrupted(raw):
        if acquired:
            raw.acquire()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lock.run(lambda: None, interrupted)
    assert not lock.held_by_me()
    assert lock.run(lambda: None, try_acquire)
