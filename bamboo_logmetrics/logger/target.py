"""The target of loggers: a pipeline, which ``configure`` can replace while loggers exist."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bamboo_logmetrics.options import OnFull
from bamboo_logmetrics.pipeline.channel import Channel
from bamboo_logmetrics.pipeline.diagnostics import Diagnostics
from bamboo_logmetrics.record.levels import LEVELS
from bamboo_logmetrics.record.queued import QueuedRecord
from bamboo_logmetrics.system import Clock

if TYPE_CHECKING:
    from typing import Protocol

    from structlog.typing import Processor

    from bamboo_logmetrics.pipeline.pipeline import Pipeline

    class Put(Protocol):
        """A call that puts one record into a log and returns True if the record is acknowledged.

        One of :meth:`Channel.put`, :meth:`Channel.put_plain`, :meth:`Pipeline.put` (durable logs) and the methods of
        :class:`Unconfigured`.
        """

        def __call__(self, record: QueuedRecord, /) -> bool: ...  # noqa: D102


class LogTarget:
    """The target of all loggers of one log.

    ``put`` and ``put_plain`` are the channel's own methods and ``time_ns`` is the clock's, so that a logger calls them
    without a detour. They change when :meth:`set_pipeline` is called.
    """

    __slots__ = ("level", "may_block", "pipeline", "processors", "put", "put_plain", "time_ns")

    def __init__(self) -> None:
        self.pipeline: Pipeline | None = None
        self.processors: list[Processor] = []
        self.level = 0  # number of the lowest level that is written
        self.may_block = False  # True if put and put_plain may wait for room or for the disk
        self.time_ns = Clock().time_ns
        unconfigured = Unconfigured()
        self.put: Put = unconfigured.put
        self.put_plain: Put = unconfigured.put_plain

    def set_pipeline(self, pipeline: Pipeline) -> None:
        """Send all further records to ``pipeline``."""
        options = pipeline.options
        self.pipeline = pipeline
        self.processors[:] = options.processors  # in place: existing loggers share the list
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
    """The channel before ``configure`` is called: refuse every record, and report that on stderr once a minute."""

    __slots__ = ("_diagnostics",)

    def __init__(self) -> None:
        clock = Clock()
        Channel.__init__(self, capacity=1, on_full=OnFull.DROP_NEWEST, block_timeout=0, clock=clock, wake=lambda: False)
        self._diagnostics = Diagnostics("no log is configured", clock)
        self.close()

    def _put_slowly(self, record: QueuedRecord, capacity: int) -> bool:
        if self.tap is None:
            self._diagnostics.report("events are not stored; call bamboo_logmetrics.configure(path) first")
        return Channel._put_slowly(self, record, capacity)
