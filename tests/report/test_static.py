"""The files of the report page, as they are: nothing is loaded, and no text of a log becomes markup."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

PAGE = files("bamboo_logmetrics.reading.report") / "page"
SCRIPTS = PAGE.joinpath("scripts.txt").read_text(encoding="utf-8").split()


def read(name):
    return PAGE.joinpath(name).read_text(encoding="utf-8")


def test_every_script_is_in_the_list():
    """The list of scripts names each script but ECharts, which stands by itself, once."""
    names = {file.name for file in PAGE.iterdir() if file.name.endswith(".js")}
    assert sorted(SCRIPTS) == sorted(names - {"echarts.min.js"})


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_text_becomes_markup(name):
    """No script writes markup, runs text, or ends the element that it stands in."""
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser|</script|<!--"
    assert not re.search(forbidden, read(name))


@pytest.mark.parametrize("name", [*SCRIPTS, "template.html", "style.css"])
def test_nothing_is_loaded(name):
    """No file names another server, and none asks for anything."""
    text = read(name).replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|//[a-z]|@import|url\(|\bfetch\(|XMLHttpRequest|<script [^>]*src", text)


def test_the_policy_allows_nothing_from_outside():
    """The page's own policy forbids every request."""
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', read("template.html"))
    assert policy.startswith("default-src 'none';")
    assert "connect-src" not in policy
    assert "*" not in policy


@pytest.mark.parametrize(
    "marker", ["<!--TITLE-->", "/*STYLE*/", "/*ECHARTS*/", "/*SCRIPT*/", "<!--NOSCRIPT-->", "<!--DATA-->"]
)
def test_each_marker_is_there_once(marker):
    """The template has each place to fill exactly once."""
    assert read("template.html").count(marker) == 1


def test_the_page_is_small():
    """Without data the page has less than 2 MB."""
    names = [*SCRIPTS, "echarts.min.js", "style.css", "template.html"]
    assert sum(len(read(name).encode()) for name in names) < 2_000_000


def test_the_licence_is_beside_echarts():
    """ECharts stands beside its licence and notice, and names them."""
    assert "Apache License" in read("echarts.LICENSE")
    assert all(holder in read("echarts.NOTICE") for holder in ("Apache Software Foundation", "Baidu", "Bostock"))
    assert "echarts.LICENSE" in read("echarts.min.js")[:300]
