"""The patterns of secrets, and masking their matches in a text.

A secret starts at one of its pattern's words, or shortly before it. The patterns are tried at these places only: a text
has few such words, or none.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

MASK = "[redacted]"

# Prefixes that providers give their keys, so that scanners recognize them.
_TOKENS = r"""
    (?:sk|rk|pk)-(?=[\w-]{0,40}\d)[\w-]{16,}                  # OpenAI, Anthropic, OpenRouter, DeepSeek
  | (?:sk|rk|pk)_(?:live|test)_\w{16,}                       # Stripe
  | AIza[\w-]{30,} | ya29\.[\w-]{20,}                        # Google
  | (?:gsk|hf|r8|csk|fw)[_-][a-z0-9]{20,}                    # Groq, Hugging Face, Replicate, Cerebras, Fireworks
  | nvapi-[\w-]{20,} | tgp_v1_[\w-]{20,}                     # NVIDIA, Together
  | (?:xai|pplx|voyage)-[a-z0-9]{20,}                        # xAI, Perplexity, Voyage
  | gh[pousr]_\w{20,} | github_pat_\w{20,} | glpat-[\w-]{16,}
  | (?-i:AKIA|ASIA)(?-i:[0-9A-Z]{16})                        # AWS key ids
  | xox[abeoprs]-[\w-]{10,} | xapp-[\w-]{10,}                # Slack
  | npm_\w{30,} | pypi-[\w-]{30,} | lsv2_\w{20,} | pcsk_\w{20,}
  | (?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*               # JSON web tokens
"""

# names before a value, as in ``OPENAI_API_KEY=...``, whatever precedes them
_NAMES = r"""
    (?:api[-_]?key|passw(?:or)?d|passphrase|secret(?:[-_]?(?:access[-_]?)?key)?
    |(?:access|account|private)[-_]?key|(?:access|refresh|auth|session|bearer|(?<![a-z])id)[-_]?token|credentials?)
"""

# between a name and its value; the quotes may be escaped (JSON within JSON) or those of a bytes literal
_SEP = r"""(?:\\{0,9}["'])?\s{0,9}[:=]\s{0,9}(?:b?\\{0,9}["'])?"""
_QUOTED = r"""(?:(?<=")[^"\r\n]+|(?<=')[^'\r\n]+)"""
_BARE = r"""[^\s"',;&}\])]+"""
_PEM = r"""
    -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY(?:[ ]BLOCK)?-----.*?(?:-----END[ ][A-Z ]*PRIVATE[ ]KEY(?:[ ]BLOCK)?-----|\Z)
"""
_MASKED = re.escape(MASK)  # a value that is masked already
_START = r"(?:(?<![a-z0-9])|(?<=\\[nrt]))"  # of a word; a newline before it may be written as "\\n"


class SecretPattern(NamedTuple):
    """The pattern of one kind of secret.

    Args:
        regex: matches the secret; the text of its group ``name`` is kept, so that an operator sees which secret it was.
        words: lower-case words, one of which is in or next to each such secret.
        needs: characters, one of which is in or next to it as well; empty if there is none.
        starts: the offsets from a word's start at which it may start; None to search the whole text, if that is fast.
    """

    regex: re.Pattern[str]
    words: tuple[str, ...]
    needs: str
    starts: range | None


def _pattern(regex: str, words: str, *, needs: str = "", starts: range | None = range(1)) -> SecretPattern:
    compiled = re.compile(regex, re.VERBOSE | re.IGNORECASE | re.DOTALL)
    return SecretPattern(compiled, tuple(words.split(",")), needs, starts)


_KNOWN = rf"{_START}(?:{_TOKENS})"

# of two matches that start at the same place, the first pattern's counts
SECRET_PATTERNS = (
    # a block of a private key
    _pattern(_PEM, "private key", needs="-", starts=None),
    # user and password in a URL
    _pattern(r"""(?<=://)[^\s/@:"'<>]*:[^\s/@"'<>]+(?:@[^\s/@?\#"'<>]+)*(?=@)""", "://", needs="@", starts=range(3, 4)),
    # a parameter of a URL
    _pattern(
        r"""(?P<name>(?:[?&;]|\\u0026)
            (?:[\w-]{0,30}?token|key|sig|signature|code|auth|x-amz-(?:signature|credential)
              |x-goog-(?:signature|credential))=
        )[^\s&\#"'<>\\]+""",
        "token=,key=,sig=,signature=,code=,auth=,credential=",
        needs="=",
        starts=range(-36, 0),
    ),
    # credentials after an authentication scheme
    _pattern(
        r"(?P<name>(?:bearer|basic)\s{1,9})(?=[\w.~+/-]*(?:[\d=]|(?-i:[a-z][A-Z])))[\w.~+/-]{8,}={0,2}(?![\w=])",
        "bearer,basic",
    ),
    _pattern(
        rf"(?P<name>{_START}(?:apikey|token)\s{{1,9}})(?=[\w.+/]*\d)[\w.+/]{{20,}}={{0,2}}(?![\w=])", "apikey,token"
    ),
    # headers
    _pattern(
        rf"""(?P<name>authorization{_SEP})
            (?:{_MASKED}|{_QUOTED}|(?:digest|aws4-hmac-sha256)\s[^\r\n]*|[^\s"',;]+(?:[ ][^\s"',;]+)?)""",
        "authorization",
        needs=":=",
    ),
    _pattern(rf"""(?P<name>cookie{_SEP})[^"'\r\n]+""", "cookie", needs=":="),
    # after a name, as in an environment; in a pair, as in a list of headers; after "token", if it looks like a token
    _pattern(
        rf"(?P<name>{_NAMES}{_SEP})(?:{_MASKED}|{_PEM}|{_QUOTED}|{_BARE})",
        "key,pass,secret,token,credential",
        needs=":=",
        starts=range(-8, 1),
    ),
    _pattern(
        rf"""(?P<name>\(b?["'][\w-]{{0,30}}?(?:{_NAMES}|authorization|cookie)["'],\s?b?["'])[^"'\r\n]+""",
        "key,pass,secret,token,credential,authorization,cookie",
        needs="(",
        starts=None,
    ),
    _pattern(rf"(?P<name>token{_SEP})(?=[\w.~+/-]*\d)[\w.~+/-]{{12,}}={{0,2}}(?![\w=])", "token", needs=":="),
    # with a provider's prefix, grouped by the character that each has
    _pattern(
        _KNOWN,
        "sk-,rk-,pk-,hf-,r8-,fw-,nvapi,xai-,pplx-,voyage-,glpat,xox,xapp,pypi-",
        needs="-",
        starts=range(-2, 1),
    ),
    _pattern(
        _KNOWN,
        "sk_,rk_,pk_,hf_,r8_,fw_,tgp_,ghp_,gho_,ghu_,ghs_,ghr_,github_pat,npm_,lsv2_",
        needs="_",
        starts=range(-2, 1),
    ),
    _pattern(_KNOWN, "aiza,akia,asia"),
    _pattern(_KNOWN, "ya29.,eyj", needs="."),
)


def _by_needs() -> list[tuple[str, tuple[str, ...]]]:
    """Return all words, grouped by the characters that a text must have: looking for one character is fast."""
    needs: dict[str, set[str]] = defaultdict(set)
    for pattern in SECRET_PATTERNS:
        for word in pattern.words:
            needs[word] |= set(pattern.needs or ("",))  # the empty text is in every text
    groups: dict[str, list[str]] = defaultdict(list)
    for word, characters in needs.items():
        groups["" if "" in characters else "".join(sorted(characters))].append(word)
    return [(characters, tuple(words)) for characters, words in groups.items()]


_WORDS = _by_needs()


def in_lower_case(text: str) -> str:
    """Return a text in lower case; a long s becomes s and a dotless i becomes i, which the patterns match as well."""
    return text.lower() if text.isascii() else text.lower().replace("\u017f", "s").replace("\u0131", "i")


def may_hold_secrets(lower: str) -> bool:
    """Return True if a text in lower case has one of the patterns' words. Most texts have none."""
    for needs, words in _WORDS:
        if not needs or any(character in lower for character in needs):
            for word in words:
                if word in lower:
                    return True
    return False


def mask_secrets(text: str, lower: str) -> str:
    """Return ``text`` with each secret replaced by MASK; ``lower`` is the text in lower case."""
    patterns = [pattern for pattern in SECRET_PATTERNS if any(word in lower for word in pattern.words)]
    searches = [_Search(pattern, text, lower) for pattern in patterns]
    matches = [search.first(0) for search in searches]
    kept, done = [], 0
    while secret := min((match for match in matches if match), key=re.Match.start, default=None):
        kept += [text[done : secret.start()], secret["name"] if secret.re.groups else "", MASK]
        done = secret.end()
        matches = [
            search.first(done) if match and match.start() < done else match
            for search, match in zip(searches, matches, strict=True)
        ]
    return "".join([*kept, text[done:]]) if kept else text


class _Search:
    """The search for the matches of one pattern in one text."""

    def __init__(self, pattern: SecretPattern, text: str, lower: str) -> None:
        self._regex = pattern.regex
        self._text = text
        self._starts: list[int] | None = None
        if pattern.starts is not None and len(lower) == len(text):  # else an index into one does not fit the other
            words = (index for word in pattern.words for index in _indexes(word, lower))
            self._starts = sorted({index + offset for index in words for offset in pattern.starts})

    def first(self, begin: int) -> re.Match[str] | None:
        """Return the first match that starts at ``begin`` or later."""
        if self._starts is None:
            return self._regex.search(self._text, begin)
        for index in range(bisect_left(self._starts, begin), len(self._starts)):
            match = self._regex.match(self._text, self._starts[index])
            if match:
                return match
        return None


def _indexes(word: str, text: str) -> Iterator[int]:
    index = text.find(word)
    while index >= 0:
        yield index
        index = text.find(word, index + 1)
