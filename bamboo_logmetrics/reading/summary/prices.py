"""Prices of calls, by the package genai-prices and the data in it: never by the network.

A price of the package is linear in the tokens of a call, within each of its tiers. So one row of rates for each model,
tier and time prices any number of calls, in SQL.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# the package's names of providers that it does not know by OpenTelemetry's name
_PROVIDERS = {"x_ai": "x-ai", "azure.ai.inference": "azure", "gcp.gen_ai": "google"}
_BATCH = "batch"  # a service tier that the package calls a way of processing

_MOST = 2**64 - 1  # tokens

RATES = ("request", "input", "cache_read", "cache_write", "cache_write_1h", "output", "reasoning", "web_search")

_CALLS = """
    SELECT DISTINCT coalesce(provider, ''), coalesce(price_model, ''), coalesce(service_tier, ''), coalesce(speed, ''),
        time_bucket(INTERVAL 15 MINUTES, timestamp)
    FROM items WHERE counted AND cost_usd IS NULL
"""
_COSTED = """
    SELECT items.* REPLACE (coalesce(cost_usd,
        request + input * prompt_tokens + cache_read * coalesce(cache_read_tokens, 0)
        + cache_write * coalesce(cache_write_tokens, 0) + cache_write_1h * coalesce(cache_write_1h_tokens, 0)
        + output * completion_tokens + reasoning * coalesce(reasoning_tokens, 0)
        + web_search * coalesce(web_searches, 0)
    ) AS cost_usd)
    FROM items LEFT JOIN rates
    ON coalesce(items.provider, '') = rates.provider AND coalesce(items.price_model, '') = rates.model
        AND coalesce(items.service_tier, '') = rates.tier AND coalesce(items.speed, '') = rates.speed
        AND CASE WHEN counted THEN time_bucket(INTERVAL 15 MINUTES, timestamp) END = rates.quarter
        AND items.prompt_tokens >= rates.least AND items.prompt_tokens <= rates.most
"""


class _Kind(NamedTuple):
    """Calls that have the same price."""

    provider: str
    model: str
    tier: str
    speed: str


def create_costs(connection: DuckDBPyConnection) -> str:
    """Create the view ``costed``: the items with the cost of each call whose price is known.

    A cost that the provider reported stays. Return the name and version of the data; empty if genai-prices is not
    installed, when ``costed`` has reported costs only.
    """
    try:
        import genai_prices
    except ImportError:
        connection.execute("CREATE VIEW costed AS SELECT * FROM items")
        return ""
    columns = ", ".join(f"{name} DOUBLE" for name in RATES)
    connection.execute(
        "CREATE TABLE rates (provider VARCHAR, model VARCHAR, tier VARCHAR, speed VARCHAR, quarter TIMESTAMP, "
        f"least UBIGINT, most UBIGINT, {columns})"
    )
    rows = list(_rate_rows(connection))
    if rows:
        values = [list(column) for column in zip(*rows, strict=True)]
        columns = ", ".join(f"unnest(${number})" for number in range(1, len(values) + 1))
        connection.execute(f"INSERT INTO rates SELECT {columns}", values)
    connection.execute(f"CREATE VIEW costed AS {_COSTED}")
    return f"genai-prices {genai_prices.__version__}"


def _rate_rows(connection: DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    """Give the rows of the table of rates."""
    prices: dict[_Kind, _Prices | None] = {}
    for provider, model, tier, speed, quarter in connection.execute(_CALLS).fetchall():
        kind = _Kind(provider, model, tier, speed)
        if kind not in prices:
            prices[kind] = _find_prices(kind)
        known = prices[kind]
        if known is not None:
            for least, most, rates in known.rates_at(quarter.replace(tzinfo=timezone.utc)):
                yield (*kind, quarter, least, most, *rates)


def _find_prices(kind: _Kind) -> _Prices | None:
    try:
        return _Prices(kind)
    except LookupError:
        return None


class _Prices:
    """The prices of one kind of calls.

    Raises LookupError for a model or provider that is not known.
    """

    def __init__(self, kind: _Kind) -> None:
        self._provider = _PROVIDERS.get(kind.provider, kind.provider) or None
        self._model = kind.model
        self._context = {"service_tier": kind.tier.lower(), "speed": kind.speed}
        if kind.tier.lower() == _BATCH:
            self._context["processing"] = _BATCH
        self._context = {name: value for name, value in self._context.items() if value}
        self._known: dict[str, list[tuple[int, int, list[float]]]] = {}
        self._info = self._calculate(datetime.now(timezone.utc), {}).model

    def rates_at(self, time: datetime) -> list[tuple[int, int, list[float]]]:
        """Return the rates from and up to numbers of prompt tokens, in US dollars for each token."""
        price = self._info.get_prices(time, self._context)
        name = repr(price)
        if name not in self._known:
            self._known[name] = [(least, most, self._rates(time, least)) for least, most in _tiers(price)]
        return self._known[name]

    def _calculate(self, time: datetime, usage: Mapping[str, int]) -> Any:
        import genai_prices

        try:
            return genai_prices.calc_price(
                genai_prices.Usage(**{"input_tokens": 0, **usage}),
                self._model,
                provider_id=self._provider,
                genai_request_timestamp=time,
                price_context=self._context or None,
            )
        except (ValueError, TypeError) as error:
            raise LookupError(str(error)) from error

    def _rates(self, time: datetime, least: int) -> list[float]:
        """Return the cost of each token within the tier from ``least`` tokens on, as the difference that it makes."""

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
            cost(web_searches=1) - plain,
        )
        return [float(rate) for rate in rates]


def _tiers(price: Any) -> Iterator[tuple[int, int]]:
    """Give the first and the last number of prompt tokens of each tier."""
    starts = sorted({tier.start for value in vars(price).values() for tier in getattr(value, "tiers", ())})
    yield from zip([0, *(start + 1 for start in starts)], [*starts, _MOST], strict=True)
