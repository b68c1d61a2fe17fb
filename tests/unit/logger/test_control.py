from __future__ import annotations

import asyncio

import pytest
from support.tools import flat, tool, typed

import bamboo_logmetrics as blm


def test_a_log_is_a_context_manager(tmp_path):
    """with and async with close the log at the end, also after an error."""
    with blm.open_log(tmp_path / "one.jsonl") as log:
        log.emit(tool())
    with pytest.raises(ZeroDivisionError), blm.open_log(tmp_path / "two.jsonl") as log:
        1 / 0

    async def use():
        async with blm.open_log(tmp_path / "three.jsonl") as log:
            await log.aemit(tool())

    asyncio.run(use())
    for name in ("one", "two", "three"):
        assert flat(tmp_path / f"{name}.jsonl")[-1]["event"] == "system.worker_stopped"
    assert len(typed(tmp_path / "three.jsonl")) == 1


def test_closing_a_bound_logger_closes_the_log(log):
    """Closing any logger of a log closes it for all."""
    log.bind(a=1).close()
    assert not log.emit(tool())


def test_flush_and_stats(log, path):
    """After a flush all that was emitted is in the file, and the counters say so."""
    log.emit(tool())
    assert log.flush()
    assert (log.stats().emitted, log.stats().written) == (1, 1)
    assert len(typed(path)) == 1


def test_async_flush_and_close(log, path):
    """The asynchronous forms do the same as the others."""

    async def use():
        log.emit(tool())
        assert await log.aflush()
        assert len(typed(path)) == 1
        assert await log.aclose()

    asyncio.run(use())
    assert flat(path)[-1]["event"] == "system.worker_stopped"


def test_a_logger_without_a_log(unconfigured):
    """Control of a log that is not configured is a ConfigError that names the remedy."""
    log = blm.get_logger()
    for use in (log.stats, log.flush, log.close, lambda: log.path):
        with pytest.raises(blm.ConfigError, match=r"call bamboo_logmetrics.configure\(path\) first"):
            use()
