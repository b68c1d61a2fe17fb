"""The options of a log: their defaults, their environment names, and what is allowed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import TYPE_CHECKING, Any

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.format.layouts import LAYOUTS
from bamboo_logmetrics.system import FS, Clock

if TYPE_CHECKING:
    from structlog.typing import Processor

ENV_PREFIX = "BAMBOO_LOGMETRICS_"

LEVELS: Mapping[str, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
PERIODS = ("hour", "day")
COMPRESSIONS = ("gzip", "zstd")
DURABILITIES = ("queue", "write", "fsync")
MIN_LINE_BYTES = {"native": 1_000, "ecs": 1_500, "otel": 2_500}  # a line with every id and number of an event fits


class OnFull(Enum):
    """What a full queue does with one more event."""

    DROP_NEWEST = "drop_newest"  # the new event is refused
    DROP_OLDEST = "drop_oldest"  # the oldest that waits makes room
    BLOCK = "block"  # the caller waits, up to block_timeout


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a log works; the same for ``open_log``, ``configure`` and ``MetricsHandler``.

    Each may also come from the environment, as ``BAMBOO_LOGMETRICS_MAX_BYTES`` and so on (an argument
    beats it); all but ``processors``, ``clock`` and ``fs``.

    Args:
        level: plain lines below it are not emitted: debug, info, warning, error or critical.
        max_bytes: a file is rotated before it would grow beyond this many bytes.
        backup_count: how many rotated files are kept; None keeps all.
        unshipped_backups: how many more are kept while a shipper whose checkpoint is beside the log has not delivered
            them; None for as many as ``backup_count``. What has to go even so is announced as a StorageError.
        rotate_every: None, ``"hour"`` or ``"day"``, in UTC.
        compress: None, ``"gzip"`` or ``"zstd"`` (extra ``zstd``), for all rotated files but the newest.
        queue_size: how many records may wait for the worker.
        on_full: ``"drop_newest"``, ``"drop_oldest"`` or ``"block"``.
        block_timeout: seconds that ``"block"`` waits for room, and ``durability`` for the disk.
        durability: an emit is acknowledged ``"queue"`` once queued, ``"write"`` once in the kernel,
            ``"fsync"`` once on the disk.
        flush_interval: seconds between two writes while events come.
        max_line_bytes: a longer line is cut (Fluent Bit's default limit is 32 KiB).
        layout: the form of a line: ``"native"``, ``"ecs"`` (Elastic Common Schema) or ``"otel"`` (OTLP/JSON log
            record). The last two take longer lines, and several times as long to make.
        close_on_sigterm: True to write what is queued when SIGTERM comes, and only then let it do what it did so far:
            kill, or call the application's handler. For all logs of the process; from the main thread only.
        processors: structlog processors, run at the caller.
        mode: the mode of the files made.
        clock: the clock; for tests.
        fs: the system calls on files; for tests.
    """

    level: str = "debug"
    max_bytes: int = 64 * 1024 * 1024
    backup_count: int | None = None
    unshipped_backups: int | None = None
    rotate_every: str | None = None
    compress: str | None = None
    queue_size: int = 65_536
    on_full: str = "drop_newest"
    block_timeout: float = 5.0
    durability: str = "queue"
    flush_interval: float = 0.05
    max_line_bytes: int = 32_000
    layout: str = "native"
    close_on_sigterm: bool = False
    processors: Sequence[Processor] = ()
    mode: int = 0o640
    clock: Clock = field(default_factory=Clock)
    fs: FS = field(default_factory=FS)

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            check(name, getattr(self, name))
        least = MIN_LINE_BYTES[self.layout]
        if self.max_line_bytes < least:
            _fail("max_line_bytes", self.max_line_bytes, f"a whole number from {least} on with layout={self.layout!r}")
        if self.compress == "zstd":
            _need_zstandard()


def make_options(given: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Options:
    """Return the options from arguments and, for those not given, the environment.

    Raises ConfigError for an unknown option or a value without meaning.
    """
    environ = os.environ if environ is None else environ
    known = {item.name for item in fields(Options)}
    for name in given:
        if name not in known:
            msg = f"unknown option {name!r}; the options are {', '.join(sorted(known))}"
            raise ConfigError(msg)
    values = dict(given)
    for name, parse in _PARSERS.items():
        if name not in values and (text := environ.get(ENV_PREFIX + name.upper())):
            try:
                values[name] = parse(text.strip())
            except ValueError:
                msg = f"{ENV_PREFIX}{name.upper()}={text!r} has no meaning: {_SUGGESTION[parse]}"
                raise ConfigError(msg) from None
    if "level" in values:
        values["level"] = _level_name(values["level"])
    return Options(**values)


def _level_name(level: Any) -> Any:
    """Return ``logging.INFO`` and ``"INFO"`` as ``"info"``."""
    if isinstance(level, str):
        return level.lower()
    return next((name for name, number in LEVELS.items() if number == level), level)


def _octal(text: str) -> int:
    return int(text, 8)


def _yes_or_no(text: str) -> bool:
    answers = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if text.lower() not in answers:
        raise ValueError(text)
    return answers[text.lower()]


def _text_or_none(text: str) -> str | None:
    return None if text.lower() == "none" else text


def _int_or_none(text: str) -> int | None:
    return None if text.lower() == "none" else int(text)


_SUGGESTION: dict[Any, str] = {
    int: "give a whole number such as 1000000",
    _int_or_none: "give a whole number such as 10, or none",
    float: "give seconds such as 0.5",
    _octal: "give an octal mode such as 640",
    _yes_or_no: "give 1 or 0",
}

_PARSERS: dict[str, Callable[[str], Any]] = {
    "level": str,
    "max_bytes": int,
    "backup_count": _int_or_none,
    "unshipped_backups": _int_or_none,
    "rotate_every": _text_or_none,
    "compress": _text_or_none,
    "queue_size": int,
    "on_full": str,
    "block_timeout": float,
    "durability": str,
    "flush_interval": float,
    "max_line_bytes": int,
    "layout": str,
    "close_on_sigterm": _yes_or_no,
    "mode": _octal,
}

_Rule = Callable[[str, Any], None]


def _fail(name: str, value: object, right: str) -> None:
    msg = f"option {name}={value!r} must be {right}"
    raise ConfigError(msg)


def _one_of(*choices: object) -> _Rule:
    def check(name: str, value: Any) -> None:
        if value not in choices:
            _fail(name, value, "one of " + ", ".join(repr(choice) for choice in choices))

    return check


def _int_from(least: int, *, or_none: bool = False) -> _Rule:
    def check(name: str, value: Any) -> None:
        if or_none and value is None:
            return
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            _fail(name, value, f"a whole number from {least} on" + (", or None" if or_none else ""))

    return check


def _seconds(name: str, value: Any) -> None:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < 1e9:  # noqa: PLR2004
        _fail(name, value, "seconds, from 0 on")


def _callables(name: str, value: Any) -> None:
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(callable(item) for item in value):
        _fail(name, value, "a list of structlog processors")


def _bool(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        _fail(name, value, "True or False")


def _mode(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 0o777:  # noqa: PLR2004
        _fail(name, value, "a file mode such as 0o640")


def _instance_of(cls: type) -> _Rule:
    def check(name: str, value: Any) -> None:
        if not isinstance(value, cls):
            _fail(name, value, f"a {cls.__name__}")

    return check


_CHECKS: dict[str, _Rule] = {
    "level": _one_of(*LEVELS),
    "max_bytes": _int_from(1),
    "backup_count": _int_from(0, or_none=True),
    "unshipped_backups": _int_from(0, or_none=True),
    "rotate_every": _one_of(None, *PERIODS),
    "compress": _one_of(None, *COMPRESSIONS),
    "queue_size": _int_from(1),
    "on_full": _one_of(*(policy.value for policy in OnFull)),
    "block_timeout": _seconds,
    "durability": _one_of(*DURABILITIES),
    "flush_interval": _seconds,
    "max_line_bytes": _int_from(MIN_LINE_BYTES["native"]),
    "layout": _one_of(*LAYOUTS),
    "close_on_sigterm": _bool,
    "processors": _callables,
    "mode": _mode,
    "clock": _instance_of(Clock),
    "fs": _instance_of(FS),
}


def _need_zstandard() -> None:
    try:
        import zstandard  # noqa: F401
    except ImportError:
        msg = "option compress='zstd' needs the zstandard package: pip install 'bamboo_logmetrics[zstd]'"
        raise ConfigError(msg) from None
