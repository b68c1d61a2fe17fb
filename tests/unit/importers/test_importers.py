from __future__ import annotations

import pytest

from bamboo_logmetrics.importers import IMPORTERS, Importer, register_importer


def test_every_importer_is_whole():
    """Each importer has its name in the registry, a help text, patterns and a usual path."""
    assert list(IMPORTERS) == [
        "claude-code",
        "codex",
        "gemini-cli",
        "mini-swe-agent",
        "opencode",
        "bamboo",
        "otlp",
        "auto",
    ]
    for name, importer in IMPORTERS.items():
        assert importer.name == name
        assert importer.help.endswith(".")
        assert importer.patterns
        assert importer.usual_path


def test_a_name_that_is_taken():
    """An importer is registered once however often, and another with its name is refused."""

    class Other(Importer):
        name = "claude-code"

        def read(self, files, report):
            return iter(())

    register_importer(IMPORTERS["claude-code"])
    with pytest.raises(ValueError, match="an importer named 'claude-code' is registered already; choose another name"):
        register_importer(Other())
    assert not isinstance(IMPORTERS["claude-code"], Other)
