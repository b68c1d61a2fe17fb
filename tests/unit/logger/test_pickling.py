"""Loggers and handlers that are pickled or copied: at work again, on the same log."""

from __future__ import annotations

import concurrent.futures
import copy
import dataclasses
import logging
import pickle
import threading

import cloudpickle
import pytest
import structlog
from support.tools import flat, kinds, tool, typed

import bamboo_logmetrics as blm
from bamboo_logmetrics.logger import pickling
from bamboo_logmetrics.pipeline import process
from bamboo_logmetrics.testing import FailingSink, open_log_on


@pytest.fixture(autouse=True)
def nothing_restored():
    """Drop the loggers that a test restored, so that their logs close."""
    yield
    pickling._recent.clear()
    for thread in threading.enumerate():
        if thread.name == "bamboo-logmetrics":
            thread.join(30)


def over(value):
    return pickle.loads(pickle.dumps(value))


def elsewhere(value):
    """Unpickle as a process does that does not have the log."""
    data = pickle.dumps(value)
    known = dict(pickling._targets)  # back afterwards, as this process has the log
    pickling._targets.clear()
    try:
        return pickle.loads(data)
    finally:
        pickling._targets.update(known)


def keep_upper(logger, method_name, event_dict):
    return {**event_dict, "upper": True}


@dataclasses.dataclass
class Agent:
    log: blm.BoundLog
    name: str = "a"


class Tool:
    """A tool that holds its logger, as applications give it to a pool of processes."""

    def __init__(self, log):
        self.log = log

    def __call__(self, number):
        assert self.log.emit(tool(number), worker=True)
        return self


def test_a_copy_shares_the_log(log, path):
    """copy, deepcopy, asdict and replace give loggers of the same log with the same values."""
    bound = log.bind(project="p")
    agent = Agent(bound)
    for each in (
        copy.copy(bound), copy.deepcopy(bound), copy.deepcopy({"a": [bound]})["a"][0], dataclasses.asdict(agent)["log"],
        dataclasses.replace(agent, name="b").log, over(bound), over(agent).log, cloudpickle.loads(cloudpickle.dumps(bound)),
    ):  # fmt: skip
        assert type(each) is type(bound)
        assert each._logger is log._logger
        each.info("x")
    assert log.close()
    assert [line["project"] for line in flat(path) if line["event"] == "x"] == ["p"] * 8


def test_bound_values_travel_in_the_form_of_a_line(log, path):
    """A bound value that no pickle could hold travels as the line shows it."""
    lock = threading.Lock()
    restored = over(log.bind(lock=lock, items={1, 2}, number=5))
    log.bind(lock=lock, items={1, 2}, number=5).info("x")
    restored.info("x")
    assert log.close()
    first, second = [line for line in flat(path) if line["event"] == "x"]
    assert [first[key] for key in ("lock", "items", "number")] == [second[key] for key in ("lock", "items", "number")]


def test_unpickled_loggers_share_one_pipeline(open_log, path):
    """In a process that does not have the log, all loggers unpickled from it write through one pipeline."""
    log = open_log(max_bytes=12_345, level="info", durability="write")
    first, second = elsewhere([log.bind(a=1), Tool(log)])
    pickling._targets.pop(log._logger.origin)
    third = elsewhere(log)
    assert first._logger is second.log._logger is not log._logger
    assert over(third)._logger is third._logger
    assert third.close()
    options = first._pipeline.options
    assert (options.max_bytes, options.level, options.durability, first.path) == (12_345, "info", "write", log.path)
    assert first.emit(tool(1))
    assert first.close()
    assert log.emit(tool(2))
    assert log.close()
    assert blm.verify([path], complete=True).ok
    assert len({line["writer"] for line in flat(path)}) == 3


def test_a_logger_that_comes_back_is_of_the_first_log(log):
    """A logger restored elsewhere and pickled there again is, in the first process, a logger of the first log."""
    there = elsewhere(log)
    assert there._logger is not log._logger
    pickling._targets.pop(log._logger.origin, None)
    pickling.register(log._logger, log._logger.origin)
    assert over(there)._logger is log._logger


def test_a_restored_log_that_was_closed_is_opened_again(log, path):
    """A task that closes its logger does not close the log for the next task of the same worker."""
    data = pickle.dumps(log)
    pickling._targets.clear()
    for number in range(3):
        with pickle.loads(data) as restored:
            assert restored.emit(tool(number))
    assert len(typed(path)) == 3


def test_a_closed_log_stays_closed(log):
    """A logger of a log that this process closed is a logger of a closed log."""
    data = pickle.dumps(log)
    assert log.close()
    restored = pickle.loads(data)
    assert not restored.emit(tool(1))
    assert restored.stats().dropped == {"closed": 1}


def test_processors_travel(open_log, path):
    """The processors of the log are at work in the other process."""
    restored = elsewhere(open_log(processors=[keep_upper]))
    restored.info("x")
    assert restored.close()
    assert [line["upper"] for line in flat(path) if line["event"] == "x"] == [True]


def test_processors_that_cannot_travel_are_refused(open_log):
    """A processor that cannot be pickled is an error of pickle: without it a secret might be written."""
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(open_log(processors=[lambda *args: args[2]]))


def test_a_log_that_cannot_be_opened_is_reported(log, tmp_path, capsys):
    """Unpickling raises nothing where the log cannot be opened: it is said once, and records are refused."""
    data = pickle.dumps(log)
    log.close()
    pickling._targets.clear()
    (tmp_path / "a.jsonl").unlink()
    (tmp_path / "a.jsonl").mkdir()
    restored = pickle.loads(data)
    assert not restored.emit(tool(1))
    assert "cannot be opened" in capsys.readouterr().err


def test_close_on_sigterm_in_another_thread(open_log):
    """In a thread, where Python can set no signal handler, the log is restored without that option."""
    import signal

    previous = signal.getsignal(signal.SIGTERM)
    try:
        data = pickle.dumps(open_log(close_on_sigterm=True))
    finally:
        signal.signal(signal.SIGTERM, previous)
    pickling._targets.clear()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        restored = pool.submit(pickle.loads, data).result()
    assert restored.emit(tool(1))
    assert restored.close()


def test_the_application_s_log(unconfigured, path):
    """A logger of the configured log stays one, before and after configure; its name and values travel."""
    before = over(blm.get_logger())
    assert before._logger is unconfigured
    blm.configure(path)
    log = over(blm.get_logger("shop").bind(a=1))
    assert log._logger.pipeline is unconfigured.pipeline
    log.info("x")
    before.info("y")
    blm.close()
    x, y = flat(path)[1:3]
    assert (x["event"], x["logger"], x["a"], y["event"]) == ("x", "shop", 1, "y")


def test_the_application_s_log_where_it_is_not_configured(unconfigured, path, monkeypatch):
    """In a process that has not configured a log, the logger writes to the log of the process that pickled it."""
    from bamboo_logmetrics.logger import opening
    from bamboo_logmetrics.logger.target import LogTarget

    blm.configure(path)
    data = pickle.dumps([blm.get_logger(), structlog.get_logger().bind(a=1)])
    pickling._targets.clear()
    monkeypatch.setattr(opening, "_configured", LogTarget())
    first, second = pickle.loads(data)
    assert first._logger is second._logger
    assert first.emit(tool(1))
    assert first.close()
    assert len(typed(path)) == 1


def test_another_chain_travels(unconfigured, path):
    """A logger with processors of its own, from structlog.configure, keeps them."""
    blm.configure(path)
    log = blm.BoundLog(unconfigured, [keep_upper], {})
    over(log).info("x")
    blm.close()
    assert flat(path)[1]["upper"] is True


def test_handlers(log, path, logger):
    """A handler is copied and pickled with its log, also within a configuration or as part of a logger."""
    handler = blm.MetricsHandler(log)
    handler.addFilter(logging.Filter("tests"))
    logger.addHandler(handler)
    config = {"handlers": {"m": {"()": blm.MetricsHandler, "path": log}}, "instances": [handler]}
    copied = copy.deepcopy(config)
    assert copied["handlers"]["m"]["path"]._logger is log._logger
    assert over(logger) is copy.deepcopy(logger) is logger
    for each in (over(handler), copy.copy(handler), copied["instances"][0]):
        assert (each.lock, each.level) == (None, handler.level)
        assert each.handle(logging.makeLogRecord({"name": "tests.a", "msg": "x", "levelno": 20}))
        assert not each.handle(logging.makeLogRecord({"name": "other", "msg": "x", "levelno": 20}))
        each.close()  # the log is shared
    assert log.close()
    assert kinds(path).count("x") == 3


def test_a_handler_with_its_own_log(path):
    """A copy of a handler with its own log does not close that log."""
    handler = blm.MetricsHandler(path)
    over(handler).close()
    assert handler.handle(logging.makeLogRecord({"msg": "x", "levelno": 20}))
    handler.close()
    assert kinds(path) == ["system.worker_started", "x", "system.worker_stopped"]


def test_a_log_of_a_test_double(tmp_path):
    """A log on a sink of a test is pickled too; elsewhere it is the file's."""
    log = open_log_on(FailingSink(), tmp_path / "a.jsonl")
    assert over(log)._logger is log._logger
    restored = elsewhere(log)
    assert restored.emit(tool(1))
    assert restored.close()
    assert log.close()


POOLS = """
import concurrent.futures, multiprocessing, sys
import bamboo_logmetrics as blm

class Tool:
    def __init__(self, log):
        self.log = log

    def __call__(self, number):
        event = blm.ToolCalled(
            tool_call_id=f"c{number}", round_id="r", session_id="s", tool_name="t", latency_ms=1, success=True
        )
        assert self.log.emit(event)
        return self

if __name__ == "__main__":
    log = blm.open_log(sys.argv[1])
    context = multiprocessing.get_context(sys.argv[2])
    with context.Pool(2) as pool:
        tools = pool.map(Tool(log.bind(project="p")), range(6))
        pool.close()
        pool.join()
    assert all(tool.log._logger is log._logger for tool in tools)
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as executor:
        executor.submit(Tool(log.bind(project="p")), 6).result()
    assert log.close()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_pools_of_processes(run_python, path, method):
    """A tool that holds its logger works in a pool of each kind, and comes back as a tool of the same log."""
    done = run_python(POOLS, path, method, timeout=50)
    assert done.returncode == 0, done.stderr
    lines = typed(path)
    assert sorted(line["tool_call_id"] for line in lines) == [f"c{number}" for number in range(7)]
    assert {line["project"] for line in lines} == {"p"}
    assert blm.verify([path]).ok
    assert len({line["writer"] for line in flat(path)}) <= 4


JOBLIB = """
import sys
import joblib
import bamboo_logmetrics as blm

log = blm.open_log(sys.argv[1])

def work(number):
    return log.emit(blm.SessionStarted(session_id=str(number), model="m"))

assert all(joblib.Parallel(n_jobs=2)(joblib.delayed(work)(number) for number in range(20)))
log.close()
"""


def test_joblib(run_python, path):
    """A function of the main module that uses a global logger works in joblib's processes, by cloudpickle."""
    pytest.importorskip("joblib")
    done = run_python(JOBLIB, path, timeout=50)
    assert done.returncode == 0, done.stderr
    assert sorted(int(line["session_id"]) for line in typed(path)) == list(range(20))
    assert blm.verify([path]).ok


def test_a_target_that_was_replaced(open_log):
    """The end of a log that another has replaced under its origin does not remove that one."""
    first, second = open_log("1.jsonl"), open_log("2.jsonl")
    dropped = blm.open_log(first.path)
    pickling.register(dropped._logger, "origin")
    pickling.register(second._logger, "origin")
    del dropped
    assert pickling.find("origin", pytest.fail) is second._logger
    del pickling._targets["origin"]


def test_only_a_few_restored_logs_are_kept(tmp_path):
    """A worker that restores logs of many sessions keeps a few of them open, and closes the others."""
    for number in range(20):
        with blm.open_log(tmp_path / f"{number}.jsonl") as log:
            data = pickle.dumps(log)
        del log
        pickling._targets.clear()
        pickle.loads(data).emit(tool(number))
    assert len(process.pipelines()) <= pickling._KEPT + 2
