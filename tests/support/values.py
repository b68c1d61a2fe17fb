"""Values that no logger likes, with what their line must hold."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import http
import json
import pathlib
import types
import uuid

from hypothesis import strategies as st

import bamboo_logmetrics as blm
from bamboo_logmetrics.record import snapshot
from support.tools import tool

BREAKS = "a\nb\rc\r\nd\x0be\x0cf\x1cg\x1dh\x1ei\x85j\u2028k\u2029l"


class Broken:
    """Raises whatever is asked of it."""

    def __repr__(self):
        raise RuntimeError("no repr")

    __str__ = __repr__


class NotText:
    def __repr__(self):
        return 5


class Property:
    @property
    def name(self):
        raise RuntimeError

    def __repr__(self):
        return f"Property({self.name})"


@dataclasses.dataclass
class Point:
    x: object
    y: object = None


@dataclasses.dataclass
class Unset:
    x: int = dataclasses.field(init=False)


class BadItems(dict):
    def items(self):
        raise RuntimeError


class BadIter(list):
    def __iter__(self):
        raise RuntimeError


class Endless(list):
    def __iter__(self):
        while True:
            yield 0


class Mapped(collections.abc.Mapping):
    def __getitem__(self, key):
        return {"a": 1}[key]

    def __iter__(self):
        return iter(["a"])

    def __len__(self):
        return 1


class Name(str):
    __slots__ = ("more",)


class Many(int):
    def __str__(self):
        raise RuntimeError

    __repr__ = __str__


class Ratio(float):
    pass


class Colour(str, enum.Enum):
    RED = "red"


class Flags(enum.Flag):
    A = 1
    B = 2


class Holder(enum.Enum):
    VALUE = (1, [2])


Pair = collections.namedtuple("Pair", "left right")
EAST = dt.timezone(dt.timedelta(hours=2))


class BadZone(dt.tzinfo):
    def utcoffset(self, _):
        raise RuntimeError


def deep(kind, depth):
    value = 0
    for _ in range(depth):
        value = kind(value)
    return value


def cycle(kind):
    value = kind()
    value.append(value) if kind is list else value.update(me=value)
    return value


def two_cycle():
    first, second = Point(1), {"a": []}
    first.y = second
    second["a"].append(first)
    return first


def exhausted():
    yield 1
    raise AssertionError("a generator must not be consumed")


def released():
    view = memoryview(b"abc")
    view.release()
    return view


# name: (what was bound, what the line must hold under its key; a callable checks it)
VALUES = {
    "lone surrogate": ("a\ud800b", "a\ufffdb"),
    "surrogate pair": ("\ud83d\ude00", "😀"),
    "nan": (float("nan"), None),
    "inf": (float("inf"), None),
    "-inf in a list": ([1.5, float("-inf")], [1.5, None]),
    "2**64 - 1": (2**64 - 1, 2**64 - 1),
    "-2**63": (-(2**63), -(2**63)),
    "2**64": (2**64, str(2**64)),
    "-2**63 - 1": ([-(2**63) - 1], [str(-(2**63) - 1)]),
    "2**70": (2**70, "1180591620717411303424"),
    "10**5000": (10**5000, hex(10**5000)),
    "bytes": (b"ab\xff\n", "ab\\xff\n"),
    "bytearray": (bytearray(b"ab"), "ab"),
    "memoryview": (memoryview(b"abcd")[1:3], "bc"),
    "released memoryview": (released(), "<unprintable memoryview>"),
    "10 MB of bytes": (b"x" * 10_000_000, "x" * snapshot.MAX_TEXT + "…"),
    "10 MB of text": ("x" * 10_000_000, lambda text: 30_000 < len(text) < 32_000 and text.endswith("x…")),
    "cyclic list": (cycle(list), [snapshot.CYCLE]),
    "cyclic dict": (cycle(dict), {"me": snapshot.CYCLE}),
    "cycle through a dataclass": (two_cycle(), {"x": 1, "y": {"a": [snapshot.CYCLE]}}),
    "one list twice": ([[1]] * 2, [[1], [1]]),
    "keys that are no text": (
        {1: "a", None: "b", 1.5: "c", b"k": "d", (1, 2): "e", True: "f"},
        {"1": "f", "None": "b", "1.5": "c", "k": "d", "[1, 2]": "e"},
    ),
    "a key that cannot be shown": ({Broken(): 1}, {"<unprintable Broken>": 1}),
    "a key of 5000 digits": ({10**5000: 1}, lambda it: [(key[:2], len(key)) for key in it] == [("0x", 4001)]),
    "a key with a lone surrogate": ({"\udfff": 1}, {"\ufffd": 1}),
    "depth 10,000 of lists": (deep(lambda it: [it], 10_000), lambda it: json.dumps(it).count("[") == 20),
    "depth 10,000 of dicts": (deep(lambda it: {"a": it}, 10_000), lambda it: json.dumps(it).endswith(
        f'"{snapshot.TOO_DEEP}"' + "}" * 20)),
    "depth 10,000 of objects": (deep(lambda it: types.SimpleNamespace(a=it), 10_000), lambda it: json.dumps(it).endswith(
        f'"{snapshot.TOO_DEEP}"' + "}" * 20)),
    "depth 20": (deep(lambda it: [it], 20), deep(lambda it: [it], 20)),
    "repr raises": (Broken(), "<unprintable Broken>"),
    "repr raises, nested": ([1, {"a": Broken()}], [1, {"a": "<unprintable Broken>"}]),
    "repr is no text": (NotText(), "<unprintable NotText>"),
    "property raises": (Property(), "<unprintable Property>"),
    "dataclass field not set": (Unset(), "<unprintable Unset>"),
    "long repr": (ValueError("x" * 9_000), lambda text: len(text) == 4_001 and text.endswith("…")),
    "generator": (exhausted(), lambda text: text.startswith("<generator object exhausted at ")),
    "iterator": (iter([1]), lambda text: text.startswith("<list_iterator object at ")),
    "function": (len, "<built-in function len>"),
    "class": (Point, lambda text: text.startswith("<class ")),
    "object": (object(), lambda text: text.startswith("<object object at ")),
    "exception": (ValueError("boom"), "ValueError('boom')"),
    "set": ({1}, [1]),
    "frozenset": (frozenset("a"), ["a"]),
    "deque": (collections.deque([1, 2], 5), [1, 2]),
    "tuple": ((1, (2, "a")), [1, [2, "a"]]),
    "namedtuple": (Pair(1, [2]), [1, [2]]),
    "dataclass": (Point(1, Point([2])), {"x": 1, "y": {"x": [2], "y": None}}),
    "ordered dict": (collections.OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
    "other mapping": (Mapped(), {"a": 1}),
    "mapping proxy": (types.MappingProxyType({"a": (1,)}), {"a": [1]}),
    "items raises": (BadItems(a=1), "<unprintable BadItems>"),
    "iteration raises": (BadIter([1]), "<unprintable BadIter>"),
    "event": (tool(7, meta=blm.EventMeta(event_id="e", occurred_at=dt.datetime(2026, 1, 1, tzinfo=EAST))), {
        "event": "chat.tool_called", "meta": {"event_id": "e", "occurred_at": "2025-12-31T22:00:00.000000Z"},
        "tool_call_id": "c7", "round_id": "r", "session_id": "s", "tool_name": "t", "latency_ms": 1, "success": True}),
    "usage": (blm.TokenUsage(prompt_tokens=1, completion_tokens=2, total_tokens=3), {
        "prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}),
    "status": (blm.RoundStatus.ERROR, "error"),
    "IntEnum": (http.HTTPStatus.OK, 200),
    "StrEnum-like": ([Colour.RED], ["red"]),
    "Flag": (Flags.A | Flags.B, 3),
    "enum of a tuple": (Holder.VALUE, [1, [2]]),
    "aware datetime": (dt.datetime(2026, 1, 1, 12, tzinfo=EAST), "2026-01-01T10:00:00.000000Z"),
    "naive datetime": (dt.datetime(2026, 1, 1, 12, 0, 0, 5), "2026-01-01T12:00:00.000005"),
    "first moment east": (dt.datetime(1, 1, 1, tzinfo=EAST), "0001-01-01T00:00:00+02:00"),
    "zone raises": (dt.datetime(2026, 1, 1, tzinfo=BadZone()), "<unprintable datetime>"),
    "date and time": ([dt.date(2026, 1, 2), dt.time(3, 4)], ["2026-01-02", "03:04:00"]),
    "timedelta": (dt.timedelta(seconds=1, milliseconds=500), 1.5),
    "Decimal": ([decimal.Decimal("1.10"), decimal.Decimal("NaN")], ["1.10", "NaN"]),
    "Fraction": (fractions.Fraction(1, 3), "1/3"),
    "UUID": (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    "Path": (pathlib.PurePosixPath("/tmp/a b"), "/tmp/a b"),
    "complex": (1 + 2j, "(1+2j)"),
    "huge list": (list(range(100_000)), lambda text: len(text) < 32_000 and text.startswith("[0,1,2,")),
    "huge dict": (dict.fromkeys(range(100_000)), lambda text: len(text) < 32_000),
    "endless list": (Endless(), lambda text: len(text) < 32_000),
    "str subclass": (Name("n"), "n"),
    "int subclass": (Many(5), 5),
    "float subclass": (Ratio(0.5), 0.5),
    "bool": ([True, False, None], [True, False, None]),
    "line breaks": (BREAKS, BREAKS),
    "line breaks, nested": ({BREAKS: [BREAKS]}, {BREAKS: [BREAKS]}),
}  # fmt: skip

# any value at all
ANY = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.binary(max_size=5), st.complex_numbers(),
        st.text(st.characters(exclude_categories=[]), max_size=5), st.decimals(), st.fractions(), st.uuids(),
        st.datetimes(), st.timedeltas(), st.dates(), st.times(), st.builds(object),
        st.sampled_from([Colour, Flags, http.HTTPStatus]).flatmap(st.sampled_from),
        st.sampled_from([Broken, NotText, Property, Unset, BadItems, Endless]).map(lambda kind: kind()),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.lists(inner, max_size=3).map(collections.deque),
        st.dictionaries(st.one_of(st.text(max_size=3), st.integers(), st.binary(max_size=2), st.none()), inner, max_size=3),
        st.builds(Point, inner, inner),
    ),
    max_leaves=8,
)  # fmt: skip
