"""The form of a line as a python-json-logger formatter."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from pythonjsonlogger.core import BaseJsonFormatter

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.events import MetricsEvent
from bamboo_logmetrics.events.times import format_ns
from bamboo_logmetrics.format import flatten
from bamboo_logmetrics.format.redact.flat import redact_flat
from bamboo_logmetrics.format.strict_json import encode
from bamboo_logmetrics.format.truncate import cap
from bamboo_logmetrics.logger.log_record import NS, event_and_fields
from bamboo_logmetrics.logger.record_fields import FieldGetter
from bamboo_logmetrics.record.levels import level_at
from bamboo_logmetrics.record.snapshot import MAX_DEPTH, SCALARS, freeze_mapping, freeze_text


class FlatJsonFormatter(BaseJsonFormatter):
    """A formatter for any stdlib handler, which gives records the form of a line in the native layout.

    Events that are logged as messages become typed lines. The lines carry no ``writer`` and ``seq``, which only a
    log's own worker can number: :func:`read` reads them, :func:`verify` cannot account for them::

        handler = logging.StreamHandler()
        handler.setFormatter(bamboo_logmetrics.FlatJsonFormatter(static_fields={"env": "prod"}))

    The options are python-json-logger's. ``fmt`` names attributes of the record to write besides the line's own keys,
    such as ``%(filename)s``. ``timestamp`` names another key for the time. Lines in which ``rename_fields``,
    ``json_indent``, ``prefix`` or the arrays change the form are not read by :func:`read`.

    Args:
        args: as for python-json-logger's formatters.
        max_line_bytes: length of a line in bytes; a longer line is cut.
        json_indent: number of spaces by which a record is indented, over several lines.
        json_default: function that turns an object into plain data, instead of the form it has by nature.
        json_ensure_ascii: True to escape what is not ASCII.
        options: as for python-json-logger's formatters, such as ``static_fields`` and ``rename_fields``.

    Raises:
        ConfigError: ``json_encoder`` or ``json_serializer`` is given, which a line cannot have.
    """

    def __init__(
        self,
        *args: Any,
        max_line_bytes: int = 32_000,
        json_indent: int | str | None = None,
        json_default: Callable[[Any], Any] | None = None,
        json_ensure_ascii: bool = False,
        **options: Any,
    ) -> None:
        for name in ("json_encoder", "json_serializer"):
            if options.pop(name, None) is not None:
                msg = f"{name} has no effect: lines are strict JSON by one encoder; use json_default for your own types"
                raise ConfigError(msg)
        super().__init__(*args, **options)
        if (
            not args and options.get("fmt") is None
        ):  # python-json-logger's default is the message, which is `event` here
            self._required_fields = []
        self._max_line_bytes = max_line_bytes
        self.json_indent = json_indent
        self.json_default = json_default
        self.json_ensure_ascii = json_ensure_ascii
        self._getter = FieldGetter(self._required_fields, self.reserved_attrs, self.defaults, self.static_fields)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record, without a newline."""
        event, fields = self._event_and_fields(record)
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
        return self.serialize_log_record(self.process_log_record(self._renamed(flat)))

    def _event_and_fields(self, record: logging.LogRecord) -> tuple[Any, dict[str, Any]]:
        if "asctime" in self._required_fields:
            record.asctime = self.formatTime(record, self.datefmt)
        event, fields = event_and_fields(record, self._getter)
        if "message" in self._required_fields:
            fields["message"] = event if isinstance(event, MetricsEvent) else freeze_text(event)
        if isinstance(self.timestamp, str):
            fields[self.timestamp] = format_ns(int(record.created * NS))
        if self.json_default is not None:
            fields = {key: _plain(value, self.json_default, 0) for key, value in fields.items()}
        return event, fields

    def _renamed(self, flat: dict[str, Any]) -> dict[str, Any]:
        """Return a flat record as the options change it."""
        for key, as_array in (("exception", self.exc_info_as_array), ("stack", self.stack_info_as_array)):
            if as_array and isinstance(flat.get(key), str):
                flat[key] = flat[key].splitlines()
        renamed = {self._get_rename(key): value for key, value in flat.items()}
        missing = self.rename_fields.values() if self.rename_fields_keep_missing else ()
        return renamed | {key: None for key in missing if key not in renamed}

    def jsonify_log_record(self, log_data: dict[str, Any]) -> str:
        """Return a flat record as strict JSON: NaN and infinite numbers become null."""
        text = encode(log_data).decode()
        if self.json_indent is None and not self.json_ensure_ascii:
            return text
        separators = None if self.json_indent is not None else (",", ":")
        return json.dumps(
            json.loads(text), indent=self.json_indent, ensure_ascii=self.json_ensure_ascii, separators=separators
        )


def _plain(value: Any, default: Callable[[Any], Any], depth: int) -> Any:
    """Return a value with ``default`` applied to each object in it that JSON has no form for."""
    if value is None or type(value) in SCALARS or depth > MAX_DEPTH:
        return value
    if isinstance(value, dict):
        return {key: _plain(item, default, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, default, depth + 1) for item in value]
    try:
        return default(value)
    except Exception:  # noqa: BLE001 - the function of the application may refuse: then the value's natural form counts
        return value
