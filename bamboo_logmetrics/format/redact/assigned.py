"""Secrets after a name and a sign: ``password=...``, JSON, YAML, code."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bamboo_logmetrics.format.redact.blocks import value_below
from bamboo_logmetrics.format.redact.headers import header_value, is_credentials, is_header
from bamboo_logmetrics.format.redact.looks import is_code, is_prose
from bamboo_logmetrics.format.redact.quoted import (
    ENCODED_QUOTE,
    before_quote,
    close_of,
    close_of_encoded,
    end_of_values,
    ends_outer,
    strings_within,
    within_json,
)
from bamboo_logmetrics.format.redact.texts import BARE, PASSWORD, NameInText, Span, end_of_run, is_secret

# between a name and its value; the quotes may be escaped, as in JSON within JSON
_CLOSE = rf"""(?:\*{{1,3}} | (?P<back>\\{{0,15}})(?P<quote>["'`]) | (?P<encoded>{ENCODED_QUOTE}))?"""
_ASSIGNED = re.compile(
    rf"""{_CLOSE} (?:\[\d*\]|[\])])? [ \t]{{0,9}}
    (?:
      (?P<annotation>:[ ][A-Za-z][\w.| \[\]]{{0,40}}[ ]=[ ])
      | (?P<compare>[!=]=?==?)
      | (?P<sign>:?=(?![=~])>? | =>  | -> | ::? (?!/) | %(?:25)?3[dDaA] | &gt;(?!=) | \uff1a | &\#(?:58|61|x3[aAdD]);
        | \\{{1,15}}(?:u003|x3)[aAdD] | [\u662f\u4e3a\u70ba\u306f](?=[ ]?[!-~]) | (?<=[*][ ])[-\u2013\u2014](?=[ ]))
    )
    (?:[ \t]|%20|\+(?=%22)){{0,9}} (?:(?<=:)\*\*{{1,2}}[ ]{{0,9}}|(?<=:[ ])\*\*[ ]?)?
    (?P<prefix>[bBfFrRuU@]{{0,2}}(?=\\{{0,15}}["']))?""",
    re.VERBOSE,
)
_IN_QUERY = re.compile(r"""[^\s"'`,;&<>})\]|\\#]{1,200}""")
_ENCODED = re.compile(r"""(?:(?!%(?:25)?(?:2[0267C]|3B|7D))[^\s"',;&<>\\]){1,200}""", re.IGNORECASE)
_LINE = re.compile(r"""(?:[^\r\n"'\x1f\\]|\\(?!\\{0,15}["'])){1,200}""")
_TAGS = re.compile(r"(?:(?:&|!!)\w{1,40}[ \t]{1,9})?")  # of YAML, before a value
_TEST_NAME = re.compile(r"[Tt]est[_A-Z]\w*\Z")
_TEST = re.compile(r"[A-Za-z]+\Z|[Tt]est\w*|(?=\w*[./_:-])[A-Za-z][\w./:\[#-]*\Z")
_ANGLED = re.compile(r"<[^<>\s\"']{1,200}>")
# a list or mapping of texts; a quote that ends a text around it opens none
_OPENS_VALUES = re.compile(r"""[\[{]\s{0,9}(?:\\{0,15}["'](?!\s{0,9}(?:[,:}\])]|\Z))|[\[{])""")
_SCHEMA = re.compile(
    r"""\\{0,15}["']type\\{0,15}["']\s{0,9}:\s{0,9}\\{0,15}["'](?:string|object|array|integer|number|boolean)"""
)
_BRACED = re.compile(r"\{([^{}\n]+)\}")
_WORDS = re.compile(r"(?:[ ]\w+){1,5}(?=[ \t]*(?:\r?\n|\Z))")


def assigned_value(text: str, name: NameInText) -> Iterator[Span] | None:
    """Return the secrets after a name that a sign follows; None if none follows."""
    sign = _ASSIGNED.match(text, name.end)
    return _assigned(text, name, sign) if sign else None


def _assigned(text: str, name: NameInText, sign: re.Match[str]) -> Iterator[Span]:
    start = _TAGS.match(text, sign.end()).end()  # type: ignore[union-attr]
    if name.secrecy.own and text[start : start + 1] in _OPENS:
        end = end_of_values(text, start)
        yield (start, end or _REST_OF_LINE.match(text, start).end())  # type: ignore[union-attr]
        return
    values = start + 1 if text[start : start + 1] == "'" else start
    if _OPENS_VALUES.match(text, values) and not sign["compare"]:
        yield from _within(text, name, values)
        return
    quoted = close_of(text, start)
    if quoted:
        if sign["quote"] or not ends_outer(text, name.start, start):
            is_json = sign["quote"] or text[quoted[0] - 1] == '"'
            yield from _quoted(text, name, quoted if is_json else within_json(text, quoted))
    elif encoded := close_of_encoded(text, start):
        yield from _quoted(text, name, encoded)
    elif sign["compare"] or sign["annotation"] or sign["sign"] == "->":
        return
    elif is_header(name):
        yield from header_value(text, name, start)
    else:
        yield from _bare(text, name, start, sign)


def _quoted(text: str, name: NameInText, span: Span) -> Iterator[Span]:
    value = text[slice(*span)]
    if is_credentials(value) if name.lower.endswith("authorization") else is_secret(name.secrecy, value):
        yield span


def _bare(text: str, name: NameInText, start: int, sign: re.Match[str]) -> Iterator[Span]:
    if text[start : start + 1] in _STARTS_BLOCK and sign["sign"] in _COLONS:
        yield from value_below(text, name, start)
    elif braced := _BRACED.match(text, start):
        if sign["sign"] == "=" and any(map(str.isdigit, braced[1])) and not {"[", ":"} & set(braced[1]):
            yield before_quote(text, braced.span(1))  # of ODBC; what has no digit is the name of a variable
    elif name.lower.endswith(("phrase", "mnemonic")):
        line = _LINE.match(text, start)
        if line and not is_prose(line[0]) and is_secret(name.secrecy, line[0], quoted=False):
            yield (start, end_of_run(_LINE, text, line.end()))
    elif angled := _ANGLED.match(text, start):
        if is_secret(name.secrecy, angled[0]):
            yield angled.span()
    else:
        yield from _word(text, name, start, sign)


def _word(text: str, name: NameInText, start: int, sign: re.Match[str]) -> Iterator[Span]:
    pattern = _pattern_of(text, name, sign)
    match = pattern.match(text, start)
    if not match or not is_secret(name.secrecy, match[0], quoted=False):
        return
    if name.secrecy.own or not _is_expression(text, name, match, sign):
        end = end_of_run(pattern, text, match.end())
        yield (start, _end_of_words(text, name, end) if sign["sign"] in _COLONS else end)


_STARTS_BLOCK = frozenset({"|", ">", "\r", "\n", "\\"})
_LONGEST_LINE = 200
_OPENS, _REST_OF_LINE = frozenset("[{("), re.compile(r"""[^\r\n"'\\]*""")
_COLONS = frozenset({":", "::", "\uff1a", "-", "\u2013", "\u2014"})


def _pattern_of(text: str, name: NameInText, sign: re.Match[str]) -> re.Pattern[str]:
    if (sign["sign"] or "").startswith("%"):
        return _ENCODED
    return _IN_QUERY if text[name.start - 1 : name.start] in {"?", "&", "#"} else BARE


def _is_expression(text: str, name: NameInText, match: re.Match[str], sign: re.Match[str]) -> bool:
    """Return True for code or prose after a name."""
    value, line = match[0], text[match.start() : match.start() + 80]
    if is_code(line.partition("\n")[0] if line[len(value) : len(value) + 1] in "([." else value, name.text):
        return True
    if sign["sign"] in _COLONS:
        return is_prose(line) or (value[:1].isupper() and _is_type(value)) or _is_result(name, value)
    spaced = text[sign.end() - 1] == " " and text[name.end] == " "
    return sign["sign"] == "=" and spaced and _is_variable(value) and name.text.islower()


def _end_of_words(text: str, name: NameInText, end: int) -> int:
    """Return the end of a password of several words that stands on a line of its own, as in YAML."""
    if name.secrecy.own or PASSWORD.search(name.text):
        line = text.rfind("\n", max(0, name.start - 40), name.start) + 1
        if not text[line : name.start].strip(" -\t") and (more := _WORDS.match(text, end)):
            return more.end()
    return end


def _is_variable(value: str) -> bool:
    """Return True for words joined by underscores, as in the name of a variable."""
    return "_" in value and value.islower() and value.replace("_", "").isalpha()


def _is_result(name: NameInText, value: str) -> bool:
    """Return True for the name of a test after ``PASS:``."""
    return name.lower == "pass" and bool((_TEST if name.text == "PASS" else _TEST_NAME).match(value))


def _is_type(value: str) -> bool:
    """Return True for the name of a type, as in an annotation."""
    return value.isalpha() and not value.isupper()


def _within(text: str, name: NameInText, start: int) -> Iterator[Span]:
    """Give the texts in a list or mapping after a name."""
    place = text.find("type", start, start + _LONGEST_LINE)
    if place >= 0 and _SCHEMA.search(text, start, start + _LONGEST_LINE):
        return
    for span in strings_within(text, start):
        if is_secret(name.secrecy, text[span[0] : span[1]]):
            yield span
