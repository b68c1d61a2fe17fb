"""Events of kinds that this version does not know."""

from __future__ import annotations

from typing import Any, ClassVar

from bamboo_logmetrics.events import registry
from bamboo_logmetrics.events.base import model, snake
from bamboo_logmetrics.events.event import MetricsEvent
from bamboo_logmetrics.events.registry import EVENT_CLASSES


@model
class UnknownEvent(MetricsEvent, frozen=True, kw_only=True):
    """An event of a kind that this version does not know, kept unchanged.

    Args:
        family: the outer tag, such as ``Chat``.
        variant: the inner tag, such as ``SessionPaused``.
        payload: the JSON text of the value of the inner tag; None for a bare tag.

    Raises ValueError for a kind that this version knows: its line would pass for that event.
    """

    _family: ClassVar[str] = ""

    family: str
    variant: str
    payload: str | None = None

    def __post_init__(self) -> None:
        if known := EVENT_CLASSES.get(self.kind):
            msg = f"UnknownEvent must be of an unknown kind; got {self.kind!r}. Pass {known.__name__}(...)."
            raise ValueError(msg)

    def to_dict(self) -> dict[str, Any]:
        """Return the tagged form unchanged."""
        from bamboo_logmetrics.events import tagged

        if self.payload is None:
            return {self.family: self.variant}
        return {self.family: {self.variant: tagged.loads(self.payload)}}

    def _tagged(self, _: dict[str, Any]) -> dict[str, Any]:
        return self.to_dict()

    @property
    def kind(self) -> str:  # type: ignore[override]
        """The dotted name, such as ``chat.session_paused``."""
        return f"{snake(self.family)}.{snake(self.variant)}"


registry.unknown = UnknownEvent
