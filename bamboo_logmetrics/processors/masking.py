"""Secrets in texts: what looks like one, and what its key says is one."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

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

_SECRET = re.compile(
    rf"""
    (?P<pem>{_PEM})
  | (?P<userinfo>(?<=://)[^\s/@:"'<>]*:[^\s/@"'<>]+(?:@[^\s/@?\#"'<>]+)*(?=@))
  | (?P<query>(?:[?&;]|\\u0026)
      (?:[\w-]{{0,30}}?token|key|sig|signature|code|auth|x-amz-(?:signature|credential)|x-goog-(?:signature|credential))=
    )[^\s&\#"'<>\\]+
  | (?P<scheme>(?:bearer|basic)\s{{1,9}})
    (?=[\w.~+/-]*(?:[\d=]|(?-i:[a-z][A-Z])))[\w.~+/-]{{8,}}={{0,2}}(?![\w=])
  | (?P<token_scheme>{_START}(?:apikey|token)\s{{1,9}})(?=[\w.+/]*\d)[\w.+/]{{20,}}={{0,2}}(?![\w=])
  | (?P<header>authorization{_SEP})
    (?:{_DONE}|{_QUOTED}|(?:digest|aws4-hmac-sha256)\s[^\r\n]*|[^\s"',;]+(?:[ ][^\s"',;]+)?)
  | (?P<cookie>cookie{_SEP})[^"'\r\n]+
  | (?P<named>{_NAMES}{_SEP})(?:{_DONE}|{_PEM}|{_QUOTED}|{_BARE})
  | (?P<pair>\(b?["'][\w-]{{0,30}}?(?:{_NAMES}|authorization|cookie)["'],\s?b?["'])[^"'\r\n]+
  | (?P<any_token>token{_SEP})(?=[\w.~+/-]*\d)[\w.~+/-]{{12,}}={{0,2}}(?![\w=])
  | (?P<known>{_START}(?:{_TOKENS}))
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)

# A text without any of these holds nothing that _SECRET finds; most texts stop here.
_HINTS = (
    "key", "pass", "secret", "token", "credential", "cookie", "authorization", "bearer", "basic", "sig", "code=",
    "auth=", "://", "sk-", "rk-", "pk-", "sk_", "rk_", "pk_", "aiza", "ya29", "hf_", "hf-", "r8_", "r8-", "fw_", "fw-",
    "nvapi", "tgp_", "xai-", "pplx-", "voyage-", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat", "glpat",
    "akia", "asia", "xox", "xapp", "npm_", "pypi-", "lsv2_", "eyj",
)  # fmt: skip

_SECRET_KEYS = re.compile(
    r"(?:authorization|apikey|passw(?:or)?d|pwd|passphrase|secret|secretkey|accesskey|accountkey|privatekey"
    r"|signature|credentials?|cookies?|bearer|(?:access|refresh|auth|id|session|csrf|bearer|api|security)token)$"
)
# a number under one of these is a count or an id
_TEXT_KEYS = re.compile(r"(?:token|apikeys|passwords|secrets|(?:access|refresh|auth|api)tokens)$")
_NOT_WORD = re.compile(r"[^a-z0-9]")


_MOST_CLEAN, _LONGEST_CLEAN = 4_096, 200
KNOWN_CLEAN: set[str] = set()  # short texts in which nothing was found: most come again


def mask_text(text: str) -> str:
    """Return ``text`` with every secret in it replaced by ``[redacted]``."""
    if text in KNOWN_CLEAN:
        return text
    lower = text.lower()
    for hint in _HINTS:
        if hint in lower:
            break
    else:
        _remember_clean(text)
        return text
    return _SECRET.sub(_masked, text)


def _remember_clean(text: str) -> None:
    if len(text) <= _LONGEST_CLEAN:
        if len(KNOWN_CLEAN) >= _MOST_CLEAN:
            KNOWN_CLEAN.clear()
        KNOWN_CLEAN.add(text)


def _masked(found: re.Match[str]) -> str:
    """Keep the name before a secret: an operator needs to see which one it was."""
    kind = found.lastgroup
    return MASK if kind in {"pem", "userinfo", "known"} else f"{found[kind or 0]}{MASK}"


@lru_cache(maxsize=4096)
def is_secret_key(key: str) -> bool:
    """Tell whether values under this key are secrets, such as ``openai_api_key``."""
    return bool(_SECRET_KEYS.search(_NOT_WORD.sub("", key.lower())))


@lru_cache(maxsize=4096)
def _is_text_key(key: str) -> bool:
    return bool(_TEXT_KEYS.search(_NOT_WORD.sub("", key.lower())))


def may_show(key: str) -> bool:
    """Tell whether values under this key are not hidden for its name."""
    return not is_secret_key(key) and not _is_text_key(key)


def mask_value(key: str, value: Any) -> Any:
    """Return a bound value with secrets masked, nested ones too.

    Under a secret's key everything but None and booleans is masked; under a key such as ``token`` or
    ``secrets``, texts only (a number there is a count or an id).
    """
    if value is None or isinstance(value, bool):
        return value
    if is_secret_key(key):
        return MASK
    hidden = _is_text_key(key)
    if isinstance(value, str):
        return MASK if hidden else mask_text(value)
    if isinstance(value, dict):
        return {mask_text(name): mask_value(key if hidden else name, item) for name, item in value.items()}
    if isinstance(value, list):
        return _mask_list(key if hidden else "", value)
    return value


def _mask_list(key: str, values: list[Any]) -> list[Any]:
    """Mask the items; of a pair such as ``["authorization", "Basic ..."]``, a header, the second."""
    if len(values) == 2 and all(isinstance(item, str) for item in values) and is_secret_key(values[0]):  # noqa: PLR2004
        return [values[0], MASK]
    return [mask_value(key, item) for item in values]
