"""google-genai's async calls, which go through aiohttp wherever that is installed, and through httpx everywhere else.

An instrumented client sends them through httpx, the SDK's own other way, so that they are seen. A client that was given
an aiohttp session goes on to use it.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

_MODULE, _CLASS, _CHOICE = "google.genai._api_client", "BaseApiClient", "_use_aiohttp"


def send_by_httpx(client: Any) -> bool:
    """Have one client send its async calls by httpx; return False if it goes on to use aiohttp."""
    api = getattr(client, "_api_client", None)
    choose = getattr(api, _CHOICE, None)
    if choose is None or not choose():
        return True
    if _has_session(api):
        return False
    vars(api)[_CHOICE] = lambda: False
    return True


def undo(client: Any) -> None:
    """Undo :func:`send_by_httpx`."""
    vars(getattr(client, "_api_client", undo)).pop(_CHOICE, None)


class EveryClient:
    """The same for every client of the process, from the time that the SDK is imported."""

    def __init__(self) -> None:
        self._original: Callable[[Any], bool] | None = None

    def send_by_httpx(self) -> None:
        """Change the class of the SDK, if it has been imported."""
        cls = getattr(sys.modules.get(_MODULE), _CLASS, None)
        original = getattr(cls, _CHOICE, None)
        if self._original is not None or cls is None or original is None:
            return

        @functools.wraps(original)
        def choosing(api: Any) -> bool:
            return bool(original(api)) and _has_session(api)

        self._original = original
        setattr(cls, _CHOICE, choosing)

    def undo(self) -> None:
        """Put the SDK's own choice back."""
        if self._original is not None:
            setattr(getattr(sys.modules[_MODULE], _CLASS), _CHOICE, self._original)
            self._original = None


def _has_session(api: Any) -> bool:
    return getattr(getattr(api, "_http_options", None), "aiohttp_client", None) is not None
