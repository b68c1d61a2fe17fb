"""The choices of one call of ``instrument``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bamboo_logmetrics.pipeline.diagnostics import Diagnostics
from bamboo_logmetrics.system import Clock
from bamboo_logmetrics.usage.providers import Endpoint, provider_by_family, provider_of

if TYPE_CHECKING:
    from bamboo_logmetrics.logger.bound_log import BoundLog

_MOST_SHOWN = 200  # characters of a wrong value
# a name or an address, with a port or without; an IPv6 address has a port only behind brackets
_HOST = re.compile(r"([\w-]+(?:\.[\w-]+)*)(?::[0-9]+)?")
_IPV6 = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\](?::[0-9]+)?|([0-9A-Fa-f.]*:[0-9A-Fa-f:.]+))")


def host_names(hosts: Iterable[str]) -> frozenset[str]:
    """Return the names of hosts in lower case, without ports.

    Raises:
        TypeError: something else than texts is given.
        ValueError: a text is no name of a host, such as a URL or a pattern.
    """
    if not isinstance(hosts, (str, Iterable)):
        raise TypeError(_no_host(hosts))
    return frozenset(_host_name(name) for name in ((hosts,) if isinstance(hosts, str) else hosts))


def _host_name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(_no_host(name))
    match = _HOST.fullmatch(name) or _IPV6.fullmatch(name)
    if match is None:
        raise ValueError(_no_host(name))
    return str(match[match.lastindex or 0]).lower()


def _no_host(thing: object) -> str:
    shown = repr(thing)
    shown = shown if len(shown) <= _MOST_SHOWN else f"{shown[:_MOST_SHOWN]}..."
    return (
        "hosts must be names of hosts such as 'gateway.example.com', each of which stands for all hosts below it too; "
        f"got {shown}"
    )


@dataclass(slots=True, frozen=True)
class Settings:
    """The log, and which requests are observed.

    Args:
        log: the log that gets the events.
        provider: the provider of hosts that the table does not know.
        hosts: hosts that are observed besides those of the table, such as ``gateway.example.com`` and everything below
            it; None to observe every host.
    """

    log: BoundLog
    provider: str | None = None
    hosts: frozenset[str] | None = None

    def covers(self, host: str) -> bool:
        """Return True if requests to a host are observed."""
        if self.hosts is None or provider_of(host) is not None:
            return True
        host = host.lower()
        return host in self.hosts or any(host.endswith(f".{name}") for name in self.hosts)

    def provider_at(self, host: str, endpoint: Endpoint) -> str | None:
        """Return the provider: by the host, else as it was given, else by the interface that the path shows."""
        return provider_of(host) or self.provider or provider_by_family(endpoint)

    def warn(self, text: str) -> None:
        """Write a warning line into the log, or to stderr where no log is configured yet."""
        if self.log._logger.pipeline is None:
            Diagnostics("no log is configured", Clock()).report(text, owed=True)
        else:
            self.log.warning(text)
