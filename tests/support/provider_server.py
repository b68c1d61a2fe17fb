"""A real HTTP server on loopback that answers model calls as a test says.

with ProviderServer() as server:
    server.answer(stream(...))             # the next request
    server.always = json_answer({...})     # every request that has no answer of its own
    httpx.post(f"{server.url}/v1/chat/completions", json={...})
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WHOLE, BROKEN, RESET = "whole", "broken", "reset"


@dataclass
class Answer:
    """One answer.

    Args:
        status, headers: of the answer.
        chunks: the body, one write for each.
        ending: WHOLE; BROKEN to close the connection in the middle of the body; RESET to close it before any answer.
        hold: wait for this event after the first chunk.
        length: True for Content-Length in place of chunks.
    """

    status: int = 200
    headers: dict = field(default_factory=dict)
    chunks: list = field(default_factory=list)
    ending: str = WHOLE
    hold: threading.Event | None = None
    length: bool = False


def json_answer(content, status=200, **headers):
    """Return an answer that is a JSON body."""
    headers = {"content-type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
    return Answer(status, headers, [json.dumps(content).encode()], length=True)


def stream_answer(chunks, **options):
    """Return an answer that is a stream of server-sent events."""
    headers = {"content-type": "text/event-stream; charset=utf-8", **options.pop("headers", {})}
    return Answer(200, headers, list(chunks), **options)


def events(*data):
    """Return server-sent events, one chunk each; a text stands as it is."""
    return [f"data: {item if isinstance(item, str) else json.dumps(item)}\n\n".encode() for item in data]


CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m-2026",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}],
    "usage": {"prompt_tokens": 30, "completion_tokens": 12, "total_tokens": 42},
}


def chat_chunk(delta, reason=None, **keys):
    """Return one chunk of a streamed chat completion."""
    choices = [{"index": 0, "delta": delta, "finish_reason": reason}]
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m-2026",
        "choices": choices,
        **keys,
    }


CHAT_STREAM = events(
    chat_chunk({"role": "assistant", "content": "hel"}),
    chat_chunk({"content": "lo é"}),
    chat_chunk({}, "stop"),
    chat_chunk({}, usage=CHAT["usage"], choices=[]),
    "[DONE]",
)


class ProviderServer:
    """The server.

    Attributes:
        requests: (method, path, headers, body) of all that came.
        always: the answer to requests that have none of their own.
    """

    def __init__(self):
        self.requests = []
        self.always = json_answer(CHAT)
        self._answers = deque()
        self._connections = set()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="provider-server")
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self.chat = f"{self.url}/v1/chat/completions"
        self.ended = threading.Event()  # set when the server ends, so that nothing is held up then

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self._server.shutdown()
        self._thread.join()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()

    def answer(self, *answers):
        """Answer the next requests so, one each."""
        self._answers.extend(answers)

    def answer_to(self, request):
        """Return the answer to a request."""
        self.requests.append(request)
        return self._answers.popleft() if self._answers else self.always


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 1024

    def handle_error(self, *_):
        """Do not print the errors of clients that went away."""


def _handler(server):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self):
            super().setup()
            server._connections.add(self.connection)

        def finish(self):
            server._connections.discard(self.connection)
            super().finish()

        def _answer(self):
            body = self._body()
            answer = server.answer_to((self.command, self.path, dict(self.headers), body))
            if answer.ending == RESET:
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, text in answer.headers.items():
                self.send_header(name, text)
            if answer.length:
                self.send_header("content-length", str(sum(map(len, answer.chunks))))
            else:
                self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            self._send(answer)

        def _body(self):
            if "chunked" not in self.headers.get("transfer-encoding", ""):
                return self.rfile.read(int(self.headers.get("content-length", 0)))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def _send(self, answer):
            for number, chunk in enumerate(answer.chunks):
                if number == 1 and answer.hold is not None:
                    while not (answer.hold.wait(0.01) or server.ended.is_set()):
                        pass
                self.wfile.write(chunk if answer.length else b"%x\r\n%s\r\n" % (len(chunk), chunk))
            if answer.ending == BROKEN:
                self.close_connection = True
            elif not answer.length:
                self.wfile.write(b"0\r\n\r\n")

        do_POST = do_GET = do_PUT = _answer  # noqa: N815

        def log_message(self, *_):
            pass

    return Handler
