"""The shipper: reads logs, delivers their lines, and keeps checkpoints."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.logfiles.discovery import AnyPath, service_of
from bamboo_logmetrics.logfiles.names import is_shipper_name
from bamboo_logmetrics.pipeline.diagnostics import stderr
from bamboo_logmetrics.ship.background import BackgroundCalls
from bamboo_logmetrics.ship.credentials import Credentials
from bamboo_logmetrics.ship.destinations import make_destination
from bamboo_logmetrics.ship.destinations.base import Destination, Rejection, ResourceDefaults
from bamboo_logmetrics.ship.http import Server
from bamboo_logmetrics.ship.log_set import LOOK_EVERY, LogSet, OpenLog, Shipped
from bamboo_logmetrics.ship.log_source import Batch, LogSource, ShipperIdentity
from bamboo_logmetrics.ship.reporters import WAITING, NoticeReporter, ProblemReporter
from bamboo_logmetrics.ship.sender import EncodedBatch, GivenUpError, Sender, StoppedError, ring
from bamboo_logmetrics.system import FS, Clock, backoff

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds, after an error of the disk
_SLOW_ANSWER = 40.0  # seconds; longer than a request without any answer
_LAST_ANSWER = 5.0  # seconds to wait at the end for the answer to what is under way

_ONCE = "a shipper runs once: make another"
_SERVER, _CHECKPOINT = "the server", "the checkpoint"  # what may have trouble, beside a log


class Shipper:
    """Delivers the lines of logs to Loki, Elasticsearch or an OTLP server. The files are the buffer.

    Each line is delivered at least once, and within one backing index of Elasticsearch exactly once. It logs nothing
    itself. ``run`` works in the calling thread; ``start`` and ``close`` do so beside an application::

        with Shipper("logs/agent.jsonl", to="loki", url="http://localhost:3100"):
            ...

    Args:
        files: logs or patterns; of each log, all files. They need not be there yet when it follows them.
        to: ``"loki"``, ``"elasticsearch"`` or ``"otlp"``.
        url: the server's URL; the interface's path is appended.
        name: names the checkpoint, so that one log can be shipped to several places; ``to`` when left out.
        service: the service of lines that have no ``service_name`` bound; the log's name when left out.
        env: the environment of lines that have no ``env`` bound.
        data_stream: of Elasticsearch.
        access: how the server is convinced; what the environment says when left out.
        checkpoint_dir: where checkpoints and dead letters are kept; beside each log when left out, where the log's
            retention waits for them.
        batch_bytes: about so many bytes of lines are sent at once.
        poll_interval: seconds between two looks at files that did not grow.
        moved: True to go on at another URL than that of the checkpoint.
        on_trouble: is told what is wrong, and ``""`` when it is over.
        on_notice: is told, once, what goes on all the same but should be known.
        on_progress: is told the bytes of lines that were settled.
        fs, clock: the system; for tests.

    Raises ConfigError for an argument without meaning, and ImportError where an extra is not installed.
    """

    def __init__(
        self,
        files: AnyPath | Iterable[AnyPath],
        *,
        to: str,
        url: str,
        name: str | None = None,
        service: str = "",
        env: str = "",
        data_stream: str | None = None,
        access: Credentials | None = None,
        checkpoint_dir: str | None = None,
        batch_bytes: int = 1024 * 1024,
        poll_interval: float = 0.2,
        moved: bool = False,
        on_trouble: Callable[[str], None] | None = None,
        on_notice: Callable[[str], None] | None = None,
        on_progress: Callable[[int], None] | None = None,
        fs: FS | None = None,
        clock: Clock | None = None,
    ) -> None:
        if batch_bytes < 1 or poll_interval <= 0:
            msg = f"batch_bytes={batch_bytes!r} and poll_interval={poll_interval!r} must be more than 0"
            raise ConfigError(msg)
        given = [files] if isinstance(files, (str, os.PathLike)) else files
        self._files = [os.path.abspath(os.fsdecode(file)) for file in given]  # a daemon may change its directory
        if not self._files:
            msg = "give at least one log file or pattern"
            raise ConfigError(msg)
        self._to = (to, service, env, data_stream)
        example = self._destination("")
        access = Credentials.from_environment() if access is None else access
        self._server = Server(url, example.path, content_type=example.content_type, access=access)
        self._names = ShipperIdentity(
            _checked_name(to if name is None else name),
            to,
            self._server.url,
            checkpoint_dir and os.path.abspath(checkpoint_dir),
        )
        self._batch_bytes = batch_bytes
        self._poll_interval = poll_interval
        self._moved = moved
        self._troubles = ProblemReporter(on_trouble or self._say_on_stderr)
        self._notices = NoticeReporter(on_notice or self._say_on_stderr)
        self._on_progress = on_progress
        self._fs = fs or FS()
        self._clock = clock or Clock()
        self._bell = threading.Lock()
        self._bell.acquire()
        self._courier: BackgroundCalls[list[Rejection]] = BackgroundCalls()
        self._tails: LogSet
        self._under_way: tuple[OpenLog, Batch] | None = None
        self._began = self._ending = self._stopped = self._over = self._failed = False
        self._follow = False
        self._patience: float | None = None
        self._thread: threading.Thread | None = None

    def _destination(self, log: str) -> Destination:
        to, service, env, data_stream = self._to
        return make_destination(to, ResourceDefaults(service or service_of(log), env), data_stream)

    # -- running -------------------------------------------------------------------------

    def run(self, *, follow: bool = False, patience: float | None = None) -> Shipped:
        """Deliver everything up to the end of the files, or with ``follow`` until :meth:`stop` is called; once.

        Args:
            follow: go on at the end, and wait for logs that are not there yet.
            patience: seconds without any success after which GivenUpError is raised; None for ever.

        Raises ConfigError when another process ships a log under this name, FileNotFoundError for a log that is not
        there (not while it follows), and GivenUpError. Where it does not follow it raises, when all others are
        delivered, OSError for a file that cannot be read, and ConfigError for lines of a newer version.
        """
        if self._began:
            raise RuntimeError(_ONCE)
        self._began = True
        self._patience, self._follow = patience, follow
        self._tails = LogSet(
            self._files,
            self._open,
            follow=follow,
            strict=self._thread is None,  # else there is nobody to raise it to
            troubles=self._troubles,
            clock=self._clock,
        )
        self._courier.start()
        try:
            self._tails.look()
            self._until_the_end()
        except StoppedError:
            pass
        finally:
            self._finish()
        return self._tails.shipped

    def stop(self) -> None:
        """Have ``run`` return soon: what is under way is waited for, for five seconds. From any thread or handler."""
        self._ending = self._stopped = True
        ring(self._bell)
        self._courier.nudge()

    def start(self) -> None:
        """Follow the logs in a thread of its own; once."""
        if self._began or self._thread is not None:
            raise RuntimeError(_ONCE)
        self._thread = threading.Thread(target=self._run_beside, name="bamboo-logmetrics-ship", daemon=True)
        self._thread.start()

    def close(self, timeout: float = 5.0) -> bool:
        """Deliver what is in the files by now, for up to ``timeout`` seconds, and stop; tell whether all is settled.

        That is, delivered or refused. When the time is over, the answer to what is under way is waited for, for up to
        five seconds more. What was not delivered is delivered by the next shipper of this name.
        """
        thread, self._thread = self._thread, None
        self._ending = True
        if thread is None:
            return True
        thread.join(timeout)
        in_time = not thread.is_alive()
        self.stop()
        thread.join(_LAST_ANSWER)
        return in_time and not self._failed and not self._troubles.any

    def __enter__(self) -> Shipper:  # noqa: PYI034 - no Self before 3.11
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    # -- the loop ------------------------------------------------------------------------

    def _run_beside(self) -> None:
        try:
            self.run(follow=True)
        except Exception as error:  # noqa: BLE001 - there is nobody to raise it to
            self._failed = True
            self._troubles.say(_SERVER, f"the shipper stopped: {error}")

    def _until_the_end(self) -> None:
        while True:
            ending = self._ending  # asked before looking: what was written before the end was asked for is delivered
            if self._follow:
                self._tails.look(now=ending)
            found = self._read()  # and made ready, while another batch is under way
            self._settle()
            if self._stopped:
                return
            if found is not None:
                self._dispatch(*found)
                continue
            for _, tail in self._tails.in_turn():
                self._saved(tail.shipment.rest)
            if ending or not self._follow:
                self._tails.raise_error()
                return
            self._tails.let_go()
            if self._clock.wait(self._bell, self._poll_interval):
                return

    def _read(self) -> tuple[OpenLog, Batch, EncodedBatch | None] | None:
        """Return the next batch of any log, ready to be sent; each log has its turn."""
        for log, tail in self._tails.in_turn():
            try:
                batch = tail.shipment.next_batch(self._batch_bytes)
            except (OSError, ConfigError) as error:
                self._tails.say(log, error)
                continue
            self._tails.say(log, None)
            if batch is not None:
                self._tails.had_turn(log)
                parcel, unfit = tail.sender.ready(batch.entries)
                entries = list(parcel.entries) if parcel else []
                return tail, batch._replace(entries=entries, broken=batch.broken + unfit), parcel
        return None

    def _dispatch(self, tail: OpenLog, batch: Batch, parcel: EncodedBatch | None) -> None:
        if parcel is None:
            self._settled(tail, batch, [])
            return
        self._under_way = (tail, batch)  # first: Ctrl-C may come between the two
        self._courier.send(lambda: tail.sender.deliver(parcel))

    def _settle(self) -> None:
        """Wait for what is under way, and count it."""
        while self._under_way is not None and not self._stopped:
            outcome = self._courier.outcome(LOOK_EVERY)
            if outcome is not None:
                self._count(outcome)
                continue
            self._look_at_the_answer(self._under_way[0].sender)
            if self._follow:  # in an outage too: the retention of a log waits from its checkpoint on
                self._tails.look()

    def _look_at_the_answer(self, sender: Sender) -> None:
        """Say that a server does not answer, and give up where that takes too long."""
        passed = sender.waiting_since_seconds
        if passed >= _SLOW_ANSWER:
            self._troubles.say(_SERVER, f"{self._server.url} has not answered for more than {_SLOW_ANSWER:.0f} s")
        if self._patience is not None and passed >= self._patience:
            msg = f"nothing could be delivered for {passed:.0f} s: {self._server.url} does not answer"
            raise GivenUpError(msg)

    def _count(self, outcome: Future[list[Rejection]]) -> None:
        assert self._under_way is not None
        (tail, batch), self._under_way = self._under_way, None
        self._settled(tail, batch, outcome.result())

    def _settled(self, tail: OpenLog, batch: Batch, refusals: list[Rejection]) -> None:
        tail.shipment.settle(batch, refusals)
        self._saved(tail.shipment.save)
        if self._on_progress is not None:
            self._on_progress(sum(len(entry.line) + 1 for entry in batch.entries))

    def _saved(self, save: Callable[[], None]) -> None:
        """Save something, again and again if need be: going on without it could forget what was refused."""
        pauses, since = backoff(_FIRST_PAUSE, _LONGEST_PAUSE), self._clock.monotonic()
        while (error := _error_of(save)) is not None:
            text = f"the checkpoint cannot be saved: {error}"
            self._troubles.say(_CHECKPOINT, text)
            if self._patience is not None and self._clock.monotonic() >= since + self._patience:
                raise GivenUpError(text)
            if self._clock.wait(self._bell, next(pauses)):
                ring(self._bell)
                raise StoppedError
        self._troubles.say(_CHECKPOINT, "")

    def _finish(self) -> None:
        """Wait a little for what is under way, and close everything."""
        ring(self._bell)
        try:
            with suppress(Exception):  # else it is not known to be delivered, and will be sent again
                outcome = self._courier.last_outcome(_LAST_ANSWER) if self._under_way else None
                if outcome is not None:
                    self._count(outcome)
        finally:
            self._over = True
            self._courier.close()
            self._tails.close()
            self._server.close()

    def _open(self, log: str, new: bool) -> OpenLog:  # noqa: FBT001 - called by LogSet only
        shipment = LogSource(log, self._names, moved=self._moved, new=new, fs=self._fs, clock=self._clock)
        if shipment.starts_anew:
            self._notices.say(f"no checkpoint of {log} is valid: it is delivered from its beginning again")

        self._server.proven |= shipment.state.proven

        def on_trouble(error: str) -> None:
            if not self._over:
                shipment.trouble(error)  # first, so that --status knows what was said
                self._troubles.say(_SERVER, error)

        sender = Sender(
            self._destination(log),
            self._server,
            clock=self._clock,
            bell=self._bell,
            on_trouble=on_trouble,
            on_notice=self._notices.say,
            patience=self._patience,
        )
        return OpenLog(shipment, sender, shipment.state)

    def _say_on_stderr(self, error: str) -> None:
        if error and not error.startswith(WAITING):
            stderr.report(f"shipping to {self._names.to}: {error}", self._clock.monotonic(), owed=False)


def _error_of(call: Callable[[], None]) -> OSError | None:
    try:
        call()
    except OSError as error:
        return error
    return None


def _checked_name(name: str) -> str:
    if is_shipper_name(name):
        return name
    msg = f"name={name!r} must be letters, digits, _ and -"
    raise ConfigError(msg)
