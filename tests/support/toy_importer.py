"""A toy importer, made through the public seam only: the chats of a tool that splits one session over several files.

Each line of a ``*.toy`` file is one round: session, time, model, prompt tokens and completion tokens.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from bamboo_logmetrics import EventMeta, RoundCompleted, SessionCompleted, SessionStarted, TokenUsage
from bamboo_logmetrics.importers import ImportedEvent, Importer, ImportReport, read_each

_NAMESPACE = uuid.UUID("00000000-0000-4000-8000-000000000001")


class ToyImporter(Importer):
    """Chats of the toy."""

    name = "toy"
    help = "Import chats of the toy: sessions and rounds."
    patterns = ("*.toy", "*.toy.old")
    usual_path = "~/.toy"

    def read(self, files: Sequence[Path], report: ImportReport) -> Iterator[ImportedEvent]:
        """Yield the events of each session after all files are read."""
        sessions: dict[str, list[RoundCompleted]] = defaultdict(list)
        for imported in read_each(files, report, _read_rounds):
            sessions[imported.event.session_id].append(imported.event)
        report.counts["chats in several files"] = sum(len(rounds) > 1 for rounds in sessions.values())
        for session_id, rounds in sessions.items():
            rounds.sort(key=lambda event: event.meta.occurred_at)
            start, end = rounds[0].meta.occurred_at, rounds[-1].meta.occurred_at
            bound = {"importer": self.name}
            started = SessionStarted(session_id=session_id, model="toy", meta=_meta(start, "start", session_id))
            completed = SessionCompleted(session_id=session_id, status="completed", meta=_meta(end, "end", session_id))
            for event in (started, *rounds, completed):
                yield ImportedEvent(event, bound)


def _read_rounds(file: Path, report: ImportReport) -> Iterator[ImportedEvent]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                session_id, time, model, prompt, completion = line.split()
                usage = TokenUsage(
                    prompt_tokens=int(prompt),
                    completion_tokens=int(completion),
                    total_tokens=int(prompt) + int(completion),
                )
                at = datetime.fromisoformat(time)
            except ValueError:
                report.problem(file, "not a round", number)
            else:
                round_id = f"{session_id}-{time}"
                event = RoundCompleted(
                    round_id=round_id, session_id=session_id, status="success", usage=usage, latency_ms=0,
                    meta=_meta(at, "round", round_id),
                )  # fmt: skip
                yield ImportedEvent(event, {"model": model})
            report.progress(len(line.encode()))


def _meta(at: datetime, *ids: str) -> EventMeta:
    return EventMeta(event_id=str(uuid.uuid5(_NAMESPACE, "\n".join(ids))), occurred_at=at)
