"""Costs of calls: rates of the prices that are known, as a table, which SQL applies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timezone
from typing import TYPE_CHECKING, Any

from bamboo_logmetrics.reading.summary.measures import KINDS_OF_CALLS
from bamboo_logmetrics.reading.summary.package_prices import PackagePrices, installed_name
from bamboo_logmetrics.reading.summary.rates import RATES, CallKind, PriceSource, merge_bands

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# A reported cost as an exact number, so that sums have the same digits in any order. One below 0, or of more than
# a million dollars, is no cost of a call.
_REPORTED = "TRY_CAST(CASE WHEN cost_usd >= 0 THEN cost_usd END AS DECIMAL(18, 12))"
_CALLS_OF_KIND = f"""
    SELECT DISTINCT coalesce(provider, ''), coalesce(price_model, ''), coalesce(service_tier, ''), coalesce(speed, ''),
        time_bucket(INTERVAL 15 MINUTES, timestamp)
    FROM items WHERE kind = $kind AND counted AND {_REPORTED} IS NULL
"""
# Parts that are more than the whole have no price: which count is wrong is not known. A search without a known price
# is in no cost, and the call is told as priced in part.
_COSTED = f"""
    SELECT items.* REPLACE (coalesce({_REPORTED}, TRY_CAST(CASE
        WHEN coalesce(cache_read_tokens, 0)::HUGEINT + coalesce(cache_write_tokens, 0) <= prompt_tokens
            AND coalesce(cache_write_1h_tokens, 0) <= coalesce(cache_write_tokens, 0)
            AND coalesce(reasoning_tokens, 0) <= completion_tokens
        THEN request + input * prompt_tokens + cache_read * coalesce(cache_read_tokens, 0)
            + cache_write * coalesce(cache_write_tokens, 0) + cache_write_1h * coalesce(cache_write_1h_tokens, 0)
            + CASE WHEN completion_tokens = 0 THEN 0 ELSE output * completion_tokens END
            + reasoning * coalesce(reasoning_tokens, 0) + coalesce(web_search * web_searches, 0)
    END AS DECIMAL(18, 12))) AS cost_usd, {_REPORTED} AS reported_cost_usd),
        {_REPORTED} IS NULL AND request IS NOT NULL AND (NOT exact OR (web_search IS NULL AND web_searches > 0))
            AS partly_priced
    FROM items LEFT JOIN rates
    ON coalesce(items.provider, '') = rates.provider AND coalesce(items.price_model, '') = rates.model
        AND coalesce(items.service_tier, '') = rates.tier AND coalesce(items.speed, '') = rates.speed
        AND CASE WHEN counted THEN time_bucket(INTERVAL 15 MINUTES, timestamp) END = rates.quarter
        AND items.prompt_tokens >= rates.least AND items.prompt_tokens <= rates.most
"""


def create_costs(connection: DuckDBPyConnection, first: PriceSource | None = None) -> str:
    """Create the view ``costed``: the items with the cost of each call whose price is known.

    A cost that the provider reported stays. Prices of ``first`` come before those of genai-prices. Return the names
    and versions of the prices; empty if there are none, when ``costed`` has reported costs only.
    """
    sources: list[PriceSource] = [] if first is None else [first]
    names = [source.name for source in sources]
    calls = {call for kind in KINDS_OF_CALLS for call in connection.execute(_CALLS_OF_KIND, {"kind": kind}).fetchall()}
    if package := installed_name():
        if calls:  # only then is the import of the package worth its time
            sources.append(PackagePrices())
            package = sources[-1].name
        names.append(package)
    columns = ", ".join(f"{name} DOUBLE" for name in RATES)
    connection.execute(
        "CREATE TABLE rates (provider VARCHAR, model VARCHAR, tier VARCHAR, speed VARCHAR, quarter TIMESTAMP, "
        f"least UBIGINT, most UBIGINT, exact BOOLEAN, {columns})"
    )
    rows = list(_rate_rows(calls, sources)) if sources else []
    if rows:
        values = [list(column) for column in zip(*rows, strict=True)]
        columns = ", ".join(f"unnest(${number})" for number in range(1, len(values) + 1))
        connection.execute(f"INSERT INTO rates SELECT {columns}", values)
    connection.execute(f"CREATE VIEW costed AS {_COSTED}")
    return " and ".join(names)


def _rate_rows(calls: Iterable[tuple[Any, ...]], sources: Sequence[PriceSource]) -> Iterator[tuple[Any, ...]]:
    """Give the rows of the table of rates for kinds of calls, each with its quarter of an hour."""
    for *texts, quarter in calls:
        kind, time = CallKind(*texts), quarter.replace(tzinfo=timezone.utc)
        for least, most, rates, exact in merge_bands([source.bands(kind, time) for source in sources]):
            yield (*kind, quarter, least, most, exact, *rates)
