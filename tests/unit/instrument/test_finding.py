"""HTTP clients inside other objects."""

from __future__ import annotations

import httpx
import pytest

from bamboo_logmetrics.instrument import finding
from bamboo_logmetrics.instrument.finding import family_name, http_clients, is_async


class Holder:
    """Hold anything."""

    def __init__(self, **attributes):
        vars(self).update(attributes)


class Slotted:
    __slots__ = ("client", "nothing")

    def __init__(self, client):
        self.client = client


class OneSlot:
    __slots__ = "client"  # noqa: PLC0205 - a text is a legal form

    def __init__(self, client):
        self.client = client


class Lazy:
    """A client whose attributes must not be asked for."""

    @property
    def client(self):
        raise ZeroDivisionError

    def __getattr__(self, name):
        raise ZeroDivisionError


@pytest.fixture
def http():
    with httpx.Client() as http:
        yield http


@pytest.mark.parametrize(
    "hold", [lambda c: c, lambda c: Holder(a=Holder(b=c)), Slotted, OneSlot, lambda c: Holder(a=Slotted(Holder(c=c)))]
)
def test_clients_are_found(http, hold):
    """A client is found in attributes and slots, some levels deep."""
    assert http_clients(hold(http)) == [http]


def test_each_once(http):
    """A client that is held several times is found once, and circles end."""
    holder = Holder(a=http, b=Holder(c=http))
    holder.b.back = holder
    assert http_clients(holder) == [http]


def test_nothing_is_called(http):
    """No property and no function of an object is called."""
    assert http_clients(Holder(a=Lazy(), b=http)) == [http]


def test_the_search_has_limits(http, monkeypatch):
    """The search ends at a depth and after many objects."""
    deep = http
    for _ in range(10):
        deep = Holder(a=deep)
    assert http_clients(deep) == []
    monkeypatch.setattr(finding, "_MOST_LOOKED_AT", 3)
    assert http_clients(Holder(a=1, b=2, c=3, d=Holder(e=http))) == []


def test_families():
    """A class is of a family by its bases, whatever its own name."""
    mine = type("Mine", (httpx.AsyncClient,), {})
    assert (family_name(mine), family_name(httpx.Client), family_name(dict)) == ("httpx", "httpx", "")
    assert family_name(type("Client", (), {"_transport_for_url": 1})) == ""
    assert is_async(mine.__new__(mine))
