"""The report page of logs that nobody wants: hostile names, and next to nothing in them."""

from __future__ import annotations

import pytest
from support.reports import Log, address_of, resize

import bamboo_logmetrics as blm
from bamboo_logmetrics.events import RoundCompleted, SessionCompleted, SessionStarted, TokenUsage, ToolCalled

NAMES = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "__proto__",
    "constructor",
    "${alert(1)} {{7*7}} {a} {b|c}",
    "'\"&amp;&lt;\\u003c",
    "\u202eright to left\u2066",
    "\u2028 line \u2029 ends",
    "\U0001f389" * 40,
    "long" * 1_250,
    "javascript:alert(1)",
    "#model=gpt-5&session=x",
    "%E0%A4%A",
]


# long names are cut
PRESS = """(labels, name) =>
  labels.find((label) => label.textContent.startsWith([...name].slice(0, 40).join(""))).querySelector("input").click()"""


def rounds(page):
    return int(page.locator('[data-figure="rounds"]').get_attribute("data-value"))


@pytest.fixture(scope="module")
def hostile(chromium, tmp_path_factory):
    """Return a log in which each name is one of the hostile ones, with its page."""
    path = tmp_path_factory.mktemp("hostile") / "a.jsonl"
    with blm.open_log(path) as log:
        for name in NAMES:
            own = log.bind(session_id=name, agent=name, project=name, provider=name)
            own.emit(SessionStarted(session_id=name, model=name))
            usage = TokenUsage(prompt_tokens=3, completion_tokens=2, total_tokens=5)
            done = RoundCompleted(round_id=name, session_id=name, status="error", usage=usage, latency_ms=7, error=name)
            own.emit(done, model=name, error_type=name)
            own.emit(
                ToolCalled(
                    tool_call_id=name, round_id=name, session_id=name, tool_name=name, latency_ms=1, success=False
                ),
                error_type=name,
            )
            own.emit(SessionCompleted(session_id=name, status="completed"))
    return Log(path, "--title", NAMES[1])


def test_hostile_names_are_text(hostile, show):
    """Names from a log are shown as they are, everywhere, and none becomes an element or runs."""
    page = show(hostile.address)
    assert page.title() == NAMES[1]
    assert page.locator("h1").inner_text() == NAMES[1]
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 3
    for button in page.locator(".more").all():
        button.click()
    for place in ("#models", "#tools", "#errors", "#sessions", "#choose-model .options", "#choose-project .options"):
        assert NAMES[0] in page.locator(place).text_content()
        assert NAMES[3] in page.locator(place).text_content()
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_large_numbers_and_long_names_fit(chromium, tmp_path, show):
    """A table with a name of 5,000 characters and numbers of many digits is not cut, and its numbers are whole."""
    usage = TokenUsage(prompt_tokens=10**12, completion_tokens=10**11, total_tokens=11 * 10**11)
    with blm.open_log(tmp_path / "a.jsonl") as log:
        for name in ("m" * 5_000, "an other name " * 400):
            own = log.bind(session_id=name, agent=name, project=name, cost_usd=999_999.99)
            done = RoundCompleted(round_id=name, session_id=name, status="error", usage=usage, latency_ms=7_199_999)
            own.emit(done, model=name, error_type=name)
            own.emit(
                ToolCalled(
                    tool_call_id=name,
                    round_id=name,
                    session_id=name,
                    tool_name=name,
                    latency_ms=7_199_999,
                    success=False,
                )
            )
    page = show(Log(tmp_path / "a.jsonl").address)
    for width in (1280, 1100, 900, 390):
        resize(page, width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        wide = "nodes => nodes.filter((node) => node.scrollWidth > node.clientWidth + 1).map((node) => node.id)"
        assert page.locator(".scroll").evaluate_all(wide) == []
        assert {"$999,999.99", "1.10T"} <= set(page.locator("#models").inner_text().split())


def test_hostile_sessions_open(hostile, show):
    """A session of each name opens with its round and tool call, by a link too."""
    page = show(hostile.address)
    rows = page.locator(".sessions tbody tr")
    assert rows.count() == len(NAMES)
    addresses = []
    for row in rows.all():
        name = row.locator(".id").text_content()
        row.click()
        assert page.locator("#session-title").text_content() == name
        assert page.locator("dialog .row-r").count() == 1
        assert page.locator("dialog .row-t").count() == 1
        addresses.append((address_of(page), name))
        page.keyboard.press("Escape")
    url, name = addresses[0]
    assert show(url).locator("#session-title").text_content() == name


def test_hostile_filters_work(hostile, show):
    """Each hostile model and project can be chosen, and its address shows the same."""
    page = show(hostile.address)
    for control, names in (("choose-model", NAMES[:4]), ("choose-project", NAMES[5:9])):
        for name in names:
            page.locator(f"#{control} .options label", has=page.locator("input")).evaluate_all(PRESS, name)
            assert rounds(page) == 1
            address = address_of(page)
            page.locator("#reset").click()
            assert rounds(page) == len(NAMES)
            page.evaluate("address => { location.href = address }", address)
            page.wait_for_function("!document.getElementById('reset').hidden")
            assert rounds(page) == 1
            page.locator("#reset").click()


def test_what_is_not_reported_is_never_0(tmp_path, show):
    """Without usage, prices and latencies the page says so."""
    with blm.open_log(tmp_path / "a.jsonl") as log:
        log.emit(SessionStarted(session_id="s", model="m"))
        usage = TokenUsage(prompt_tokens=0, completion_tokens=0, total_tokens=0)
        log.emit(
            RoundCompleted(round_id="r", session_id="s", status="success", usage=usage, latency_ms=0),
            usage_source="missing",
            latency_source="missing",
        )
    page = show(Log(tmp_path / "a.jsonl").address)
    for name in ("cost_usd", "total_tokens", "cache_hit_ratio"):
        assert page.locator(f'[data-figure="{name}"]').inner_text() == "not reported"
    assert "not reported" in page.locator("#time-empty").inner_text()
    page.locator("#measures").get_by_text("Rounds").click()
    assert page.locator("#time-chart svg").is_visible()
    page.locator(".sessions tbody tr").click()
    assert "not reported" in page.locator("#session-facts").inner_text()


def test_a_log_without_events(tmp_path, show):
    """A log in which nothing happened has a page that says so."""
    blm.open_log(tmp_path / "a.jsonl").close()
    page = show(Log(tmp_path / "a.jsonl").address)
    assert page.locator('[data-figure="rounds"]').inner_text() == "0"
    assert page.locator("#sessions").inner_text() == "No sessions in this selection."
    assert page.locator("#time-empty").is_visible()
