"""Chromium, and pages of the command ``report`` that are open in it."""

from __future__ import annotations

import pytest
from support.agent_week import Week
from support.reports import CHROMIUM, Log


@pytest.fixture(scope="session")
def week(chromium, tmp_path_factory):  # without Chromium nothing is made
    """Return a log of a week, with its page."""
    return Log(Week(sessions=40).write(tmp_path_factory.mktemp("week")), "--title", "The agents of a week")


@pytest.fixture(scope="session")
def chromium():
    """Start Debian's Chromium, headless."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: tox -e report has it")
    if not CHROMIUM:
        pytest.skip("needs chromium (Debian: apt-get install chromium), or its path in BAMBOO_TEST_CHROMIUM")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def show(chromium):
    """Open a page; at the end of the test there was no error in its console, and no request."""
    contexts, problems = [], []

    def opening(address, width=1280, height=900, **options):
        contexts.append(chromium.new_context(viewport={"width": width, "height": height}, **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: problems.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: problems.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (problems.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: problems.append(f"request: {request.url[:200]}"))
        page.goto(address)
        return page

    yield opening
    for context in contexts:
        context.close()
    own = ("request: file://", "request: data:")
    assert [problem for problem in problems if not problem.startswith(own)] == []
    assert len([problem for problem in problems if problem.startswith(own[0])]) >= len(contexts)
