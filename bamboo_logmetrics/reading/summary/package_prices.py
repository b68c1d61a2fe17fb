"""Prices of the package genai-prices, from the data in it or from what ``--update-prices`` has stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from decimal import Decimal
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.reading.summary.price_updates import stored_prices
from bamboo_logmetrics.reading.summary.rates import MAX_TOKENS, STANDARD, Band, CallKind, Rates, tier_name

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot

# names of providers that the package does not know, or takes for another one
_PROVIDERS = {
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "gcp.gen_ai": "google",
    "x_ai": "x-ai",
}
_BATCH = "batch"  # a service tier that the package calls a way of processing


def installed_name() -> str:
    """Return the name and version of the package, which is not imported for it; empty if it is not installed."""
    return f"genai-prices {version('genai-prices')}" if find_spec("genai_prices") else ""


class PackagePrices:
    """The prices that genai-prices knows.

    Raises ConfigError for a package, or stored data, that cannot be used.
    """

    def __init__(self) -> None:
        try:
            import genai_prices
            from genai_prices.data_snapshot import get_snapshot
        except ImportError as error:
            msg = f"genai-prices cannot be used: {error}; pip install --upgrade 'bamboo_logmetrics[prices]'"
            raise ConfigError(msg) from None

        self.name = f"genai-prices {genai_prices.__version__}"
        stored = stored_prices(genai_prices.__version__)
        if stored is not None:
            self._snapshot, time = stored
            self.name += f" with data of {time}"
        else:
            self._snapshot = get_snapshot()
            if self._snapshot.from_auto_update:  # by the application that sums up
                self.name += f" with data of {self._snapshot.timestamp:%Y-%m-%d}"
        self._kinds: dict[CallKind, _KindPrices | None] = {}

    def bands(self, kind: CallKind, time: datetime) -> Sequence[Band]:
        """Return the bands of a kind at a time in UTC; none if its price is not known."""
        if kind not in self._kinds:
            self._kinds[kind] = _find_prices(self._snapshot, kind)
        known = self._kinds[kind]
        return [] if known is None else known.bands_at(time)


def _find_prices(snapshot: DataSnapshot, kind: CallKind) -> _KindPrices | None:
    try:
        return _KindPrices(snapshot, kind)
    except LookupError:
        return None


class _KindPrices:
    """The prices of one kind of calls.

    Raises LookupError for a model or provider that is not known.
    """

    def __init__(self, snapshot: DataSnapshot, kind: CallKind) -> None:
        self._snapshot = snapshot
        self._provider = _PROVIDERS.get(kind.provider, kind.provider) or None
        self._model = kind.model
        tier = tier_name(kind.tier)
        context = {"service_tier": tier, "speed": kind.speed, "processing": _BATCH if tier == _BATCH else ""}
        self._context = {name: value for name, value in context.items() if value}
        self._known: dict[str, list[Band]] = {}
        known = self._calculate(datetime.now(timezone.utc), {})
        self._info = known.model
        # the price of another provider's model, which stands in for one's own, has no tiers of service
        self._applied = self._context if any(known.model is model for model in known.provider.models) else None
        self._exact = all(value in STANDARD or self._has_price(value) for value in (tier, kind.speed))

    def bands_at(self, time: datetime) -> list[Band]:
        """Return the bands at a time."""
        price = self._info.get_prices(time, self._applied)
        name = repr(price)
        if name not in self._known:
            self._known[name] = [
                Band(least, most, self._rates(time, least, price), self._exact) for least, most in _tiers(price)
            ]
        return self._known[name]

    def _has_price(self, value: str) -> bool:
        """Return True if there is a price of its own for a service tier or speed."""
        variants = () if self._applied is None else self._info.price_variants or ()
        return any(value in variant.when.values() for variant in variants)

    def _calculate(self, time: datetime, usage: Mapping[str, int]) -> Any:
        import genai_prices

        try:
            return self._snapshot.calc(
                genai_prices.Usage(**{"input_tokens": 0, **usage}),
                self._model,
                self._provider,
                None,
                time,
                self._context or None,
            )
        except (ValueError, TypeError) as error:
            raise LookupError(str(error)) from error

    def _rates(self, time: datetime, least: int, price: Any) -> Rates:
        """Return the rates within the tier from ``least`` tokens on, each as the difference that it makes."""

        def cost(**usage: int) -> Decimal:
            total: Decimal = self._calculate(time, {"input_tokens": tokens, **usage}).total_price
            return total

        tokens = max(least, 1)
        plain = cost()
        per_token = cost(input_tokens=tokens + 1) - plain
        written = cost(cache_write_tokens=tokens)
        answered = cost(output_tokens=1)
        rates = (
            plain - per_token * tokens,
            per_token,
            (cost(cache_read_tokens=tokens) - plain) / tokens,
            (written - plain) / tokens,
            (cost(cache_write_tokens=tokens, cache_write_1h_tokens=tokens) - written) / tokens,
            answered - plain,
            cost(output_tokens=1, output_reasoning_tokens=1) - answered,
        )
        searches = float(cost(web_searches=1) - plain) if any("web_search" in name for name in vars(price)) else None
        return (*map(float, rates), searches)


def _tiers(price: Any) -> Iterator[tuple[int, int]]:
    """Give the first and the last number of prompt tokens of each tier."""
    starts = sorted({tier.start for value in vars(price).values() for tier in getattr(value, "tiers", ())})
    yield from zip([0, *(start + 1 for start in starts)], [*starts, MAX_TOKENS], strict=True)
