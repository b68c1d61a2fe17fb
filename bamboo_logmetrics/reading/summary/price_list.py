"""Prices in a TOML file, as ``docs/reference/prices.md`` describes it."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timezone
from importlib import import_module
from typing import Any, NoReturn

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.reading.summary.rates import MAX_TOKENS, Band, CallKind, Prices, Rates, tier_name

_MILLION = 1_000_000
_PER_TOKEN = ("input", "output", "cache_read", "cache_write", "cache_write_1h", "reasoning")
_PER_UNIT = ("request", "web_search")
_TEXTS = ("model", "provider", "service_tier", "speed")
_KEYS = (*_TEXTS, "from", "until", "above", *_PER_TOKEN, *_PER_UNIT)
_NEEDED = ("model", "input", "output")
_QUARTER = 15  # minutes
_HEADER = re.compile(r"\s*\[\[\s*(?:price|\"price\"|'price')\s*\]\]")


@dataclass(frozen=True, slots=True)
class _Entry:
    """One ``[[price]]``."""

    model: re.Pattern[str]
    provider: re.Pattern[str] | None
    tier: str | None
    speed: str | None
    begin: datetime | None
    end: datetime | None
    least: int
    rates: Rates

    def fits(self, kind: CallKind) -> bool:
        """Return True if the entry is for a kind of calls."""
        return (
            self.model.fullmatch(kind.model.lower()) is not None
            and (self.provider is None or self.provider.fullmatch(kind.provider.lower()) is not None)
            and self.tier in {None, tier_name(kind.tier)}
            and self.speed in {None, kind.speed.lower()}
        )

    def is_valid(self, time: datetime) -> bool:
        """Return True if the entry is for a time."""
        return (self.begin is None or time >= self.begin) and (self.end is None or time < self.end)


class PriceList:
    """The prices of a TOML file.

    Args:
        text: the TOML.
        name: the name of the file, for messages.
        version: names the file and its contents.

    Raises ConfigError, with the line, for anything that is not understood.
    """

    def __init__(self, text: str, name: str, version: str) -> None:
        self.name = version
        self._entries = _Reader(text, name).entries()
        self._fitting: dict[CallKind, list[_Entry]] = {}

    def bands(self, kind: CallKind, time: datetime) -> Sequence[Band]:
        """Return the bands of a kind at a time in UTC: of several entries that fit, the last."""
        if kind not in self._fitting:
            self._fitting[kind] = [entry for entry in self._entries if entry.fits(kind)]
        entries = [entry for entry in self._fitting[kind] if entry.is_valid(time)]
        starts = sorted({entry.least for entry in entries})
        ends = [start - 1 for start in starts[1:]] + [MAX_TOKENS]
        return [
            Band(start, end, [entry for entry in entries if entry.least <= start][-1].rates)
            for start, end in zip(starts, ends, strict=bool(starts))
        ]


class _Reader:
    """Reads the text of a file into entries."""

    def __init__(self, text: str, name: str) -> None:
        self._lines, self._name = text.splitlines(), name
        self._number = 0  # of the entry, from 1
        self._document = _parse(text, name)

    def entries(self) -> list[_Entry]:
        """Return the entries in their order."""
        for key in self._document:
            if key != "price":
                self._fail(key, f"unknown key {key!r:.80}; prices are entries that begin with [[price]]")
        tables = self._document.get("price")
        if not isinstance(tables, list) or not tables:
            self._fail("price", "no price; begin each with a line [[price]]")
        entries = []
        for self._number, table in enumerate(tables, 1):
            if not isinstance(table, dict):
                self._fail("price", f"a price must be an entry [[price]]; got {table!r:.80}")
            entries.append(self._entry(table))
        return entries

    def _entry(self, table: Mapping[str, Any]) -> _Entry:
        for key in table:
            if key not in _KEYS:
                self._fail(key, f"unknown key {key!r:.80}; use {', '.join(_KEYS)}")
        for key in _NEEDED:
            if key not in table:
                self._fail("", f"{key} is missing; each price has {', '.join(_NEEDED)} (0 for what costs nothing)")
        texts = {key: self._text(key, table[key]) for key in _TEXTS if key in table}
        begin, end = (self._time(key, table.get(key)) for key in ("from", "until"))
        if begin is not None and end is not None and end <= begin:
            self._fail("until", "until must be later than from")
        values = {key: self._price(key, table[key]) / _MILLION for key in _PER_TOKEN if key in table}
        values |= {key: self._price(key, table[key]) for key in _PER_UNIT if key in table}
        return _Entry(
            model=_pattern(texts["model"]),
            provider=_pattern(texts["provider"]) if "provider" in texts else None,
            tier=tier_name(texts["service_tier"]) if "service_tier" in texts else None,
            speed=texts.get("speed"),
            begin=begin,
            end=end,
            least=self._above(table["above"]) + 1 if "above" in table else 0,
            rates=Prices(**values).rates(),
        )

    def _text(self, key: str, value: Any) -> str:
        if not isinstance(value, str) or not value:
            self._fail(key, f'{key} must be a text such as {key} = "..."; got {value!r:.80}')
        return value.lower()

    def _price(self, key: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MILLION:
            unit = "a million tokens" if key in _PER_TOKEN else f"one {key}"
            self._fail(key, f"{key} must be US dollars for {unit}, 0 to {_MILLION:,}; got {value!r:.80}")
        return float(value)

    def _above(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < MAX_TOKENS:
            self._fail("above", f"above must be a number of prompt tokens such as 200_000; got {value!r:.80}")
        return value

    def _time(self, key: str, value: Any) -> datetime | None:
        """Return a time in UTC; a day begins at midnight in UTC."""
        if value is None:
            return None
        if not isinstance(value, date):
            self._fail(key, f"{key} must be a day such as {key} = 2026-07-01, without quotes; got {value!r:.80}")
        moment = value if isinstance(value, datetime) else datetime.combine(value, time())
        try:
            moment = moment.replace(tzinfo=moment.tzinfo or timezone.utc).astimezone(timezone.utc)
        except OverflowError:
            self._fail(key, f"{key} is not within the years 1 to 9999; leave it out")
        if moment.minute % _QUARTER or moment.second or moment.microsecond:
            self._fail(key, f"{key} must be a full quarter of an hour; got {value}")
        return moment

    def _fail(self, key: str, text: str) -> NoReturn:
        msg = f"{self._name}, {self._place(key)}: {text}"
        raise ConfigError(msg)

    def _place(self, key: str) -> str:
        """Return where a key of the present entry stands; where the entry begins if it is not found."""
        of_key = re.compile(rf"\s*([\"']?){re.escape(key)}\1\s*[=.]|\s*\[+\s*([\"']?){re.escape(key)}\2\s*\]")
        entry, begin = 0, None
        for number, line in enumerate(self._lines, 1):
            if _HEADER.match(line):
                entry += 1
                begin = number if entry == self._number else begin
            if entry == self._number and key and of_key.match(line):
                return f"line {number}"
        return f"line {begin}" if begin else f"price {self._number}" if self._number else "line 1"


def _parse(text: str, name: str) -> dict[str, Any]:
    try:
        toml = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    except ImportError:
        msg = "prices in TOML need the package tomli: pip install 'bamboo_logmetrics[cli]'"
        raise ConfigError(msg) from None
    try:
        document: dict[str, Any] = toml.loads(text)
    except (ValueError, RecursionError) as error:
        msg = f"{name} is neither TOML nor JSON: {' '.join(str(error).split()):.200}"
        raise ConfigError(msg) from None
    return document


def _pattern(text: str) -> re.Pattern[str]:
    """Return a pattern in which ``*`` stands for any text and ``?`` for one character, and nothing else is special."""
    return re.compile(re.escape(text).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)
