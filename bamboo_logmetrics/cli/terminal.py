"""Text for a terminal: colour, width, and nothing in it that could control the terminal."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable

from rich.cells import cell_len, set_cell_size

from bamboo_logmetrics.cli.formatting import printable
from bamboo_logmetrics.errors import ConfigError

RESET = "\x1b[0m"
MORE = "…"
Part = tuple[str, str]  # a text, and the numbers of its style, such as "1;31"; empty for none

_PLAIN_FORMS = {0xFE0E: None, 0xFE0F: None}  # they change the width of the character before, in some terminals


def check_stdout() -> None:
    """Raise ConfigError if the command was started without standard output."""
    if getattr(sys, "stdout", None) is None:
        msg = "standard output is closed; send it to a file or a program"
        raise ConfigError(msg)


def use_colour() -> bool:
    """Return True if stdout is to have colour: on a terminal, or with ``FORCE_COLOR``; ``NO_COLOR`` forbids it."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") != "0":
        return True
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def terminal_width() -> int | None:
    """Return the width of the terminal in columns, as it is at present; None if stdout is none."""
    return max(1, shutil.get_terminal_size().columns) if sys.stdout.isatty() else None


def visible(text: str) -> str:
    """Return text in which control characters, also those that change the direction of writing, are escaped."""
    if text.isascii() and text.isprintable():
        return text
    return printable(text.translate(_PLAIN_FORMS))


def cut(text: str, width: int) -> str:
    """Return text that takes at most ``width`` columns, with ``…`` at the end if something is left out."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + MORE if width > 0 else ""


def pad(text: str, width: int) -> str:
    """Return text with spaces up to a width."""
    return text + " " * (width - cell_len(text))


def paint(parts: Iterable[Part], *, width: int | None, colour: bool) -> str:
    """Return the parts as one line of at most ``width`` columns."""
    parts = list(parts)
    if width is not None and cell_len("".join(text for text, _ in parts).rstrip()) > width:
        parts = _shortened(parts, width - 1)
    if not colour:
        return "".join(text for text, _ in parts).rstrip()
    return "".join(f"\x1b[{style}m{text}{RESET}" if style and text else text for text, style in parts).rstrip()


def _shortened(parts: list[Part], left: int) -> list[Part]:
    """Return the first parts that fit, of wider ones, and a part of the next with ``…``."""
    index = 0
    while (size := cell_len(parts[index][0])) <= left:
        left -= size
        index += 1
    text, style = parts[index]
    return [*parts[:index], (set_cell_size(text, left) + MORE, style)]
