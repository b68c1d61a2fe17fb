"""Classes of an application that hold events and are converted by dataclasses-json."""

from __future__ import annotations

import dataclasses
import json
import typing
from dataclasses import dataclass, field

import pytest
from dataclasses_json import DataClassJsonMixin, config, dataclass_json
from support.tools import tool

import bamboo_logmetrics as blm

STARTED = blm.SessionStarted(session_id="s", model="m")
ROUND = blm.RoundStarted(round_id="r", session_id="s", model="m")
USAGE = blm.TokenUsage(prompt_tokens=1, completion_tokens=2, total_tokens=3, cache_read_tokens=1)
DONE = blm.RoundCompleted(round_id="r", session_id="s", status="success", usage=USAGE, latency_ms=5)


def any_event(data):
    return [blm.MetricsEvent.from_dict(item) for item in data]


@dataclass_json
@dataclass
class Trace:
    events: list[blm.SessionStarted]
    last: blm.RoundCompleted | None = None
    by_name: dict[str, blm.ToolCalled] = field(default_factory=dict)
    usage: blm.TokenUsage | None = None
    meta: blm.EventMeta | None = None
    mixed: list[typing.Union[blm.SessionStarted, blm.RoundStarted, blm.RoundCompleted]] = field(  # noqa: UP007
        default_factory=list
    )
    whatever: list[blm.MetricsEvent] = field(default_factory=list, metadata=config(decoder=any_event))
    own: tuple[blm.WorkerStarted, ...] = ()


@dataclass
class Inner(DataClassJsonMixin):
    event: blm.RequestCompleted


@dataclass
class Outer(DataClassJsonMixin):
    inner: list[Inner]


@dataclass
class Base(DataClassJsonMixin):
    events: list[blm.ChatEvent]


def test_a_class_that_holds_events_comes_back_equal():
    """Events in lists, mappings, unions and tuples, and their parts, are read as what they were."""
    request = blm.RequestCompleted(request_id="q", status_code=200, status="success", latency_ms=1)
    unknown = blm.MetricsEvent.from_dict({"Chat": {"SessionPaused": {"a": 1}}})
    trace = Trace(
        events=[STARTED], last=DONE, by_name={"a": tool(1)}, usage=USAGE, meta=STARTED.meta, mixed=[ROUND, DONE, STARTED],
        whatever=[STARTED, request, unknown, blm.WorkerStarted()], own=(blm.WorkerStarted(),),
    )  # fmt: skip
    assert Trace.from_json(trace.to_json()) == trace
    assert Trace.from_dict(trace.to_dict()) == trace
    assert dataclasses.replace(trace, events=[]) == Trace.from_json(dataclasses.replace(trace, events=[]).to_json())
    outer = Outer([Inner(request)])
    assert Outer.from_json(outer.to_json(indent=2)) == outer


def test_an_event_within_a_class_has_its_tagged_form():
    """The JSON of a class holds each event as its tagged form, also with encode_json."""
    data = json.loads(Trace([STARTED], last=DONE).to_json())
    assert data["events"] == [STARTED.to_dict()]
    assert data["last"] == DONE.to_dict()
    assert Trace([STARTED]).to_dict(encode_json=True)["events"] == [STARTED.to_dict()]


def test_an_event_by_its_fields_is_read():
    """An event that is written without its tag, as dataclasses.asdict has it, is read where its class is known."""
    body = DONE.to_dict()["Chat"]["RoundCompleted"]
    assert Trace.from_dict({"events": [], "last": body}).last == DONE
    assert Trace.from_dict({"events": [{"session_id": "s", "model": "m"}]}).events[0].model == "m"


def test_another_event_is_an_error():
    """An event of another class, and a base class that could be many, are errors, not another event."""
    with pytest.raises(blm.DecodeError, match="not a SessionStarted but a RoundCompleted"):
        Trace.from_dict({"events": [DONE.to_dict()]})
    with pytest.raises(blm.DecodeError, match="may hold events of many classes"):
        Base.from_json(Base([STARTED]).to_json())
    with pytest.raises(TypeError):
        blm.ChatEvent().to_dict()


@pytest.mark.parametrize("read", [blm.SessionStarted.from_dict, blm.ForwardEvent.from_dict, blm.UnknownEvent.from_dict])
def test_a_class_reads_only_its_own_events(read):
    """A class refuses the tagged form of another class; bases read their family, MetricsEvent any."""
    with pytest.raises(blm.DecodeError, match="but a RoundCompleted"):
        read(DONE.to_dict())


def test_what_a_class_reads():
    """A class reads its own events, a base those of its family, unknown ones too."""
    assert blm.SessionStarted.from_json(STARTED.to_json()) == STARTED
    assert blm.RoundCompleted.from_json(DONE.to_json().encode()) == DONE
    assert blm.ChatEvent.from_json(DONE.to_json()) == DONE
    assert blm.MetricsEvent.from_json(DONE.to_json()) == DONE
    unknown = {"Chat": {"SessionPaused": {"a": 1}}}
    assert (
        blm.ChatEvent.from_dict(unknown) == blm.UnknownEvent.from_dict(unknown) == blm.MetricsEvent.from_dict(unknown)
    )
    for cls in (blm.ForwardEvent, blm.SessionStarted):
        with pytest.raises(blm.DecodeError):
            cls.from_dict(unknown)


def test_keywords_of_json_dumps():
    """to_json takes the keywords of json.dumps; what it writes is read again."""
    event = blm.SessionStarted(session_id="é\ud800", model="m")
    assert event.to_json(indent=2).startswith('{\n  "Chat": {\n    "SessionStarted": {\n')
    assert "\\u00e9" in event.to_json(ensure_ascii=True)
    assert event.to_json(sort_keys=True, separators=(", ", ":")).index('"meta"') < event.to_json().index('"model"')
    for options in ({"indent": 2}, {"indent": "\t", "sort_keys": True}):
        assert blm.MetricsEvent.from_json(STARTED.to_json(**options)) == STARTED
    assert blm.UnknownEvent(family="A", variant="B").to_json(indent=1) == '{\n "A": "B"\n}'
