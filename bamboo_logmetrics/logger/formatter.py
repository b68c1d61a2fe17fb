"""The form of a line as a python-json-logger formatter."""

from __future__ import annotations

import logging
from typing import Any

from pythonjsonlogger.core import BaseJsonFormatter

from bamboo_logmetrics.events import MetricsEvent
from bamboo_logmetrics.events.times import format_ns
from bamboo_logmetrics.format import flatten
from bamboo_logmetrics.format.redact.flat import redact_flat
from bamboo_logmetrics.format.strict_json import encode
from bamboo_logmetrics.format.truncate import cap
from bamboo_logmetrics.logger.log_record import NS, event_and_fields
from bamboo_logmetrics.record.levels import level_at
from bamboo_logmetrics.record.snapshot import freeze_mapping, freeze_text


class FlatJsonFormatter(BaseJsonFormatter):
    """A formatter for any stdlib handler, which gives records the form of a line in the native layout.

    Events that are logged as messages become typed lines. The lines carry no ``writer`` and ``seq``, which only a
    log's own worker can number: :func:`read` reads them, :func:`verify` cannot account for them::

        handler = logging.StreamHandler()
        handler.setFormatter(bamboo_logmetrics.FlatJsonFormatter(static_fields={"env": "prod"}))

    Args:
        args: as for python-json-logger's formatters.
        max_line_bytes: length of a line in bytes; a longer line is cut.
        options: as for python-json-logger's formatters, such as ``static_fields`` and ``rename_fields``.
    """

    def __init__(self, *args: Any, max_line_bytes: int = 32_000, **options: Any) -> None:
        super().__init__(*args, **options)
        self._max_line_bytes = max_line_bytes

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record, without a newline."""
        event, fields = event_and_fields(record)
        fields = {**self.defaults, **self.static_fields, **fields}
        exception = fields.pop("exception", None)
        timestamp = format_ns(int(record.created * NS))
        common: dict[str, Any] = {"timestamp": timestamp, "exception": exception}
        if isinstance(event, MetricsEvent):
            flat = flatten.expand(event, freeze_mapping(fields), **common)
        else:
            level = level_at(record.levelno or 0)
            flat = flatten.expand_plain(freeze_text(event), freeze_mapping(fields), level=level, **common)
        redact_flat(flat)
        flat, _ = cap(flat, self._max_line_bytes)
        return self.serialize_log_record({self._get_rename(key): value for key, value in flat.items()})

    def jsonify_log_record(self, log_data: dict[str, Any]) -> str:
        """Return a flat record as strict JSON: NaN and infinite numbers become null."""
        return encode(log_data).decode()
