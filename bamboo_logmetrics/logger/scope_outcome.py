"""The outcome of a scope, by the exception that ended its block, or by who ended it instead."""

from __future__ import annotations

from typing import Any, NamedTuple

SUCCESS, ERROR, CANCELLED, TIMEOUT = "success", "error", "cancelled", "timeout"


class Outcome(NamedTuple):
    """How a scope ended.

    Args:
        status: ``success``, ``error``, ``cancelled`` or ``timeout``.
        error_type: the exception's class, or a word such as ``cancelled``; None after a success.
        error: the exception's text.
        status_code: the HTTP status that the exception has, or 0.
        closed: True if a generator was closed before its end.
        described: True if the application gave the text itself.
    """

    status: str
    error_type: str | None = None
    error: str | None = None
    status_code: int = 0
    closed: bool = False
    described: bool = False

    def values(self, *, text: bool = True) -> dict[str, Any]:
        """Return the values to bind that say why a scope failed; without the text where a field has it."""
        values: dict[str, Any] = {}
        if self.error_type is not None:
            values["error_type"] = self.error_type
        if text and self.error is not None:
            values["error"] = self.error
        return values


RETURNED = Outcome(SUCCESS)
CLOSED_EARLY = Outcome(SUCCESS, closed=True)
GARBAGE_COLLECTED = Outcome(CANCELLED, "garbage_collected")
LOG_CLOSED = Outcome(CANCELLED, "log_closed")

# asyncio's and the one of concurrent.futures, of trio and anyio, of gevent
_CANCELLED = frozenset({"CancelledError", "Cancelled", "GreenletExit"})
_HTTP_STATUSES = range(100, 600)


def outcome_of(error: BaseException) -> Outcome:
    """Return the outcome of a block that an exception ended."""
    if isinstance(error, GeneratorExit):
        return CLOSED_EARLY
    if isinstance(error, KeyboardInterrupt):
        return Outcome(CANCELLED, "interrupted")
    if isinstance(error, SystemExit) and (error.code is None or error.code == 0):
        return RETURNED
    names = [cls.__name__ for cls in type(error).__mro__]
    if not _CANCELLED.isdisjoint(names):
        return Outcome(CANCELLED, "cancelled")
    status = TIMEOUT if any("Timeout" in name for name in names) else ERROR
    return Outcome(status, names[0], text_of_error(error), _status_code_of(error))


def text_of_error(error: BaseException) -> str:
    """Return an exception's text, or its class if it has none."""
    try:
        return str.__str__(str(error)) or type(error).__name__
    except Exception:  # noqa: BLE001 - an exception's own __str__ may raise anything
        return f"<unprintable {type(error).__name__}>"


def _status_code_of(error: BaseException) -> int:
    """Return the HTTP status that the exceptions of httpx, the SDKs and others carry; 0 if there is none."""
    for holder in (error, _attribute(error, "response")):
        for name in ("status_code", "code"):
            code = _attribute(holder, name)
            if type(code) is int and code in _HTTP_STATUSES:
                return code
    return 0


def _attribute(holder: object, name: str) -> Any:
    try:
        return getattr(holder, name, None)
    except Exception:  # noqa: BLE001 - such as httpx's property, which raises where there is no response
        return None
