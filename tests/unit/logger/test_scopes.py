"""Scopes: what they emit, where they belong, and their usage; with real logs, read back."""

from __future__ import annotations

import asyncio
import gc

import pytest
import structlog
from support.tools import flat, typed

import bamboo_logmetrics as blm
from bamboo_logmetrics.logger.scope_context import current_request, current_round, current_session
from bamboo_logmetrics.testing import ManualClock
from bamboo_logmetrics.usage import CallFacts, Iteration, UnknownUsage

USAGE = blm.TokenUsage(prompt_tokens=10, completion_tokens=5, total_tokens=15, cache_read_tokens=4)
NUMBERS = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "cache_read_tokens": 4}


def lines(log, path):
    """Close the log and return the lines of its events."""
    assert log.close()
    assert blm.verify([path], complete=True).ok
    return typed(path)


def short(found):
    return [line["event"].partition(".")[2] for line in found]


def picked(line, **expected):
    return {name: line.get(name) for name in expected}


def test_an_agent_turn(log, path):
    """A session with a round and a tool: each event once, with the ids of where it belongs."""
    with log.session(model="m", user="u") as session:
        with log.round(model="m-1") as call:
            call.usage = USAGE
        with log.tool("read_file", skill="s") as tool:
            pass
        session.message_count = 4
    found = lines(log, path)
    assert short(found) == [
        "session_started", "round_started", "round_completed", "tool_called", "message_count_updated", "session_completed"
    ]  # fmt: skip
    assert {line["session_id"] for line in found} == {session.session_id}
    started, round_started, completed, called, count, ended = found
    assert picked(started, model="m", user="u") == {"model": "m", "user": "u"}
    assert round_started["round_id"] == completed["round_id"] == called["round_id"] == call.round_id
    assert picked(completed, **NUMBERS) == NUMBERS
    expected = {"status": "success", "model": "m-1", "usage_source": "reported", "error": None, "error_type": None}
    assert picked(completed, **expected) == expected
    expected = {"tool_call_id": tool.tool_call_id, "success": True, "skill": "s", "round_source": None, "user": None}
    assert picked(called, **expected) == expected
    assert (count["message_count"], count["user"]) == (4, "u")
    assert (ended["status"], ended["user"]) == ("completed", "u")
    assert session.message_count == 4


def test_ids_that_are_given(log, path):
    """Given ids are the events' own, for each kind of scope."""
    with (
        log.session(model="m", session_id="s"),
        log.round(model="m", round_id="r"),
        log.tool("t", tool_call_id="c"),
    ):
        pass
    with log.tool("t", round_id="r-9", session_id="s-9"):
        pass
    with log.round(model="m", session_id="s-8"), log.request(endpoint="e", model="m", request_id="q"):
        pass
    found = lines(log, path)
    assert picked(found[2], tool_call_id="", round_id="", session_id="") == {
        "tool_call_id": "c", "round_id": "r", "session_id": "s"
    }  # fmt: skip
    assert (found[5]["round_id"], found[5]["session_id"]) == ("r-9", "s-9")
    assert found[7]["request_id"] == "q"
    assert found[7]["session_id"] == "s-8"


def test_latency_and_first_token(open_log, path):
    """Latency and the time to the first token are of the monotonic clock, and kept in whole milliseconds."""
    clock = ManualClock()
    log = open_log(clock=clock)
    with log.session(model="m"), log.round(model="m") as call:
        clock.advance(0.25)
        call.first_token()
        clock.advance(0.7509)
        call.first_token()
    with log.tool("t"):
        clock.advance(2)
    found = lines(log, path)
    assert (found[2]["latency_ms"], found[2]["time_to_first_token_ms"]) == (1000, 250)
    assert found[4]["latency_ms"] == 2000


def test_a_tool_outside_a_round_belongs_to_the_last(log, path):
    """A tool after a round belongs to it; before the first one of its session it says that the round is missing."""
    with log.session(model="m", session_id="s"):
        with log.tool("early"):
            pass
        for name in ("r-1", "r-2"):
            with log.round(model="m", round_id=name):
                pass
            with log.tool(name):
                pass
    with log.tool("outside"):
        pass
    tools = [line for line in lines(log, path) if line["event"] == "chat.tool_called"]
    assert [line["round_id"] for line in tools] == ["", "r-1", "r-2", ""]
    assert [line.get("round_source") for line in tools] == ["missing", None, None, "missing"]
    assert [line.get("session_source") for line in tools] == [None, None, None, "missing"]
    assert tools[3]["session_id"]


def test_a_round_outside_a_session(log, path):
    """A round outside a session takes the bound session; without one it gets an id of its own and says so."""
    with log.bind(session_id="s-1").round(model="m"):
        pass
    structlog.contextvars.bind_contextvars(session_id="s-2")
    with log.round(model="m"):
        pass
    structlog.contextvars.clear_contextvars()
    with log.round(model="m"), log.tool("t"):
        pass
    found = lines(log, path)
    assert [line["session_id"] for line in found[:4]] == ["s-1", "s-1", "s-2", "s-2"]
    assert len({line["session_id"] for line in found[4:]}) == 1
    assert [line.get("session_source") for line in found] == [None] * 4 + ["missing", None, "missing"]


def test_a_session_takes_the_id_that_is_bound(log, path):
    """A session of a logger with a bound session id has this id; one inside it has a new one."""
    log = log.bind(session_id="s-1")
    with log.session(model="m") as outer, log.session(model="m") as inner:
        assert outer.session_id == "s-1" != inner.session_id
    found = lines(log, path)
    assert found[1]["parent_session_id"] == "s-1"


def test_a_session_within_a_tool(log, path):
    """A sub-agent's session has its parent and the parent's tool; its tools are not the parent's round's."""
    with log.session(model="m", session_id="s"), log.round(model="m", round_id="r"):
        with log.tool("task", tool_call_id="c"), log.session(model="m", session_id="sub"), log.tool("inner"):
            assert current_round() is None
        assert current_round().round_id == "r"
    found = lines(log, path)
    for line in found:
        if line["session_id"] == "sub" and line["event"] != "chat.tool_called":
            assert (line["parent_session_id"], line["parent_tool_call_id"]) == ("s", "c")
    inner = next(line for line in found if line.get("tool_name") == "inner")
    assert picked(inner, round_id="", round_source="", parent_session_id="") == {
        "round_id": "", "round_source": "missing", "parent_session_id": None
    }  # fmt: skip


def test_an_mcp_tool_names_its_server(log, path):
    """The server of an MCP tool is bound, as importers do."""
    for name in ("mcp__files__read", "mcp__", "read"):
        with log.tool(name):
            pass
    assert [line.get("mcp_server") for line in lines(log, path)] == ["files", None, None]


def test_what_is_current(log):
    """The innermost open scope of a kind is current, and none after its end."""
    assert (current_session(), current_round(), current_request()) == (None, None, None)
    with log.session(model="m") as outer, log.round(model="m") as call:
        with log.request(endpoint="e", model="m") as request:
            assert (current_session(), current_round(), current_request()) == (outer, call, request)
            with log.tool("t"):
                assert (current_round(), current_request()) == (call, None)
        assert current_request() is None
    assert (current_session(), current_round()) == (None, None)


# -- usage ---------------------------------------------------------------------------------


def facts(prompt=1, completion=2, source="reported", **values):
    usage = blm.TokenUsage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)
    bound = values.pop("bound", {})
    return CallFacts(usage=usage, usage_source=source, bound=bound, iterations=values.pop("iterations", []), **values)


def completed_round(log, path):
    return next(line for line in lines(log, path) if line["event"] == "chat.round_completed")


def test_a_round_without_usage(log, path):
    """A round whose usage nobody knows has zeros, and says that they are no count."""
    with log.round(model="m"):
        pass
    line = completed_round(log, path)
    assert picked(line, prompt_tokens=0, total_tokens=0, usage_source="") == {
        "prompt_tokens": 0, "total_tokens": 0, "usage_source": "missing"
    }  # fmt: skip


def test_a_round_sums_what_was_observed(log, path):
    """Several calls observed in a round are summed, and their number bound."""
    with log.round(model="m") as call:
        assert call.observe(facts(bound={"response_model": "m-1", "web_searches": 1, "stop_reason": "a"}))
        assert call.observe(facts(10, 20, bound={"response_model": "m-1", "web_searches": 2, "stop_reason": "b"}))
        assert call.usage.total_tokens == 33
    assert not call.observe(facts())
    line = completed_round(log, path)
    expected = {
        "prompt_tokens": 11, "completion_tokens": 22, "calls": 2, "response_model": "m-1", "web_searches": 3,
        "stop_reason": None, "usage_source": "reported",
    }  # fmt: skip
    assert picked(line, **expected) == expected


@pytest.mark.parametrize(
    ("observed", "values"),
    [
        ([facts(), facts(source="partial")], (2, "partial", 2)),
        ([facts(), CallFacts()], (1, "partial", 2)),
        ([CallFacts(error_type="RateLimitError"), facts()], (1, "reported", None)),
        ([facts(calls_id="resp-1"), facts(5, calls_id="resp-1")], (5, "reported", None)),
        ([CallFacts()], (0, "missing", None)),
    ],
    ids=["partial", "one without usage", "a failed attempt", "polled twice", "only one without usage"],
)
def test_the_source_of_a_sum(log, path, observed, values):
    """A lower bound is partial, an attempt that failed has no usage, and what is polled again is counted once."""
    with log.round(model="m") as call:
        for item in observed:
            call.observe(item)
    line = completed_round(log, path)
    assert (line["prompt_tokens"], line.get("usage_source"), line.get("calls")) == values


def test_own_usage_goes_before_what_was_observed(log, path):
    """Usage that the application sets is the round's; values of the observed call are bound all the same."""
    with log.round(model="m") as call:
        call.observe(facts(1, 1, bound={"service_tier": "flex"}))
        call.usage = USAGE
        assert call.usage == USAGE
    line = completed_round(log, path)
    assert (line["total_tokens"], line["service_tier"]) == (15, "flex")


def test_usage_can_be_taken_back_and_added(log, path):
    """None takes the usage back; add_usage sums, and binds the number of calls."""
    with log.round(model="m") as call:
        call.usage = USAGE
        call.usage = None
        assert call.usage is None
        call.add_usage(USAGE)
        call.add_usage({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2})
    line = completed_round(log, path)
    assert (line["total_tokens"], line["calls"]) == (17, 2)


def test_usage_of_a_provider_s_library(log, path):
    """An answer's usage as a dict of the provider's is read; an unknown shape is an error that names the shapes."""
    with log.round(model="m") as call:
        call.usage = {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 3}
        with pytest.raises(UnknownUsage):
            call.add_usage({"whatever": 1})
        with pytest.raises(TypeError):
            call.usage = 12
    line = completed_round(log, path)
    assert (line["prompt_tokens"], line["completion_tokens"], line["cache_read_tokens"]) == (13, 5, 3)


def test_iterations_are_events_of_their_own(log, path):
    """An iteration outside the usage is a completed round without a start, with its own model and its parent."""
    outside = [
        Iteration(name="compaction", model="m-2", usage=USAGE),
        Iteration(name="advisor", model="m-3", usage=None),
    ]
    with log.round(model="m", user="u") as call:
        call.observe(facts(iterations=outside))
    found = lines(log, path)
    assert short(found) == ["round_started"] + ["round_completed"] * 3
    _, own, compaction, advisor = found
    assert own["prompt_tokens"] == 1
    for line, name, model, total, source in (
        (compaction, "compaction", "m-2", 15, "reported"),
        (advisor, "advisor", "m-3", 0, "missing"),
    ):
        expected = {
            "iteration": name, "model": model, "total_tokens": total, "usage_source": source, "user": "u",
            "parent_round_id": call.round_id, "latency_source": "missing", "session_id": call.session_id,
        }  # fmt: skip
        assert picked(line, **expected) == expected
    assert len({line["round_id"] for line in found[1:]}) == 3


def test_a_call_that_failed_fails_the_round(log, path):
    """A round whose only call was answered with an error is an error, although its block returned."""
    with log.round(model="m") as call:
        call.observe(CallFacts(error="overloaded", error_type="overloaded_error"))
    line = completed_round(log, path)
    assert picked(line, status="", error="", error_type="", usage_source="") == {
        "status": "error", "error": "overloaded", "error_type": "overloaded_error", "usage_source": "missing"
    }  # fmt: skip


def test_a_sum_that_no_event_can_hold(log, path, capfd):
    """A sum beyond 64 bits costs the usage, not the event, and is reported."""
    with log.round(model="m") as call:
        call.observe(facts(2**63, 0))
        call.observe(facts(2**63, 0))
    assert completed_round(log, path)["usage_source"] == "missing"
    assert "an event of a round scope" in capfd.readouterr().err


def test_usage_after_the_block(log):
    """Usage that is set after the end of the block is an error, because it would be lost."""
    with log.round(model="m") as call:
        pass
    late_calls = [
        lambda: setattr(call, "usage", USAGE),
        lambda: call.add_usage(USAGE),
        lambda: call.fail("x"),
        lambda: call.bind(a=1),
    ]
    for late in late_calls:
        with pytest.raises(RuntimeError, match="this round has ended"):
            late()
    call.first_token()


# -- requests ------------------------------------------------------------------------------


def completed_request(log, path):
    return next(line for line in lines(log, path) if line["event"] == "forward.request_completed")


def test_a_request_in_a_round(log, path):
    """A request has the ids of its round, and the round takes its usage."""
    with (
        log.session(model="m") as session,
        log.round(model="m") as call,
        log.request(endpoint="openai.chat_completions", model="m-1", is_stream=True, provider="p") as request,
    ):
        request.usage = USAGE
        request.status_code = 201
        request.first_token()
    found = lines(log, path)
    started, completed = found[2], found[3]
    place = {"round_id": call.round_id, "session_id": session.session_id, "provider": "p"}
    for line in (started, completed):
        assert picked(line, **place) == place
    assert picked(started, endpoint="", model="", is_stream="") == {
        "endpoint": "openai.chat_completions", "model": "m-1", "is_stream": True
    }  # fmt: skip
    assert picked(completed, **NUMBERS) == NUMBERS
    assert (completed["status"], completed["status_code"], completed["model"]) == ("success", 201, "m-1")
    assert completed["time_to_first_token_ms"] >= 0
    assert picked(found[4], **NUMBERS) == NUMBERS


def test_a_request_in_a_session_and_alone(log, path):
    """A request outside a round has its session's id, if there is one; success without a status is 200."""
    with log.session(model="m", session_id="s"), log.request(endpoint="e", model="m"):
        pass
    with log.request(endpoint="e", model="m"):
        pass
    requests = [line for line in lines(log, path) if line["event"].startswith("forward.")]
    assert [line.get("session_id") for line in requests] == ["s", "s", None, None]
    assert all("round_id" not in line for line in requests)
    assert picked(requests[3], status_code=0, usage_source="", prompt_tokens=0) == {
        "status_code": 200, "usage_source": "missing", "prompt_tokens": None
    }  # fmt: skip


def test_a_status_of_an_error(log, path):
    """A status from 400 on is an error, also when no exception was raised."""
    with log.request(endpoint="e", model="m") as request:
        with pytest.raises(TypeError, match="status_code must be a whole number"):
            request.status_code = "429"
        request.status_code = 429
        assert request.status_code == 429
    line = completed_request(log, path)
    assert picked(line, status="", status_code=0, error_type="", usage_source="") == {
        "status": "error", "status_code": 429, "error_type": "429", "usage_source": None
    }  # fmt: skip


def test_an_error_inside_an_answer(log, path):
    """A transport's error inside a 200 makes the request an error with the provider's words."""
    with log.request(endpoint="e", model="m") as request:
        request.status_code = 200
        request.observe(CallFacts(error="slow down", error_type="rate_limit_exceeded"))
    line = completed_request(log, path)
    assert (line["status"], line["status_code"], line["error"]) == ("error", 200, "slow down")


def test_a_request_in_a_request_is_counted_once(log, path):
    """A request scope inside another one emits nothing: the outer one takes its usage."""
    with log.request(endpoint="outer", model="m"), log.request(endpoint="inner", model="m") as inner:
        inner.usage = USAGE
    found = lines(log, path)
    assert short(found) == ["request_started", "request_completed"]
    assert found[0]["endpoint"] == "outer"
    assert picked(found[1], **NUMBERS) == NUMBERS


def test_iterations_of_a_request(log, path):
    """A request's iterations are requests without a start; inside a round it has its own, of the kind of a round."""
    outside = [Iteration(name="compaction", model="m-2", usage=USAGE)]
    with log.round(model="m") as call, log.request(endpoint="e", model="m") as request:
        request.observe(facts(iterations=outside))
    with log.request(endpoint="e", model="m") as request:
        request.observe(facts(iterations=outside))
    iterations = [line for line in lines(log, path) if "iteration" in line]
    assert short(iterations) == ["request_completed", "round_completed", "request_completed"]
    assert [line.get("parent_round_id") for line in iterations] == [call.round_id, call.round_id, None]
    assert {line["total_tokens"] for line in iterations} == {15}


def test_a_request_that_outlives_its_round(log, path):
    """A request that ends after its round has ended counts by itself: its end has no round."""
    with log.session(model="m"):
        with log.round(model="m"):
            request = log.request(endpoint="e", model="m").__enter__()
        request.usage = USAGE
        request.__exit__(None, None, None)
    found = lines(log, path)
    assert found[2]["round_id"] == found[3]["round_id"]
    assert found[3]["usage_source"] == "missing"
    assert "round_id" not in found[4]
    assert found[4]["session_id"] == found[2]["session_id"]


def test_a_stream_that_is_read_after_its_request(log, path):
    """Usage that comes after the end of the request's block is still the round's; a second one is not counted."""
    with log.round(model="m"):
        with log.request(endpoint="e", model="m") as request:
            request.first_token()
        assert request.observe(facts(3, 4, bound={"stop_reason": "end"}))
        assert not request.observe(facts())
    assert not request.observe(facts())
    found = lines(log, path)
    assert found[2]["usage_source"] == "missing"
    expected = {"prompt_tokens": 3, "total_tokens": 7, "stop_reason": "end", "usage_source": "reported", "calls": None}
    assert picked(found[3], **expected) == expected
    assert found[3]["time_to_first_token_ms"] == found[2]["time_to_first_token_ms"]


def test_a_request_alone_that_has_ended(log):
    """A request without a round takes no call after its end."""
    with log.request(endpoint="e", model="m") as request:
        pass
    assert not request.observe(facts())


# -- misuse --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda log: log.session(model=5),
        lambda log: log.round(model=None),
        lambda log: log.tool(5),
        lambda log: log.request(endpoint="e", model="m", is_stream=1),
        lambda log: log.tool("t", tool_call_id=5),
        lambda log: log.round(model="m", round_id=b"r"),
    ],
)
def test_a_wrong_argument(log, path, make):
    """A wrong argument is an error before the block begins, and no event."""
    with pytest.raises(TypeError, match="must be"):
        make(log).__enter__()
    assert current_session() is None
    gc.collect()
    assert lines(log, path) == []


def test_a_scope_is_entered_once(log):
    """Entering a scope again, inside itself or afterwards, is an error that names the remedy."""
    session = log.session(model="m")
    with session, pytest.raises(RuntimeError, match=r"entered once; call log.session\(...\)"):
        session.__enter__()
    with pytest.raises(RuntimeError, match="entered once"):
        session.__enter__()
    with pytest.raises(RuntimeError, match="is no decorator"):
        session(print)


def test_message_count_needs_a_session_that_has_begun(log):
    """A count before the session's start, or one that is no count, is an error."""
    session = log.session(model="m")
    with pytest.raises(RuntimeError, match="has not begun"):
        session.message_count = 1
    with session, pytest.raises(TypeError, match="message_count"):
        session.message_count = "many"


def test_values_bound_on_the_way(log, path):
    """bind() adds values to the events still to come; the application's own value goes before a computed one."""
    with log.session(model="m", error_type="mine") as session:
        session.bind(project="p")
        session.fail("no")
    started, ended = lines(log, path)
    assert "project" not in started
    assert picked(ended, project="", error_type="", error="", status="") == {
        "project": "p", "error_type": "mine", "error": "no", "status": "error"
    }  # fmt: skip


def test_fail(log, path):
    """A failure that the block handled itself is the scope's, unless an exception ends it after all."""
    with log.tool("t") as tool:
        tool.fail("exit code 1", error_type="exit_code")
    with log.round(model="m") as call:
        try:
            1 / 0
        except ZeroDivisionError as error:
            call.fail(error)
    with log.round(model="m") as call:
        call.fail(SystemExit(0))
    with log.request(endpoint="e", model="m") as request:
        request.fail(asyncio.CancelledError())
    found = lines(log, path)
    assert (found[0]["success"], found[0]["error_type"], found[0]["error"]) == (False, "exit_code", "exit code 1")
    assert picked(found[2], status="", error="", error_type="") == {
        "status": "error", "error": "division by zero", "error_type": "ZeroDivisionError"
    }  # fmt: skip
    assert (found[4]["status"], found[4]["error_type"]) == ("error", "SystemExit")
    assert (found[6]["status"], found[6]["error_type"]) == ("error", "cancelled")


def test_processors_and_options_hold(open_log, path):
    """Scopes emit through the logger: processors see the events, and bound values are in the lines."""
    seen = []

    def processor(_, __, fields):
        seen.append(fields["event"].kind)
        fields["extra"] = True
        return fields

    log = open_log(processors=[processor]).bind(project="p")
    with log.session(model="m"):
        pass
    assert seen == ["chat.session_started", "chat.session_completed"]
    assert [(line["project"], line["extra"]) for line in lines(log, path)] == [("p", True)] * 2


class Unprintable(Exception):
    def __str__(self):
        raise ValueError


@pytest.mark.parametrize(
    ("error", "text"),
    [(LookupError("no such thing"), "LookupError: no such thing"), (Unprintable(), "<unprintable Unprintable>")],
    ids=["printable", "unprintable"],
)
def test_a_processor_that_raises(open_log, path, capfd, error, text):
    """A processor's exception never reaches the block; it is reported."""

    def processor(_, __, fields):
        raise error

    log = open_log(processors=[processor])
    with log.session(model="m") as session:
        inside = session.is_open
    assert inside
    assert lines(log, path) == []
    assert text in capfd.readouterr().err


def test_a_processor_that_raises_in_a_coroutine(open_log, path, capfd):
    """The same where the log waits for the disk; a RuntimeError of a processor is no sign of a missing event loop."""

    def processor(_, __, fields):
        raise LookupError("one") if fields["event"].kind == "chat.session_started" else RuntimeError("two")

    log = open_log(processors=[processor], durability="write")

    async def main():
        async with log.session(model="m"):
            pass

    asyncio.run(main())
    assert lines(log, path) == []
    err = capfd.readouterr().err
    assert "LookupError: one" in err


def test_a_durable_log_without_asyncio(open_log, path):
    """A coroutine that another library than asyncio runs has its events written all the same."""
    log = open_log(durability="write")

    async def work():
        async with log.round(model="m"):
            pass

    with pytest.raises(StopIteration):
        work().send(None)
    assert short(lines(log, path)) == ["round_started", "round_completed"]


def test_an_id_that_the_application_spoils(log, path, capfd):
    """An attribute that is replaced by nonsense costs the event of the end, not the block, and is reported."""
    with log.round(model="m") as call:
        call.session_id = 5
    assert short(lines(log, path)) == ["round_started"]
    assert "RoundCompleted.session_id must be a str" in capfd.readouterr().err


def test_texts_of_errors_are_masked(log, path):
    """A secret in an exception's text is masked in a round and in a session."""
    with pytest.raises(ValueError), log.session(model="m"), log.round(model="m"):
        raise ValueError("api_key=sk-proj-abcdefghijklmnopqrstuvwxyz123456")
    found = lines(log, path)
    assert "abcdefghijklm" not in str(flat(path))
    assert all(line["error"].startswith("api_key=") for line in found[2:])
