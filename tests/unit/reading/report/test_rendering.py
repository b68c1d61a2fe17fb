"""The page as HTML: complete, without links, and safe whatever its data hold."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from support.log_lines import as_bytes, with_headers
from support.pages import data_of

from bamboo_logmetrics.reading.report.collecting import collect
from bamboo_logmetrics.reading.report.rendering import as_json, render

DATA = {"totals": {"rounds": 1_234, "cost_usd": None}}
HOSTILE = "</script><!--<script>&\u2028\u2029\u202e\x00\ud800'\"</title>"


class Elements(HTMLParser):
    """The elements of a page: scripts with their contents, addresses, and inline handlers."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.addresses, self.handlers = [], [], []
        self.feed(page.decode())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in {"src", "href", "action"}]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


def test_the_page_is_complete():
    """Every part of the template is filled, and the page has no address but within itself."""
    page = render(DATA, "Week")
    assert not re.search(rb"<!--[A-Z]+-->|/\*(STYLE|ECHARTS|SCRIPT)\*/", page)
    elements = Elements(page)
    assert elements.tags.count("script") == 3
    assert not elements.handlers
    assert all(address.startswith(("#", "data:")) for address in elements.addresses)
    assert b"<title>Week</title>" in page
    assert b"<td>1,234</td>" in page
    assert b"<td>not reported</td>" in page
    assert len(page) < 2_000_000
    assert b"<title></title>" not in render(DATA)


def test_only_its_own_scripts_may_run():
    """The policy allows the page's two scripts by their hashes, and nothing from the network."""
    page = render(DATA).decode()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert rules["script-src"].split() == [f"'sha256-{digest}'" for digest in hashes]
    assert len(scripts) == 2


@pytest.mark.parametrize("title", [HOSTILE, "<!--DATA-->", "/*SCRIPT*/", "<script>alert(1)</script>"])
def test_a_hostile_title(title):
    """A title is text, and no part of the page."""
    page = render(DATA, title)
    assert Elements(page).tags.count("script") == 3
    assert data_of(page)["title"] == title.encode("utf-8", "replace").decode()
    assert page.count(b"alert(1)") == 2 * title.count("alert")
    assert b"<script>alert" not in page


def test_hostile_names(path):
    """A name in a log is text, and no part of the page."""
    name = HOSTILE.replace("\ud800", "")
    call = {"event": "chat.round_completed", "round_id": "r", "status": "success", "latency_ms": 1, "model": name}
    usage = dict.fromkeys(["prompt_tokens", "completion_tokens", "total_tokens"], 1)
    path.write_bytes(as_bytes(with_headers([call | usage | {"session_id": name, "project": name}])))
    page = render(collect(path).page)
    assert Elements(page).tags.count("script") == 3
    data = data_of(page)
    assert data["models"][0] == data["sessions"]["id"][0] == name


def test_numbers():
    """JSON has no number that browsers cannot read."""
    assert as_json({"a": [None, 2**64, 1.5]}) == '{"a":[null,18446744073709551616,1.5]}'
    with pytest.raises(ValueError, match="JSON"):
        as_json({"a": float("nan")})
