"""Events that the application adds, and the bases of the families, which are none."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import importlib
import json
import logging
import pickle
import sys
from typing import Generic, Optional, TypeVar, get_type_hints

import pytest
from support.tools import flat
from support.toy_event import WARMED, CacheWarmed

import bamboo_logmetrics as blm
from bamboo_logmetrics import processors
from bamboo_logmetrics.events.registry import EVENT_CLASSES, VARIANTS

BASES = (blm.ChatEvent, blm.ForwardEvent, blm.SystemEvent, blm.MetricsEvent)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("way", ["emit", "aemit", "info", "processors"])
def test_a_base_is_refused_and_costs_nothing(open_log, tmp_path, base, way):
    """The base of a family, first of its batch, is refused by name with the remedy; every event after it is written."""
    log = open_log(processors=[lambda _, __, event: event] if way == "processors" else [])
    with pytest.raises(TypeError, match=rf"{base.__name__} is the base of a family .* SessionStarted"):
        if way == "aemit":
            asyncio.run(log.aemit(base()))
        else:
            (log.info if way == "info" else log.emit)(base())
    assert all(log.emit(blm.SessionStarted(session_id=f"s-{number}", model="m")) for number in range(100))
    assert log.close()
    assert log.stats().dropped == {}
    assert [line["seq"] for line in flat(tmp_path / "a.jsonl")] == list(range(1, 103))


@pytest.mark.parametrize("base", BASES)
def test_a_base_has_no_other_form(base):
    """Neither the tagged form, nor the flat record, nor a formatter takes the base of a family."""
    with pytest.raises(TypeError, match="has no kind"):
        base().to_json()
    with pytest.raises(TypeError, match="has no kind"):
        processors.expand(None, "info", {"event": base()})
    with pytest.raises(TypeError, match="has no kind"):
        blm.FlatJsonFormatter().format(logging.makeLogRecord({"msg": base()}))


def test_a_processor_that_returns_a_base_is_refused(open_log):
    """A base that a processor puts in the event's place is refused as one that is emitted."""
    log = open_log(processors=[lambda _, __, values: values | {"event": blm.ChatEvent()}])
    with pytest.raises(TypeError, match="has no kind"):
        log.emit(WARMED)


def test_the_handler_tells_of_a_base(open_log, tmp_path, monkeypatch):
    """Through the stdlib a base goes to handleError, as every fault of a handler, and the lines after it are written."""
    handler = blm.MetricsHandler(open_log())
    errors = []
    monkeypatch.setattr(handler, "handleError", errors.append)
    for message in [blm.ChatEvent(), "after it"]:
        handler.handle(logging.makeLogRecord({"msg": message, "levelno": 20, "name": "shop"}))
    handler.flush()
    assert len(errors) == 1
    assert [line["event"] for line in flat(tmp_path / "a.jsonl")] == ["system.worker_started", "after it"]


@pytest.mark.parametrize("layout", ["native", "ecs", "otel"])
def test_an_event_of_the_application_is_an_event(open_log, tmp_path, layout):
    """A subclass is a kind of its own: written, read back typed and accounted for, in every layout."""
    log = open_log(layout=layout)
    assert WARMED.kind == CacheWarmed.kind == "chat.cache_warmed"
    assert log.emit(WARMED)
    log.info(WARMED)
    log.bind(project="p").emit(WARMED, entries=9)
    assert log.close()
    lines = [line for line in blm.read(tmp_path / "a.jsonl") if not line.own]
    assert [line.event for line in lines] == [WARMED] * 3
    assert [dict(line.bound) for line in lines] == [{}, {}, {"project": "p", "bound_entries": 9}]
    assert blm.verify(tmp_path / "a.jsonl").ok


def test_an_event_of_the_application_is_a_dataclass():
    """It pickles, copies, compares, is replaced and taken apart as the events of this package."""
    assert pickle.loads(pickle.dumps(WARMED)) == copy.deepcopy(WARMED) == copy.copy(WARMED) == WARMED
    assert dataclasses.replace(WARMED, entries=4).entries == 4
    assert [item.name for item in dataclasses.fields(WARMED)][:2] == ["session_id", "entries"]
    assert dataclasses.asdict(WARMED)["usage"]["total_tokens"] == 3
    assert blm.MetricsEvent.from_json(WARMED.to_json()) == WARMED
    with pytest.raises(dataclasses.FrozenInstanceError):
        WARMED.entries = 4


@pytest.mark.parametrize(
    ("values", "error"),
    [({"entries": "3"}, TypeError), ({"entries": True}, TypeError), ({"entries": 2**63}, ValueError), ({"entries": 1.0}, TypeError),
     ({"ratio": float("nan")}, ValueError), ({"ratio": float("inf")}, ValueError), ({"ratio": 10**400}, ValueError), ({"ratio": "1"}, TypeError),
     ({"ratio": True}, TypeError), ({"cold": 0}, TypeError), ({"status": "none"}, ValueError), ({"usage": {}}, TypeError)],
    ids=str,
)  # fmt: skip
def test_values_of_the_application_s_events_are_checked(values, error):
    """A value that its field cannot hold is refused with the class and the field in the message."""
    with pytest.raises(error, match=f"CacheWarmed.{next(iter(values))}"):
        CacheWarmed(**{"session_id": "s", "entries": 1} | values)


@pytest.mark.parametrize(("given", "kept"), [(1, 1.0), (-2.5, -2.5), (2**70, float(2**70))])
def test_a_float_field_keeps_floats(given, kept):
    """Any finite number becomes a float, so that the key has one type in every line."""
    ratio = CacheWarmed(session_id="s", entries=2**63 - 1, ratio=given).ratio
    assert (ratio, type(ratio)) == (kept, float)


def test_levels_follow_status_and_success(open_log, tmp_path):
    """A status of error makes the line an error, a success of False a warning, as in the events of this package."""

    class LevelledJob(blm.ForwardEvent):
        status: blm.ForwardStatus
        success: bool

    log = open_log()
    for status, success in [("success", True), ("success", False), ("timeout", True)]:
        log.emit(LevelledJob(status=status, success=success))
    log.close()
    assert [line["level"] for line in flat(tmp_path / "a.jsonl")[1:-1]] == ["info", "warning", "error"]


def test_texts_of_the_application_s_events_may_hold_anything(open_log, tmp_path):
    """A text field that is not this package's is masked and cut as a bound value: nobody knows what stands in it."""

    class QuerySent(blm.ChatEvent):
        session_id: str
        query: str

    log = open_log(max_line_bytes=1_000)
    log.emit(QuerySent(session_id="sk-proj-abcdefghijklmnop1234567890", query="password=hunter2"))
    log.emit(QuerySent(session_id="s", query="long " * 1_000))
    log.close()
    first, second = flat(tmp_path / "a.jsonl")[1:-1]
    assert first["query"] == "password=[redacted]"
    assert first["session_id"].startswith("sk-proj")  # an id is needed as it is
    assert second["truncated"] == ["query"]
    assert len(json.dumps(second)) < 1_100


def test_a_class_made_again_takes_the_place_of_the_first():
    """A notebook's cell that is run again, or a reloaded module, makes the same kind anew."""
    made = [
        type("CellEvent", (blm.ChatEvent,), {"__module__": "notebook", "__annotations__": {"n": "int"}}) for _ in "12"
    ]
    assert EVENT_CLASSES["chat.cell_event"] is VARIANTS["Chat", "CellEvent"] is made[1]
    assert made[1](n=1).kind == made[0](n=1).kind == "chat.cell_event"


REFUSED = {
    "no family": ("Plain", blm.MetricsEvent, {}, "must derive from ChatEvent"),
    "an unknown event": ("Odd", blm.UnknownEvent, {}, "must derive from ChatEvent"),
    "a known name": ("ToolCalled", blm.ChatEvent, {}, "would be of kind 'chat.tool_called'"),
    "no class name": ("cache_warmed", blm.ChatEvent, {}, "must be in CamelCase"),
    "a header key": ("Refused", blm.ChatEvent, {"seq": int}, "Refused.seq: this name is reserved"),
    "a method": ("Refused", blm.ChatEvent, {"to_json": str}, "Refused.to_json: this name"),
    "a bound key": ("Refused", blm.ChatEvent, {"bound_x": str}, "Refused.bound_x: this name"),
    "no snake case": ("Refused", blm.ChatEvent, {"Entries": int}, "Refused.Entries: this name"),
    "a mapping": ("Refused", blm.ChatEvent, {"payload": dict}, r"Refused.payload must be .* log.emit\(event, payload="),
    "a list": ("Refused", blm.ToolCalled, {"names": "list[str]"}, "Refused.names must be annotated"),
    "another usage": ("Refused", blm.ChatEvent, {"usage": str}, "Refused.usage must be annotated as TokenUsage"),
    "another status": (
        "Refused",
        blm.ChatEvent,
        {"status": "str | None"},
        "Refused.status must be annotated as SessionStatus",
    ),
    "a union": ("Refused", blm.ChatEvent, {"value": "int | str"}, "Refused.value must be annotated"),
}


@pytest.mark.parametrize(("name", "base", "fields", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_a_kind_is_refused_when_it_is_made(name, base, fields, message):
    """A class that no line could hold is refused as it is made, with the reason, and leaves no trace."""
    before = dict(EVENT_CLASSES)
    with pytest.raises(TypeError, match=message):
        type(name, (base,), {"__module__": __name__, "__annotations__": fields})
    assert before == EVENT_CLASSES


@pytest.mark.parametrize(
    "annotation",
    [
        "str",
        str,
        "Optional[str]",
        Optional[str],  # noqa: UP045 - one spelling of those that users have
        "typing.Optional[str]",
        "str | None",
        "blm.TokenUsage",
    ],
    ids=str,
)
def test_annotations_in_every_spelling(annotation):
    """A field's type may be written as text, as a class, as Optional, and with the name of its module."""
    name = "usage" if "TokenUsage" in str(annotation) else "text"
    made = type("SpelledEvent", (blm.ChatEvent,), {"__module__": __name__, "__annotations__": {name: annotation}})
    assert name in [item.name for item in dataclasses.fields(made)]


USERS_MODULE = """
import sys
import typing
from typing import TYPE_CHECKING, ClassVar, Optional

import bamboo_logmetrics as blm

if TYPE_CHECKING or EVALUATES:
    import bamboo_logmetrics as metrics
    from bamboo_logmetrics import TokenUsage

class Warmed(blm.ChatEvent):
    session_id: str
    usage: TokenUsage | None = None
    name: Optional["str"] = None
    quoted: "float | None" = None
    entries: typing.Optional[int] = None
    VERSION: ClassVar[int] = 1

class Cooled(Warmed, kw_only=True):
    status: metrics.SessionStatus

class Quoted(blm.ChatEvent):
    usage: Optional["TokenUsage"] = None

def made():
    usage = blm.TokenUsage(prompt_tokens=1, completion_tokens=2, total_tokens=3)
    return Cooled(session_id="s", usage=usage, name="n", entries=4, status="error"), Quoted(usage=usage)
"""


@pytest.mark.parametrize("future", [True, False], ids=["as text", "as the Python does"])
def test_names_that_only_type_checkers_import(open_log, tmp_path, monkeypatch, future):
    """Annotations that are not evaluated, by the import from __future__ or from Python 3.14 on, may name what is not there."""
    evaluates = not future and sys.version_info < (3, 14)
    source = USERS_MODULE.replace("EVALUATES", str(evaluates))
    (tmp_path / "users_events.py").write_text("from __future__ import annotations\n" * future + source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "users_events", raising=False)
    users_events = importlib.import_module("users_events")
    event, quoted = users_events.made()
    assert "VERSION" not in [item.name for item in dataclasses.fields(event)]
    assert get_type_hints(users_events.Cooled)["status"] is blm.SessionStatus
    assert pickle.loads(pickle.dumps(event)) == dataclasses.replace(event) == event
    assert blm.MetricsEvent.from_json(event.to_json()) == event
    with pytest.raises(TypeError, match=r"Warmed.usage"):
        users_events.Warmed(session_id="s", usage=1)
    log = open_log()
    assert log.emit(event)
    assert log.emit(quoted)
    log.close()
    assert [line.event for line in blm.read(tmp_path / "a.jsonl") if not line.own] == [event, quoted]


def test_an_unknown_name_is_refused_by_its_text():
    """A field whose type is neither known nor imported is refused as every other that a line cannot hold."""
    with pytest.raises(TypeError, match=r"Refused.value must be annotated as .* got 'Elsewhere \| None'"):
        type("Refused", (blm.ChatEvent,), {"__module__": __name__, "__annotations__": {"value": Optional["Elsewhere"]}})  # noqa: F821


def test_a_subclass_of_an_event_is_another_kind(open_log, tmp_path):
    """A subclass of one of the twelve has their fields and its own kind; nothing takes it for them."""

    class ShellCalled(blm.ToolCalled):
        exit_code: int

    event = ShellCalled(
        tool_call_id="c", round_id="r", session_id="s", tool_name="sh", latency_ms=1, success=False, exit_code=2
    )
    log = open_log()
    log.emit(event)
    log.close()
    [line] = [line for line in blm.read(tmp_path / "a.jsonl") if not line.own]
    assert (line.event, line.level, event.kind) == (event, "warning", "chat.shell_called")


@pytest.mark.parametrize("layout", ["native", "ecs", "otel"])
def test_a_long_event_stays_an_event(open_log, tmp_path, layout):
    """Of an own event's fields only texts are cut, and none is removed: the line is read back as the event."""

    class Transcribed(blm.ChatEvent):
        first: str
        size: int
        second: str
        error: int
        ready: bool

    log = open_log(layout=layout, max_line_bytes=2_500)
    texts = {"first": "x y " * 2_000, "second": "z"}
    log.emit(Transcribed(**texts, size=2**60, error=2**61, ready=True), **{f"note_{n}": "n " * 60 for n in range(30)})
    assert log.close()
    (line,) = [line for line in blm.read(tmp_path / "a.jsonl") if not line.own]
    assert (line.event.size, line.event.error, line.event.ready, line.event.second) == (2**60, 2**61, True, "z")
    assert line.event.first.endswith("…")


@pytest.mark.parametrize("layout", ["native", "ecs", "otel"])
def test_a_number_under_the_name_of_a_secret_is_a_count(open_log, tmp_path, layout):
    """A field that holds a number is written as it is, whatever its name; a text, and a bound number, is masked."""

    class CookiesRead(blm.ChatEvent):
        cookies: int
        password: str

    log = open_log(layout=layout)
    log.emit(CookiesRead(cookies=3, password="hunter2"), secret=5)
    assert log.close()
    (line,) = [line for line in blm.read(tmp_path / "a.jsonl") if not line.own]
    assert (line.event.cookies, line.event.password, line.bound["secret"]) == (3, "[redacted]", "[redacted]")


def test_a_field_that_is_gone_is_masked_when_bound(open_log, tmp_path):
    """When a class takes over a kind, what is known of the lines of the class before is forgotten."""

    def cell(annotations):
        return type(blm.ChatEvent)("Cell", (blm.ChatEvent,), {"__annotations__": annotations})

    log = open_log()
    log.emit(cell({"tool_name": str})(tool_name="x"))
    log.flush()
    log.emit(cell({"size": int})(size=1), tool_name="sk-abcdefghijklmnop12345")
    assert log.close()
    assert [line.get("tool_name") for line in flat(tmp_path / "a.jsonl")][1:-1] == ["x", "[redacted]"]


@pytest.mark.parametrize("name", ["type", "self", "utc", "str", "run_validators"])
def test_a_field_may_have_any_name(name):
    """The names that the compiled check itself uses are no trouble, whether or not a value needs its validator."""
    cls = type(blm.ChatEvent)("NamedLikeThat", (blm.ChatEvent,), {"__annotations__": {name: str, "size": int}})
    for size in (1, 2**40):
        event = cls(**{name: "x", "size": size})
        assert (getattr(event, name), event.size) == ("x", size)
    with pytest.raises(TypeError, match=f"NamedLikeThat.{name} must be a str"):
        cls(**{name: 1, "size": 1})


@pytest.mark.parametrize(
    ("base", "name", "annotation"),
    [(blm.ChatEvent, "meta", str), (blm.RoundCompleted, "status", str), (blm.RoundCompleted, "usage", dict),
     (blm.SessionStarted, "session_id", list), (blm.RoundCompleted, "total_tokens", int), (CacheWarmed, "prompt_tokens", int)],
)  # fmt: skip
def test_an_inherited_field_is_changed_to_what_a_line_holds(base, name, annotation):
    """A subclass gives no field a type that cannot be written, nor the name of a part of its usage."""
    with pytest.raises(TypeError, match=f"Changed.{name}"):
        type(base)("Changed", (base,), {"__annotations__": {name: annotation}}, kw_only=True)


def test_an_inherited_field_may_get_a_default():
    """A field that is annotated again as before may get a default."""

    class SessionResumed(blm.SessionStarted, kw_only=True):
        model: str = "m"

    assert SessionResumed(session_id="s").model == "m"


def test_own_post_init_gets_valid_values_and_is_inherited():
    """A class's __post_init__ runs after its values were checked, with or without super, and in subclasses too."""
    seen = []

    class Hooked(blm.ChatEvent):
        size: int

        def __post_init__(self):
            super().__post_init__()
            seen.append(self.size)

    class HookedToo(Hooked):
        other: int

    Hooked(size=1)
    HookedToo(size=2, other=3)
    for cls, values in ((Hooked, {"size": "1"}), (HookedToo, {"size": 1, "other": "1"})):
        with pytest.raises(TypeError, match="must be a whole number"):
            cls(**values)
    assert seen == [1, 2]


def test_generic_classes_and_mixins():
    """An event class may be generic, and have a mixin with slots on either side."""

    class Named:
        __slots__ = ()

        def name(self):
            return self.text

    class Boxed(blm.ChatEvent, Generic[TypeVar("T")]):
        text: str

    class Mixed(Named, blm.ChatEvent):
        text: str

    class MixedToo(blm.ChatEvent, Named):
        text: str

    assert Boxed(text="x").text == Boxed[int](text="x").text == Mixed(text="x").name() == MixedToo(text="x").name()
