"""Delivering a batch: sent again until each line is taken, or refused for good."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from bamboo_logmetrics.ship.destinations.base import DeliveryResult, Destination, Rejection
from bamboo_logmetrics.ship.entries import Entry, InvalidLine
from bamboo_logmetrics.ship.http import Answer, Server, compressed
from bamboo_logmetrics.system import Clock, backoff

if TYPE_CHECKING:
    from bamboo_logmetrics.system import Lock

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds
_LONGEST_WAIT = 600.0  # seconds; a server that asks for more is asked again before

_UNFIT = (ValueError, TypeError, OverflowError, RecursionError)  # what a line may do to an encoder

_TOO_LARGE = 413
_BAD_LINES = frozenset({400, 422})  # something in the body; every other status is about the server or about us

_PERHAPS_TOO_MUCH = frozenset({500, 504})  # Loki says 500 to more than 4 MB; a part may be taken
_SCOUTS = 8  # single lines that are tried where nothing was ever taken

_FOR_EVERY_LINE = "(so far for every line: is this the right URL?)"

_ADVICE = {
    401: "who you are is not known there: see BAMBOO_LOGMETRICS_SHIP_USER, _PASSWORD, _TOKEN and _API_KEY",
    403: "what you may do there is not enough",
    404: "there is nothing at this URL",
}


class StoppedError(Exception):
    """Somebody asked to stop; the batch is not delivered."""


class GivenUpError(Exception):
    """Nothing could be delivered for too long."""


class EncodedBatch(NamedTuple):
    """Lines and the body of the request that delivers them."""

    entries: Sequence[Entry]
    body: bytes


class Sender:
    """Delivers batches, one at a time.

    What a server refuses as a whole is sent again in parts, down to the lines that it will not take. But as long as it
    has taken nothing at all, it may be that it takes nothing at this URL; then a few single lines are tried, and unless
    one is taken, the batch waits. So a wrong URL makes no dead letters.

    Args:
        destination: the kind of server.
        server: where it is.
        clock: the time.
        bell: a lock that is held; whoever releases it ends a pause, and the delivery.
        on_trouble: is told, before each pause, what is wrong, and ``""`` when it is over.
        on_notice: is told what should be known, perhaps again and again.
        patience: seconds without any success after which GivenUpError is raised; None for ever.
    """

    def __init__(
        self,
        destination: Destination,
        server: Server,
        *,
        clock: Clock,
        bell: Lock,
        on_trouble: Callable[[str], None],
        on_notice: Callable[[str], None] = lambda _text: None,
        patience: float | None = None,
    ) -> None:
        self._destination = destination
        self._server = server
        self._clock = clock
        self._bell = bell
        self._on_trouble = on_trouble
        self._on_notice = on_notice
        self._patience = patience
        self._pauses = backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        self._posted_at: float | None = None  # when the request was posted that has no answer yet

    @property
    def waiting_since_seconds(self) -> float:
        """The seconds for which a request has been waiting for its answer; 0 where none is. From any thread."""
        posted_at = self._posted_at
        return 0.0 if posted_at is None else self._clock.monotonic() - posted_at

    def _post(self, parcel: EncodedBatch) -> Answer:
        self._posted_at = self._clock.monotonic()
        try:
            return self._server.post(parcel.body)
        finally:
            self._posted_at = None

    def prepare(self, entries: Sequence[Entry]) -> EncodedBatch:
        """Return lines ready to be sent."""
        return EncodedBatch(entries, compressed(self._destination.body(entries)))

    def ready(self, entries: Sequence[Entry]) -> tuple[EncodedBatch | None, list[InvalidLine]]:
        """Return lines ready to be sent, and those that cannot take the server's form, such as a deep one, with why."""
        try:
            return (self.prepare(entries) if entries else None), []
        except _UNFIT:  # it must not stop the lines behind it for ever
            good, unfit = [], []
            for entry in entries:
                try:
                    self.prepare([entry])
                    good.append(entry)
                except _UNFIT as error:
                    unfit.append(
                        InvalidLine(entry.line, f"it cannot take the server's form: {type(error).__name__}: {error}")
                    )
            if not good and len(unfit) > 1:  # then it is not the lines
                raise
        return (self.prepare(good) if good else None), unfit

    def deliver(self, parcel: EncodedBatch) -> list[Rejection]:
        """Send lines until each is taken or refused, and return what was refused.

        Raises StoppedError and GivenUpError.
        """
        self._last_success = self._clock.monotonic()
        refusals: list[Rejection] = []
        self._batch = parcel.entries
        waiting = [parcel]
        while waiting:
            waiting += self._try(waiting.pop(), refusals)
        return refusals

    def _try(self, parcel: EncodedBatch, refusals: list[Rejection]) -> list[EncodedBatch]:
        """Send lines once, and return what is to be sent after that; what is to be sent first comes last."""
        answer = self._post(parcel)
        if answer.status in _BAD_LINES or answer.status == _TOO_LARGE:
            return self._without_bad(parcel, answer, refusals)
        verdict = self._verdict(parcel, answer)
        any_taken = len(verdict.retry) + verdict.how_many_refused < len(parcel.entries)
        if verdict.refused and not any_taken and not self._server.proven:
            return self._doubt(parcel, self._server.shown(verdict.refused[0].reason), answer.wait)
        refusals += [refusal._replace(reason=self._server.shown(refusal.reason)) for refusal in verdict.refused]
        if any_taken:
            self._succeed()
            if verdict.notice:
                self._on_notice(self._server.shown(verdict.notice))
        if not verdict.retry:
            return []
        self._pause(verdict.error, answer.wait)
        if answer.status in _PERHAPS_TOO_MUCH and len(parcel.entries) > 1:
            return self._parts(parcel)
        return [parcel if len(verdict.retry) == len(parcel.entries) else self.prepare(verdict.retry)]

    def _verdict(self, parcel: EncodedBatch, answer: Answer) -> DeliveryResult:
        """Return what is to become of lines by any answer but one that says that they are bad."""
        if answer.error:
            return DeliveryResult(retry=parcel.entries, error=_explained(answer))
        if answer.status not in self._destination.successes:
            text = f"{answer.status}, by which {self._destination.kind} does not acknowledge; is this the right URL?"
            return DeliveryResult(retry=parcel.entries, error=text)
        try:
            verdict = self._destination.judge(parcel.entries, answer.body)
        except (ValueError, RecursionError) as error:
            text = f"an answer that is not one of {self._destination.kind}: {error}"
            return DeliveryResult(retry=parcel.entries, error=self._server.shown(text))
        return replace(verdict, error=self._server.shown(verdict.error))

    # -- bad lines -------------------------------------------------------------------------

    def _without_bad(self, parcel: EncodedBatch, answer: Answer, refusals: list[Rejection]) -> list[EncodedBatch]:
        """Return what is to be sent of lines that are too large together, or some of which are bad."""
        entries = parcel.entries
        if answer.status in _BAD_LINES and (bad := self._destination.named(entries, answer.body)) is not None:
            refusals.append(Rejection(bad, len(bad), answer.error))
            self._succeed()
            return []
        if (answer.status in _BAD_LINES or len(entries) == 1) and not self._server.proven and not self._scout():
            return self._doubt(parcel, answer.error, answer.wait)
        if len(entries) == 1:
            refusals.append(Rejection(entries, 1, answer.error))
            return []
        return self._parts(parcel)

    def _doubt(self, parcel: EncodedBatch, error: str, wait: float | None) -> list[EncodedBatch]:
        """Send lines again after a pause: where nothing was ever taken, it need not be the lines that are bad."""
        self._pause(f"{error} {_FOR_EVERY_LINE}", wait)
        return [parcel]

    def _parts(self, parcel: EncodedBatch) -> list[EncodedBatch]:
        return [self.prepare(part) for part in reversed(self._destination.split(parcel.entries))]

    def _scout(self) -> bool:
        """Try some lines of the batch one by one; tell whether one is taken, or refused in words that are known."""
        if len(self._batch) == 1:
            return False
        for entry in random.sample(self._batch, min(len(self._batch), _SCOUTS)):
            parcel = self.prepare([entry])
            answer = self._post(parcel)
            named = self._destination.named(parcel.entries, answer.body) if answer.status in _BAD_LINES else None
            if named or self._verdict(parcel, answer).all_taken:
                self._succeed()
                return True
        return False

    # -- the server's state ----------------------------------------------------------------

    def _succeed(self) -> None:
        self._server.proven = True
        self._pauses = backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        self._last_success = self._clock.monotonic()
        self._on_trouble("")

    def _pause(self, error: str, wait: float | None) -> None:
        self._on_trouble(error)
        passed = self._clock.monotonic() - self._last_success
        if self._patience is not None and passed >= self._patience:
            msg = f"nothing could be delivered for {passed:.0f} s: {error}"
            raise GivenUpError(msg)
        # half of the pause at least, and the rest by chance, so that many shippers do not come back together
        pause = next(self._pauses) * random.uniform(0.5, 1.0)  # noqa: S311 - not for secrets
        pause = max(pause, min(wait or 0.0, _LONGEST_WAIT))
        if self._patience is not None:
            pause = min(pause, self._patience - passed)
        if self._clock.wait(self._bell, pause):
            ring(self._bell)
            raise StoppedError


def ring(bell: Lock) -> None:
    """Release a lock, unless somebody was faster; whoever waits for it knows then that it is over."""
    with suppress(RuntimeError):
        bell.release()


def _explained(answer: Answer) -> str:
    advice = _ADVICE.get(answer.status)
    return f"{answer.error} ({advice})" if advice else answer.error
