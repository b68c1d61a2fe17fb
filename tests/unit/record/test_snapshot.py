from __future__ import annotations

import datetime as dt
import json
import uuid

import pytest
from hypothesis import given, settings
from support.tools import flat, physical, tool
from support.values import ANY, BREAKS, VALUES, Colour, Many, Name, Point, Ratio

import bamboo_logmetrics as blm
from bamboo_logmetrics.format.strict_json import encode
from bamboo_logmetrics.record import snapshot
from bamboo_logmetrics.record.snapshot import freeze, freeze_mapping, freeze_text


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Bind each value to one event and one plain line of one log, and return the lines by name."""
    path = tmp_path_factory.mktemp("values") / "a.jsonl"
    with blm.open_log(path) as log:
        for name, (value, _) in VALUES.items():
            assert log.emit(tool(), name=name, value=value)
            log.info("plain", name=name, value=value)
            log.info(value, name=name)
        stats = log.stats
        assert log.flush(30)
        assert stats().written == 3 * len(VALUES)
    lines = physical(path)
    for line in lines:
        assert len(line) < 32_000
        assert len(line.decode().splitlines()) == 1
    rows = {}
    for row in flat(path)[1:-1]:
        rows.setdefault(row["name"], []).append(row)
    return rows


@pytest.mark.parametrize("name", VALUES)
def test_any_value_gives_one_strict_line(written, name):
    """Any value, bound or logged as the text, gives one strict JSON line that holds it or describes it."""
    event, plain, text = written[name]
    assert (event["event"], plain["event"]) == ("chat.tool_called", "plain")
    expected = VALUES[name][1]
    for row in (event, plain):
        assert expected(row["value"]) if callable(expected) else row["value"] == expected
        assert ("truncated" in row) == (name in {"10 MB of text", "huge list", "huge dict", "endless list"})
    assert type(event["value"]) is type(plain["value"])
    assert ("plain" in text) == (name != "event")
    assert isinstance(text["event"], str)
    assert text["event"]


class Evil(Exception):
    def __str__(self):
        raise RuntimeError


def test_exceptions_of_any_kind_become_text(open_log):
    """An exception whose ``str`` raises, with breaks in its text, or with a long chain, is one line of text."""
    chain = ValueError("first")
    for number in range(5_000):
        chain.__cause__, chain = None, ValueError(number)
        chain.__context__ = ValueError("before")
    deep_chain = ValueError("last")
    for _ in range(5_000):
        new = ValueError("link")
        new.__cause__ = deep_chain
        deep_chain = new
    log = open_log()
    for error in (Evil("secret"), ValueError(BREAKS), chain, deep_chain, ValueError("a\ud800")):
        log.emit(tool(), exc_info=error)
        log.error("failed", exc_info=error)
    assert log.close()
    rows = [row for row in flat(log.path) if not row["event"].startswith("system.")]
    assert len(rows) == 10
    assert all(isinstance(row["exception"], str) and row["exception"] for row in rows)
    assert BREAKS in rows[2]["exception"]
    assert rows[8]["exception"].endswith("a\ufffd")
    assert all(len(line.decode().splitlines()) == 1 for line in physical(log.path))


def test_change_after_the_call_has_no_effect(tmp_path):
    """A value, a bound value or a context variable that changes after the call is written as it was at the call."""
    from bamboo_logmetrics.testing import GateSink, open_log_on

    sink = GateSink(shut=True)
    inner, words, raw, point = {"a": [1]}, ["w"], bytearray(b"abc"), Point([1])
    log = open_log_on(sink, tmp_path / "a.jsonl").bind(context=inner)
    log.emit(tool(), words=words, raw=raw, point=point, view=memoryview(raw), keys=inner.keys())
    log.info("plain", words=words)
    inner["a"].append(2)
    inner["b"] = 3
    words.clear()
    raw[0] = 0
    point.x.append(2)
    sink.open_gate()
    assert log.close()
    event, plain = (line for line in sink.lines() if not line.own)
    expected = {"words": ["w"], "context": {"a": [1]}}
    assert dict(event.bound) == expected | {
        "raw": "abc", "point": {"x": [1], "y": None}, "view": "abc", "keys": ["a"]
    }  # fmt: skip
    assert dict(plain.bound) == expected


def test_scalars_go_by_reference():
    """A scalar is not copied, a mapping of scalars need not be, and a text of any length stays whole."""
    text = "x" * 100_000
    assert freeze(text) is text
    assert freeze_text(text) is text
    assert freeze_text(Name(text)) == text
    assert type(freeze_text(Name("n"))) is str
    assert snapshot.all_scalar({"a": text, "b": 1, "c": None, "d": 1.5, "e": True})
    assert not any(snapshot.all_scalar({"a": value}) for value in ([], Name("n"), Many(1), Colour.RED, Ratio(1)))


def test_values_are_bounded():
    """No value holds more than 20,000 items however they are nested, and no object more than 4,000 characters."""
    wide = freeze([list(range(1_000)) for _ in range(1_000)])
    assert 20_000 <= sum(1 + len(row) for row in wide if isinstance(row, list)) <= 20_001
    assert wide[-1] == snapshot.MORE
    many = freeze(dict.fromkeys(range(30_000)))
    assert len(many) == 20_001
    assert many["..."] == snapshot.MORE
    assert len(freeze_mapping({Name("k") * 3: 1})) == 1
    assert len(freeze(ValueError("x" * 10**6))) == 4_001


def plain_data(value):
    if isinstance(value, dict):
        return type(value) is dict and all(type(key) is str and plain_data(item) for key, item in value.items())
    if isinstance(value, list):
        return type(value) is list and all(map(plain_data, value))
    return type(value) in snapshot.SCALARS


@given(ANY)
@settings(deadline=None, max_examples=300)
def test_freeze_gives_plain_data(value):
    """Any value becomes plain data of exact types, freezing it again changes nothing, and it is strict JSON."""
    frozen = freeze(value)
    assert plain_data(frozen)
    assert repr(freeze(frozen)) == repr(frozen)
    line = encode({"value": frozen})
    json.loads(line, parse_constant=pytest.fail)
    assert len(line.decode().splitlines()) == 1
    assert type(freeze_text(value)) is str


def test_a_type_that_cannot_be_hashed():
    """A value whose very type refuses to be hashed is shown like any other object."""

    class Meta(type):
        __hash__ = None

    class Thing(metaclass=Meta):
        pass

    assert not snapshot.all_scalar({"t": Thing()})
    assert "Thing" in snapshot.freeze(Thing())


def test_one_bad_item_does_not_hide_the_others():
    """Of a mapping only the item that cannot be shown is marked, and keys that would be the same text stay two."""

    class Bad:
        def __repr__(self):
            raise ValueError

    assert snapshot.freeze({"user": "u1", "bad": Bad()}) == {"user": "u1", "bad": "<unprintable Bad>"}
    assert snapshot.freeze({1: "a", "1": "b"}) == {"1": "a", "1'": "b"}


class RefusesToBeHashed(type):
    """A type that neither can be hashed nor compared."""

    def __hash__(cls):
        raise TypeError

    def __eq__(cls, other):
        raise TypeError


USUAL = [
    [1, 2.5, "x", True, None], (1, 2), [2**64, -(2**70)], ["a", [1]], {"a": 1, "b": "x"}, {"a": 2**64}, {"a": {"b": [1]}}, {1: "x", "1": "y"}, [float("nan")],
    uuid.UUID(int=7), dt.datetime(2026, 11, 22, 15, 47, 13, 417_696, dt.timezone.utc), dt.datetime(2026, 11, 22, tzinfo=dt.timezone.utc),
    dt.datetime(2026, 11, 22, 1, 2, 3, 4, dt.timezone(dt.timedelta(hours=2))), dt.datetime(2026, 11, 22, 1, 2, 3, 4), list(range(1_001)), {str(n): n for n in range(1_001)},
]  # fmt: skip


@pytest.mark.parametrize("value", USUAL, ids=lambda value: repr(value)[:40])
def test_usual_values_are_copied_as_any_other(value, monkeypatch):
    """The copy that is made in one step is the copy that a walk makes, nested too."""
    values = {"alone": value, "in a list": [value, value], "in a dict": {"a": {"b": value}}}
    quick = snapshot.freeze_mapping(values)
    monkeypatch.setattr(snapshot, "_USUAL", {})
    assert repr(quick) == repr(snapshot.freeze_mapping(values))
    assert repr(quick["alone"]) == repr(snapshot.freeze(value))


def test_the_copy_is_not_the_value():
    """A list or dict that is changed after the call does not change the copy."""
    for value in ([1, "x"], {"a": 1}):
        copy = snapshot.freeze(value)
        value.clear()
        assert len(copy) > 0


def test_a_hostile_type_is_shown():
    """A value whose type cannot be hashed or compared becomes a marker, alone and beside others."""
    value = RefusesToBeHashed("Hostile", (), {})()
    assert snapshot.freeze_mapping({"a": value, "b": 1})["b"] == 1
    assert "Hostile" in str(snapshot.freeze([value]))


def test_many_usual_containers_are_bounded():
    """Lists within lists are copied up to the limit of items, whatever way they are copied."""
    copy = snapshot.freeze([[number] * 500 for number in range(1_000)])
    assert sum(len(item) for item in copy if isinstance(item, list)) <= snapshot.MAX_ITEMS + 1_000
    assert copy[-1] == snapshot.MORE


@pytest.mark.parametrize("make", [lambda items: dict.fromkeys(items, 1) | {"nested": []}, set], ids=["dict", "set"])
def test_a_container_that_changes_while_it_is_copied(make):
    """A container to which another thread adds meanwhile loses nothing of what was in it."""

    class Adds:
        def __str__(self):
            container.update({len(container): 1})
            return "adds"

    container = make([Adds(), Adds()])
    before = len(container)
    copy = freeze([container])[0]
    assert len(copy) == before < len(container)
    assert sum("adds" in str(item) for item in copy) == 2


def test_many_keys_of_one_text():
    """Keys with equal texts, also those of a name that another key has, stay apart."""
    nan = [float("nan") for _ in range(3)]
    assert len(freeze(dict.fromkeys(nan, 1))) == 3
    copy = freeze({"nan": 0, "nan'": 1, "nan'4": 2, "x": 3, nan[0]: 4})
    assert copy == {"nan": 0, "nan'": 1, "nan'4": 2, "x": 3, "nan'4'": 4}


def test_an_enum_at_the_deepest_level():
    """An enum below the greatest depth is marked as too deep."""
    value = Colour.RED
    for _ in range(snapshot.MAX_DEPTH):
        value = [value, object()]
    assert str(freeze(value)).startswith("[" * snapshot.MAX_DEPTH + "'<too deep>'")


def test_times_at_the_ends_of_the_calendar():
    """A time that UTC cannot hold keeps its own zone."""
    east, west = dt.timezone(dt.timedelta(hours=2)), dt.timezone(dt.timedelta(hours=-2))
    assert freeze(dt.datetime(1, 1, 1, tzinfo=east)) == "0001-01-01T00:00:00+02:00"
    assert freeze([dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=west)]) == ["9999-12-31T23:59:59-02:00"]
