"""A toy event: an event of an application, added by subclassing the base of a family."""

from __future__ import annotations

import bamboo_logmetrics as blm


class CacheWarmed(blm.ChatEvent):
    """An event with one field of each type that there may be. Its kind is ``chat.cache_warmed``."""

    session_id: str
    entries: int
    ratio: float | None = None
    cold: bool = False
    status: blm.RoundStatus = blm.RoundStatus.SUCCESS
    usage: blm.TokenUsage | None = None


WARMED = CacheWarmed(
    session_id="s-1",
    entries=-3,
    ratio=0.5,
    usage=blm.TokenUsage(prompt_tokens=1, completion_tokens=2, total_tokens=3),
)
