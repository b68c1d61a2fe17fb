"""What loggers hold: the place their records go to, which ``configure`` can point elsewhere."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bamboo_logmetrics.options import LEVELS, OnFull
from bamboo_logmetrics.pipeline.channel import Channel
from bamboo_logmetrics.pipeline.diagnostics import Diagnostics
from bamboo_logmetrics.record.queued import QueuedRecord
from bamboo_logmetrics.system import Clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import Processor

    from bamboo_logmetrics.pipeline.pipeline import Pipeline


class LogTarget:
    """Where the records of a logger go.

    ``put`` and ``put_plain`` are the channel's own methods, ``time_ns`` is the clock's, so that a call costs no detour.
    """

    __slots__ = ("level", "may_block", "pipeline", "processors", "put", "put_plain", "time_ns")

    def __init__(self) -> None:
        self.pipeline: Pipeline | None = None
        self.processors: list[Processor] = []
        self.level = 0
        self.may_block = False
        self.time_ns = Clock().time_ns
        unconfigured = Unconfigured()
        self.put: Callable[[QueuedRecord], bool] = unconfigured.put
        self.put_plain: Callable[[QueuedRecord], bool] = unconfigured.put_plain

    def set_pipeline(self, pipeline: Pipeline) -> None:
        """Send everything to ``pipeline`` from now on."""
        options = pipeline.options
        self.pipeline = pipeline
        self.processors[:] = options.processors  # in place: loggers that exist share the list
        self.level = LEVELS[options.level]
        self.time_ns = options.clock.time_ns
        self.may_block = pipeline.durable or options.on_full == OnFull.BLOCK.value
        if pipeline.durable:
            self.put = partial(pipeline.put, plain=False)
            self.put_plain = partial(pipeline.put, plain=True)
        else:
            self.put = pipeline.channel.put
            self.put_plain = pipeline.channel.put_plain


class Unconfigured(Channel):
    """The channel before ``configure``: it refuses everything, and says so once a minute on stderr."""

    __slots__ = ("_diagnostics",)

    def __init__(self) -> None:
        clock = Clock()
        Channel.__init__(self, capacity=1, on_full=OnFull.DROP_NEWEST, block_timeout=0, clock=clock, wake=lambda: False)
        self._diagnostics = Diagnostics("no log is configured", clock)
        self.close()

    def _put_slowly(self, record: QueuedRecord, capacity: int) -> bool:
        if self.tap is None:
            self._diagnostics.say("events are not stored; call bamboo_logmetrics.configure(path) first")
        return Channel._put_slowly(self, record, capacity)
