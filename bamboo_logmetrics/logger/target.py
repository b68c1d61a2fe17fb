"""The target of loggers: a pipeline, which ``configure`` can replace while loggers exist."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from bamboo_logmetrics.logger import pickling
from bamboo_logmetrics.logger.processing import ProcessorChain
from bamboo_logmetrics.options import OnFull
from bamboo_logmetrics.pipeline.channel import Channel
from bamboo_logmetrics.pipeline.diagnostics import Diagnostics
from bamboo_logmetrics.record.levels import level_number
from bamboo_logmetrics.record.packed import SLOT, longest_text
from bamboo_logmetrics.record.queued import QueuedRecord
from bamboo_logmetrics.system import Clock

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from bamboo_logmetrics.pipeline.pipeline import OpenScopes, Pipeline
    from bamboo_logmetrics.pipeline.step import Listener

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

    It is the wrapped logger that structlog's processors are given, and has what they ask a logger of the standard
    library for: ``name``, ``disabled`` and the level.
    """

    __slots__ = (
        "__weakref__", "_named", "context", "level", "listeners", "longest", "may_block", "name", "origin", "pipeline",
        "processors", "put", "put_plain", "scopes", "time_ns",
    )  # fmt: skip

    disabled = False

    def __init__(self) -> None:
        self.pipeline: Pipeline | None = None
        self.name = "root"  # as of the stdlib's logger without a name
        self.context: dict[str, Any] = {}  # bound to each logger
        self.processors = ProcessorChain()
        self.origin = ""  # identifies a log with an owner in pickles; empty for the application's log
        self.level = 0  # number of the lowest level that is written
        self.longest = 0  # characters of a text that a record keeps
        self.may_block = False  # True if put and put_plain may wait for room or for the disk
        self.time_ns: Callable[[], int] | None = None  # None: that of the system
        self.listeners: list[Listener] = []  # of the batches that are encoded, of each pipeline that follows
        self.scopes: OpenScopes = {}
        self._named: WeakValueDictionary[str, NamedTarget] = WeakValueDictionary()
        unconfigured = Unconfigured()
        self.put: Put = unconfigured.put
        self.put_plain: Put = unconfigured.put_plain

    def __del__(self) -> None:
        """Have the log closed: no logger and no handler can write to it any more."""
        pipeline: Pipeline | None = getattr(self, "pipeline", None)
        if pipeline is not None:
            pipeline.close_unreferenced()

    def __reduce__(self) -> tuple[Any, ...]:
        return pickling.restore, pickling.reference_of(self)

    def set_pipeline(self, pipeline: Pipeline) -> None:
        """Send all further records to ``pipeline``."""
        options = pipeline.options
        self.processors.replace(options.processors)  # in place: existing loggers share the list
        self.level = level_number(options.level) or logging.NOTSET
        self.longest = longest_text(options.max_line_bytes)
        self.time_ns = None if type(options.clock) is Clock else options.clock.time_ns
        self.may_block = pipeline.durable or options.on_full == OnFull.BLOCK.value
        if pipeline.durable:
            self.put = partial(pipeline.put, plain=False)
            self.put_plain = partial(pipeline.put, plain=True)
        else:
            self.put = pipeline.channel.put
            self.put_plain = pipeline.channel.put_plain
        pipeline.set_listeners(self.listeners)
        if self.pipeline is not None:
            self.pipeline.scopes = {}  # those that are open go on with the new one
        pipeline.scopes = self.scopes
        self.pipeline = pipeline  # last: see NamedTarget.follow
        for target in list(self._named.values()):
            target.follow()

    def named(self, name: str) -> LogTarget:
        """Return the target of the loggers of one name, which always has the pipeline of this one."""
        target = self._named.get(name)
        if target is None:
            target = self._named.setdefault(name, NamedTarget(self, name))
            target.follow()
        return target

    def report(self, text: str) -> None:
        """Report something about this log on stderr, at the end of the process at the latest."""
        if self.pipeline is not None:
            Diagnostics(self.pipeline.path, Clock()).report(text, owed=True)

    # -- what processors ask a logger of the stdlib for -----------------------------------

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the stdlib's name
        """Return True if plain lines of this level are written."""
        return level >= self.level

    def getEffectiveLevel(self) -> int:  # noqa: N802 - the stdlib's name
        """Return the number of the lowest level that is written."""
        return self.level


class NamedTarget(LogTarget):
    """The target of the loggers that ``get_logger`` returned for one name.

    Args:
        parent: the target of the whole log.
        name: the name, which each line has as ``logger``.
    """

    __slots__ = ("_parent",)

    def __init__(self, parent: LogTarget, name: str) -> None:
        self._parent = parent
        self.name = name
        self.context = {"logger": name}
        self.processors = parent.processors
        self.listeners = parent.listeners
        self.scopes = parent.scopes
        self.follow()

    def __del__(self) -> None:
        """Leave the log open: it is the parent's."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pickling.named, (self._parent, self.name)

    def follow(self) -> None:
        """Write to the pipeline of the parent, which another thread may replace at the same time.

        The parent sets its pipeline last. So a copy that began before is either repeated here, or overwritten by the
        parent's own call.
        """
        parent = self._parent
        while True:
            pipeline = parent.pipeline
            self.level, self.may_block, self.time_ns = parent.level, parent.may_block, parent.time_ns
            self.longest = parent.longest
            self.put, self.put_plain = parent.put, parent.put_plain
            self.pipeline = pipeline
            if pipeline is parent.pipeline:
                return


class Unconfigured(Channel):
    """The channel before ``configure`` is called: refuse every record, and report that on stderr once a minute."""

    __slots__ = ("_diagnostics",)

    def __init__(self) -> None:
        clock = Clock()
        Channel.__init__(
            self,
            capacity=1,
            capacity_bytes=SLOT,
            on_full=OnFull.DROP_NEWEST,
            block_timeout=0,
            clock=clock,
            wake=lambda: False,
        )
        self._diagnostics = Diagnostics("no log is configured", clock)
        self.close()

    def _put_slowly(self, record: QueuedRecord, capacity: int) -> bool:
        if self.tap is None:
            self._diagnostics.report("events are not stored; call bamboo_logmetrics.configure(path) first")
        return Channel._put_slowly(self, record, capacity)
