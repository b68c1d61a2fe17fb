"""``instrument()`` without a client: every client that is made from then on."""

from __future__ import annotations

import importlib.util

import httpx
import pytest
from support.observed import STARTED, call_of, calls_of, lines_of

from bamboo_logmetrics.instrument import everywhere, instrument, shield, uninstrument

pytestmark = pytest.mark.usefixtures("no_errors_inside")


@pytest.fixture(autouse=True)
def unwarned(monkeypatch):
    """Let the warning about earlier clients come again."""
    monkeypatch.setattr(everywhere._state, "is_warned", False)


def answering(request):
    return httpx.Response(200, json={"usage": {"prompt_tokens": 1, "completion_tokens": 2}})


def post(url, **options):
    with httpx.Client(transport=httpx.MockTransport(answering), **options) as http:
        http.post(url, json={"model": "m"})


def test_known_hosts_are_covered(log):
    """Requests to the hosts of providers are observed, those to other hosts are not."""
    instrument(log=log)
    post("https://api.openai.com/v1/chat/completions")
    post("https://example.com/v1/chat/completions")
    assert call_of(log)[0]["provider"] == "openai"


def test_further_hosts(log):
    """Hosts that are given are covered, with what is below them, whatever their case and port."""
    instrument(log=log, hosts=["Gateway.example:8443", "::1", "[::2]:8443"], provider="mine")
    for host in ("gateway.example", "eu.gateway.example:8443", "[::1]", "[::2]", "othergateway.example"):
        post(f"https://{host}/v1/answers")
    assert [started["provider"] for started, _ in calls_of(log)] == ["mine"] * 4


def test_one_host_as_a_text(log):
    """One host may be given as a text."""
    instrument(log=log, hosts="gateway.example")
    post("https://gateway.example/v1/answers")
    assert len(calls_of(log)) == 1


def test_async_clients_and_functions(server, log):
    """Async clients and the functions of the package are covered too."""
    import asyncio

    async def work():
        async with httpx.AsyncClient() as http:
            await http.post(server.chat, json={})

    instrument(log=log, hosts=["127.0.0.1"])
    httpx.post(server.chat, json={})
    asyncio.run(work())
    assert len(calls_of(log)) == 2


def test_uninstrument_undoes_it(log):
    """After uninstrument new clients are as they were, and those that were made meanwhile too."""
    init = httpx.Client.__init__
    instrument(log=log)
    instrument(log=log)  # twice is once
    with httpx.Client(transport=httpx.MockTransport(answering)) as http:
        uninstrument()
        assert httpx.Client.__init__ is init
        assert type(http._transport) is httpx.MockTransport
        http.post("https://api.openai.com/v1/responses", json={})
    post("https://api.openai.com/v1/responses")
    assert lines_of(log, STARTED) == []


def test_a_second_call_replaces_the_first(log, open_log):
    """A second call's log gets the events of clients that the first one covered."""
    other = open_log("b.jsonl")
    instrument(log=log)
    with httpx.Client(transport=httpx.MockTransport(answering)) as http:
        instrument(log=other)
        http.post("https://api.openai.com/v1/responses", json={})
    assert len(calls_of(other)) == 1
    assert lines_of(log, STARTED) == []


def test_a_change_by_others_stays(log, monkeypatch):
    """A constructor that another package has put in place stays, and does nothing more of ours."""
    init = httpx.Client.__init__
    instrument(log=log)
    ours = httpx.Client.__init__
    monkeypatch.setattr(httpx.Client, "__init__", lambda self, **options: ours(self, **options))
    theirs = httpx.Client.__init__
    uninstrument()
    assert httpx.Client.__init__ is theirs
    post("https://api.openai.com/v1/responses")
    instrument(log=log)
    post("https://api.openai.com/v1/responses")
    assert len(calls_of(log)) == 1
    monkeypatch.setattr(httpx.Client, "__init__", ours)
    uninstrument()
    assert httpx.Client.__init__ is init


def test_earlier_clients_are_named_once(log, open_log):
    """Clients that exist already are named in one warning, unless they are covered or cannot reach a provider."""
    with (
        httpx.Client(base_url="https://api.openai.com/v1"),
        httpx.Client(base_url="https://example.com"),
        httpx.Client(base_url="https://api.anthropic.com") as covered,
    ):
        instrument(covered, log=log)
        instrument(log=log)
        uninstrument()
        instrument(log=log)
    warnings = [line for line in lines_of(log) if line["level"] == "warning"]
    assert len(warnings) == 1
    assert "httpx.Client (api.openai.com)" in warnings[0]["event"]
    assert "example.com" not in warnings[0]["event"]
    assert "anthropic" not in warnings[0]["event"]
    assert "call instrument(client) for each" in warnings[0]["event"]


def test_many_earlier_clients(log):
    """At most five clients are named."""
    clients = [httpx.Client(base_url=f"https://c{number}.openai.com") for number in range(7)]
    instrument(log=log)
    for client in clients:
        client.close()
    (warning,) = [line["event"] for line in lines_of(log) if line["level"] == "warning"]
    assert warning.count("openai.com") == 5
    assert ", ...; call" in warning


def test_earlier_clients_without_a_log(unconfigured, capsys):
    """Where no log is configured yet, the warning is on stderr."""
    with httpx.Client(base_url="https://api.openai.com/v1"):
        instrument()
    assert "made before instrument() are not covered: httpx.Client (api.openai.com)" in capsys.readouterr().err


LATE = """
import sys
import bamboo_logmetrics as blm
from bamboo_logmetrics.instrument import instrument, uninstrument
assert "httpx" not in sys.modules
blm.configure({path!r})
instrument(hosts=["127.0.0.1"])
{before}
import httpx
assert type(httpx.__spec__.loader).__name__ == "SourceFileLoader"
httpx.post({url!r}, json={{}}, trust_env=False)
"""


def test_packages_that_are_imported_later(server, run_python, path):
    """A package that is imported after instrument() is covered, and nothing is imported by instrument itself."""
    done = run_python(LATE.format(path=str(path), url=server.chat, before=""))
    assert (done.returncode, done.stderr) == (0, "")
    assert path.read_text(encoding="utf-8").count("forward.request_completed") == 1


TOY = """
import httpx
from httpx import AsyncBaseTransport, AsyncByteStream, BaseTransport, SyncByteStream

class Client(httpx.Client):
    def _transport_for_url(self, url):
        return super()._transport_for_url(url)
"""


def test_a_family_that_is_imported_later(log, monkeypatch, tmp_path):
    """A package like httpx is changed as soon as it is imported, and only once."""
    (tmp_path / "toyhttp.py").write_text(TOY, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(everywhere, "_FAMILIES", ("toyhttp",))
    instrument(log=log)
    import toyhttp

    with toyhttp.Client(transport=httpx.MockTransport(answering)) as http:
        http.post("https://api.openai.com/v1/responses", json={})
    uninstrument()
    del everywhere.sys.modules["toyhttp"]
    assert call_of(log)[0]["provider"] == "openai"


def test_a_family_that_is_executed_after_uninstrument(monkeypatch, tmp_path, log):
    """A package that is found before uninstrument, and executed after it, is left alone."""
    (tmp_path / "toyhttp.py").write_text(TOY, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(everywhere, "_FAMILIES", ("toyhttp",))
    instrument(log=log)
    spec = importlib.util.find_spec("toyhttp")
    uninstrument()
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.Client.__init__ is httpx.Client.__init__


def test_packages_that_are_imported_after_uninstrument(server, run_python, path):
    """httpx is left alone if it is executed after uninstrument."""
    before = "import importlib.util; spec = importlib.util.find_spec('httpx'); uninstrument()\n"
    before += "sys.modules['httpx'] = module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)"
    done = run_python(LATE.format(path=str(path), url=server.chat, before=before))
    assert (done.returncode, done.stderr) == (0, "")
    assert "forward.request" not in path.read_text(encoding="utf-8")


def test_a_package_that_is_not_there(log):
    """The finder finds nothing of its own."""
    instrument(log=log)
    (finder,) = [finder for finder in everywhere.sys.meta_path if isinstance(finder, everywhere._Finder)]
    assert finder.find_spec("httpx3") is None
    spec = finder.find_spec("httpx2")
    assert spec is None or spec.name == "httpx2"


def test_a_loader_that_cannot_be_changed(log, monkeypatch):
    """A loader that cannot be changed costs the coverage of its package, and is counted as an error."""

    class Loader:
        __slots__ = ()

        def exec_module(self, module):
            """Execute nothing."""

    everywhere._notice_execution(everywhere.ModuleSpec("httpx", Loader()))
    assert shield._Errors.count == 1
    monkeypatch.setattr(shield._Errors, "count", 0)


def test_other_classes_of_the_name(log):
    """A module without the classes of a family is left alone."""
    module = type(everywhere)("httpx")
    module.Client = type("Client", (), {})
    before = module.Client.__init__
    everywhere._change(module)
    assert module.Client.__init__ is before
