"""Credentials after the name of an authentication scheme, such as ``Bearer``."""

from __future__ import annotations

import re

from bamboo_logmetrics.format.redact.looks import is_basic, is_random

_AFTER_SCHEME = re.compile(r"(?P<scheme>bearer|basic|apikey|token) {1,9}(?P<value>[\w.~+/=:-]{8,})", re.IGNORECASE)


def after_scheme(text: str, start: int) -> list[tuple[int, int]]:
    """Return the place of the credentials after a scheme that stands at ``start``; none if they are no credentials."""
    match = _AFTER_SCHEME.match(text, start)
    if match and _are_credentials(match["scheme"].lower(), match["value"]):
        return [match.span("value")]
    return []


def _are_credentials(scheme: str, value: str) -> bool:
    if scheme == "basic":
        return is_basic(value)
    if "=" in value.rstrip("="):
        return False
    return is_random(value, 8 if scheme == "bearer" else 20) and not value.startswith(("-", "="))
