"""Configuration of the site for Sphinx: ``tox -e docs``."""

# ruff: noqa: INP001 - no package

from __future__ import annotations

import configparser
import os
import posixpath
import re
from typing import TYPE_CHECKING

import bamboo_logmetrics

if TYPE_CHECKING:
    from pathlib import Path

    from sphinx.application import Sphinx

_DOCS = os.path.dirname(os.path.abspath(__file__))
_SETUP = configparser.ConfigParser()
_SETUP.read(os.path.join(_DOCS, "..", "setup.cfg"), encoding="utf-8")
REPOSITORY = _SETUP["metadata"]["url"]
FILES = f"{REPOSITORY}/blob/HEAD/"

project = "bamboo_logmetrics"
author = "The bamboo_logmetrics maintainers"
copyright = author  # noqa: A001 - Sphinx's name
version = release = bamboo_logmetrics.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
source_suffix = {".md": "markdown"}
exclude_patterns: list[str] = []
nitpicky = True
# types of other projects have no page here, nor have the system calls that tests replace, and type variables
nitpick_ignore_regex = [
    (
        r"py:.*",
        r"(?!bamboo_logmetrics).*|bamboo_logmetrics\.system\..*|bamboo_logmetrics\.instrument\.clients\._Client|bamboo_logmetrics\..*\.F",
    )
]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_default_options = {"exclude-members": "__init__, __new__"}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 110
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = "bamboo_logmetrics"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options = {
    "source_repository": REPOSITORY,
    "source_branch": "HEAD",
    "source_directory": "docs/",
    "light_css_variables": {"color-brand-primary": "#2f6b3a", "color-brand-content": "#2f6b3a"},
    "dark_css_variables": {"color-brand-primary": "#8fd19e", "color-brand-content": "#8fd19e"},
}
pygments_style = "friendly"
pygments_dark_style = "github-dark"
copybutton_prompt_text = "$ "

_LINK = re.compile(r"(\]\()((?:\.\./)+)([\w./-]+)(#[\w-]+)?\)")


def link_out(docname: str, text: str) -> str:
    """Return a page whose links to files outside of docs/ lead to the repository, and those to README to the start."""

    def replace(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join("docs", posixpath.dirname(docname), match[2] + match[3]))
        if target.startswith("docs/"):
            return match[0]
        anchor = match[4] or ""
        if target == "README.md":
            return f"](/index.md{anchor})"
        return f"]({FILES}{target}{anchor})"

    return _LINK.sub(replace, text)


def _source_read(_app: Sphinx, docname: str, source: list[str]) -> None:
    source[0] = link_out(docname, source[0])


def _include_read(_app: Sphinx, path: Path, _docname: str, source: list[str]) -> None:
    if path.name == "README.md":  # its links are absolute; here the pages are on the site
        source[0] = re.sub(
            rf"{re.escape(REPOSITORY)}/(?:blob|raw)/HEAD/docs/([\w./-]+\.(?:md|png|svg))", r"/\1", source[0]
        )


def setup(app: Sphinx) -> None:
    """Rewrite links while pages are read."""
    app.connect("source-read", _source_read)
    app.connect("include-read", _include_read)
