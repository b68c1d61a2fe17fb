"""Secrets that are known by their shape: keys with a provider's prefix, web tokens, URLs, private keys."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bamboo_logmetrics.format.redact.looks import MASK, is_placeholder, is_random, is_slug
from bamboo_logmetrics.format.redact.prefixes import MARKS, key_at, may_begin
from bamboo_logmetrics.format.redact.quoted import before_quote
from bamboo_logmetrics.format.redact.texts import Span

# -- keys with a prefix ----------------------------------------------------------------------

_LEAST_RUN = 16  # word characters in a row, one of which is a digit: in each such key
_RUN = b"a" * _LEAST_RUN
_TO_RUNS = bytes(97 if chr(code).isalnum() or chr(code) in "-_" else 32 for code in range(128)) + b" " * 128
_JOINED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.:/~?"
_MOST_BACK = 45  # characters before a run: a key may have parts
_START = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9]|(?<=\\[nrt])[A-Za-z0-9]")
_DIGIT = re.compile(r"\d")


def has_run(raw: bytes) -> bool:
    """Return True if a text has so many word characters in a row as a key has."""
    return _RUN in raw.translate(_TO_RUNS)


def prefixed_keys(text: str, raw: bytes) -> Iterator[Span]:
    """Give the places of keys that are known by their prefix; ``raw`` is the text as ASCII."""
    runs = raw.translate(_TO_RUNS)
    index = runs.find(_RUN)
    if index < 0:
        return
    unmarked = any(mark in raw for mark in MARKS)
    done = 0
    while index >= 0:
        end = runs.find(b" ", index)
        end = len(runs) if end < 0 else end
        if _DIGIT.search(text, index, end):
            span = _key_around(text, index, end, done, unmarked=unmarked)
        else:
            span = _key_at(text, index, unmarked=False)
        if span:
            yield span
            done = end = max(end, span[1])
        index = runs.find(_RUN, end)


def _key_around(text: str, index: int, end: int, least: int, *, unmarked: bool) -> Span | None:
    """Return the place of a key in the run from ``index`` to ``end``, or of one that has the run as a part."""
    window = text[max(least, index - _MOST_BACK) : index]
    start = index - len(window) + len(window.rstrip(_JOINED))
    for first in _START.finditer(text, start, min(end, index + 60)):
        place = first.start()
        if unmarked or may_begin(text, place):
            span = _key_at(text, place, unmarked=unmarked)
            if span and span[1] > index:
                return span
    return None


def _key_at(text: str, place: int, *, unmarked: bool) -> Span | None:
    match = key_at(text, place, unmarked=unmarked)
    return match.span() if match and not is_slug(match[0]) else None


# -- URLs ----------------------------------------------------------------------------------

_USER = re.compile(r"""://(?P<user>[^\s/@:"'<>`\\]*):(?P<password>(?!\d{1,5}(?:[/?#,]|$))[^\s"'<>`\\]{1,1000})""")
_LONE = re.compile(r"(?<!ssh)://(?P<user>[\w-]{8,300})@(?P<host>[\w.-]{1,100})", re.ASCII)
_ENCODED_USER = re.compile(r"%3A%2F%2F(?P<user>[^\s%/]{0,100}%3A(?:(?!%40|%2F)[^\s/&]){1,200})%40", re.IGNORECASE)
_GIT_HOSTS = re.compile(r"\bgit(?:hub|lab|ea)?\b|codeberg", re.IGNORECASE)
_DIGIT_WITHIN = re.compile(r"[a-zA-Z]\d[a-zA-Z].*\d")
_AT = re.compile(r"@(?=[\w.\[\-$%{]|$|[/,)])")
_ORACLE = re.compile(r"(?P<user>[\w.$-]{1,60})/(?P<password>[^\s/@\"']{1,100})(?=@)")
_WEBHOOK = re.compile(
    r"""(?:hooks\.slack\.com/(?:services|workflows|triggers)/(?=[A-Z])
      | discord(?:app)?\.com/api/(?:v\d+/)?webhooks/\d{5,25}/
      | \.webhook\.office\.com/webhookb?2?/ | outlook\.office(?:365)?\.com/webhook/
      | hooks\.zapier\.com/hooks/catch/ | chat\.googleapis\.com/v1/spaces/[\w-]+/messages\?
    )(?P<secret>[^\s"'<>\\?#]{6,})""",
    re.VERBOSE,
)
WEBHOOK_HOSTS = (b"hooks.", b"webhook", b"chat.googleapis")


def credentials_in_urls(text: str) -> Iterator[Span]:
    """Give the places of user and password in URLs."""
    index = text.find("://")
    while index >= 0:
        match = _USER.match(text, index)
        if match and (end := _end_of_password(text, match)) and _is_real(text[match.start("password") : end]):
            yield (index + 3, end)
            index = end
        elif not match and (lone := _LONE.match(text, index)) and _is_key(lone["user"], lone["host"]):
            yield lone.span("user")
        index = text.find("://", index + 3)
    index, done = text.find("@//"), 0
    while index >= 0:
        for match in _ORACLE.finditer(text, max(done, index - 160), index + 3):
            yield match.span("password")
        done = index
        index = text.find("@//", index + 3)


def encoded_credentials(text: str) -> Iterator[Span]:
    """Give the places of user and password in URLs whose signs are percent-encoded."""
    for match in _ENCODED_USER.finditer(text):
        yield match.span("user")


def _is_key(user: str, host: str) -> bool:
    """Return True for a key in the place of a user; where keys are usual, a short one is told by a digit within it."""
    if user.isalpha() or not user.replace("-", "").replace("_", "").isalnum():
        return False
    return is_random(user, 16) or bool(_GIT_HOSTS.search(host) and _DIGIT_WITHIN.search(user))


def _end_of_password(text: str, match: re.Match[str]) -> int:
    """Return the end of a URL's password, which may hold ``@`` and ``/`` though it should not; 0 if there is none."""
    start, end = match.span("password")
    path = next((place for place in range(start, end) if text[place] in "/?#"), end)
    last = text.rfind("@", start, path)
    if last > start:
        return last
    at = _AT.search(text, path, end)
    return at.start() if at else 0


def _is_real(password: str) -> bool:
    """Return True for a password that is neither a placeholder nor masked already."""
    return not is_placeholder(password) and password != MASK


def webhooks(text: str) -> Iterator[Span]:
    """Give the places of the secret parts of webhook URLs."""
    for match in _WEBHOOK.finditer(text):
        yield match.span("secret")


# -- private keys ----------------------------------------------------------------

_BEGIN = re.compile(r"-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}(?![\"'`])")
_END = re.compile(r"-{4,5} ?END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}")
_PUTTY = re.compile(r"Private-Lines:.*", re.DOTALL)


def private_keys(text: str) -> Iterator[Span]:
    """Give the places of private keys, each from its first line to its last, or to a quote or the end of the text."""
    begin = _BEGIN.search(text)
    while begin:
        end = _END.search(text, begin.end())
        if end is None:
            yield from _unended_keys(text, begin)
            return
        yield (begin.start(), end.end())
        begin = _BEGIN.search(text, end.end())


def _unended_keys(text: str, begin: re.Match[str] | None) -> Iterator[Span]:
    while begin:
        stop = before_quote(text, (begin.end(), len(text)))[1]
        yield (begin.start(), stop)
        begin = _BEGIN.search(text, stop)


def putty_keys(text: str) -> Iterator[Span]:
    """Give the place of the private part of a PuTTY key file."""
    match = _PUTTY.search(text)
    if match:
        yield before_quote(text, match.span())
