"""The transports of an HTTP client, wrapped in place and unwrapped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bamboo_logmetrics.instrument.families import AsyncTransport, SyncTransport, family_of
from bamboo_logmetrics.instrument.finding import family_name, is_async, is_http_client

if TYPE_CHECKING:
    from bamboo_logmetrics.instrument.settings import Settings

_OURS = (SyncTransport, AsyncTransport)
_MAKER = "_inner_client_cls"  # of google-genai's async client, which makes a client of its own for each event loop
_MADE = "_loop_clients"


def wrap(client: Any, settings: Settings) -> None:
    """Wrap the transport and every mount of a client; where that has been done, take the new settings."""
    family = family_of(family_name(type(client)))
    kind = family.async_transport if is_async(client) else family.sync_transport

    def wrapped(transport: Any) -> Any:
        if isinstance(transport, _OURS):
            transport.settings = settings
            return transport
        return None if transport is None else kind(transport, settings)

    client._transport = wrapped(client._transport)
    client._mounts = {pattern: wrapped(transport) for pattern, transport in client._mounts.items()}
    _wrap_inner(client, settings)


def unwrap(client: Any) -> None:
    """Put a client's own transports back."""
    client._transport = _inner(client._transport)
    client._mounts = {pattern: _inner(transport) for pattern, transport in client._mounts.items()}
    for inner in _clients_made(client):
        unwrap(inner)
    vars(client).pop(_MAKER, None)


def is_wrapped(client: Any) -> bool:
    """Return True if the transport of a client is wrapped."""
    return isinstance(client._transport, _OURS)


def _inner(transport: Any) -> Any:
    return transport.inner if isinstance(transport, _OURS) else transport


def _wrap_inner(client: Any, settings: Settings) -> None:
    """Wrap the clients that a client makes for each event loop, those to come too."""
    make = getattr(type(client), _MAKER, None)
    if make is None:
        return
    for inner in _clients_made(client):
        wrap(inner, settings)

    def making(**arguments: Any) -> Any:
        inner = make(**arguments)
        wrap(inner, settings)
        return inner

    setattr(client, _MAKER, making)


def _clients_made(client: Any) -> list[Any]:
    made_clients = vars(client).get(_MADE)
    return [inner for inner in made_clients.values() if is_http_client(inner)] if isinstance(made_clients, dict) else []
