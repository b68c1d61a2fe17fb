"""The exception and the stack of a call, as text."""

from __future__ import annotations

import sys
import traceback
from typing import Any

from bamboo_logmetrics.logger.callers import caller_stack


def take_exception(kw: dict[str, Any]) -> str | None:
    """Remove ``exc_info`` and ``stack_info`` from the keywords of a call; return the exception's text, if there is one.

    The stack, which ends at the caller of the log, is put under ``stack``.
    """
    if kw.pop("stack_info", False):
        add_stack(kw, caller_stack())
    exc_info = kw.pop("exc_info", None)
    return None if exc_info is None or exc_info is False else format_exception(exc_info)


def add_stack(fields: dict[str, Any], stack: str) -> None:
    """Put a stack under ``stack``; a value of the application under that key becomes ``bound_stack``."""
    if "stack" in fields:
        fields["bound_stack"] = fields.pop("stack")
    fields["stack"] = stack


def text_of(exception: Any) -> str | None:
    """Return a traceback as text, from text or from structlog's structured form; None for anything else.

    The text has no local variables, which the structured form may hold.
    """
    if isinstance(exception, str):
        return exception or None
    try:
        return "\n\n".join(_text_of_stack(stack) for stack in reversed(exception)) or None
    except (KeyError, TypeError):
        return None


def _text_of_stack(stack: Any) -> str:
    frames = [f'  File "{frame["filename"]}", line {frame["lineno"]}, in {frame["name"]}' for frame in stack["frames"]]
    return "\n".join(["Traceback (most recent call last):", *frames, f"{stack['exc_type']}: {stack['exc_value']}"])


def format_exception(exc_info: Any) -> str | None:
    """Return an exception's traceback as text, without local variables; None if there is no exception.

    Args:
        exc_info: True for the exception being handled, an exception, or a tuple as ``sys.exc_info()`` returns it.
    """
    if isinstance(exc_info, tuple):
        error = exc_info[1] if len(exc_info) > 1 else None
    else:
        error = exc_info if isinstance(exc_info, BaseException) else sys.exc_info()[1]
    if not isinstance(error, BaseException):
        return None
    try:
        return "".join(traceback.format_exception(type(error), error, error.__traceback__)).rstrip("\n")
    except Exception:  # noqa: BLE001 - an exception's own __str__ may raise anything
        return f"<unprintable {type(error).__name__}>"
