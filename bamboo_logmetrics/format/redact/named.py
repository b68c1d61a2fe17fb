"""Secrets after their names in a text: finding the names, and what each says about its value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from bamboo_logmetrics.format.redact import languages
from bamboo_logmetrics.format.redact.assigned import assigned_value
from bamboo_logmetrics.format.redact.looks import is_random, is_scheme_or_random
from bamboo_logmetrics.format.redact.names import NO_SECRET, Level, Secrecy, secrecy
from bamboo_logmetrics.format.redact.near import in_call, in_element, near_value
from bamboo_logmetrics.format.redact.schemes import after_scheme
from bamboo_logmetrics.format.redact.texts import NameInText, Span

# in the names of secrets, in lower case
STEMS = (
    b"pass", b"secret", b"token", b"key", b"pw", b"auth", b"cred", b"cookie", b"bearer", b"basic", b"sess",
    b"signature", b"sig=", b"srf", b"otp", b"pin=", b"pin:", b'pin"', b"psk", b"connection", b"phrase", b"_code",
    b"code=", b"verifier", b"sid=", b"login", *languages.STEMS,
)  # fmt: skip

_LONGEST_NAME = 60
_NAME_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-."
_TAIL = re.compile(r"[\w.-]{0,40}", re.ASCII)

_USER_AND_PASSWORD = re.compile(
    r"""(?:\\{0,15}["'])?[ ]?[:=]?[ ]?[\[(][ ]? b?\\{0,15}["'][^"'\n]*["'],
    \s{0,9}b?\\{0,15}["'] (?P<password>[^"'\n\\]+) \\{0,15}["']""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"u002[27]|x2[27]|[nrt]")
_ESCAPED = re.compile(r"""&gt;(?P<value>[^&"\\]{1,4000})&lt;""")
_KIND_OF_KEY = re.compile(
    r"\b(api|secret|access|private|encryption|signing|account|master|auth|license) \Z", re.IGNORECASE
)
_SCHEMES = frozenset({"bearer", "basic"})
_IN_URL = frozenset({"key", "code", "sig", "signature", "auth", "session", "sid"})
_RANDOM_IN_URL = Secrecy(Level.CHECKED, lambda value: is_random(value, 8))


def named_secrets(text: str, places: Iterable[int]) -> Iterator[Span]:
    """Give the places of secrets that follow a name; ``places`` are those of STEMS in the text, in order."""
    if not text.isascii():
        yield from _foreign_secrets(text)
    until = 0
    for index in places:
        if index < until:
            continue
        until = end = _TAIL.match(text, index).end()  # type: ignore[union-attr]
        follows = text[end : end + 1]
        if follows in _FOLLOWS:
            for span in _after(text, index, end, follows):
                yield span
                until = span[1]


_FOLLOWS = frozenset("=:\"'`\\ \t])(>%&,\x1f\n!;[*|<\uff1a\u662f\u4e3a\u70ba\u306f")


def _foreign_secrets(text: str) -> Iterator[Span]:
    until = 0
    for start, word in sorted(languages.foreign_names(text)):
        end = _TAIL.match(text, word).end()  # type: ignore[union-attr]
        name = NameInText(start, end, text[start:end], secrecy(text[start:end]))
        if start >= until and text[end : end + 1] in _FOLLOWS and name.secrecy.level is not Level.NONE:
            for span in secrets_after(text, name):
                yield span
                until = span[1]


def secrets_after(text: str, name: NameInText) -> Iterator[Span]:
    """Give the secrets after a name."""
    return _values(text, name, text[name.end : name.end + 1])


def _after(text: str, index: int, end: int, follows: str) -> Iterator[Span]:
    """Give the secrets after the name around ``index`` that ends at ``end``."""
    start = _start_of_name(text, index)
    name = text[start:end].rstrip(".-")
    if follows == " " and name.lower() in _SCHEMES:
        yield from after_scheme(text, start)
        return
    meaning = _secrecy_of(text, start, name)
    if meaning.level is not Level.NONE:
        yield from _values(text, NameInText(start, start + len(name), name, meaning), follows)


def _secrecy_of(text: str, start: int, name: str) -> Secrecy:
    """Return the meaning of a name in its place: ``key`` means more behind ``api`` or in a URL."""
    before = text[start - 1 : start]
    if text[start - 2 : start] == "::":
        return NO_SECRET
    if before == " " and name.lower() == "key" and (kind := _KIND_OF_KEY.search(text[max(0, start - 20) : start])):
        return secrecy(f"{kind[1]}_key")
    if name.lower() == "passe" and text[max(0, start - 7) : start].lower() == "mot de ":
        return secrecy("motdepasse")
    meaning = secrecy(name)
    if meaning.level <= Level.CHECKED and before and before in "?&#" and name.lower() in _IN_URL:
        return _RANDOM_IN_URL
    return meaning._replace(long=False) if before == "-" else meaning


def _values(text: str, name: NameInText, follows: str) -> Iterator[Span]:
    before = text[name.start - 1 : name.start]
    if follows in "<>" or (follows in " \t" and before in {"<", ":"}):
        yield from in_element(text, name)
    if name.secrecy.check is is_scheme_or_random and (pair := _USER_AND_PASSWORD.match(text, name.end)):
        yield pair.span("password")
    elif follows == "&" and (escaped := _ESCAPED.match(text, name.end)):
        yield escaped.span("value")
    elif follows == "(" and name.secrecy.level > Level.CHECKED:
        yield from in_call(text, name)
    else:
        assigned = assigned_value(text, name)
        yield from near_value(text, name, follows) if assigned is None else assigned


def _start_of_name(text: str, index: int) -> int:
    window = text[max(0, index - _LONGEST_NAME) : index]
    start = index - len(window) + len(window.rstrip(_NAME_CHARACTERS))
    if text[start - 1 : start] == "%":  # %3B before a name
        start = min(start + 2, index)
    elif text[start - 1 : start] == "\\" and (escape := _ESCAPE.match(text, start)):  # a newline, as two characters
        start = min(escape.end(), index)
    while start < index and text[start] in "-.":
        start += 1
    return start
