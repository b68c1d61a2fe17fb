"""Make the pictures of ``summary`` and ``tail`` in ``docs/_static``: ``python docs/pictures.py``.

The lines are made up, and shown by the code of the commands; rich makes an SVG of them, for light and dark pages.
"""

# ruff: noqa: INP001 - no package

from __future__ import annotations

import io
import re
import sys
import tempfile
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.terminal_theme import DEFAULT_TERMINAL_THEME, SVG_EXPORT_THEME
from rich.text import Text

from bamboo_logmetrics import summarize
from bamboo_logmetrics.cli import summary_text
from bamboo_logmetrics.cli.summary_command import summary_table
from bamboo_logmetrics.cli.tail_text import LineText

FOLDER = Path(__file__).parent / "_static"
TESTS = Path(__file__).parent.parent / "tests"
WIDTH = 100  # of tail
SUMMARY_WIDTH = 116
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


# prices of the picture, which stay as they are when those of genai-prices change
PRICES = """
[[price]]
model = "claude-*"
input = 3
output = 15
cache_read = 0.3
[[price]]
model = "gpt-5"
input = 1.25
output = 10
cache_read = 0.125
[[price]]
model = "gpt-5-mini"
input = 0.25
output = 2
cache_read = 0.025
[[price]]
model = "gemini-*"
input = 1.25
output = 10
cache_read = 0.125
"""


def summary() -> list[RenderableType]:
    """Return the summary of a made-up week, by model."""
    if str(TESTS) not in sys.path:
        sys.path.append(str(TESTS))
    from support.agent_week import Week

    with tempfile.TemporaryDirectory() as folder:
        prices = Path(folder) / "prices.toml"
        prices.write_text(PRICES, encoding="utf-8")
        result = summarize(Week().write(Path(folder)), by="model", tz="UTC", prices=prices)
    result = replace(result, prices=prices.name)  # without the version of genai-prices, which changes
    notes = "\n".join([summary_text.extent(result), *summary_text.cost_note(result)])
    warnings = Text("\n".join(summary_text.warnings(result)), style="yellow")
    return [summary_table(result, SUMMARY_WIDTH), notes, warnings]


def tail() -> list[RenderableType]:
    """Return the lines as a terminal shows them."""
    text = LineText(zone=timezone.utc)
    text.width, text.colour = WIDTH, True
    time = datetime(2026, 11, 30, 9, 15, 2, 120_000, timezone.utc)
    lines = []
    for number, line in enumerate(LINES):
        header = {"timestamp": (time + timedelta(seconds=0.7 * number)).isoformat(), "level": "info", "v": 1}
        lines.append(text.line(header | line, "agent"))
    return [Text.from_ansi("\n".join(lines))]


# name of a picture: what it shows, its width in columns, and the command
PICTURES = {
    "summary": (summary, SUMMARY_WIDTH, "bamboo-logmetrics summary logs/agents.jsonl --by model --prices prices.toml"),
    "tail": (tail, WIDTH, "bamboo-logmetrics tail -f logs/agent.jsonl"),
}


def picture(name: str, theme: str) -> str:
    """Return the SVG of a picture."""
    show, width, title = PICTURES[name]
    console = Console(
        record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor", highlight=False
    )
    console.print(*show(), sep="\n")
    svg = console.export_svg(title=title, theme=THEMES[theme], unique_id=f"{name}-{theme}")
    return "\n".join(line.rstrip() for line in _FONTS.sub("", svg).splitlines()).strip() + "\n"


def main() -> None:
    """Write the pictures."""
    for name in PICTURES:
        for theme in THEMES:
            (FOLDER / f"{name}-{theme}.svg").write_text(picture(name, theme), encoding="utf-8")


if __name__ == "__main__":
    main()
