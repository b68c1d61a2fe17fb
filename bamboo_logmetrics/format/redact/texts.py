"""A name in a text, and whether what follows it is a secret: for the modules that read the value in its many forms."""

from __future__ import annotations

import re
from typing import NamedTuple

from bamboo_logmetrics.format.redact.looks import MASKED, is_message, is_placeholder, is_random
from bamboo_logmetrics.format.redact.names import Level, Secrecy

Span = tuple[int, int]

BARE = re.compile(r"""[^\s"'`,;&<>})\]|\\\x1f]{1,100}""")  # a value without quotes, or a piece of a long one
PASSWORD = re.compile(r"pass|pwd|pw$|psk|master", re.IGNORECASE)
# the rest of a run without quotes; a quote that is escaped, as in JSON within JSON, ends it too
NO_QUOTES = r"""(?:[^\s"'\x1f\\]|\\(?!\\{0,15}["']))"""
_NO_VALUE = frozenset({"none", "null"})
_JUDGED = 100  # characters of a value that decide


class NameInText(NamedTuple):
    """A name in a text.

    Args:
        start, end: its place.
        text: the name.
        secrecy: the meaning of the name for its value.
    """

    start: int
    end: int
    text: str
    secrecy: Secrecy

    @property
    def lower(self) -> str:
        """The name in lower case."""
        return self.text.lower()


def is_secret(secrecy: Secrecy, value: str, *, quoted: bool = True) -> bool:
    """Return True if a value after a name is a secret; the beginning of a long one decides."""
    value = value[:_JUDGED]
    if secrecy.own:
        return bool(value) and not value.startswith(MASKED) and value.lower() not in _NO_VALUE
    if secrecy.level is Level.CHECKED:
        fits = bool(secrecy.check and secrecy.check(value))
    else:
        fits = secrecy.level is Level.ALWAYS or _is_text(secrecy, value, quoted=quoted)
    return fits and not (value.startswith(MASKED) or is_placeholder(value) or is_message(value))


def _is_text(secrecy: Secrecy, value: str, *, quoted: bool) -> bool:
    if value.replace(".", "").isdigit():
        return False
    return not secrecy.long or is_random(value, 8 if quoted else 12)


def end_of_run(pattern: re.Pattern[str], text: str, end: int) -> int:
    """Return the end of all the characters that a pattern takes, of which it takes a limited number at a time."""
    while more := pattern.match(text, end):
        end = more.end()
    return end
