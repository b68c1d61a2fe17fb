"""Plant faults in a copy of the package, one at a time, and see that the test suite catches each.

``python tests/mutants/run.py`` runs all of them, ``run.py NAME...`` some, ``run.py --list`` shows them. What is copied,
mutated and tested lies in a temporary directory: the checkout is only read.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path

from planting import Mutant, mutants

ROOT = Path(__file__).parent.parent.parent
PACKAGE = "bamboo_logmetrics"
PARTS = (PACKAGE, "tests", "pyproject.toml")
PER_TEST, PER_RUN = 60, 180  # seconds, after which a test, and all tests of a mutant, hang
# What would have the copy's tests import something else, or do something more.
UNWANTED = ("PYTHONSAFEPATH", "PYTHONPYCACHEPREFIX", "PYTHONHOME", "PYTEST_ADDOPTS", "COVERAGE_PROCESS_START")
FAILED = re.compile(r"^(?:FAILED|ERROR) tests/(.+?)(?: - .*)?$", re.MULTILINE)
PASSED, TESTS_FAILED, HUNG = 0, 1, 1000  # exit codes of pytest, and our own


class Runner:
    """Runs tests on copies of the package and leaves nothing behind.

    Args:
        folder: for the copies.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._original = folder / "original"
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False
        self._original.mkdir()
        for part in PARTS:  # once, so that all copies are of one state
            _copy(ROOT / part, self._original / part)

    def check_imports(self) -> None:
        """Raise RuntimeError unless programs run beside a copy import the copy, wherever they run."""
        with self._copy() as copy:
            program = f"import {PACKAGE}; print({PACKAGE}.__file__)"
            command = [sys.executable, "-c", program]
            done = subprocess.run(command, env=_environment(copy), cwd="/", capture_output=True, text=True, check=True)
            if Path(done.stdout.strip()).parent.resolve() != (copy / PACKAGE).resolve():
                msg = f"the tests would import {done.stdout.strip()} instead of the mutated copy"
                raise RuntimeError(msg)

    def run(self, tests: tuple[str, ...], mutant: Mutant | None = None) -> tuple[bool, str]:
        """Run tests on a copy, with a fault planted or without; return whether they pass, and who fails."""
        with self._copy() as copy:
            if mutant is not None:
                target = copy / PACKAGE / mutant.file
                target.write_text(mutant.planted(target.read_text(encoding="utf-8")), encoding="utf-8")
            code, output = self._pytest(copy, tests)
        failed = FAILED.search(output)
        if code == PASSED:
            return True, ""
        if failed and code in {TESTS_FAILED, HUNG}:
            return False, failed[1]
        if code == HUNG:
            return False, f"{tests[0]}, which hangs"
        if code < 0:
            return False, f"{tests[0]}, which signal {-code} killed"
        msg = f"pytest could not run {' '.join(tests)} (exit {code}):\n{output}"
        raise RuntimeError(msg)

    def stop(self) -> None:
        """Kill what runs, and start nothing more."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                _kill(process)

    @contextmanager
    def _copy(self):
        with tempfile.TemporaryDirectory(dir=self._folder, ignore_cleanup_errors=True) as name:
            for part in PARTS:
                _copy(self._original / part, Path(name) / part)
            yield Path(name)

    def _pytest(self, copy: Path, tests: tuple[str, ...]) -> tuple[int, str]:
        # the leak check tells files of tests by "/pytest-" in their paths
        options = ["-x", "-q", "--tb=short", "-p", "no:cacheprovider", f"--basetemp={copy}/pytest-files"]
        command = [sys.executable, "-m", "pytest", *options, f"--timeout={PER_TEST}", *[f"tests/{t}" for t in tests]]
        with (copy / "output").open("w+b") as output:  # a file: a pipe would stay open in a child that hangs
            with self._lock:
                if self._stopped:
                    raise KeyboardInterrupt
                process = subprocess.Popen(
                    command,
                    cwd=copy,
                    env=_environment(copy),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # so that its children can be killed with it
                )
                self._running.add(process)
            try:
                code = process.wait(PER_RUN)
            except subprocess.TimeoutExpired:
                code = HUNG
            finally:
                with self._lock:
                    self._running.discard(process)
                    _kill(process)
                process.wait()
            output.seek(0)
            return code, output.read().decode(errors="replace")


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "stress"))
    else:
        shutil.copyfile(source, target)


def _environment(copy: Path) -> dict[str, str]:
    """Return an environment in which every Python, also one that a test starts, imports the copy."""
    kept = {name: value for name, value in os.environ.items() if name not in UNWANTED}
    return kept | {"PYTHONPATH": str(copy)}


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(OSError):  # it and all its children have ended
        os.killpg(process.pid, signal.SIGKILL)


def _chosen(names: list[str]) -> list[Mutant]:
    known = {mutant.name: mutant for mutant in mutants()}
    if unknown := [name for name in names if name not in known]:
        sys.exit(f"no such mutant: {', '.join(unknown)}; --list shows all")
    chosen = [known[name] for name in names] or list(known.values())
    for mutant in chosen:  # before the first minute is spent
        try:
            mutant.planted((ROOT / PACKAGE / mutant.file).read_text(encoding="utf-8"))
        except (ValueError, OSError) as error:
            sys.exit(str(error))
    return chosen


def _in_parallel(pool: ThreadPoolExecutor, work, items):
    """Give (item, result, seconds) as they are done."""

    def timed(item):
        began = time.monotonic()
        return item, work(item), time.monotonic() - began

    open_ones: set[Future] = {pool.submit(timed, item) for item in items}
    try:
        while open_ones:
            done, open_ones = wait(open_ones, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        for future in open_ones:
            future.cancel()


def _selections(chosen: list[Mutant]) -> list[tuple[str, ...]]:
    """Return the tests of these mutants, one entry for each file."""
    files: dict[str, set[str]] = {}
    for test in (test for mutant in chosen for test in mutant.tests):
        files.setdefault(test.partition("::")[0], set()).add(test)
    return [(file,) if file in tests else tuple(sorted(tests)) for file, tests in sorted(files.items())]


def _check_unmutated(runner: Runner, pool: ThreadPoolExecutor, chosen: list[Mutant]) -> bool:
    """Run what is to catch the mutants on a copy without a fault; return True if all of it passes."""
    passing = True
    for tests, (passes, failed), seconds in _in_parallel(pool, runner.run, _selections(chosen)):
        file = tests[0].partition("::")[0]
        print(f"passes  {file}  {seconds:.1f} s" if passes else f"FAILS   {failed}, without a mutant", flush=True)
        passing = passing and passes
    return passing


def _check_mutants(runner: Runner, pool: ThreadPoolExecutor, chosen: list[Mutant]) -> list[str]:
    """Run all mutants; return the names of those that survive."""
    survivors = []
    for mutant, (passes, failed), seconds in _in_parallel(
        pool, lambda mutant: runner.run(mutant.tests, mutant), chosen
    ):
        if passes:
            survivors.append(mutant.name)
            print(f"SURVIVES {mutant.name} ({mutant.file}: {mutant.breaks})  {seconds:.1f} s", flush=True)
        else:
            print(f"caught  {mutant.name}  by {failed}  {seconds:.1f} s", flush=True)
    return survivors


def _run(chosen: list[Mutant], jobs: int) -> int:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as folder:
        runner = Runner(Path(folder))
        runner.check_imports()
        with ThreadPoolExecutor(jobs) as pool:
            try:
                if not _check_unmutated(runner, pool, chosen):
                    print("without a fault the tests have to pass: nothing was mutated")
                    return 1
                survivors = _check_mutants(runner, pool, chosen)
            except BaseException:
                runner.stop()
                pool.shutdown(cancel_futures=True)
                raise
    minutes = f"{(time.monotonic() - began) / 60:.1f} minutes"
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} mutants caught in {minutes}")
    if survivors:
        print(f"survivors: {' '.join(survivors)}")
    return 1 if survivors else 0


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="which mutants; all if none is named")
    parser.add_argument("-j", "--jobs", type=int, default=2, help="how many at once (default: 2)")
    parser.add_argument("--list", action="store_true", help="show the mutants and run nothing")
    args = parser.parse_args()
    chosen = _chosen(args.names)
    if args.list:
        for mutant in chosen:
            print(f"{mutant.name}  {mutant.file}  {mutant.breaks}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as Ctrl-C: with everything cleaned up
    try:
        return _run(chosen, args.jobs)
    except KeyboardInterrupt:
        print("interrupted")
        return 130


if __name__ == "__main__":
    sys.exit(main())
