"""Files of any tool: each is read by the importer that recognises it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from bamboo_logmetrics.importers.base import Importer, ImportReport
from bamboo_logmetrics.importers.catalog import Catalog
from bamboo_logmetrics.importers.catalogued import CataloguedImporter
from bamboo_logmetrics.importers.facts import FileFacts
from bamboo_logmetrics.importers.sources import FileState, fits
from bamboo_logmetrics.importers.spool import add_files, take_events
from bamboo_logmetrics.importers.timeline import Due


class Auto(CataloguedImporter):
    """The files of all tools that are known.

    Args:
        importers: the importers by name; those that recognise their files take part.
    """

    name = "auto"
    agent = "auto"
    help = "Import the files of every tool that is known, and say which files were recognised."

    def __init__(self, importers: Mapping[str, Importer]) -> None:
        self._importers = importers

    @property
    def _sources(self) -> list[Importer]:
        return [
            one
            for one in self._importers.values()
            if one is not self and type(one).recognises is not Importer.recognises
        ]

    @property
    def patterns(self) -> tuple[str, ...]:  # type: ignore[override]  # they grow when an importer is registered
        """The patterns of all tools."""
        return tuple(dict.fromkeys(pattern for source in self._sources for pattern in source.patterns))

    @property
    def usual_path(self) -> str:  # type: ignore[override]
        """The usual place of the first tool, as an example."""
        return self._sources[0].usual_path

    def usual_paths(self) -> tuple[Path, ...]:
        """Return the usual places of all tools that exist."""
        paths = [path for source in self._sources for path in source.usual_paths()]
        return tuple(path for path in paths if path.exists())

    def source_of(self, path: Path) -> Importer | None:
        """Return the importer that recognises a file, or None."""
        sources = self._sources
        usual = [source for source in sources if any(fits(path, pattern) for pattern in source.patterns)]
        renamed = [
            source for source in sources if ".jsonl" in path.name and any(".jsonl" in one for one in source.patterns)
        ]
        return next((source for source in dict.fromkeys((*usual, *renamed)) if source.recognises(path)), None)

    def recognises(self, path: Path) -> bool:
        """Return True if one of the tools wrote a file."""
        return self.source_of(path) is not None

    def state(self, path: Path) -> FileState:
        """Return the state of a file as the tool that wrote it sees it. Raises OSError."""
        source = self.source_of(path)
        return source.state(path) if isinstance(source, CataloguedImporter) else super().state(path)

    def scan(self, path: Path, report: ImportReport, *, growing: bool) -> FileFacts:
        """Return the facts of a file. Raises OSError if no tool is known that wrote it, or it tells no facts."""
        source = self.source_of(path)
        if not isinstance(source, CataloguedImporter):
            msg = "of no tool that is known"
            raise OSError(msg)
        return source.scan(path, report, growing=growing)

    def collect(
        self,
        catalog: Catalog,
        files: Sequence[tuple[Path, FileState | None]],
        report: ImportReport,
        is_growing: Callable[[FileState], bool],
    ) -> None:
        """Read files into a catalog, each as a file of its tool, and count those that are not recognised."""
        simple: dict[Importer, list[tuple[Path, FileState | None]]] = {}
        for path, state in files:
            source = self.source_of(path)
            if source is None:
                report.counts["files that are not recognised, left out"] += 1
                continue
            report.counts[f"files of {source.name}"] += 1
            if isinstance(source, CataloguedImporter):
                source.collect(catalog.of_source(source.name, source.agent), [(path, state)], report, is_growing)
            else:
                simple.setdefault(source, []).append((path, state))
        for source, its_files in simple.items():
            add_files(catalog, source, its_files, report)

    def due(self, catalog: Catalog, before: int | None) -> Iterator[Due]:
        """Yield the events that are due in order of time, those of all tools together."""
        return heapq.merge(super().due(catalog, before), take_events(catalog.store), key=_time_of)


def _time_of(due: Due) -> datetime:
    return due.imported.event.meta.occurred_at
