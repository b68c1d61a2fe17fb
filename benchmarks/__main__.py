"""``python -m benchmarks``, or ``python benchmarks/__main__.py`` where the working directory is not searched.

Only the package ``benchmarks`` is found through this file, never what lies beside it: what is measured is the
``bamboo_logmetrics`` that is installed.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def find_benchmarks() -> None:
    """Make ``import benchmarks`` work, and nothing else of the checkout."""
    sys.path[:] = [path for path in sys.path if Path(path).resolve() not in {HERE, HERE.parent}]
    if "benchmarks" not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            "benchmarks", HERE / "__init__.py", submodule_search_locations=[str(HERE)]
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["benchmarks"] = module
        spec.loader.exec_module(module)


if __name__ == "__main__":
    find_benchmarks()
    if sys.argv[1:2] == ["--job"]:
        from benchmarks.fresh import answer

        answer(sys.argv[2])
    else:
        from benchmarks.cli import main

        main()
