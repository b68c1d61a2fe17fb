"""The options of a log: one table, in which each option is one entry.

A field of :class:`Options` holds all that is known about an option: its default, the values it takes, and its
documentation. Arguments, environment variables, messages and ``help(Options)`` follow from it.
"""

from __future__ import annotations

import inspect
import os
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from enum import Enum
from math import inf
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.format.layouts import LAYOUTS, NATIVE
from bamboo_logmetrics.format.redact.rules import Redact, as_redact, is_redact
from bamboo_logmetrics.logfiles import compression
from bamboo_logmetrics.record.levels import LEVELS, NAMES, level_number
from bamboo_logmetrics.system import FS, Clock

if TYPE_CHECKING:
    from structlog.typing import Processor
    from typing_extensions import TypeVar

    _AnyOptions = TypeVar("_AnyOptions", bound="Options", default="Options")

ENV_PREFIX = "BAMBOO_LOGMETRICS_"

MOST_LINE_BYTES = 1024 * 1024  # every log shipper can be told to take such a line
_MAX_SECONDS = 1e9
_MAX_MODE = 0o777


class OnFull(Enum):
    """Policies of a full queue for one more record."""

    DROP_NEWEST = "drop_newest"  # the new record is refused
    DROP_OLDEST = "drop_oldest"  # the record that has waited longest makes room
    BLOCK = "block"  # the caller waits, up to block_timeout


# -- the values that an option takes -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class ValueType:
    """The values that an option takes, and how a text of the environment becomes one of them.

    Args:
        words: the allowed values in words, such as "a whole number"; ``choices`` follow.
        accepts: returns True for an allowed value.
        parse: reads the text of an environment variable, raises ValueError for an invalid one; None where no text can
            stand for a value.
        normalize: turns an argument into the form that is kept.
        choices: the allowed values where they are few. It may grow: ``register_layout`` adds to the layouts.
    """

    words: str
    accepts: Callable[[Any], bool]
    parse: Callable[[str], Any] | None = None
    normalize: Callable[[Any], Any] = lambda value: value
    choices: Collection[str | None] = ()

    @property
    def allowed(self) -> str:
        """The allowed values in words, for messages and documentation."""
        return self.words + ", ".join(map(repr, self.choices))


def one_of(choices: Collection[str | None], normalize: Callable[[Any], Any] = lambda value: value) -> ValueType:
    """Return the type of an option that is one of a few texts, or None where None is among them."""
    parse = _text_or_none if None in choices else str
    return ValueType("one of ", lambda value: value in list(choices), parse, normalize, choices)


def whole_number(least: int, most: float = inf, *, or_none: bool = False) -> ValueType:
    """Return the type of an option that is an int from ``least`` to ``most``, or None where ``or_none`` is True."""
    end = f"to {most}" if most < inf else "on"
    allowed = f"a whole number from {least} {end}" + (", or None" if or_none else "")
    return ValueType(
        allowed,
        lambda value: (or_none and value is None) or (_is_int(value) and least <= value <= most),
        _int_or_none if or_none else int,
    )


def instance_of(cls: type) -> ValueType:
    """Return the type of an option that is an object of ``cls``; the environment cannot set it."""
    return ValueType(f"a {cls.__name__}", lambda value: isinstance(value, cls))


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_seconds(value: Any) -> bool:
    return (_is_int(value) or isinstance(value, float)) and 0 <= value < _MAX_SECONDS


def _are_callables(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(map(callable, value))


def _one_level(value: Any) -> Any:
    """Return a level as one of the five names, or as the number of another level of the standard library."""
    number = level_number(value)
    return value if number is None else NAMES.get(number, number)


def _int_or_none(text: str) -> int | None:
    return None if text.lower() == "none" else int(text)


def _text_or_none(text: str) -> str | None:
    return None if text.lower() == "none" else text


def _true_or_false(text: str) -> bool:
    answers = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if text.lower() not in answers:
        raise ValueError(text)
    return answers[text.lower()]


SECONDS = ValueType("seconds, from 0 on", _is_seconds, float)
TRUE_OR_FALSE = ValueType("True or False", lambda value: isinstance(value, bool), _true_or_false)
FILE_MODE = ValueType(
    "a file mode such as 0o640", lambda value: _is_int(value) and 0 <= value <= _MAX_MODE, lambda text: int(text, 8)
)
LEVEL = ValueType("one of ", lambda value: level_number(value) is not None, str, _one_level, LEVELS)
REDACT = ValueType("True, False or a Redact", is_redact, _true_or_false, as_redact)
PROCESSORS = ValueType("a list of structlog processors", _are_callables)


# -- the table ---------------------------------------------------------------------------


def option(default: Any, value_type: ValueType, doc: str) -> Any:
    """Return the dataclass field of one option.

    Args:
        default: the default; a class is called for the default of each :class:`Options`.
        value_type: the values that the option takes.
        doc: the documentation, for ``help()``, the API reference and the command line.
    """
    metadata = {"value_type": value_type, "doc": doc}
    if isinstance(default, type):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of a log; the same for ``open_log``, ``configure`` and ``MetricsHandler``.

    Each option whose value a text can express is also read from the environment, ``max_bytes`` from
    ``BAMBOO_LOGMETRICS_MAX_BYTES`` and so on; there ``none`` stands for None, ``1`` and ``0`` for True and False, and a
    file mode is octal. An argument takes precedence over the environment.

    Raises :class:`ConfigError` for a value that is not allowed.
    """

    level: str | int = option(
        "debug",
        LEVEL,
        "Plain lines below this level are not written; typed events always are. Other levels of the standard library "
        "are accepted too: numbers, 'warn', 'notset', and names of logging.addLevelName.",
    )
    max_bytes: int = option(
        64 * 1024 * 1024,
        whole_number(1),
        "Size of a file in bytes. The file is rotated before a line would make it larger.",
    )
    backup_count: int | None = option(
        None,
        whole_number(0, or_none=True),
        "Number of rotated files to keep; None keeps all.",
    )
    unshipped_backups: int | None = option(
        None,
        whole_number(0, or_none=True),
        "Number of rotated files to keep beyond backup_count while a shipper, whose checkpoint is in the log's "
        "directory, has not delivered them; None for as many as backup_count. When a file has to be removed before it "
        "is delivered, a StorageError event announces that.",
    )
    rotate_every: str | None = option(
        None,
        one_of([None, "hour", "day"]),
        "Period after which the file is rotated too, in UTC; None rotates by size only.",
    )
    compress: str | None = option(
        None,
        one_of([None, *compression.SUFFIX]),
        "Compression of all rotated files but the newest. 'zstd' needs the extra zstd below Python 3.14.",
    )
    queue_size: int = option(
        65_536,
        whole_number(1),
        "Number of records that may wait for the worker.",
    )
    queue_bytes: int = option(
        64 * 1024 * 1024,
        whole_number(1024),
        "Memory in bytes that waiting records may take. Each counts for 1,024 bytes or, with long texts, for more. The "
        "queue is full when it has queue_size records or queue_bytes bytes.",
    )
    on_full: str = option(
        OnFull.DROP_NEWEST.value,
        one_of([policy.value for policy in OnFull]),
        "Policy of a full queue: refuse the new record, drop the oldest one, or block the caller.",
    )
    block_timeout: float = option(
        5.0,
        SECONDS,
        "Time that a call waits at most: for room with on_full='block', for the disk with durability 'write' or "
        "'fsync'.",
    )
    durability: str = option(
        "queue",
        one_of(["queue", "write", "fsync"]),
        "Acknowledge a record when it is queued, when the kernel has it ('write': survives a kill of the process), or "
        "when the disk has it ('fsync': survives a power failure).",
    )
    flush_interval: float = option(0.05, SECONDS, "Time between two writes while records come.")
    max_line_bytes: int = option(
        32_000,
        whole_number(NATIVE.min_line_bytes, MOST_LINE_BYTES),
        "Length of a line in bytes; a longer line is cut. Fluent Bit's default limit is 32 KiB. The layouts 'ecs' and "
        "'otel' need longer lines than 'native'. On a pipe the default is 4,096; more is for one process alone.",
    )
    layout: str = option(
        "native",
        one_of(LAYOUTS),
        "Form of a line: 'native', 'ecs' (Elastic Common Schema) or 'otel' (OTLP/JSON log record). The last two make "
        "longer lines and take several times as long to write.",
    )
    redact: bool | Redact = option(True, REDACT, "Mask secrets, and those of a Redact; False masks none.")  # noqa: RUF009
    close_on_sigterm: bool = option(
        False,
        TRUE_OR_FALSE,
        "Write all queued records when SIGTERM arrives, then let the signal do what it did before: end the process, or "
        "call the application's handler. Applies to all logs of the process; must be set in the main thread.",
    )
    processors: Sequence[Processor] = option((), PROCESSORS, "structlog processors, run in the caller's thread.")
    mode: int = option(0o640, FILE_MODE, "Permissions of the log and of all files beside it, whatever the umask is.")
    clock: Clock = option(Clock, instance_of(Clock), "The clock, for tests.")  # noqa: RUF009 - a dataclass field
    fs: FS = option(FS, instance_of(FS), "The system calls on files, for tests.")  # noqa: RUF009

    def __post_init__(self) -> None:
        for item in options_table(type(self)):
            value = getattr(self, item.name)
            if not item.value_type.accepts(value):
                _fail(item.name, value, item.value_type.allowed)
        least = LAYOUTS[self.layout].min_line_bytes
        if self.max_line_bytes < least:
            allowed = f"a whole number from {least} to {MOST_LINE_BYTES} with layout={self.layout!r}"
            _fail("max_line_bytes", self.max_line_bytes, allowed)
        if self.compress == "zstd":
            compression.need_zstd("option compress='zstd' needs")


class OptionValues(TypedDict, total=False):
    """The options as keyword arguments, for type checkers; a test keeps them equal to those of :class:`Options`."""

    level: str | int
    max_bytes: int
    backup_count: int | None
    unshipped_backups: int | None
    rotate_every: Literal["hour", "day"] | None
    compress: Literal["gzip", "zstd"] | None
    queue_size: int
    queue_bytes: int
    on_full: Literal["drop_newest", "drop_oldest", "block"]
    block_timeout: float
    durability: Literal["queue", "write", "fsync"]
    flush_interval: float
    max_line_bytes: int
    layout: str
    redact: bool | Redact
    close_on_sigterm: bool
    processors: Sequence[Processor]
    mode: int
    clock: Clock
    fs: FS


@dataclass(frozen=True, slots=True)
class OptionInfo:
    """Everything about one option.

    Args:
        name: the option's name.
        default: its default value.
        environment: the name of its environment variable; None where the environment cannot set it.
        doc: its documentation.
        value_type: the values that it takes.
    """

    name: str
    default: Any
    environment: str | None
    doc: str
    value_type: ValueType


def options_table(cls: type[Options] = Options) -> list[OptionInfo]:
    """Return all options of ``cls``, in the order of their definition."""
    return [_info(item) for item in fields(cls)]


def _info(item: Field[Any]) -> OptionInfo:
    value_type = item.metadata["value_type"]
    default = item.default if item.default_factory is MISSING else item.default_factory()
    environment = ENV_PREFIX + item.name.upper() if value_type.parse else None
    return OptionInfo(item.name, default, environment, item.metadata["doc"], value_type)


def _documented() -> str:
    entries = [f"{item.name}: {item.doc} Allowed: {item.value_type.allowed}." for item in options_table()]
    lines = [textwrap.fill(entry, 116, initial_indent=" " * 4, subsequent_indent=" " * 8) for entry in entries]
    # without the indentation of the source, which Python 3.13 and later remove by themselves
    return "\n".join([inspect.cleandoc(Options.__doc__ or ""), "", "Args:", *lines])


Options.__doc__ = _documented()


def make_options(
    values: Mapping[str, Any],
    environ: Mapping[str, str] | None = None,
    cls: type[_AnyOptions] = Options,  # type: ignore[assignment]
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> _AnyOptions:
    """Return the options from arguments and, for those left out, from the environment.

    Args:
        values: the arguments by name.
        environ: the environment; that of the process when left out.
        cls: the class of the options, for a subclass with more of them.
        defaults: values in place of the defaults of the table.

    Raises:
        ConfigError: an option is unknown, or its value is not allowed.
    """
    environ = os.environ if environ is None else environ
    table = {item.name: item for item in options_table(cls)}
    if unknown := [name for name in values if name not in table]:
        msg = f"unknown option {unknown[0]!r}; the options are {', '.join(sorted(table))}{_hint(unknown[0], table)}"
        raise ConfigError(msg)
    chosen = {name: table[name].value_type.normalize(value) for name, value in values.items()}
    for item in table.values():
        if item.name not in chosen and item.environment and (text := environ.get(item.environment)):
            chosen[item.name] = _read(item, text)
        elif item.name not in chosen and item.name in defaults:
            chosen[item.name] = defaults[item.name]
    return cls(**chosen)


# keyword arguments of the stdlib's rotating handlers, and of others: what to use instead
_FOREIGN = {
    "filename": "path=", "maxBytes": "max_bytes=", "backupCount": "backup_count=", "when": "rotate_every=",
    "interval": "rotate_every=", "atTime": "rotate_every=", "maxsize": "max_bytes=", "rotation": "max_bytes=",
    "retention": "backup_count=", "compression": "compress=", "chmod": "mode=",
    "encoding": "nothing: lines are UTF-8", "delay": "nothing: the file is opened at once",
    "utc": "nothing: times are UTC", "errors": "nothing: each text is written", "format": "layout=",
}  # fmt: skip


def _hint(unknown: str, names: Collection[str]) -> str:
    """Return the remedy for an unknown option, as the end of a message; "" if there is none."""
    import difflib  # only a mistake needs it

    close = difflib.get_close_matches(unknown, names, n=1)
    remedy = _FOREIGN.get(unknown) or (f"{close[0]}=" if close else None)
    return "" if remedy is None else f"; instead of {unknown} use {remedy}"


def _read(item: OptionInfo, text: str) -> Any:
    """Return an option's value from the text of its environment variable."""
    value_type = item.value_type
    try:
        value = value_type.normalize(value_type.parse(text.strip()) if value_type.parse else text)
    except ValueError:
        accepted = False
    else:
        accepted = value_type.accepts(value)
    if not accepted:
        msg = f"environment variable {item.environment}={text!r} must be {value_type.allowed}"
        raise ConfigError(msg)
    return value


def _fail(name: str, value: object, allowed: str) -> None:
    msg = f"option {name}={value!r} must be {allowed}"
    raise ConfigError(msg)
