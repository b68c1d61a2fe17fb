"""Secrets that stand near their names: pairs, elements, calls, flags, sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bamboo_logmetrics.format.redact.blocks import block_of
from bamboo_logmetrics.format.redact.headers import is_credentials
from bamboo_logmetrics.format.redact.languages import is_foreign_password
from bamboo_logmetrics.format.redact.looks import is_code, is_placeholder, is_prose, is_random
from bamboo_logmetrics.format.redact.names import Level
from bamboo_logmetrics.format.redact.quoted import ENCODED_QUOTE, close_of, close_of_encoded, ends_outer, within_json
from bamboo_logmetrics.format.redact.schemes import after_scheme
from bamboo_logmetrics.format.redact.texts import BARE, NO_QUOTES, PASSWORD, NameInText, Span, is_secret

# the second of a pair: the value beside a name
_PAIRED = re.compile(
    r"""(?P<back>\\{0,15})["'] \s{0,9}
    (?: (?:[\w-]{1,20}=["'][^"'<>]{0,40}["']\s{1,9}){0,4} ,?\s{0,9}
        (?:\\{0,15}["'])?value(?:\\{0,15}["'])? \s{0,9} [:=] \s{0,9} (?P<value>b?\\{0,15}["'])
      | , \s{0,9} (?P<item>b?\\{0,15}["'])
      | [^<>\n]{0,60} > (?:\s{0,9}<value>)? (?P<element>(?=[^<\s])) )""",
    re.VERBOSE | re.IGNORECASE,
)
_ENCODED_PAIR = re.compile(rf"{ENCODED_QUOTE}\s{{1,9}}value\s{{0,9}}=\s{{0,9}}")
_YAML_PAIR = re.compile(r"""["']?\s{0,9}\n\s{0,20}value:[ \t]{0,9}(?P<quote>["']?)""")
_ELEMENT = re.compile(
    r"(?:\s[^<>]{0,200})?(?:>(?:<!\[CDATA\[)?|(?P<next></\w{1,20}>\s{0,9}<\w{1,20}>))(?P<value>[^<>]+?)(?=\]\]>|</)"
)
_CALL = re.compile(r"""\(\s{0,9}(?P<quote>["'])""")
_FLAG = re.compile(r"""(?:[ ]{1,9}|\\{0,15}["'],\s{0,9}b?(?=\\{0,15}["'])|\x1f)(?P<quote>(?:\\{0,15}["'])?)""")
_BARE_FLAG = re.compile(f"{NO_QUOTES}+")

# a secret in a sentence: "password hunter2", "token is abc...", "key 'abc...'"
_SAID = re.compile(
    r"""(?:[ ]for[ ]["']?[\w.@-]{1,40}["']?:?|[ ](?:for[ ]user|value|provided|used|given))?
    [ ]{1,3}(?:(?:is|was|are|set[ ]to|changed[ ]to|to|with|by|ist|lautet|es|est|=|:)
      (?:(?P<sure>:[ ]|[ ][:=][ ])|[ :]{1,2}))?
    (?P<back>\\{0,15}(?=["']))?(?P<quote>["'`(]?)(?P<value>(?:[^\s"'`\\]|\\(?!\\{0,15}["'`]))+)""",
    re.VERBOSE | re.IGNORECASE,
)
_COUNT = re.compile(r"[\d.,/%-]+\w?")
_LEAST_PASSWORD = 5  # characters in a sentence; shorter ones are names of levels and versions


def in_element(text: str, name: NameInText) -> Iterator[Span]:
    """Give the text of an XML element that has the name."""
    if name.start and text[name.start - 1] in "<:>":
        match = _ELEMENT.match(text, name.end)
        if match and is_secret(name.secrecy, match["value"]):
            yield within_json(text, match.span("value"))


def in_call(text: str, name: NameInText) -> Iterator[Span]:
    """Give the argument of a call, such as ``setPassword("...")``."""
    call = _CALL.match(text, name.end)
    quoted = close_of(text, call.start("quote")) if call else None
    if quoted and is_secret(name.secrecy, text[slice(*quoted)]) and _is_no_word(text[slice(*quoted)]):
        yield quoted


def _is_no_word(value: str) -> bool:
    """Return True for a text that is hardly a word: it has a digit, or it is long and has both cases."""
    return any(map(str.isdigit, value)) or is_random(value, 20)


def near_value(text: str, name: NameInText, follows: str) -> Iterator[Span]:
    """Give the secrets near a name that no sign follows; ``follows`` is the next character."""
    if text[max(0, name.start - 1) : name.start] == "-":
        yield from _flag(text, name)
    elif follows in "\"'\\":
        yield from _pair(text, name)
    elif follows == "&":
        yield from _encoded_pair(text, name)
    elif follows == "\n":
        yield from _yaml_pair(text, name)
    elif follows == " ":
        yield from after_scheme(text, name.start) or _sentence(text, name)


def _pair(text: str, name: NameInText) -> Iterator[Span]:
    match = _PAIRED.match(text, name.end)
    if not match:
        yield from _yaml_pair(text, name)
        return
    if match["element"] is not None:
        yield from _attribute(text, name, match.end())
        return
    group = "value" if match["value"] else "item"
    span = close_of(text, match.start(group) + (1 if match[group].startswith("b") else 0))
    if span and (match["value"] or _opens_pair(text, name, span)):
        value = text[slice(*span)]
        if name.lower.endswith("authorization"):
            secret = is_credentials(value)
        else:
            certain = match["value"] or "(" in text[max(0, name.start - 4) : name.start] or _is_no_word(value)
            secret = bool(certain) and is_secret(name.secrecy, value)
        if secret:
            yield span


def _encoded_pair(text: str, name: NameInText) -> Iterator[Span]:
    """Give the value beside a name in quotes that are encoded, as ``&quot;``."""
    match = _ENCODED_PAIR.match(text, name.end)
    span = close_of_encoded(text, match.end()) if match else None
    if span and is_secret(name.secrecy, text[slice(*span)]):
        yield span


def _attribute(text: str, name: NameInText, start: int) -> Iterator[Span]:
    """Give the text of an element that has the name as an attribute."""
    end = text.find("<", start, start + 4_000)
    opening = text[max(0, name.start - 100) : name.start]
    span = within_json(text, (start, end if end >= 0 else len(text)))
    if opening.rfind("<") > opening.rfind(">") and is_secret(name.secrecy, text[slice(*span)]):
        yield span


def _opens_pair(text: str, name: NameInText, value: Span) -> bool:
    """Return True if the name is the first and the value the second of two in brackets."""
    before = text[max(0, name.start - 4) : name.start].rstrip("\"'b\\")
    after = text[value[1] : value[1] + 8].lstrip("\"'\\")
    return before.endswith(("(", "[")) and after.startswith((")", "]", ", ["))


def _yaml_pair(text: str, name: NameInText) -> Iterator[Span]:
    match = _YAML_PAIR.match(text, name.end)
    if not match:
        return
    quoted = close_of(text, match.start("quote")) if match["quote"] else block_of(text, match.end())
    bare = quoted or (word.span() if (word := BARE.match(text, match.end())) else None)
    if bare and is_secret(name.secrecy, text[slice(*bare)]):
        yield bare


def _flag(text: str, name: NameInText) -> Iterator[Span]:
    match = _FLAG.match(text, name.end)
    if not match:
        return
    start = match.start("quote")
    if match["quote"]:
        quoted = None if ends_outer(text, name.start, start) else close_of(text, start)
    else:
        bare = _BARE_FLAG.match(text, start)
        quoted = bare.span() if bare else None
    if not quoted:
        return
    value = text[slice(*quoted)]
    if not value.startswith("-") and not is_prose(value) and is_secret(name.secrecy, value):
        yield quoted


def _sentence(text: str, name: NameInText) -> Iterator[Span]:
    """Give a secret that a sentence names: it is in quotes or has a digit, as hardly a word has."""
    match = _SAID.match(text, name.end)
    if not match or name.secrecy.level is Level.CHECKED:
        return
    if match["quote"] in {"'", '"'}:
        start = match.end("quote") - 1 - len(match["back"] or "")
        span = None if ends_outer(text, name.start, start) else close_of(text, start)
    else:
        span = match.span("value")
    if span:
        value = text[slice(*span)].rstrip(".,;:)")
        if not _is_other(name, value) and _is_said_secret(name, value, quoted=bool(match["quote"] or match["sure"])):
            yield (span[0], span[0] + len(value))


def _is_other(name: NameInText, value: str) -> bool:
    """Return True for a word of a sentence, an expression, an assignment or a URL."""
    assigns = "=" in value.rstrip("=") or "://" in value
    return assigns or is_placeholder(value) or is_prose(value) or is_code(value, name.text)


def _is_said_secret(name: NameInText, value: str, *, quoted: bool) -> bool:
    if PASSWORD.search(name.text) or is_foreign_password(name.text):
        is_mixed = any(map(str.isdigit, value)) and not _COUNT.fullmatch(value)
        return len(value) >= _LEAST_PASSWORD and (is_mixed or (quoted and not value.isdigit()))
    if name.lower.endswith("authorization"):
        return False
    return is_random(value, 6 if quoted and name.secrecy.level is Level.ALWAYS else 20)
