"""What secrets look like in a text, and finding them.

A secret starts at one of the words of its kind, or shortly before it. So the patterns are tried there only: a text has
few such words, or none.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

MASK = "[redacted]"

# Prefixes that providers give their keys, so that scanners (and we) can tell them.
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

# names before a value, as in ``OPENAI_API_KEY=...``; what stands before them does not matter
_NAMES = r"""
    (?:api[-_]?key|passw(?:or)?d|passphrase|secret(?:[-_]?(?:access[-_]?)?key)?
    |(?:access|account|private)[-_]?key|(?:access|refresh|auth|session|bearer|(?<![a-z])id)[-_]?token|credentials?)
"""

# between a name and its value; the quotes may be escaped (JSON within JSON), or those of bytes
_SEP = r"""(?:\\{0,9}["'])?\s{0,9}[:=]\s{0,9}(?:b?\\{0,9}["'])?"""
_QUOTED = r"""(?:(?<=")[^"\r\n]+|(?<=')[^'\r\n]+)"""
_BARE = r"""[^\s"',;&}\])]+"""
_PEM = r"""
    -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY(?:[ ]BLOCK)?-----.*?(?:-----END[ ][A-Z ]*PRIVATE[ ]KEY(?:[ ]BLOCK)?-----|\Z)
"""
_DONE = re.escape(MASK)  # by somebody before us
_START = r"(?:(?<![a-z0-9])|(?<=\\[nrt]))"  # of a word; "\n" may stand there as two characters


class Kind(NamedTuple):
    """One kind of secret.

    Args:
        pattern: what it looks like; what its group ``name`` holds is kept, so that an operator sees which one it was.
        words: one of them is in or beside each such secret; lower case.
        needs: one of these characters is in or beside it, too; none if empty.
        starts: where it may start, counted from a word's start; None for anywhere, where that is fast as well.
    """

    pattern: re.Pattern[str]
    words: tuple[str, ...]
    needs: str
    starts: range | None


def _kind(pattern: str, words: str, *, needs: str = "", starts: range | None = range(1)) -> Kind:
    compiled = re.compile(pattern, re.VERBOSE | re.IGNORECASE | re.DOTALL)
    return Kind(compiled, tuple(words.split(",")), needs, starts)


_KNOWN = rf"{_START}(?:{_TOKENS})"

# of two that start at the same place the first counts
SECRET_PATTERNS = (
    # a block of a private key
    _kind(_PEM, "private key", needs="-", starts=None),
    # user and password in a URL
    _kind(r"""(?<=://)[^\s/@:"'<>]*:[^\s/@"'<>]+(?:@[^\s/@?\#"'<>]+)*(?=@)""", "://", needs="@", starts=range(3, 4)),
    # a parameter of a URL
    _kind(
        r"""(?P<name>(?:[?&;]|\\u0026)
            (?:[\w-]{0,30}?token|key|sig|signature|code|auth|x-amz-(?:signature|credential)
              |x-goog-(?:signature|credential))=
        )[^\s&\#"'<>\\]+""",
        "token=,key=,sig=,signature=,code=,auth=,credential=",
        needs="=",
        starts=range(-36, 0),
    ),
    # what follows an authentication scheme
    _kind(
        r"(?P<name>(?:bearer|basic)\s{1,9})(?=[\w.~+/-]*(?:[\d=]|(?-i:[a-z][A-Z])))[\w.~+/-]{8,}={0,2}(?![\w=])",
        "bearer,basic",
    ),
    _kind(rf"(?P<name>{_START}(?:apikey|token)\s{{1,9}})(?=[\w.+/]*\d)[\w.+/]{{20,}}={{0,2}}(?![\w=])", "apikey,token"),
    # headers
    _kind(
        rf"""(?P<name>authorization{_SEP})
            (?:{_DONE}|{_QUOTED}|(?:digest|aws4-hmac-sha256)\s[^\r\n]*|[^\s"',;]+(?:[ ][^\s"',;]+)?)""",
        "authorization",
        needs=":=",
    ),
    _kind(rf"""(?P<name>cookie{_SEP})[^"'\r\n]+""", "cookie", needs=":="),
    # after a name, as in an environment; as one of a pair, as in a list of headers; after "token", if it looks like one
    _kind(
        rf"(?P<name>{_NAMES}{_SEP})(?:{_DONE}|{_PEM}|{_QUOTED}|{_BARE})",
        "key,pass,secret,token,credential",
        needs=":=",
        starts=range(-8, 1),
    ),
    _kind(
        rf"""(?P<name>\(b?["'][\w-]{{0,30}}?(?:{_NAMES}|authorization|cookie)["'],\s?b?["'])[^"'\r\n]+""",
        "key,pass,secret,token,credential,authorization,cookie",
        needs="(",
        starts=None,
    ),
    _kind(rf"(?P<name>token{_SEP})(?=[\w.~+/-]*\d)[\w.~+/-]{{12,}}={{0,2}}(?![\w=])", "token", needs=":="),
    # with a provider's prefix, by what stands in it
    _kind(
        _KNOWN,
        "sk-,rk-,pk-,hf-,r8-,fw-,nvapi,xai-,pplx-,voyage-,glpat,xox,xapp,pypi-",
        needs="-",
        starts=range(-2, 1),
    ),
    _kind(
        _KNOWN,
        "sk_,rk_,pk_,hf_,r8_,fw_,tgp_,ghp_,gho_,ghu_,ghs_,ghr_,github_pat,npm_,lsv2_",
        needs="_",
        starts=range(-2, 1),
    ),
    _kind(_KNOWN, "aiza,akia,asia"),
    _kind(_KNOWN, "ya29.,eyj", needs="."),
)


def _by_needs() -> list[tuple[str, tuple[str, ...]]]:
    """Return all words, by the characters of which one must be there: looking for one character is fast."""
    needs: dict[str, set[str]] = defaultdict(set)
    for kind in SECRET_PATTERNS:
        for word in kind.words:
            needs[word] |= set(kind.needs or ("",))  # nothing is in every text
    groups: dict[str, list[str]] = defaultdict(list)
    for word, characters in needs.items():
        groups["" if "" in characters else "".join(sorted(characters))].append(word)
    return [(characters, tuple(words)) for characters, words in groups.items()]


_WORDS = _by_needs()


def in_lower_case(text: str) -> str:
    """Return a text as words are looked for in it; to the patterns a long s is an s, and a dotless i an i."""
    return text.lower() if text.isascii() else text.lower().replace("\u017f", "s").replace("\u0131", "i")


def may_hold_secrets(lower: str) -> bool:
    """Tell whether a text, in lower case, has one of the words that are beside secrets. Most have none."""
    for needs, words in _WORDS:
        if not needs or any(character in lower for character in needs):
            for word in words:
                if word in lower:
                    return True
    return False


def masked(text: str, lower: str) -> str:
    """Return ``text`` with each secret in it replaced by MASK; ``lower`` is the text in lower case."""
    searches = [_Search(kind, text, lower) for kind in SECRET_PATTERNS if any(word in lower for word in kind.words)]
    coming = [search.first(0) for search in searches]
    kept, done = [], 0
    while found := min((match for match in coming if match), key=re.Match.start, default=None):
        kept += [text[done : found.start()], found["name"] if found.re.groups else "", MASK]
        done = found.end()
        coming = [
            search.first(done) if match and match.start() < done else match
            for search, match in zip(searches, coming, strict=True)
        ]
    return "".join([*kept, text[done:]]) if kept else text


class _Search:
    """The search for one kind of secret in one text."""

    def __init__(self, kind: Kind, text: str, lower: str) -> None:
        self._pattern = kind.pattern
        self._text = text
        self._starts: list[int] | None = None
        if kind.starts is not None and len(lower) == len(text):  # else a place in one is none in the other
            words = (at for word in kind.words for at in _places(word, lower))
            self._starts = sorted({at + offset for at in words for offset in kind.starts})

    def first(self, begin: int) -> re.Match[str] | None:
        """Return the first one that starts at ``begin`` or after it."""
        if self._starts is None:
            return self._pattern.search(self._text, begin)
        for index in range(bisect_left(self._starts, begin), len(self._starts)):
            found = self._pattern.match(self._text, self._starts[index])
            if found:
                return found
        return None


def _places(word: str, text: str) -> Iterator[int]:
    at = text.find(word)
    while at >= 0:
        yield at
        at = text.find(word, at + 1)
