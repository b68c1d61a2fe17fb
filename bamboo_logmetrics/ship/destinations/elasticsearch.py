"""Elasticsearch's and OpenSearch's bulk interface, into a data stream.

Each line has a fixed id and the action ``create``, so the answer 409 means that it was delivered before. The documents
are ECS.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.format.layouts import ECS
from bamboo_logmetrics.format.strict_json import encode
from bamboo_logmetrics.ship.destinations.base import (
    ALL_TAKEN,
    DeliveryResult,
    Destination,
    DestinationOptions,
    Rejection,
    ResourceDefaults,
    option,
)
from bamboo_logmetrics.ship.entries import Entry
from bamboo_logmetrics.ship.urls import Url

_DATA_STREAM = re.compile(r"[a-z0-9][a-z0-9._-]*", re.ASCII)
_BACKING = (".ds-", ".fs-")  # how the names of a data stream's own indices begin

_BULK, _VICTORIALOGS = "/_bulk", "/insert/elasticsearch"

_CONFLICT, _BAD_REQUEST = 409, 400
_SUCCESS = range(200, 300)
_REJECTED = frozenset({_BAD_REQUEST, 413, 422})  # the document is at fault, except for these, which can be fixed:
_FIXABLE = frozenset({"index_closed_exception", "validation_exception"})  # the second: a cluster full of shards
_FIXABLE_REASONS = ("pipeline with id [", "no write index is defined")  # how they begin


class _Error(msgspec.Struct, gc=False):
    type: str = ""
    reason: str | None = ""
    caused_by: msgspec.Raw = msgspec.Raw(b"null")  # as objects it might be 20 times as large


class _Cause(msgspec.Struct, gc=False):
    reason: str | int | float | None = None


class _Result(msgspec.Struct, gc=False):
    status: int
    index: str = msgspec.field(default="", name="_index")
    error: _Error | None = None
    failure_store: str = ""


class _Item(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    create: _Result


class _Answer(msgspec.Struct):
    errors: bool
    items: list[_Item] = []


_decode = msgspec.json.Decoder(_Answer).decode


@dataclass(frozen=True, kw_only=True)
class ElasticsearchOptions(DestinationOptions):
    """The option of :class:`Elasticsearch`."""

    data_stream: str = option("logs-bamboo.events-default", "Data stream that receives the documents.")

    def __post_init__(self) -> None:
        if not _DATA_STREAM.fullmatch(self.data_stream):
            msg = f"data_stream={self.data_stream!r} must be lower-case letters, digits, '.', '_' and '-'"
            raise ConfigError(msg)


class Elasticsearch(Destination):
    """``POST /<data stream>/_bulk`` with ``create`` for each line."""

    name = "elasticsearch"
    content_type = "application/x-ndjson"
    Options = ElasticsearchOptions

    def __init__(self, defaults: ResourceDefaults, options: ElasticsearchOptions) -> None:
        super().__init__(defaults, options)
        self.path = f"/{options.data_stream}/_bulk"

    def request_url(self, url: Url) -> Url:
        """Return the URL of requests; one that ends in ``/_bulk`` is understood. Raises ConfigError.

        VictoriaLogs knows no data streams: its URL ends in ``/insert/elasticsearch``.
        """
        base = url.remove(_BULK)
        if base.path.endswith(_VICTORIALOGS):
            return base.append(_BULK)
        if base.path and url.path.endswith(_BULK) and not url.path.endswith(self.path):
            msg = (
                f"url ends in {url.path!r}: give it without that, as in {base._replace(path='').text}, and name the"
                " data stream by data_stream (--data-stream)"
            )
            raise ConfigError(msg)
        return base.append(self.path.removesuffix(_BULK)).append(_BULK)

    def encode(self, entries: Sequence[Entry]) -> bytes:
        """Return two lines for each entry: the action and the document."""
        lines = [
            line
            for entry in entries
            for line in (b'{"create":{"_id":"%b"}}' % entry.id.encode(), self._document(entry))
        ]
        return b"\n".join((*lines, b""))

    def _document(self, entry: Entry) -> bytes:
        document = ECS.write(entry.flat())
        if rb"\u0000" in entry.line and "bound" in document["bamboo"]:
            document["bamboo"]["bound"] = _without_nul(document["bamboo"]["bound"])
        service: dict[str, Any] = document.setdefault("service", {})
        service.setdefault("name", self.defaults.service)
        if self.defaults.env:
            service.setdefault("environment", self.defaults.env)
        return encode(document)

    def parse_response(self, entries: Sequence[Entry], body: bytes) -> DeliveryResult:
        """Return the fate of each line. Raises ValueError for an answer that is not one of a bulk request."""
        answer = _decode(body)
        if not answer.errors and not answer.items:  # VictoriaLogs names no items
            return ALL_TAKEN
        if len(answer.items) != len(entries):
            msg = f"the answer is about {len(answer.items)} lines instead of {len(entries)}"
            raise ValueError(msg)
        retry, rejections, error = [], [], ""
        for entry, item in zip(entries, answer.items, strict=True):
            result = item.create
            if result.failure_store == "used":  # Elasticsearch 9.1 and later: taken, but not into the stream
                reason = "it was refused, and is in the failure store of the data stream"
                rejections.append(Rejection([entry], 1, reason))
            elif result.status in _REJECTED and not _is_fixable(result.error):
                rejections.append(Rejection([entry], 1, _reason(result)))
            elif result.status not in _SUCCESS and result.status != _CONFLICT:
                retry.append(entry)
                error = error or _reason(result)
        return DeliveryResult(retry=retry, rejections=rejections, error=error, notice=_notice(answer.items))


def _without_nul(value: Any) -> Any:
    """Return a value with the character NUL of keys escaped: Elasticsearch refuses it in a field of type flattened."""
    if isinstance(value, list):
        return [_without_nul(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key.replace("\0", "\\u0000"): _without_nul(item) for key, item in value.items()}


def _is_fixable(error: _Error | None) -> bool:
    """Return True if an administrator of the server can remove the cause of a 400."""
    return error is not None and (error.type in _FIXABLE or (error.reason or "").startswith(_FIXABLE_REASONS))


def _notice(items: list[_Item]) -> str:
    """Return a notice for lines in a plain index, which has guessed types; empty where there is none."""
    taken = (item.create.index for item in items if item.create.status in _SUCCESS)
    index = next(taken, "")  # the index that rejected a line need not be the one that would hold it
    if not index or index.startswith(_BACKING):
        return ""
    return (
        f"{index} is a plain index and not a data stream, and the types in it are guessed: remove it, send the"
        " templates first with bamboo-logmetrics config elasticsearch (or opensearch) --apply, and ship again under"
        " another --name"
    )


def _reason(result: _Result) -> str:
    error = result.error or _Error()
    cause = _cause_of(error)
    return ": ".join([str(result.status), *(str(part) for part in (error.type, error.reason, cause) if part)])


def _cause_of(error: _Error) -> str | int | float | None:
    try:
        return msgspec.json.decode(error.caused_by, type=_Cause).reason
    except msgspec.ValidationError:
        return None
