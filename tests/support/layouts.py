"""Layouts for tests."""

from __future__ import annotations

from bamboo_logmetrics.format.layouts import NATIVE


class WrittenBy(type(NATIVE)):
    """The native layout, but that a function of the test writes its records; it has no fast path."""

    def __init__(self, write):
        self.write = write
