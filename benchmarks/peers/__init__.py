"""The packages compared, one module each, set up as its own documentation recommends.

A module has ``TITLE`` (for tables), ``NEEDS`` (what must be importable), ``PACKAGES`` (whose versions are named) and
``open_peer(path, load)``, and imports the package only in there: a package that is not installed is left out.
"""

from __future__ import annotations

from importlib import import_module, metadata, util
from types import ModuleType

US = "bamboo"
HANDLER = "bamboo_handler"
REFERENCE = "structlog_bytes"
QUEUE_HANDLER = "queue_handler"
ECS_REFERENCE = "structlog_ecs"

NAMES = (
    US,
    HANDLER,
    "stdlib_rotating",
    QUEUE_HANDLER,
    REFERENCE,
    "structlog_stdlib",
    "loguru_serialize",
    "loguru_enqueue",
    "picologging_queue",
    "concurrent_handler",
    "fapilog_file",
    "opentelemetry_batch",
)

# those, and what only the table of calls has
ALL = (*NAMES, ECS_REFERENCE)


def module_of(name: str) -> ModuleType:
    """Return the module of one peer."""
    return import_module(f"benchmarks.peers.{name}")


def title_of(name: str) -> str:
    """Return the title of a peer in tables."""
    title: str = module_of(name).TITLE
    return title


def missing(name: str) -> list[str]:
    """Return the modules that a peer needs and that are not installed."""
    return [need for need in module_of(name).NEEDS if not _importable(need)]


def _importable(module: str) -> bool:
    try:
        return util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it is not there
        return False


def installed(names: tuple[str, ...] = NAMES) -> tuple[list[str], list[str]]:
    """Return the peers that can run, and a sentence for each that cannot."""
    left_out = [
        f"{title_of(name)} is left out: {', '.join(missing(name))} is not installed; the extra 'bench' has it, on the "
        "Pythons it exists for"
        for name in names
        if missing(name)
    ]
    return [name for name in names if not missing(name)], left_out


def versions() -> dict[str, str]:
    """Return the version of every package that is measured, by its name."""
    versions = {}
    for package in sorted({package for name in ALL for package in module_of(name).PACKAGES}):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions
