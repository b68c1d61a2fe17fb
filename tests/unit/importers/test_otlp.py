"""OpenTelemetry's logs and spans become events: by the tables of programs and by the conventions, each call once."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from support import DATA
from support.packing import pack_zstd

import bamboo_logmetrics as blm
from bamboo_logmetrics import (
    RequestCompleted,
    RoundCompleted,
    RoundStarted,
    SessionCompleted,
    SessionStarted,
    ToolCalled,
)
from bamboo_logmetrics.cli.commands import cli
from bamboo_logmetrics.importers import AUTO, IMPORTERS, ImportReport, Note
from bamboo_logmetrics.importers.otlp import converter as converting
from bamboo_logmetrics.importers.otlp import json_form, protobuf_form
from bamboo_logmetrics.importers.otlp.converter import REPEATED, SUMMED, UNKNOWN, UNUSABLE, Converter
from bamboo_logmetrics.importers.otlp.records import LOG, METRIC, SPAN, NotOtlpError

OTLP = IMPORTERS["otlp"]
NEWEST = DATA / "newest"
NS = 1_796_034_778_000_000_000
SECRET = "the secret of the prompt"
TRACE = "0123456789abcdef0123456789abcdef"


def value(one):
    """Return a value in the form of OTLP/JSON."""
    if isinstance(one, dict):
        return {"kvlistValue": {"values": attributes(one)}}
    if isinstance(one, list):
        return {"arrayValue": {"values": [value(item) for item in one]}}
    if isinstance(one, bool):
        return {"boolValue": one}
    if isinstance(one, int):
        return {"intValue": str(one)}
    return {"doubleValue": one} if isinstance(one, float) else {"stringValue": one}


def attributes(values):
    return [{"key": key, "value": value(one)} for key, one in values.items()]


def log(at=0, body=None, *, ids=None, **values):
    """Return a log record at a millisecond; ``__`` in a name stands for a dot."""
    named = {key.replace("__", "."): one for key, one in values.items()}
    record = {"timeUnixNano": str(NS + at * 1_000_000), "attributes": attributes(named), **(ids or {})}
    return record if body is None else {**record, "body": {"stringValue": body}}


def span(number, start, end, parent=None, *, status=None, **values):
    """Return a span between two milliseconds."""
    named = {key.replace("__", "."): one for key, one in values.items()}
    return {
        "traceId": TRACE, "spanId": f"{number:016x}", "parentSpanId": f"{parent:016x}" if parent else "",
        "name": f"span {number}", "startTimeUnixNano": str(NS + start * 1_000_000),
        "endTimeUnixNano": str(NS + end * 1_000_000), "attributes": attributes(named), "status": status or {},
    }  # fmt: skip


def chat(number, start, end, parent=None, *, tokens=10, status=None, **values):
    """Return the span of a call by the conventions."""
    usage = {"gen_ai.usage.input_tokens": tokens, "gen_ai.usage.output_tokens": 1} if tokens else {}
    names = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5", "gen_ai.provider.name": "openai"}
    return span(number, start, end, parent, status=status, **names, **usage, **values)


def body_of(*items, service="app", kind="logs", resource=None, scope="scope"):
    """Return a request with items of one kind."""
    outer, middle, inner = {
        "logs": ("resourceLogs", "scopeLogs", "logRecords"),
        "spans": ("resourceSpans", "scopeSpans", "spans"),
        "metrics": ("resourceMetrics", "scopeMetrics", "metrics"),
    }[kind]
    origin = attributes({"service.name": service, **(resource or {})})
    scopes = [{"scope": {"name": scope}, inner: list(items)}]
    return json.dumps({outer: [{"resource": {"attributes": origin}, middle: scopes}]})


def records_of(*items, **options):
    return list(json_form.records_of(body_of(*items, **options).encode()))


def events_of(*items, converter=None, **options):
    """Return the events and what is bound to them, as pairs."""
    return [tuple(one) for one in (converter or Converter()).events(records_of(*items, **options))]


def only(pairs, cls):
    """Return the one event of a class with what is bound to it."""
    (pair,) = [pair for pair in pairs if isinstance(pair[0], cls)]
    return pair


def claude(at=0, name="api_request", body=None, **values):
    """Return a log record of Claude Code."""
    return log(at, body or f"claude_code.{name}", event__name=name, session__id="s1", **values)


CALL = {"model": "claude", "input_tokens": 11, "output_tokens": 51, "cache_read_tokens": 5000}
CALL |= {"cache_creation_tokens": 1000, "duration_ms": 64, "request_id": "r1"}


def run(*args):
    return CliRunner().invoke(cli, ["import", "otlp", *map(str, args)], prog_name="bamboo-logmetrics")


def totals_of(path):
    """Return rounds, prompt, completion and cache read of a log."""
    rounds = [line.event for line in blm.read(path) if isinstance(line.event, RoundCompleted)]
    usages = [event.usage for event in rounds]
    return (
        len(rounds),
        sum(one.prompt_tokens for one in usages),
        sum(one.completion_tokens for one in usages),
        sum(one.cache_read_tokens or 0 for one in usages),
    )


# -- the ledgers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "totals"),
    [
        ("otlp/claude-code-2.1.332/*.json", (10, 60_490, 630, 50_130)),
        ("otlp/claude-code-2.1.197/*.json", (9, 54_417, 559, 45_109)),
        ("otlp/codex-0.171.0/*.json", (3, 6_017, 197, 4_517)),
        ("gemini-cli/telemetry.log", (3, 12_024, 369, 9_000)),
    ],
)
@pytest.mark.skipif(not DATA.exists(), reason="needs the recordings")
def test_the_numbers_are_those_of_the_ledger(tmp_path, files, totals):
    """The exports of each program add up to what the provider answered, also when it is imported again."""
    out = tmp_path / "out.jsonl"
    for _ in range(2):
        result = run(*sorted(NEWEST.glob(files)), "-o", out, "--append")
        assert result.exit_code == 0, result.output
        assert totals_of(out) == totals
    assert "unchanged" in result.output
    assert blm.verify(out).ok


# -- agent programs ---------------------------------------------------------------------------------


def test_a_call_of_claude_code():
    """A call is two events with its latency and usage; the prompt includes the cache; the session begins with it."""
    values = {**CALL, "speed": "normal", "cost_usd": 0.5, "ttft_ms": 22, "prompt__id": "p1"}
    pairs = events_of(claude(100, **values, prompt=SECRET, tool_parameters=SECRET), service="claude-code")
    event, bound = only(pairs, RoundCompleted)
    usage = event.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (6011, 51, 6062)
    assert (usage.cache_read_tokens, usage.cache_write_tokens, usage.cache_write_1h_tokens) == (5000, 1000, None)
    assert (event.latency_ms, event.status, event.session_id) == (64, "success", "s1")
    assert (bound["speed"], bound["cost_usd_estimate"], bound["time_to_first_token_ms"]) == ("standard", 0.5, 22)
    assert (bound["agent"], bound["provider"], bound["turn_id"]) == ("claude-code", "anthropic", "p1")
    assert "usage_source" not in bound
    started, _ = only(pairs, RoundStarted)
    assert (started.round_id, started.model) == (event.round_id, "claude")
    assert (event.meta.occurred_at - started.meta.occurred_at).total_seconds() == 0.064
    assert only(pairs, SessionStarted)[0].meta.occurred_at == started.meta.occurred_at
    assert SECRET not in repr(pairs)


def test_a_tool_belongs_to_the_round_that_asked_for_it():
    """A tool call names the request that asked for it; without that it belongs to the last round of its session."""
    tool = {"tool_name": "mcp__files__read", "success": "false", "duration_ms": "37", "error_type": "ShellError"}
    pairs = events_of(
        claude(1, **CALL), claude(2, **{**CALL, "request_id": "r2"}), claude(3, "tool_result", **tool, request_id="r1"),
        claude(4, "tool_result", tool_use_id="t2", tool_name="Bash", success=True), service="claude-code",
    )  # fmt: skip
    first, second = (event.round_id for event, _ in pairs if isinstance(event, RoundCompleted))
    (one, bound), (two, two_bound) = (pair for pair in pairs if isinstance(pair[0], ToolCalled))
    assert (one.round_id, one.success, one.latency_ms, bound["mcp_server"]) == (first, False, 37, "files")
    assert bound["error_type"] == "ShellError"
    assert (two.round_id, two.tool_call_id, two.success) == (second, "t2", True)
    assert two_bound["latency_source"] == "missing"


def test_a_tool_without_a_round():
    """A tool call of which no round is known says so; one that failed has a type of error."""
    ((event, bound),) = events_of(claude(1, "tool_result", success=False), service="claude-code")
    assert (event.round_id, bound["round_source"], bound["error_type"]) == ("", "missing", "tool_error")


def test_a_failed_request():
    """A request that failed has its status code, attempt and error, and no usage."""
    error = claude(1, "api_error", model="claude", error="Overloaded", status_code="529", attempt=2, duration_ms=5)
    ((event, bound),) = events_of(error, service="claude-code")
    assert isinstance(event, RequestCompleted)
    assert (event.status_code, event.status, event.error, event.usage) == (529, "error", "Overloaded", None)
    assert (bound["attempt"], bound["session_id"], bound["model"]) == (2, "s1", "claude")
    for values, status, text in [
        ({"error_type": "timeout"}, "timeout", "timeout"),
        ({"status_code": 503}, "error", "status 503"),
        ({"status_code": 99_999}, "error", "status 99999"),
        ({}, "error", "error"),
    ]:
        event, bound = only(events_of(claude(1, "api_error", **values), service="claude-code"), RequestCompleted)
        assert (event.status, event.error, bound["latency_source"]) == (status, text, "missing")


def codex(at, name, **values):
    """Return a log record of Codex, whose time is only observed and whose own name is a line of its source."""
    record = log(at, event__name=f"codex.{name}", conversation__id="c1", model="gpt-5.5", **values)
    observed = {"timeUnixNano": "0", "observedTimeUnixNano": record["timeUnixNano"], "body": None}
    return {**record, **observed, "eventName": "event otel/src/events.rs:737"}


def test_a_call_of_codex():
    """The second event of a completed response is the call; its latency begins with the request."""
    tokens = {"input_token_count": "2002", "output_token_count": "62", "cached_token_count": 1502}
    tokens |= {"reasoning_token_count": 20, "tool_token_count": "2064"}
    kind = {"event__kind": "response.completed"}
    output = "Chunk ID: 1\nProcess exited with code 3\n" + SECRET
    pairs = events_of(
        codex(0, "conversation_starts", provider_name="openai"), codex(40, "api_request", duration_ms="30"),
        codex(60, "sse_event", duration_ms="0", **kind), codex(61, "sse_event", **tokens, **kind),
        codex(90, "tool_result", call_id="t1", tool_name="exec", duration_ms="9", success="true", output=output, mcp_server=""),
        service="codex_exec",
    )  # fmt: skip
    event, bound = only(pairs, RoundCompleted)
    assert (event.usage.prompt_tokens, event.usage.total_tokens, event.usage.reasoning_tokens) == (2002, 2064, 20)
    assert (event.latency_ms, "latency_source" in bound) == (51, False)
    assert only(pairs, SessionStarted)[0].model == "gpt-5.5"
    tool, bound = only(pairs, ToolCalled)
    assert (tool.success, bound["error_type"], tool.round_id) == (False, "exit_code", event.round_id)
    assert "mcp_server" not in bound
    assert SECRET not in repr(pairs)


def test_codex_requests_that_fail():
    """A failed request of Codex is an event; its first attempt is 1, and the call that follows has its own latency."""
    failed = codex(
        1, "api_request", attempt=0, duration_ms="4", **{"http.response.status_code": 429, "error.message": "slow"}
    )
    pairs = events_of(
        failed, codex(2, "websocket_request", success="false"), codex(9, "sse_event", input_token_count=1)
    )
    (one, bound), (two, _) = (pair for pair in pairs if isinstance(pair[0], RequestCompleted))
    assert (one.status_code, one.error, bound["attempt"], two.status_code) == (429, "slow", 1, 0)
    event, bound = only(pairs, RoundCompleted)
    assert (event.usage.completion_tokens, bound["usage_source"], bound["latency_source"]) == (0, "partial", "missing")


def test_a_call_of_gemini_cli():
    """The prompt includes the results of tools and the answer its thoughts, unless the total says that it has them."""
    values = {
        "session__id": "g1",
        "input_token_count": 100,
        "output_token_count": 10,
        "thoughts_token_count": 4,
        "tool_token_count": 5,
    }
    for total, completion in [(119, 14), (115, 10)]:
        record = log(
            1, event__name="gemini_cli.api_response", model="pro", duration_ms=9, total_token_count=total, **values
        )
        event, _ = only(events_of(record, service="gemini-cli"), RoundCompleted)
        assert (event.usage.prompt_tokens, event.usage.completion_tokens, event.usage.reasoning_tokens) == (
            105,
            completion,
            4,
        )


def test_a_call_of_a_program_without_usage():
    """Tokens that are not reported, or are no counts, are missing and never zero."""
    for values in (
        {},
        {"input_tokens": "many", "output_tokens": -1},
        {"input_tokens": "1e9999999", "output_tokens": True},
    ):
        _, bound = only(events_of(claude(1, **values), service="claude-code"), RoundCompleted)
        assert bound["usage_source"] == "missing"


def test_programs_count_their_calls_once():
    """Spans of a program, its events by the conventions, and pieces of answers are not written, and named once."""
    names = []
    converter = Converter(lambda *name: names.append(name))
    details = log(2, event__name="gen_ai.client.inference.operation.details", gen_ai__operation__name="chat")
    pairs = events_of(details, log(3, event__name="gemini_cli.api_request"), service="gemini-cli", converter=converter)
    pairs += events_of(chat(1, 1, 2), chat(2, 1, 2), service="gemini-cli", kind="spans", converter=converter)
    assert pairs == []
    assert names == [
        (REPEATED, "gen_ai.client.inference.operation.details"), (REPEATED, "gemini_cli.api_request"), (REPEATED, "otlp span"),
    ]  # fmt: skip
    assert converter.names[REPEATED]["otlp span"] == 2


def test_a_service_whose_name_begins_as_that_of_a_program():
    """The spans of somebody else's service count, however its name begins; a program's own spans repeat its events."""
    for service in ("codex-review", "claude-code-proxy", "gemini-cli2"):
        assert len(events_of(chat(1, 0, 5), kind="spans", service=service)) == 3
    for service in ("codex_exec", "claude-code", "gemini-cli"):
        assert events_of(chat(1, 0, 5), kind="spans", service=service) == []


def test_events_of_a_program_without_a_session():
    """A call without a session has the id of its trace, and says that its session is not known; a note has none."""
    record = {**log(1, event__name="claude_code.api_request", **CALL), "traceId": TRACE}
    _, bound = only(events_of(record), RoundCompleted)
    assert bound["session_source"] == "missing"
    assert only(events_of(record), RoundCompleted)[0].session_id == TRACE
    (note, _), = events_of(log(1, event__name="claude_code.user_prompt"))  # fmt: skip
    assert (note.text, note.session_id) == ("claude_code.user_prompt", "")


def test_rounds_of_a_session_are_remembered_in_bounded_memory(monkeypatch):
    """The oldest requests and sessions are forgotten; a tool call that names one belongs to the last round."""
    monkeypatch.setattr(converting, "_MOST_SESSIONS", 2)
    converter = Converter()
    for number in range(70):
        events_of(claude(number, **{**CALL, "request_id": f"r{number}"}), service="claude-code", converter=converter)
    session = converter.session("s1")
    assert len(session.rounds) == 64
    pairs = events_of(claude(99, "tool_result", request_id="r1"), service="claude-code", converter=converter)
    assert only(pairs, ToolCalled)[0].round_id == session.last_round
    for name in ("a", "b"):
        converter.session(name)
    assert converter.session("s1").last_round == ""


# -- the conventions --------------------------------------------------------------------------------


def test_spans_of_the_conventions():
    """An agent is a session, a chat a round, a tool a tool call, with the times and the ids of their spans."""
    agent = span(
        1, 0, 100, gen_ai__operation__name="invoke_agent", gen_ai__conversation__id="c1", gen_ai__agent__name="a"
    )
    tool = span(
        3,
        50,
        60,
        1,
        gen_ai__operation__name="execute_tool",
        gen_ai__conversation__id="c1",
        gen_ai__tool__name="mcp__s__t",
    )
    inner = chat(
        2, 10, 40, 1, gen_ai__conversation__id="c1", gen_ai__response__model="gpt-5-x",
        **{"gen_ai.usage.cache_creation.input_tokens": 4, "gen_ai.input.messages": SECRET, "gen_ai.response.finish_reasons": ["stop"]},
    )  # fmt: skip
    pairs = events_of(agent, inner, tool, kind="spans", resource={"deployment.environment.name": "prod"})
    event, bound = only(pairs, RoundCompleted)
    assert (event.round_id, event.session_id, event.latency_ms) == (f"{2:016x}", "c1", 30)
    assert (event.usage.prompt_tokens, event.usage.cache_write_tokens, event.usage.cache_read_tokens) == (10, 4, None)
    assert (bound["model"], bound["response_model"], bound["stop_reason"]) == ("gpt-5", "gpt-5-x", "stop")
    assert (bound["service_name"], bound["env"], bound["trace_id"]) == ("app", "prod", TRACE)
    call, bound = only(pairs, ToolCalled)
    assert (call.round_id, call.tool_name, call.latency_ms, bound["mcp_server"]) == (
        event.round_id,
        "mcp__s__t",
        10,
        "s",
    )
    ended, bound = only(pairs, SessionCompleted)
    assert (ended.status, bound["agent"]) == ("completed", "a")
    starts = [event.meta.event_id for event, _ in pairs if isinstance(event, SessionStarted)]
    assert len(set(starts)) == 1
    assert SECRET not in repr(pairs)


def test_spans_that_failed():
    """A span with an error is a failed round, session or tool call, with the type of its error."""
    failed = {"code": 2, "message": "rate limited"}
    pairs = events_of(
        chat(1, 0, 1, status=failed, error__type="RateLimitError", tokens=0),
        span(2, 0, 1, status={"code": "STATUS_CODE_ERROR"}, gen_ai__operation__name="execute_tool"),
        span(3, 0, 2, status=failed, gen_ai__operation__name="invoke_agent"), kind="spans",
    )  # fmt: skip
    event, bound = only(pairs, RoundCompleted)
    assert (event.status, event.error, bound["error_type"]) == ("error", "rate limited", "RateLimitError")
    assert bound["usage_source"] == "missing"
    tool, bound = only(pairs, ToolCalled)
    assert (tool.success, tool.tool_name, bound["error_type"]) == (False, "unknown", "error")
    assert only(pairs, SessionCompleted)[0].status == "error"


def test_a_log_event_about_the_call_of_a_span_is_the_same_call():
    """Whichever comes first, the span of a call or the log event about it, both have the same ids."""
    ids = {"traceId": TRACE, "spanId": f"{1:016x}"}
    names = {"event.name": "gen_ai.client.inference.operation.details", "gen_ai.operation.name": "chat"}
    usage = {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 1}
    of_log = events_of(log(5, ids=ids, **names, **usage))
    of_span = events_of(chat(1, 0, 5), kind="spans")
    assert [event.meta.event_id for event, _ in of_log] == [event.meta.event_id for event, _ in of_span]
    assert only(of_log, RoundCompleted)[1]["latency_source"] == "missing"
    lonely = only(events_of(log(5, **names, error__type="X")), RoundCompleted)
    assert (lonely[0].status, lonely[0].error, lonely[1]["session_source"]) == ("error", "X", "missing")
    agent = events_of(log(5, gen_ai__operation__name="invoke_agent", session__id="s"))
    assert [type(event) for event, _ in agent] == [SessionStarted]


@pytest.mark.parametrize("name", ["gen_ai.client.inference.operation.details", "gen_ai.choice", "my.event"])
def test_a_log_event_without_usage_leaves_the_call_to_the_span(name):
    """A log event that comes before the span, and knows no usage, does not take the id that the usage needs."""
    ids = {"traceId": TRACE, "spanId": f"{1:016x}"}
    converter = Converter()
    assert events_of(log(5, ids=ids, event__name=name, gen_ai__operation__name="chat"), converter=converter) == []
    assert converter.names[REPEATED] == {name: 1}
    event, _ = only(events_of(chat(1, 0, 5), kind="spans", converter=converter), RoundCompleted)
    assert event.usage.prompt_tokens == 10


@pytest.mark.parametrize("together", [True, False])
def test_a_call_inside_a_call_counts_once(together):
    """Of two spans of one call the inner counts, also when something is between them, or they come apart."""
    converter = Converter()
    middle = span(2, 1, 9, 1)
    batches = (
        [[chat(1, 0, 10), middle, chat(3, 2, 8, 2)]] if together else [[chat(3, 2, 8, 2), middle], [chat(1, 0, 10)]]
    )
    pairs = [pair for batch in batches for pair in events_of(*batch, kind="spans", converter=converter)]
    assert only(pairs, RoundCompleted)[0].round_id == f"{3:016x}"
    assert converter.names[REPEATED] == {"otlp span": 1}
    again = events_of(chat(3, 2, 8, 2), kind="spans", converter=converter)
    assert only(again, RoundCompleted)[0].meta.event_id == only(pairs, RoundCompleted)[0].meta.event_id


def test_a_call_inside_one_that_is_counted_already():
    """A span that comes after the one that it is inside is not counted again."""
    converter = Converter()
    events_of(chat(1, 0, 10), kind="spans", converter=converter)
    assert events_of(chat(2, 1, 9, 1), kind="spans", converter=converter) == []


def test_a_program_whose_service_has_another_name():
    """An agent program is known by its scope, so that a user may name the service after a team."""
    origin = {"service": "team-a", "scope": "com.anthropic.claude_code.events"}
    event, bound = only(events_of(claude(100, **CALL), **origin), RoundCompleted)
    assert (event.usage.prompt_tokens, bound["agent"], bound["service_name"]) == (6011, "claude-code", "team-a")


def test_spans_of_codex_started_by_another_program():
    """Spans of Codex are known by their modules: service and scope have the name of the program that started it."""
    converter = Converter()
    origin = {"service": "my_editor", "scope": "my_editor", "kind": "spans", "converter": converter}
    assert events_of(span(1, 0, 5, code__module__name="codex_core::session::turn"), **origin) == []
    assert len(events_of(span(2, 0, 5, code__module__name="my_codex"), **origin)) == 1
    assert converter.names[REPEATED] == {"otlp span": 1}


# -- what is no call --------------------------------------------------------------------------------


def test_unknown_records_are_plain_lines():
    """A record that no table knows is a plain line with its name and origin, and without what it says."""
    names = []
    converter = Converter(lambda *name: names.append(name))
    known = {**log(1, SECRET, event__name="my.event", answer=SECRET), "severityText": "WARN"}
    pairs = events_of(known, known, log(2, SECRET, event__name=SECRET), converter=converter)
    note, bound = pairs[0]
    assert (note.text, bound["severity"], bound["otlp_scope"]) == ("my.event", "WARN", "scope")
    assert pairs[2][0].text == "otlp log"
    assert names == [(UNKNOWN, "my.event"), (UNKNOWN, "otlp log")]
    assert converter.names[UNKNOWN] == {"my.event": 2, "otlp log": 1}
    assert SECRET not in repr(pairs)
    assert events_of(log(1, SECRET, event__name="gen_ai.user.message"), converter=converter) == []


def test_metrics_are_not_added_to_calls():
    """Metrics of calls and of tokens are not written; any other is a plain line with the number of its points."""
    converter = Converter()
    points = {"dataPoints": [{"timeUnixNano": str(NS)}, {"timeUnixNano": str(NS + 1)}]}
    items = [{"name": name, "sum": points} for name in ("claude_code.token.usage", "my.tokens", "my.jobs")]
    ((note, bound),) = events_of(*items, kind="metrics", converter=converter)
    assert (note.text, bound["points"], bound["otlp_signal"]) == ("my.jobs", 2, "metric")
    assert converter.names[SUMMED] == {"claude_code.token.usage": 1, "my.tokens": 1}


def test_names_are_counted_in_bounded_memory(monkeypatch):
    """Beyond a number of names, further ones are counted as others."""
    monkeypatch.setattr(converting, "_MOST_NAMES", 1)
    converter = Converter()
    events_of(*(log(1, event__name=name) for name in "abc"), converter=converter)
    assert converter.names[UNKNOWN] == {"a": 1, "others": 2}


def test_a_record_without_a_time():
    """A record without a time is written now, says so, and has the same id again."""
    record = log(0, event__name="x")
    del record["timeUnixNano"]
    (one, bound), = events_of(record)  # fmt: skip
    (two, _), = events_of(record)  # fmt: skip
    assert bound["time_source"] == "missing"
    assert one.meta.event_id == two.meta.event_id


# -- the forms --------------------------------------------------------------------------------------


def as_protobuf(document):
    """Return a request in protobuf with the content of one in JSON."""
    kinds = {"resourceLogs": ExportLogsServiceRequest, "resourceSpans": ExportTraceServiceRequest}
    (name,) = document
    request = kinds.get(name, ExportMetricsServiceRequest)()
    _fill(request, document)
    return request.SerializeToString()


def _fill(message, data):
    for key, item in data.items():
        name = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in key)
        if isinstance(item, list):
            for one in item:
                _fill(getattr(message, name).add(), one)
        elif isinstance(item, dict):
            getattr(message, name).SetInParent()
            _fill(getattr(message, name), item)
        elif name.endswith(("trace_id", "span_id")):
            setattr(message, name, bytes.fromhex(item))
        elif item is not None:
            setattr(message, name, int(item) if name.endswith(("nano", "int_value")) else item)


@pytest.mark.parametrize(
    ("signal", "body"),
    [
        (LOG, body_of(claude(1, **CALL, list=[1, {"a": 1.5}], on=True), log(2, ids={"traceId": TRACE}))),
        (LOG, body_of(codex(5, "sse_event", input_token_count=4), service="codex_exec")),
        (SPAN, body_of(chat(1, 0, 5, 7, status={"code": 2, "message": "no"}), span(2, 1, 2), kind="spans")),
        (
            METRIC,
            body_of({"name": "m", "gauge": {"dataPoints": [{"timeUnixNano": "5"}]}}, {"name": "n"}, kind="metrics"),
        ),
    ],
    ids=["logs", "codex", "spans", "metrics"],
)
def test_both_forms_are_the_same_records(signal, body):
    """Records in protobuf are those in JSON, with the same ids."""
    records = list(json_form.records_of(body.encode()))
    from_protobuf = list(protobuf_form.records_of(as_protobuf(json.loads(body)), signal))
    assert from_protobuf == records
    assert [one.key for one in from_protobuf] == [one.key for one in records]


def test_protobuf_that_is_none():
    """Bytes that are no request are refused."""
    with pytest.raises(NotOtlpError, match="not a request with logs in protobuf"):
        protobuf_form.records_of(b"\xff\xff\xff", LOG)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not an object of OTLP"),
        (b'{"prompt": 1}', "not an object of OTLP"),
        (b'{"resourceLogs": 5}', "resourceLogs is not a list"),
        (b'{"resourceLogs": [5]}', "resourceLogs is not a list of objects"),
        (b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"soon"}]}]}]}', "a time is not"),
        (b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":-1}]}]}]}', "a time is not"),
    ],
)
def test_json_that_is_no_request(body, message):
    """A body that is not of OTLP is refused, and the message does not quote it."""
    with pytest.raises(NotOtlpError, match=message):
        list(json_form.records_of(body))


@pytest.mark.parametrize("text", ["--5", "-", "5-", "", "\u0665", "9" * 21, "1_0"])
def test_texts_that_are_no_integers(text):
    """A text that only looks like an integer is no value, and as a time it is refused like any other text."""
    body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"intValue": text}}]}]}]})
    (record,) = json_form.records_of(body.encode())
    assert record.body is None
    with pytest.raises(NotOtlpError, match="a time is not a number"):
        list(json_form.records_of(body_of({"timeUnixNano": text or "-"}).encode()))


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (rb"cut \ud83d", "cut \ufffd"),
        (rb"\uDE00 cut", "\ufffd cut"),
        (rb"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (rb"\\ud83d \ud83d\n", "\\ud83d \ufffd\n"),
    ],
)
def test_halves_of_characters(written, text):
    """A text that was cut within a character counts; all else in it stays."""
    record = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"' + written + b'"}}]}]}]}'
    (found,) = json_form.records_of(record)
    assert found.body == text
    assert found.key


@pytest.mark.parametrize("name", ["traceId", "spanId", "parentSpanId"])
@pytest.mark.parametrize("kind", ["logs", "spans"])
def test_ids_that_are_too_long(name, kind):
    """A record whose ids are longer than ids can be is counted and not written; the others of its batch are."""
    item = {**log(1, event__name="my.event"), name: "a" * 33}
    converter = Converter()
    pairs = events_of(item, log(2, event__name="good"), kind=kind, converter=converter)
    if (kind, name) == ("logs", "parentSpanId"):  # logs have none
        assert len(pairs) == 2
    else:
        assert len(pairs) == 1
        assert sum(converter.names[UNUSABLE].values()) == 1


def test_values_of_all_kinds():
    """Values that are not of their kind are None, deep ones end, and what is unknown is left out."""
    deep = {"intValue": 1}
    for _ in range(100):
        deep = {"arrayValue": {"values": [deep]}}
    values = {
        "a": {"bytesValue": "AQI="}, "b": {"bytesValue": "A"}, "c": {"doubleValue": "NaN"}, "d": {"doubleValue": True},
        "e": {"doubleValue": "x"}, "f": {"intValue": "x"}, "g": {"intValue": 2.5}, "h": {"newValue": 1}, "i": 5,
        "j": {"arrayValue": {}}, "k": {"stringValue": 5}, "l": {"boolValue": "x"}, "m": deep,
    }  # fmt: skip
    record = {"attributes": [{"key": key, "value": one} for key, one in values.items()], "traceId": "xyz", "status": []}
    body = {
        "resourceLogs": [{"resource": [], "scopeLogs": [{"scope": 5, "logRecords": [record]}]}, {"scopeLogs": None}]
    }
    (found,) = json_form.records_of(json.dumps(body).encode())
    kept = {key: one for key, one in found.attributes.items() if one is not None}
    assert kept.pop("a") == b"\x01\x02"
    assert str(kept.pop("c")) == "nan"
    assert kept.pop("j") == []
    assert set(kept) == {"m"}
    assert (found.trace_id, found.source.scope) == ("", "")
    assert found.key
    assert list(json_form.records_of(b"{}")) == []


# -- files ------------------------------------------------------------------------------------------


def test_files_of_the_collector(tmp_path):
    """Lines, lines that are compressed, compressed blocks, and an object on several lines are the same events."""
    lines = [body_of(claude(1, **CALL), service="claude-code"), body_of(chat(1, 0, 5), kind="spans")]
    text = "".join(line + "\n\n" for line in lines).encode()
    (tmp_path / "a.otlp.jsonl").write_bytes(text)
    (tmp_path / "b.otlp.jsonl.zst").write_bytes(pack_zstd(text))
    blocks = [pack_zstd(line.encode()) for line in lines]
    (tmp_path / "c.otlp.json").write_bytes(b"".join(len(one).to_bytes(4, "big") + one for one in blocks))
    (tmp_path / "d.otlp.json").write_text("\n".join(json.dumps(json.loads(line), indent=2) for line in lines))
    for path in sorted(tmp_path.iterdir()):
        out = tmp_path / "out" / f"{path.name}.log"
        result = run(path, "-o", out)
        assert result.exit_code == 0, result.output
        assert totals_of(out) == (2, 6021, 52, 5000), path
        assert AUTO.source_of(path) is OTLP
    result = run(tmp_path, "-o", tmp_path / "all.jsonl")
    assert "already there: 12 events" in result.output
    assert totals_of(tmp_path / "all.jsonl") == (2, 6021, 52, 5000)


def test_damaged_files(tmp_path):
    """A line or a block that cannot be read costs itself, and is named."""
    good = body_of(claude(1, **CALL), service="claude-code")
    (tmp_path / "a.otlp.json").write_text(f"{good}\nnonsense\n{{\n")
    block = pack_zstd(good.encode())
    whole, broken = (len(block).to_bytes(4, "big") + one for one in (block, block[:8] + bytes(len(block) - 8)))
    (tmp_path / "b.otlp.json").write_bytes(whole + broken + whole[:-3])
    problems = []
    pairs = list(OTLP.read(OTLP.find([tmp_path]), ImportReport(problems.append)))
    assert sum(isinstance(event, RoundCompleted) for event, _ in pairs) == 2
    assert [(one.path.name[0], one.line, one.message) for one in problems] == [
        ("a", 2, "not JSON"), ("a", 1, "ends within an object"), ("b", 2, "a damaged block"), ("b", 3, "ends within a block"),
    ]  # fmt: skip


def test_blocks_have_a_limit(tmp_path, monkeypatch):
    """A block that becomes too large is left out; without the package for zstd the file is not read."""
    from bamboo_logmetrics.importers.otlp import files

    block = pack_zstd(body_of(claude(1)).encode())
    path = tmp_path / "x.otlp.json"
    path.write_bytes(len(block).to_bytes(4, "big") + block)
    monkeypatch.setattr(files, "MOST_BLOCK", len(block))
    problems = []
    assert not list(OTLP.read([path], ImportReport(problems.append)))
    assert [one.message for one in problems] == ["a damaged block"]

    def missing():
        raise blm.ConfigError("zstd files need the package")

    monkeypatch.setattr(files, "need_zstd", missing)
    problems.clear()
    assert not list(OTLP.read([path], ImportReport(problems.append)))
    assert [one.message for one in problems] == ["zstd files need the package"]


def test_files_are_recognised(tmp_path):
    """A file is of OTLP by its beginning; one that cannot be read is reported later."""
    path = tmp_path / "x.json"
    assert OTLP.recognises(path)
    path.write_text('{"prompt": "hello"}\n' + "x" * 70_000 + "\n" + body_of(log()))
    assert not OTLP.recognises(path)
    path.write_text("{}\n")
    assert not OTLP.recognises(path)


def printed(kind, name, **values):
    """Return a record as the SDK for JavaScript prints it."""
    origin = {"_rawAttributes": [["service.name", "gemini-cli"], ["process.pid", 5], 7]}
    ids = {"traceId": TRACE, "spanId": f"{1:016x}"}
    if kind == "log":
        named = {"event.name": name, "session.id": "g1", "none": None, **values}
        return {"hrTime": [1_796_034_270, 5], "spanContext": ids, "attributes": named, "resource": origin}
    if kind == "span":
        return {"_spanContext": ids, "name": name, "startTime": [1, 0], "endTime": "x", "resource": origin}
    metric = {"descriptor": {"name": name}, "dataPoints": [{"endTime": [5, 0]}]}
    return {"resource": origin, "scopeMetrics": [{"metrics": [metric]}]}


@pytest.mark.parametrize(
    "values", [{"prompt": "cut \ud83d"}, {"number": 2**70}, {"duration_ms": float("nan"), "deep": [{"a": -(2**80)}]}]
)
def test_values_of_gemini_cli_that_no_file_can_hold(tmp_path, values):
    """A value that UTF-8 or 64 bits cannot hold, in an unknown event, costs nothing; a time beyond 64 bits is the last."""
    one = {**printed("log", "gemini_cli.new_event", **values), "hrTime": [2**63, 0]}
    path = tmp_path / "telemetry.log"
    path.write_text(json.dumps(one))
    ((note, _),) = OTLP.read([path], ImportReport())
    assert (note.text, note.meta.occurred_at.year) == ("gemini_cli.new_event", 2554)


def test_the_file_of_gemini_cli(tmp_path):
    """The file that Gemini CLI prints to is read as well: objects on several lines, one after the other."""
    tokens = {"input_token_count": 100, "output_token_count": 10, "duration_ms": 97}
    objects = [
        printed("log", "gemini_cli.api_response", **tokens), printed("span", "llm_call"),
        printed("metric", "gemini_cli.token.usage"),
    ]  # fmt: skip
    path = tmp_path / "telemetry.log"
    path.write_text("\n".join(json.dumps(one, indent=2) for one in objects))
    report = ImportReport()
    pairs = [tuple(one) for one in OTLP.read([path], report)]
    assert only(pairs, RoundCompleted)[0].usage.total_tokens == 110
    assert OTLP.recognises(path)
    assert sum(report.counts.values()) == 2
    assert not any(isinstance(event, Note) for event, _ in pairs)
