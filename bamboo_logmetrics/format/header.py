"""What ``verify`` reads of each line: whose it is, and which number it has. There is a decoder for each layout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec

from bamboo_logmetrics.format.layouts.otel import EVENT

NOT_JSON = (ValueError, RecursionError)  # msgspec's errors and bad UTF-8 are ValueErrors


class LineHeader(msgspec.Struct, gc=False):
    """What is decoded of each line; msgspec checks that the rest is JSON, but for its UTF-8."""

    event: str
    v: Literal[1]
    writer: str
    seq: Annotated[int, msgspec.Meta(ge=1)]
    plain: Any = None
    source: Any = None


Decode = Callable[[bytes], LineHeader]
decode_native: Decode = msgspec.json.Decoder(LineHeader).decode


# -- ecs ---------------------------------------------------------------------------------


class _Bamboo(msgspec.Struct, gc=False):
    v: Literal[1]
    writer: str
    seq: Annotated[int, msgspec.Meta(ge=1)]
    plain: Any = None
    source: Any = None


class _Event(msgspec.Struct, gc=False):
    action: str | None = None


class _Document(msgspec.Struct, gc=False):
    message: str
    bamboo: _Bamboo
    event: _Event


_decode_document = msgspec.json.Decoder(_Document).decode


def _decode_ecs(line: bytes) -> LineHeader:
    found = _decode_document(line)
    bamboo = found.bamboo
    event = found.message if bamboo.plain is True else found.event.action
    return _head(event, bamboo.v, bamboo.writer, bamboo.seq, plain=bamboo.plain, source=bamboo.source)


# -- otel --------------------------------------------------------------------------------


class _Value(msgspec.Struct, rename="camel", gc=False):
    string_value: str | None = None
    int_value: str | int | None = None
    bool_value: bool | None = None


class _Pair(msgspec.Struct, gc=False):
    key: str
    value: _Value


class _LogRecord(msgspec.Struct, rename="camel", gc=False):
    attributes: list[_Pair]
    event_name: str | None = None
    body: _Value = msgspec.field(default_factory=_Value)


_decode_record = msgspec.json.Decoder(_LogRecord).decode
_NOTHING = _Value()


def _decode_otel(line: bytes) -> LineHeader:
    found = _decode_record(line)
    values = {pair.key: pair.value for pair in found.attributes}
    plain = values.get("bamboo.plain", _NOTHING).bool_value
    event = found.body.string_value if plain else found.event_name
    v, seq = (int(values.get(name, _NOTHING).int_value or 0) for name in ("bamboo.v", "bamboo.seq"))
    writer = values.get("bamboo.writer", _NOTHING).string_value
    source = values.get("bamboo.source", _NOTHING).string_value
    kind = event if plain or event is None else event.removeprefix(EVENT)
    return _head(kind, v, writer, seq, plain=plain, source=source)


def _head(event: str | None, v: int, writer: str | None, seq: int, *, plain: Any, source: Any) -> LineHeader:
    if event is None or v != 1 or writer is None or seq < 1:
        raise ValueError
    return LineHeader(event, 1, writer, seq, plain, source)


# -- any ---------------------------------------------------------------------------------

_DECODERS: tuple[Decode, ...] = (decode_native, _decode_ecs, _decode_otel)


def decode_any(line: bytes) -> tuple[Decode, LineHeader]:
    """Return the head of a line of any layout, and what decodes that layout; raises one of NOT_JSON."""
    for decode in _DECODERS:
        try:
            return decode, decode(line)
        except NOT_JSON:
            continue
    raise ValueError
