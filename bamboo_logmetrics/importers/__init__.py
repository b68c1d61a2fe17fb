"""Importers: the session files of other tools as events.

A new importer is a subclass of :class:`Importer`; :func:`register_importer` makes it known to the command line.
"""

from __future__ import annotations

from collections.abc import Mapping

from bamboo_logmetrics.importers.auto import Auto
from bamboo_logmetrics.importers.bamboo import BAMBOO
from bamboo_logmetrics.importers.base import ImportedEvent, Importer, ImportReport, Note, Problem, read_each
from bamboo_logmetrics.importers.claude_code.importer import CLAUDE_CODE
from bamboo_logmetrics.importers.codex.importer import CODEX
from bamboo_logmetrics.importers.gemini_cli import GEMINI_CLI
from bamboo_logmetrics.importers.mini_swe_agent import MINI_SWE_AGENT
from bamboo_logmetrics.importers.opencode.importer import OPENCODE
from bamboo_logmetrics.importers.otlp.importer import OTLP

__all__ = [
    "AUTO",
    "IMPORTERS",
    "ImportReport",
    "ImportedEvent",
    "Importer",
    "Note",
    "Problem",
    "read_each",
    "register_importer",
]

_importers: dict[str, Importer] = {
    importer.name: importer for importer in (CLAUDE_CODE, CODEX, GEMINI_CLI, MINI_SWE_AGENT, OPENCODE, BAMBOO, OTLP)
}
AUTO = Auto(_importers)
_importers[AUTO.name] = AUTO
IMPORTERS: Mapping[str, Importer] = _importers


def register_importer(importer: Importer) -> None:
    """Make an importer known to the command ``bamboo-logmetrics import``.

    Raises ValueError if another importer has its name.
    """
    if _importers.setdefault(importer.name, importer) is not importer:
        msg = f"an importer named {importer.name!r} is registered already; choose another name"
        raise ValueError(msg)
