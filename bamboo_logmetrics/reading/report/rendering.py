"""The report page as HTML: a template, its style and scripts, and the data, in one file without links."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

_PAGE = "page"
_MARKERS = re.compile(r"<!--TITLE-->|<!--DATA-->|<!--NOSCRIPT-->|/\*STYLE\*/|/\*ECHARTS\*/|/\*SCRIPT\*/")
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_ANY_SCRIPT = "script-src 'unsafe-inline'"
_ESCAPED = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"})
_DEFAULT_TITLE = "LLM agents"


def render(data: Mapping[str, Any], title: str = "") -> bytes:
    """Return the page of some data.

    Args:
        data: as :func:`bamboo_logmetrics.reading.report.collecting.collect` gives it.
        title: the title of the page; empty for a general one.
    """
    contents = {
        "<!--TITLE-->": html.escape(title or _DEFAULT_TITLE),
        "<!--NOSCRIPT-->": _totals(data),
        "/*STYLE*/": _read("style.css"),
        "/*ECHARTS*/": _read("echarts.min.js"),
        "/*SCRIPT*/": "\n".join(map(_read, _read("scripts.txt").split())),
    }
    template = _allow_only_these(_MARKERS.sub(lambda match: contents.get(match[0], match[0]), _read("template.html")))
    before, _, after = template.partition("<!--DATA-->")
    return b"".join(text.encode("utf-8", "replace") for text in (before, as_json({**data, "title": title}), after))


def as_json(data: Mapping[str, Any]) -> str:
    """Return data as JSON that is safe within a script element, and that any text may be part of."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.translate(_ESCAPED)


def _allow_only_these(page: str) -> str:
    """Return a page whose policy allows its own scripts only, by their hashes, and no other."""
    digests = (hashlib.sha256(script.encode()).digest() for script in _SCRIPT.findall(page))
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return page.replace(_ANY_SCRIPT, f"script-src {hashes}", 1)


def _totals(data: Mapping[str, Any]) -> str:
    """Return the rows of a table of totals, for readers without scripts."""
    rows = (
        (name.replace("_", " "), "not reported" if value is None else f"{value:,}")
        for name, value in data["totals"].items()
    )
    return "\n".join(f'<tr><th scope="row">{name}</th><td>{value}</td></tr>' for name, value in rows)


def _read(name: str) -> str:
    return (files(__package__) / _PAGE / name).read_text(encoding="utf-8")
