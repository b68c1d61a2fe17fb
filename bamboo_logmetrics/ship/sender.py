"""Delivery of one batch: it is sent until the server has taken or rejected each line."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from bamboo_logmetrics.ship.advice import advice
from bamboo_logmetrics.ship.destinations.base import DeliveryResult, Destination, Rejection
from bamboo_logmetrics.ship.entries import Entry, InvalidLine, entry_of
from bamboo_logmetrics.ship.http import READ_TIMEOUT, Answer, Server, compressed
from bamboo_logmetrics.system import Clock, backoff

if TYPE_CHECKING:
    from bamboo_logmetrics.system import Lock

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds
_SHORTEST_READ = 10.0  # seconds to wait for a byte of an answer, when the log's files are filled faster
_LONGEST_WAIT = 600.0  # seconds; the longest that a server's Retry-After is followed

_TOO_LARGE = 413
_BAD_LINES = frozenset({400, 422})  # something in the body; every other status is about the server or the client

_PERHAPS_TOO_MUCH = frozenset({500, 504})  # Loki answers 500 to more than 4 MB; it may take a part
_PROBES = 8  # single lines that are tried on a server that has never taken one

_FOR_EVERY_LINE = "(so far for every line: is this the right URL?)"

# An ordinary plain line and an ordinary event. An encoder that takes neither is broken, and no line is to blame.
_HEADER = b'"timestamp":"2026-01-01T00:00:00.000000Z","level":"info","v":1,"writer":"00000000000000000000","seq":1'
_SAMPLES = (
    entry_of(b'{%b,"event":"text","plain":true}' % _HEADER),
    entry_of(b'{%b,"event":"chat.session_started","session_id":"s","model":"m"}' % _HEADER),
)


class StoppedError(Exception):
    """The shipper was asked to stop; the batch is not delivered."""


class GivenUpError(Exception):
    """Nothing could be delivered for too long."""


class EncodedBatch(NamedTuple):
    """Lines and the body of the request that delivers them."""

    entries: Sequence[Entry]
    body: bytes


class Sender:
    """Delivers batches, one at a time.

    A batch that the server rejects as a whole is sent again in parts, down to the lines that it will not take. A server
    that has never taken a line may reject everything because the URL is wrong; then a few single lines are tried, and
    unless one is taken, the batch waits. So a wrong URL makes no dead letters.

    Args:
        destination: the kind of server.
        server: the server.
        clock: the time.
        wakeup: a lock that is held; releasing it ends a pause and the delivery.
        on_trouble: called with an error before each pause, and with ``""`` when it is over.
        on_notice: called with something that the user should know; may repeat itself.
        file_seconds: returns the time in which the log fills a file; no pause is longer, so that retention does not
            overtake the shipper while it waits.
        on_part: called with the lines that are taken of each request of a batch but the last.
        give_up_after: seconds without any success after which GivenUpError is raised; None for never.
    """

    def __init__(
        self,
        destination: Destination,
        server: Server,
        *,
        clock: Clock,
        wakeup: Lock,
        on_trouble: Callable[[str], None],
        on_notice: Callable[[str], None] = lambda _text: None,
        on_part: Callable[[Sequence[Entry]], None] = lambda _entries: None,
        file_seconds: Callable[[], float] = lambda: math.inf,
        give_up_after: float | None = None,
    ) -> None:
        self._destination = destination
        self._server = server
        self._clock = clock
        self._wakeup = wakeup
        self._on_trouble = on_trouble
        self._on_notice = on_notice
        self._on_part = on_part
        self._file_seconds = file_seconds
        self._give_up_after = give_up_after
        self._pauses = backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        self._posted_at: float | None = None  # when the request was sent that has no answer yet

    @property
    def waiting_since_seconds(self) -> float:
        """The seconds for which a request has waited for its answer; 0 where none does. From any thread."""
        posted_at = self._posted_at
        return 0.0 if posted_at is None else self._clock.monotonic() - posted_at

    def _post(self, batch: EncodedBatch) -> Answer:
        self._posted_at = self._clock.monotonic()
        self._server.read_timeout = max(_SHORTEST_READ, min(READ_TIMEOUT, self._file_seconds()))
        try:
            return self._server.post(batch.body)
        finally:
            self._posted_at = None

    # -- encoding ----------------------------------------------------------------------------

    def encode(self, entries: Sequence[Entry]) -> EncodedBatch:
        """Return lines ready to be sent. Raises the encoder's error for a line that it cannot encode."""
        return EncodedBatch(entries, compressed(self._destination.encode(entries)))

    def encode_valid(self, entries: Sequence[Entry]) -> tuple[list[EncodedBatch], list[InvalidLine]]:
        """Return the lines that can be encoded, as the requests to send, and the others with the reasons.

        A line that fails, with whatever error, must not stop the lines after it. Raises the error if the encoder takes
        neither a line of the batch nor an ordinary one.
        """
        try:
            return self._encode_requests(entries), []
        except Exception:
            valid, invalid = self._try_each(entries)
            if not valid and not self._try_each(_SAMPLES)[0]:
                raise
        return self._encode_requests(valid), invalid

    def _encode_requests(self, entries: Sequence[Entry]) -> list[EncodedBatch]:
        return [self.encode(part) for part in self._destination.requests(entries)] if entries else []

    def _try_each(self, entries: Sequence[Entry]) -> tuple[list[Entry], list[InvalidLine]]:
        valid, invalid = [], []
        for entry in entries:
            try:
                self._destination.encode([entry])
            except Exception as error:  # noqa: BLE001 - a line may raise anything in an encoder
                reason = f"it cannot take the server's form: {type(error).__name__}: {error}"
                invalid.append(InvalidLine(entry.line, reason))
            else:
                valid.append(entry)
        return valid, invalid

    # -- sending -----------------------------------------------------------------------------

    def deliver_all(self, batches: Sequence[EncodedBatch]) -> list[Rejection]:
        """Deliver batches in their order, and return the rejections. Raises StoppedError and GivenUpError."""
        rejections: list[Rejection] = []
        for number, batch in enumerate(batches, start=1):
            new = self.deliver(batch, later=batches[number:])
            rejections += new
            if number < len(batches):
                rejected = {entry.id for rejection in new for entry in rejection.entries}
                self._on_part([entry for entry in batch.entries if entry.id not in rejected])
        return rejections

    def deliver(self, batch: EncodedBatch, later: Sequence[EncodedBatch] = ()) -> list[Rejection]:
        """Send lines until each is taken or rejected, and return the rejections.

        Args:
            batch: the lines.
            later: the batches after this one; lines of them may be tried on a server that rejects all of this one.

        Raises StoppedError and GivenUpError.
        """
        self._last_success = self._clock.monotonic()
        self._batch, self._later_batches = batch.entries, later
        rejections: list[Rejection] = []
        waiting = [batch]
        while waiting:
            waiting += self._send(waiting.pop(), rejections)
        return rejections

    def _send(self, batch: EncodedBatch, rejections: list[Rejection]) -> list[EncodedBatch]:
        """Send lines once, and return the batches to send after that, the next one last."""
        answer = self._post(batch)
        if answer.status in _BAD_LINES or answer.status == _TOO_LARGE:
            return self._bisect(batch, answer, rejections)
        result = self._result(batch, answer)
        any_taken = len(result.retry) + result.rejected < len(batch.entries)
        if result.rejections and not any_taken and not self._server.verified:
            return self._hold_back(batch, self._server.shown(result.rejections[0].reason), answer.wait)
        rejections += [item._replace(reason=self._server.shown(item.reason)) for item in result.rejections]
        if any_taken:
            self._note_success()
            if result.notice:
                self._on_notice(self._server.shown(result.notice))
        if not result.retry:
            return []
        self._pause(result.error, answer.wait)
        if answer.status in _PERHAPS_TOO_MUCH and len(batch.entries) > 1:
            return self._parts(batch)
        return [batch if len(result.retry) == len(batch.entries) else self.encode(result.retry)]

    def _result(self, batch: EncodedBatch, answer: Answer) -> DeliveryResult:
        """Return the fate of lines by any answer but one that calls them bad."""
        name = self._destination.name
        if answer.error:
            return DeliveryResult(retry=batch.entries, error=self._advised(answer))
        if answer.status not in self._destination.success_statuses:
            text = f"{answer.status}, which is not how {name} acknowledges lines; is this the right URL?"
            return DeliveryResult(retry=batch.entries, error=text)
        try:
            result = self._destination.parse_response(batch.entries, answer.body)
        except Exception as error:  # noqa: BLE001 - an answer may be anything
            text = f"an answer that is not one of {name}: {error}"
            return DeliveryResult(retry=batch.entries, error=self._server.shown(text))
        return replace(result, error=self._server.shown(result.error))

    # -- bad lines ---------------------------------------------------------------------------

    def _bisect(self, batch: EncodedBatch, answer: Answer, rejections: list[Rejection]) -> list[EncodedBatch]:
        """Return the batches to send instead of lines that are too large together, or of which some are bad."""
        entries = batch.entries
        if answer.status in _BAD_LINES and (bad := self._destination.find_rejected(entries, answer.body)) is not None:
            rejections.append(Rejection(bad, len(bad), answer.error))
            self._note_success()
            return []
        if (answer.status in _BAD_LINES or len(entries) == 1) and not self._server.verified and not self._probe():
            return self._hold_back(batch, self._advised(answer), answer.wait)
        if len(entries) == 1:
            rejections.append(Rejection(entries, 1, answer.error))
            return []
        return self._parts(batch)

    def _hold_back(self, batch: EncodedBatch, error: str, wait: float | None) -> list[EncodedBatch]:
        """Have lines sent again after a pause: a server that has never taken a line may stand at a wrong URL."""
        self._pause(f"{error} {_FOR_EVERY_LINE}", wait)
        return [batch]

    def _parts(self, batch: EncodedBatch) -> list[EncodedBatch]:
        return [self.encode(part) for part in reversed(self._destination.split(batch.entries))]

    def _probe(self) -> bool:
        """Send some lines one by one; return True once one is taken, or rejected by name."""
        for entry in self._probes():
            batch = self.encode([entry])
            answer = self._post(batch)
            bad = self._destination.find_rejected(batch.entries, answer.body) if answer.status in _BAD_LINES else None
            if bad or self._result(batch, answer).all_taken:
                self._note_success()
                return True
        return False

    def _probes(self) -> list[Entry]:
        """Return lines to try alone: any of the batch, and if these are all of it, the next ones in their order.

        A server may refuse a line because it has a later one, so none is tried before an earlier one that may be good.
        """
        entries = self._batch if len(self._batch) > 1 else ()  # a single one was just rejected
        probes = random.sample(entries, min(len(entries), _PROBES))
        if len(entries) <= _PROBES:
            probes += [entry for batch in self._later_batches for entry in batch.entries][: _PROBES - len(probes)]
        return probes

    # -- the server's state ------------------------------------------------------------------

    def _advised(self, answer: Answer) -> str:
        remedy = advice(answer.status, answer.error, self._server.port)
        return f"{answer.error} ({remedy})" if remedy else answer.error

    def _note_success(self) -> None:
        self._server.verified = True
        self._pauses = backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        self._last_success = self._clock.monotonic()
        self._on_trouble("")

    def _pause(self, error: str, wait: float | None) -> None:
        self._on_trouble(error)
        passed = self._clock.monotonic() - self._last_success
        if self._give_up_after is not None and passed >= self._give_up_after:
            msg = f"nothing could be delivered for {passed:.0f} s: {error}"
            raise GivenUpError(msg)
        # at least half of the pause, and the rest by chance, so that many shippers do not come back at once
        pause = next(self._pauses) * random.uniform(0.5, 1.0)  # noqa: S311 - not for secrets
        pause = min(pause, max(_FIRST_PAUSE, self._file_seconds()))
        pause = max(pause, min(wait or 0.0, _LONGEST_WAIT))
        if self._give_up_after is not None:
            pause = min(pause, self._give_up_after - passed)
        if self._clock.wait(self._wakeup, pause):
            notify(self._wakeup)
            raise StoppedError


def notify(wakeup: Lock) -> None:
    """Release a lock unless it is free already, so that all who wait for it wake up."""
    with suppress(RuntimeError):
        wakeup.release()
