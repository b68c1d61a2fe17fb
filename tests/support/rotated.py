"""Names of rotated files of a log ``a.jsonl``, and names that only look like them."""

from __future__ import annotations

WRITER = "0123456789abcdef0123"


def rotated_name(number, suffix=""):
    """Return the name of the rotated file of second ``number``."""
    return f"a.jsonl.20261122T1547{number:02}000000Z-{WRITER}{suffix}"


LOOK_ALIKES = [
    "a.jsonl",
    "a.jsonl.1",
    "a.jsonl.gz",
    "a.jsonl.20261122T154713Z-" + WRITER,
    "a.jsonl.20261122T154713000000Z-" + WRITER[:-1],
    "a.jsonl.20261122T154713000000Z-" + WRITER.upper(),
    "a.jsonl.20269999T999999999999Z-" + WRITER,
    "a.jsonl.99991231T235959999999Z-" + WRITER,
    "a.jsonl.20261122T154713000000Z-" + WRITER + ".bz2",
    "a.jsonl.20261122T154713000000Z-" + WRITER + ".gz.bak",
    "b.jsonl.20261122T154713000000Z-" + WRITER,
    "xa.jsonl.20261122T154713000000Z-" + WRITER,
    "notes.txt",
]
