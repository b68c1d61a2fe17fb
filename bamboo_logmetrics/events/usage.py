"""Tokens of a model call."""

from __future__ import annotations

from typing import Any

from bamboo_logmetrics.events.base import U64, Model, model, names_of


@model
class TokenUsage(Model, frozen=True, kw_only=True):
    """Tokens of one model call, in OpenTelemetry's meaning.

    ``cache_read_tokens`` and ``cache_write_tokens`` are within ``prompt_tokens``, ``cache_write_1h_tokens`` (written to
    live for an hour, at a higher price) within ``cache_write_tokens``, ``reasoning_tokens`` within
    ``completion_tokens``. None means not reported, never zero.
    ``a + b`` adds part by part, where None + n = n. The total is not checked against its parts.
    """

    prompt_tokens: U64
    completion_tokens: U64
    total_tokens: U64
    cache_read_tokens: U64 | None = None
    cache_write_tokens: U64 | None = None
    cache_write_1h_tokens: U64 | None = None
    reasoning_tokens: U64 | None = None

    def __add__(self, other: object) -> TokenUsage:
        if not isinstance(other, TokenUsage):
            return NotImplemented
        parts = names_of(TokenUsage)
        sums: dict[str, Any] = {name: _plus(getattr(self, name), getattr(other, name)) for name in parts}
        return TokenUsage(**sums)

    def __radd__(self, other: object) -> TokenUsage:
        """Let ``sum(usages)`` start from its 0."""
        return self if other == 0 else NotImplemented


def _plus(a: int | None, b: int | None) -> int | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b
