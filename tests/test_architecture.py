"""The rooms of the package: imports go one way, never in a circle. Late imports count."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import support

import bamboo_logmetrics as blm

ROOT = Path(blm.__file__).parent
PACKAGE = "bamboo_logmetrics"

# the rooms in the order in which data flows; each imports from those before it
ROOMS = [
    "_version", "errors", "system", "events", "usage", "record", "format", "logfiles", "options", "pipeline", "logger", "reading",
    "ship", "integrations", "importers", "instrument", "live", "processors", "cli", "testing", "__init__", "__main__",
]  # fmt: skip

FILES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))


def module_of(path):
    parts = [PACKAGE, *path.with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def room_of(module):
    return ROOMS.index(module.split(".")[1] if "." in module else "__init__")


def imported(path):
    """Return the modules of the package that a file imports, anywhere in it but for type checkers."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            modules |= {name if name in MODULES else node.module for name in names}
    return {name for name in modules if name in MODULES}


def test_every_module_is_in_a_room():
    """Each module and folder is in the list of rooms; at the top there are at most nine files."""
    assert {room_of(module) for module in MODULES} <= set(range(len(ROOMS)))
    assert len(list(ROOT.glob("*.py"))) <= 9


def test_the_design_shows_every_room():
    """The page of the design names each folder and module at the top of the package."""
    text = (support.ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    rooms = {module.split(".")[1] for module in MODULES if "." in module} - {"_version", "__main__"}
    assert not [room for room in rooms if f"{room}/" not in text and f"{room}.py" not in text]


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_never_go_up(path):
    """A module imports nothing from a room behind its own."""
    module = module_of(path)
    above = {name for name in imported(path) if room_of(name) > room_of(module)}
    assert not above


def test_imports_never_go_in_a_circle():
    """No chain of imports leads back to where it began."""
    list(TopologicalSorter({module_of(path): imported(path) - {module_of(path)} for path in FILES}).static_order())


@pytest.mark.parametrize("path", FILES, ids=str)
def test_files_and_functions_are_short(path):
    """No file is longer than 400 lines, and no function longer than 40."""
    text = (ROOT / path).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            assert node.end_lineno - first.lineno < 40, f"{node.name} is too long"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_module_says_what_it_is_for(path):
    """Each module begins with a docstring."""
    assert ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8")))


def test_the_public_names():
    """The package exports what it says, and each name is there."""
    assert sorted(blm.__all__) == blm.__all__
    for name in blm.__all__:
        assert getattr(blm, name) is not None
    assert set(blm.__all__) <= set(dir(blm))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        blm.nothing


def test_late_names_are_those_for_type_checkers():
    """The late names that type checkers see are those at run time."""
    tree = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.name: node.module.partition(".")[2] for node in block.body for alias in node.names}
    assert seen == blm._LATE


def test_every_test_states_its_fact():
    """Each test has a docstring of one sentence."""
    for path in Path(__file__).parent.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                text = ast.get_docstring(node)
                assert text, f"{path.name}: {node.name} has no docstring"
                assert text.endswith("."), f"{path.name}: {node.name}: {text!r}"


def test_no_test_sleeps():
    """No test sleeps: time is injected."""
    for path in Path(__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        calls = {node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and hasattr(node.func, "attr")}
        assert "sleep" not in calls, path.name
