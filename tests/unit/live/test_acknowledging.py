"""Nothing is acknowledged that is not in the file, whatever fails."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest
from support.exporting import call, log_record, logs_of

import bamboo_logmetrics as blm
from bamboo_logmetrics.importers.otlp.records import LOG
from bamboo_logmetrics.importers.run import EventClock
from bamboo_logmetrics.importers.store import Store
from bamboo_logmetrics.live import acknowledging
from bamboo_logmetrics.live.acknowledging import Acknowledger, EventWriter
from bamboo_logmetrics.live.receiver import records_of
from bamboo_logmetrics.live.telemetry_answers import JSON, Outcome, TelemetryError


@pytest.fixture
def notes():
    return []


@pytest.fixture
def store():
    store = Store()
    yield store
    store.close()


def reading(*records):
    """Return a function that gives the records of a request."""
    return lambda: records_of(logs_of(*records), LOG, JSON)


def rounds_in(path):
    return [line.event for line in blm.read(path) if isinstance(line.event, blm.RoundCompleted)]


def test_a_log_that_refuses(open_log, path, store, notes, monkeypatch):
    """While the log takes nothing a request gets 503; sent again later, each event of it is written once."""
    clock = EventClock()
    log = open_log(clock=clock)
    writer = EventWriter(log, clock, store, notes.append)
    with monkeypatch.context() as patch:
        patch.setattr(blm.BoundLog, "emit", lambda *_, **__: False)
        (refused,) = writer.write([reading(call())])
    assert (type(refused), refused.status) == (TelemetryError, 503)
    assert [one.events for one in writer.write([reading(call()), reading(call())])] == [3, 0]
    assert len(rounds_in(path)) == 1


def test_plain_lines_that_are_refused(open_log, store, notes):
    """A plain line that the log does not take gets 503 as an event does."""
    clock = EventClock()
    log = open_log(clock=clock)
    writer = EventWriter(log, clock, store, notes.append)
    (taken,) = writer.write([reading(log_record(0, event__name="app.thing"))])
    log.close()
    (refused,) = writer.write([reading(log_record(1, event__name="app.thing"))])
    assert (taken.events, refused.status) == (1, 503)


def test_a_disk_that_does_not_answer(open_log, path, store, notes, monkeypatch):
    """An event that is emitted and not yet in the file gets 503; sent again it is acknowledged, and not emitted again."""
    clock = EventClock()
    log = open_log(clock=clock)
    writer = EventWriter(log, clock, store, notes.append)
    with monkeypatch.context() as patch:
        patch.setattr(blm.BoundLog, "flush", lambda *_: False)
        refused, malformed = writer.write([reading(call()), lambda: records_of(b"{", LOG, JSON)])
        writer.close()
    assert (refused.status, malformed.status) == (503, 400)
    assert store.get("complete") == 0
    assert [one.events for one in writer.write([reading(call())])] == [0]
    writer.close()
    assert store.get("complete") == 1
    assert len(rounds_in(path)) == 1


class FullStore(Store):
    """A store on a disk that is full until it is told otherwise."""

    full = False

    def commit(self):
        if self.full:
            raise sqlite3.OperationalError("database or disk is full")
        super().commit()


def test_ids_that_cannot_be_saved(open_log, path, notes):
    """A store that cannot be written is told once; the ids are kept, and noted when it can."""
    clock = EventClock()
    log = open_log(clock=clock)
    store = FullStore()
    writer = EventWriter(log, clock, store, notes.append)
    store.full = True
    for number in (0, 0, 1):
        (outcome,) = writer.write([reading(call(number))])
        assert isinstance(outcome, Outcome)
    assert [note for note in notes if "saved" in note] == [
        "the ids cannot be saved (database or disk is full); the next start reads them from the log"
    ]
    store.full = False
    writer.write([reading()])
    assert store.execute("SELECT count(*) FROM key").fetchone() == (5,)
    store.close()
    assert len(rounds_in(path)) == 2


class Direct:
    """An executor that works at once, in the caller's thread."""

    def submit(self, work, *args):
        from concurrent.futures import Future

        future = Future()
        try:
            future.set_result(work(*args))
        except Exception as error:
            future.set_exception(error)
        return future


def test_a_fault_of_the_writer():
    """A fault of the log answers every request that waits."""

    class Failing:
        def write(self, _):
            raise MemoryError

    async def asking():
        acknowledger = Acknowledger(Failing(), Direct())
        return await asyncio.gather(
            acknowledger.write(reading()), acknowledger.write(reading()), return_exceptions=True
        )

    assert [error.status for error in asyncio.run(asking())] == [503, 503]


def test_a_client_that_is_gone():
    """A request whose client is gone is written, and disturbs no other."""

    class Counting:
        def write(self, requests):
            return [Outcome(events=1)] * len(requests)

    async def asking():
        acknowledger = Acknowledger(Counting(), Direct())
        gone = asyncio.create_task(acknowledger.write(reading()))
        stays = asyncio.create_task(acknowledger.write(reading()))
        asyncio.get_running_loop().call_soon(gone.cancel)
        return await asyncio.gather(gone, stays, return_exceptions=True)

    gone, stays = asyncio.run(asking())
    assert isinstance(gone, asyncio.CancelledError)
    assert stays == Outcome(events=1)


def test_the_wait_is_shorter_than_that_of_exporters():
    """An exporter hears that the disk does not answer before it gives up by itself."""
    assert acknowledging.WAIT_SECONDS < 10
