"""Elasticsearch's and OpenSearch's bulk interface, into a data stream.

Each line has a fixed id, and is only created: one that is there already is answered with 409, which means that it was
delivered before. The documents are ECS.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from bamboo_logmetrics.format.layouts import ECS
from bamboo_logmetrics.format.strict_json import encode
from bamboo_logmetrics.ship.destinations.base import DeliveryResult, Destination, Rejection, ResourceDefaults
from bamboo_logmetrics.ship.entries import Entry

DATA_STREAM = "logs-bamboo.events-default"

_BACKING = (".ds-", ".fs-")  # what the names of a data stream's own indices begin with

_CONFLICT, _BAD_REQUEST = 409, 400
_SUCCESS = range(200, 300)
_FOR_GOOD = frozenset({_BAD_REQUEST, 413, 422})  # what the document itself is to blame for, but for what can be mended:
_MENDABLE = frozenset({"index_closed_exception", "validation_exception"})  # the latter: a cluster full of shards
_MENDABLE_REASONS = ("pipeline with id [", "no write index is defined")  # how they begin


class _Error(msgspec.Struct, gc=False):
    type: str = ""
    reason: str | None = ""
    caused_by: Any = None


class _Result(msgspec.Struct, gc=False):
    status: int
    index: str = msgspec.field(default="", name="_index")
    error: _Error | None = None
    failure_store: str = ""


class _Answer(msgspec.Struct):
    errors: bool
    items: list[dict[str, _Result]] = []


_decode = msgspec.json.Decoder(_Answer).decode


class Elasticsearch(Destination):
    """``POST /<data stream>/_bulk`` with ``create`` for each line."""

    kind = "elasticsearch"
    content_type = "application/x-ndjson"

    def __init__(self, labels: ResourceDefaults, data_stream: str = DATA_STREAM) -> None:
        super().__init__(labels)
        self.path = f"/{data_stream}/_bulk"

    def body(self, entries: Sequence[Entry]) -> bytes:
        """Return two lines for each entry: what to do, and the document."""
        lines = [
            line
            for entry in entries
            for line in (b'{"create":{"_id":"%b"}}' % entry.id.encode(), self._document(entry))
        ]
        return b"\n".join((*lines, b""))

    def _document(self, entry: Entry) -> bytes:
        document = ECS.write(entry.flat())
        service: dict[str, Any] = document.setdefault("service", {})
        service.setdefault("name", self.labels.service)
        if self.labels.env:
            service.setdefault("environment", self.labels.env)
        return encode(document)

    def judge(self, entries: Sequence[Entry], answer: bytes) -> DeliveryResult:
        """Return what became of each line. Raises ValueError for an answer that is not one of a bulk request."""
        found = _decode(answer)
        if not found.errors and not found.items:  # VictoriaLogs names no items
            return DeliveryResult()
        if len(found.items) != len(entries):
            msg = f"the answer is about {len(found.items)} lines instead of {len(entries)}"
            raise ValueError(msg)
        retry, refused, error = [], [], ""
        for entry, item in zip(entries, found.items, strict=True):
            (result,) = item.values()
            if result.failure_store == "used":  # Elasticsearch 9.1 and later: taken, but not into the stream
                refused.append(Rejection([entry], 1, "it was refused, and is in the failure store of the data stream"))
            elif result.status in _FOR_GOOD and not _can_be_mended(result.error):
                refused.append(Rejection([entry], 1, _reason(result)))
            elif result.status not in _SUCCESS and result.status != _CONFLICT:
                retry.append(entry)
                error = error or _reason(result)
        return DeliveryResult(retry=retry, refused=refused, error=error, notice=_notice(found.items))


def _can_be_mended(error: _Error | None) -> bool:
    """Tell whether somebody who looks after the server can mend what it answers with 400."""
    return error is not None and (error.type in _MENDABLE or (error.reason or "").startswith(_MENDABLE_REASONS))


def _notice(items: list[dict[str, _Result]]) -> str:
    """Return what is to be said of lines that are in no data stream: without a template, their types are guessed."""
    taken = (result.index for item in items for result in item.values() if result.status in _SUCCESS)
    index = next(taken, "")  # what a line is refused by need not name where it would have been
    if not index or index.startswith(_BACKING):
        return ""
    return (
        f"{index} is a plain index and not a data stream, and the types in it are guessed: remove it, send the"
        " templates first with bamboo-logmetrics config elasticsearch (or opensearch) --apply, and ship again under"
        " another --name"
    )


def _reason(result: _Result) -> str:
    error = result.error or _Error()
    cause = error.caused_by.get("reason") if isinstance(error.caused_by, dict) else None
    return ": ".join([str(result.status), *(str(part) for part in (error.type, error.reason, cause) if part)])
