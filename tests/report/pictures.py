"""Makes the pictures of the report page in the docs: ``.tox/report/bin/python tests/report/pictures.py``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parent.parent
PICTURES = TESTS.parent / "docs" / "guides" / "pictures"

# name, colour scheme, width, height, and the session that is open
SHOTS = [
    ("report-light", "light", 1320, 1180, None),
    ("report-dark", "dark", 1320, 1180, None),
    ("report-session", "light", 1320, 760, "reviewer-040"),
    ("report-phone", "dark", 390, 780, None),
]


def main():
    """Write a log, make its page, and take the pictures."""
    sys.path.insert(0, str(TESTS))
    from playwright.sync_api import sync_playwright
    from support.agent_week import Week
    from support.reports import CHROMIUM, Log

    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        log = Log(Week().write(Path(folder)), "--title", "Coding agents, a week in November")
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name, scheme, width, height, session in SHOTS:
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            page.goto(f"{log.address}#session={session}" if session else log.address)
            if session:
                page.locator(".row-s").first.evaluate("node => node.scrollIntoView({block: 'center'})")
            page.mouse.move(0, 0)
            page.screenshot(path=PICTURES / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main()
