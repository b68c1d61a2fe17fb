"""The search for many words at once, in a text in lower case.

Where ahocorasick_rs is installed (the extra ``fast``), one pass finds them all; else there is one pass for each word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

try:
    from ahocorasick_rs import BytesAhoCorasick
except ImportError:
    BytesAhoCorasick = None  # type: ignore[assignment,misc]

Find = Callable[[bytes], "list[int]"]


def finder(words: Sequence[bytes], automaton: Any = BytesAhoCorasick) -> Find:
    """Return a function that returns the places where a text has one of the words, in order.

    Args:
        words: the words; no word is within another.
        automaton: the class that finds all words in one pass; None for one pass for each word.
    """
    if automaton is None:
        return lambda text: _find_each(words, text)
    find = automaton(words).find_matches_as_indexes
    return lambda text: [start for _, start, _ in find(text)]


def _find_each(words: Sequence[bytes], text: bytes) -> list[int]:
    places = []
    for word in words:
        place = text.find(word)
        while place >= 0:
            places.append(place)
            place = text.find(word, place + len(word))
    places.sort()
    return places
