"""google-genai's choice between aiohttp and httpx, on objects that are built as its own."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import httpx
import pytest
from support.observed import lines_of

from bamboo_logmetrics.instrument import instrument, uninstrument
from bamboo_logmetrics.instrument.google_genai import EveryClient


class BaseApiClient:
    """The part of the SDK's class that chooses."""

    def __init__(self, http=None, session=None):
        self._httpx_client = http
        self._http_options = SimpleNamespace(aiohttp_client=session)

    def _use_aiohttp(self):
        return True


@pytest.fixture
def http():
    with httpx.Client() as http:
        yield http


def test_one_client_sends_by_httpx(log, http):
    """An instrumented client sends by httpx, and by aiohttp again once that is undone."""
    client = SimpleNamespace(_api_client=BaseApiClient(http))
    instrument(client, log=log)
    instrument(client, log=log)
    assert not client._api_client._use_aiohttp()
    uninstrument(client)
    assert client._api_client._use_aiohttp()
    assert [line for line in lines_of(log) if line["level"] == "warning"] == []


def test_a_session_that_was_given_stays(log, http):
    """A client that was given an aiohttp session goes on to use it, and a warning says that it is not observed."""
    client = SimpleNamespace(_api_client=BaseApiClient(http, session=object()))
    instrument(client, log=log)
    assert client._api_client._use_aiohttp()
    (warning,) = [line["event"] for line in lines_of(log) if line["level"] == "warning"]
    assert "go through its aiohttp_client and are not observed" in warning


def test_every_client_sends_by_httpx(log, monkeypatch):
    """With instrument() for all, clients of the SDK that are made from then on send by httpx, until it is undone."""
    monkeypatch.setitem(sys.modules, "google.genai._api_client", ModuleType("google.genai._api_client"))
    sys.modules["google.genai._api_client"].BaseApiClient = BaseApiClient
    own = BaseApiClient._use_aiohttp
    instrument(log=log)
    with httpx.Client(), httpx.Client():
        assert not BaseApiClient()._use_aiohttp()
        assert BaseApiClient(session=object())._use_aiohttp()
    uninstrument()
    assert BaseApiClient._use_aiohttp is own


def test_without_the_sdk(monkeypatch):
    """Where the SDK is not there, or of another form, nothing is changed."""
    monkeypatch.setitem(sys.modules, "google.genai._api_client", ModuleType("google.genai._api_client"))
    every = EveryClient()
    every.send_by_httpx()
    every.undo()
