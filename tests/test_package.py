from __future__ import annotations

import configparser
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LICENSES = "MIT AND Apache-2.0 AND BSD-3-Clause"
PAGE = "bamboo_logmetrics/reading/report/page"
LICENSE_FILES = ["LICENSE", f"{PAGE}/echarts.LICENSE", f"{PAGE}/echarts.NOTICE"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return the sdist and the wheel, built from the checkout."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--outdir", folder, ROOT], check=True, capture_output=True)
    return next(folder.glob("*.tar.gz")), next(folder.glob("*.whl"))


@pytest.mark.skipif(
    "BAMBOO_TEST_BUILD" not in os.environ, reason="building takes minutes and a network; tox -e package does it"
)
def test_the_build(built):
    """sdist and wheel build; both hold every file of the package, the wheel also the command, and no tests."""
    sdist, wheel = built
    files = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "bamboo_logmetrics").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert {"bamboo_logmetrics/py.typed", "bamboo_logmetrics/integrations/kibana/saved_objects.ndjson"} <= files
    assert {"bamboo_logmetrics/reading/report/page/echarts.min.js"} <= files
    names = set(zipfile.ZipFile(wheel).namelist())
    assert files <= names
    assert not [name for name in names if name.startswith(("tests", "docs", "benchmarks"))]
    entry = next(name for name in names if name.endswith("entry_points.txt"))
    assert b"bamboo-logmetrics = bamboo_logmetrics.cli:main" in zipfile.ZipFile(wheel).read(entry)
    metadata = (
        zipfile.ZipFile(wheel).read(next(name for name in names if name.endswith(".dist-info/METADATA"))).decode()
    )
    assert f"License-Expression: {LICENSES}\n" in metadata
    assert {f"License-File: {name}" for name in LICENSE_FILES} <= set(metadata.splitlines())
    assert all(any(name.endswith(f".dist-info/licenses/{file}") for name in names) for file in LICENSE_FILES)
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert files | {"tests/test_package.py"} <= names


def test_the_licences_are_named():
    """The metadata names the licence of each part, with its text: our own, and those of ECharts in the report page."""
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / "setup.cfg", encoding="utf-8")
    assert metadata["metadata"]["license_expression"] == LICENSES
    assert metadata["metadata"]["license_files"].split() == LICENSE_FILES
    text = "".join((ROOT / name).read_text(encoding="utf-8") for name in LICENSE_FILES)
    assert all(name in text for name in ("MIT License", "Apache License", "BSD 3-Clause License"))
    others = {path.relative_to(ROOT).as_posix() for path in (ROOT / "bamboo_logmetrics").rglob("*.LICENSE")}
    assert others <= set(LICENSE_FILES)


def test_the_tested_package_is_the_installed_one():
    """Under tox the package that is tested is the installed wheel, not the checkout."""
    import bamboo_logmetrics

    if "TOX_ENV_NAME" not in os.environ:
        pytest.skip("not under tox")
    assert "site-packages" in bamboo_logmetrics.__file__


def test_the_import_leaves_out_what_is_needed_later():
    """Modules that only opening a log, a mistake or the tagged form needs are not loaded with the package."""
    code = "import sys; before = set(sys.modules); import bamboo_logmetrics; print(*set(sys.modules) - before)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"bamboo_logmetrics", "msgspec"} <= set(loaded)
    assert not {"dataclasses_json", "difflib", "logging", "pythonjsonlogger", "structlog"} & set(loaded)
