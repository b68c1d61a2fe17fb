"""Secrets in headers: credentials after ``Authorization``, the values of cookies."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bamboo_logmetrics.format.redact.looks import MASKED, SCHEMES, is_code, is_placeholder, is_prose, is_random
from bamboo_logmetrics.format.redact.texts import BARE, NameInText, Span, end_of_run

_SCHEME = re.compile(rf"""(?:\[?["'])?(?P<scheme>{SCHEMES})[ ]+(?P<value>[^\s"'\\,]+)""", re.IGNORECASE)
_OTHER_SCHEME = re.compile(r"[A-Za-z][\w-]{2,20}[ ](?P<value>[^\s\"',;\\]+)")
_WHOLE_LINE_SCHEMES = frozenset({"digest", "aws4-hmac-sha256", "oauth", "hawk"})
_COOKIE_LINE = re.compile(r"""[^"'\r\n\\]{1,200}""")
_REST_OF_LINE = re.compile(r"""(?:=\\{0,15}"[^"\r\n\\]*\\{0,15}"|[^\r\n\\"'])+""")


def is_header(name: NameInText) -> bool:
    """Return True for the name of a header whose value has a form of its own."""
    return name.lower.endswith(("authorization", "cookie"))


def header_value(text: str, name: NameInText, start: int) -> Iterator[Span]:
    """Give the secrets of the value of a header that starts at ``start``."""
    if name.lower.endswith("cookie"):
        line = _COOKIE_LINE.match(text, start)
        if line and "=" in line[0] and not is_prose(line[0]):
            yield (start, end_of_run(_COOKIE_LINE, text, line.end()))
        return
    scheme = _SCHEME.match(text, start)
    if scheme:
        whole = scheme["scheme"].lower() in _WHOLE_LINE_SCHEMES
        line = _REST_OF_LINE.match(text, start) if whole else None
        if line:
            yield line.span()
        elif not is_placeholder(scheme["value"]) and not is_prose(scheme["value"]):
            yield (start, scheme.end("value"))
        return
    word = BARE.match(text, start)
    if word and (other := _OTHER_SCHEME.match(text, start)) and is_random(other["value"], 12):
        yield (start, other.end())
    elif (
        word
        and not is_prose(text[start : start + 80])
        and not is_placeholder(word[0])
        and not word[0].startswith(MASKED)
        and not is_code(word[0], "auth")
    ):
        yield (start, end_of_run(BARE, text, word.end()))


def is_credentials(value: str) -> bool:
    """Return True for the value of a header ``Authorization`` that is no placeholder."""
    scheme = _SCHEME.match(value)
    secret = scheme["value"] if scheme else value
    return (
        not is_placeholder(secret) and not is_prose(secret) and not value.startswith(MASKED) and "{" not in secret[:1]
    )
