"""Records to the bytes of their lines: expand, redact, layout, cap, and the number within the writer."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from bamboo_logmetrics.events import MetricsEvent, SystemEvent
from bamboo_logmetrics.events.times import format_ns, format_utc
from bamboo_logmetrics.format import flatten
from bamboo_logmetrics.format.fast_path import FastPath
from bamboo_logmetrics.format.layouts import LAYOUTS, NATIVE
from bamboo_logmetrics.format.redact.flat import redact_flat
from bamboo_logmetrics.format.strict_json import encode
from bamboo_logmetrics.format.truncate import cap
from bamboo_logmetrics.record.queued import QueuedRecord, as_dict
from bamboo_logmetrics.system import FS, Clock, host, process_started_at

_NESTED = frozenset({dict, list})
WRITER_BYTES = 10  # 20 hex digits


class LineEncoder:
    """Makes the lines of one writer, numbered from 1 in the order of the calls.

    Args:
        layout: the name of the layout.
        max_line_bytes: the longest line, with its newline.
        fs, clock: the system.
    """

    def __init__(self, *, layout: str, max_line_bytes: int, fs: FS, clock: Clock) -> None:
        self._layout = LAYOUTS[layout]
        self._native = FastPath() if self._layout is NATIVE else None
        self._limit = max_line_bytes - 1
        self._fs = fs
        self._clock = clock
        self.reset_writer()

    def reset_writer(self) -> None:
        """Be another writer, as every opening and every forked child is."""
        self.fast_path_errors = 0  # records that raised there; they were written the other way
        self.writer = self._fs.urandom(WRITER_BYTES).hex()
        self.seq = 0

    def user(self, item: QueuedRecord) -> bytes | None:
        """Return the line of an emitted record, or None when it is too long even after cutting."""
        if self._native is not None:
            seq = self.seq + 1
            try:
                line = self._native.line(item, self.writer, seq)
                if line is not None and len(line) <= self._limit:
                    self.seq = seq
                    return line
            except Exception:  # noqa: BLE001 - the other way writes the record, or says why it cannot
                self.fast_path_errors += 1
        return self._step_by_step(item)

    def _step_by_step(self, item: QueuedRecord) -> bytes | None:
        try:
            line = self._finish(self._expand(item))
        except Exception as error:  # noqa: BLE001 - whatever the value did, its place in the log must not be empty
            line = self._marker_line(item, error)
        return self._number(line)

    def own(self, event: SystemEvent, extra: Mapping[str, Any]) -> bytes:
        """Return a line of the log itself."""
        timestamp = format_ns(self._clock.time_ns())
        flat = flatten.expand(event, extra, writer=self.writer, seq=self.seq + 1, timestamp=timestamp, own=True)
        return self._number(self._finish(flat)) or b""

    def _expand(self, item: QueuedRecord) -> dict[str, Any]:
        what, beside = item.event, {**item.context, **as_dict(item.bound)}
        timestamp = "" if item.time_ns is None else format_ns(item.time_ns)
        common: dict[str, Any] = {
            "writer": self.writer, "seq": self.seq + 1, "timestamp": timestamp, "exception": item.exception
        }  # fmt: skip
        if isinstance(what, MetricsEvent):
            return flatten.expand(what, beside, **common)
        return flatten.expand_plain(what, beside, level=item.level or "info", **common)

    def _finish(self, flat: dict[str, Any]) -> bytes:
        for key, value in flat.items():
            if type(value) is str or type(value) in _NESTED:
                flat[key] = _clip(value, 2 * self._limit)
        redact_flat(flat)
        return cap(flat, self._limit, self._render)[1]

    def _render(self, flat: dict[str, Any]) -> bytes:
        return encode(self._layout.write(flat))

    def _number(self, line: bytes) -> bytes | None:
        if len(line) > self._limit:
            return None
        self.seq += 1
        return line + b"\n"

    def _marker_line(self, item: QueuedRecord, error: Exception) -> bytes:
        """Return a plain line that says what could not be encoded; not more than its class where even that raises."""
        event = item.event
        what = "a plain line"
        try:
            if isinstance(event, MetricsEvent):
                what = type(event).__name__
                what = event.kind
            return self._finish(self._marker(what, error))
        except Exception:  # noqa: BLE001 - else the batch of this record could never be written
            return self._render(self._marker(what, error))

    def _marker(self, what: str, error: Exception) -> dict[str, Any]:
        return flatten.expand_plain(
            f"{what} could not be encoded",
            {"encode_error": type(error).__name__},
            level="error",
            timestamp=format_ns(self._clock.time_ns()),
            writer=self.writer,
            seq=self.seq + 1,
        )


def _clip(value: Any, longest: int) -> Any:
    """Return a value without what lies so far back that it cannot be in the line: looking for secrets takes time."""
    if isinstance(value, str):
        return value if len(value) <= longest else value[:longest]
    if isinstance(value, dict):
        return {key: _clip(item, longest) for key, item in value.items()}
    return [_clip(item, longest) for item in value] if isinstance(value, list) else value


def started_facts(version: str, clock: Clock, repaired_bytes: int) -> dict[str, Any]:
    """Return what a worker_started line says: which process of which machine, alive since when."""
    pid = os.getpid()
    started = process_started_at(pid)
    return {
        "version": version,
        "pid": pid,
        "host": host(),
        "started_at": format_utc(started) if started else format_ns(clock.time_ns()),
        "repaired_bytes": repaired_bytes,
    }
