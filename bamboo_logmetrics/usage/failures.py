"""Errors in the answers of providers, also within an answer of status 200."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bamboo_logmetrics.usage.envelope import Envelope
from bamboo_logmetrics.usage.values import message, name

LEAST_ERROR_STATUS = 400
_ENDS = frozenset({"failed", "cancelled", "expired"})  # values of status
_POLLED = frozenset({"response", "realtime.response", "thread.run", "interaction"})  # objects that have such a status
_PLACES = frozenset({"error", "last_error", "errors", "base_resp", "status"})
_TEXTS = ("message", "error", "detail", "reason", "title")
_PLAIN_TEXTS = ("message", "detail", "error_description", "title")  # of an error that has no object of its own


def failure(envelope: Envelope, event: str = "", status: int = 200) -> tuple[str, str | None] | None:
    """Return message and type of the error that an envelope holds, or None.

    Args:
        envelope: A body, or the data of an event.
        event: The name of the event in a stream.
        status: The HTTP status. From 400 on, a bare text is an error too.
    """
    is_error = event == "error" or envelope.get("type") == "error" or envelope.get("object") == "error"
    if _PLACES.isdisjoint(envelope) and not is_error and status < LEAST_ERROR_STATUS:
        return None
    for key in ("error", "last_error"):
        error = envelope.get(key)
        if isinstance(error, dict) and error:
            return _described(error, envelope)
        if isinstance(error, str) and error:
            return message(error) or "", _code(envelope, "code", "error_type")
    errors = envelope.get("errors")
    if isinstance(errors, list) and errors and envelope.get("success") is not True:
        return _described(errors[0], envelope)
    if is_error:
        return _described(envelope, {})
    return _by_status(envelope) or (_plain(envelope) if status >= LEAST_ERROR_STATUS else None)


def _by_status(envelope: Envelope) -> tuple[str, str | None] | None:
    """Return the error that a status within the answer tells."""
    base = envelope.get("base_resp")  # MiniMax
    if isinstance(base, dict) and base.get("status_code"):
        return message(base.get("status_msg")) or "error", str(base["status_code"])
    end = envelope.get("status")
    if end in _ENDS and envelope.get("object") in _POLLED:
        return str(end), str(end)
    return None


def _described(error: Mapping[str, Any], envelope: Mapping[str, Any]) -> tuple[str, str | None]:
    texts = (message(error.get(key)) for key in _TEXTS)
    kind = _code(error, "code", "type", "status") or _code(envelope, "code")
    return next((text for text in texts if text), kind or "error"), kind


def _plain(envelope: Envelope) -> tuple[str, str | None] | None:
    text = next((text for key in _PLAIN_TEXTS if (text := message(envelope.get(key)))), None)
    return None if text is None else (text, _code(envelope, "code", "__type", "type", "status"))


def _code(mapping: Mapping[str, Any], *keys: str) -> str | None:
    """Return the first code or type that is a text, else the first number."""
    values = [mapping.get(key) for key in keys]
    for value in values:
        if (text := name(value)) and text != "error":
            return text
    return next((str(value) for value in values if type(value) is int), None)
