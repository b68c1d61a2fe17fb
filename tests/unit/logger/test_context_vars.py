"""structlog's context variables in a log's lines."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest
from structlog.contextvars import bind_contextvars, bound_contextvars, clear_contextvars, get_contextvars
from support.tools import flat, tool

from bamboo_logmetrics.logger import context_vars
from bamboo_logmetrics.logger.context_vars import merge


@pytest.fixture(autouse=True)
def _no_variables():
    clear_contextvars()
    yield
    clear_contextvars()


@pytest.fixture(params=[True, False], ids=["by name", "without structlog's private name"])
def by_name(request, monkeypatch):
    """Read the variables by name, and as where structlog has no such table."""
    monkeypatch.setattr(context_vars, "_BY_NAME", request.param)


def test_bound_values_take_precedence(by_name):
    """The variables stand beside what is bound, which wins; unset ones are left out."""
    bind_contextvars(request_id="q-1", user="u", gone=1)
    with bound_contextvars(gone=2):
        assert get_contextvars()["gone"] == 2
    bind_contextvars(gone=...)
    context, scalar, _ = merge({"user": "bound", "n": 1}, {})
    assert context == {"user": "bound", "n": 1, "request_id": "q-1"}
    assert scalar


def test_one_mapping_for_the_same_values():
    """While the variables hold the same objects, the mapping is the same, for each of several requests in turn."""
    contexts, made = {}, {}
    requests = {name: contextvars.copy_context() for name in "abc"}
    for name, context in requests.items():
        context.run(bind_contextvars, request_id=f"request-{name}")
    for _ in range(3):
        for name, context in requests.items():
            mapping = context.run(merge, {}, contexts)[0]
            assert mapping == {"request_id": f"request-{name}"}
            assert made.setdefault(name, mapping) is mapping


@pytest.mark.parametrize(("first", "second"), [(1, True), (0.0, -0.0), (1, 1.0), ("1", 1), (True, "True")])
def test_equal_values_are_not_the_same_value(first, second):
    """Values that compare equal but are written differently get mappings of their own."""
    contexts = {}
    for value in (first, second, first):
        bind_contextvars(value=value)
        (kept,) = merge({}, contexts)[0].values()
        assert kept is value


def test_what_may_change_is_not_kept(open_log, path):
    """A list in a variable is read at each call: what is appended to it shows in the next line only."""
    log, items = open_log(), []
    bind_contextvars(items=items)
    for number in range(3):
        log.info("text", number=number)
        items.append(number)
    log.close()
    assert [line["items"] for line in flat(path)[1:-1]] == [[], [0], [0, 1]]
    assert merge({}, contexts := {})[1] is False
    assert contexts == {}


def test_what_is_kept_is_bounded():
    """Contexts with long texts are not kept, and the others only up to a number."""
    contexts = {}
    bind_contextvars(text="long " * 1_000)
    merge({}, contexts)
    assert contexts == {}
    for number in range(3_000):
        bind_contextvars(text=f"text {number}")
        assert merge({}, contexts)[0] == {"text": f"text {number}"}
    assert len(contexts) <= 256


def test_variables_of_tasks_and_threads_stay_apart(open_log, path):
    """Requests that are served at the same time, by tasks and by threads, have each their own values in their lines."""
    log = open_log().bind(service="api")

    def serve(number):
        bind_contextvars(request_id=f"request-{number}", user=number)
        for step in range(20):
            log.info("step", step=step, request=number)
            log.emit(tool(number), request=number)

    async def serve_async(number):
        bind_contextvars(request_id=f"request-{number}", user=number)
        for step in range(20):
            await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(None, int), None)
            log.info("step", step=step, request=number)
            await log.aemit(tool(number), request=number)

    async def serve_all():
        await asyncio.gather(*(serve_async(number) for number in range(10, 20)))

    threads = [threading.Thread(target=serve, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    asyncio.run(serve_all())
    for thread in threads:
        thread.join()
    log.close()
    lines = flat(path)[1:-1]
    assert len(lines) == 15 * 40
    for line in lines:
        assert (line["request_id"], line["user"], line["service"]) == (
            f"request-{line['request']}",
            line["request"],
            "api",
        )


def test_a_variable_that_another_thread_adds(open_log, path):
    """A variable that is bound for the first time while others log does not disturb them."""
    log = open_log()
    bind_contextvars(first="1")
    context = contextvars.copy_context()
    thread = threading.Thread(target=lambda: [bind_contextvars(**{f"new_{number}": number}) for number in range(500)])
    thread.start()
    for _ in range(500):
        context.run(log.info, "text")
    thread.join()
    log.close()
    assert [{key for key in line if key.startswith(("first", "new_"))} for line in flat(path)[1:-1]] == [
        {"first"}
    ] * 500


def test_a_processor_sees_the_variables(open_log, path):
    """Processors of the application get the variables and may take them away."""
    bind_contextvars(request_id="q-1", secret="s")
    log = open_log(processors=[lambda _, __, values: {key: values[key] for key in values if key != "secret"}])
    log.info("text")
    log.close()
    line = flat(path)[1]
    assert line["request_id"] == "q-1"
    assert "secret" not in line
