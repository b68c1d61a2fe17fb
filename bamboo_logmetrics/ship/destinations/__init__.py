"""The registry of destinations. Each is one class in a module of its own.

An application adds its own with :func:`register_destination`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.ship.destinations.base import (
    DeliveryResult,
    Destination,
    DestinationOptions,
    Rejection,
    ResourceDefaults,
    option,
)
from bamboo_logmetrics.ship.destinations.elasticsearch import Elasticsearch
from bamboo_logmetrics.ship.destinations.loki import Loki
from bamboo_logmetrics.ship.destinations.otlp import Otlp
from bamboo_logmetrics.ship.entries import Entry

__all__ = [
    "DESTINATIONS", "DeliveryResult", "Destination", "DestinationOptions", "Entry", "Rejection", "ResourceDefaults",
    "find_destination", "option", "register_destination",
]  # fmt: skip

_destinations: dict[str, type[Destination]] = {kind.name: kind for kind in (Loki, Elasticsearch, Otlp)}
DESTINATIONS: Mapping[str, type[Destination]] = _destinations


# the arguments of Shipper, and the options of the command ``ship`` beside them
RESERVED = frozenset({
    "access", "api_key_file", "batch_bytes", "ca", "cert", "checkpoint_dir", "clock", "dead_letter_bytes", "env",
    "files", "follow", "form", "format", "fs", "give_up_after", "help", "key", "moved", "name", "on_notice",
    "on_progress", "on_trouble", "options", "password_file", "poll_interval", "resend", "self", "service", "show",
    "status", "tenant", "to", "token_file", "url", "user",
})  # fmt: skip


def register_destination(destination: type[Destination]) -> None:
    """Make a destination known to ``Shipper`` and to the command ``ship``.

    Raises ValueError if another destination has its name or one of its options, and for an option that has the name of
    an argument of ``Shipper`` or of an option of the command.
    """
    if reserved := _options(destination) & RESERVED:
        msg = f"{min(reserved)!r} is a name of the shipper itself; choose another name for the option"
        raise ValueError(msg)
    for other in _destinations.values():
        if other is not destination and (shared := _options(other) & _options(destination)):
            msg = f"{other.name!r} has an option {min(shared)!r} already; choose another name"
            raise ValueError(msg)
    if _destinations.setdefault(destination.name, destination) is not destination:
        msg = f"a destination named {destination.name!r} is registered already; choose another name"
        raise ValueError(msg)


def find_destination(name: str) -> type[Destination]:
    """Return the destination of this name. Raises ConfigError."""
    if name not in DESTINATIONS:
        msg = f"to={name!r} must be one of {', '.join(DESTINATIONS)}"
        raise ConfigError(msg)
    return DESTINATIONS[name]


def _options(destination: type[Destination]) -> set[str]:
    return {field.name for field in fields(destination.Options)}
