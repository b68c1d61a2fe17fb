"""Destinations, and answers of their servers."""

from __future__ import annotations

from datetime import datetime, timezone

import bamboo_logmetrics as blm
from bamboo_logmetrics.format import flatten
from bamboo_logmetrics.format.layouts import LAYOUTS
from bamboo_logmetrics.format.strict_json import encode
from bamboo_logmetrics.ship.destinations import find_destination
from bamboo_logmetrics.ship.destinations.base import ResourceDefaults
from bamboo_logmetrics.ship.entries import entry_of
from support.tools import tool

WRITER = "9f3c21d07a55e8b04c1d"


def destination(name, service="agent", env="", **options):
    """Return a destination as the shipper makes it."""
    kind = find_destination(name)
    return kind(ResourceDefaults(service, env), kind.make_options(options))


def entry(flat, layout="native"):
    """Return the entry of a record that was written in a layout."""
    return entry_of(encode(LAYOUTS[layout].write(flat)))


def entries(*numbers, **bound):
    """Return entries of events, by their numbers."""
    at = {"writer": WRITER, "timestamp": "2026-11-22T15:47:16.000000Z"}
    return [entry(flatten.expand(tool(number), bound, seq=number, **at)) for number in numbers]


def too_old(count, second=0, labels='{level="info", service_name="agent"}'):
    return (
        (f"{count} errors like: " if count > 1 else "")
        + f"entry for stream '{labels}' has timestamp too old: 2026-11-14T07:29:{second:02}Z, "
        "oldest acceptable timestamp is: 2026-11-16T07:26:31Z"
    )


def too_far_behind(count, of):
    line = (
        "entry with timestamp 2026-11-23 01:26:31.394996733 +0000 UTC ignored, reason: 'entry too far behind, "
        "entry timestamp is: 2026-11-23T01:26:31Z, oldest acceptable timestamp is: 2026-11-23T05:20:31Z',\n"
    )
    return line * min(count, 10) + f"user 'fake', total ignored: {count} out of {of} for stream: {{level=\"info\"}}\n"


def timed(*seconds):
    """Return entries at these seconds, numbered in this order."""
    items = []
    for number, second in enumerate(seconds, 1):
        moment = datetime(2026, 11, 22, 15, 47, second, tzinfo=timezone.utc)
        event = tool(number, meta=blm.EventMeta(event_id="e", occurred_at=moment))
        items.append(
            entry(flatten.expand(event, {}, seq=number, writer=WRITER, timestamp="2026-11-22T15:47:16.000000Z"))
        )
    return items
