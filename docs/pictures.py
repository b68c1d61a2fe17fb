"""Make the pictures of ``tail`` in ``docs/_static``: ``python docs/pictures.py``.

The lines are made up, and shown by the code of the command; rich makes an SVG of them, for light and dark pages.
"""

# ruff: noqa: INP001 - no package

from __future__ import annotations

import io
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME, SVG_EXPORT_THEME
from rich.text import Text

from bamboo_logmetrics.cli.tail_text import LineText

FOLDER = Path(__file__).parent / "_static"
WIDTH = 100
TITLE = "bamboo-logmetrics tail -f logs/agent.jsonl"
THEMES = {"light": DEFAULT_TERMINAL_THEME, "dark": SVG_EXPORT_THEME}
_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)  # of another server: a page must work without the network

_CALL = {"session_id": "s-41", "round_id": "r-1"}
_USAGE = {"prompt_tokens": 41_234, "completion_tokens": 567, "total_tokens": 41_801, "cache_read_tokens": 40_000}
LINES: list[dict[str, Any]] = [
    {"event": "system.worker_started", "pid": 4711, "host": "web-1"},
    {"event": "chat.session_started", "session_id": "s-41", "model": "gpt-5-mini"},
    {"event": "chat.round_started", **_CALL, "model": "gpt-5-mini"},
    {"event": "chat.round_completed", **_CALL, "status": "success", **_USAGE, "latency_ms": 2345},
    {"event": "chat.tool_called", **_CALL, "tool_name": "read_file", "latency_ms": 12, "success": True},
    {"event": "chat.tool_called", **_CALL, "tool_name": "run_tests", "latency_ms": 8_120, "success": False}
    | {"level": "warning", "error_type": "Timeout"},
    {"event": "cache warmed", "plain": True, "entries": 312, "project": "shop"},
    {"event": "forward.request_started", "request_id": "q-7", "session_id": "s-41", "model": "gpt-5-mini"}
    | {"endpoint": "openai.responses", "is_stream": True},
    {"event": "forward.request_completed", "request_id": "q-7", "session_id": "s-41", "status": "error"}
    | {"status_code": 429, "latency_ms": 310, "error": "rate limit reached, try again in 2 s", "level": "error"},
    {"event": "chat.round_completed", **_CALL, "status": "success", **_USAGE, "latency_ms": 1_870}
    | {"usage_source": "missing", "model": "gpt-5-mini"},
    {"event": "retry of a lost connection", "plain": True, "attempt": 2, "level": "warning"},
    {"event": "system.metrics_dropped", "count": 17, "reason": "queue_full", "total": 17, "level": "warning"},
    {"event": "chat.message_count_updated", "session_id": "s-41", "message_count": 24},
    {"event": "chat.session_completed", "session_id": "s-41", "status": "completed"},
    {"event": "system.worker_stopped", "written": 1_204, "dropped": {"queue_full": 17}},
]


def shown() -> str:
    """Return the lines as a terminal shows them."""
    text = LineText(zone=timezone.utc)
    text.width, text.colour = WIDTH, True
    time = datetime(2026, 11, 30, 9, 15, 2, 120_000, timezone.utc)
    lines = []
    for number, line in enumerate(LINES):
        header = {"timestamp": (time + timedelta(seconds=0.7 * number)).isoformat(), "level": "info", "v": 1}
        lines.append(text.line(header | line, "agent"))
    return "\n".join(lines)


def picture(theme: str) -> str:
    """Return the SVG of the lines."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(shown()))
    svg = console.export_svg(title=TITLE, theme=THEMES[theme], unique_id=f"tail-{theme}")
    return "\n".join(line.rstrip() for line in _FONTS.sub("", svg).splitlines()).strip() + "\n"


def main() -> None:
    """Write the pictures."""
    for theme in THEMES:
        (FOLDER / f"tail-{theme}.svg").write_text(picture(theme), encoding="utf-8")


if __name__ == "__main__":
    main()
