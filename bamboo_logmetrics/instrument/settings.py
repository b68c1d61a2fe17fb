"""The choices of one call of ``instrument``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bamboo_logmetrics.pipeline.diagnostics import Diagnostics
from bamboo_logmetrics.system import Clock
from bamboo_logmetrics.usage.providers import Endpoint, provider_by_family, provider_of

if TYPE_CHECKING:
    from bamboo_logmetrics.logger.bound_log import BoundLog


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
