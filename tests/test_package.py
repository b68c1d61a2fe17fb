from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return the sdist and the wheel, built from the checkout."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--outdir", folder, ROOT], check=True, capture_output=True)
    return next(folder.glob("*.tar.gz")), next(folder.glob("*.whl"))


@pytest.mark.skipif(
    "BAMBOO_TEST_BUILD" not in os.environ, reason="building takes minutes and a network; tox -e package does it"
)
def test_what_is_built(built):
    """sdist and wheel build; the wheel holds every module, the type marker and the command, and no tests."""
    sdist, wheel = built
    modules = {
        f"bamboo_logmetrics/{path.relative_to(ROOT / 'bamboo_logmetrics')}"
        for path in (ROOT / "bamboo_logmetrics").rglob("*.py")
    }
    names = set(zipfile.ZipFile(wheel).namelist())
    assert modules | {"bamboo_logmetrics/py.typed"} <= names
    assert not [name for name in names if name.startswith(("tests", "docs", "benchmarks"))]
    entry = next(name for name in names if name.endswith("entry_points.txt"))
    assert b"bamboo-logmetrics = bamboo_logmetrics.cli:main" in zipfile.ZipFile(wheel).read(entry)
    with tarfile.open(sdist) as archive:
        assert any(name.endswith("/tests/test_package.py") for name in archive.getnames())


def test_what_is_tested_is_what_is_installed():
    """Under tox the package that is tested is the installed wheel, not the checkout."""
    import bamboo_logmetrics

    if "TOX_ENV_NAME" not in os.environ:
        pytest.skip("not under tox")
    assert "site-packages" in bamboo_logmetrics.__file__
