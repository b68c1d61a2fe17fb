"""The lines of logs for people: one line each, in columns."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import tzinfo
from typing import Any, TypeGuard

from bamboo_logmetrics.cli.terminal import MORE, Part, cut, pad, paint, visible
from bamboo_logmetrics.events.times import parse_utc
from bamboo_logmetrics.format.fields import APP, HEADER, META, TRAILER, USAGE
from bamboo_logmetrics.format.strict_json import encode

DIM, BOLD, RED, GREEN, YELLOW, BLUE, MAGENTA, CYAN = "2", "1", "31", "32", "33", "34", "35", "36"
ALARM = "1;31"

WIDE = 120  # columns from which more is shown
_NAME, _ID, _TOKENS = 17, 8, 11  # columns of an event's name, of an id, and of tokens where it is narrow
_OK = 200  # the status code that goes without saying
_SECOND, _LONG = 1_000, 1_000_000  # milliseconds; from the latter on they are shown in minutes
_MOST_MODELS = 1_000  # of calls under way, that are remembered
_MOST_PER_COLUMN = 8  # characters; of a value no more are looked at
_LEVELS = {"debug": DIM, "info": "", "warning": YELLOW, "error": RED, "critical": ALARM}
_SHORT_LEVELS = {"warning": "warn", "critical": "crit"}
_STATUSES = {
    "success": GREEN, "completed": GREEN, "ok": GREEN, "cancelled": YELLOW, "running": CYAN,
    "error": RED, "failed": RED, "timeout": RED,
}  # fmt: skip

# keys that have a place of their own, or are ids that only programs need
_SHOWN = {
    *HEADER, *TRAILER, *META, *USAGE, "session_id", "round_id", "tool_call_id", "request_id", "tool_name", "latency_ms",
    "success", "status", "status_code", "model", "response_model", "endpoint", "is_stream", "error", "message_count",
    "count", "reason", "total", "event_type", "source", "usage_source", "latency_source", "time_to_first_token_ms",
    "cost_usd", "dropped", "written", "emitted",
}  # fmt: skip
_OF_WRITERS = {"boot_id", "pid_namespace", "started_at", "pid", "host"}


class LineText:
    """Makes the text of lines.

    Args:
        zone: the time zone; None for the local one.

    Attributes:
        width: the width of the terminal; None for a pipe, where nothing is cut.
        colour: True for colour.
        names: the name of each log, by path; empty if there is one log only.
    """

    def __init__(self, *, zone: tzinfo | None) -> None:
        self.width: int | None = None
        self.colour = False
        self.names: Mapping[str, str] = {}
        self._zone = zone
        self._day = ""
        self._models: OrderedDict[object, str] = OrderedDict()

    @property
    def _wide(self) -> bool:
        return self.width is None or self.width >= WIDE

    # -- lines ---------------------------------------------------------------------------

    def line(self, flat: dict[str, Any], log: str) -> str:
        """Return the text of a line, on a terminal with a heading before the first one of a day."""
        time = parse_utc(flat["timestamp"])
        with suppress(OverflowError, ValueError, OSError):  # at the ends of the calendar
            time = time.astimezone(self._zone)
        level = flat["level"]
        style = _LEVELS.get(level, "")
        name = self._text(_SHORT_LEVELS.get(level, level))
        head = [*self._place(log), (pad(cut(name, 5), 6) if self._wide else f"{name[:1].upper()} ", style or DIM)]
        body = self._plain(flat) if flat.get("plain") is True else self._event(flat)
        if self.width is None:
            return self._paint([(f"{time.isoformat(' ', 'milliseconds')} ", DIM), *head, *body])
        clock = f"{time:%H:%M:%S}" + (f".{time.microsecond // 1000:03}" if self._wide else "")
        text = self._paint([(f"{clock} ", DIM), *head, *body])
        day = f"{time:%a} {time.date().isoformat()} {time:%Z}"
        if day == self._day:
            return text
        self._day = day
        return f"{self._paint([(f'-- {day} --', DIM)])}\n{text}"

    def other(self, line: bytes, log: str) -> str:
        """Return a line of another program, dimmed."""
        text = self._text(line.decode("utf-8", "backslashreplace").rstrip("\r").expandtabs())
        return self._paint([*self._place(log), (text, DIM)])

    def _place(self, log: str) -> list[Part]:
        if not self.names:
            return []
        size = max(map(len, self.names.values()))
        return [(pad(self._text(self.names[log]), size) + " ", MAGENTA)]

    def _paint(self, parts: list[Part]) -> str:
        return paint(parts, width=self.width, colour=self.colour)

    def _text(self, value: object) -> str:
        """Return a value as text for the terminal, of a long one only what can be seen of it."""
        text = value if isinstance(value, str) else encode(value).decode()
        return visible(text if self.width is None else text[: self.width * _MOST_PER_COLUMN])

    # -- plain lines ---------------------------------------------------------------------

    def _plain(self, flat: dict[str, Any]) -> Iterator[Part]:
        yield self._text(flat["event"]), _LEVELS.get(flat["level"], "") or BOLD
        hidden = {*HEADER, *TRAILER, "event_id"}
        yield from self._pairs(flat, hidden)
        yield from self._exception(flat)

    def _pairs(self, flat: dict[str, Any], hidden: set[str]) -> Iterator[Part]:
        for key, value in flat.items():
            if key not in hidden:
                yield f"  {self._text(key)}=", DIM
                yield self._text(value), CYAN

    def _exception(self, flat: dict[str, Any]) -> Iterator[Part]:
        """Give the last line of an exception, which has its type and its message."""
        if isinstance(exception := flat.get("exception"), str):
            yield f"  {self._text((exception.strip().splitlines() or [''])[-1])}", RED

    # -- events --------------------------------------------------------------------------

    def _event(self, flat: dict[str, Any]) -> Iterator[Part]:
        kind = flat["event"]
        if kind.startswith("system.") and flat.get("source") != APP:
            yield from self._system(kind, flat)
            return
        family, _, name = kind.partition(".")
        name = "message_count" if name == "message_count_updated" else name or family
        yield pad(self._column(name, _NAME), _NAME) + " ", _LEVELS.get(flat["level"], "") or BOLD
        for key in ("session_id", "round_id")[: 1 + self._wide]:
            yield pad(self._short_id(flat.get(key)), _ID) + " ", BLUE
        yield from self._outcome(flat)
        subject = self._subject(flat)
        if self._wide:
            yield pad(self._column(subject, 30), 24) + " ", CYAN
            yield from self._details(flat)
        elif "status" in flat:  # the name of the model is long, and known from the beginning of the call
            yield from self._details(flat)
            yield self._text(subject), CYAN
        else:
            yield f"{self._column(subject, 20)} " if subject else "", CYAN
            yield from self._details(flat)
        yield from self._pairs(flat, {*HEADER, *TRAILER, "error"} if family == "system" else _SHOWN)

    def _column(self, text: str, size: int) -> str:
        return self._text(text) if self.width is None else cut(self._text(text), size)

    def _short_id(self, value: object) -> str:
        """Return an id in eight columns by its end, since many ids begin alike; in a pipe the whole id."""
        text = "" if value is None else self._text(value)
        return text if len(text) <= _ID or self.width is None else MORE + text[1 - _ID :]

    def _outcome(self, flat: dict[str, Any]) -> Iterator[Part]:
        """Give status and latency, each in its column."""
        status = flat.get("status")
        if isinstance(success := flat.get("success"), bool):
            status = "ok" if success else "failed"
        text = "" if status is None else self._column(self._text(status), 9)
        yield pad(text, 9 if self._wide else 7) + " ", _STATUSES.get(text, "")
        latency = "-" if flat.get("latency_source") == "missing" else _duration(flat.get("latency_ms"))
        yield f"{latency:>{8 if self._wide else 7}} ", ""

    def _subject(self, flat: dict[str, Any]) -> str:
        """Return the tool or the model; that of a call that ends may stand where it began."""
        if isinstance(tool := flat.get("tool_name"), str):
            return tool
        call = flat.get("request_id") or flat.get("round_id") or flat.get("session_id")
        model = next((model for key in ("model", "response_model") if isinstance(model := flat.get(key), str)), "")
        if not isinstance(call, str):
            return model
        if not model and "status" in flat:
            return self._models.pop(call, "")
        if model and flat["event"].endswith("_started"):
            self._models[call] = model
            if len(self._models) > _MOST_MODELS:
                self._models.popitem(last=False)
        return model

    def _details(self, flat: dict[str, Any]) -> Iterator[Part]:
        if _is_number(code := flat.get("status_code")) and code != _OK:
            yield (f"HTTP {code} " if code else "no answer "), RED
        if (error := flat.get("error")) is not None:
            yield f"{self._text(error)} ", RED
        yield from self._exception(flat)
        yield from ((f"{self._text(text)} ", style) for text, style in _facts(flat, wide=self._wide))

    # -- lines of the log itself -----------------------------------------------------------

    def _system(self, kind: str, flat: dict[str, Any]) -> Iterator[Part]:
        make = _SYSTEM.get(kind)
        if make is None:
            yield self._text(kind), YELLOW
            yield from self._pairs(flat, {*HEADER, *TRAILER})
            return
        text, style = make(flat)
        yield self._text(text), style
        if self._wide:
            yield from self._pairs(flat, _SHOWN | _OF_WRITERS)


# -- values ------------------------------------------------------------------------------


def _facts(flat: dict[str, Any], *, wide: bool) -> Iterator[Part]:
    """Give what is special to kinds of events: tokens, costs, endpoints, counts."""
    if _is_number(count := flat.get("message_count")):
        yield f"{count:,} messages", ""
    if flat.get("usage_source") == "missing":
        yield "no usage" if wide else "no usage".ljust(_TOKENS), DIM
    elif _is_number(prompt := flat.get("prompt_tokens")) and _is_number(completion := flat.get("completion_tokens")):
        yield _tokens(prompt, completion, flat, wide=wide), MAGENTA
    if _is_number(cost := flat.get("cost_usd")):
        yield f"${cost:,.4f}", ""
    if wide and _is_number(flat.get("time_to_first_token_ms")):
        yield f"first token {_duration(flat['time_to_first_token_ms'])}", DIM
    if isinstance(endpoint := flat.get("endpoint"), str):
        yield endpoint + (" stream" if flat.get("is_stream") is True else ""), DIM


def _tokens(prompt: int, completion: int, flat: dict[str, Any], *, wide: bool) -> str:
    if not wide:
        return f"{_count(prompt)}→{_count(completion)}".ljust(_TOKENS)
    cached = flat.get("cache_read_tokens")
    return f"{prompt:,}{f' ({cached:,} cached)' if _is_number(cached) and cached else ''} → {completion:,} tokens"


def _count(number: int) -> str:
    """Return a count in few columns, such as ``12.3k``."""
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number / size:.1f}{letter}"
    return str(number)


def _duration(value: object) -> str:
    """Return milliseconds with their unit; nothing for another value."""
    if not _is_number(value):
        return ""
    if value < _SECOND:
        return f"{value:.0f} ms"
    return f"{value / _SECOND:.1f} s" if value < _LONG else f"{value / _SECOND / 60:,.0f} min"


def _is_number(value: object) -> TypeGuard[int]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _started(flat: dict[str, Any]) -> Part:
    where = f" on {flat['host']}" if isinstance(flat.get("host"), str) else ""
    return f"-- writer started: process {flat.get('pid', '?')}{where}", "1;36"


def _stopped(flat: dict[str, Any]) -> Part:
    dropped = flat.get("dropped")
    counts = dropped if isinstance(dropped, dict) else {}
    lost = sum(count for count in counts.values() if _is_number(count))
    written = flat.get("written")
    text = f"-- writer stopped: {f'{written:,}' if _is_number(written) else '?'} written, {lost:,} dropped"
    return text, ALARM if lost else "1;36"


def _dropped(flat: dict[str, Any]) -> Part:
    count, total = flat.get("count"), flat.get("total")
    in_all = f" ({total:,} in all)" if _is_number(total) and total != count else ""
    return f"!! {f'{count:,}' if _is_number(count) else '?'} DROPPED: {flat.get('reason', '?')}{in_all}", ALARM


def _storage_error(flat: dict[str, Any]) -> Part:
    return f"!! STORAGE ERROR: {flat.get('error', '?')}", ALARM


_SYSTEM: Mapping[str, Callable[[dict[str, Any]], Part]] = {
    "system.worker_started": _started,
    "system.worker_stopped": _stopped,
    "system.metrics_dropped": _dropped,
    "system.storage_error": _storage_error,
}
