"""The report page in Chromium: its numbers, filters and sessions, by mouse and by keyboard, wide and narrow."""

from __future__ import annotations

import json
import re

import pytest
from support.reports import address_of, resize, run

FIGURES = ("sessions", "rounds", "tool_calls", "error_rate", "cost_usd", "total_tokens", "cache_hit_ratio", "dropped")
FIGURES += ("latency_p50_ms", "latency_p95_ms")


def figure(page, name):
    """Return a key figure of the page as a number; None if it is not reported."""
    text = page.locator(f'[data-figure="{name}"]').get_attribute("data-value")
    return float(text) if text else None


def shown(page, name):
    return page.locator(f'[data-figure="{name}"]').inner_text().replace("\u00a0", " ")


def agree(page, totals, names):
    """Check figures of the page with those of a summary."""
    assert {name: figure(page, name) for name in names} == pytest.approx({name: totals[name] for name in names})


def choose(page, control, *names):
    """Choose names in one of the lists of filters."""
    page.locator(f"#{control} summary").click()
    for name in names:
        page.locator(f"#{control} .options").get_by_text(name, exact=True).click()
    page.locator(f"#{control} summary").press("Escape")


def test_the_figures_are_those_of_the_summary(week, show):
    """Without a filter each key figure is exactly that of ``summary --format json``."""
    page, totals = show(week.address), json.loads(run("summary", week.path, "--format", "json"))["totals"]
    agree(page, totals, FIGURES)
    assert shown(page, "rounds") == f"{totals['rounds']:,}"
    assert shown(page, "cost_usd") == f"${totals['cost_usd']:,.2f}"
    assert shown(page, "error_rate") == f"{100 * totals['error_rate']:.1f}%"
    assert (
        f"priced {totals['priced_calls']:,} of {totals['usage_calls']:,} calls" in page.locator("#covers").inner_text()
    )


@pytest.mark.parametrize(
    ("control", "option", "name"), [("choose-model", "model", "gpt-5"), ("choose-project", "project", "search")]
)
def test_a_filter_by_name(week, show, control, option, name):
    """The figures of one model, or project, are those of the summary of it; the address shows the same again."""
    page, totals = show(week.address), week.totals(**{option: name})
    choose(page, control, name)
    agree(
        page, totals, ("rounds", "tool_calls", "total_tokens", "cost_usd", "error_rate", "cache_hit_ratio", "sessions")
    )
    assert shown(page, "latency_p50_ms").startswith("\u2248")
    assert figure(page, "latency_p50_ms") == pytest.approx(totals["latency_p50_ms"], rel=0.3)
    again = show(address_of(page))
    agree(again, totals, ("rounds", "total_tokens"))
    again.locator("#reset").click()
    agree(again, week.totals(), FIGURES)


def test_filters_by_model_add_up(week, show):
    """The parts of all models are the whole: no row is lost or counted twice."""
    page = show(week.address)
    parts = dict.fromkeys(("rounds", "tool_calls", "total_tokens", "cost_usd"), 0)
    for button in page.locator("#legend button").all():
        button.click()
        parts = {name: value + figure(page, name) for name, value in parts.items()}
        button.click()
    agree(page, parts, parts)


def test_a_filter_by_time(week, show):
    """The figures of a range are those of the summary of it, from the fields, from a link, and from a preset."""
    page = show(week.address)
    page.locator("#from").fill("2026-11-24T08:00")
    page.locator("#from").dispatch_event("change")
    page.locator("#to").fill("2026-11-26T12:00")
    page.locator("#to").dispatch_event("change")
    totals = week.totals(since="2026-11-24T08:00Z", until="2026-11-26T12:00Z")
    agree(page, totals, ("rounds", "tool_calls", "total_tokens", "cost_usd", "dropped"))
    assert shown(page, "sessions").startswith("\u2248")  # those that overlap
    priced = f"priced {totals['priced_calls']:,} of {totals['usage_calls']:,} calls"
    assert priced in page.locator("#overview").inner_text().replace("\u00a0", " ")
    assert "from=2026-11-24T08%3A00%3A00Z" in address_of(page)
    agree(show(address_of(page)), totals, ("rounds", "dropped"))
    page.get_by_role("button", name="24 hours").click()
    assert figure(page, "rounds") < week.totals()["rounds"]
    page.get_by_role("button", name="All", exact=True).click()
    agree(page, week.totals(), FIGURES)


def test_a_range_by_mouse_and_by_keys(week, show):
    """Dragging over the time axis selects a range, and arrow keys move its ends."""
    page, all_rounds = show(week.address), week.totals()["rounds"]
    box = page.locator(".strip-canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 20, steps=4)
    page.mouse.up()
    middle = figure(page, "rounds")
    assert 0 < middle < all_rounds
    page.locator(".strip-handle.from").press("Home")
    page.locator(".strip-handle.to").press("End")
    assert figure(page, "rounds") == all_rounds
    page.locator(".strip-handle.to").press("PageDown")
    assert page.locator(".strip-handle.to").evaluate("node => node === document.activeElement")
    assert "to=" in address_of(page)


def test_a_click_opens_a_session(week, show):
    """A session shows each of its rounds, requests and tool calls, with those of its sub-agents."""
    parent = next(line["parent_session_id"] for line in week.lines() if "parent_session_id" in line)
    own = [line for line in week.lines() if parent in {line.get("session_id"), line.get("parent_session_id")}]
    page = show(week.address)
    page.locator("#search").fill(parent)
    page.locator(".sessions tbody tr", has=page.locator(".id", has_text=parent)).first.click()
    session = page.get_by_role("dialog")
    assert session.locator("h2").inner_text() in {line["session_id"] for line in own if "session_id" in line}
    for kind, event in (("r", "chat.round_completed"), ("q", "forward.request_completed"), ("t", "chat.tool_called")):
        assert session.locator(f".row-{kind}").count() == sum(line["event"] == event for line in own)
    assert session.locator(".row-s").count() == len({line["session_id"] for line in own} - {parent})
    assert f"session={parent}" in address_of(page)
    session.locator(".row-s button").first.click()
    assert session.locator("#session-sub").inner_text().endswith(f"sub-agent of {parent}")
    page.keyboard.press("Escape")
    assert not session.is_visible()
    page.wait_for_function("!location.hash.includes('session=')")  # "close" is an event of its own


def test_failed_calls_are_red_in_the_session(week, show):
    """A failed request is marked in the waterfall, and says why."""
    failed = next(
        line for line in week.lines() if line["event"] == "forward.request_completed" and line["status"] == "error"
    )
    page = show(f"{week.address}#session={failed['session_id']}")
    row = page.locator("dialog .bad-row").first
    assert "error" in row.inner_text()
    assert row.locator(".mark.failed").count() == 1


def test_sessions_are_searched_ordered_and_paged(week, show):
    """The table has a page of sessions, the most expensive first; words, heads and pages choose others."""
    page, sessions = show(week.address), week.totals()["sessions"]
    rows = page.locator(".sessions tbody tr")
    assert rows.count() == 15
    assert f"1 to 15 of {sessions} sessions" in page.locator("#pager").inner_text()
    first = rows.first.locator(".id").inner_text()
    page.get_by_role("button", name="Next", exact=True).click()
    assert rows.first.locator(".id").inner_text() != first
    page.get_by_role("button", name="Rounds").last.click()
    rounds = [int(text) for text in page.locator('.sessions td[data-label="Rounds"]').all_inner_texts()]
    assert rounds == sorted(rounds, reverse=True)
    assert page.locator('th[aria-sort="descending"]').inner_text().startswith("Rounds")
    page.locator("#search").fill("planner checkout")
    assert all("planner" in text and "checkout" in text for text in rows.all_inner_texts())
    page.locator("#search").fill("no such words")
    assert page.locator("#sessions").inner_text() == "No session has these words."


def test_drops_and_unclean_ends_are_red(week, show):
    """Each drop and the unclean end stand on the time axis and in the list."""
    page = show(week.address)
    drops = [line for line in week.lines() if line["event"] == "system.metrics_dropped"]
    hours = {line["timestamp"][:13] for line in drops}
    assert page.locator(".strip-mark").count() == len(hours) + 1
    texts = page.locator("#drops tbody tr").all_inner_texts()
    counts = [int(re.search(r"([\d,]+) records?,", text)[1].replace(",", "")) for text in texts if "dropped" in text]
    assert sum(counts) == sum(line["count"] for line in drops) == week.totals()["dropped"]
    assert len(counts) == len(hours)
    assert sum("unclean end" in text for text in texts) == 1
    red = page.locator("#drops .bad").first.evaluate("node => getComputedStyle(node).color")
    assert red == page.locator(".tile.bad .value").evaluate("node => getComputedStyle(node).color")
    assert "not accounted for" in page.locator("#covers").inner_text()


def test_the_chart_over_time(week, show):
    """The chart names the sum of each model, and hovering over a bar shows its parts."""
    page = show(week.address)
    chart = page.locator("#time-chart")
    for measure in ("Cost", "Tokens", "Rounds"):
        page.locator("#measures").get_by_text(measure).click()
        assert page.locator("#measures [aria-pressed=true]").inner_text() == measure
        assert chart.get_attribute("aria-label").startswith(f"{measure} over time, stacked by model.")
    assert "measure=rounds" in address_of(page)
    assert f"gpt-5 {week.totals(model='gpt-5')['rounds']}," in chart.get_attribute("aria-label") + ","
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.1, box["y"] + box["height"] / 2)
    page.locator(".tip-title").first.wait_for()


def luminance(page):
    """Return how light the page is, from 0 to 255."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(float, colour.strip("rgb()").split(","))) / 3


def test_light_and_dark(week, show):
    """The page is as light or dark as the system wants it, until its button chooses; charts change with it."""
    page = show(week.address, color_scheme="dark")
    assert luminance(page) < 50
    dark = page.locator("#time-chart").inner_html()
    assert luminance(show(week.address, color_scheme="light")) > 200
    page.locator("#theme").click()
    assert page.locator("#theme").inner_text() == "Theme: light"
    assert luminance(page) > 200
    assert page.locator("#time-chart").inner_html() != dark
    page.locator("#theme").click()
    assert luminance(page) < 50
    page.reload()
    assert page.locator("#theme").inner_text() == "Theme: dark"


# the tables of which a part is not seen
CUT = """[...document.querySelectorAll(".scroll, .sessions")]
  .filter((node) => node.scrollWidth > node.clientWidth + 1).map((node) => node.id)"""


def test_nothing_is_wider_than_the_screen(week, show):
    """On a phone and on a desk nothing has to be scrolled sideways, in the page and in a session."""
    page = show(week.address, width=390, height=844)
    for width in (390, 320, 721, 900, 1280, 1440):
        resize(page, width, 844)
        assert page.evaluate(CUT) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.locator("#choose-project summary").click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.keyboard.press("Escape")
        page.locator(".sessions tbody tr").first.click()
        assert page.locator("dialog").evaluate("node => node.scrollWidth <= node.clientWidth")
        page.keyboard.press("Escape")


def test_by_keyboard_alone(week, show):
    """Tab reaches everything with a visible focus, arrows move in the table, Enter opens, Escape closes."""
    page = show(week.address)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    reached = []
    for _ in range(120):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "document.activeElement.id || document.activeElement.className || document.activeElement.textContent"
            )
        )
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none" or page.evaluate(
            "document.activeElement === document.body"
        )
        if page.evaluate("document.activeElement.tagName") == "TR":
            break
    assert {"theme", "from", "to", "strip-handle from", "strip-handle to", "search"} <= set(reached)
    page.keyboard.press("ArrowDown")
    second = page.locator(".sessions tbody tr").nth(1).locator(".id").inner_text()
    page.keyboard.press("Enter")
    assert page.locator("#session-title").inner_text() == second
    page.keyboard.press("Escape")
    assert page.locator("dialog").is_hidden()
    focused = "name => document.activeElement.querySelector('.id')?.textContent === name"
    page.wait_for_function(focused, arg=second)
    page.keyboard.press("ArrowRight")
    assert "16 to 30" in page.locator("#pager").inner_text()


def test_each_control_has_a_name(week, show):
    """Each control that can be reached, and each chart, has a name for those who do not see it."""
    page = show(week.address)
    without = """[...document.querySelectorAll("button, input, summary, [tabindex='0'], [role=img]")]
      .filter((node) => node.checkVisibility() && !(node.getAttribute("aria-label") || node.labels?.[0]?.textContent || node.textContent).trim())
      .map((node) => node.outerHTML)"""
    assert page.evaluate(without) == []


def test_without_scripts_the_totals_are_there(week, show):
    """A reader without scripts sees the totals."""
    page = show(week.address, java_script_enabled=False)
    assert f"{week.totals()['rounds']:,}" in page.locator(".noscript").inner_text()
    assert page.locator("#app").is_hidden()


def test_on_paper(week, show):
    """In print there are no controls, and the paper is light."""
    page = show(week.address, color_scheme="dark")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.locator(".filters").is_hidden()
    assert luminance(page) > 200
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    assert luminance(page) < 50
