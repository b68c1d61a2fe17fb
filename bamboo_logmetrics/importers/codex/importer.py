"""Events of Codex rollouts, with the times of the rollout.

- A **session** is a thread. A sub-agent is a thread with ``parent_session_id``. A fork has ``forked_from``; an older
  one replays the history of its parent, which counts for the parent alone.
- A **round** is one answer of the model, with the usage of its own: running totals are never used, since they include
  those of a parent. Archived and compressed copies of a thread count once.
- A **tool call** failed by its exit code, by the status of its item, or by the exit code in its output.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from bamboo_logmetrics.importers.base import ImportReport
from bamboo_logmetrics.importers.catalogued import CataloguedImporter
from bamboo_logmetrics.importers.codex.records import read_records
from bamboo_logmetrics.importers.codex.rollout import scan
from bamboo_logmetrics.importers.facts import FileFacts
from bamboo_logmetrics.importers.sources import with_compressed

_FIRST_LINES = 20
_TYPES = ("session_meta", "response_item", "event_msg", "turn_context")


class Codex(CataloguedImporter):
    """Rollouts of the Codex CLI."""

    name = "codex"
    agent = "codex"
    help = "Import Codex rollouts: sessions, rounds, tool calls and tokens, with their times, but without their texts."
    patterns = with_compressed(("rollout-*.jsonl",))
    usual_path = "~/.codex"

    def scan(self, path: Path, report: ImportReport, *, growing: bool) -> FileFacts:
        """Return the facts of a rollout."""
        return scan(path, report, growing=growing)

    def recognises(self, path: Path) -> bool:
        """Return True if one of the first lines of a file is a record of a rollout."""
        try:
            records = islice(read_records(path, ImportReport()), _FIRST_LINES)
            return any(record.type in _TYPES and record.payload is not None for record in records)
        except OSError:
            return True  # it is reported when it is read


CODEX = Codex()
