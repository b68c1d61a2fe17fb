from __future__ import annotations

import copy
import dataclasses
import enum
import gc
import inspect
import pickle
import re
import uuid
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from http import HTTPStatus

import pytest
from hypothesis import given, settings
from support.strategies import EVENT_CLASSES, EVENTS, EXAMPLES, FULL_USAGE, USAGE, USAGES, meta

import bamboo_logmetrics as blm

ONE_EACH = [*{type(event): event for event in EXAMPLES}.values(), EXAMPLES[0].meta, FULL_USAGE]
KIND_NAMES = {
    blm.SessionStarted: "chat.session_started",
    blm.SessionCompleted: "chat.session_completed",
    blm.RoundStarted: "chat.round_started",
    blm.RoundCompleted: "chat.round_completed",
    blm.ToolCalled: "chat.tool_called",
    blm.MessageCountUpdated: "chat.message_count_updated",
    blm.RequestStarted: "forward.request_started",
    blm.RequestCompleted: "forward.request_completed",
    blm.MetricsDropped: "system.metrics_dropped",
    blm.StorageError: "system.storage_error",
    blm.WorkerStarted: "system.worker_started",
    blm.WorkerStopped: "system.worker_stopped",
}
FIELDS = {
    blm.EventMeta: "event_id occurred_at trace_id",
    blm.TokenUsage: "prompt_tokens completion_tokens total_tokens cache_read_tokens cache_write_tokens cache_write_1h_tokens reasoning_tokens",
    blm.SessionStarted: "meta session_id model",
    blm.SessionCompleted: "meta session_id status",
    blm.RoundStarted: "meta round_id session_id model",
    blm.RoundCompleted: "meta round_id session_id status usage latency_ms error",
    blm.ToolCalled: "meta tool_call_id round_id session_id tool_name latency_ms success",
    blm.MessageCountUpdated: "meta session_id message_count",
    blm.RequestStarted: "meta request_id endpoint model is_stream",
    blm.RequestCompleted: "meta request_id status_code status usage latency_ms error",
    blm.MetricsDropped: "count reason",
    blm.StorageError: "error event_type",
    blm.WorkerStarted: "",
    blm.WorkerStopped: "",
}

each = pytest.mark.parametrize("event", ONE_EACH, ids=lambda event: type(event).__name__)


def values_of(event):
    return {item.name: getattr(event, item.name) for item in dataclasses.fields(event)}


def fresh(event):
    """Make an equal object anew."""
    return type(event)(**values_of(event))


def with_unknown_keys(event):
    """Return an equal object that holds unknown keys, as one read from a newer writer does."""
    return fresh(event).with_extra('{"later":[1]}')


def tool(**changed):
    values = {"tool_call_id": "c", "round_id": "r", "session_id": "s", "tool_name": "t", "latency_ms": 1}
    return blm.ToolCalled(**{"meta": meta(1), "success": True, **values, **changed})


def request(**changed):
    values = {"request_id": "q", "status_code": 200, "status": "success", "latency_ms": 1}
    return blm.RequestCompleted(**{"meta": meta(1), **values, **changed})


def usage(value):
    return blm.TokenUsage(prompt_tokens=value, completion_tokens=1, total_tokens=1)


class Number:
    """An integer as numpy's are: not an int, but usable as one."""

    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value


class Text(str):
    __slots__ = ("more",)


class Code(enum.IntEnum):
    OK = 200
    HUGE = 10**400


# -- the vocabulary -------------------------------------------------------------------------


@pytest.mark.parametrize(("cls", "names"), FIELDS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_fields_are_those_of_the_design_in_its_order(cls, names):
    """Every class has exactly the fields of DESIGN 2, in that order."""
    assert [item.name for item in dataclasses.fields(cls)] == names.split()


def test_kinds_are_the_dotted_names():
    """The kind is family and variant in snake case, on the class and on its objects."""
    assert {cls: cls.kind for cls in EVENT_CLASSES.values()} == KIND_NAMES
    assert {type(event): event.kind for event in EXAMPLES if type(event) in KIND_NAMES} == KIND_NAMES


def test_families_tell_chat_forward_and_system_apart():
    """Each kind's family is the base class of the same name, and each is a MetricsEvent."""
    bases = {"chat": blm.ChatEvent, "forward": blm.ForwardEvent, "system": blm.SystemEvent}
    for cls, kind in KIND_NAMES.items():
        found = [name for name, base in bases.items() if issubclass(cls, base)]
        assert found == [kind.split(".")[0]]
        assert issubclass(cls, blm.MetricsEvent)


@pytest.mark.parametrize(
    ("status", "values"),
    [
        (blm.SessionStatus, ["running", "completed", "error", "cancelled"]),
        (blm.RoundStatus, ["running", "success", "error", "cancelled"]),
        (blm.ForwardStatus, ["success", "error", "timeout"]),
    ],
)
def test_statuses_are_their_strings(status, values):
    """A status is the exact string of the design, also as ``str()`` and in an f-string."""
    assert [item.value for item in status] == values
    assert [str(item) for item in status] == values
    assert [f"{item}" for item in status] == values


# -- what every event is --------------------------------------------------------------------


@each
def test_frozen_and_slotted(event):
    """No attribute of an event can be set, deleted or added, and it has no ``__dict__``."""
    for name in [*values_of(event), "_extra", "unheard_of"]:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(event, name, "x")
        with pytest.raises(dataclasses.FrozenInstanceError):
            delattr(event, name)
    assert not hasattr(event, "__dict__")


@each
def test_a_dataclass_to_every_tool(event):
    """The tools of the standard library find a frozen dataclass, and the garbage collector nothing to look at."""
    names = tuple(item.name for item in dataclasses.fields(event))
    assert dataclasses.is_dataclass(event)
    assert type(event).__dataclass_params__.frozen
    assert all(item.kw_only and item.init for item in dataclasses.fields(event))
    assert tuple(inspect.signature(type(event)).parameters) == names == tuple(values_of(event))
    assert set(dataclasses.asdict(event)) == set(names)
    assert not gc.is_tracked(event)


@each
def test_changed_copies(event):
    """``dataclasses.replace``, and ``copy.replace`` where there is one, make an equal event of the same values."""
    replaced = [dataclasses.replace(event), *([copy.replace(event)] if hasattr(copy, "replace") else [])]
    assert all(made == event and made is not event for made in replaced)


@each
def test_keyword_only(event):
    """Fields are given by name only; an unknown name is refused."""
    with pytest.raises(TypeError):
        type(event)("s-1")
    with pytest.raises(TypeError, match="surprise"):
        type(event)(**values_of(event), surprise=1)


@each
def test_equal_by_value_and_hashable(event):
    """Events of the same values are equal and have one hash; another type is never equal."""
    again = fresh(event)
    assert again == event
    assert again is not event
    assert hash(again) == hash(event)
    assert {event: 1}[again] == 1
    assert event != values_of(event)


@each
def test_repr_names_class_and_fields(event):
    """The repr is the constructor's call, and what it says makes an equal object."""
    names = {**vars(blm), "datetime": __import__("datetime")}
    text = repr(event)
    assert text.startswith(type(event).__name__ + "(")
    for status in ("SessionStatus", "RoundStatus", "ForwardStatus"):
        text = re.sub(rf"<{status}\.(\w+): '\w+'>", rf"{status}.\1", text)
    assert eval(text, names) == event


@each
def test_unknown_keys_are_no_part_of_the_value(event):
    """The unknown keys an object was read with are in neither fields, repr, ``==`` nor hash."""
    other = with_unknown_keys(event)
    assert other == event
    assert hash(other) == hash(event)
    assert repr(other) == repr(event)
    assert values_of(other) == values_of(event)
    assert (event.extra, other.extra) == (None, '{"later":[1]}')


COPIES = [copy.copy, copy.deepcopy, *(lambda it, n=n: pickle.loads(pickle.dumps(it, n)) for n in range(6))]


@each
def test_copies_keep_everything(event):
    """A copy, a deep copy and a pickle of any protocol are equal and keep the unknown keys, nested ones too."""
    if hasattr(event, "meta"):
        event = dataclasses.replace(event, meta=with_unknown_keys(event.meta))
    for copied in COPIES:
        made = copied(with_unknown_keys(event))
        assert made == event
        assert type(made) is type(event)
        assert made.extra == '{"later":[1]}'
        assert copied(event).extra is None
        assert not hasattr(event, "meta") or made.meta.extra == '{"later":[1]}'


def test_replace_checks_the_new_value():
    """``dataclasses.replace`` gives another event with the same meta, by the same rules."""
    event = tool()
    changed = dataclasses.replace(event, latency_ms=5.5)
    assert (changed.latency_ms, changed.meta, event.latency_ms) == (5, event.meta, 1)
    with pytest.raises(ValueError, match=r"ToolCalled\.latency_ms"):
        dataclasses.replace(event, latency_ms=-1)


def test_match_by_keyword():
    """Events can be taken apart in a match statement, by family and by field."""
    found = []
    for event in EXAMPLES:
        match event:
            case blm.RoundCompleted(status=blm.RoundStatus.ERROR, usage=blm.TokenUsage(total_tokens=total)):
                found.append(total)
            case blm.ForwardEvent(meta=blm.EventMeta(trace_id=str(trace_id))):
                found.append(trace_id)
            case blm.SystemEvent(kind=kind):
                found.append(kind)
    assert found == [1801, "req-1", *(event.kind for event in EXAMPLES if isinstance(event, blm.SystemEvent))]


# -- meta and usage -------------------------------------------------------------------------


def test_made_meta_is_a_uuid4_of_now():
    """An id that was left out is a UUID v4, another each time; the time is now in UTC."""
    before = datetime.now(timezone.utc)
    made = [blm.EventMeta.new() for _ in range(1000)]
    after = datetime.now(timezone.utc)
    assert len({item.event_id for item in made}) == 1000
    assert all(uuid.UUID(item.event_id).version == 4 for item in made)
    assert all(str(uuid.UUID(item.event_id)) == item.event_id for item in made)
    assert all(before <= item.occurred_at <= after and item.occurred_at.tzinfo is timezone.utc for item in made)
    assert {item.trace_id for item in made} == {None}


def test_with_trace_id():
    """``with_trace_id`` makes a new meta within that trace."""
    made = blm.EventMeta.with_trace_id("req-abc-123")
    assert made.trace_id == "req-abc-123"
    assert made.event_id != blm.EventMeta.with_trace_id("req-abc-123").event_id


def test_each_event_makes_its_own_meta():
    """An event without a given meta gets one of its own."""
    first, second = (blm.SessionStarted(session_id="s", model="m") for _ in range(2))
    assert first.meta.event_id != second.meta.event_id


def test_usage_adds_part_by_part():
    """Adding usages adds each part, and None + n = n, None + None = None."""
    partly = dataclasses.replace(USAGE, reasoning_tokens=6)
    assert FULL_USAGE + partly == blm.TokenUsage(
        prompt_tokens=2468, completion_tokens=1134, total_tokens=3602,
        cache_read_tokens=1000, cache_write_tokens=0, reasoning_tokens=70,
    )  # fmt: skip
    assert partly + USAGE == USAGE + partly
    assert (USAGE + USAGE).cache_read_tokens is None


@given(USAGES, USAGES, USAGES)
@settings(deadline=None, max_examples=50)
def test_usage_addition_is_a_sum(first, second, third):
    """Addition is associative and commutative, ``sum()`` uses it, and a sum beyond 64 bits is refused."""
    parts = [item.name for item in dataclasses.fields(blm.TokenUsage)]
    rows = [[getattr(each, part) for each in (first, second, third)] for part in parts]
    sums = [sum(n for n in row if n is not None) for row in rows]
    if max(sums) >= 2**64:
        with pytest.raises(ValueError, match=r"TokenUsage\.\w+ must be from 0 to 18446744073709551615"):
            sum([first, second, third])
        return
    assert sum([first, second, third]) == first + (third + second) == (second + first) + third
    assert [getattr(first + second + third, part) or 0 for part in parts] == sums


@pytest.mark.parametrize("other", [1, None, "x", (1, 2, 3)])
def test_usage_adds_to_usage_only(other):
    """A usage plus anything else is a TypeError, except the 0 that ``sum()`` starts from."""
    with pytest.raises(TypeError):
        USAGE + other
    with pytest.raises(TypeError):
        other + USAGE
    assert 0 + USAGE is USAGE


# -- the rules of values --------------------------------------------------------------------

WITHIN = [
    ("prompt_tokens", usage, 0),
    ("prompt_tokens", usage, 2**64 - 1),
    ("cache_read_tokens", lambda n: dataclasses.replace(USAGE, cache_read_tokens=n), 2**64 - 1),
    ("message_count", lambda n: blm.MessageCountUpdated(session_id="s", message_count=n), 2**32 - 1),
    ("status_code", lambda n: request(status_code=n), 2**16 - 1),
    ("count", lambda n: blm.MetricsDropped(count=n, reason="closed"), 2**64 - 1),
    ("latency_ms", lambda n: tool(latency_ms=n), 2**64 - 1),
]


@pytest.mark.parametrize(("name", "make", "number"), WITHIN)
def test_counts_within_their_limits(name, make, number):
    """A count may be anything from 0 to the largest of its 16, 32 or 64 bits."""
    kept = getattr(make(number), name)
    assert (kept, type(kept)) == (number, int)


@pytest.mark.parametrize(("name", "make", "number"), [*((name, make, n + 1) for name, make, n in WITHIN[1:]),
                                                       *((name, make, -1) for name, make, _ in WITHIN)])  # fmt: skip
def test_counts_beyond_their_limits(name, make, number):
    """A count below 0 or beyond its bits is a ValueError with class, field, limits, value and remedy."""
    with pytest.raises(ValueError, match=rf"^\w+\.{name} must be from 0 to \d+; got {number} \(int\)\. Pass [\w ]+"):
        make(number)


@pytest.mark.parametrize(("given", "kept"), [(HTTPStatus.TOO_MANY_REQUESTS, 429), (Number(503), 503), (Code.OK, 200)])
def test_integers_of_other_types_become_int(given, kept):
    """IntEnum members and numpy-like integers are kept as exact int."""
    event = request(status_code=given)
    assert event.status_code == kept
    assert type(event.status_code) is int


@pytest.mark.parametrize("value", [True, False, 1.0, "5", None, Decimal(5), Fraction(5), [1], b"5"])
@pytest.mark.parametrize("make", [usage, lambda value: request(status_code=value)])
def test_other_values_are_no_counts(make, value):
    """A bool, a float, a text or anything else for a count is a TypeError that names it."""
    pattern = rf"must be a whole number; got {re.escape(repr(value))} \({type(value).__name__}\)\. Pass "
    with pytest.raises(TypeError, match=pattern):
        make(value)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (0, 0), (-0.0, 0), (12.999, 12), (0.5, 0), (1e18, 10**18), (Decimal("12.9"), 12), (Fraction(25, 2), 12),
        (Code.OK, 200), (2**64 - 1, 2**64 - 1),
    ],
)  # fmt: skip
def test_latency_takes_any_number_and_floors_it(given, kept):
    """Latency may be an int, float, Decimal or Fraction; it is kept as an int, floored."""
    event = tool(latency_ms=given)
    assert event.latency_ms == kept
    assert type(event.latency_ms) is int


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (float("nan"), "finite"), (float("inf"), "finite"), (float("-inf"), "finite"), (Decimal("NaN"), "finite"),
        (Decimal("sNaN"), "finite"), (Decimal("Infinity"), "finite"), (Decimal("1e400"), "finite"),
        (-1, "from 0 to 18446744073709551615"), (-0.001, ">= 0"), (Decimal("-0.1"), ">= 0"),
        (2**64, "from 0 to 18446744073709551615"), (1e300, "from 0 to"), (Fraction(10**400), "from 0 to"),
        (Code.HUGE, "from 0 to"), pytest.param(10**5000, "from 0 to", id="5001 digits"),
    ],
)  # fmt: skip
def test_latency_out_of_range(value, fault):
    """A latency that is not finite, below 0 or beyond 64 bits is a ValueError that says so and what to pass."""
    with pytest.raises(ValueError, match=rf"^ToolCalled\.latency_ms must be {fault}.*; got .*\. Pass the elapsed"):
        tool(latency_ms=value)


@pytest.mark.parametrize("value", [True, "12", None, 1j, [12], Number(12)])
def test_other_values_are_no_latency(value):
    """A bool, text, complex number or anything else for a latency is a TypeError."""
    with pytest.raises(TypeError, match=rf"^ToolCalled\.latency_ms must be a number; got .* \({type(value).__name__}"):
        tool(latency_ms=value)


@pytest.mark.parametrize("name", ["tool_call_id", "tool_name", "session_id"])
@pytest.mark.parametrize("value", [None, 7, b"x", uuid.UUID(int=1), ["x"]])
def test_other_values_are_no_text(name, value):
    """Anything but a str for a text is a TypeError that suggests ``str(value)``."""
    with pytest.raises(TypeError, match=rf"^ToolCalled\.{name} must be a str; got .*\. Pass str\(value\)"):
        tool(**{name: value})


def test_text_subclasses_become_exact_text():
    """A str subclass is kept as an exact str of the same characters, which nothing can change later."""
    given = Text("s-1")
    given.more = []
    event = tool(session_id=given, meta=blm.EventMeta(event_id=Text("e"), trace_id=Text("")))
    assert event.session_id == "s-1"
    assert {type(text) for text in (event.session_id, event.meta.event_id, event.meta.trace_id)} == {str}


def test_event_id_must_not_be_empty():
    """An event id is any text but the empty one."""
    assert blm.EventMeta(event_id="0").event_id == "0"
    with pytest.raises(ValueError, match=r"EventMeta\.event_id must not be empty; got ''\. Leave it out"):
        blm.EventMeta(event_id="")


@pytest.mark.parametrize("value", [0, 1, "false", None, "yes"])
def test_flags_are_true_or_false(value):
    """Only True and False are flags; 0, 1 and 'false' are a TypeError that suggests ``bool(value)``."""
    with pytest.raises(TypeError, match=r"ToolCalled\.success must be True or False; got .*\. Pass bool\(value\)"):
        tool(success=value)
    with pytest.raises(TypeError, match=r"RequestStarted\.is_stream must be True or False"):
        blm.RequestStarted(request_id="q", endpoint="e", model="m", is_stream=value)


@pytest.mark.parametrize("given", ["timeout", blm.ForwardStatus.TIMEOUT, Text("timeout")])
def test_status_strings_become_members(given):
    """A status may be given as a member or as its exact string, and is kept as the member."""
    assert request(status=given).status is blm.ForwardStatus.TIMEOUT


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("failed", ValueError), ("Success", ValueError), ("", ValueError), ("running", ValueError),
        (blm.RoundStatus.SUCCESS, ValueError), (HTTPStatus.OK, TypeError), (None, TypeError), (True, TypeError),
        (200, TypeError), (["success"], TypeError),
    ],
)  # fmt: skip
def test_other_values_are_no_status(value, kind):
    """Another string, another enum's member or no text is refused with a list of what is right."""
    pattern = r"^RequestCompleted\.status must be a ForwardStatus, one of 'success', 'error', 'timeout'; got "
    with pytest.raises(kind, match=pattern):
        request(status=value)


class Stamp(datetime):
    """A datetime as pandas' are."""


EAST = timezone(timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    "given",
    [
        datetime(2026, 11, 22, 15, 47, 13, 417_696, timezone.utc),
        datetime(2026, 11, 22, 21, 17, 13, 417_696, EAST),
        Stamp(2026, 11, 22, 15, 47, 13, 417_696, timezone.utc),
        datetime(2026, 11, 22, 15, 47, 13, 417_696, timezone(timedelta(0), "GMT")),
    ],
)
def test_times_become_utc(given):
    """A time of any zone or datetime subclass is kept as the same moment: an exact datetime in UTC."""
    kept = blm.EventMeta(occurred_at=given).occurred_at
    assert kept == given
    assert type(kept) is datetime
    assert kept.tzinfo is timezone.utc


@pytest.mark.parametrize(
    ("value", "kind", "fault"),
    [
        (datetime(2026, 1, 1), ValueError, "must have a time zone"),
        (datetime(1, 1, 1, tzinfo=EAST), ValueError, "is outside the years 1 to 9999 in UTC"),
        (
            datetime(9999, 12, 31, 23, tzinfo=timezone(-timedelta(hours=5))),
            ValueError,
            "is outside the years 1 to 9999",
        ),
        ("2026-11-22T15:47:13Z", TypeError, "must be a datetime"),
        (1_700_000_000.0, TypeError, "must be a datetime"),
        (datetime(2026, 1, 1).date(), TypeError, "must be a datetime"),
        (None, TypeError, "must be a datetime"),
    ],
)
def test_other_values_are_no_time(value, kind, fault):
    """A naive time, one outside the years in UTC, or no datetime is refused with the remedy."""
    pattern = rf"^EventMeta\.occurred_at {fault}.*; got .*\. Pass datetime\.now\(timezone\.utc\)"
    with pytest.raises(kind, match=pattern):
        blm.EventMeta(occurred_at=value)


@pytest.mark.parametrize(
    ("make", "where"),
    [
        (lambda: tool(meta=None), r"ToolCalled\.meta must be a EventMeta; got None \(NoneType\)\. Pass EventMeta"),
        (lambda: tool(meta={"event_id": "e"}), r"ToolCalled\.meta must be a EventMeta; got \{'event_id': 'e'\}"),
        (lambda: request(usage=5), r"RequestCompleted\.usage must be a TokenUsage; got 5 \(int\)\. Pass TokenUsage"),
        (
            lambda: blm.RoundCompleted(round_id="r", session_id="s", status="success", usage=None, latency_ms=1),
            r"RoundCompleted\.usage must be a TokenUsage; got None",
        ),
    ],
)
def test_parts_are_of_their_class(make, where):
    """A meta or usage that is none is a TypeError; only a request's usage may be None."""
    with pytest.raises(TypeError, match=where):
        make()
    assert request(usage=None).usage is None


def test_a_value_that_cannot_be_shown_is_still_named():
    """The message survives a value whose repr raises, and a long value is shown shortened."""

    class Bad:
        def __repr__(self):
            raise RuntimeError

    with pytest.raises(TypeError, match=r"got an unprintable value|<Bad instance at"):
        tool(tool_name=Bad())
    with pytest.raises(TypeError, match="must be a whole number") as caught:
        usage("x" * 10_000)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(("family", "variant"), [("Chat", "SessionStarted"), ("system", "worker_started")])
def test_a_known_kind_is_no_unknown_event(family, variant):
    """An UnknownEvent cannot be made of a known kind: its line would pass for the log's own."""
    with pytest.raises(ValueError, match=rf"got '{family.lower()}\.\w+'\. Pass (SessionStarted|WorkerStarted)\("):
        blm.UnknownEvent(family=family, variant=variant)


@given(EVENTS)
@settings(deadline=None, max_examples=100)
def test_any_event_is_what_was_given(event):
    """Whatever values within the rules an event is made of, it keeps them and stays hashable and copyable."""
    assert fresh(event) == event
    assert hash(fresh(event)) == hash(event)
    assert pickle.loads(pickle.dumps(event)) == event == copy.deepcopy(event)
