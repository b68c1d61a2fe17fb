"""Files of any tool: each is read by the importer that recognises it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path

from bamboo_logmetrics.importers.base import Importer, ImportReport
from bamboo_logmetrics.importers.catalog import Catalog
from bamboo_logmetrics.importers.catalogued import CataloguedImporter
from bamboo_logmetrics.importers.facts import FileFacts
from bamboo_logmetrics.importers.sources import FileState


class Auto(CataloguedImporter):
    """The files of all tools that are known.

    Args:
        importers: the importers by name; those that count calls take part.
    """

    name = "auto"
    agent = "auto"
    help = "Import the files of every tool that is known, and say which files were recognised."

    def __init__(self, importers: Mapping[str, Importer]) -> None:
        self._importers = importers

    @property
    def _sources(self) -> list[CataloguedImporter]:
        return [one for one in self._importers.values() if isinstance(one, CataloguedImporter) and one is not self]

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

    def source_of(self, path: Path) -> CataloguedImporter | None:
        """Return the importer that recognises a file, or None."""
        sources = self._sources
        usual = [source for source in sources if any(fnmatch(path.name, pattern) for pattern in source.patterns)]
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
        return super().state(path) if source is None else source.state(path)

    def scan(self, path: Path, report: ImportReport, *, growing: bool) -> FileFacts:
        """Return the facts of a file. Raises OSError if no tool is known that wrote it."""
        source = self.source_of(path)
        if source is None:
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
        for path, state in files:
            source = self.source_of(path)
            if source is None:
                report.counts["files that are not recognised, left out"] += 1
            else:
                report.counts[f"files of {source.name}"] += 1
                source.collect(catalog.of_source(source.name, source.agent), [(path, state)], report, is_growing)
