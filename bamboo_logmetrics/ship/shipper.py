"""The shipper: reads logs, delivers their lines and keeps checkpoints."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import Any

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.logfiles.discovery import AnyPath, service_of
from bamboo_logmetrics.logfiles.names import is_shipper_name
from bamboo_logmetrics.pipeline.diagnostics import stderr
from bamboo_logmetrics.ship.background import BackgroundCalls
from bamboo_logmetrics.ship.credentials import Credentials
from bamboo_logmetrics.ship.dead_letter_source import DeadLetterSource
from bamboo_logmetrics.ship.dead_letters import DEAD_LETTER_BYTES
from bamboo_logmetrics.ship.destinations import find_destination
from bamboo_logmetrics.ship.destinations.base import Destination, Rejection, ResourceDefaults
from bamboo_logmetrics.ship.http import Server
from bamboo_logmetrics.ship.log_set import LOOK_EVERY, LogSet, OpenLog
from bamboo_logmetrics.ship.log_source import Batch, LogSource
from bamboo_logmetrics.ship.log_state import Shipped, ShipperIdentity
from bamboo_logmetrics.ship.reporters import WAITING, NoticeReporter, ProblemReporter
from bamboo_logmetrics.ship.sender import EncodedBatch, GivenUpError, Sender, StoppedError, notify
from bamboo_logmetrics.system import FS, Clock, backoff

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds, after an error of the disk
_SLOW_ANSWER = 40.0  # seconds; longer than a request without any answer
_LAST_ANSWER = 5.0  # seconds to wait at the end for the answer to the last request

_FULL = "is full: refused lines are counted and not kept any more; see --resend and --dead-letter-bytes"
_ONCE = "a shipper runs once: create another one"
_SERVER, _CHECKPOINT = "the server", "the checkpoint"  # subjects of problems, as are paths of logs


class Shipper:
    """Delivers the lines of logs to a server, such as Loki or Elasticsearch. The files are the buffer.

    Each line is delivered at least once, and within one backing index of Elasticsearch exactly once. The shipper logs
    nothing itself. ``run`` works in the calling thread; ``start`` and ``close``, or ``with``, in a thread of its own::

        with Shipper("logs/agent.jsonl", to="loki", url="http://localhost:3100"):
            ...

    Args:
        files: paths of logs, or patterns; each stands for all files of a log. A log that is followed may be created
            later.
        to: the destination: ``"loki"``, ``"elasticsearch"``, ``"otlp"`` or the name of a registered one.
        url: the server's URL; the destination's path is appended.
        name: the name of the checkpoint, so that one log can be shipped to several servers; by default ``to``.
        service: the service of lines without ``service_name``; by default the log's name.
        env: the environment of lines without ``env``.
        access: the credentials for the server; by default those of the environment.
        checkpoint_dir: the directory of checkpoints and dead letters; by default that of each log, where the log's
            retention waits for the checkpoint.
        dead_letter_bytes: the largest size of a dead-letter file; refused lines beyond it are counted, and not kept.
        batch_bytes: the approximate size of the lines in one request, in bytes.
        poll_interval: seconds between two looks at files that did not grow.
        moved: True to go on at another URL than that of the checkpoint.
        on_trouble: called with each new problem, and with ``""`` when there is none any more.
        on_notice: called once with each notice that stops nothing.
        on_progress: called with the bytes of the lines that were delivered or refused.
        fs, clock: the system; for tests.
        options: options of the destination, such as ``data_stream`` of Elasticsearch.

    Raises ConfigError for an invalid argument, and ImportError if an extra is not installed.
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
        access: Credentials | None = None,
        checkpoint_dir: str | None = None,
        dead_letter_bytes: int = DEAD_LETTER_BYTES,
        batch_bytes: int = 1024 * 1024,
        poll_interval: float = 0.2,
        moved: bool = False,
        on_trouble: Callable[[str], None] | None = None,
        on_notice: Callable[[str], None] | None = None,
        on_progress: Callable[[int], None] | None = None,
        fs: FS | None = None,
        clock: Clock | None = None,
        **options: Any,
    ) -> None:
        if batch_bytes < 1 or poll_interval <= 0 or dead_letter_bytes < 0:
            msg = (
                f"batch_bytes={batch_bytes!r} and poll_interval={poll_interval!r} must be more than 0, and"
                f" dead_letter_bytes={dead_letter_bytes!r} must not be less"
            )
            raise ConfigError(msg)
        paths = [files] if isinstance(files, (str, os.PathLike)) else files
        self._files = [os.path.abspath(os.fsdecode(path)) for path in paths]  # a daemon may change its directory
        if not self._files:
            msg = "give at least one log file or pattern"
            raise ConfigError(msg)
        self._kind, self._service, self._env = find_destination(to), service, env
        self._options = self._kind.make_options(options)
        credentials = Credentials.from_environment() if access is None else access
        self._server = Server(url, self._destination(""), credentials)
        self._identity = ShipperIdentity(
            _checked_name(to if name is None else name),
            to,
            self._server.url,
            checkpoint_dir and os.path.abspath(checkpoint_dir),
        )
        self._source_class: type[LogSource] = LogSource
        self._dead_letter_bytes = dead_letter_bytes
        self._batch_bytes = batch_bytes
        self._poll_interval = poll_interval
        self._moved = moved
        self._problems = ProblemReporter(on_trouble or self._report_on_stderr)
        self._notices = NoticeReporter(on_notice or self._report_on_stderr)
        self._on_progress = on_progress
        self._fs = fs or FS()
        self._clock = clock or Clock()
        self._wakeup = threading.Lock()
        self._wakeup.acquire()
        self._delivery: BackgroundCalls[list[Rejection]] = BackgroundCalls()
        self._logs: LogSet
        self._under_way: tuple[OpenLog, Batch] | None = None
        self._begun = self._ending = self._stopped = self._over = self._failed = False
        self._follow = False
        self._give_up_after: float | None = None
        self._thread: threading.Thread | None = None

    def _destination(self, log: str) -> Destination:
        return self._kind(ResourceDefaults(self._service or service_of(log), self._env), self._options)

    # -- running -------------------------------------------------------------------------

    def run(self, *, follow: bool = False, give_up_after: float | None = None) -> Shipped:
        """Deliver all lines up to the end of the files, or with ``follow`` until :meth:`stop`. A shipper runs once.

        Args:
            follow: True to wait for lines that are appended, and for logs that do not exist yet.
            give_up_after: seconds without any success after which GivenUpError is raised; None for never.

        Raises ConfigError if another process ships a log under this name, and GivenUpError. Without ``follow`` it also
        raises FileNotFoundError for a log that does not exist and, after the other logs, OSError for a file that cannot
        be read and ConfigError for lines of a newer version.
        """
        if self._begun:
            raise RuntimeError(_ONCE)
        self._begun = True
        self._give_up_after, self._follow = give_up_after, follow
        self._logs = LogSet(
            self._files,
            self._open,
            follow=follow,
            strict=self._thread is None,  # else no caller would see the error
            problems=self._problems,
            clock=self._clock,
        )
        self._delivery.start()
        try:
            self._logs.look()
            self._until_the_end()
        except StoppedError:
            pass
        finally:
            self._finish()
        return self._logs.shipped

    def resend(self, *, give_up_after: float | None = None) -> Shipped:
        """Send the lines in the dead-letter files again, and remove from them those that are taken.

        Each line is sent at least once. ``refused`` of the result are the lines that stay, because they are refused
        again. Arguments and errors are those of :meth:`run`.
        """
        self._source_class = DeadLetterSource
        if not self._kind.names_rejected:
            self._batch_bytes = 1  # one line in each request, so that it is known which ones stay
        return self.run(give_up_after=give_up_after)

    def stop(self) -> None:
        """Have ``run`` return, at most five seconds later. From any thread or signal handler."""
        self._ending = self._stopped = True
        notify(self._wakeup)
        self._delivery.wake()

    def start(self) -> None:
        """Follow the logs in a thread of its own. A shipper starts once."""
        if self._begun or self._thread is not None:
            raise RuntimeError(_ONCE)
        self._thread = threading.Thread(target=self._run_in_thread, name="bamboo-logmetrics-ship", daemon=True)
        self._thread.start()

    def close(self, timeout: float = 5.0) -> bool:
        """Deliver the lines that are in the files by now, for up to ``timeout`` seconds, and stop.

        Return True if all are delivered or refused. After ``timeout``, the shipper waits up to five seconds more for
        the answer to a request that is on its way. The next shipper of this name delivers the rest.
        """
        thread, self._thread = self._thread, None
        self._ending = True
        if thread is None:
            return True
        thread.join(timeout)
        in_time = not thread.is_alive()
        self.stop()
        thread.join(_LAST_ANSWER)
        return in_time and not self._failed and not self._problems.any

    def __enter__(self) -> Shipper:  # noqa: PYI034 - no Self before 3.11
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    # -- the loop ------------------------------------------------------------------------

    def _run_in_thread(self) -> None:
        try:
            self.run(follow=True)
        except Exception as error:  # noqa: BLE001 - no caller would see the error
            self._failed = True
            self._problems.report(_SERVER, f"the shipper stopped: {error}")

    def _until_the_end(self) -> None:
        while True:
            ending = self._ending  # read before looking: lines written before close() are delivered
            if self._follow:
                self._logs.look(now=ending)
            item = self._read()  # and encoded, while another batch is on its way
            self._await_delivery()
            if self._stopped:
                return
            if item is not None:
                self._dispatch(*item)
                continue
            for _, log in self._logs.in_turn():
                self._save(log.source, log.source.save_position)
                for notice in log.source.notices:
                    self._notices.report(notice)
            if ending or not self._follow:
                self._logs.raise_error()
                return
            self._logs.close_gone()
            if self._clock.wait(self._wakeup, self._poll_interval):
                return

    def _read(self) -> tuple[OpenLog, Batch, list[EncodedBatch]] | None:
        """Return the next batch of any log, ready to be sent; the logs take turns."""
        for path, log in self._logs.in_turn():
            try:
                batch = log.source.next_batch(self._batch_bytes)
            except (OSError, ConfigError) as error:
                self._logs.note_error(path, error)
                continue
            self._logs.note_error(path, None)
            if batch is not None:
                self._logs.had_turn(path)
                encoded, invalid = log.sender.encode_valid(batch.entries)
                entries = [entry for request in encoded for entry in request.entries]
                return log, batch._replace(entries=entries, invalid=batch.invalid + invalid), encoded
        return None

    def _dispatch(self, log: OpenLog, batch: Batch, encoded: list[EncodedBatch]) -> None:
        if not encoded:
            self._commit(log, batch, [])
            return
        self._under_way = (log, batch)  # first: Ctrl-C may come between the two
        self._delivery.submit(lambda: log.sender.deliver_all(encoded))

    def _await_delivery(self) -> None:
        """Wait for the batch that is on its way, and commit it."""
        while self._under_way is not None and not self._stopped:
            outcome = self._delivery.outcome(LOOK_EVERY)
            if outcome is not None:
                self._commit_outcome(outcome)
                continue
            self._check_answer(self._under_way[0].sender)
            if self._follow:  # in an outage too: only the checkpoint has a log's retention wait
                self._logs.look()

    def _check_answer(self, sender: Sender) -> None:
        """Report a server that does not answer. Raises GivenUpError if that takes too long."""
        passed = sender.waiting_since_seconds
        if passed >= _SLOW_ANSWER:
            self._problems.report(_SERVER, f"{self._server.url} has not answered for more than {_SLOW_ANSWER:.0f} s")
        if self._give_up_after is not None and passed >= self._give_up_after:
            msg = f"nothing could be delivered for {passed:.0f} s: {self._server.url} does not answer"
            raise GivenUpError(msg)

    def _commit_outcome(self, outcome: Future[list[Rejection]]) -> None:
        assert self._under_way is not None
        (log, batch), self._under_way = self._under_way, None
        self._commit(log, batch, outcome.result())

    def _commit(self, log: OpenLog, batch: Batch, rejections: list[Rejection]) -> None:
        log.source.commit(batch, rejections)
        self._save(log.source, log.source.save)
        if path := log.source.full_dead_letter_file:
            self._notices.report(f"{path} {_FULL}")
        if self._on_progress is not None:
            self._on_progress(sum(len(entry.line) + 1 for entry in batch.entries))

    def _save(self, source: LogSource, save: Callable[[], None]) -> None:
        """Save until it succeeds: dead letters must not be lost."""
        pauses, since = backoff(_FIRST_PAUSE, _LONGEST_PAUSE), self._clock.monotonic()
        while (error := _error_of(save)) is not None:
            text = f"the checkpoint cannot be saved: {error}"
            self._problems.report(_CHECKPOINT, text)
            if self._give_up_after is not None and self._clock.monotonic() >= since + self._give_up_after:
                raise GivenUpError(text)
            if self._clock.wait(self._wakeup, min(next(pauses), max(_FIRST_PAUSE, source.seconds_to_fill_a_file()))):
                notify(self._wakeup)
                raise StoppedError
        self._problems.report(_CHECKPOINT, "")

    def _finish(self) -> None:
        """Wait a little for the batch that is on its way, and close everything."""
        notify(self._wakeup)
        try:
            with suppress(Exception):  # without an answer the next shipper sends the batch again
                outcome = self._delivery.last_outcome(_LAST_ANSWER) if self._under_way else None
                if outcome is not None:
                    self._commit_outcome(outcome)
        finally:
            self._over = True
            self._delivery.close()
            self._logs.close()
            self._server.close()

    def _open(self, log: str, new: bool) -> OpenLog:  # noqa: FBT001 - called by LogSet only
        source = self._source_class(
            log,
            self._identity,
            moved=self._moved,
            new=new,
            dead_letter_bytes=self._dead_letter_bytes,
            fs=self._fs,
            clock=self._clock,
        )
        if source.restarted:
            self._notices.report(f"no checkpoint of {log} is valid: it is delivered from its beginning again")

        self._server.verified |= source.state.verified

        def on_trouble(error: str) -> None:
            if not self._over:
                source.set_error(error)  # first, so that --status shows what was reported
                self._problems.report(_SERVER, error)

        sender = Sender(
            self._destination(log),
            self._server,
            clock=self._clock,
            wakeup=self._wakeup,
            on_trouble=on_trouble,
            on_notice=self._notices.report,
            on_part=source.note_delivered,
            file_seconds=source.seconds_to_fill_a_file,
            give_up_after=self._give_up_after,
        )
        return OpenLog(source, sender)

    def _report_on_stderr(self, error: str) -> None:
        if error and not error.startswith(WAITING):
            stderr.report(f"shipping to {self._identity.to}: {error}", self._clock.monotonic(), owed=False)


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
