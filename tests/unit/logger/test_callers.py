from __future__ import annotations

import asyncio
import copy
import sys

import pytest
import structlog
from structlog.processors import CallsiteParameter, CallsiteParameterAdder, StackInfoRenderer
from support.tools import flat, tool

import bamboo_logmetrics as blm
from bamboo_logmetrics.logger import callers

HERE = __file__
# QUAL_NAME exists from structlog 25.5 on, and works from Python 3.11 on
PARAMETERS = [
    parameter for parameter in CallsiteParameter if parameter.name != "QUAL_NAME" or sys.version_info >= (3, 11)
]


def lines_of(log):
    """Close a log and return the application's lines."""
    log.close()
    return flat(log.path)[1:-1]


class Caller:
    """An application's class; each method logs once, in a function of its own name."""

    def emit(self, log):
        log.emit(tool())

    def info(self, log):
        log.info("x")

    def error_event(self, log):
        log.error(tool())

    def log(self, log):
        log.log(25, "x")

    def exception(self, log):
        log.exception("x")  # noqa: LOG004

    def bound(self, log):
        log.bind(a=1).new(b=1).warning("x")

    def nested(self, log):
        def inner():
            log.info("x")

        inner()

    def ainfo(self, log):
        async def ainfo():
            await log.ainfo("x")

        asyncio.run(ainfo())

    def aemit(self, log):
        async def aemit():
            await log.aemit(tool())

        asyncio.run(aemit())

    def alog(self, log):
        async def alog():
            await log.alog("warn", "x")

        asyncio.run(alog())

    def aexception(self, log):
        async def aexception():
            await log.bind(a=1).aexception("x")

        asyncio.run(aexception())


METHODS = [name for name in vars(Caller) if not name.startswith("_")]


@pytest.mark.parametrize("method", METHODS)
def test_parameters_of_the_call_name_the_caller(open_log, method):
    """Every method's line names the function, file and line that logged, with structlog's own processor."""
    log = open_log(processors=[CallsiteParameterAdder(PARAMETERS)])
    getattr(Caller(), method)(log)
    (line,) = lines_of(log)
    assert line.keys() >= {parameter.value for parameter in PARAMETERS}
    assert (line["pathname"], line["filename"], line["module"]) == (HERE, "test_callers.py", "test_callers")
    assert line["func_name"] == ("inner" if method == "nested" else method)
    assert line.get("qual_name", "Caller").startswith("Caller")


@pytest.mark.parametrize("durability", ["queue", "write"])
def test_parameters_of_a_log_that_may_block(open_log, durability):
    """Where an async call waits in a thread, its line names the caller too."""
    log = open_log(durability=durability, processors=[CallsiteParameterAdder([CallsiteParameter.FUNC_NAME])])
    Caller().ainfo(log)
    Caller().aemit(log)
    assert [line["func_name"] for line in lines_of(log)] == ["ainfo", "aemit"]


@pytest.mark.parametrize("processors", [[], [StackInfoRenderer()]], ids=["without", "StackInfoRenderer"])
@pytest.mark.parametrize("method", ["info", "emit", "error", "exception", "ainfo", "aemit", "log"])
def test_a_stack_ends_at_the_caller(open_log, method, processors):
    """``stack_info=True`` shows the stack up to the application's own call, with and without structlog's renderer."""
    log = open_log(processors=processors).bind(a=1)
    first = ("warn",) if method == "log" else ()
    result = getattr(log, method)(*first, tool(), stack_info=True)  # this very line
    if method.startswith("a"):

        async def wait():
            await result

        asyncio.run(wait())
    (line,) = lines_of(log)
    last = line["stack"].splitlines()[-1].strip()
    assert last == ("await result" if method.startswith("a") else
                    "result = getattr(log, method)(*first, tool(), stack_info=True)  # this very line")  # fmt: skip
    assert "bamboo_logmetrics/logger" not in line["stack"]


def test_a_stack_beside_a_value_of_that_name(log):
    """A value of the application under ``stack`` is written too."""
    log.info("x", stack="mine", stack_info=True)
    (line,) = lines_of(log)
    assert (line["bound_stack"], "test_a_stack_beside" in line["stack"]) == ("mine", True)


def test_the_processor_of_the_application_is_left_as_it_is(open_log):
    """The log has copies of its own: the application's objects and what else they ignore stay."""
    adder = CallsiteParameterAdder([CallsiteParameter.FUNC_NAME], additional_ignores=[__name__])
    renderer = StackInfoRenderer()
    before = copy.copy(adder._additional_ignores)
    log = open_log(processors=[adder, renderer])
    log.info("x")
    (line,) = lines_of(log)
    assert line["func_name"] not in {"test_the_processor_of_the_application_is_left_as_it_is", "info"}
    assert (adder._additional_ignores, renderer._additional_ignores) == (before, None)


def handler_line(handler, logger, work):
    logger.addHandler(handler)
    work()
    handler.flush()
    return flat(handler._log.path)[-1]


@pytest.mark.parametrize("wrapped", [False, True], ids=["stdlib", "structlog"])
def test_parameters_through_the_handler(path, logger, wrapped):
    """Through the handler lines name the caller too, of a stdlib logger and of structlog's chain."""
    handler = blm.MetricsHandler(path, processors=[CallsiteParameterAdder(PARAMETERS)])
    own = logger
    if wrapped:
        own = structlog.wrap_logger(
            logger,
            wrapper_class=structlog.stdlib.BoundLogger,
            processors=[structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        )
    line = handler_line(handler, logger, lambda: Caller().info(own))
    assert (line["event"], line["pathname"], line["func_name"]) == ("x", HERE, "info")
    assert line.get("qual_name", "Caller.info") == "Caller.info"
    assert line.get("qual_module", "test_callers") in {"test_callers", __name__}
    assert not {"_record", "_from_structlog"} & line.keys()


def test_a_record_of_a_function_that_has_returned(path, logger):
    """Behind a queue only the record itself names the caller."""
    names = [CallsiteParameter.FUNC_NAME, *(item for item in PARAMETERS if item.name.startswith("QUAL"))]
    handler = blm.MetricsHandler(path, processors=[CallsiteParameterAdder(names)])
    record = logger.makeRecord("x", 20, "gone.py", 1, "text", (), None, "gone")
    line = handler_line(handler, logger, lambda: handler.handle(record))
    assert (line["func_name"], "qual_name" in line) == ("gone", False)


def test_processors_that_use_the_record(path, logger):
    """structlog's other processors for stdlib records find the record as they do in a ProcessorFormatter."""
    chain = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(["lineno"]),
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
    ]
    handler = blm.MetricsHandler(path, processors=chain)
    line = handler_line(handler, logger, lambda: logger.info("x", extra={"a": 1}))
    assert (line["logger"], line["a"], type(line["lineno"])) == ("tests.handler", 1, int)


def test_a_call_without_a_frame_of_the_application(monkeypatch):
    """Where no frame is the application's, the whole stack is shown."""
    monkeypatch.setattr(callers, "_is_logging", lambda frame: True)
    assert "test_a_call_without_a_frame" in callers.caller_stack()
