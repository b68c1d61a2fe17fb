"""The pictures in the docs show what the commands print."""

from __future__ import annotations

import html
import re
import runpy

import pytest
from rich.text import Text
from support import ROOT

PICTURES = runpy.run_path(str(ROOT / "docs" / "pictures.py"))


def texts(svg):
    """Return the text of an SVG without its spaces."""
    return re.sub(r"\s", "", html.unescape("".join(re.findall(r"<text [^>]*>([^<]*)</text>", svg))))


@pytest.mark.parametrize("theme", PICTURES["THEMES"])
def test_tail(theme):
    """The picture of ``tail`` has its lines as they are written today, and nothing of another server."""
    svg = (ROOT / "docs" / "_static" / f"tail-{theme}.svg").read_text(encoding="utf-8")
    shown = PICTURES["TITLE"] + Text.from_ansi(PICTURES["shown"]()).plain
    assert sorted(texts(svg)) == sorted(re.sub(r"\s", "", shown))
    assert texts(svg) == texts(PICTURES["picture"](theme))
    assert not re.search(r"url\(['\"]?http|@import|<script", svg)
