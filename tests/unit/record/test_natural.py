"""Values of common libraries have their natural form in a line: a number, a text, a list or an object."""

from __future__ import annotations

import array
import collections
import datetime as dt
import decimal
import enum
import fractions
import ipaddress
import math
import pathlib
import re
import sys
import types
import unittest.mock
import uuid
import weakref
from typing import NamedTuple

import attrs
import msgspec
import numpy as np
import pydantic
import pytest
import werkzeug.local
from support.tools import flat

from bamboo_logmetrics.record import natural, snapshot
from bamboo_logmetrics.record.snapshot import freeze


class Pair(NamedTuple):
    left: int
    right: list


class Model(pydantic.BaseModel):
    name: str
    secret: pydantic.SecretStr
    hidden: int = pydantic.Field(default=1, exclude=True)
    when: dt.timedelta = dt.timedelta(minutes=1)


class Names(pydantic.RootModel[list[str]]):
    pass


@attrs.define
class Classic:
    x: int
    y: object = None


class Struct(msgspec.Struct):
    x: int
    when: dt.timedelta


class Text:
    def __str__(self):
        return "its text"


class Tensor:
    """A tensor as torch has it, as far as it is looked at."""

    def __init__(self, data):
        self.data = data

    @property
    def ndim(self):
        return 1 if isinstance(self.data, list) else 0

    def __len__(self):
        return len(self.data)

    def __getitem__(self, key):
        return Tensor(self.data[key])

    def tolist(self):
        return self.data

    def item(self):
        if self.ndim:
            raise RuntimeError("more than one element")
        return self.data


class Scalar:
    dtype = "float32"

    def item(self):
        return 2.5


class Lists:
    def tolist(self):
        return [1]


class Referent:
    def __init__(self):
        self.a = 1

    def __str__(self):
        return "referent"


class Passing:
    """Passes for an object of another class, which no known library does in this way."""

    def __init__(self, kind, value):
        self.kind, self.value = kind, value

    @property
    def __class__(self):
        return self.kind

    def __str__(self):
        return str(self.value)

    def __int__(self):
        return int(self.value)

    def __bool__(self):
        return bool(self.value)

    def __float__(self):
        return float(self.value)

    def __iter__(self):
        return iter(self.value)

    def items(self):
        return self.value.items()


class Lazy:
    """A LazyObject as Django has it."""

    def __init__(self):
        self._wrapped = None

    @property
    def __class__(self):
        self._wrapped = {"user": 1}
        return dict


class Wrapped:
    """An ObjectProxy as wrapt has it."""

    __wrapped__ = (1, 2)

    @property
    def __class__(self):
        return list


def local(value):
    return werkzeug.local.LocalProxy(lambda: value)


REFERENT = Referent()
ITERATOR = iter([1, 2])
EAST = dt.timezone(dt.timedelta(hours=2))
FORMS = {
    "timedelta": (dt.timedelta(days=1, milliseconds=1), 86400.001),
    "np.bool_": ([np.bool_(True), np.bool_(False)], [True, False]),
    "np.int64": (np.int64(2**62), 2**62),
    "np.uint64": (np.uint64(2**64 - 1), 2**64 - 1),
    "np.float32": (np.float32(0.5), 0.5),
    "np.float64": (np.float64(0.1), 0.1),
    "np.nan": (np.float32("nan"), None),
    "np.str_": (np.str_("a"), "a"),
    "np.bytes_": (np.bytes_(b"a"), "a"),
    "np.complex128": (np.complex128(1 + 2j), "(1+2j)"),
    "np.datetime64": (np.datetime64("2026-01-02T03:04:05.000001"), "2026-01-02T03:04:05.000001"),
    "np.datetime64 in ns": (np.datetime64("2026-01-02T03:04:05", "ns"), "2026-01-02T03:04:05"),
    "np.datetime64 of a day": (np.datetime64("2026-01-02"), "2026-01-02T00:00:00"),
    "np.datetime64 NaT": (np.datetime64("NaT", "s"), None),
    "np.timedelta64": (np.timedelta64(1500, "ms"), 1.5),
    "np.timedelta64 in ns": (np.timedelta64(2_000_000_000, "ns"), 2.0),
    "np.array": (np.array([1, 2]), [1, 2]),
    "np.array, 2 dimensions": (np.array([[1.5, 2], [3, 4]]), [[1.5, 2.0], [3.0, 4.0]]),
    "np.array, 0 dimensions": (np.array(5), 5),
    "np.array, empty": (np.zeros((0, 3)), []),
    "np.array of objects": (np.array([None, {"a": 1}], dtype=object), [None, {"a": 1}]),
    "np.array, masked": (np.ma.array([1, 2], mask=[0, 1]), [1, None]),
    "np.array, structured": (np.array([(1, 2.5)], dtype=[("a", int), ("b", float)]), [[1, 2.5]]),
    "array.array": (array.array("d", [1.5]), [1.5]),
    "pydantic": (Model(name="n", secret="s"), {"name": "n", "secret": "**********", "when": 60.0}),
    "pydantic, a list": (Names(["a"]), ["a"]),
    "attrs": (Classic(1, Classic(2)), {"x": 1, "y": {"x": 2, "y": None}}),
    "msgspec": (Struct(1, dt.timedelta(seconds=2)), {"x": 1, "when": 2.0}),
    "namespace": (types.SimpleNamespace(a=[1], b=None), {"a": [1], "b": None}),
    "IPv4Address": (ipaddress.ip_address("10.0.0.1"), "10.0.0.1"),
    "IPv6Network": (ipaddress.ip_network("::/64"), "::/64"),
    "UUID": (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    "Decimal": (decimal.Decimal("1.10"), "1.10"),
    "Fraction": (fractions.Fraction(1, 3), "1/3"),
    "complex": (1 + 2j, "(1+2j)"),
    "enum": (enum.Enum("E", {"A": dt.timedelta(seconds=3)}).A, 3.0),
    "path": (pathlib.PurePosixPath("/a b"), "/a b"),
    "named tuple": (Pair(1, [2]), [1, [2]]),
    "range": (range(3), [0, 1, 2]),
    "dict views": ([{"a": 1}.keys(), {"a": 1}.values(), {"a": 1}.items()], [["a"], [1], [["a", 1]]]),
    "UserDict": (collections.UserDict(a=1), {"a": 1}),
    "UserList": (collections.UserList([1]), [1]),
    "UserString": (collections.UserString("abc"), "abc"),
    "Counter": (collections.Counter("aab"), {"a": 2, "b": 1}),
    "pattern": (re.compile("a+"), "a+"),
    "time zone": (EAST, "UTC+02:00"),
    "object with a text": (Text(), "its text"),
    "tensor": (Tensor([[1], [2]]), [[1], [2]]),
    "tensor, 0 dimensions": (Tensor(1.5), 1.5),
    "scalar with item()": (Scalar(), 2.5),
    "object with tolist()": (Lists(), [1]),
    "generator": ((item for item in [1]), lambda text: text.startswith("<generator object ")),
    "iterator": (ITERATOR, lambda text: text.startswith("<list_iterator object at ")),
    "map": (map(str, [1]), lambda text: text.startswith("<map object at ")),
    "LocalProxy of a str": (local("text"), "text"),
    "LocalProxy of a dict": (local({"a": 1}), {"a": 1}),
    "LocalProxy of a number": (local(5), 5),
    "LocalProxy of None": (local(None), None),
    "LocalProxy of a datetime": (local(dt.datetime(2026, 1, 1, tzinfo=EAST)), "2025-12-31T22:00:00.000000Z"),
    "LocalProxy of a model": (local(Classic(1)), {"x": 1, "y": None}),
    "LocalProxy, unbound": (werkzeug.local.LocalStack()(), "<LocalProxy unbound>"),
    "weakref.proxy": (weakref.proxy(REFERENT), "referent"),
    "weakref.proxy, dead": (weakref.proxy(Referent()), lambda text: text.startswith("<weakproxy at ")),
    "wrapt": (Wrapped(), [1, 2]),
    "lazy object": (Lazy(), {"user": 1}),
    "passes for str": (Passing(str, "s"), "s"),
    "passes for int": (Passing(int, "7"), 7),
    "passes for bool": (Passing(bool, 1), True),
    "passes for float": (Passing(float, 1.5), 1.5),
    "passes for None": (Passing(type(None), 1), None),
    "passes for dict": (Passing(dict, {"a": 1}), {"a": 1}),
    "passes for list": (Passing(list, [1]), [1]),
    "passes for another": (Passing(Text, 1), "1"),
    "Mock": (unittest.mock.Mock(), lambda text: text.startswith("<Mock id=")),
    "MagicMock": (unittest.mock.MagicMock(), lambda text: text.startswith("<MagicMock id=")),
    "Mock of a dict": (unittest.mock.MagicMock(spec=dict), lambda text: text.startswith("<MagicMock spec='dict' id=")),
    "Mock of a str": (unittest.mock.Mock(spec=str), lambda text: text.startswith("<Mock spec='str' id=")),
    "Mock of a model": (unittest.mock.Mock(spec=Model), lambda text: text.startswith("<Mock spec='Model' id=")),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_the_natural_form(name):
    """A value has the form in JSON that its type has by nature; a second look changes nothing."""
    value, expected = FORMS[name]
    form = snapshot.freeze_mapping({"a": value})["a"]
    if isinstance(form, float) and math.isnan(form):
        form = None  # as the encoder writes it
    assert expected(form) if callable(expected) else (form, type(form)) == (expected, type(expected))
    assert repr(freeze(form)) == repr(form)


def test_iterators_are_not_consumed():
    """The values above have taken nothing from an iterator."""
    iterator = iter([1, 2])
    freeze({"a": iterator})
    assert list(iterator) == [1, 2]


def test_in_a_line(log, path):
    """Bound to a logger and in a call, as a value in a list and as a key's value, in lines that are strict JSON."""
    log.bind(took=dt.timedelta(seconds=2)).info("x", data=[np.array([1.5]), local("s")], flag=np.bool_(False))
    assert log.close()
    line = flat(path)[1]
    assert (line["took"], line["data"], line["flag"]) == (2.0, [[1.5], "s"], False)


def test_values_at_the_call_count():
    """A change after the call is not seen."""
    values = np.array([1, 2])
    namespace = types.SimpleNamespace(a=[1])
    frozen = freeze([values, namespace])
    values[0], namespace.b = 9, 1
    namespace.a.append(2)
    assert frozen == [[1, 2], {"a": [1]}]


@pytest.mark.parametrize(
    "value",
    [np.zeros(10**7), np.zeros((10**5, 100)), np.zeros((2, 10**6)), range(10**12), array.array("b", bytes(10**6))],
    ids=["long", "many rows", "long rows", "range", "array"],
)
def test_large_values_are_bounded(value):
    """Of a large array no more is looked at than a line could hold."""
    form = freeze(value)
    count = sum(len(item) if isinstance(item, list) else 1 for item in form)
    assert count <= snapshot.MAX_ITEMS + len(form)
    assert snapshot.MORE in (form[-1], form[-1][-1] if isinstance(form[-1], list) else None)


class Raises:
    def tolist(self):
        raise RuntimeError

    def __repr__(self):
        return "Raises()"


class Endless:
    def tolist(self):
        return Endless()


def test_faults_of_a_value_do_no_harm():
    """A method that raises leaves the repr; one that returns its like forever ends at the depth limit."""
    assert freeze(Raises()) == "Raises()"
    assert freeze(Endless()) == snapshot.TOO_DEEP
    assert freeze(local(werkzeug.local.LocalProxy(lambda: 1))) == 1
    looped = werkzeug.local.LocalProxy(lambda: looped)
    assert isinstance(freeze(looped), str)


class Version1:
    """A model as pydantic 1 has it."""

    __fields__ = __fields_set__ = ("a",)

    def dict(self):
        return {"a": dt.timedelta(seconds=1)}


def test_models_of_pydantic_1():
    """A model of pydantic 1 is an object too."""
    assert freeze(Version1()) == {"a": 1.0}
    legacy = pytest.importorskip("pydantic.v1") if sys.version_info < (3, 14) else None
    if legacy is not None:
        model = legacy.create_model("M", name=(str, "n"))
        assert freeze(model()) == {"name": "n"}


def test_nothing_is_imported_for_a_value():
    """No library is imported to know its values."""
    assert not {"numpy", "pandas", "pydantic", "attrs"} & {name.split(".")[0] for name in vars(natural)}


def test_pandas():
    """Times, missing values, series and tables of pandas."""
    import pandas as pd

    assert freeze([pd.NaT, pd.NA, pd.Timedelta(seconds=1)]) == [None, None, 1.0]
    assert freeze(pd.Timestamp("2026-01-01T12:00", tz="Europe/Berlin")) == "2026-01-01T11:00:00.000000Z"
    assert freeze(pd.Timestamp("2026-01-01T12:00")) == "2026-01-01T12:00:00"
    assert freeze(pd.Series([1, 2])) == [1, 2]
    assert freeze(pd.Series([1, 2], index=["a", "a"])) == {"a": 1, "a'": 2}
    assert freeze(pd.Index([1, 2])) == [1, 2]
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    assert freeze(frame) == [{"a": 1, "b": "x"}, {"a": 2, "b": freeze(frame["b"])[1]}]
    assert freeze(frame.set_index("b").head(1)) == {"x": {"a": 1}}
    assert freeze(pd.Period("2026-01")) == "2026-01"
    assert freeze(pd.Categorical(["a"])) == ["a"]


def test_django():
    """Lazy texts and lazy objects of Django."""
    pytest.importorskip("django")
    from django.utils.functional import SimpleLazyObject, lazystr
    from django.utils.safestring import mark_safe
    from django.utils.translation import gettext_lazy

    assert freeze(lazystr("text")) == "text"
    assert freeze([mark_safe("a"), SimpleLazyObject(lambda: "b"), SimpleLazyObject(lambda: {"c": 1})]) == [
        "a", "b", {"c": 1}
    ]  # fmt: skip
    assert issubclass(type(gettext_lazy("a")), object)


class Table:
    """A table as polars has it."""

    def __init__(self, rows):
        self.rows = rows

    def __getitem__(self, key):
        return Table(self.rows[key])

    def to_dicts(self):
        return self.rows


class Chunked:
    """An array as pyarrow has it."""

    def __init__(self, rows):
        self.rows = rows

    def __getitem__(self, key):
        return Chunked(self.rows[key])

    def to_pylist(self):
        return self.rows


class Bare:
    def __getitem__(self, key):
        return self

    def __repr__(self):
        return "Bare()"


Table.__module__ = Bare.__module__ = "polars.frame"
Chunked.__module__ = "pyarrow.lib"


def test_tables_and_arrays_of_polars_and_pyarrow():
    """A table of polars is a list of rows, an array of pyarrow a list; without either method it is its repr."""
    assert freeze(Table([{"a": 1}] * 30_000))[:1] == [{"a": 1}]
    assert freeze(Chunked([1, None])) == [1, None]
    assert freeze(Bare()) == "Bare()"
