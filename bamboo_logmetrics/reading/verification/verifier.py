"""Proving that every line of a log is accounted for."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from types import MappingProxyType
from typing import Any

import msgspec

from bamboo_logmetrics.format.fields import APP
from bamboo_logmetrics.format.header import NOT_JSON, LineHeader, is_newer, is_writer_id
from bamboo_logmetrics.format.layouts import NATIVE, DecodeHeader, decode_header, flat_of
from bamboo_logmetrics.logfiles.discovery import (
    AnyPath,
    FileGoneError,
    find_logs,
    open_files,
    size_of,
)
from bamboo_logmetrics.logfiles.log_file import Identity, LogFile, identity_at
from bamboo_logmetrics.reading.verification.report import End, Finding, FindingKind, Report
from bamboo_logmetrics.reading.verification.running import running
from bamboo_logmetrics.reading.verification.tallies import OWN_KINDS, SystemLine, WriterTally
from bamboo_logmetrics.system import FS

Progress = Callable[[int, int], None]

_TRIES = 5
_SHOWN = 5  # findings of one kind that are shown with their place
_NOTES: frozenset[FindingKind] = frozenset({"foreign_line", "removed_by_retention", "running", "being_written"})
_NOBODY = WriterTally("", "")


def verify(
    paths: AnyPath | Iterable[AnyPath], *, complete: bool = False, on_progress: Progress | None = None
) -> Report:
    """Read logs, of any layout, to the last line and tell whether every line of theirs is accounted for.

    A gap in a writer's numbers is loss. A missing beginning is "removed by retention" when the writer's first line
    stands in the oldest file of its log. An open end is "running" while its process lives on this host, else an
    "unclean end". Losses that metrics_dropped lines announce are accounted for.

    Args:
        paths: logs, rotated files (each stands for its log) or patterns; of each log, all files are read, once.
        complete: count a beginning that retention removed as missing.
        on_progress: is told the bytes read so far and in all; for compressed files, of the compressed.

    Raises FileNotFoundError for a path or pattern that names nothing, ConfigError for one that is not a regular file
    or a compressed file whose package is not installed, and OSError for a file that cannot be opened.
    """
    logs = find_logs(paths)
    ended: set[str] = set()
    for left in reversed(range(_TRIES)):
        audit = _Audit(logs, on_progress)
        try:
            audit.read(skip_removed=left == 0)
        except FileGoneError:
            continue
        alive = running(audit.open_ended())
        gone = {account.writer for account in audit.open_ended()} - alive
        # A process that ended while its log was read wrote its last lines before it was seen to have ended.
        if gone <= ended or not audit.has_changed():
            break
        ended |= gone
    return audit.report(alive, complete=complete)


class _Audit:
    """One reading of all files."""

    def __init__(self, logs: list[str], on_progress: Progress | None) -> None:
        self._logs = logs
        self._fs = FS()
        self._accounts: dict[str, WriterTally] = {}
        self._files: list[str] = []
        self._active: dict[str, tuple[Identity, int]] = {}  # log: its active file, the bytes read of it
        self._tails: list[tuple[str, Finding]] = []  # with their logs
        self._used: set[str] = set()  # logs with a line of ours
        self._counts: Counter[FindingKind] = Counter()
        self._findings: list[Finding] = []
        self._lines = 0
        self._in_oldest = False  # the file that is read is the oldest of its log
        self._decode: DecodeHeader = NATIVE.decode_header  # fits the last line; nearly always the next one, too
        self._meter = _Meter(sum(size_of(self._fs, log) for log in logs), on_progress) if on_progress else None

    # -- reading -------------------------------------------------------------------------

    def read(self, *, skip_removed: bool) -> None:
        """Read everything; FileGoneError as of :func:`open_files`."""
        for log in self._logs:
            for number, file in enumerate(open_files(self._fs, log, skip_removed=skip_removed)):
                self._files.append(file.path)
                self._in_oldest = number == 0
                self._file(log, file)

    def _file(self, log: str, file: LogFile) -> None:
        number = size = 0
        try:
            for block in file.blocks():
                size += len(block)
                number = self._block(log, file, block, number)
                if self._meter and not file.compressed:
                    self._meter.add(len(block))
        except OSError as error:
            self._find("damaged_file", str(error), file.path)
        if self._meter and file.compressed:
            self._meter.add(file.size_ahead())
        self._lines += number
        if file.active:
            self._active[log] = (file.identity, size)

    def _block(self, log: str, file: LogFile, block: bytes, number: int) -> int:
        """Take the lines of a block; return the number of its last line."""
        lines = block.split(b"\n")
        tail = lines.pop()
        sound, decode = _is_utf8(block), self._decode
        account, following = _NOBODY, 0  # whose line is read, and the number that is expected
        for number, line in enumerate(lines, number + 1):  # noqa: B020, PLR1704 - goes on where the last block ended
            try:
                try:
                    head = decode(line)
                except NOT_JSON:
                    decode, head = decode_header(line)
                if head.seq == following and head.writer == account.writer and sound and head.event not in OWN_KINDS:
                    following += 1  # nearly all lines: counted together
                    continue
                if not sound:
                    line.decode()
                account.go_on_to(following)
                account = self._account(head.writer, log)
            except NOT_JSON:
                self._odd(line, file.path, number)
                continue
            self._line(account, head, line, file, number)
            following = account.numbers.ends[-1] + 1
        account.go_on_to(following)
        self._decode = decode
        if tail:
            number += 1
            self._tail(log, file, number)
        return number

    def _line(self, account: WriterTally, head: LineHeader, line: bytes, file: LogFile, number: int) -> None:
        """Take one line of a writer, whatever its number."""
        if not account.take(head.seq, in_oldest=self._in_oldest):
            self._find("repeat", f"line {head.seq} of writer {account.writer} is there again", file.path, number)
        elif head.event in OWN_KINDS and head.plain is not True and head.source != APP:
            self._own(account, head, line, file.path, number)
        else:
            account.written += 1

    def _account(self, writer: str, log: str) -> WriterTally:
        """Return a writer's account; raises ValueError for what is no writer's id."""
        account = self._accounts.get(writer)
        if account is None:
            if not is_writer_id(writer):
                raise ValueError
            account = self._accounts[writer] = WriterTally(writer, log)
        self._used.add(log)
        return account

    # -- lines that are out of the ordinary ----------------------------------------------

    def _own(self, account: WriterTally, head: LineHeader, line: bytes, path: str, number: int) -> None:
        try:
            said = msgspec.convert(flat_of(msgspec.json.decode(line)), SystemLine)
        except NOT_JSON as error:
            self._find("broken_line", f"{head.event}: {error}", path, number)
            said = SystemLine()
        account.say(head.seq, head.event, said)

    def _odd(self, line: bytes, path: str, number: int) -> None:
        """Take a line that is not one of a writer of ours."""
        try:
            data = msgspec.json.decode(line)
        except msgspec.ValidationError:  # JSON, with a number beyond all bounds
            data = None
        except NOT_JSON as error:
            self._find("broken_line", f"not JSON: {error}", path, number)
            return
        flat = _flat_of(data)
        if {"event", "writer", "seq"} <= flat.keys() and is_newer(flat["v"]):
            self._find("newer_version", f"a line of version {flat['v']}; update this package", path, number)
        else:
            self._find("foreign_line", "JSON, but not of a writer of this log", path, number)

    def _tail(self, log: str, file: LogFile, number: int) -> None:
        text = "the last line is cut off: it has no newline"
        if file.active:
            finding = Finding(kind="broken_line", text=f"{text}, and no writer is running", file=file.path, line=number)
            self._tails.append((log, finding))
        else:
            self._find("broken_line", text, file.path, number)

    def _find(self, kind: FindingKind, text: str, file: str, line: int | None = None) -> None:
        self._counts[kind] += 1
        if self._counts[kind] <= _SHOWN:
            self._findings.append(Finding(kind=kind, text=text, file=file, line=line))

    # -- the outcome ---------------------------------------------------------------------

    def open_ended(self) -> list[WriterTally]:
        """Return the accounts of writers that have not said that they stopped."""
        return [account for account in self._accounts.values() if account.open_ended]

    def has_changed(self) -> bool:
        """Tell whether something was written since it was read."""
        return any(self._state(log) != self._active.get(log) for log in self._logs)

    def _state(self, log: str) -> tuple[Identity, int] | None:
        where = identity_at(self._fs, log)
        return None if where is None else (where, self._fs.stat(log).st_size)

    def report(self, alive: set[str], *, complete: bool) -> Report:
        """Return the outcome; ``alive`` are the writers that run."""
        accounts = list(self._accounts.values())
        ends = [_end(account, alive) for account in accounts]
        findings = [*self._findings, *self._about_files(alive)]
        for account, end in zip(accounts, ends, strict=True):
            findings.extend(_about(account, end))
        notes = _NOTES - {"removed_by_retention"} if complete else _NOTES
        problems = tuple(finding for finding in findings if finding.kind not in notes)
        dropped: Counter[str] = Counter()
        for account in accounts:
            dropped.update(account.dropped)
        return Report(
            ok=not problems,
            complete=complete,
            files=tuple(self._files),
            lines=self._lines,
            written=sum(account.written for account in accounts),
            own=sum(account.own for account in accounts),
            dropped=MappingProxyType(dict(dropped)),
            broken_lines=self._counts["broken_line"],
            foreign_lines=self._counts["foreign_line"],
            writers=tuple(account.report(end, complete=complete) for account, end in zip(accounts, ends, strict=True)),
            problems=problems,
            notes=tuple(finding for finding in findings if finding.kind in notes),
        )

    def _about_files(self, alive: set[str]) -> Iterator[Finding]:
        running_in = {account.log for account in self._accounts.values() if account.writer in alive}
        for log, tail in self._tails:
            if log in running_in:
                yield dataclasses.replace(tail, kind="being_written", text="the last line is being written")
            else:
                self._counts["broken_line"] += 1
                yield tail
        for kind, count in self._counts.items():
            if count > _SHOWN:
                yield Finding(kind=kind, text=f"and {count - _SHOWN} more like this: {kind}")
        for log in self._logs:
            if log not in self._used:
                yield Finding(kind="no_lines", text="holds no line of a writer of ours", file=log)


class _Meter:
    """Tells somebody how far the reading is."""

    def __init__(self, total: int, on_progress: Progress) -> None:
        self._total = total
        self._done = 0
        self._on_progress = on_progress

    def add(self, size: int) -> None:
        """Count some more bytes."""
        self._done += size
        self._on_progress(self._done, max(self._total, self._done))  # a log grows while it is read


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _flat_of(data: object) -> dict[str, Any]:
    try:
        return flat_of(data)
    except ValueError:
        return {}


def _end(account: WriterTally, alive: set[str]) -> End:
    if not account.open_ended:
        return "stopped"
    return "running" if account.writer in alive else "unclean end"


def _about(account: WriterTally, end: End) -> Iterator[Finding]:
    """Give what is to be said about one writer."""

    def finding(kind: FindingKind, text: str) -> Finding:
        return Finding(kind=kind, text=text, writer=account.writer)

    gaps = account.gaps()
    if account.removed:
        yield finding(
            "removed_by_retention",
            f"lines 1 to {account.numbers.starts[0] - 1} are not in these files (removed by retention?)",
        )
    elif gaps and gaps[0][0] == 1:
        yield finding(
            "missing_beginning",
            f"missing lines: 1-{gaps[0][1]}; not removed by retention, since an older file is there",
        )
        gaps = gaps[1:]
    if gaps:
        yield finding("gap", f"missing lines: {_in_words(gaps)}")
    for text in account.disagreements() or ():
        yield finding("counts", text)
    where = f"pid {account.pid} on {account.host}" if account.pid else "an unknown process: its worker_started is gone"
    if end == "running":
        yield finding("running", f"is running: {where}")
    elif end == "unclean end":
        yield finding("unclean_end", f"did not stop and does not run: {where}; what it had queued is lost")


def _in_words(gaps: tuple[tuple[int, int], ...]) -> str:
    """Return gaps as ``7-9, 12 (4 in all)``."""
    count = sum(last - first + 1 for first, last in gaps)
    shown = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in gaps[:_SHOWN])
    more = f", and {len(gaps) - _SHOWN} more gaps" if len(gaps) > _SHOWN else ""
    return f"{shown}{more} ({count} in all)"
