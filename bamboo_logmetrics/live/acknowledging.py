"""Requests of exporters are answered when their events are in the file; many requests share one wait for it.

All work on the log and on the store of known ids is done in one thread, in which SQLite's connection lives too. What is
written is noted in the store afterwards. A process that was killed in between has left the store marked incomplete, and
the next one reads the ids from the log: so a request that is sent again writes nothing twice.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from typing import NamedTuple

from bamboo_logmetrics.importers.base import ImportedEvent, Note, Placed
from bamboo_logmetrics.importers.otlp.converter import REPEATED, Converter
from bamboo_logmetrics.importers.otlp.records import NotOtlpError, TelemetryRecord
from bamboo_logmetrics.importers.run import EventClock, emit_at_its_time
from bamboo_logmetrics.importers.spool import unique_key
from bamboo_logmetrics.importers.store import Store
from bamboo_logmetrics.live.telemetry_answers import Outcome, TelemetryError
from bamboo_logmetrics.live.telemetry_bodies import INVALID
from bamboo_logmetrics.logger.bound_log import BoundLog

WAIT_SECONDS = 5.0  # for the disk; exporters give up after ten
_REFUSED = ("queue_full", "plain_gave_way", "block_timeout", "closed")  # the reasons that a call meets
_UNAVAILABLE = 14  # code of google.rpc.Status

Read = Callable[[], Iterable[TelemetryRecord]]
Result = Outcome | TelemetryError


class _Request(NamedTuple):
    """A request that waits.

    Args:
        read: gives its records; it raises NotOtlpError and TelemetryError.
        answer: is set to what became of it.
    """

    read: Read
    answer: asyncio.Future[Outcome]


class EventWriter:
    """Writes the events of requests into a log, each once. To be made and used in one thread.

    Args:
        log: the log, opened with ``on_full="block"``.
        clock: the clock of the log.
        store: the ids that are known.
        on_note: called once with each line for the operator.
    """

    def __init__(self, log: BoundLog, clock: EventClock, store: Store, on_note: Callable[[str], object]) -> None:
        self._log = log
        self._clock = clock
        self._store = store
        self._on_note = on_note
        self._converter = Converter(self._new_name)
        self._faults: set[str] = set()
        self._pending: dict[int, None] = {}  # keys of events that are accepted, and not noted in the store yet
        self._store_failed = False
        store.set("complete", 0)  # from here on the store may be behind the log
        store.commit()

    def write(self, requests: Sequence[Read]) -> list[Result]:
        """Write the events of some requests, wait until they are in the file, and return what became of each."""
        before = self._too_large()
        results = [self._emit_all(read) for read in requests]
        if any(isinstance(result, Outcome) for result in results) and not self._is_stored():
            failed = _not_written()
            return [failed if isinstance(result, Outcome) else result for result in results]
        if lost := self._too_large() - before:
            self._tell_fault("too_large")
            return [_without_lost(result, lost) for result in results]
        return results

    def close(self) -> None:
        """Note that the store knows everything, if it does."""
        if self._is_stored() and not self._pending:
            self._store.set("complete", 1)
            self._store.commit()

    # -- events -----------------------------------------------------------------------------------

    def _emit_all(self, read: Read) -> Result:
        try:
            records = self._converter.in_order(read())
        except TelemetryError as error:
            return error
        except NotOtlpError as error:
            return TelemetryError(400, INVALID, str(error))
        except Exception as error:  # noqa: BLE001 - it must not be sent for ever, nor cost the others of its group
            self._tell_fault(type(error).__name__)
            return TelemetryError(400, INVALID, f"the body cannot be used ({type(error).__name__})")
        rejected = new = 0
        for record in records:
            try:
                events = list(self._converter.events_of(record))
            except Exception as error:  # noqa: BLE001 - one bad record must not have its request sent for ever
                rejected += 1
                self._tell_fault(type(error).__name__)
                continue
            for event in events:
                number = self._emit(event)
                if number is None:
                    self._converter.forget_begins()
                    return _not_written()
                new += number
        return Outcome(rejected, f"{rejected} records cannot be used" if rejected else "", new)

    def _emit(self, imported: ImportedEvent) -> int | None:
        """Return 1 if an event was emitted, 0 if it is known, None if the log does not take it."""
        event, bound = imported
        event_id = event.meta.event_id
        key = unique_key(event_id)
        if key in self._pending or self._store.item_of(key) is not None or self._store.is_logged(event_id):
            return 0
        if isinstance(event, (Note, Placed)):
            before = self._refused()
            is_taken = emit_at_its_time(self._log, self._clock, event, bound) and self._refused() == before
        else:
            is_taken = self._log.emit(event, **bound)
        if not is_taken:
            return None
        self._pending[key] = None
        return 1

    def _refused(self) -> int:
        """Return how many records the log did not take; a plain line has no answer of its own."""
        dropped = self._log.stats().dropped
        return sum(dropped.get(reason, 0) for reason in _REFUSED)

    def _too_large(self) -> int:
        """Return how many records the log took, and left out because their lines were too long."""
        return self._log.stats().dropped.get("too_large", 0)

    def _is_stored(self) -> bool:
        """Return True if everything that was emitted is in the file, and note it in the store."""
        if not self._log.flush(WAIT_SECONDS):
            return False
        try:
            rows = [(key,) for key in self._pending]
            self._store.executemany("INSERT OR IGNORE INTO key VALUES (?, 0)", rows)
            self._store.commit()
        except sqlite3.OperationalError as error:  # the ids stay in memory, and are in the log too
            self._restart_transaction()
            if not self._store_failed:
                self._store_failed = True
                self._on_note(f"the ids cannot be saved ({error}); the next start reads them from the log")
        else:
            self._pending.clear()
        return True

    def _restart_transaction(self) -> None:
        for statement in ("ROLLBACK", "BEGIN"):
            with suppress(sqlite3.OperationalError):
                self._store.execute(statement)

    # -- what the operator and the exporter are told -----------------------------------------------

    def _new_name(self, category: str, name: str) -> None:
        if category != REPEATED:
            self._on_note(f"{name}: {category}")

    def counts(self) -> dict[str, int]:
        """Return the number of records that became no event, by category."""
        return {category: sum(names.values()) for category, names in self._converter.names.items()}

    def _tell_fault(self, name: str) -> None:
        if name not in self._faults:
            self._faults.add(name)
            self._on_note(f"a record cannot be used ({name}); its exporter is told")


class Acknowledger:
    """Hands requests to the thread that writes, and answers them.

    Args:
        writer: writes the events.
        executor: has the one thread in which ``writer`` was made.
    """

    def __init__(self, writer: EventWriter, executor: Executor) -> None:
        self._writer = writer
        self._executor = executor
        self._waiting: list[_Request] = []
        self._task: asyncio.Task[None] | None = None

    def counts(self) -> dict[str, int]:
        """Return the number of records that became no event, by category."""
        return self._writer.counts()

    async def write(self, read: Read) -> Outcome:
        """Return the outcome of a request when its events are in the file. Raises TelemetryError."""
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Request(read, answer))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write_all())
        return await answer

    async def _write_all(self) -> None:
        """Write what waits; what comes meanwhile is written together after it."""
        loop = asyncio.get_running_loop()
        while self._waiting:
            requests, self._waiting = self._waiting, []
            work = [request.read for request in requests]
            try:
                results = await loop.run_in_executor(self._executor, self._writer.write, work)
            except Exception as error:  # noqa: BLE001 - no request may wait for ever
                results = [TelemetryError(503, _UNAVAILABLE, f"the log failed ({type(error).__name__})")] * len(work)
            for request, result in zip(requests, results, strict=True):
                _set(request.answer, result)


def _set(answer: asyncio.Future[Outcome], result: Result) -> None:
    if answer.done():  # the client is gone
        return
    if isinstance(result, TelemetryError):
        answer.set_exception(result)
    else:
        answer.set_result(result)


def _without_lost(result: Result, lost: int) -> Result:
    """Return a result without the events that were lost; which requests of a group they are of is not known."""
    if isinstance(result, TelemetryError) or not result.events:
        return result
    fewer = min(lost, result.events)
    return Outcome(result.rejected + fewer, f"{fewer} events are too long for a line", result.events - fewer)


def _not_written() -> TelemetryError:
    return TelemetryError(503, _UNAVAILABLE, "the log cannot be written at the moment; send it again")
