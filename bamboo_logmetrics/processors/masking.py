"""Secrets in texts: what looks like one, and what its key says is one."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

MASK = "[redacted]"

# Prefixes that providers give their keys, so that scanners (and we) can tell them.
_TOKENS = r"""
    (?:sk|rk|pk)-(?:proj-|ant-|or-|live-|test-)?[\w-]{16,}   # OpenAI, Anthropic, OpenRouter, DeepSeek
  | (?:sk|rk|pk)_(?:live|test)_\w{16,}                       # Stripe
  | AIza[\w-]{30,} | ya29\.[\w-]{20,}                        # Google
  | (?:gsk|hf|r8|nvapi|csk|fw)[_-]\w{20,}                    # Groq, Hugging Face, Replicate, NVIDIA ...
  | (?:xai|pplx|tgp|voyage)-[\w-]{20,}                       # xAI, Perplexity, Voyage
  | gh[pousr]_\w{20,} | github_pat_\w{20,} | glpat-[\w-]{16,}
  | (?:AKIA|ASIA)[0-9A-Z]{16}                                # AWS key ids
  | xox[abeoprs]-[\w-]{10,} | xapp-[\w-]{10,}                # Slack
  | npm_\w{30,} | pypi-[\w-]{30,} | lsv2_\w{20,} | pcsk_\w{20,}
  | eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*                          # JSON web tokens
"""

_NAMES = r"""
    (?:x[-_]?)?(?:[\w-]{0,30}?[-_])?
    (?:api[-_]?key|passw(?:or)?d|passphrase|client[-_]?secret|secret(?:[-_]?(?:access[-_]?)?key)?
    |access[-_]?key|private[-_]?key|(?:access|refresh|auth|id|session|bearer)[-_]?token|credentials?)
"""

_SECRET = re.compile(
    rf"""
    (?P<pem>-----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----.*?(?:-----END[ ][A-Z ]*PRIVATE[ ]KEY-----|\Z))
  | (?P<userinfo>(?<=://)[^\s/@:"'<>]*:[^\s/@"'<>]+(?=@))
  | (?P<query>(?<=[?&])
      (?:{_NAMES}|key|token|sig|signature|code|auth|x-amz-(?:signature|credential|security-token)|x-goog-signature)=
    )[^\s&\#"'<>]+
  | (?P<scheme>\b(?:bearer|basic|digest|apikey|token)\s+)
    (?!token\b|auth\b|authentication\b)(?=[^\s"',;]*[\d=+/._-])[\w.~+/=-]{{8,}}
  | (?P<header>\b(?:proxy-)?authorization["']?\s*[:=]\s*["']?)[^\s"',;]+(?:[ ][^\s"',;]+)?
  | (?P<cookie>\b(?:set-)?cookie["']?\s*[:=]\s*["']?)[^"'\r\n]+
  | (?P<named>(?<![\w-]){_NAMES}["']?\s*[:=]\s*["']?)[^\s"',;&}}\])]+
  | (?P<token>(?<![\w])(?:{_TOKENS}))
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)

# A text without any of these holds nothing that _SECRET finds; most texts stop here.
_HINT = re.compile(
    r"key|passw|passphrase|secret|token|credential|cookie|authorization|bearer|basic|digest|sig|code=|auth=|://"
    r"|[sprk]k[-_]|aiza|ya29|gsk|hf_|hf-|r8|nvapi|csk|fw[_-]|xai-|pplx-|tgp-|voyage-|gh[pousr]_|github_pat|glpat"
    r"|akia|asia|xox|xapp|npm_|pypi-|lsv2_|pcsk_|eyj",
    re.IGNORECASE,
)

_SECRET_KEYS = re.compile(
    r"(?:authorization|apikey|xapikey|passw(?:or)?d|passwd|pwd|passphrase|secret|secretkey|accesskey|privatekey"
    r"|signature|credentials?|cookies?|bearer|(?:access|refresh|auth|id|session|csrf|bearer|api|security)token)$"
)
_TOKEN_KEYS = re.compile(r"(?:^token|token)$")
_NOT_WORD = re.compile(r"[^a-z0-9]")


def mask_text(text: str) -> str:
    """Return ``text`` with every secret in it replaced by ``[redacted]``."""
    if not _HINT.search(text):
        return text
    return _SECRET.sub(_masked, text)


def _masked(found: re.Match[str]) -> str:
    """Keep the name before a secret: an operator needs to see which one it was."""
    kind = found.lastgroup
    return MASK if kind in {"pem", "userinfo", "token"} else f"{found[kind or 0]}{MASK}"


@lru_cache(maxsize=4096)
def is_secret_key(key: str) -> bool:
    """Tell whether values under this key are secrets, such as ``openai_api_key``."""
    return bool(_SECRET_KEYS.search(_NOT_WORD.sub("", key.lower())))


@lru_cache(maxsize=4096)
def _is_token_key(key: str) -> bool:
    return bool(_TOKEN_KEYS.search(_NOT_WORD.sub("", key.lower())))


def mask_value(key: str, value: Any) -> Any:
    """Return a bound value with secrets masked, nested ones too.

    Under a secret's key everything but None and booleans is masked; under a key that ends
    in ``token``, texts only (a number there is a count or an id).
    """
    if value is None or isinstance(value, bool):
        return value
    if is_secret_key(key) or (isinstance(value, str) and _is_token_key(key)):
        return MASK
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, dict):
        return {mask_text(name): mask_value(name, item) for name, item in value.items()}
    if isinstance(value, list):
        return [mask_value("", item) for item in value]
    return value
