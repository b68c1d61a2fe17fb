"""The lines of a log in tagged JSON, which holds events and nothing else."""

from __future__ import annotations

import json
from typing import Any

from bamboo_logmetrics.events import MetricsEvent, UnknownEvent, tagged
from bamboo_logmetrics.events.tagged_lines import to_line
from bamboo_logmetrics.events.times import format_utc
from bamboo_logmetrics.format.fields import USAGE
from bamboo_logmetrics.format.parse import Line


def tagged_form(line: Line) -> bytes:
    """Return the tagged JSON of the event of a line."""
    event = line.event
    if isinstance(event, UnknownEvent):
        return tagged.dumps(_unknown_form(event, line)).encode()
    assert isinstance(event, MetricsEvent)
    return to_line(event)


def _unknown_form(event: UnknownEvent, line: Line) -> dict[str, Any]:
    """Return the form of an event of an unknown kind; its line has the parts of ``meta`` and ``usage`` as fields.

    Values that were bound to it cannot be told from its fields.
    """
    fields = json.loads(event.payload) if event.payload else None
    if not isinstance(fields, dict) or "event_id" not in fields:
        return event.to_dict()
    meta = {
        "event_id": fields.pop("event_id"),
        "occurred_at": fields.pop("occurred_at", format_utc(line.timestamp)),
        "trace_id": fields.pop("trace_id", None),
    }
    usage = {name: fields.pop(name) for name in USAGE if name in fields}
    parts = {"meta": meta, "usage": usage} if usage else {"meta": meta}
    return tagged.tag(event.family, event.variant, {"meta": meta, **fields, **parts})
