"""The findings on one writer, in words."""

from __future__ import annotations

from collections.abc import Iterator

from bamboo_logmetrics.reading.verification.report import End, Finding, FindingKind
from bamboo_logmetrics.reading.verification.tallies import WriterTally

LOSSES: frozenset[FindingKind] = frozenset({"gap", "missing_beginning", "unclean_end", "counts"})
_MOST_GAPS = 5  # gaps that a text lists


def writer_findings(
    tally: WriterTally, end: End, *, elsewhere: bool, acknowledged_at: str | None = None
) -> Iterator[Finding]:
    """Yield the problems and notes of one writer.

    Args:
        tally: its totals.
        end: how it ended.
        elsewhere: True if it wrote on another machine or in another container, whose processes are not seen here.
        acknowledged_at: the time at which its loss was acknowledged; None if that is not so, or if it has lost more.
    """

    def finding(kind: FindingKind, text: str) -> Finding:
        known = acknowledged_at if kind in LOSSES else None
        return Finding(
            kind="acknowledged" if known else kind,
            text=f"acknowledged on {known}: {text}" if known else text,
            writer=tally.writer,
        )

    gaps = tally.gaps()
    if tally.removed:
        last = tally.numbers.starts[0] - 1
        yield finding("removed_by_retention", f"lines 1-{last} are not in these files; retention has removed them")
    elif gaps and gaps[0][0] == 1:
        yield finding(
            "missing_beginning", f"missing lines: 1-{gaps[0][1]}; not removed by retention, as an older file exists"
        )
        gaps = gaps[1:]
    if gaps:
        yield finding("gap", f"missing lines: {_format_gaps(gaps)}")
    for text in tally.disagreements() or ():
        yield finding("counts", text)
    if end == "running":
        yield finding("running", f"is running: {_process(tally)}{_proof(tally)}")
    elif end == "unclean end":
        yield finding(
            "unclean_end",
            f"ended without worker_stopped, and does not run {_place(elsewhere=elsewhere)}: {_process(tally)}; events "
            "that were still queued are lost (if SIGTERM ended it: see the option close_on_sigterm)",
        )


def _process(tally: WriterTally) -> str:
    return f"pid {tally.pid} on {tally.host}" if tally.pid else "unknown process, as its worker_started is missing"


def _proof(tally: WriterTally) -> str:
    if not tally.pid or tally.boot_id:
        return ""
    return " (by host, process id and start time; its worker_started has no boot id, which would prove it)"


def _place(*, elsewhere: bool) -> str:
    return (
        "here (it wrote on another machine or in another container: verify there if it may run)"
        if elsewhere
        else "any more"
    )


def _format_gaps(gaps: tuple[tuple[int, int], ...]) -> str:
    """Return gaps as ``7-9, 12 (4 in all)``."""
    count = sum(last - first + 1 for first, last in gaps)
    listed = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in gaps[:_MOST_GAPS])
    more = f", and {len(gaps) - _MOST_GAPS} more gaps" if len(gaps) > _MOST_GAPS else ""
    return f"{listed}{more} ({count} in all)"
