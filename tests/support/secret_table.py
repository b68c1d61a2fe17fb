"""The table of secrets and harmless texts in ``tests/data/secrets``, and the counts of what masking does to it."""

from __future__ import annotations

import hashlib
import json
import random
import re
import string
import uuid
from dataclasses import dataclass
from pathlib import Path

from bamboo_logmetrics.format.redact.flat import redact_flat
from bamboo_logmetrics.format.redact.values import mask_text

FOLDER = Path(__file__).parent.parent / "data" / "secrets"
HALVES = ("seen", "unseen")  # the half that the rules were written with, and the other

_ALPHABETS = {
    "alnum": string.ascii_letters + string.digits,
    "hex": "0123456789abcdef",
    "upper": string.ascii_uppercase + "234567",
    "digits": string.digits,
    "b64": string.ascii_letters + string.digits + "+/",
    "dash": string.ascii_letters + string.digits + "-_",
}
_PLACEHOLDER = re.compile(r"\{(alnum|hex|upper|digits|b64|dash):(\d+)\}|\{uuid\}")
_MARKED = re.compile("«(.*?)»", re.DOTALL)
_PIECE = 4  # characters of a secret that must not remain


@dataclass(frozen=True)
class Example:
    """One example.

    Args:
        kind: its form, such as "command line".
        half: one of HALVES.
        value: a text, or a record with the keys and values of a call.
        secrets: what must not remain of it; none for a harmless one.
    """

    kind: str
    half: str
    value: object
    secrets: tuple[str, ...]

    def masked(self):
        """Return the value as it is written."""
        if isinstance(self.value, str):
            return mask_text(self.value)
        flat = {"event": "x", "plain": True, **self.value}
        redact_flat(flat)
        return {key: value for key, value in flat.items() if key not in {"event", "plain"}}

    def is_masked_whole(self, masked=None):
        """Return True if no piece of a secret remains."""
        text = "\n".join(_texts(self.masked() if masked is None else masked))
        rest = "\n".join(_texts(self.value))
        for secret in sorted(self.secrets, key=len, reverse=True):
            rest = rest.replace(secret, "\0")
        return all(text.count(piece) <= rest.count(piece) for secret in self.secrets for piece in _pieces(secret))

    def is_untouched(self):
        """Return True if masking changes nothing."""
        return self.masked() == self.value


def load(name):
    """Return the examples of ``secrets`` or ``harmless``."""
    first, later = [(FOLDER / f"{file}.jsonl").read_text("utf-8").splitlines() for file in (name, f"{name}_later")]
    return [_example(line, half_of(line)) for line in first] + [_example(line, "seen") for line in later]


def half_of(line):
    """Return which half a line belongs to, by its hash."""
    return HALVES[hashlib.sha256(line.encode()).digest()[0] % 2]


def _example(line, half):
    row = json.loads(line)
    marked = _expand(row.get("text", row.get("record")), random.Random(line))
    secrets = tuple(found for text in _texts(marked) for found in _MARKED.findall(text))
    return Example(row["kind"], half, _map(marked, lambda text: _MARKED.sub(r"\1", text)), secrets)


def _expand(value, source):
    def made(found):
        if found[1] is None:
            return str(uuid.UUID(int=source.getrandbits(128), version=4))
        return "".join(source.choices(_ALPHABETS[found[1]], k=int(found[2])))

    return _map(value, lambda text: _PLACEHOLDER.sub(made, text))


def _map(value, change):
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {_map(key, change): _map(item, change) for key, item in value.items()}
    return [_map(item, change) for item in value] if isinstance(value, list) else value


def _texts(value):
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in _texts(part)]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [str(value)]


def _pieces(secret):
    size = min(_PIECE, len(secret))
    return {secret[start : start + size] for start in range(len(secret) - size + 1)}
