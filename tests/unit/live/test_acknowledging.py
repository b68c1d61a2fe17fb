"""Nothing is acknowledged that is not in the file, whatever fails."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest
from support.exporting import call, log_record, logs_of

import bamboo_logmetrics as blm
from bamboo_logmetrics.format.layouts.native import NATIVE
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


def test_a_request_that_raises(open_log, path, store, notes):
    """A fault in one request is its own: it gets 400, so that it is not sent for ever, and the others are written."""
    clock = EventClock()
    writer = EventWriter(open_log(clock=clock), clock, store, notes.append)

    def failing():
        yield from reading(call(1))()
        raise ValueError

    bad, good = writer.write([failing, reading(call())])
    assert (bad.status, bad.message, good.events) == (400, "the body cannot be used (ValueError)", 3)
    assert notes == ["a record cannot be used (ValueError); its exporter is told"]
    assert len(rounds_in(path)) == 1


def test_ids_that_no_line_can_hold(open_log, path, store, notes):
    """A record with an endless id is rejected, and the others of its request are written."""
    clock = EventClock()
    log = open_log(clock=clock)
    writer = EventWriter(log, clock, store, notes.append)
    (outcome,) = writer.write([reading({**call(1), "spanId": "a" * 3_000_000}, call())])
    assert outcome == Outcome(1, "1 records cannot be used", 3)
    assert log.stats().dropped_total == 0
    assert len(rounds_in(path)) == 1


def test_lines_that_are_too_long(open_log, path, store, notes):
    """Events that the log left out are told as rejected, in each request of its group that wrote anything."""
    clock = EventClock()
    log = open_log(clock=clock, max_line_bytes=NATIVE.min_line_bytes)
    writer = EventWriter(log, clock, store, notes.append)
    wide = call(1)
    wide["attributes"].append({"key": "session.id", "value": {"stringValue": "\U0001f600" * 200}})
    long, malformed, empty = writer.write([reading(wide), lambda: records_of(b"{", LOG, JSON), reading()])
    lost = log.stats().dropped["too_large"]
    assert long == Outcome(lost, f"{lost} events are too long for a line", 3 - lost)
    assert (malformed.status, empty) == (400, Outcome())
    assert notes == ["a record cannot be used (too_large); its exporter is told"]


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
