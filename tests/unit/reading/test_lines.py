from __future__ import annotations

import json

import pytest

import bamboo_logmetrics as blm
from bamboo_logmetrics.reading.lines import flat_line

LINE = {
    "timestamp": "2026-11-22T15:47:13.400000Z", "level": "info", "event": "chat.tool_called", "v": 1,
    "writer": "9f3c21d07a55e8b04c1d", "seq": 2, "tool_name": "ls",
}  # fmt: skip


def with_values(**values):
    return json.dumps(LINE | values, separators=(",", ":")).encode()


@pytest.mark.parametrize("layout", ["native", "ecs", "otel"])
def test_a_line_of_any_layout(path, layout):
    """A line of each layout gives the same flat record."""
    with blm.open_log(path, layout=layout) as log:
        log.emit(
            blm.ToolCalled(tool_call_id="c", round_id="r", session_id="s", tool_name="ls", latency_ms=3, success=True)
        )
    flat = flat_line(path.read_bytes().splitlines()[1])
    assert {"event": "chat.tool_called", "session_id": "s", "latency_ms": 3, "success": True}.items() <= flat.items()


def test_hostile_values():
    """Values that no type holds, and a line that no log wrote, are values of their line."""
    for value in ("1e400", "1" * 400, '{"\\";DROP": [1e999]}'):
        flat = flat_line(with_values(x="#").replace(b'"#"', value.encode()))
        assert flat["tool_name"] == "ls"
    assert flat_line(json.dumps({key: LINE[key] for key in ("timestamp", "level", "event", "v")}).encode())["v"] == 1


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"", "blank"),
        (b" \r", "blank"),
        (b"Listening on :80", "text"),
        (b"{", "text"),
        (b'{"a":1,', "text"),
        (b'{"a":"\xff"}', "text"),
        (with_values()[:-1], "broken"),
        (with_values()[:40], "broken"),
        (with_values()[:60] + b"\0" * 40, "broken"),
        (b'{"msg":"hello"}', "foreign"),
        (b"12", "foreign"),
        (b'{"a":1e999}', "foreign"),
        (with_values(writer="\x1b[31m"), "foreign"),
        (with_values(v="1"), "foreign"),
        (with_values(v=2), "newer"),
        (with_values(timestamp="yesterday"), "broken"),
        (with_values(level=None), "broken"),
        (b"[" * 100_000, "text"),
    ],
)
def test_other_lines(line, kind):
    """Whatever is not a line of a log has a kind."""
    assert flat_line(line) == kind
