"""A notebook: cells that are run again, classes that are defined again, autoreload. IPython itself runs the cells."""

from __future__ import annotations

import pytest
from support.tools import flat, kinds, typed

import bamboo_logmetrics as blm

pytest.importorskip("IPython")

SHELL = """
import os, sys, threading
from IPython.core.interactiveshell import InteractiveShell

os.environ["IPYTHONDIR"] = os.getcwd()
sys.path.insert(0, os.getcwd())
shell = InteractiveShell.instance()
shell.history_manager.enabled = False

def cell(source):
    result = shell.run_cell(source)
    result.raise_error()
    return result.result

def join_workers():
    for thread in threading.enumerate():
        if thread.name == "bamboo-logmetrics":
            thread.join(20)

cell("import logging, structlog, bamboo_logmetrics as blm")
"""

AGAIN = """
for number in range(3):
    cell(f"log = blm.open_log({sys.argv[1]!r}).bind(run={number}); log.emit(blm.SessionStarted(session_id='s', model='m'));")
cell("del log")
join_workers()
assert threading.active_count() <= 2, threading.enumerate()
"""

CONFIGURED = """
for number in range(3):
    cell(f"blm.configure({sys.argv[1]!r}); structlog.get_logger().info('run', number={number})")
cell("blm.close()")
"""

CLASSES = """
import IPython
from pathlib import Path
module = "import bamboo_logmetrics as blm\\nclass Warmed(blm.ChatEvent):\\n    n: int\\n    def times(self): return {}\\n"
Path("mine.py").write_text(module.format("'once'"))
cell("%load_ext autoreload")
modern = IPython.version_info >= (9,)  # older ones break any class with slots that they reload
cell("%autoreload 2" if modern else "%autoreload 0")
cell("import mine; from mine import Warmed; before = Warmed(n=1)")
cell(f"log = blm.open_log({sys.argv[1]!r})")
cell("class Step(blm.ChatEvent):\\n    x: int")
cell("log.emit(Step(x=1)); old = Step(x=2)")
cell("class Step(blm.ChatEvent):\\n    x: int\\n    y: str = 'new'")
cell("assert log.emit(Step(x=3)) and log.emit(old) and old.to_json() and str(old)")
Path("mine.py").write_text(module.format("'twice'"))
os.utime("mine.py", (2e9, 2e9))
if modern:
    cell("assert Warmed(n=2).times() == before.times() == 'twice'")
Path("mine.py").write_text(module.format("'more'") + "    m: str = 'more'\\n")
cell("import importlib; importlib.reload(mine); from mine import Warmed; after = Warmed(n=2, m='x')")
cell("assert log.emit(before) and log.emit(after) and before.to_json()")
cell("log.close()")
sys.modules.pop("mine")
"""


@pytest.fixture
def notebook(run_python, path):
    """Run cells in IPython, with the path of the log, and return the log's lines."""

    def running(cells):
        done = run_python(SHELL + cells, path)
        assert done.returncode == 0, done.stderr + done.stdout
        return flat(path)

    return running


def test_a_cell_that_opens_a_log_is_run_again(notebook, path):
    """Each run opens the log anew; the one before is closed when its name is taken, with everything written."""
    notebook(AGAIN)
    assert sorted(line["run"] for line in typed(path)) == [0, 1, 2]  # writers have no order among them
    assert kinds(path).count("system.worker_stopped") == 3
    assert blm.verify([path], complete=True).ok


def test_a_cell_that_configures_is_run_again(notebook, path):
    """Each run moves all loggers to a new opening and closes the one before."""
    lines = notebook(CONFIGURED)
    assert [line["number"] for line in lines if line["event"] == "run"] == [0, 1, 2]
    assert kinds(path).count("system.worker_stopped") == 3


def test_classes_that_are_defined_again(notebook, path):
    """An event class whose cell is run again, or whose module autoreload reloads, replaces the one before.

    Events of either are typed lines.
    """
    notebook(CLASSES)
    steps = [(line["x"], line.get("y")) for line in typed(path) if line["event"] == "chat.step"]
    assert steps == [(1, None), (3, "new"), (2, None)]
    warmed = [(line["n"], line.get("m")) for line in typed(path) if line["event"] == "chat.warmed"]
    assert warmed == [(1, None), (2, "x")]
    assert blm.verify([path], complete=True).ok
