from __future__ import annotations

import pickle

from bamboo_logmetrics.format.caches import TextCache


def test_a_result_is_made_once():
    """The function is called once for an argument with short texts."""
    calls = []
    cache = TextCache(lambda argument: calls.append(argument) or len(calls), lambda argument: argument)
    assert [cache["a",], cache["a",], cache["b",]] == [1, 1, 2]


def test_long_texts_are_not_remembered():
    """A result for long texts is made each time, and takes no room."""
    cache = TextCache(len, lambda argument: argument)
    assert cache["x" * 3_000, "y"] == 2
    assert len(cache) == 0


def test_too_many_results_are_forgotten():
    """The number of results that are remembered has a limit."""
    cache = TextCache(len, lambda argument: argument)
    for number in range(10_000):
        assert cache[str(number),] == 1
        assert len(cache) <= 4_096


def test_a_cache_is_pickled_without_what_it_remembers():
    """A pickled cache calls the same function."""
    cache = TextCache(str.upper, list)
    assert cache["a"] == "A"
    again = pickle.loads(pickle.dumps(cache))
    assert len(again) == 0
    assert again["b"] == "B"
