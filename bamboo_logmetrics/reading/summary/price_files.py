"""Files of prices that users give: our TOML, or LiteLLM's ``model_prices_and_context_window.json``."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from typing import Any

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.reading.summary.litellm_prices import LiteLLMPrices
from bamboo_logmetrics.reading.summary.price_list import PriceList
from bamboo_logmetrics.reading.summary.rates import PriceSource

_MAX_BYTES = 32 * 1024 * 1024  # bytes; LiteLLM's file of 2026 has 3.5 MB


def read_price_file(path: str | os.PathLike[str]) -> PriceSource:
    """Read a file of prices; one that begins with ``{`` is LiteLLM's.

    Raises ConfigError, with the line where there is one, for a file that cannot be used.
    """
    name = os.path.basename(os.fspath(path))
    try:
        with open(path, "rb", opener=_open_regular) as file:
            data = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        msg = f"cannot read the prices in {os.fspath(path)!r:.300}: {reason}; give a TOML file, or LiteLLM's JSON"
        raise ConfigError(msg) from None
    if len(data) > _MAX_BYTES:
        msg = f"{name} is no file of prices: it has more than {_MAX_BYTES:,} bytes"
        raise ConfigError(msg)
    version = f"{name} (sha256 {hashlib.sha256(data).hexdigest()[:8]})"
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        msg = f"{name} is no file of prices: it is not UTF-8; give a TOML file, or LiteLLM's JSON"
        raise ConfigError(msg) from None
    if text.lstrip().startswith("{"):
        return LiteLLMPrices(_decode_json(text, name), name, version)
    return PriceList(text, name, version)


def _open_regular(path: str, flags: int) -> int:
    """Open a regular file; a pipe, which nobody may ever write to, would block. Raises OSError for anything else."""
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file")
    return descriptor


def _decode_json(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        msg = f"{name} is not JSON: {error}"
        raise ConfigError(msg) from None
