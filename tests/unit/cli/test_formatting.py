from __future__ import annotations

import io
import sys

from rich.console import Console
from rich.progress import Progress

from bamboo_logmetrics.cli import formatting


def test_printable():
    """Text is shown as it is, but for what would steer a terminal or is no text."""
    assert formatting.printable("größer [x] 大") == "größer [x] 大"
    assert formatting.printable("a\x1b[0m\n\u202e\udcff") == r"a\x1b[0m\n\u202e\udcff"


def test_counts():
    """Counts are shown with their sum, by reason."""
    assert formatting.counts({}) == "0"
    assert formatting.counts({"too_large": 1_000, "queue_full": 2}) == "1,002 (queue_full 2, too_large 1,000)"


def test_plural():
    """One is one, and all others are many."""
    assert [formatting.plural(count, "line") for count in (0, 1, 2_000)] == ["0 lines", "1 line", "2,000 lines"]


def test_a_broken_pipe(monkeypatch, tmp_path):
    """After a broken pipe, stdout leads nowhere, so that the flush at exit cannot fail."""
    with (tmp_path / "out").open("w", encoding="utf-8") as file:
        monkeypatch.setattr(sys, "stdout", file)
        with formatting.tolerate_broken_pipe():
            raise BrokenPipeError
        file.write("to nobody")
    assert (tmp_path / "out").read_bytes() == b""


def test_progress_is_shown_once_reading_takes_a_while():
    """A progress bar is hidden for a second, then shown, and gone once it is stopped."""
    times = iter([0.0, 0.5, 1.5])
    console = Console(file=io.StringIO(), force_terminal=True)
    with Progress(console=console) as bar:
        progress = formatting.ReadingProgress(bar, clock=lambda: next(times))
        progress(5, 100)
        assert not bar.tasks[0].visible
        progress(50, 100)
        assert (bar.tasks[0].visible, bar.tasks[0].completed) == (True, 50)
        progress.stop()
        assert not bar.live.is_started
        progress.stop()
