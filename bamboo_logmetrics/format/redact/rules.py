"""An application's own keys and patterns of secrets, beside those that each log knows."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.format.fields import NO_FIELDS, TEXT_FIELDS, fixed_fields, unmasked_keys
from bamboo_logmetrics.format.redact.looks import MASK
from bamboo_logmetrics.format.redact.named import secrets_after
from bamboo_logmetrics.format.redact.names import NO_SECRET, OWN, Secrecy
from bamboo_logmetrics.format.redact.patterns import replaced
from bamboo_logmetrics.format.redact.tables import in_tables
from bamboo_logmetrics.format.redact.texts import NameInText, Span
from bamboo_logmetrics.format.redact.values import Masking, free_key
from bamboo_logmetrics.record.queued import QueuedRecord, as_dict
from bamboo_logmetrics.record.snapshot import SCALARS

# what the module re parses patterns with; its place and its name depend on the version of Python
_PARSER: Any = getattr(re, "_parser", None) or importlib.import_module("sre_parse")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_a-zA-Z]+")


@dataclass(frozen=True)
class Redact:
    """Keys and patterns that a log masks beside those that it knows.

    Args:
        keys: names such as ``"employee_id"``, in any case and with any sign between the words. Values under them are
            masked, and so is what follows them in a text, in each form in which a password is masked.
        patterns: regular expressions. What one matches is masked; of one with a group named ``secret`` only that.

    Raises :class:`ConfigError` for a key without letters or digits and for a pattern that cannot be used.
    """

    keys: Iterable[str] = ()
    patterns: Iterable[str] = ()
    _names: frozenset[str] = field(init=False, repr=False, compare=False)
    _searches: tuple[re.Pattern[str], ...] = field(init=False, repr=False, compare=False)
    _in_text: re.Pattern[str] | None = field(init=False, repr=False, compare=False)
    _masking: Masking = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("keys", "patterns"):
            object.__setattr__(self, name, _texts(name, getattr(self, name)))
        words = [_words(key) for key in self.keys]
        object.__setattr__(self, "_names", frozenset("".join(key) for key in words))
        object.__setattr__(self, "_searches", tuple(_compiled(pattern) for pattern in self.patterns))
        object.__setattr__(self, "_in_text", _any_name(words) if words else None)
        object.__setattr__(self, "_masking", Masking(self._meaning_of, self._mask_text))

    def may_mask(self, record: QueuedRecord) -> bool:
        """Return True if a record may hold one of the secrets, so that the general path has to look at it."""
        event = record.event
        texts = [event] if isinstance(event, str) else [getattr(event, name, None) for name in TEXT_FIELDS]
        values = {**record.context, **as_dict(record.bound)}
        if any(type(value) not in SCALARS for value in values.values()) or any(
            self._meaning_of(key) is OWN for key in values
        ):
            return True
        return any(self._search(text) for text in (*texts, *values, *values.values()) if isinstance(text, str))

    def mask_flat(self, flat: MutableMapping[str, Any]) -> None:
        """Mask the secrets in a flat record, in place; the fields of events stay as they are."""
        kind = flat.get("event")
        fields = NO_FIELDS if "plain" in flat or not isinstance(kind, str) else fixed_fields(kind)
        if isinstance(kind, str) and not fields:
            flat["event"] = self._mask_text(kind)
        kept = unmasked_keys(fields)
        items = list(flat.items())
        flat.clear()
        for key, value in items:
            if key in kept:
                flat[key] = value
            else:
                flat[free_key(self._mask_text(key), flat)] = self._masking.value(self._meaning_of(key), value)

    def _meaning_of(self, key: str) -> Secrecy:
        return OWN if "".join(_WORD.findall(key)).lower() in self._names else NO_SECRET

    def _search(self, text: str) -> bool:
        searches = (*self._searches, self._in_text) if self._in_text else self._searches
        return any(pattern.search(text) for pattern in searches)

    def _mask_text(self, text: str) -> str:
        for pattern in self._searches:
            text = pattern.sub(_masked, text)
        if self._in_text and (
            spans := sorted({*_after_names(text, self._in_text), *in_tables(text, self._meaning_of)})
        ):
            text = replaced(text, spans)
        return text


def _after_names(text: str, names: re.Pattern[str]) -> Iterator[Span]:
    until = 0
    for match in names.finditer(text):
        if match.start() >= until:
            for span in secrets_after(text, NameInText(*match.span(), match[0], OWN)):
                yield span
                until = span[1]


def _masked(match: re.Match[str]) -> str:
    group = "secret" if "secret" in match.re.groupindex else 0
    start, end = (place - match.start() for place in match.span(group))
    if start == end:  # nothing, or a group that had no part in the match
        return MASK if match.start(group) < 0 else match[0]
    return f"{match[0][:start]}{MASK}{match[0][end:]}"


def _texts(name: str, values: Any) -> tuple[str, ...]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        msg = f"option redact: {name}={values!r} must be a list of texts"
        raise ConfigError(msg)
    texts = tuple(values)
    for text in texts:
        if not isinstance(text, str):
            msg = f"option redact: {text!r} in {name} must be a text"
            raise ConfigError(msg)
    return texts


def _words(key: str) -> list[str]:
    words = [word.lower() for word in _WORD.findall(key)]
    if not words:
        msg = f"option redact: key {key!r} must have a letter or a digit"
        raise ConfigError(msg)
    return words


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        msg = f"option redact: {pattern!r} is not a regular expression: {error}"
        raise ConfigError(msg) from error
    if _least_length(pattern) == 0:
        msg = f"option redact: pattern {pattern!r} can match nothing; name what it must contain"
        raise ConfigError(msg)
    return compiled


def _least_length(pattern: str) -> int:
    """Return the number of characters of the shortest text that a pattern can match."""
    return int(_PARSER.parse(pattern).getwidth()[0])


def _any_name(keys: list[list[str]]) -> re.Pattern[str]:
    names = "|".join("[-_ .]?".join(map(re.escape, words)) for words in sorted(keys, key=len, reverse=True))
    return re.compile(rf"(?<![A-Za-z0-9])(?:{names})(?![A-Za-z0-9])", re.IGNORECASE)


def as_redact(value: Any) -> Any:
    """Return the value of the option ``redact``: a mapping, as of ``dictConfig``, becomes a :class:`Redact`."""
    if not isinstance(value, Mapping):
        return value
    if unknown := value.keys() - {"keys", "patterns"}:
        msg = f"option redact: {min(map(str, unknown))!r} is unknown; a mapping has 'keys' and 'patterns'"
        raise ConfigError(msg)
    return Redact(**value)


def is_redact(value: Any) -> bool:
    """Return True for a value that the option ``redact`` may have."""
    return isinstance(value, (bool, Redact))
