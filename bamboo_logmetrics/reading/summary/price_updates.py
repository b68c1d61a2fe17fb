"""Newer data of genai-prices: fetched when the user asks for it, and kept in the user's cache directory."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from datetime import datetime, timezone
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from bamboo_logmetrics._version import __version__
from bamboo_logmetrics.errors import ConfigError

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot

_ENV_URL = "BAMBOO_LOGMETRICS_PRICES_URL"
_TIMEOUT, _TIME = 10, 30  # seconds: for each answer of the server, and for all
_MAX_BYTES = 32 * 1024 * 1024  # bytes; the data of 2026 has 3 MB
_PIECE = 64 * 1024
_REMEDY = "run it with --update-prices again, or delete the file"


def cache_path() -> str:
    """Return the path of the stored data, by the XDG Base Directory Specification."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # as the specification says
        base = os.path.expanduser("~/.cache")
    return os.path.join(base, "bamboo_logmetrics", "prices.json")


def update_prices() -> str:
    """Fetch the newest data of genai-prices and store it. Return a sentence on what was stored where.

    Raises ConfigError if genai-prices is not installed, the data cannot be fetched or used, or not be stored. What was
    stored before then stays.
    """
    try:
        import genai_prices
        from genai_prices.update_prices import DEFAULT_UPDATE_URL
    except ImportError:
        msg = "--update-prices needs the package genai-prices: pip install 'bamboo_logmetrics[prices]'"
        raise ConfigError(msg) from None
    version, url = genai_prices.__version__, os.environ.get(_ENV_URL) or DEFAULT_UPDATE_URL
    try:
        providers = json.loads(_fetch(url))
        snapshot = _snapshot(providers)
    except (OSError, HTTPException, ValueError, TypeError, RecursionError) as error:
        if isinstance(error, HTTPError):
            error.close()  # it is the answer too
        msg = f"cannot update the prices from {url:.200}: {_reason(error)}; without --update-prices nothing is fetched"
        raise ConfigError(msg) from None
    now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    path = cache_path()
    try:
        _store(path, json.dumps({"genai_prices": version, "time": now, "providers": providers}))
    except OSError as error:
        msg = f"cannot store the prices in {path}: {_reason(error)}; set XDG_CACHE_HOME to a directory that is writable"
        raise ConfigError(msg) from None
    models = sum(len(provider.models) for provider in snapshot.providers)
    return (
        f"prices updated: {_count(models, 'model')} of {_count(len(snapshot.providers), 'provider')}, stored in {path}"
    )


def stored_prices(version: str) -> tuple[DataSnapshot, str] | None:
    """Return the data that was stored for a version of genai-prices, and when it was fetched.

    None if there is none, or it was stored for another version: a newer package brings newer data.

    Raises ConfigError for a file that cannot be read or is something else.
    """
    path = cache_path()
    try:
        with open(path, "rb") as file:
            stored = json.loads(file.read())
        if stored["genai_prices"] != version:
            return None
        return _snapshot(stored["providers"]), f"{stored['time']:.40}"
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        msg = f"{path} is not usable as stored prices: {_reason(error)}; {_REMEDY}"
        raise ConfigError(msg) from None


def _snapshot(providers: Any) -> DataSnapshot:
    """Return the data of genai-prices in decoded JSON.

    Raises ValueError for anything else, and ConfigError for a version of the package that cannot load it.
    """
    from genai_prices.data_snapshot import DataSnapshot

    try:
        # what UpdatePrices.fetch itself does with a payload; there is no public way without a download
        from genai_prices.types import _providers_from_raw
    except ImportError:
        msg = "this version of genai-prices cannot load fetched prices: "
        msg += f"pip install --upgrade bamboo_logmetrics, or remove {cache_path()}"
        raise ConfigError(msg) from None
    if not isinstance(providers, list) or not providers:
        msg = "not a list of providers with their prices"
        raise ValueError(msg)
    return DataSnapshot(_providers_from_raw(providers), from_auto_update=True)


def _fetch(url: str) -> bytes:
    """Return the body of an answer. Raises OSError, HTTPException or ValueError."""
    if not url.startswith(("https://", "http://")):
        msg = "not a URL of http or https"
        raise ValueError(msg)
    end, data = time.monotonic() + _TIME, bytearray()
    request = Request(url, headers={"User-Agent": f"bamboo_logmetrics/{__version__}"})  # noqa: S310 - checked above
    with urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310
        while piece := response.read1(_PIECE):
            data += piece
            if len(data) > _MAX_BYTES:
                msg = f"more than {_MAX_BYTES:,} bytes"
                raise ValueError(msg)
            if time.monotonic() > end:
                msg = f"not complete after {_TIME} seconds"
                raise ValueError(msg)
    return bytes(data)


def _store(path: str, text: str) -> None:
    """Write a file at once or not at all."""
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=".prices-")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _reason(error: BaseException) -> str:
    """Return the reason of an error in one line."""
    cause = None if isinstance(error, HTTPError) else getattr(error, "reason", None)
    text = str(cause or getattr(error, "strerror", None) or error) or type(error).__name__
    return " ".join(text.split())[:200]
