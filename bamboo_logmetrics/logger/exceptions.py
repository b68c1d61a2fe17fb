"""The exception and the stack of a call, as text."""

from __future__ import annotations

import sys
import traceback
from typing import Any


def take_exception(kw: dict[str, Any]) -> str | None:
    """Remove ``exc_info`` and ``stack_info`` from the keywords of a call; return the exception's text, if there is one.

    The stack is put under ``stack``.
    """
    if kw.pop("stack_info", False):
        # without this function, BoundLog._record and the method that called it
        kw["stack"] = "".join(traceback.format_stack(sys._getframe(3))).rstrip()
    exc_info = kw.pop("exc_info", None)
    return None if exc_info is None or exc_info is False else format_exception(exc_info)


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
