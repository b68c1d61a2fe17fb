"""A real HTTP server on loopback that takes logs as Loki, Elasticsearch and OTLP servers do, and answers as a test says.

It keeps what it has stored, as pairs of (writer, seq): ``stored`` with what came twice, ``kept`` as the server's own
rules leave it. Loki takes two entries with the same labels, time and line for one, Elasticsearch creates an id once,
and OTLP knows no identity.

    with StubServer() as stub:
        stub.fail(503, times=2)         # the next two requests
        stub.reset()                    # the third: stored, and the connection is reset in place of an answer
        stub.poison = lambda id: "the reason" if id == ("0" * 20, 7) else None
        Shipper(path, to="loki", url=stub.url).run()
        assert stub.kept == ...

To fork without a thread beside it, fork before ``start``: what connects before that waits in the queue of the socket.
"""

from __future__ import annotations

import gzip
import json
import socket
import struct
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REASON = "mapper_parsing_exception"
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER without a wait: closing resets the connection


@dataclass
class Reply:
    """The answer to one request in place of the server's own.

    Args:
        status: answer so, and store nothing; None to store and answer as the server does.
        headers, body: of the answer, where there is a status.
        store: True to store what is taken even so.
        reset: True to reset the connection in place of an answer.
        hold: wait for this event before anything is stored.
        late: wait for this event before the answer, when it is stored already.
    """

    status: int | None = None
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    store: bool = False
    reset: bool = False
    hold: threading.Event | None = None
    late: threading.Event | None = None


@dataclass
class Request:
    """One request.

    Args:
        path, headers: of the request.
        body: its body, decompressed.
        raw: its body as it was sent.
        ids: the (writer, seq) of its lines.
        stored: the ids of those that were taken.
        status: the status of the answer.
        reset: True if the connection was reset in place of an answer.
    """

    path: str
    headers: dict
    body: bytes
    raw: bytes = b""
    ids: list = field(default_factory=list)
    stored: list = field(default_factory=list)
    status: int = 0
    reset: bool = False


class StubServer:
    """The server. What a test may set: ``poison``, ``item``, ``index``, ``largest``, ``before``, ``after``, and the scripts.

    Args:
        port: where it listens; any port that is free when left out.

    Attributes:
        requests: all that came, in order.
        stored: the ids of all that was stored, in order; what came twice is there twice.
        entries: what Loki keeps, by (labels, time, line): the id.
        documents: what Elasticsearch keeps, by id.
        poison: a function of an id; the reason for which the line will never be taken, or None. Loki refuses the whole
            batch then, Elasticsearch the item, and OTLP tells how many.
        item: a function of an id and of how often it came: a status for this item of Elasticsearch, or None.
        index: where Elasticsearch says that it puts lines.
        largest: the bytes of the largest body that is taken; larger ones are answered with 413.
        before: is called with each request before anything is stored.
        after: is called with each request once it is stored, before the answer.
        get: a function of a path with its query; the status and the body of the answer to a GET.
        kinds: the interfaces that it has, by the ends of their paths; a test may append one.
    """

    def __init__(self, port=0):
        self.requests = []
        self.kinds = [_Loki, _Elasticsearch, _Otlp]
        self.stored = []
        self.entries = {}
        self.documents = {}
        self.seen = {}  # how often an id came, for `item`
        self.poison = lambda _: None
        self.item = lambda _id, _times: None
        self.largest = None
        self.index = ".ds-logs"
        self.before = self.after = lambda _: None
        self.get = lambda _path: (404, b"no such path")
        self.reached = threading.Semaphore(0)  # a request more has come
        self._replies = deque()
        self._guard = threading.RLock()
        self._connections = set()
        self._holds = []
        self._thread = None
        self._stopped = False
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self), bind_and_activate=True)
        self._server.daemon_threads = False
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"

    # -- life --------------------------------------------------------------------------

    def start(self):
        """Answer requests, in threads."""
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="stub-server")
        self._thread.start()
        return self

    def stop(self):
        """End all connections and threads; the port refuses from then on."""
        for hold in self._holds:
            hold.set()
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
        with self._guard:
            self._stopped = True
            for connection in self._connections:
                _shut(connection)
        self._server.server_close()  # waits for the threads of the connections
        self._thread = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    # -- scripts -----------------------------------------------------------------------

    def reply(self, *replies):
        """Treat the next requests so, one each; those after them as the server would."""
        self._replies.extend(replies)

    def fail(self, status, headers=None, body=b"", *, times=1):
        """Answer the next requests with a status, and store nothing."""
        self.reply(*(Reply(status, headers or {}, body) for _ in range(times)))

    def reset(self, *, times=1, store=True):
        """Reset the connection of the next requests, after storing what they bring or before."""
        self.reply(*(Reply(None if store else 500, reset=True) for _ in range(times)))

    def hold(self, *, stored=False):
        """Hold up the next request, before it is stored or after; return the event that lets it go on."""
        event = threading.Event()
        self._holds.append(event)
        self.reply(Reply(late=event) if stored else Reply(hold=event))
        return event

    def until_reached(self, count=1, timeout=60.0):
        """Wait for ``count`` more requests than those waited for before; return True if they came."""
        return all(self.reached.acquire(timeout=timeout) for _ in range(count))

    # -- stored lines -------------------------------------------------------------------

    @property
    def kept(self):
        """The ids that a query would return, sorted, each as often as it is kept."""
        if self.documents or self.entries:
            return sorted([*self.documents, *self.entries.values()])
        return sorted(self.stored)

    # -- one request -------------------------------------------------------------------

    def treat(self, request):
        """Store what a request brings; return its status, headers and body, or None to reset the connection."""
        with self._guard:
            reply = self._replies.popleft() if self._replies else Reply()
            self.requests.append(request)
            kind = next((kind for kind in self.kinds if request.path.endswith(kind.path)), None)
            if kind is not None:
                request.ids = kind.ids(request.body)
        self.before(request)
        self.reached.release()
        if reply.hold is not None:
            reply.hold.wait()
        answer = (reply.status, reply.headers, reply.body)
        with self._guard:
            if reply.status is None or reply.store:
                taken = self._take(kind, request)
                answer = taken if reply.status is None else answer
        request.status, request.reset = answer[0], reply.reset
        self.after(request)
        if reply.late is not None:
            reply.late.wait()
        return None if reply.reset else answer

    def _take(self, kind, request):
        if kind is None:
            return 404, {}, b"no such path"
        if self.largest is not None and len(request.body) > self.largest:
            return 413, {}, b"request body too large"
        return kind.take(self, request)

    def keep(self, request, identity):
        """Note that a line was stored."""
        request.stored.append(identity)
        self.stored.append(identity)


class _Loki:
    """``/loki/api/v1/push``: the streams, with 204; 400 for a batch with a line that it does not take."""

    path = "/loki/api/v1/push"

    @staticmethod
    def values(body):
        for stream in json.loads(body)["streams"]:
            labels = tuple(sorted(stream["stream"].items()))
            for time, line, metadata in stream["values"]:
                assert all(type(value) is str for _, value in (*labels, *metadata.items()))
                yield (labels, time, line), (metadata["writer"], int(metadata["seq"]))

    @classmethod
    def ids(cls, body):
        return [identity for _, identity in cls.values(body)]

    @classmethod
    def take(cls, stub, request):
        reasons = [reason for identity in request.ids if (reason := stub.poison(identity))]
        if reasons:
            return 400, {"Content-Type": "text/plain"}, reasons[0].encode()
        for key, identity in cls.values(request.body):
            stub.entries[key] = identity
            stub.keep(request, identity)
        return 204, {}, b""


class _Elasticsearch:
    """``/<data stream>/_bulk``: ``create`` with an id, answered by item; an id that is there is 409."""

    path = "/_bulk"

    @staticmethod
    def ids(body):
        actions = [json.loads(line)["create"]["_id"] for line in body.splitlines()[::2]]
        return [(name.rpartition("-")[0], int(name.rpartition("-")[2])) for name in actions]

    @classmethod
    def take(cls, stub, request):
        documents = request.body.splitlines()[1::2]
        assert len(documents) == len(request.ids)
        items = [cls._item(stub, request, *pair) for pair in zip(request.ids, map(json.loads, documents), strict=True)]
        answer = {"took": 1, "errors": any("error" in item for item in items), "items": [{"create": i} for i in items]}
        return 200, {"Content-Type": "application/json"}, json.dumps(answer).encode()

    @staticmethod
    def _item(stub, request, identity, document):
        stub.seen[identity] = stub.seen.get(identity, 0) + 1
        item = {"_index": stub.index, "_id": f"{identity[0]}-{identity[1]}"}
        if reason := stub.poison(identity):
            return item | {"status": 400, "error": {"type": REASON, "reason": reason}}
        if status := stub.item(identity, stub.seen[identity]):
            return item | {"status": status, "error": {"type": "some_exception", "reason": "not just now"}}
        if identity in stub.documents:
            return item | {"status": 409, "error": {"type": "version_conflict_engine_exception", "reason": "exists"}}
        stub.documents[identity] = document
        stub.keep(request, identity)
        return item | {"status": 201, "result": "created"}


class _Otlp:
    """``/v1/logs``: protobuf; what is refused is only counted."""

    path = "/v1/logs"

    @staticmethod
    def ids(body):
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

        ids = []
        for resource in ExportLogsServiceRequest.FromString(body).resource_logs:
            for record in resource.scope_logs[0].log_records:
                values = {item.key: item.value for item in record.attributes}
                ids.append((values["bamboo.writer"].string_value, values["bamboo.seq"].int_value))
        return ids

    @staticmethod
    def take(stub, request):
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

        answer = ExportLogsServiceResponse()
        for identity in request.ids:
            if reason := stub.poison(identity):
                answer.partial_success.rejected_log_records += 1
                answer.partial_success.error_message = reason
            else:
                stub.keep(request, identity)
        return 200, {"Content-Type": "application/x-protobuf"}, answer.SerializeToString()


def _shut(connection):
    with suppress(OSError):  # the other side was faster
        connection.shutdown(socket.SHUT_RDWR)


def _handler(stub):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self):
            super().setup()
            with stub._guard:
                stub._connections.add(self.connection)
                if stub._stopped:
                    _shut(self.connection)

        def finish(self):
            with stub._guard:
                stub._connections.discard(self.connection)
            super().finish()

        def do_POST(self):
            size = int(self.headers["Content-Length"])
            body = raw = self.rfile.read(size)
            if len(body) < size:  # the client was killed
                self.close_connection = True
                return
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            answer = stub.treat(Request(self.path, dict(self.headers.items()), body, raw))
            if answer is None:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                self.close_connection = True
                self.rfile.close()
                self.connection.close()
                return
            status, headers, data = answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(b"" if status == 204 else data)

        def do_GET(self):
            status, data = stub.get(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def handle(self):
            with suppress(OSError):  # the client is gone, or the test is over
                super().handle()

        def log_message(self, *_):
            pass

    return Handler
