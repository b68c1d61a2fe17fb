"""The fast conversion of tagged JSON gives what dataclasses-json gives, for everything."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.strategies import EVENTS, EXAMPLES, JSON, UNKNOWN

import bamboo_logmetrics as blm
from bamboo_logmetrics.errors import DecodeError
from bamboo_logmetrics.events.tagged_lines import from_line, to_line


def slowly(raw):
    """Return the event that the general conversion gives, or its error."""
    try:
        return blm.MetricsEvent.from_json(raw)
    except (DecodeError, UnicodeDecodeError) as error:
        return str(error)


def quickly(raw):
    try:
        return from_line(raw)
    except (DecodeError, UnicodeDecodeError) as error:
        return str(error)


@given(EVENTS | UNKNOWN)
def test_lines_are_the_same(event):
    """A line is the text of ``to_json``, and gives the event back."""
    line = to_line(event)
    assert json.loads(line) == json.loads(event.to_json())
    back = from_line(line)
    assert back == blm.MetricsEvent.from_json(event.to_json())
    assert type(back) is type(event)


@given(st.sampled_from(EXAMPLES), st.data())
def test_any_change_has_the_same_effect(event, data):
    """A value that is replaced, left out or added anywhere gives the same event, or the same error."""
    form = event.to_dict()
    places = [(form, key) for key in form]
    for holder, key in places:
        if isinstance(holder[key], dict):
            places += [(holder[key], inner) for inner in holder[key]]
    holder, key = data.draw(st.sampled_from(places))
    match data.draw(st.sampled_from(["replace", "remove", "add"])):
        case "replace":
            holder[key] = data.draw(JSON)
        case "remove":
            del holder[key]
        case _:
            holder[data.draw(st.text(max_size=3))] = data.draw(JSON)
    raw = json.dumps(form).encode()
    assert quickly(raw) == slowly(raw)
    extra = getattr(quickly(raw), "extra", None)
    assert extra == getattr(slowly(raw), "extra", None)


@pytest.mark.parametrize(
    "raw",
    [b"", b"{torn", b"5", b"[]", b"{}", b'{"Chat":{"X":{}}}', b"\xff", b"[" * 100_000, b'{"a":NaN}', b'{"a":1e999}'],
)
def test_no_event(raw):
    """A line that is no event has the error of the general conversion."""
    assert quickly(raw) == slowly(raw)


def test_what_only_the_general_conversion_knows():
    """Unknown keys, also of a part, and texts that UTF-8 cannot hold take the general way."""
    form = EXAMPLES[4].to_dict()
    form["Chat"]["RoundCompleted"]["usage"]["later"] = 1
    event = blm.MetricsEvent.from_dict(form)
    assert json.loads(to_line(event)) == form
    assert json.loads(to_line(from_line(to_line(event)))) == form
    event = blm.SessionStarted(session_id="\ud800", model="m")
    assert to_line(event) == event.to_json().encode()
    form["Chat"]["RoundCompleted"]["more"] = 1
    assert json.loads(to_line(blm.MetricsEvent.from_dict(form))) == form


def test_an_event_of_an_application():
    """An event of an application's class takes the general way."""

    class IndexWarmed(blm.ChatEvent):
        entries: int

    event = IndexWarmed(entries=5)
    assert to_line(event) == event.to_json().encode()
    assert from_line(to_line(event)) == event
