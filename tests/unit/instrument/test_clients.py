"""``instrument`` and ``uninstrument``: arguments, wrapping in place, twice, undoing."""

from __future__ import annotations

import httpx
import pytest
from support.observed import STARTED, call_of, calls_of, lines_of

import bamboo_logmetrics as blm
from bamboo_logmetrics.instrument import instrument, uninstrument

pytestmark = pytest.mark.usefixtures("no_errors_inside")


class Sdk:
    """An SDK's client, which holds its HTTP client two attributes deep, as that of google-genai does."""

    def __init__(self, http):
        self.api = type("Api", (), {})()
        self.api.http = http
        self.api.parent = self


def test_the_same_client_is_returned(server, log):
    """The client inside an SDK's is found, and the SDK's own object is returned as it was."""
    with httpx.Client() as http:
        sdk = Sdk(http)
        before = vars(sdk).copy()
        assert instrument(sdk, log=log) is sdk
        assert vars(sdk) == before
        sdk.api.http.post(server.chat, json={})
    assert len(calls_of(log)) == 1


def test_twice_is_once(server, client, log, open_log):
    """A client that is instrumented again has one event each, in the log that was given last."""
    other = open_log("b.jsonl")
    assert instrument(client, log=other, provider="gateway-1") is client
    client.post(server.chat, json={})
    assert lines_of(log, STARTED) == []
    assert call_of(other)[0]["provider"] == "gateway-1"


def test_a_provider_that_is_given_gives_way_to_the_host(log):
    """The provider is that of the host where it is known, whatever was given."""
    answer = httpx.MockTransport(lambda request: httpx.Response(200, json={}))
    with httpx.Client(transport=answer) as http:
        instrument(http, log=log, provider="given").post("https://api.groq.com/openai/v1/chat/completions", json={})
    assert call_of(log)[0]["provider"] == "groq"


def test_uninstrument_puts_everything_back(server, client, log):
    """After uninstrument the client has its own transports again, and no event is emitted."""
    own = client._transport.inner
    uninstrument(client)
    assert client._transport is own
    assert type(own) is httpx.HTTPTransport
    client.post(server.chat, json={})
    uninstrument(client)  # once more changes nothing
    assert lines_of(log, STARTED) == []


def test_a_call_under_way_survives_uninstrument(server, client, log):
    """A call that began before uninstrument still has its completed event."""
    with client.stream("POST", server.chat, json={}) as response:
        uninstrument(client)
        response.read()
    assert call_of(log)[1]["total_tokens"] == 42


def test_mounts_are_covered(server, log):
    """Every mount is wrapped and unwrapped; one without a transport of its own stays so."""
    mounts = {"http://127.0.0.1": httpx.HTTPTransport(), "http://nowhere": None}
    with httpx.Client(mounts=mounts) as http:
        instrument(http, log=log)
        http.post(server.chat, json={})
        assert None in http._mounts.values()
        uninstrument(http)
        assert set(http._mounts.values()) == set(mounts.values())
    assert len(calls_of(log)) == 1


def test_the_configured_log(server, unconfigured, path):
    """Without a log the events go to the configured one, also when it is configured later."""
    with httpx.Client() as http:
        instrument(http)
        blm.configure(path)
        http.post(server.chat, json={})
    assert blm.close()
    assert [line.event.kind for line in blm.read(path)][1:-1] == [
        "forward.request_started",
        "forward.request_completed",
    ]


@pytest.mark.parametrize("action", [instrument, uninstrument])
@pytest.mark.parametrize("thing", [object(), "openai", 5, {"client": 1}, httpx, httpx.Client])
def test_no_client_is_a_type_error(action, thing):
    """An object without an HTTP client is refused, and the message names the remedy."""
    with pytest.raises(TypeError, match=r"has no HTTP client .* openai\.OpenAI\(\).*log\.request"):
        action(thing)


def test_a_wrong_log_is_a_type_error(client):
    """A log that is none is refused."""
    with pytest.raises(TypeError, match=r"open_log\(\) or get_logger\(\) returns; got str"):
        instrument(client, log="a.jsonl")


def test_hosts_are_for_all_clients(client):
    """Hosts together with a client are refused."""
    with pytest.raises(ValueError, match="without a client"):
        instrument(client, hosts=["a.example"])


@pytest.mark.parametrize("hosts", [["https://a.example/v1"], [""], ["*"], ["*.a.example"], [".a.example"], ["a b"],
                                   ["a.example,b.example"], ["a.example:x"], ["user@a.example"], "*"])  # fmt: skip
def test_hosts_are_names(hosts):
    """A URL or a pattern in place of a host's name is refused."""
    with pytest.raises(ValueError, match=r"names of hosts such as 'gateway\.example\.com'.*; got '"):
        instrument(hosts=hosts)


@pytest.mark.parametrize("hosts", [[5], 5, None, [None], [b"a.example"], b"a.example", [["a.example"]]])
def test_hosts_are_texts(hosts):
    """Anything but texts is refused with the same message."""
    with pytest.raises(TypeError, match=r"names of hosts such as 'gateway\.example\.com'.*; got "):
        instrument(hosts=hosts)


def test_a_wrong_host_is_shown_in_short():
    """The message shows the beginning of a very long value."""
    with pytest.raises(ValueError, match=r"x\.\.\.$") as caught:
        instrument(hosts=["/" + "x" * 10_000])
    assert len(str(caught.value)) < 400


class Inner(httpx.AsyncClient):
    """The client that is made for each event loop."""


class PerLoop(httpx.AsyncClient):
    """A client that sends by others, which it makes for each event loop, as google-genai's does."""

    _inner_client_cls = Inner

    def __init__(self):
        super().__init__()
        self._loop_clients = {}

    async def send(self, request, **options):
        if not self._loop_clients:
            self._loop_clients["loop"] = self._inner_client_cls(timeout=30)
        return await self._loop_clients["loop"].send(request, **options)

    async def __aexit__(self, *error):
        for inner in self._loop_clients.values():
            await inner.aclose()
        await super().__aexit__(*error)


@pytest.mark.parametrize("early", [True, False])
def test_clients_that_are_made_for_each_loop(server, log, early):
    """Clients that a client makes for each event loop are covered, before and after, and uncovered again."""
    import asyncio

    async def work():
        async with PerLoop() as http:
            if early:
                await http.post(server.chat, json={})
            instrument(http, log=log)
            instrument(http, log=log)
            await http.post(server.chat, json={})
            uninstrument(http)
            await http.post(server.chat, json={})
            assert http._inner_client_cls is Inner

    asyncio.run(work())
    assert len(calls_of(log)) == 1
