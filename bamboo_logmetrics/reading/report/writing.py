"""Writing the report page of logs to a file."""

from __future__ import annotations

import contextlib
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

_GENERATOR = b'<meta name="generator" content="bamboo-logmetrics'  # in each page, as template.html has it
_HEAD = 4096  # bytes of a page, within which its generator stands
_STDOUT = "-"
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
        output: the path of the page. A file there must be an older page, or empty.
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
    for a wrong argument, a path that is not a regular file, an output that is a dash or another file than an older
    page, or a package that is not installed; another OSError if the page cannot be written.
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
    name = os.fsdecode(output)
    if name == _STDOUT:
        msg = "a dash names no file here; give the path of the page, such as report.html"
        raise ConfigError(msg)
    path = os.path.realpath(name)
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        msg = f"no such directory: {folder}; make it first"
        raise FileNotFoundError(errno.ENOENT, msg)
    if os.path.isdir(path):
        msg = f"{name} is a directory; give the name of a file, such as report.html"
        raise ConfigError(msg)
    if os.path.exists(path) and not os.path.isfile(path):
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        msg = f"no permission to write in {folder}; use another directory"
        raise PermissionError(errno.EACCES, msg)
    if os.path.isfile(path) and not (os.access(path, os.R_OK) and _is_ours(path)):
        msg = f"{name} exists and is not a page of this command: remove it, or give another name"
        raise ConfigError(msg)


def _is_ours(path: str) -> bool:
    """Return True for a file that a page may replace: an older page, or an empty file."""
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    return not head or _GENERATOR in head


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
    except OSError as error:
        _remove(temporary)
        msg = f"cannot write {path}: {error.strerror or error}; make room there, or give another path"
        raise OSError(error.errno, msg) from error
    except BaseException:
        _remove(temporary)
        raise


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
