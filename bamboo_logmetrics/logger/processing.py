"""The application's structlog processors, as a log runs them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from structlog import stdlib
from structlog.processors import EventRenamer

from bamboo_logmetrics.events import MetricsEvent
from bamboo_logmetrics.logger.callers import naming_the_caller

if TYPE_CHECKING:
    from structlog.typing import Processor

    from bamboo_logmetrics.logger.target import LogTarget

# They pass the event dictionary on to the stdlib's logging, which is not on the way to a log's file.
_TO_LOGGING = [
    stdlib.ProcessorFormatter.wrap_for_formatter,
    stdlib.render_to_log_kwargs,
    getattr(stdlib, "render_to_log_args_and_kwargs", None),  # from structlog 25.1 on
]
_RECORD_KEYS = ("_record", "_from_structlog")  # how structlog's processors find a record of the standard library
_TEXT_KEYS = ("message", "msg")  # keys under which a line's text may be found when it is not under "event"


class ProcessorChain(list[Any]):
    """The processors of a log. Loggers share the list, which :meth:`replace` changes in place.

    Left out are processors that a log has no use for: ``filter_by_level``, since a log has filtered by its level before
    (and never filters what is emitted), and those that pass the event dictionary on to the stdlib's logging.
    """

    def __init__(self, processors: Iterable[Processor] = ()) -> None:
        super().__init__()
        self.replace(processors)

    def replace(self, processors: Iterable[Processor]) -> None:
        """Run ``processors`` from now on."""
        self[:] = [naming_the_caller(item) for item in processors if not _is_useless(item)]
        self._text_keys = [item.to for item in self if isinstance(item, EventRenamer)]
        self._reported = False

    def run(
        self, logger: LogTarget, method_name: str, event: Any, context: Mapping[str, Any], kw: dict[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        """Return the event or the text, and the values beside it, that the processors make of a call.

        A typed event stays typed: a processor may replace it by another event, rename its key and change the values.
        The text that a renderer makes of it is left out, with all that follows, which is reported once. Of a plain call
        such a text becomes the line's.

        Raises whatever a processor raises, DropEvent too.
        """
        typed = isinstance(event, MetricsEvent)
        event_dict: Any = {**context, **kw}
        if "event" in event_dict:
            event_dict["bound_event"] = event_dict["event"]
        event_dict["event"] = event
        for processor in self:
            # a renderer may take values out of the dictionary
            before = dict(event_dict) if typed else None
            event_dict = processor(logger, method_name, event_dict)
            if typed and not isinstance(event_dict, Mapping):
                event_dict = before
                self._report(processor, logger)
                break
        fields = _fields(event_dict)
        if "_record" in kw:
            for key in _RECORD_KEYS:
                fields.pop(key, None)
        if self._text_keys or not isinstance(fields.get("event"), MetricsEvent if typed else str):
            new = [key for key in fields if key not in context and key not in kw and key != "event"]
            return (_take_typed(event, fields, new) if typed else self._take_text(event, fields, new)), fields
        return fields.pop("event"), fields

    def _take_text(self, text: Any, fields: dict[str, Any], new: list[str]) -> Any:
        """Remove the text of a plain line from the fields and return it; an event, if a processor put one there."""
        renamed = [key for key in self._text_keys if key in fields]
        if renamed:
            key = renamed[-1]
        elif "event" in fields:
            key = "event"
        else:
            same = [key for key in new if fields[key] is text]
            key = next(iter([*same, *(name for name in _TEXT_KEYS if name in new)]), "event")
        taken = fields.pop(key, "")
        return bytes(taken).decode("utf-8", "replace") if isinstance(taken, (bytes, bytearray)) else taken

    def _report(self, processor: Processor, logger: LogTarget) -> None:
        if not self._reported:
            self._reported = True
            name = getattr(processor, "__qualname__", type(processor).__qualname__)
            logger.report(
                f"the text that processor {name} makes of typed events is not used: they are written as events"
            )


def _is_useless(processor: Processor) -> bool:
    return processor is stdlib.filter_by_level or any(processor is item for item in _TO_LOGGING)


def _fields(processed: Any) -> dict[str, Any]:
    """Return the event dictionary of what the last processor returned.

    Raises ValueError for what structlog refuses too.
    """
    if type(processed) is dict:
        return processed.copy()
    if isinstance(processed, (str, bytes, bytearray)):
        return {"event": processed}
    if isinstance(processed, tuple):
        args, kw = processed
        first = args[0] if args else kw.get("event", "")
        return {**kw, **first} if isinstance(first, Mapping) else {**kw, "event": first}
    if isinstance(processed, Mapping):
        return dict(processed)
    msg = f"the last processor returned {type(processed).__name__}; it must return a dict, a text or a tuple"
    raise ValueError(msg)


def _take_typed(event: MetricsEvent, fields: dict[str, Any], new: list[str]) -> MetricsEvent:
    """Remove an event from the fields, whatever its key is now, and return it; or the one that replaced it."""
    moved = [key for key in new if fields[key] is event]
    moved += [key for key in ("event", *new) if isinstance(fields.get(key), MetricsEvent)]
    taken: MetricsEvent = fields.pop(moved[0]) if moved else event
    if fields.get("event") == taken.kind:  # from a processor such as this package's expand
        del fields["event"]
    return taken
