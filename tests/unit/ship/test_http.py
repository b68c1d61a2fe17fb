from __future__ import annotations

import base64
import contextlib
import gzip
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.certificates import Authority, joined, serve_with
from support.destinations import destination
from support.stub_server import Reply, StubServer
from support.tools import tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.ship import Credentials, Shipper, answers
from bamboo_logmetrics.ship import http as ship_http
from bamboo_logmetrics.ship.credentials import secret_from
from bamboo_logmetrics.ship.http import Server, compressed

SECRET = "s3cret-Zq8%/kf+"
PUSH = "/loki/api/v1/push"


@pytest.fixture
def connect():
    """Make servers as the shipper does, and close them after the test."""
    with contextlib.ExitStack() as stack:

        def connecting(url, **credentials):
            server = Server(url, destination("loki"), Credentials(**credentials))
            stack.callback(server.close)
            return server

        yield connecting


@pytest.fixture
def closed_log(tmp_path):
    """Write a closed log of three events."""
    path = tmp_path / "agent.jsonl"
    with blm.open_log(path) as closed_log:
        for number in range(3):
            closed_log.emit(tool(number))
    return path


EMPTY = compressed(b'{"streams":[]}')


@contextlib.contextmanager
def raw_server(*answers, endless=b""):
    """Give the URL of a socket that answers each connection with bytes, and then with ``endless`` until nobody listens."""
    listener = socket.create_server(("127.0.0.1", 0))
    sent = []

    def serve():
        for answer in answers:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                connection.sendall(answer)
                sent.append(0)
                while endless:
                    connection.sendall(endless)
                    sent[-1] += len(endless)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", sent
    finally:
        thread.join()
        listener.close()


# -- URLs --------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["http://localhost:3100", f"http://localhost:3100{PUSH}/"])
def test_the_path_is_appended(connect, url):
    """The destination's path is appended to the URL, unless the URL ends so already."""
    assert connect(url).url == f"http://localhost:3100{PUSH}"


@pytest.mark.parametrize("url", ["localhost:3100", "http://é..b", "http://a\nb"])
def test_not_a_url(connect, url):
    """A text that is not a URL, also for httpx, is refused at once with an example of one."""
    with pytest.raises(ConfigError, match="^url '.*' is not an HTTP URL; use one such as http://localhost:3100$"):
        connect(url)


def test_a_url_with_a_secret(connect):
    """A URL with a secret is refused with the names of the variables for it."""
    with pytest.raises(ConfigError, match="BAMBOO_LOGMETRICS_SHIP_USER and BAMBOO_LOGMETRICS_SHIP_PASSWORD"):
        connect("http://user:hunter22@localhost")


def test_a_host_that_cannot_be(connect):
    """A host's name that no resolver takes is trouble, as one that is unknown is."""
    for host in ("a..b", "a" * 70, "nowhere.invalid"):
        answer = connect(f"http://{host}").post(EMPTY)
        assert answer.status == 0
        assert answer.error


# -- what arrives ------------------------------------------------------------------------


def test_what_arrives(stub, connect):
    """A request brings its kind, the program's name and version, and the body with gzip."""
    body = "größer".encode() * 1000
    connect(stub.url + "/other").post(compressed(body))
    [request] = stub.requests
    assert request.path == f"/other{PUSH}"
    assert request.body == body
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Content-Encoding"] == "gzip"
    assert int(request.headers["Content-Length"]) < 1000
    assert request.headers["User-Agent"] == f"bamboo-logmetrics/{blm.__version__}"
    assert "Authorization" not in request.headers
    assert "X-Scope-OrgID" not in request.headers


def test_compressed():
    """The same body is the same bytes each time."""
    assert gzip.decompress(compressed(b"x" * 100)) == b"x" * 100
    assert compressed(b"x") == compressed(b"x")


@pytest.mark.parametrize(
    ("given", "header"),
    [
        ({"user": "ü", "password": SECRET}, "Basic " + base64.b64encode(f"ü:{SECRET}".encode()).decode()),
        ({"user": "u"}, "Basic " + base64.b64encode(b"u:").decode()),
        ({"token": SECRET}, f"Bearer {SECRET}"),
        ({"api_key": SECRET}, f"ApiKey {SECRET}"),
        ({"tenant": "team|a"}, None),
    ],
)
def test_authorisation_arrives(stub, connect, given, header):
    """Credentials arrive in their header, with each request."""
    server = connect(stub.url, **given)
    for _ in range(2):
        assert server.post(EMPTY).status == 204
    for request in stub.requests:
        assert request.headers.get("Authorization") == header
        assert request.headers.get("X-Scope-OrgID") == given.get("tenant")


@pytest.mark.parametrize(
    "given",
    [
        {"user": "u", "token": "t"}, {"token": "t", "api_key": "k"}, {"user": "u", "password": "p", "api_key": "k"},
        {"password": SECRET}, {"key": "k.pem"}, {"token": f"{SECRET}\nX-Evil: 1"}, {"api_key": f"{SECRET}é"},
        {"token": f" {SECRET}"}, {"tenant": "a\r\nb"}, {"token": f"{SECRET}\x00"},
    ],
    ids=str,
)  # fmt: skip
def test_access_that_cannot_be(given):
    """Credentials that contradict each other, lack their other half, or cannot stand in a header are refused, and not shown."""
    with pytest.raises(ConfigError) as raised:
        Credentials(**given)
    assert SECRET not in str(raised.value)


# -- where secrets come from ----------------------------------------------------------------


def test_secrets_from_the_environment():
    """Each argument has its variable, and arguments beat variables."""
    prefix = "BAMBOO_LOGMETRICS_SHIP_"
    environ = {f"{prefix}USER": "u", f"{prefix}PASSWORD": "p", f"{prefix}TENANT": "t", f"{prefix}CA": "ca"}
    assert Credentials.from_environment(environ) == Credentials(user="u", password="p", tenant="t", ca="ca")
    assert Credentials.from_environment(environ, user="me", tenant="") == Credentials(
        user="me", password="p", tenant="t", ca="ca"
    )
    assert Credentials.from_environment({}) == Credentials()
    environ = {f"{prefix}CERT": "c", f"{prefix}KEY": "k", f"{prefix}TOKEN": "t"}
    assert Credentials.from_environment(environ) == Credentials(cert="c", key="k", token="t")


def test_secrets_of_this_process(monkeypatch):
    """Without anything given, the process's own environment counts."""
    monkeypatch.setenv("BAMBOO_LOGMETRICS_SHIP_API_KEY", SECRET)
    assert Credentials.from_environment().api_key == SECRET


@pytest.mark.parametrize("name", ["password", "token", "api_key"])
def test_secrets_from_files(tmp_path, name):
    """A file holds a secret with or without a newline; one that is named beats a variable, and a value beats the file."""
    path = tmp_path / "secret"
    path.write_bytes(f"{SECRET}\r\n".encode())
    variables = {f"BAMBOO_LOGMETRICS_SHIP_{name.upper()}": "other", "BAMBOO_LOGMETRICS_SHIP_USER": ""}
    user = {"user": "u"} if name == "password" else {}
    found = Credentials.from_environment(variables, **{f"{name}_file": str(path)}, **user)
    assert getattr(found, name) == SECRET
    variables = {f"BAMBOO_LOGMETRICS_SHIP_{name.upper()}_FILE": str(path)}
    assert getattr(Credentials.from_environment(variables, **user), name) == SECRET
    assert getattr(Credentials.from_environment(variables, **{name: "given"}, **user), name) == "given"


def test_secret_files_that_cannot_be_read(tmp_path):
    """A file that is missing, empty, a directory or no text is an error that names it, and shows nothing of it."""
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    (tmp_path / "binary").write_bytes(SECRET.encode() + b"\xff")
    (tmp_path / "folder").mkdir()
    for name in ("missing", "empty", "binary", "folder", "empty/below"):
        with pytest.raises(ConfigError, match=name) as raised:
            secret_from(str(tmp_path / name))
        assert SECRET not in str(raised.value)
        assert raised.value.__cause__ is None


def test_secret_files_of_somebody_else(tmp_path):
    """A file that may not be read is an error that names it."""
    path = tmp_path / "secret"
    path.touch(mode=0)
    if os.access(path, os.R_OK):  # root may read anything but this
        path = "/proc/self/mem"
    if not os.path.exists(path):
        pytest.skip("there is no file that this user may not read")
    with pytest.raises(ConfigError, match=str(path)):
        secret_from(str(path))


# -- where secrets do not go ----------------------------------------------------------------


def test_secrets_are_in_no_repr(connect):
    """Neither what holds secrets nor what uses them shows them."""
    for access in ({"user": "u", "password": SECRET}, {"token": SECRET}, {"api_key": SECRET}):
        server = connect("http://localhost:3100", **access)
        shipper = Shipper("a.jsonl", to="loki", url="http://localhost:3100", access=Credentials(**access))
        for shown in (
            repr(Credentials(**access)),
            repr(server),
            repr(vars(server)),
            repr(shipper),
            repr(server._client),
        ):
            assert SECRET not in shown.replace(f"_secrets': {[*Credentials(**access).secrets()]}", "")
        shipper._server.close()
    assert "user='u'" in repr(Credentials(user="u"))


BASIC = base64.b64encode(f"u:{SECRET}".encode()).decode()


@pytest.mark.parametrize("given", [{"user": "u", "password": SECRET}, {"token": SECRET}, {"api_key": SECRET}], ids=str)
@pytest.mark.parametrize("before", ["who is ", "x" * 480, "x" * 3_990])
def test_an_answer_that_echoes_a_secret(stub, connect, given, before):
    """The words of a server are shown without the secrets, in plain and as they were sent, wherever they are cut."""
    stub.fail(401, body=f"{before}{SECRET} and Basic {BASIC}: no".encode())
    error = connect(stub.url, **given).post(EMPTY).error
    assert "401" in error
    for secret in (SECRET, BASIC) if "user" in given else (SECRET,):
        for size in range(4, len(secret) + 1):
            assert secret[:size] not in error
    assert len(error) <= 500


def test_many_echoes_are_all_hidden(stub, connect):
    """However often an answer holds a secret, no part of it comes through where the text is clipped."""
    server = connect(stub.url, token="t0ken" * 200)
    stub.fail(500, body=b"-" + b"t0ken" * 10_000)
    assert "t0ken" not in server.post(EMPTY).error.replace("[redacted]", "")


def test_other_secrets_in_answers(stub, connect):
    """Secrets that are not ours are masked in what a server says, as in the log."""
    stub.fail(500, body=b"cannot connect to postgres://app:hunter22@db/x with sk-proj-abcdefghijklmnop1234")
    error = connect(stub.url).post(EMPTY).error
    assert "hunter22" not in error
    assert "abcdefghijklmnop1234" not in error
    assert "postgres" in error


@pytest.mark.parametrize("status", [400, 401, 413])
def test_secrets_stay_out_of_files_and_the_process_list(stub, closed_log, tmp_path, status):
    """Where a server refuses with an echo, neither files beside the log, nor arguments, nor what is printed have the secret."""
    seen = []

    def answer(request):
        assert request.headers["Authorization"] == f"Bearer {SECRET}"
        seen.append(subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout)

    stub.before = answer
    stub.fail(status, body=f"who is Bearer {SECRET}".encode(), times=50)

    program = [sys.executable, "-m", "bamboo_logmetrics", "ship", closed_log, "--to", "loki", "--url", stub.url]
    environment = os.environ | {
        "BAMBOO_LOGMETRICS_SHIP_TOKEN": SECRET,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    command = [*map(str, program), "--give-up-after", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)
    assert done.returncode == 1
    assert "bamboo_logmetrics ship" in seen[0]
    files = [path.read_text(encoding="utf-8") for path in tmp_path.iterdir()]
    assert any("who is Bearer" in text for text in files)
    for shown in (done.stdout, done.stderr, seen[0], *files):
        assert SECRET not in shown


@pytest.mark.parametrize("given", ["token", "password", "api_key"])
@pytest.mark.parametrize(
    "escape",
    [
        lambda text: text,
        json.dumps,
        lambda text: json.dumps(text).replace("<", "\\u003c").replace("&", "\\u0026"),
        quote,
    ],
    ids=["plain", "json", "html", "url"],
)
def test_a_secret_with_signs(stub, connect, given, escape):
    """A secret with signs that JSON escapes is found in each way in which a server may write it."""
    secret = 'p4<ss&w0"rd\\x'
    user = {"user": "u"} if given == "password" else {}
    stub.fail(401, body=escape(f"no: {secret}").encode())
    error = connect(stub.url, **user, **{given: secret}).post(EMPTY).error
    assert "401" in error
    assert "p4" not in error
    assert "w0" not in error


def test_requests_are_not_logged(stub, connect, caplog):
    """Nothing is logged of a request of ours, also at debug level: it would be shipped, and logged, without end."""
    server = connect(stub.url, token=SECRET)
    caplog.set_level(logging.DEBUG)
    server.post(EMPTY)
    server.close()
    assert [found.name for found in caplog.records if found.name.startswith("http")] == []
    with httpx.Client() as client:
        client.post(stub.url + PUSH, content=b'{"streams":[]}')
    assert {"httpx", "httpcore.http11"} <= {found.name for found in caplog.records}
    assert not any(SECRET in found.getMessage() for found in caplog.records)


def test_an_answer_that_drips(stub, connect, monkeypatch):
    """An answer whose body takes too long, however often a byte of it comes, is none."""
    monkeypatch.setattr(answers, "_LONGEST_WAIT", -1.0)
    stub.reply(Reply(200, body=b"x"))
    answer = connect(stub.url).post(EMPTY)
    assert (answer.status, answer.error) == (0, "ReadTimeout: an answer that takes more than -1 s")


# -- TLS -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def certificate(authority):
    """Issue the server's certificate and key."""
    return authority.issue("server")


def test_tls_with_an_authority(authority, certificate, connect):
    """A server's certificate is checked against the authority that is given."""
    with serve_with(StubServer(), *certificate) as stub:
        assert connect(stub.url, ca=authority.path).post(EMPTY).status == 204
    assert len(stub.requests) == 1


def test_tls_that_is_not_trusted(certificate, connect, tmp_path):
    """A server whose certificate nobody trusts gets nothing, also where another authority is trusted."""
    other = Authority(tmp_path, "other")
    with serve_with(StubServer(), *certificate) as stub:
        for given in ({}, {"ca": other.path}):
            answer = connect(stub.url, **given, token=SECRET).post(EMPTY)
            assert answer.status == 0
            assert "CERTIFICATE_VERIFY_FAILED" in answer.error
        assert connect(stub.url.replace("https", "http")).post(EMPTY).status == 0
    assert stub.requests == []


def test_tls_for_another_name(authority, certificate, connect):
    """A certificate for another host is none for this one."""
    with serve_with(StubServer(), *certificate) as stub:
        answer = connect(f"https://localhost:{stub.port}", ca=authority.path).post(EMPTY)
    assert "localhost" in answer.error
    assert stub.requests == []


@pytest.mark.parametrize("one_file", [True, False])
def test_a_clients_certificate(authority, certificate, connect, tmp_path, one_file):
    """A client's certificate convinces a server that asks for one; its key may stand in the same file."""
    cert, key = authority.issue("client")
    given = {"cert": joined(tmp_path / "both.pem", cert, key)} if one_file else {"cert": cert, "key": key}
    with serve_with(StubServer(), *certificate, clients=authority.path) as stub:
        assert connect(stub.url, ca=authority.path, **given).post(EMPTY).status == 204
        assert connect(stub.url, ca=authority.path).post(EMPTY).status == 0
    assert len(stub.requests) == 1


def test_a_clients_certificate_without_an_authority(authority, connect, monkeypatch, certificate):
    """With a client's certificate alone, the usual authorities count, among them those that SSL_CERT_FILE names."""
    cert, key = authority.issue("client2")
    monkeypatch.setenv("SSL_CERT_FILE", authority.path)
    with serve_with(StubServer(), *certificate, clients=authority.path) as stub:
        assert connect(stub.url, cert=cert, key=key).post(EMPTY).status == 204


def test_certificates_that_cannot_be_used(authority, certificate, connect, tmp_path):
    """Files that are missing, no certificates, of another key or locked by a passphrase are named, and nobody is asked."""
    cert, key = certificate
    locked = str(tmp_path / "locked.key")
    command = ["openssl", "ec", "-in", key, "-aes256", "-passout", "pass:abcd", "-out", locked]
    subprocess.run(command, check=True, capture_output=True)
    other = authority.issue("another")[1]
    missing = str(tmp_path / "missing.pem")
    for access, named in (
        ({"ca": missing}, missing),
        ({"ca": key}, key),
        ({"ca": str(tmp_path)}, str(tmp_path)),
        ({"ca": authority.path, "cert": missing}, missing),
        ({"cert": cert}, cert),
        ({"cert": cert, "key": missing}, missing),
        ({"cert": cert, "key": other}, other),
        ({"cert": cert, "key": locked}, locked),
    ):
        with pytest.raises(ConfigError, match="cannot be used") as raised:
            connect("https://localhost", **access)
        assert named in str(raised.value)


# -- answers ---------------------------------------------------------------------------------


def in_the_future(**more):
    return format_datetime(datetime.now(timezone.utc) + timedelta(**more), usegmt=True)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("7", 7, 7),
        (" 7 ", 7, 7),
        ("0", 0, 0),
        (lambda: in_the_future(hours=1), 3500, 3601),
        (lambda: in_the_future(hours=1).replace("GMT", "-0000"), 3500, 3601),
        (lambda: in_the_future(hours=-1), 0, 0),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0, 0),
        ("9" * 4_000, float("inf"), float("inf")),
    ],
)
def test_retry_after(stub, connect, text, low, high):
    """Retry-After is a number of seconds or a date; what has passed is no wait."""
    stub.fail(503, {"Retry-After": text() if callable(text) else text})
    wait = connect(stub.url).post(EMPTY).wait
    assert low <= wait <= high


@pytest.mark.parametrize(
    "text", ["", "soon", "-5", "1.5", "1e9", "Wed, 99 Foo 2026", "nan", "Wed, 21 Oct 99999 07:28:00 GMT", "²"]
)
def test_retry_after_that_is_none(stub, connect, text):
    """Any other Retry-After is as if it were not there."""
    stub.fail(429, {"Retry-After": text.encode("utf-8").decode("latin-1")})
    assert connect(stub.url).post(EMPTY).wait is None


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_retry_after(text):
    """No text under Retry-After makes an error."""
    wait = ship_http._wait(httpx.Headers([("Retry-After", text.encode())]))
    assert wait is None or wait >= 0


def test_errors_are_one_short_line(stub, connect):
    """The words of a server become one line of at most 500 characters, after its status."""
    stub.fail(500, body="größer\n\n  Fehler\r\n".encode() + b"\xff" + b"x" * 5_000)
    error = connect(stub.url).post(EMPTY).error
    assert error.startswith("500 Internal Server Error: größer Fehler \ufffdxxx")
    assert len(error) == 500
    stub.fail(500)
    assert connect(stub.url).post(EMPTY).error == "500 Internal Server Error"


def test_redirects_are_not_followed(stub, connect):
    """A redirect is an error that says where to: a POST that is followed may become a GET, and take secrets elsewhere."""
    for status in (301, 302, 303, 307, 308):
        stub.fail(status, {"Location": "https://elsewhere.example/loki"})
        answer = connect(stub.url, token=SECRET).post(EMPTY)
        assert answer.status == status
        assert answer.error.endswith(": https://elsewhere.example/loki")
    assert len(stub.requests) == 5


@pytest.mark.parametrize(
    ("status", "reason"), [("500 No", "500 No: xxx"), ("200 OK", "an answer of more than 8,388,608 bytes")]
)
def test_an_endless_answer(connect, status, reason):
    """Of an answer without an end, only its beginning is read."""
    head = f"HTTP/1.1 {status}\r\nContent-Length: 99999999999\r\n\r\n".encode()
    with raw_server(head, endless=b"x" * 65536) as (url, sent):
        answer = connect(url).post(EMPTY)
    assert answer.error.startswith(reason)
    assert len(answer.body) < 17 * 1024 * 1024
    assert sent[0] < 64 * 1024 * 1024


def test_a_compressed_answer_that_grows(stub, connect):
    """An answer that is small as it is sent, and huge when it is decompressed, is read no further than any other."""
    body = gzip.compress(bytes(256 * 1024 * 1024), 1)
    stub.fail(500, {"Content-Encoding": "gzip"}, body)
    assert len(connect(stub.url).post(EMPTY).body) < 128 * 1024 * 1024


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nx", b"HTTP/1.1 200 OK\r\nContent-Len",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 abc OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)  # fmt: skip
def test_broken_answers(connect, answer):
    """An answer that is broken off or none of HTTP is as none: the lines may have arrived, and are sent again."""
    with raw_server(answer) as (url, _):
        found = connect(url).post(EMPTY)
    assert found.status == 0
    assert found.error


def test_nobody_there(connect):
    """Where nobody listens, the error says so."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    answer = connect(f"http://127.0.0.1:{port}").post(EMPTY)
    assert answer.status == 0
    assert answer.error.startswith("ConnectError: ")


def test_reset(stub, connect):
    """After a connection that was reset, the next request makes another."""
    server = connect(stub.url)
    stub.reset()
    assert server.post(EMPTY).status == 0
    assert server.post(EMPTY).status == 204


# -- proxies ---------------------------------------------------------------------------------


def test_a_proxy_of_the_environment(stub, connect, monkeypatch):
    """A proxy that the environment names is used, and NO_PROXY is honoured."""
    monkeypatch.setenv("HTTP_PROXY", stub.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    answer = connect("http://logs.invalid").post(EMPTY)
    assert answer.status == 204
    assert stub.requests[0].path == f"http://logs.invalid{PUSH}"
    monkeypatch.setenv("NO_PROXY", "logs.invalid")
    assert connect("http://logs.invalid").post(EMPTY).status == 0
    assert len(stub.requests) == 1


def test_a_proxys_password(stub, connect, monkeypatch):
    """A password in a proxy's URL arrives there, and is in no error."""
    monkeypatch.setenv("HTTP_PROXY", f"http://me:pr0xypass@127.0.0.1:{stub.port}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    stub.fail(407)
    server = connect("http://logs.invalid")
    answer = server.post(EMPTY)
    assert answer.status == 407
    expected = "Basic " + base64.b64encode(b"me:pr0xypass").decode()
    assert stub.requests[0].headers["Proxy-Authorization"] == expected
    stub.stop()
    assert "pr0xypass" not in answer.error + server.post(EMPTY).error


def test_a_proxy_that_is_none(monkeypatch, connect):
    """A proxy whose URL is none is an error of the configuration, without its password."""
    for url in ("nonsense://me:pr0xypass@x", "http://me:pr0xypass@x:port", "socks5://me:pr0xypass@x"):
        monkeypatch.setenv("HTTP_PROXY", url)
        with pytest.raises(ConfigError) as raised:
            connect("http://logs.invalid")
        assert "pr0xypass" not in str(raised.value)
