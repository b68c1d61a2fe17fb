"""``instrument`` and ``uninstrument``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar, overload

from bamboo_logmetrics.instrument import everywhere, google_genai
from bamboo_logmetrics.instrument.finding import http_clients
from bamboo_logmetrics.instrument.settings import Settings, host_names
from bamboo_logmetrics.instrument.shield import shielded
from bamboo_logmetrics.instrument.wrapping import unwrap, wrap
from bamboo_logmetrics.logger.bound_log import BoundLog
from bamboo_logmetrics.logger.opening import get_logger

_Client = TypeVar("_Client")


@overload
def instrument(client: _Client, *, log: BoundLog | None = None, provider: str | None = None) -> _Client: ...


@overload
def instrument(
    client: None = None, *, log: BoundLog | None = None, provider: str | None = None, hosts: Iterable[str] = ()
) -> None: ...


def instrument(
    client: object = None, *, log: BoundLog | None = None, provider: str | None = None, hosts: Iterable[str] = ()
) -> object:
    """Emit an event as each request of a client begins and ends, and return the same client.

    ::

        client = instrument(openai.OpenAI())

    Without a client, every client of httpx and httpx2 that is made from now on is instrumented, by whatever SDK, for
    the hosts of known providers.

    Args:
        client: the client of an SDK that uses httpx or httpx2, such as ``openai.OpenAI``, ``AsyncAnthropic``,
            ``google.genai.Client`` or ``mistralai.Mistral``, or such a client itself. Twice is once; the second call's
            log and provider are used.
        log: the log for the events; the one of :func:`configure` if left out, also when it is configured later.
        provider: the provider behind a host that is not known, such as a gateway; by the path if left out.
        hosts: without a client: further hosts to observe, such as ``gateway.example.com``.

    Raises:
        TypeError: no client of httpx or httpx2 is in ``client``, ``log`` is not a log, or ``hosts`` are not texts.
        ValueError: ``hosts`` together with a client, all of whose requests are observed, or a host that is a URL or a
            pattern.
    """
    target = get_logger() if log is None else log
    if not isinstance(target, BoundLog):
        msg = f"log must be what open_log() or get_logger() returns; got {type(log).__name__}"
        raise TypeError(msg)
    if client is None:
        everywhere.enable(Settings(target, provider, host_names(hosts)))
        return None
    if host_names(hosts or ()):
        msg = "hosts is for instrument() without a client: all requests of a client are observed"
        raise ValueError(msg)
    settings = Settings(target, provider)
    for http_client in _found_in(client):
        wrap(http_client, settings)
    _see_async_calls(client, settings)
    return client


def uninstrument(client: object = None) -> None:
    """Undo :func:`instrument` for a client, or without one for all that ``instrument()`` has covered.

    A call that is under way still gets its completed event.

    Raises:
        TypeError: no client of httpx or httpx2 is in ``client``.
    """
    if client is None:
        everywhere.disable()
        return
    for http_client in _found_in(client):
        unwrap(http_client)
    shielded(google_genai.undo)(client)


@shielded
def _see_async_calls(client: object, settings: Settings) -> None:
    """Have the async calls of google-genai seen, or say that they are not."""
    if not google_genai.send_by_httpx(client):
        settings.warn("async calls of this google.genai client go through its aiohttp_client and are not observed")


def _found_in(client: object) -> list[object]:
    clients = http_clients(client)
    if not clients:
        msg = (
            f"{type(client).__name__} has no HTTP client of httpx or httpx2; pass the client of an SDK, such as"
            " openai.OpenAI(), or an httpx.Client; if it makes its client later, call instrument() without one before;"
            " for anything else use: with log.request(...)"
        )
        raise TypeError(msg)
    return clients
