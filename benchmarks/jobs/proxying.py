"""One proxy before a provider on loopback: added latency, and what one core takes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.fresh import Answer

_PATH = "/v1/chat/completions"
_SECONDS = 60.0  # for a server to begin
_WARM = 200  # requests that are not counted
_TICKS = os.sysconf("SC_CLK_TCK")
_PROVIDER = """
import asyncio, json, sys
usage = {"prompt_tokens": 30, "completion_tokens": 12, "total_tokens": 42}
message = {"role": "assistant", "content": "x" * 700}
choice = {"index": 0, "finish_reason": "stop", "message": message}
body = {"id": "c-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
body = json.dumps(body).encode()
answer = b"HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: %d\\r\\n\\r\\n" % len(body) + body

class Provider(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.read = transport, b""

    def data_received(self, data):
        self.read += data
        while (end := self.read.find(b"\\r\\n\\r\\n")) >= 0:
            head = self.read[:end].lower()
            size = int(head.partition(b"content-length:")[2].split(b"\\r")[0] or 0)
            if len(self.read) < end + 4 + size:
                return
            self.read = self.read[end + 4 + size:]
            self.transport.write(answer)

async def main():
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()

asyncio.run(main())
"""
_NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log {folder}/access.log; keepalive_requests 100000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream provider {{ server 127.0.0.1:{provider}; keepalive 64; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    }}
  }}
}}
"""
_LITELLM = """
model_list:
  - model_name: m
    litellm_params: {{model: openai/m, api_base: "http://127.0.0.1:{provider}/v1", api_key: x}}
"""


def proxying(folder: Path, *, server: str, count: int, connections: int) -> Answer:
    """Send requests of one kilobyte through a server, and return latencies in milliseconds and requests a second.

    Args:
        folder: for the log and the configuration.
        server: ``none`` for the provider alone, ``nginx``, ``bamboo`` or ``litellm``.
        count: requests on one connection, and again on all.
        connections: the number of connections at once.
    """
    with _running([sys.executable, "-c", _PROVIDER, str(provider := free_port())], provider):
        if server == "none":
            return _measured(provider, _PATH, count, connections, None)
        port = free_port()
        with _running(COMMANDS[server](folder, provider, port), port) as process:
            path = f"/openai{_PATH}" if server == "bamboo" else _PATH
            return _measured(port, path, count, connections, process)


def _nginx(folder: Path, provider: int, port: int) -> list[str]:
    file = folder / "nginx.conf"
    file.write_text(_NGINX.format(folder=folder, provider=provider, port=port), encoding="utf-8")
    return [shutil.which("nginx") or "/usr/sbin/nginx", "-p", str(folder), "-c", str(file)]


def _bamboo(folder: Path, provider: int, port: int) -> list[str]:
    options = ["--log", str(folder / "proxy.jsonl"), "--listen", f"127.0.0.1:{port}"]
    return [
        sys.executable,
        "-m",
        "bamboo_logmetrics",
        "proxy",
        *options,
        "--upstream",
        f"openai=http://127.0.0.1:{provider}",
    ]


def _litellm(folder: Path, provider: int, port: int) -> list[str]:
    file = folder / "litellm.yaml"
    file.write_text(_LITELLM.format(provider=provider), encoding="utf-8")
    return ["litellm", "--config", str(file), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]


COMMANDS: dict[str, Callable[[Path, int, int], list[str]]] = {"nginx": _nginx, "bamboo": _bamboo, "litellm": _litellm}


def free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def _running(command: list[str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; wait until it listens."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait(process, port)
            yield process
        finally:
            process.terminate()


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + _SECONDS
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    msg = f"{process.args!r} does not listen"
    raise RuntimeError(msg)


def _measured(port: int, path: str, count: int, connections: int, process: subprocess.Popen[bytes] | None) -> Answer:
    _check(port, path)
    asyncio.run(_send(port, path, _WARM, 1))
    alone, _ = asyncio.run(_send(port, path, count, 1))
    before = _cpu(process)
    _, seconds = asyncio.run(_send(port, path, count, connections))
    used = _cpu(process) - before
    alone.sort()
    return {
        "p50": alone[len(alone) // 2] * 1000,
        "p99": alone[len(alone) * 99 // 100] * 1000,
        "rate": count / seconds,
        "a_core": count / used if used else 0.0,
    }


def _check(port: int, path: str) -> None:
    """Send one request in the ordinary way, and look at the answer."""
    url = f"http://127.0.0.1:{port}{path}"
    request = urllib.request.Request(url, _body(), {"content-type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=_SECONDS) as answer:
        if json.load(answer)["usage"]["total_tokens"] != 42:  # noqa: PLR2004
            msg = "the answer is another one"
            raise RuntimeError(msg)


def _body() -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 940}], "stream": False}).encode()


async def _send(port: int, path: str, count: int, connections: int) -> tuple[list[float], float]:
    """Return the seconds of each request, and of all."""
    body = _body()
    headers = (
        f"host: 127.0.0.1\r\ncontent-type: application/json\r\nauthorization: Bearer x\r\ncontent-length: {len(body)}"
    )
    request = f"POST {path} HTTP/1.1\r\n{headers}\r\n\r\n".encode() + body
    taken: list[float] = []

    async def sending(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(number):
            began = time.perf_counter()
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await _read_body(reader, head)
            taken.append(time.perf_counter() - began)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(sending(count // connections) for _ in range(connections)))
    return taken, time.perf_counter() - began


async def _read_body(reader: asyncio.StreamReader, head: bytes) -> None:
    if b"chunked" not in head:
        await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r")[0]))
        return
    while size := int(await reader.readline(), 16):
        await reader.readexactly(size + 2)
    await reader.readline()


def _cpu(process: subprocess.Popen[bytes] | None) -> float:
    """Return the seconds of CPU that a process has used."""
    if process is None:
        return 0.0
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
