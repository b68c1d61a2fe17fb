"""The pictures in the docs show what the commands print."""

from __future__ import annotations

import html
import re
import runpy

import pytest
from support import ROOT

MODULE = runpy.run_path(str(ROOT / "docs" / "pictures.py"))


def texts(svg):
    """Return the text of an SVG without its spaces."""
    return re.sub(r"\s", "", html.unescape("".join(re.findall(r"<text [^>]*>([^<]*)</text>", svg))))


@pytest.mark.parametrize("theme", MODULE["THEMES"])
@pytest.mark.parametrize("name", MODULE["PICTURES"])
def test_a_picture_is_that_of_today(name, theme):
    """A picture has the lines that its command prints today, its title, and nothing of another server."""
    svg = (ROOT / "docs" / "_static" / f"{name}-{theme}.svg").read_text(encoding="utf-8")
    assert texts(svg) == texts(MODULE["picture"](name, theme))
    assert re.sub(r"\s", "", MODULE["PICTURES"][name][2]) in texts(svg)
    assert len(texts(svg)) > 500
    assert not re.search(r"url\(['\"]?http|@import|<script", svg)
