"""Long texts, in which a log looks for secrets: random words, Python source, an application's own sentences."""

from __future__ import annotations

import inspect
import json.decoder
import random
import string

LONG = 2_400  # characters
_SENTENCES = "The cache of tenant 17 was warmed again: 312 entries in 48 ms, share=0.75, path /var/cache/app-1. "


def words() -> str:
    """Return random words, the same each time."""
    source = random.Random(17)  # noqa: S311 - not for a secret
    text = " ".join("".join(source.choices(string.ascii_lowercase, k=source.randint(2, 10))) for _ in range(LONG // 2))
    return text[:LONG]


def python_source() -> str:
    """Return the source of a module of the standard library."""
    return inspect.getsource(json.decoder)[:LONG]


def sentences() -> str:
    """Return sentences with numbers and signs, as an application logs them."""
    return (_SENTENCES * (LONG // len(_SENTENCES) + 1))[:LONG]
