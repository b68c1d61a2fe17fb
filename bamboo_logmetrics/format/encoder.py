"""Queued records to the bytes of their lines, numbered within the writer.

Each record is flattened, redacted, laid out and truncated. Most records of the native layout skip these steps: see
:mod:`bamboo_logmetrics.format.fast_path`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from bamboo_logmetrics.events import MetricsEvent, SystemEvent
from bamboo_logmetrics.events.times import format_ns
from bamboo_logmetrics.format import flatten
from bamboo_logmetrics.format.fast_path import FAST_PATHS
from bamboo_logmetrics.format.fields import HEADER_SET, fixed_fields, unmasked_keys
from bamboo_logmetrics.format.header import WRITER_BYTES
from bamboo_logmetrics.format.layouts import LAYOUTS
from bamboo_logmetrics.format.redact.clean import is_clean_flat
from bamboo_logmetrics.format.redact.flat import redact_flat
from bamboo_logmetrics.format.redact.looks import MASK
from bamboo_logmetrics.format.redact.rules import Redact
from bamboo_logmetrics.format.strict_json import encode
from bamboo_logmetrics.format.truncate import cap
from bamboo_logmetrics.record.clip import CUT, clip_flat, is_short_flat
from bamboo_logmetrics.record.packed import longest_text, unpack
from bamboo_logmetrics.record.queued import QueuedRecord, as_dict
from bamboo_logmetrics.system import FS, Clock

_MASK = MASK.encode()
_CLIP_FACTOR = 2  # a record is cut to so many times the characters of the longest line
_HEADER_OF_PLAIN = HEADER_SET - {"event"}  # the event of a plain line is its text
_MOST_KEYS = 1_000  # bound values of a record; more are left out


class LineEncoder:
    """Encodes the lines of one writer, numbered from 1 in the order of the calls.

    Args:
        layout: the name of the layout.
        max_line_bytes: the length of the longest line, with its newline.
        redact: True to mask secrets, False to mask none, or more keys and patterns to mask.
        fs, clock: the system.

    Attributes:
        redact: False if no secrets are masked.
        writer: the writer's id, 20 hex digits.
        seq: the number of the last line.
        fast_path_errors: the number of records at which the fast path raised; the general path encoded them.
    """

    def __init__(self, *, layout: str, max_line_bytes: int, redact: bool | Redact = True, fs: FS, clock: Clock) -> None:
        self._layout = LAYOUTS[layout]
        fast_path = FAST_PATHS.get(self._layout)
        self._fast_path = fast_path() if fast_path else None
        self._limit = max_line_bytes - 1
        self.redact = bool(redact)
        self._rules = redact if isinstance(redact, Redact) else None
        self._usual_rules = redact is True
        self._longest = longest_text(max_line_bytes)
        self._fs = fs
        self._clock = clock
        self.reset_writer()

    def reset_writer(self) -> None:
        """Become another writer, as at each opening of a log and in each forked child."""
        self.fast_path_errors = 0
        self.writer = self._fs.urandom(WRITER_BYTES).hex()
        self.seq = 0

    def encode(self, record: QueuedRecord) -> bytes | None:
        """Return the line of an emitted record, or None if it is too long even after truncation."""
        if self._fast_path is not None:
            seq = self.seq + 1
            try:
                line = self._fast_path.line(record, self.writer, seq)
                if (
                    line is not None
                    and len(line) <= self._limit
                    and (self._usual_rules or self._may_keep(line, record))
                ):
                    self.seq = seq
                    return line
            except Exception:  # noqa: BLE001 - the general path encodes the record, or writes a marker with the reason
                self.fast_path_errors += 1
        return self._encode_generally(record)

    def _may_keep(self, line: bytes, record: QueuedRecord) -> bool:
        """Return True if a line of the fast path, which masks the usual secrets, is right with other rules too."""
        if self._rules is not None:
            return not self._rules.may_mask(record)
        return _MASK not in line

    def _encode_generally(self, record: QueuedRecord) -> bytes | None:
        try:
            line = self._render_within_limit(self._flatten(record))
        except Exception as error:  # noqa: BLE001 - whatever a value raises, its place in the log must not be empty
            line = self._marker_line(record, error)
        return self._number(line)

    def encode_internal(self, event: SystemEvent, fields: Mapping[str, Any]) -> bytes:
        """Return the line of one of the log's own events, with more fields; empty if it is too long."""
        timestamp = format_ns(self._clock.time_ns())
        flat = flatten.expand(event, fields, writer=self.writer, seq=self.seq + 1, timestamp=timestamp, own=True)
        return self._number(self._render_within_limit(flat, own=True)) or b""

    def _flatten(self, record: QueuedRecord) -> dict[str, Any]:
        event, bound = record.event, {**unpack(record.context), **unpack(as_dict(record.bound))}
        timestamp = "" if record.time_ns is None else format_ns(record.time_ns)
        header: dict[str, Any] = {
            "writer": self.writer, "seq": self.seq + 1, "timestamp": timestamp, "exception": record.exception
        }  # fmt: skip
        many = len(bound) > _MOST_KEYS
        if many:
            bound = dict(islice(bound.items(), _MOST_KEYS))
        if isinstance(event, MetricsEvent):
            flat = flatten.expand(event, bound, **header)
        else:
            flat = flatten.expand_plain(event, bound, level=record.level or "info", **header)
        return flat | {"truncated": ["bound"]} if many else flat

    def _render_within_limit(self, flat: dict[str, Any], *, own: bool = False) -> bytes:
        """Return the line of a flat record after redaction and truncation, without its newline.

        The application's own rules do not apply to lines of the log itself, by which verify goes.
        """
        if not (self._usual_rules and is_short_flat(flat) and is_clean_flat(flat)):
            whole = _HEADER_OF_PLAIN if "plain" in flat else unmasked_keys(fixed_fields(flat["event"]))
            cut = [key for key, value in flat.items() if type(value) is str and len(value) > self._longest]
            clipped = clip_flat(flat, _CLIP_FACTOR * self._limit, whole)  # before what takes time for each character
            if self.redact and not is_clean_flat(flat):
                redact_flat(flat)
            if self._rules is not None and not own:
                self._rules.mask_flat(flat)
            for key in cut:
                if key in flat and key not in clipped:  # cut at the call; with its secrets masked the rest may fit
                    flat[key] += CUT
            _mark_truncated(flat, [*cut, *clipped])
        return cap(flat, self._limit, self._render)[1]

    def _render(self, flat: dict[str, Any]) -> bytes:
        return encode(self._layout.write(flat))

    def _number(self, line: bytes) -> bytes | None:
        if len(line) > self._limit:
            return None
        self.seq += 1
        return line + b"\n"

    def _marker_line(self, record: QueuedRecord, error: Exception) -> bytes:
        """Return a plain line that names the record that could not be encoded, and the error.

        The name is the event's kind, or only its class if the kind raises as well.
        """
        event = record.event
        name = "a plain line"
        try:
            if isinstance(event, MetricsEvent):
                name = type(event).__name__
                name = event.kind
            return self._render_within_limit(self._marker(name, error))
        except Exception:  # noqa: BLE001 - otherwise the batch of this record could never be written
            return encode(self._marker(name, error))  # as a native line, which can be read beside those of any layout

    def _marker(self, name: str, error: Exception) -> dict[str, Any]:
        return flatten.expand_plain(
            f"{name} could not be encoded",
            {"encode_error": type(error).__name__},
            level="error",
            timestamp=format_ns(self._clock.time_ns()),
            writer=self.writer,
            seq=self.seq + 1,
        )


def _mark_truncated(flat: dict[str, Any], keys: Iterable[str]) -> None:
    """Name the keys of values that were cut, at the end of a flat record."""
    names = dict.fromkeys([*flat.get("truncated", ()), *(key for key in keys if key in flat)])
    if names:
        flat.pop("truncated", None)
        flat["truncated"] = list(names)
