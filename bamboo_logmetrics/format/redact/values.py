"""Masking of secrets in values: in texts by their patterns, and in anything by its key."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from bamboo_logmetrics.format.redact.commands import is_command_name
from bamboo_logmetrics.format.redact.looks import is_message, is_placeholder, is_scheme_or_random, stands_for_another
from bamboo_logmetrics.format.redact.names import NO_SECRET, OF_MODELS, Level, Secrecy, secrecy
from bamboo_logmetrics.format.redact.patterns import MASK, mask_secrets

_ID = "0123456789abcdefABCDEF-"  # the characters of ids; no word of a pattern has only these
_MOST_CLEAN, _LONGEST_CLEAN = 4_096, 200
_LONGEST_KEY = 300  # characters; each key is clipped to fewer, and the caches hold no long ones
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


def may_show(key: str) -> bool:
    """Return True if a key is no secret itself, and does not name one. A long key has to be clipped first."""
    return len(key) <= _LONGEST_KEY and _may_show(key)


@lru_cache(maxsize=4096)
def _may_show(key: str) -> bool:
    return secrecy(key) is NO_SECRET and mask_text(key) == key


class Masking(NamedTuple):
    """The masking of values, by what a vocabulary knows of keys and of texts.

    Args:
        meaning_of: returns the meaning of a key for its value.
        mask_text: returns a text with its secrets masked.
    """

    meaning_of: Callable[[str], Secrecy]
    mask_text: Callable[[str], str]

    def value(self, meaning: Secrecy, value: Any) -> Any:
        """Return a value under a key of this meaning with its secrets masked."""
        if value is None or ((value == "" or isinstance(value, bool)) and not meaning.own):
            return value
        if meaning.own or (isinstance(value, str) and _is_secret(meaning, value)):
            return MASK
        if isinstance(value, str):
            return self.mask_text(value)
        if isinstance(value, dict):
            return self._dict(meaning, value)
        if isinstance(value, list):
            return self._list(meaning, value)
        return MASK if meaning.level is Level.ALWAYS else value

    def _dict(self, meaning: Secrecy, values: dict[str, Any]) -> Any:
        if meaning.level is Level.ALWAYS and not isinstance(values.get("type"), str):  # a schema holds no secret
            return MASK
        inner = meaning if meaning.level is Level.TEXT or meaning is OF_MODELS else NO_SECRET
        of_models = inner is OF_MODELS or not _BESIDE_TOKENS.isdisjoint(values)
        named = _name_and_value(values)
        masked: dict[str, Any] = {}
        for key, item in values.items():
            own = self._of_pair(values) if key == named else self.meaning_of(key)
            if of_models and own.long and own is not OF_MODELS:
                own = NO_SECRET
            name = free_key(self.mask_text(key), masked)
            masked[name] = self.value(own if inner is NO_SECRET or own.level > inner.level else inner, item)
        return masked

    def _of_pair(self, values: dict[str, Any]) -> Secrecy:
        names = [values[name] for name in _NAME_KEYS if isinstance(values.get(name), str)]
        return self.meaning_of(names[0]) if names else NO_SECRET

    def _list(self, meaning: Secrecy, values: list[Any]) -> Any:
        """Return a list with its items masked; in a pair such as ``["authorization", "Basic ..."]`` the second is."""
        if meaning.level is Level.ALWAYS and not _are_messages(values):
            return MASK
        texts = all(isinstance(item, str) for item in values)
        pair = texts and len(values) == 2  # noqa: PLR2004
        if pair and (_is_secret(self.meaning_of(values[0]), values[1]) or meaning.check is is_scheme_or_random):
            return [self.mask_text(values[0]), MASK]
        if texts and meaning.level is Level.NONE and is_command(values):
            return self.arguments(values)
        return [self.value(meaning, item) for item in values]

    def arguments(self, values: list[str]) -> list[str]:
        """Return the arguments of a command with its secrets masked: a flag and its value stand beside each other."""
        masked = self.mask_text(BETWEEN.join(values)).split(BETWEEN)
        if len(masked) != len(values):
            return [self.mask_text(item) for item in values]
        return masked


USUAL = Masking(secrecy, mask_text)


def mask_value(key: str, value: Any) -> Any:
    """Return a bound value with its secrets masked, in nested values too.

    Under the key of a secret everything except None and booleans is masked. Under a key such as ``token`` or
    ``secrets`` only texts are masked: a number there is a count or an id. Under a key such as ``pwd`` or ``pin``, which
    names other things too, a text is masked if it looks like a secret.
    """
    return USUAL.value(secrecy(key), value)


_PIECE_MARKS = (" ", "##", "\u0120", "\u2581")  # with which tokenizers begin a part of a text
# beside a "token" that is a part of a text
_BESIDE_TOKENS = frozenset({"logprob", "logprobs", "top_logprobs", "text_offset", "token_id", "token_str", "bytes"})


def _is_secret(meaning: Secrecy, value: str) -> bool:
    if meaning.level is Level.NONE:
        return False
    if meaning.own:
        return True
    if meaning.level is Level.CHECKED:
        return bool(meaning.check and meaning.check(value)) and not is_placeholder(value)
    if meaning.long and value.startswith(_PIECE_MARKS):
        return False
    return not is_message(value) and not stands_for_another(value)


def _are_messages(value: Any) -> bool:
    """Return True for the messages of a form, which stand under the name of its field."""
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) and is_message(item) for item in value)


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


BETWEEN = "\x1f"


def is_command(values: list[str]) -> bool:
    """Return True for texts that may be the arguments of a command with a password."""
    return any(item.startswith(("-", "/")) for item in values) or is_command_name(values[0] if values else "")
