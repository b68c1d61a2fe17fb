"""Secrets after a name and a sign: ``password=...``, JSON, YAML, code."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bamboo_logmetrics.format.redact.headers import header_value, is_credentials, is_header
from bamboo_logmetrics.format.redact.looks import is_code, is_prose
from bamboo_logmetrics.format.redact.quoted import before_quote, close_of, ends_outer, strings_within, within_json
from bamboo_logmetrics.format.redact.texts import BARE, PASSWORD, NameInText, Span, end_of_run, is_secret

# between a name and its value; the quotes may be escaped, as in JSON within JSON
_CLOSE = r"""(?:(?P<back>\\{0,15})(?P<quote>["'`])|&quot;|&\#34;)?"""
_ASSIGNED = re.compile(
    rf"""{_CLOSE} (?:\[\d*\]|[\])])? [ \t]{{0,9}}
    (?:
      (?P<annotation>:[ ][A-Za-z][\w.| \[\]]{{0,40}}[ ]=[ ])
      | (?P<compare>[!=]=?==?)
      | (?P<sign>:?=(?![=~])>? | =>  | -> | ::? (?!/) | %3[dDaA] | &gt;(?!=))
    )
    [ \t]{{0,9}} (?P<prefix>[bBfFrRuU@]{{0,2}}(?=\\{{0,15}}["']))?""",
    re.VERBOSE,
)
_IN_QUERY = re.compile(r"""[^\s"'`,;&<>})\]|\\#]{1,200}""")
_ENCODED = re.compile(r"""(?:(?!%26|%3B|%20)[^\s"',;&<>\\]){1,200}""", re.IGNORECASE)
_LINE = re.compile(r"""(?:[^\r\n"'\x1f\\]|\\(?!\\{0,15}["'])){1,200}""")
_BLOCK = re.compile(r"[|>][+-]?[ \t]*\n(?P<indent>[ \t]+)(?P<value>\S[^\n]*)")
_BRACED = re.compile(r"\{([^{}\n]+)\}")
_WORDS = re.compile(r"(?:[ ]\w+){1,5}(?=[ \t]*(?:\r?\n|\Z))")


def assigned_value(text: str, name: NameInText) -> Iterator[Span] | None:
    """Return the secrets after a name that a sign follows; None if none follows."""
    sign = _ASSIGNED.match(text, name.end)
    return _assigned(text, name, sign) if sign else None


def _assigned(text: str, name: NameInText, sign: re.Match[str]) -> Iterator[Span]:
    start = sign.end()
    if sign["quote"] and sign["sign"] == ":" and text.startswith(("[", "{"), start):
        yield from _within(text, name, start)
        return
    quoted = close_of(text, start)
    if quoted and not sign["quote"]:
        if ends_outer(text, name.start, start):
            return
        if text[quoted[0] - 1] != '"':
            quoted = within_json(text, quoted)
    if quoted:
        yield from _quoted(text, name, quoted)
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
    if text[start : start + 1] in {"|", ">"} and (block := _BLOCK.match(text, start)):
        yield block.span("value")
    elif braced := _BRACED.match(text, start):
        if sign["sign"] == "=" and any(map(str.isdigit, braced[1])) and not {"[", ":"} & set(braced[1]):
            yield before_quote(text, braced.span(1))  # of ODBC; what has no digit is the name of a variable
    elif name.lower.endswith(("phrase", "mnemonic")):
        line = _LINE.match(text, start)
        if line and not is_prose(line[0]) and is_secret(name.secrecy, line[0], quoted=False):
            yield (start, end_of_run(_LINE, text, line.end()))
    else:
        yield from _word(text, name, start, sign)


def _word(text: str, name: NameInText, start: int, sign: re.Match[str]) -> Iterator[Span]:
    pattern = _pattern_of(text, name, sign)
    match = pattern.match(text, start)
    if match and not _is_expression(text, name, match, sign) and is_secret(name.secrecy, match[0], quoted=False):
        end = end_of_run(pattern, text, match.end())
        yield (start, _end_of_words(text, name, end) if sign["sign"] in _COLONS else end)


_COLONS = frozenset({":", "::"})


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
        return is_prose(line) or (value[:1].isupper() and _is_type(value))
    spaced = text[sign.end() - 1] == " " and text[name.end] == " "
    return sign["sign"] == "=" and spaced and _is_variable(value) and name.text.islower()


def _end_of_words(text: str, name: NameInText, end: int) -> int:
    """Return the end of a password of several words that stands on a line of its own, as in YAML."""
    if PASSWORD.search(name.text):
        line = text.rfind("\n", max(0, name.start - 40), name.start) + 1
        if not text[line : name.start].strip(" -\t") and (more := _WORDS.match(text, end)):
            return more.end()
    return end


def _is_variable(value: str) -> bool:
    """Return True for words joined by underscores, as in the name of a variable."""
    return "_" in value and value.islower() and value.replace("_", "").isalpha()


def _is_type(value: str) -> bool:
    """Return True for the name of a type, as in an annotation."""
    return value.isalpha() and not value.isupper()


def _within(text: str, name: NameInText, start: int) -> Iterator[Span]:
    """Give the texts in a list or mapping after a name."""
    for span in strings_within(text, start):
        if is_secret(name.secrecy, text[span[0] : span[1]]):
            yield span
