"""``docs/reference/performance.md``: what is measured goes between markers, what people wrote around them stays."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "performance.md"
PLOTS = ROOT / "docs" / "reference" / "performance"


def replace(text: str, name: str, content: str) -> str:
    """Return a page's text with ``content`` between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``.

    Raises ValueError when the page does not have both, once.
    """
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if len(pattern.findall(text)) != 1:
        msg = f"the page must have {begin} and {end} once"
        raise ValueError(msg)
    return pattern.sub(lambda _: f"{begin}\n{content.strip()}\n{end}", text)


def write(sections: dict[str, str], page: Path = PAGE) -> None:
    """Put each section into the page."""
    text = page.read_text(encoding="utf-8")
    for name, content in sections.items():
        text = replace(text, name, content)
    page.write_text(text, encoding="utf-8")


def image(title: str, name: str) -> str:
    """Return the Markdown of a plot in PLOTS."""
    return f"![{title}]({PLOTS.name}/{name}.svg)"
