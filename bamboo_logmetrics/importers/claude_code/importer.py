"""Events of Claude Code transcripts, with the times of the transcript.

- A **session** is one ``sessionId``, in however many files. A sub-agent is a session of its own,
  ``<sessionId>:<agentId>``, with ``parent_session_id`` bound. An older CLI nests the messages of a sub-agent in
  ``progress`` lines of its parent; a newer one writes side-chain records; a result in the parent describes the last
  call. A session lasts from its earliest to its latest record. Its status depends on how it ends: ``cancelled`` after
  an interrupt, ``error`` after a request that failed for good, else ``completed``.
- A **round** is one answer of a real model; :mod:`~bamboo_logmetrics.importers.catalog` tells which lines are one. It
  belongs to the session with the earliest record, so that a copied history does not count twice. It starts at the
  record that the ``parentUuid`` of its first line names (for a nested message: at the record of the sub-agent before
  it) and ends with its latest line. Its status is ``success``; ``cancelled`` or ``error`` if an interrupt or an API
  error directly follows a message without a stop reason. An interrupt "for tool use" stopped a tool; the round before
  it is complete.
- A **tool call** is a ``tool_use`` with a ``tool_result``. It failed if ``is_error`` is true.
- The **message count** at the end of a session is the number of its own prompts and rounds. A prompt is a record that
  a person wrote, or the task of a sub-agent. Tool results, interrupts, the summary of a compaction, meta records,
  notifications and commands that the CLI answered itself are not prompts.
- A **failed request** is a ``system`` line of an API error, or the final error that the CLI shows.

A missing usage or start is 0, with ``usage_source`` or ``latency_source`` bound as "missing". ``usage_source`` is
"partial" if no line of a message has a stop reason: then its ``output_tokens`` come from the start of the stream (true
of most messages of CLI 2.1.42 and before).
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from bamboo_logmetrics.importers.base import ImportReport
from bamboo_logmetrics.importers.catalogued import CataloguedImporter
from bamboo_logmetrics.importers.claude_code.records import is_record, read_records
from bamboo_logmetrics.importers.claude_code.transcript import scan
from bamboo_logmetrics.importers.facts import FileFacts
from bamboo_logmetrics.importers.sources import with_compressed

_FIRST_LINES = 100


class ClaudeCode(CataloguedImporter):
    """Transcripts of Claude Code."""

    name = "claude-code"
    agent = "claude-code"
    help = (
        "Import Claude Code transcripts: sessions, rounds, tool calls, failed requests and tokens, with their times, "
        "but without their texts."
    )
    patterns = with_compressed(("*.jsonl",))
    usual_path = "~/.claude/projects"

    def scan(self, path: Path, report: ImportReport, *, growing: bool) -> FileFacts:
        """Return the facts of a transcript."""
        return scan(path, report, growing=growing)

    def recognises(self, path: Path) -> bool:
        """Return True if one of the first lines of a file is a record of a transcript."""
        try:
            records = islice(read_records(path, ImportReport()), _FIRST_LINES)
            return any(is_record(record) for record in records)
        except OSError:
            return True  # it is reported when it is read


CLAUDE_CODE = ClaudeCode()
