"""Who may come in, where a path leads, and what a hostile client gets."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import zlib

import httpx
import pytest
from support.observed import call_of, calls_of, ending_of, lines_of
from support.provider_server import CHAT_STREAM, Answer, stream_answer

from bamboo_logmetrics.live.forwarding import Proxy, ProxyOptions
from bamboo_logmetrics.live.upstreams import make_upstreams

ASKED = {"model": "m-1", "messages": []}
PATH = "/openai/v1/chat/completions"
KEY = "sk-secret-0123456789abcdefghij"


def raw_request(target, *headers, body=b"{}", method="POST"):
    """Return the bytes of a request after which the connection is closed."""
    lines = [
        f"{method} {target} HTTP/1.1",
        "host: 127.0.0.1",
        "connection: close",
        f"content-length: {len(body)}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def status_of(answer):
    return int(answer.split(b" ", 2)[1])


def code_of(answer):
    return json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"]


# -- where a path leads -------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/", "/v1/chat/completions", "/nowhere/v1", "//openai/v1", "/OPENAI/v1", "/%6fpenai/v1", "/openai%2fv1"]
)
def test_an_unknown_path(server, proxy, client, log, path):
    """A path that begins with no upstream's name gives 404 with the names, and nothing is forwarded."""
    answer = proxy.raw(raw_request(path))
    assert (status_of(answer), code_of(answer)) == (404, "unknown_path")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["upstreams"] == ["openai", "anthropic", "gemini"]
    assert (server.requests, calls_of(log)) == ([], [])


@pytest.mark.parametrize(
    "path", ["/openai/../x", "/openai/v1/%2e%2e/x", "/openai/v1/..%2fx", "/openai/v1/..\\x", "/openai/./x"]
)
def test_parts_of_dots(server, proxy, path):
    """A path with a part of dots is refused, however it is written."""
    answer = proxy.raw(raw_request(path))
    assert (status_of(answer), server.requests) == (400, [])


@pytest.mark.parametrize(
    "remainder",
    ["//evil.example/x", "/v1/org%2Fname", "/v1/a%00b", "/@evil.example/", "/v1?url=http://evil.example/../x", ""],
)
def test_paths_stay_at_their_upstream(server, proxy, remainder):
    """Whatever else stands in a path goes to its upstream byte for byte, and nowhere else."""
    assert status_of(proxy.raw(raw_request("/openai" + remainder))) == 200
    path = server.requests[0][1]
    assert path == (
        remainder.replace("//", "/") if remainder.startswith("//") else remainder or "/"
    )  # Python's server takes two for one


def test_the_path_of_an_upstream(server, serve):
    """The path of an upstream's URL is put before each path."""
    proxy = serve(f"mine={server.url}/base/")
    assert status_of(proxy.raw(raw_request("/mine/v1/x"))) == 200
    assert server.requests[0][1] == "/base/v1/x"


@pytest.mark.parametrize("target", ["http://evil.example/openai/v1/x", "HTTP://evil.example:80/openai/v1/x"])
def test_an_absolute_target(server, proxy, target):
    """The host of a target in the absolute form is not looked at."""
    assert status_of(proxy.raw(raw_request(target))) == 200
    assert server.requests[0][1] == "/v1/x"
    assert server.requests[0][2]["Host"] == f"127.0.0.1:{server.port}"


def test_the_host_header(server, proxy):
    """The host that a client names leads nowhere; the upstream sees its own."""
    request = raw_request("/openai/v1/x").replace(b"host: 127.0.0.1", b"host: evil.example")
    assert status_of(proxy.raw(request)) == 200
    assert server.requests[0][2]["Host"] == f"127.0.0.1:{server.port}"


@pytest.mark.parametrize("method", ["TRACE", "PROPFIND"])
def test_methods_that_are_not_forwarded(server, proxy, method):
    """Only the methods that APIs have are forwarded."""
    answer = proxy.raw(raw_request("/openai/v1/x", method=method))
    assert (status_of(answer), code_of(answer), server.requests) == (405, "bad_method", [])


def test_no_tunnel(server, proxy):
    """CONNECT opens nothing."""
    answer = proxy.raw(b"CONNECT evil.example:443 HTTP/1.1\r\nhost: evil.example:443\r\nconnection: close\r\n\r\n")
    assert (status_of(answer) >= 400, server.requests) == (True, [])


# -- what stands in a request ------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        "content-length: 3\r\ntransfer-encoding: chunked",
        "content-length: 3\r\ncontent-length: 4",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "transfer-encoding: xchunked",
        "transfer-encoding : chunked",
        "content-length: +3",
        "content-length: 3, 3",
        "x-a: b\r\n folded: c",
        "x-a: b\x00c",
        "x-a: b\rc: d",
        "x a: b",
        ": b",
    ],
)
def test_requests_that_two_servers_would_read_differently(server, proxy, headers):
    """A request whose length or whose headers are not clear never arrives as two, nor with a header of its own making."""
    request = f"POST {PATH} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n\r\n0\r\n\r\nGET /openai/hidden HTTP/1.1\r\nhost: x\r\n\r\n"
    assert status_of(proxy.raw(request.encode())) in {200, 400}
    assert len(server.requests) <= 1
    for _, path, sent, _ in server.requests:
        assert path == "/v1/chat/completions"
        assert not {"folded", "c", "x a", ""} & {name.lower() for name in sent}


def test_no_header_is_injected(server, proxy):
    """Line ends in a path or in a query, encoded, stay encoded."""
    assert status_of(proxy.raw(raw_request("/openai/v1/x%0d%0ax-evil:1?a=%0d%0ax-evil:%201"))) == 200
    assert server.requests[0][1] == "/v1/x%0d%0ax-evil:1?a=%0d%0ax-evil:%201"
    assert "x-evil" not in {name.lower() for name in server.requests[0][2]}


def test_a_header_that_is_not_utf8(server, proxy):
    """A header that could not be sent on byte for byte is refused."""
    answer = proxy.raw(raw_request(PATH, "x-a: MARK").replace(b"MARK", b"\xff\xfe"))
    assert (status_of(answer), code_of(answer), server.requests) == (400, "bad_header", [])


def test_a_large_header(server, proxy):
    """A header of a megabyte is not forwarded."""
    answer = proxy.raw(raw_request(PATH, "x-a: " + "x" * 1_000_000))
    assert (status_of(answer), server.requests) == (431, [])


def test_large_bodies(server, serve, client, log):
    """A body that is larger than allowed gives 413, whether its length is told before or not."""
    proxy = serve(max_body=100_000)
    assert client.post(proxy.url + PATH, content=b"x" * 100_001).status_code == 413
    assert calls_of(log) == []
    answer = client.post(proxy.url + PATH, content=iter([b"x" * 60_000] * 3))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert call_of(log)[1]["error_type"] == "too_large"
    assert client.post(proxy.url + PATH, content=b"x" * 100_000).status_code == 200


def test_a_slow_body(server, serve, log):
    """A body that does not come in time gives 408."""
    proxy = serve(timeout=0.05)
    for sent in (b"", b"{" * 10):
        head = f"POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n".encode()
        answer = proxy.raw(head + sent)
        assert (status_of(answer), code_of(answer)) == (408, "too_slow")
    assert [completed["error_type"] for _, completed in calls_of(log)] == ["too_slow"] * 2


def test_an_upstream_that_does_not_answer(serve, client, log):
    """An upstream that is silent for too long gives 504, and the status timeout."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        proxy = serve(f"openai=http://127.0.0.1:{silent.getsockname()[1]}", timeout=3.0)
        answer = client.post(proxy.url + PATH, json=ASKED)
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "upstream_timeout")
    assert ending_of(log)[:2] == ("timeout", 0)


def test_an_upstream_that_falls_silent(server, serve, client, log):
    """A stream in which nothing comes for too long is cut off, with the status timeout."""
    hold = threading.Event()
    server.answer(stream_answer(CHAT_STREAM, hold=hold))
    with pytest.raises(httpx.RemoteProtocolError):
        client.post(serve(timeout=3.0).url + PATH, json=ASKED)
    hold.set()
    assert ending_of(log)[:3] == ("timeout", 200, "broken")


def test_too_many_at_once(server, serve, client):
    """Beyond the number of requests that may be under way a client gets 503 with Retry-After."""
    hold = threading.Event()
    server.answer(stream_answer(CHAT_STREAM, hold=hold))
    proxy = serve(max_concurrent=1)
    with client.stream("POST", proxy.url + PATH, json=ASKED) as response:
        chunks = response.iter_raw()
        next(chunks)
        refused = client.post(proxy.url + PATH, json=ASKED)
        hold.set()
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    # the place is free once the proxy has seen that the client left
    assert any(client.post(proxy.url + PATH, json=ASKED).status_code == 200 for _ in range(1000))


def test_a_bomb_in_an_answer(server, proxy, client, log):
    """An answer that stands for far more than its bytes passes as it is, and is read no further."""
    compressor = zlib.compressobj(wbits=31)
    body = b"".join(compressor.compress(b" " * 10_000_000) for _ in range(12)) + compressor.flush()
    server.answer(Answer(200, {"content-type": "application/json", "content-encoding": "gzip"}, [body], length=True))
    with client.stream("POST", proxy.url + PATH, json=ASKED) as response:
        assert b"".join(response.iter_raw()) == body
    assert ending_of(log) == ("success", 200, None, "missing", None)


# -- keys and tokens ----------------------------------------------------------------------


def test_the_clients_key_passes_and_is_not_written(server, proxy, client, log):
    """The key of a client reaches the upstream in each of its places, and the log in none."""
    headers = {"authorization": f"Bearer {KEY}", "x-api-key": KEY, "x-goog-api-key": KEY, "api-key": KEY}
    client.post(f"{proxy.url}{PATH}?key={KEY}&alt=sse", json=ASKED, headers=headers)
    _, path, sent, _ = server.requests[0]
    assert path == f"/v1/chat/completions?key={KEY}&alt=sse"
    assert headers.items() <= {name.lower(): text for name, text in sent.items()}.items()
    assert KEY not in json.dumps(lines_of(log))


def test_the_upstreams_key_replaces_the_clients(server, serve, client, log, tmp_path):
    """With a key of its own the proxy sends that one only, wherever the client's stood."""
    (tmp_path / "key").write_text("sk-own\n")
    proxy = serve(key_files=[f"anthropic={tmp_path / 'key'}"])
    headers = {"authorization": f"Bearer {KEY}", "x-api-key": KEY, "anthropic-version": "2023-06-01"}
    path = f"/anthropic/v1/messages?key={KEY}&beta=true&access_token={KEY}&%6bey={KEY}&api_key={KEY}"
    client.post(proxy.url + path, json=ASKED, headers=headers)
    _, path, sent, _ = server.requests[0]
    assert path == "/v1/messages?beta=true"
    assert {name.lower(): text for name, text in sent.items()}["x-api-key"] == "sk-own"
    assert KEY not in str(sent)
    assert "sk-own" not in json.dumps(lines_of(log))


@pytest.mark.parametrize(
    "header", ["x-bamboo-token: t-1", "authorization: Bearer t-1", "x-api-key: t-1", "x-goog-api-key: t-1"]
)
def test_a_token(server, serve, header):
    """The token opens the proxy, in a header of its own or in the place of a key, and is not sent on."""
    proxy = serve(token="t-1")
    assert status_of(proxy.raw(raw_request(PATH, header))) == 200
    assert "t-1" not in str(server.requests[0][2].values())


@pytest.mark.parametrize(
    "header", ["x-a: t-1", "x-bamboo-token: t-2", "authorization: Basic t-1", "authorization: Bearer", "x-api-key:"]
)
def test_a_wrong_token(server, serve, header, log):
    """Without the token nothing is forwarded, and not even the names of upstreams are told."""
    proxy = serve(token="t-1")
    for path in (PATH, "/nowhere"):
        answer = proxy.raw(raw_request(path, header))
        assert (status_of(answer), code_of(answer)) == (401, "no_token")
        assert b"gemini" not in answer
    assert (server.requests, calls_of(log)) == ([], [])


def test_a_token_beside_the_clients_key(server, serve):
    """A client may give the token and its own key."""
    assert (
        status_of(serve(token="t-1").raw(raw_request(PATH, "x-bamboo-token: t-1", f"authorization: Bearer {KEY}")))
        == 200
    )
    sent = {name.lower(): text for name, text in server.requests[0][2].items()}
    assert sent["authorization"] == f"Bearer {KEY}"
    assert "x-bamboo-token" not in sent


@pytest.mark.parametrize(
    "header", ["origin: http://evil.example", "sec-fetch-site: cross-site", "host: evil.example:8787"]
)
def test_web_pages_do_not_use_the_keys(server, serve, tmp_path, header):
    """A page in a browser of this machine cannot spend the proxy's own key, also under a name that leads to loopback."""
    (tmp_path / "key").write_text("sk-own\n")
    proxy = serve(key_files=[f"openai={tmp_path / 'key'}"])
    request = raw_request(PATH, header).replace(
        b"host: 127.0.0.1\r\n", b"" if "host" in header else b"host: 127.0.0.1\r\n"
    )
    answer = proxy.raw(request)
    assert (status_of(answer), code_of(answer), server.requests) == (403, "from_a_page", [])
    assert status_of(proxy.raw(raw_request(PATH))) == 200


# -- ids ----------------------------------------------------------------------------------


def test_ids_of_the_client(server, proxy, client, log):
    """The headers of our own and traceparent become ids in both events; ours are not sent on."""
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {
        "x-bamboo-session": "s-1",
        "x-bamboo-user": "ada",
        "x-bamboo-round": "r-1",
        "traceparent": f"00-{trace}-00f067aa0ba902b7-01",
    }
    client.post(proxy.url + PATH, json=ASKED, headers=headers)
    for line in call_of(log):
        assert (line["session_id"], line["user_id"], line["client_round_id"], line["trace_id"]) == (
            "s-1",
            "ada",
            "r-1",
            trace,
        )
        assert "round_id" not in line
    sent = {name.lower() for name in server.requests[0][2]}
    assert not [name for name in sent if name.startswith("x-bamboo")]
    assert "traceparent" in sent


def test_the_session_from_another_header(server, serve, client, log):
    """Another header may name the session; it is sent on, and our own has precedence."""
    proxy = serve(session_from="session_id")
    client.post(proxy.url + PATH, json=ASKED, headers={"session_id": "s-1"})
    client.post(proxy.url + PATH, json=ASKED, headers={"session_id": "s-1", "x-bamboo-session": "s-2"})
    assert [started["session_id"] for started, _ in calls_of(log)] == ["s-1", "s-2"]
    assert server.requests[0][2]["session_id"] == "s-1"


@pytest.mark.parametrize("text", ["", "x" * 201, "é", "a\tb"])
def test_what_is_no_id(server, proxy, client, log, text):
    """An id that is empty, too long or not of visible characters is left out."""
    client.post(proxy.url + PATH, json=ASKED, headers={b"x-bamboo-session": text.encode()})
    assert "session_id" not in call_of(log)[0]


# -- headers ------------------------------------------------------------------------------


def test_headers_of_a_request(server, proxy):
    """Headers of one connection, and those that Connection names, are not sent on; all others are, in order, and none is added."""
    headers = ["accept: a/b", "x-two: 1", "x-hop: 1", "te: trailers", "keep-alive: 9", "upgrade: h2c", "proxy-authorization: x",
               "accept-encoding: zstd", "x-two: 2", "expect: 100-continue"]  # fmt: skip
    request = raw_request(PATH, *headers).replace(b"connection: close", b"connection: close, X-Hop")
    proxy.raw(request)
    assert {name.lower() for name in server.requests[0][2]} == {
        "host",
        "content-length",
        "accept",
        "x-two",
        "accept-encoding",
    }


def test_headers_of_an_answer(server, proxy, client):
    """Headers of one connection end at the proxy; all others arrive, and none is added."""
    headers = {"x-two": "1", "keep-alive": "timeout=5", "x-hop": "1", "connection": "X-Hop", "set-cookie": "a=b"}
    server.answer(Answer(200, headers, [b"x"], length=True))
    answer = proxy.raw(raw_request(PATH))
    names = [line.partition(b":")[0].lower() for line in answer.partition(b"\r\n\r\n")[0].splitlines()[1:]]
    assert sorted(names) == [b"connection", b"content-length", b"date", b"server", b"set-cookie", b"x-two"]
    client.post(proxy.url + PATH, json=ASKED)
    assert "cookie" not in {name.lower() for name in server.requests[1][2]}  # none is kept for another client


def test_a_head_request_and_an_empty_answer(server, proxy, client):
    """Answers without a body are passed on without one."""
    server.answer(Answer(204, {}, [], length=True))
    assert client.put(proxy.url + "/openai/v1/x").status_code == 204


def test_the_end_of_the_server(log):
    """The connections to upstreams are closed when the server ends, and again is no matter."""

    async def ending():
        proxy = Proxy(log, ProxyOptions(upstreams=make_upstreams()))
        session = proxy.session
        assert proxy.session is session
        await proxy.close()
        await proxy.close()
        return session.closed

    assert asyncio.run(ending())
