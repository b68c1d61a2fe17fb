"""Files of OpenTelemetry's logs and spans: those of the collector's file exporter, and bodies of requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from bamboo_logmetrics.importers.base import ImportedEvent, Importer, ImportReport, read_each
from bamboo_logmetrics.importers.otlp.converter import Converter
from bamboo_logmetrics.importers.otlp.files import LENGTH, ZSTD_MAGIC, batches_of, is_blocks
from bamboo_logmetrics.importers.sources import lines_of, with_compressed

_HEAD = 65_536  # bytes
_MARKS = (
    b'"resourceLogs"',
    b'"resourceSpans"',
    b'"resourceMetrics"',
    b'"hrTime"',
    b'"_spanContext"',
    b'"scopeMetrics"',
)


class Otlp(Importer):
    """Logs and spans of OpenTelemetry."""

    name = "otlp"
    help = (
        "Import OpenTelemetry logs and spans from files of the collector's file exporter: calls and tool calls of "
        "Claude Code, Codex, Gemini CLI, and of everybody who follows the GenAI conventions, without their texts."
    )
    patterns = with_compressed(("*otlp*.json", "*otlp*.jsonl", "telemetry.log"))
    usual_path = "otlp.jsonl"
    independent = True
    unique_ids = True

    def recognises(self, path: Path) -> bool:
        """Return True if the beginning of a file is of OTLP."""
        try:
            with path.open("rb") as file:
                if is_blocks(file.read(LENGTH + len(ZSTD_MAGIC))):
                    return True
            size = 0
            for _, raw in lines_of(path, ImportReport()):
                if any(mark in raw[:_HEAD] for mark in _MARKS):
                    return True
                size += len(raw)
                if size > _HEAD:
                    return False
        except OSError:
            return True  # it is reported when it is read
        return False

    def read(self, files: Sequence[Path], report: ImportReport) -> Iterator[ImportedEvent]:
        """Yield the events of each file, and report the names of records that become no events."""
        converter = Converter()
        yield from read_each(files, report, partial(_read_file, converter))
        for category, names in converter.names.items():
            for name, number in names.items():
                report.counts[f"{category}: {name}"] += number


def _read_file(converter: Converter, path: Path, report: ImportReport) -> Iterator[ImportedEvent]:
    for records in batches_of(path, report):
        yield from converter.events(records)


OTLP = Otlp()
