"""An ASGI application under the proxy's server in a thread of the test, and raw requests to it."""

from __future__ import annotations

import socket
import threading

from bamboo_logmetrics.live.server import make_server, open_socket


class Served:
    """The server of an application.

    Attributes:
        port: the port on loopback.
        url: the address of the server.
    """

    def __init__(self, app):
        self._socket = open_socket("127.0.0.1:0", is_remote_allowed=False)
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._server = make_server(app)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, name="served")

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def raw(self, request):
        """Send bytes, and return all bytes of the answer until the server closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(request)
            return b"".join(iter(lambda: connection.recv(65536), b""))
