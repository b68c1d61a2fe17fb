"""Writing the report page of logs to a file."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterable
from datetime import datetime

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.logfiles.discovery import AnyPath
from bamboo_logmetrics.reading.query.loading import Progress
from bamboo_logmetrics.reading.report.collecting import collect
from bamboo_logmetrics.reading.report.rendering import render
from bamboo_logmetrics.reading.summary.periods import LOCAL
from bamboo_logmetrics.reading.summary.result import Summary

_BEGINNING = b"<!doctype html"
_MODE = 0o666  # less the umask


def write_report(
    paths: AnyPath | Iterable[AnyPath],
    output: AnyPath,
    *,
    since: datetime | str | None = None,
    until: datetime | str | None = None,
    model: str | None = None,
    project: str | None = None,
    tz: str = LOCAL,
    prices: AnyPath | None = None,
    title: str = "",
    anonymous: bool = False,
    on_progress: Progress | None = None,
) -> Summary:
    """Write a page with the figures of logs: one HTML file that opens in a browser, without the network.

    The file is written when all is read, and replaces an older page at once. If anything fails, an older page stays
    as it is.

    Args:
        paths: logs, rotated files (each stands for its log) or patterns, as for ``verify``; ``"-"`` is standard input.
        output: the path of the page.
        since: the first time that counts: a datetime, ISO 8601, ``"2h"`` (ago), ``"yesterday"``.
        until: the first time that does not count any more.
        model: counts this model only.
        project: counts this project only.
        tz: the time zone of the page and of times without an offset; ``"local"`` is this machine's.
        prices: a file of prices, in TOML or LiteLLM's JSON, that come before those of genai-prices.
        title: the title of the page.
        anonymous: True to replace names by short hashes, so that the page can be shared.
        on_progress: is called with the bytes read so far and in all, also from another thread. Files are read twice.

    Returns the summary that the page shows.

    Raises FileNotFoundError for a path or pattern that names nothing, and for an output in no directory; ConfigError
    for a wrong argument, a path that is not a regular file, an output that is another file than a page, or a package
    that is not installed; another OSError if the page cannot be written.
    """
    check_output(output)
    data = collect(
        paths,
        since=since,
        until=until,
        model=model,
        project=project,
        tz=tz,
        prices=prices,
        anonymous=anonymous,
        on_progress=on_progress,
    )
    replace_page(output, render(data.page, title))
    return data.summary


def check_output(output: AnyPath) -> None:
    """Raise ConfigError or an OSError for a path to which no page may be written: one of another file, or of none."""
    path = os.path.realpath(os.fsdecode(output))
    if not os.path.isdir(os.path.dirname(path)):
        msg = f"no such directory: {os.path.dirname(path)}; make it first"
        raise FileNotFoundError(errno.ENOENT, msg)
    if os.path.isdir(path):
        msg = f"{os.fsdecode(output)} is a directory; give the name of a file, such as report.html"
        raise ConfigError(msg)
    if os.path.isfile(path) and os.path.getsize(path):
        with open(path, "rb") as file:
            if file.read(len(_BEGINNING)).lower() != _BEGINNING:
                msg = f"{os.fsdecode(output)} exists and is not a page: remove it, or give another name"
                raise ConfigError(msg)


def replace_page(output: AnyPath, page: bytes) -> None:
    """Write a page to a file, all of it or nothing: a file that is there keeps its rights, and is replaced at once.

    Something else than a file, such as ``/dev/stdout`` or a pipe, is written to.
    """
    if os.path.exists(output) and not os.path.isfile(output):
        with open(output, "wb") as stream:
            stream.write(page)
        return
    path = os.path.realpath(os.fsdecode(output))
    temporary = os.path.join(os.path.dirname(path), f".{secrets.token_hex(8)}.html.tmp")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE), "wb") as file:
            file.write(page)
            if os.path.exists(path):
                os.fchmod(file.fileno(), stat.S_IMODE(os.stat(path).st_mode))
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
