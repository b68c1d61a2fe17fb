"""A WebSocket server on loopback that answers as a test says."""

from __future__ import annotations

import threading

from websockets.sync.server import serve


class SocketServer:
    """The server.

    Args:
        handler: called with each connection.
        options: of ``websockets.sync.server.serve``.

    Attributes:
        handshakes: the requests of all handshakes.
        url: the address, beginning with http, as an upstream is named.
    """

    def __init__(self, handler, process_request=lambda *_: None, **options):
        self.handshakes = []
        self._process_request = process_request
        self._server = serve(handler, "127.0.0.1", 0, max_size=None, process_request=self._note, **options)
        self.url = f"http://127.0.0.1:{self._server.socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="socket-server")

    def _note(self, connection, request):
        self.handshakes.append(request)  # before the client has its answer
        return self._process_request(connection, request)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
