"""A proxy in front of a real server that is at fault when a test says so."""

from __future__ import annotations

import gzip
import json
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Outage:
    """Passes requests on; while ``fault`` is set, it answers in another way.

    Args:
        url: the real server.

    ``fault`` is ``""``, ``"reset"`` (the connection is closed), ``"429"``, ``"500"``, ``"lost"`` (the request is passed
    on, and its answer is not), or ``"partial"``: of a bulk request only the first half is passed on, and the other
    lines are answered with 429, one by one.
    """

    def __init__(self, url):
        self.fault = ""
        self.faults = 0  # requests that met one
        self._url = url
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def pass_on(self, path, headers, body):
        """Return status and body of the real server's answer."""
        kept = {name: value for name, value in headers.items() if name in {"Content-Type", "Content-Encoding"}}
        request = urllib.request.Request(self._url + path, body, kept, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def answer(self, fault, path, headers, body):
        """Return status and body of an answer; None closes the connection."""
        if not fault:
            return self.pass_on(path, headers, body)
        self.faults += 1
        if fault == "lost":
            self.pass_on(path, headers, body)
        if fault in {"lost", "reset"}:
            return None
        if fault == "partial":
            return self._half(path, headers, body)
        return int(fault), b"the server is out of order"

    def _half(self, path, headers, body):
        lines = gzip.decompress(body).splitlines(keepends=True)
        half = len(lines) // 4 * 2  # two lines for each document
        items = []
        if half:
            _, answer = self.pass_on(path, headers, gzip.compress(b"".join(lines[:half]), 1))
            items = json.loads(answer)["items"]
        refused = {"create": {"status": 429, "error": {"type": "circuit_breaking_exception", "reason": "too much"}}}
        return 200, json.dumps({"errors": True, "items": items + [refused] * ((len(lines) - half) // 2)}).encode()

    def _handler(outage):  # noqa: N805 - the class within has a self of its own
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = outage.answer(outage.fault, self.path, self.headers, body)
                if answer is None:
                    self.close_connection = True
                    return
                status, text = answer
                self.send_response(status)
                if status == 429:
                    self.send_header("Retry-After", "1")
                if status != 204:
                    self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(b"" if status == 204 else text)

            def log_message(self, *args):
                pass

        return Handler
