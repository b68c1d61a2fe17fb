"""Names and words: standard terms in the package, plain docstrings everywhere, tests where their module says."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest
from support import ROOT

import bamboo_logmetrics as blm

PACKAGE = Path(blm.__file__).parent
TESTS = ROOT / "tests"
DECISIONS = ROOT / "docs" / "decisions"

# Identifiers that were replaced by standard names; a leading underscore makes no difference.
REPLACED = {
    "Passage", "mine", "if_free", "enter",  # locks.OwnedLock: held_by_me, try_acquire, acquire
    "Outlet", "point_to",  # LogTarget, set_pipeline
    "Record",  # QueuedRecord, TranscriptEntry
    "LineMaker",  # LineEncoder
    "Beside", "beside", "what", "found", "given", "made",  # the noun
    "Row",  # KeyValues, FieldMapping
    "FACTS", "Api",  # KindSemantics, EndpointSemantics
    "bell", "ring", "never", "starting", "Ticket",  # wakeup, notify, sleep_lock, start_lock, FlushRequest
    "doze", "rest", "settle", "say", "be_new", "start_anew", "forget",  # sleep_until_..., flush_and_..., report, reset, unregister
    "Head", "Account", "Numbers", "OwnLine",  # LineHeader, WriterTally, IntervalSet, SystemLine
    "Ledger", "Place", "Piece", "Tails", "Tail",  # SequenceTracker, Position, Chunk, LogSet, OpenLog
    "Shipment", "Courier", "Parcel",  # LogSource, BackgroundCalls, EncodedBatch
    "Verdict", "judge", "Refusal", "Broken",  # DeliveryResult, parse_response, Rejection, InvalidLine
    "doubt", "scout", "without_bad", "proven",  # hold_back, probe, bisect, verified
    "Troubles", "Notices", "Access", "Labels", "Names",  # ProblemReporter, NoticeReporter, Credentials, ...
    "patience",  # give_up_after
    "AGENTS", "KINDS",  # a name of its own for each table
}  # fmt: skip
REPLACED_MODULES = {
    "agents", "audit", "capping", "checks", "courier", "deadletter", "derived", "frozen", "ledger", "lifetime", "masking",
    "outlet", "parcel", "passage", "place", "reports", "shipment", "tails", "troubles",
}  # fmt: skip
KEPT = {"Access": "0040-access-stays-as-an-alias.md"}  # by identifier: the file in docs/decisions with the reason

BAD_BEGINNING = re.compile(r"(What|Return what|Says?|Tells? whether)\b")

# Files of tests/unit that are about more than one module, or about one of another name.
NOT_MIRRORED = {
    "logger/test_notebook.py": "cells of IPython, through events, loggers and the end of dropped logs",
    "logger/test_unreferenced.py": "logs that are dropped, from the finaliser of the target to the end of the worker",
    "test_costs.py": "counts of calls, system calls and allocations on the path through all rooms",
    "events/test_own_events.py": "events of an application, through all rooms",
    "format/layouts/test_toy_layout.py": "a new layout through the public seam, from options to the command line",
    "importers/test_toy_importer.py": "a new importer through the public seam, on the command line",
    "format/test_encoding_faults.py": "errors while a batch is encoded, in encoder and step",
    "reading/verification/test_layouts.py": "the verifier on lines of every layout",
    "ship/test_honesty.py": "the shipper's words about what it knows and does not know, over all its modules",
}


def python_files(*folders):
    return sorted(file for folder in folders for file in Path(folder).rglob("*.py"))


def names_in(tree):
    """Return the names that a module gives to functions, classes, arguments, variables and attributes, with lines."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute):
            yield node.attr, node.lineno
        elif isinstance(node, ast.alias) and node.asname:
            yield node.asname, node.lineno
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
            yield node.name, node.lineno


def test_standard_names():
    """No identifier that a standard name replaced is left in the package, but where a decision gives the reason."""
    left = []
    for file in python_files(PACKAGE):
        for name, line in names_in(ast.parse(file.read_text(encoding="utf-8"))):
            if name.lstrip("_") in REPLACED and name not in KEPT:
                left.append(f"{file.relative_to(PACKAGE)}:{line} {name}")
    assert not left, "\n".join(sorted(set(left)))


def test_standard_names_of_modules():
    """No module has a name that was replaced; ``native`` is the layout."""
    modules = [file.relative_to(PACKAGE) for file in python_files(PACKAGE)]
    assert not [str(file) for file in modules if REPLACED_MODULES & {*file.with_suffix("").parts}]
    assert not (PACKAGE / "format" / "native.py").exists()


def test_names_that_are_kept_have_a_reason():
    """A replaced name that is kept stands in the decision that gives the reason."""
    for name, file in KEPT.items():
        assert f"`{name}`" in (DECISIONS / file).read_text(encoding="utf-8")


def test_docstrings_begin_with_a_verb_or_a_noun():
    """No docstring begins with "What", "Return what", "Say" or "Tell whether"."""
    wrong = []
    for file in python_files(*(ROOT / folder for folder in ("bamboo_logmetrics", "tests", "benchmarks"))):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                text = ast.get_docstring(node) or ""
                if BAD_BEGINNING.match(text):
                    wrong.append(f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 1)} {text.splitlines()[0]}")
    assert not wrong, "\n".join(wrong)


def test_no_module_is_named_as_a_public_function():
    """``bamboo_logmetrics.read`` is the function, wherever a module of its kind is imported."""
    functions = {name for name in blm.__all__ if inspect.isroutine(getattr(blm, name))}
    assert functions >= {"close", "configure", "flush", "get_logger", "open_log", "read", "stats", "verify"}
    modules = [file.relative_to(PACKAGE) for file in python_files(PACKAGE)]
    assert not [str(file) for file in modules if {*file.with_suffix("").parts} & functions]


def test_unit_tests_mirror_the_package():
    """``tests/unit/room/test_module.py`` tests ``room/module.py``, or a package as a whole under its own name."""
    astray = []
    for file in sorted((TESTS / "unit").rglob("test_*.py")):
        place = file.relative_to(TESTS / "unit")
        room, name = PACKAGE / place.parent, file.stem.removeprefix("test_")
        mirrored = (room / f"{name}.py").exists() or (room / name).is_dir() or (name == room.name and room.is_dir())
        if not mirrored and place.as_posix() not in NOT_MIRRORED:
            astray.append(str(place))
    assert not astray


@pytest.mark.parametrize("place", NOT_MIRRORED)
def test_exceptions_from_the_mirror_are_there(place):
    """Each file that is an exception exists and has its reason."""
    assert (TESTS / "unit" / place).exists()
    assert NOT_MIRRORED[place]


def imports_in(tree):
    """Return the full names of what a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


def test_no_test_module_imports_another():
    """Test modules share code through ``tests/support``, never by importing each other."""
    other = re.compile(r"\.|(unit|guarantees|stress|servers)\.|(.*\.)?(test_\w+|tests|conftest)(\.|$)")
    for file in python_files(TESTS):
        imports = imports_in(ast.parse(file.read_text(encoding="utf-8")))
        assert not [name for name in imports if other.match(name)], file


def test_one_path_and_one_log():
    """The fixtures ``path`` and ``log`` mean the same in every test: only conftest.py defines them."""
    defined = [
        f"{file.relative_to(TESTS)}:{node.name}"
        for file in python_files(TESTS)
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
        and node.name in {"path", "log"}
        and any("fixture" in ast.unparse(decorator) for decorator in node.decorator_list)
    ]
    assert defined == ["conftest.py:path", "conftest.py:log"]
