"""Layouts for tests."""

from __future__ import annotations

from bamboo_logmetrics.format.layouts.native import NativeLayout


class WrittenBy(NativeLayout):
    """The native layout, but that a function of the test writes its records; it has no fast path."""

    def __init__(self, write):
        self.write = write
