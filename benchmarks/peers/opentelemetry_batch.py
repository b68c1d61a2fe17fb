"""OpenTelemetry's logs SDK: a batch processor, exported to a file as JSON lines.

Set up as the SDK's documentation has it (``LoggerProvider``, ``BatchLogRecordProcessor``); the exporter is the SDK's
own for streams, given a file, one record a line. The queue drops when it is full, so it is made to hold the whole run.
"""

from __future__ import annotations

import time
from typing import Any

from benchmarks.events import KIND, SCALARS, TEXT, Load, fields
from benchmarks.peers.base import Peer

TITLE = "OpenTelemetry logs, batch processor"
NEEDS = ("opentelemetry.sdk._logs",)
PACKAGES = ("opentelemetry-sdk",)

LEAST_QUEUE = 2048  # the SDK's default


def open_peer(path: str, load: Load) -> Peer:
    """Open the file and a provider that exports to it."""
    from opentelemetry._logs import SeverityNumber
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, ConsoleLogRecordExporter

    file = open(path, "a", encoding="utf-8")
    exporter = ConsoleLogRecordExporter(out=file, formatter=lambda record: record.to_json(indent=None) + "\n")
    provider = LoggerProvider()
    provider.add_log_record_processor(
        BatchLogRecordProcessor(exporter, max_queue_size=max(LEAST_QUEUE, load.burst + 1))
    )
    log = provider.get_logger("benchmarks")
    bound, error, severity = dict(load.bound), load.error, SeverityNumber.INFO

    def send(body: str, attributes: dict[str, Any]) -> None:
        log.emit(
            timestamp=time.time_ns(), severity_number=severity, severity_text="INFO", body=body, attributes=attributes
        )

    def close() -> None:
        provider.shutdown()
        file.close()

    return Peer(
        emit=lambda number: send(KIND, {**fields(number, error), **bound}),
        plain=lambda _: send(TEXT, {**SCALARS, **bound}),
        flush=provider.force_flush,
        close=close,
    )
