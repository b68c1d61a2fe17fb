from __future__ import annotations

import pytest

from bamboo_logmetrics.ship import sequences
from bamboo_logmetrics.ship.sequences import LineSet, Lost, SequenceTracker, merge_last

A, B = "a" * 20, "b" * 20


def test_each_number_is_new_once():
    """A number is new when it is higher than all before it of its writer."""
    book = SequenceTracker({A: 2})
    taken = [book.take(*each, in_oldest=False) for each in [(A, 2), (A, 3), (B, 1), (A, 1), (A, 3), (A, 4)]]
    assert [new for new, _ in taken] == [False, True, True, False, False, True]
    assert not any(lost for _, lost in taken)


def test_what_is_jumped_over_is_lost():
    """The numbers between two lines of a writer are lost, however many, and counted."""
    book = SequenceTracker()
    assert book.take(A, 1, in_oldest=False) == (True, None)
    assert book.take(A, 5, in_oldest=False) == (True, Lost(A, 2, 4))
    assert Lost(A, 2, 4).size == 3
    assert book.take(A, 7, in_oldest=True) == (True, Lost(A, 6, 6))


@pytest.mark.parametrize(("in_oldest", "lost"), [(True, None), (False, Lost(A, 1, 8))])
def test_the_first_line_of_a_writer(in_oldest, lost):
    """In the oldest file of all nobody knows what stood before a writer's first line; after it, all of it is lost."""
    assert SequenceTracker().take(A, 9, in_oldest=in_oldest) == (True, lost)


def test_what_is_given_is_not_changed():
    """The numbers that it begins with stay those of whoever gave them."""
    given = {A: 1}
    SequenceTracker(given).take(A, 2, in_oldest=True)
    assert given == {A: 1}


def test_not_more_writers_than_fit(monkeypatch):
    """Of too many writers those that wrote last are remembered, in the ledger as in the checkpoint."""
    monkeypatch.setattr(sequences, "_MOST_WRITERS", 3)
    names = [letter * 20 for letter in "abcd"]
    book = SequenceTracker()
    for name in names[:3]:
        book.take(name, 1, in_oldest=False)
    book.prune({names[0]: 1})
    book.take(names[3], 1, in_oldest=False)
    book.prune({names[3]: 1})
    assert list(book._last) == [names[2], names[0], names[3]]
    assert merge_last({A: 1, B: 1}, {A: 2, "c" * 20: 1, "d" * 20: 1}) == {A: 2, "c" * 20: 1, "d" * 20: 1}


def test_numbers_ahead_of_the_position():
    """Numbers that are delivered ahead are kept as intervals, and are known until the position covers them."""
    ahead = LineSet({A: [(3, 5)]})
    ahead.add([(A, 7), (A, 6), (A, 9), (B, 1)])
    assert ahead.intervals() == {A: [(3, 7), (9, 9)], B: [(1, 1)]}
    assert [(A, seq) in ahead for seq in (2, 3, 7, 8, 9, 10)] == [False, True, True, False, True, False]
    assert ("c" * 20, 1) not in ahead
    ahead.remove_until({A: 4, B: 1})
    assert ahead.intervals() == {A: [(3, 7), (9, 9)]}
    ahead.remove_until({A: 7})
    assert ahead.intervals() == {A: [(9, 9)]}
