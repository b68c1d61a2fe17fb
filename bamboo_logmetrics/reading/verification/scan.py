"""One reading of all files of some logs: a tally of each writer, and findings on lines and files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from bamboo_logmetrics.format.fields import APP
from bamboo_logmetrics.format.header import NOT_JSON, LineHeader, is_newer, is_writer_id
from bamboo_logmetrics.format.layouts import NATIVE, DecodeHeader, decode_header, flat_of
from bamboo_logmetrics.logfiles.descriptors import Identity
from bamboo_logmetrics.logfiles.discovery import open_files, size_of
from bamboo_logmetrics.logfiles.log_file import STDIN, LogFile, identity_at
from bamboo_logmetrics.reading.verification.report import Finding, FindingKind
from bamboo_logmetrics.reading.verification.tallies import SYSTEM_KINDS, Limits, SystemLine, WriterTally
from bamboo_logmetrics.system import FS

Progress = Callable[[int, int], None]

MOST_FINDINGS = 5  # findings of one kind that are listed; more are only counted

_NO_WRITER = WriterTally("", "", Limits())


class Scan:
    """One reading of all files.

    Args:
        logs: the real paths of the logs.
        on_progress: is called with the bytes read so far and in all.

    Attributes:
        tallies: the totals by writer, in the order of their first lines.
        files: the paths of the files that were read.
        lines: how many lines were read.
        findings: the first few findings of each kind.
        counts: all findings, by kind.
        torn_tails: the logs whose active file ends without a newline, each with the finding for the case that no
            writer is running.
        used_logs: the logs that have a line of a bamboo_logmetrics writer.
        limits: what is remembered at most, and what went beyond.
    """

    def __init__(self, logs: list[str], on_progress: Progress | None) -> None:
        self.tallies: dict[str, WriterTally] = {}
        self.files: list[str] = []
        self.lines = 0
        self.findings: list[Finding] = []
        self.counts: Counter[FindingKind] = Counter()
        self.torn_tails: list[tuple[str, Finding]] = []
        self.used_logs: set[str] = set()
        self.limits = Limits()
        self._logs = logs
        self._fs = FS()
        self._states: dict[str, tuple[Identity, int]] = {}  # by log: the active file, and the bytes read of it
        self._in_oldest = False  # the file that is read is the oldest of its log
        self._decode: DecodeHeader = NATIVE.decode_header  # fits the last line; nearly always the next one, too
        self._meter = _Meter(sum(size_of(self._fs, log) for log in logs), on_progress) if on_progress else None

    def read(self, *, skip_removed: bool) -> None:
        """Read all files. Arguments and errors as of :func:`open_files`."""
        for log in self._logs:
            for index, file in enumerate(open_files(self._fs, log, skip_removed=skip_removed)):
                self.files.append(file.path)
                self._in_oldest = index == 0
                self._read_file(log, file)

    def open_ended(self) -> list[WriterTally]:
        """Return the tallies of writers whose last line is not worker_stopped."""
        return [tally for tally in self.tallies.values() if tally.open_ended]

    def is_outdated(self) -> bool:
        """Return True if a log was written to since it was read."""
        return any(self._current_state(log) != self._states.get(log) for log in self._logs if log != STDIN)

    def _current_state(self, log: str) -> tuple[Identity, int] | None:
        identity = identity_at(self._fs, log)
        return None if identity is None else (identity, self._fs.stat(log).st_size)

    # -- lines ---------------------------------------------------------------------------

    def _read_file(self, log: str, file: LogFile) -> None:
        number = size = 0
        try:
            for block in file.blocks():
                size += len(block)
                number = self._read_block(log, file, block, number)
                if self._meter and not file.compressed:
                    self._meter.add(len(block))
        except OSError as error:
            self._add_finding("damaged_file", str(error), file.path)
        if self._meter and file.compressed:
            self._meter.add(file.size_ahead())
        self.lines += number
        if file.active:
            self._states[log] = (file.identity, size)

    def _read_block(self, log: str, file: LogFile, block: bytes, number: int) -> int:
        """Count the lines of a block; return the number of its last line within the file.

        Args:
            log: the log.
            file: the file.
            block: whole lines, or a last line without newline.
            number: the number of the line before the block.
        """
        if not block.strip(b"\n"):
            return self._add_empty_lines(file, number, len(block))
        lines = block.split(b"\n")
        tail = lines.pop()
        valid, decode = _is_utf8(block), self._decode
        tally, next_seq = _NO_WRITER, 0  # of the writer of the last line
        for number, line in enumerate(lines, number + 1):  # noqa: B020, PLR1704 - continues after the last block
            try:
                try:
                    header = decode(line)
                except NOT_JSON:
                    decode, header = decode_header(line)
                if (
                    header.seq == next_seq
                    and header.writer == tally.writer
                    and valid
                    and header.event not in SYSTEM_KINDS
                ):
                    next_seq += 1  # nearly all lines: they are added together
                    continue
                if not valid:
                    line.decode()
                tally.add_run(next_seq)
                tally = self._tally(header.writer, log)
            except NOT_JSON:
                self._add_invalid(line, file.path, number)
                continue
            next_seq = self._add_line(tally, header, line, file.path, number)
        tally.add_run(next_seq)
        self._decode = decode
        if tail:
            number += 1
            self._add_tail(log, file, number)
        return number

    def _tally(self, writer: str, log: str) -> WriterTally:
        """Return the tally of a writer; one that nobody reads if there are too many writers.

        Raises ValueError if ``writer`` is not a writer's id.
        """
        tally = self.tallies.get(writer)
        if tally is None:
            if not is_writer_id(writer):
                raise ValueError
            tally = WriterTally(writer, log, self.limits)
            if self.limits.writers > 0:
                self.limits.writers -= 1
                self.tallies[writer] = tally
        self.used_logs.add(log)
        return tally

    def _add_line(self, tally: WriterTally, header: LineHeader, line: bytes, path: str, number: int) -> int:
        """Add one line of a writer, whatever its sequence number is; return the number that its next line has."""
        if tally.writer not in self.tallies:
            self.limits.lines_of_others += 1
            return 0
        tally.last_line = self.lines + number
        if not tally.add(header.seq, in_oldest=self._in_oldest):
            self._add_finding("repeat", f"repeats line {header.seq} of writer {tally.writer}", path, number)
        elif header.event in SYSTEM_KINDS and header.plain is not True and header.source != APP:
            self._add_own(tally, header, line, path, number)
        else:
            tally.written += 1
        return tally.numbers.ends[-1] + 1

    # -- unusual lines -------------------------------------------------------------------

    def _add_own(self, tally: WriterTally, header: LineHeader, line: bytes, path: str, number: int) -> None:
        """Add one of the log's own lines."""
        try:
            fields = msgspec.convert(flat_of(msgspec.json.decode(line)), SystemLine)
        except NOT_JSON as error:
            self._add_finding("broken_line", f"{header.event}: {error}", path, number)
            fields = SystemLine()
        tally.add_own(header.seq, header.event, fields)

    def _add_invalid(self, line: bytes, path: str, number: int) -> None:
        """Add a line that is not of a bamboo_logmetrics writer."""
        try:
            data = msgspec.json.decode(line)
        except msgspec.ValidationError:  # JSON, with a number that is too large for any type
            data = None
        except NOT_JSON as error:
            self._add_finding("broken_line", f"not JSON: {error}", path, number)
            return
        flat = _flat_of(data)
        if {"event", "writer", "seq"} <= flat.keys() and is_newer(flat["v"]):
            self._add_finding("newer_version", f"a line of version {flat['v']}; update this package", path, number)
        else:
            self._add_finding("foreign_line", "JSON, but not a line of a bamboo_logmetrics writer", path, number)

    def _add_empty_lines(self, file: LogFile, number: int, count: int) -> int:
        """Add lines without any character, all at once: there may be millions."""
        for line in range(number + 1, number + 1 + min(count, MOST_FINDINGS)):
            self._add_finding("broken_line", "not JSON: an empty line", file.path, line)
        self.counts["broken_line"] += max(0, count - MOST_FINDINGS)
        return number + count

    def _add_tail(self, log: str, file: LogFile, number: int) -> None:
        text = "the last line is cut off: it has no newline"
        if file.active:
            finding = Finding(kind="broken_line", text=f"{text}, and no writer is running", file=file.path, line=number)
            self.torn_tails.append((log, finding))
        else:
            self._add_finding("broken_line", text, file.path, number)

    def _add_finding(self, kind: FindingKind, text: str, file: str, line: int | None = None) -> None:
        self.counts[kind] += 1
        if self.counts[kind] <= MOST_FINDINGS:
            self.findings.append(Finding(kind=kind, text=text, file=file, line=line))


class _Meter:
    """Reports the progress of reading."""

    def __init__(self, total: int, on_progress: Progress) -> None:
        self._total = total
        self._done = 0
        self._on_progress = on_progress

    def add(self, size: int) -> None:
        """Add bytes that were read."""
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
