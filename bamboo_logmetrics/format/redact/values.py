"""Masking of secrets in values: in texts by their patterns, and in anything by its key."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from bamboo_logmetrics.format.redact.looks import is_message, is_placeholder, is_scheme_or_random
from bamboo_logmetrics.format.redact.names import NO_SECRET, Level, Secrecy, secrecy
from bamboo_logmetrics.format.redact.patterns import MASK, mask_secrets

_ID = "0123456789abcdefABCDEF-"  # the characters of ids; no word of a pattern has only these
_MOST_CLEAN, _LONGEST_CLEAN = 4_096, 200
KNOWN_CLEAN: set[str] = set()  # short texts without secrets: most texts come again


def mask_text(text: str) -> str:
    """Return ``text`` with every secret in it replaced by ``[redacted]``."""
    if text in KNOWN_CLEAN or not text.strip(_ID):
        return text
    masked = mask_secrets(text)
    if masked is text and len(text) <= _LONGEST_CLEAN:
        if len(KNOWN_CLEAN) >= _MOST_CLEAN:
            KNOWN_CLEAN.clear()
        KNOWN_CLEAN.add(text)
    return masked


@lru_cache(maxsize=4096)
def may_show(key: str) -> bool:
    """Return True if a key is no secret itself, and does not name one."""
    return secrecy(key).level is Level.NONE and mask_text(key) == key


def mask_value(key: str, value: Any) -> Any:
    """Return a bound value with its secrets masked, in nested values too.

    Under the key of a secret everything except None and booleans is masked. Under a key such as ``token`` or
    ``secrets`` only texts are masked: a number there is a count or an id. Under a key such as ``pwd`` or ``pin``, which
    names other things too, a text is masked if it looks like a secret.
    """
    return _mask(secrecy(key), value)


def _mask(meaning: Secrecy, value: Any) -> Any:
    if value is None or value == "" or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return MASK if _is_secret(meaning, value) else mask_text(value)
    if isinstance(value, dict):
        return _mask_dict(meaning, value)
    if meaning.level is Level.ALWAYS and not _are_messages(value):
        return MASK
    if isinstance(value, list):
        return _mask_list(meaning, value)
    return value


def _is_secret(meaning: Secrecy, value: str) -> bool:
    if meaning.level is Level.NONE:
        return False
    if meaning.level is Level.CHECKED:
        return bool(meaning.check and meaning.check(value)) and not is_placeholder(value)
    return not is_message(value)


def _are_messages(value: Any) -> bool:
    """Return True for the messages of a form, which stand under the name of its field."""
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) and is_message(item) for item in value)


def _mask_dict(meaning: Secrecy, values: dict[str, Any]) -> Any:
    if meaning.level is Level.ALWAYS and not isinstance(values.get("type"), str):  # a schema holds no secret
        return MASK
    inner = meaning if meaning.level is Level.TEXT else NO_SECRET
    named = _name_and_value(values)
    masked: dict[str, Any] = {}
    for key, item in values.items():
        own = secrecy(key)
        if key == named:
            own = _secrecy_of_pair(values)
        name = free_key(mask_text(key), masked)
        masked[name] = _mask(max(own, inner, key=_level_of), item)
    return masked


def _level_of(meaning: Secrecy) -> Level:
    return meaning.level


def free_key(key: str, taken: Any) -> str:
    """Return a key that is not taken: two keys that are masked must not become one."""
    name, number = key, 2
    while name in taken:
        name = f"{key} {number}"
        number += 1
    return name


_NAME_KEYS, _VALUE_KEYS = ("name", "key", "Name", "Key"), ("value", "Value")


def _name_and_value(values: dict[str, Any]) -> str:
    """Return the key of the value in a mapping of a name and a value, such as a header; "" if it is none."""
    return next((key for key in _VALUE_KEYS if key in values and any(name in values for name in _NAME_KEYS)), "")


def _secrecy_of_pair(values: dict[str, Any]) -> Secrecy:
    names = [values[name] for name in _NAME_KEYS if isinstance(values.get(name), str)]
    return secrecy(names[0]) if names else NO_SECRET


def _mask_list(meaning: Secrecy, values: list[Any]) -> list[Any]:
    """Return a list with its items masked; in a pair such as ``["authorization", "Basic ..."]`` the second is."""
    texts = all(isinstance(item, str) for item in values)
    pair = texts and len(values) == 2  # noqa: PLR2004
    if pair and (_is_secret(secrecy(values[0]), values[1]) or meaning.check is is_scheme_or_random):
        return [mask_text(values[0]), MASK]
    if texts and any(item.startswith(("-", "/")) for item in values) and meaning.level is Level.NONE:
        return _mask_arguments(values)
    return [_mask(meaning, item) for item in values]


_BETWEEN = "\x1f"


def _mask_arguments(values: list[str]) -> list[str]:
    """Return the arguments of a command with its secrets masked: a flag and its value stand beside each other."""
    masked = mask_text(_BETWEEN.join(values)).split(_BETWEEN)
    if len(masked) != len(values):
        return [mask_text(item) for item in values]
    return masked
