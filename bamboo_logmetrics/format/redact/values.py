"""Masking of secrets in values: in texts by their patterns, and in anything by its key."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from bamboo_logmetrics.format.redact.patterns import MASK, in_lower_case, mask_secrets, may_hold_secrets

_SECRET_KEYS = re.compile(
    r"(?:authorization|apikey|passw(?:or)?d|pwd|passphrase|secret|secretkey|accesskey|accountkey|privatekey"
    r"|signature|credentials?|cookies?|bearer|(?:access|refresh|auth|id|session|csrf|bearer|api|security)token)$"
)
# keys whose texts are secrets; a number under one of them is a count or an id
_TEXT_KEYS = re.compile(r"(?:token|apikeys|passwords|secrets|(?:access|refresh|auth|api)tokens)$")
_NOT_WORD = re.compile(r"[^a-z0-9]")

_ID = "0123456789abcdefABCDEF-"  # the characters of ids; no word of a pattern has only these
_MOST_CLEAN, _LONGEST_CLEAN = 4_096, 200
KNOWN_CLEAN: set[str] = set()  # short texts without secrets: most texts come again


def mask_text(text: str) -> str:
    """Return ``text`` with every secret in it replaced by ``[redacted]``."""
    if text in KNOWN_CLEAN or not text.strip(_ID):
        return text
    lower = in_lower_case(text)
    masked = mask_secrets(text, lower) if may_hold_secrets(lower) else text
    if masked is text and len(text) <= _LONGEST_CLEAN:
        if len(KNOWN_CLEAN) >= _MOST_CLEAN:
            KNOWN_CLEAN.clear()
        KNOWN_CLEAN.add(text)
    return masked


@lru_cache(maxsize=4096)
def is_secret_key(key: str) -> bool:
    """Return True if values under this key are secrets, such as ``openai_api_key``."""
    return bool(_SECRET_KEYS.search(_NOT_WORD.sub("", key.lower())))


@lru_cache(maxsize=4096)
def _is_text_key(key: str) -> bool:
    return bool(_TEXT_KEYS.search(_NOT_WORD.sub("", key.lower())))


def may_show(key: str) -> bool:
    """Return True if values under this key are not masked because of its name."""
    return not is_secret_key(key) and not _is_text_key(key)


def mask_value(key: str, value: Any) -> Any:
    """Return a bound value with its secrets masked, in nested values too.

    Under the key of a secret everything except None and booleans is masked. Under a key such as ``token`` or
    ``secrets`` only texts are masked: a number there is a count or an id.
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
    """Return a list with its items masked; in a pair such as ``["authorization", "Basic ..."]`` the second is."""
    if len(values) == 2 and all(isinstance(item, str) for item in values) and is_secret_key(values[0]):  # noqa: PLR2004
        return [values[0], MASK]
    return [mask_value(key, item) for item in values]
