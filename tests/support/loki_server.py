"""Loki's documented rules for :class:`support.stub_server.StubServer`: what it takes, how it answers, and queries.

An entry is compared with the newest of its stream as that stands when the entry's turn comes. Entries that break a
limit are left out, all others of the request are stored, and the answer is 400 with the reasons.
"""

from __future__ import annotations

import json
import time
import urllib.parse
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timezone

from support.logql import Row, evaluate, select

_S = 10**9


@dataclass
class LokiServer:
    """The push interfaces of one Loki, with its default limits.

    Args:
        now_ns: returns the time.
        tenants: True to demand ``X-Scope-OrgID``.
        oldest, behind, ahead: the limits of age, in ns: against the time, against the newest of the stream, and into
            the future.
        line_bytes, metadata_count: the limits of one entry.

    Attributes:
        kept: the entries that it has, by labels, time and line.
        newest: the time of the newest entry of each stream.
    """

    now_ns: object = time.time_ns
    tenants: bool = False
    oldest: int = 7 * 86_400 * _S
    behind: int = 3_600 * _S
    ahead: int = 600 * _S
    line_bytes: int = 256 * 1024
    metadata_count: int = 128
    kept: dict = field(default_factory=dict)
    newest: dict = field(default_factory=dict)
    path: str = "/loki/api/v1/push"

    def install(self, stub):
        """Have a stub answer by these rules, in place of those that it has."""
        stub.kinds[:0] = [self, _OtlpOfLoki(self)]
        stub.get = self.get
        return self

    # -- what comes ------------------------------------------------------------------------

    @staticmethod
    def rows_of(body):
        """Give the entries of a request, in its order."""
        for stream in json.loads(body)["streams"]:
            for time_ns, line, *metadata in stream["values"]:
                assert all(type(text) is str for text in [*stream["stream"].values(), *metadata[0].values()])
                yield Row(stream["stream"], int(time_ns), line, metadata[0])

    def ids(self, body):
        """Return the (writer, seq) of each entry of a request."""
        return [identity_of(row) for row in self.rows_of(body)]

    @property
    def there(self):
        """The (writer, seq) of the entries that it has, sorted."""
        return sorted(map(identity_of, self.kept.values()))

    def take(self, stub, request):
        """Store what is within the limits, and return the answer."""
        if request.path != self.path:
            return 404, {}, b"404 page not found"
        return self.store(stub, request, list(self.rows_of(request.body)))

    def store(self, stub, request, rows):
        """Store entries, and return the answer."""
        if self.tenants and "X-Scope-OrgID" not in request.headers:
            return 401, {}, b"no org id\n"
        invalid, valid = defaultdict(list), []
        for row in rows:
            kind, text = self._invalid(row)
            if kind:
                invalid[kind, _text(row.labels)].append(text)
            else:
                valid.append(row)
        error = self._ingest(stub, request, valid) or "; ".join(
            (f"{len(texts)} errors like: " if len(texts) > 1 else "") + texts[0] for texts in invalid.values()
        )
        return (400, {"Content-Type": "text/plain"}, error.encode() + b"\n") if error else (204, {}, b"")

    def _invalid(self, row):
        """Return the kind and the text of the limit that an entry breaks by itself."""
        now, stream = self.now_ns(), _text(row.labels)
        if row.time_ns < now - self.oldest:
            oldest = _moment(now - self.oldest)
            text = f"has timestamp too old: {_moment(row.time_ns)}, oldest acceptable timestamp is: {oldest}"
            return "old", f"entry for stream '{stream}' {text}"
        if row.time_ns > now + self.ahead:
            return "new", f"entry for stream '{stream}' has timestamp too new: {_moment(row.time_ns)}"
        size = len(row.line.encode())
        if size > self.line_bytes:
            limit = f"max entry size '{self.line_bytes}' bytes exceeded for stream '{stream}'"
            return "long", f"{limit} while adding an entry with length '{size}' bytes"
        if len(row.metadata) > self.metadata_count:
            count = f"'{len(row.metadata)}', limit: '{self.metadata_count}'"
            more = "Please see `limits_config.max_structured_metadata_entries_count`"
            return "many", f"stream '{stream}' has too many structured metadata labels: {count}. {more}"
        return "", ""

    def _ingest(self, stub, request, rows):
        """Store the entries that are not too far behind; return the error of the last stream that has one."""
        streams, error = defaultdict(list), ""
        for row in rows:
            streams[_text(row.labels)].append(row)
        for stream, members in streams.items():
            late = []
            for row in members:
                newest = self.newest.get(stream, row.time_ns)
                if row.time_ns < newest - self.behind:
                    late.append(
                        f"entry with timestamp {_moment(row.time_ns)} ignored, reason: 'entry too far behind, entry "
                        f"timestamp is: {_moment(row.time_ns)}, oldest acceptable timestamp is: "
                        f"{_moment(newest - self.behind)}',\n"
                    )
                    continue
                self.newest[stream] = max(newest, row.time_ns)
                stub.keep(request, identity_of(row))
                self.kept[stream, row.time_ns, row.line] = row  # one that comes twice is there once
            if late:
                total = f"user 'fake', total ignored: {len(late)} out of {len(members)} for stream: {stream}"
                error = "".join(late[:10]) + total
        return error

    # -- queries -----------------------------------------------------------------------------

    def get(self, path):
        """Answer a query."""
        path, _, query = path.partition("?")
        query = urllib.parse.parse_qs(query)["query"][0]
        if path.endswith("/query_range"):
            rows = select(query, self.kept.values())
            result = [
                {"stream": row.labels, "values": [[str(row.time_ns), row.line, {"structuredMetadata": row.metadata}]]}
                for row in rows
            ]
        else:
            vector = evaluate(query, self.kept.values(), at_ns=self.now_ns())
            result = [{"metric": dict(labels), "value": [0, str(value)]} for labels, value in vector.items()]
        return 200, json.dumps({"data": {"result": result}}).encode()


@dataclass
class _OtlpOfLoki:
    """``/otlp/v1/logs`` of the same Loki: attributes are structured metadata."""

    loki: LokiServer
    path: str = "/otlp/v1/logs"

    def rows_of(self, body):
        """Give the log records of a request as entries."""
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

        for resource in ExportLogsServiceRequest.FromString(body).resource_logs:
            labels = _texts(resource.resource.attributes)
            for record in resource.scope_logs[0].log_records:
                yield Row(labels, record.time_unix_nano, record.body.string_value, _texts(record.attributes))

    def ids(self, body):
        """Return the (writer, seq) of each log record of a request."""
        return [identity_of(row) for row in self.rows_of(body)]

    def take(self, stub, request):
        """Store what is within the limits, and return the answer."""
        return self.loki.store(stub, request, list(self.rows_of(request.body)))


def identity_of(row):
    """Return the writer and the number of an entry."""
    prefix = "" if "writer" in row.metadata else "bamboo_"
    return row.metadata[f"{prefix}writer"], int(row.metadata[f"{prefix}seq"])


def _texts(pairs):
    return {pair.key.replace(".", "_"): str(getattr(pair.value, pair.value.WhichOneof("value"))) for pair in pairs}


def _text(labels):
    return "{" + ", ".join(f'{name}="{text}"' for name, text in sorted(labels.items())) + "}"


def _moment(time_ns):
    return f"{datetime.fromtimestamp(time_ns // _S, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
