"""Importers that count calls: what they share, from the files to the events."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bamboo_logmetrics.importers.base import ImportedEvent, Importer, ImportReport
from bamboo_logmetrics.importers.catalog import Catalog, Tally
from bamboo_logmetrics.importers.facts import FileFacts
from bamboo_logmetrics.importers.sources import FileState
from bamboo_logmetrics.importers.store import Store
from bamboo_logmetrics.importers.timeline import Due, Timeline


class CataloguedImporter(Importer):
    """A source whose files tell facts, which are merged over all files and runs.

    Attributes:
        agent: the name of the tool, bound as ``agent``.
    """

    agent: str
    independent = True

    @abstractmethod
    def scan(self, path: Path, report: ImportReport, *, growing: bool) -> FileFacts:
        """Return the facts of a file. Raises OSError if it cannot be read.

        ``growing`` is True if the file changed a short time ago: then its last line may be unfinished.
        """

    def read(self, files: Sequence[Path], report: ImportReport) -> Iterator[ImportedEvent]:
        """Yield the events of all files in order of time, each once."""
        store = Store()
        try:
            catalog = Catalog(store, self.name, Tally(), self.agent)
            self.collect(catalog, [(path, None) for path in files], report, lambda _: False)
            for due in self.due(catalog, None):
                yield due.imported
        finally:
            store.close()

    def collect(
        self,
        catalog: Catalog,
        files: Sequence[tuple[Path, FileState | None]],
        report: ImportReport,
        is_growing: Callable[[FileState], bool],
    ) -> None:
        """Read files into a catalog, and report those that cannot be read."""
        for path, known in files:
            report.begin(path)
            try:
                state = known or self.state(path)
                facts = self.scan(path, report, growing=is_growing(state))
            except OSError as error:
                report.problem(path, error.strerror or str(error))
            else:
                catalog.add(path, state, facts)

    def due(self, catalog: Catalog, before: int | None) -> Iterator[Due]:
        """Yield the events that are due; ``before`` as of :class:`~.timeline.Timeline`."""
        return Timeline(catalog, before).events()
