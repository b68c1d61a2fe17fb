"""Control of a log through any of its loggers: counters, flush and close."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bamboo_logmetrics.errors import ConfigError

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from bamboo_logmetrics.logger.target import LogTarget
    from bamboo_logmetrics.pipeline.pipeline import Pipeline
    from bamboo_logmetrics.pipeline.statistics import Stats


class LogControl:
    """The part of :class:`BoundLog` that concerns the whole log: counters, flush, close, and ``with``."""

    _logger: LogTarget

    def stats(self) -> Stats:
        """Return one snapshot of the log's counters in this process.

        Raises ConfigError before :func:`configure` is called, as do :meth:`flush`, :meth:`close` and :attr:`path`.
        """
        return self._pipeline.stats()

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until all that was emitted before is in the file.

        Args:
            timeout: seconds to wait at most.

        Returns:
            True if all of it is in the file.
        """
        return self._pipeline.flush(timeout)

    def close(self, timeout: float = 5.0) -> bool:
        """Write what is queued, and end the log.

        Later calls of any logger of this log are refused and counted as ``closed``.

        Args:
            timeout: seconds to wait at most. What is not written by then is counted as dropped.

        Returns:
            True if everything was written.
        """
        return self._pipeline.close(timeout)

    async def aflush(self, timeout: float = 5.0) -> bool:
        """Flush as :meth:`flush`, without blocking the event loop."""
        return await asyncio.to_thread(self.flush, timeout)

    async def aclose(self, timeout: float = 5.0) -> bool:
        """Close as :meth:`close`, without blocking the event loop."""
        return await asyncio.to_thread(self.close, timeout)

    @property
    def path(self) -> str:
        """The absolute path of the file."""
        return self._pipeline.path

    @property
    def _pipeline(self) -> Pipeline:
        pipeline = self._logger.pipeline
        if pipeline is None:
            msg = "no log is configured; call bamboo_logmetrics.configure(path) first"
            raise ConfigError(msg)
        return pipeline

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self.aclose()
