"""Prometheus metrics of a log, as a scrape of a real registry shows them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import bamboo_logmetrics as blm
from bamboo_logmetrics.instrument.prometheus import MOST_VALUES, export_metrics
from bamboo_logmetrics.testing import GateSink, open_log_on

USAGE = blm.TokenUsage(prompt_tokens=30, completion_tokens=7, total_tokens=37, cache_read_tokens=20)
CALLS = "gen_ai_client_inference_duration_seconds"
TOKENS = "gen_ai_client_inference_usage_"


@pytest.fixture
def registry():
    return CollectorRegistry()


def scraped(registry, name):
    """Return the samples of one name as a scrape shows them: the values by their labels that are not empty."""
    return {
        tuple(sorted(item for item in sample.labels.items() if item[1])): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
        if sample.name == name
    }


def labels(**values):
    """Return the labels of a call."""
    return tuple(sorted({"gen_ai_operation_name": "chat", **values}.items()))


def round_of(number, **fields):
    """Return the two events of a round."""
    started = blm.RoundStarted(round_id=f"r{number}", session_id="s", model="m-1")
    values = {"status": "success", "latency_ms": 1_500, "usage": USAGE} | fields
    return started, blm.RoundCompleted(round_id=f"r{number}", session_id="s", **values)


def request_of(number, **fields):
    """Return the two events of a request."""
    endpoint = fields.pop("endpoint", "openai.chat_completions")
    started = blm.RequestStarted(request_id=f"q{number}", endpoint=endpoint, model="m-1", is_stream=False)
    values = {"status_code": 200, "status": "success", "latency_ms": 1_500, "usage": USAGE} | fields
    return started, blm.RequestCompleted(request_id=f"q{number}", **values)


def emit(log, events, **bound):
    for event in events:
        log.emit(event, **bound)


def test_a_round_is_a_call(open_log, registry):
    """A round is observed with its duration, time to first token and tokens; what was not reported is not counted."""
    log = open_log()
    export_metrics(log, registry=registry)
    bound = {"provider": "openai", "response_model": "m-1-2026", "time_to_first_token_ms": 120}
    emit(log, round_of(1), **bound)
    assert log.flush()
    call = labels(gen_ai_provider_name="openai", gen_ai_request_model="m-1", gen_ai_response_model="m-1-2026")
    assert scraped(registry, f"{CALLS}_sum") == {call: 1.5}
    assert scraped(registry, "gen_ai_client_inference_time_to_first_chunk_seconds_sum") == {call: 0.12}
    assert scraped(registry, f"{TOKENS}input_tokens_total") == {call: 30}
    assert scraped(registry, f"{TOKENS}output_tokens_total") == {call: 7}
    assert scraped(registry, f"{TOKENS}cache_read_input_tokens_total") == {call: 20}
    assert scraped(registry, f"{TOKENS}cache_write_input_tokens_total") == {}


def test_one_call_is_counted_once(open_log, registry):
    """A request within a round counts with its round, and one of the server's side not at all."""
    log = open_log()
    export_metrics(log, registry=registry)
    emit(log, round_of(1))
    emit(log, request_of(1), round_id="r1")
    emit(log, request_of(2), side="server")
    emit(log, request_of(3, endpoint="openai.embeddings"))
    emit(log, request_of(4, endpoint="ollama.embed", usage=None), model="e-1")
    emit(log, request_of(5, endpoint="openai.moderations", usage=None), model="e-2")
    emit(log, request_of(6, endpoint="my.gateway/v1/messages", usage=None), model="e-3")
    assert log.flush()
    chat = labels(gen_ai_request_model="m-1")
    others = {
        labels(gen_ai_request_model="e-1", gen_ai_operation_name="embeddings"): 1,
        (("gen_ai_request_model", "e-2"),): 1,
        labels(gen_ai_request_model="e-3"): 1,
    }
    alone = labels(gen_ai_request_model="m-1", gen_ai_operation_name="embeddings")
    assert scraped(registry, f"{CALLS}_count") == {chat: 1, alone: 1, **others}
    assert scraped(registry, f"{TOKENS}input_tokens_total") == {chat: 30, alone: 30}


def test_missing_is_not_zero(open_log, registry):
    """Usage and latency that are not known are left out, and an iteration has tokens but no duration."""
    log = open_log()
    export_metrics(log, registry=registry)
    zero = blm.TokenUsage(prompt_tokens=0, completion_tokens=0, total_tokens=0)
    emit(log, round_of(1, usage=zero, latency_ms=0), usage_source="missing", latency_source="missing")
    emit(log, request_of(1, usage=None, status="timeout", status_code=0))
    _, iteration = round_of(2)
    log.emit(iteration, iteration="advisor", model="m-2")
    assert log.flush()
    failed = labels(gen_ai_request_model="m-1", error_type="timeout")
    assert scraped(registry, f"{CALLS}_count") == {failed: 1}
    assert scraped(registry, f"{TOKENS}input_tokens_total") == {labels(gen_ai_request_model="m-2"): 30}


def test_tools_and_sessions(open_log, registry):
    """Tools have their duration and failure, and a session the time from its start to its end."""
    log = open_log()
    export_metrics(log, registry=registry)
    began = datetime(2026, 11, 30, 12, tzinfo=timezone.utc)

    def meta(seconds):
        return blm.EventMeta(occurred_at=began + timedelta(seconds=seconds))

    ids = {"round_id": "r", "session_id": "s", "tool_name": "read_file"}
    log.emit(blm.SessionStarted(session_id="s", model="m-1", meta=meta(0)))
    log.emit(blm.ToolCalled(tool_call_id="c1", latency_ms=250, success=True, **ids))
    log.emit(blm.ToolCalled(tool_call_id="c2", latency_ms=0, success=False, **ids), error_type="rejected")
    log.emit(blm.SessionCompleted(session_id="s", status="cancelled", meta=meta(90)))
    log.emit(blm.SessionCompleted(session_id="unknown", status="completed"))
    assert log.flush()
    tool = ("gen_ai_tool_name", "read_file")
    sums = scraped(registry, "gen_ai_execute_tool_duration_seconds_sum")
    assert sums == {(tool,): 0.25, (("error_type", "rejected"), tool): 0}
    agent = (("error_type", "cancelled"), ("gen_ai_request_model", "m-1"))
    assert scraped(registry, "gen_ai_invoke_agent_duration_seconds_sum") == {agent: 90}


def test_events_are_counted_by_kind(open_log, registry):
    """Every record that the worker encodes is counted: events by kind, plain lines together."""
    log = open_log()
    metrics = export_metrics(log, registry=registry)
    assert export_metrics(log, registry=registry) is metrics  # twice is once
    emit(log, round_of(1))
    log.info("cache warmed")
    assert log.flush()
    assert scraped(registry, "bamboo_events_total") == {
        (("event", "chat.round_started"),): 1,
        (("event", "chat.round_completed"),): 1,
        (("event", "plain"),): 1,
    }


def test_labels_are_closed_sets(open_log, registry):
    """Beyond 200 values of a label the others are counted together; a value of another type is none."""
    log = open_log()
    export_metrics(log, registry=registry)
    for number in range(MOST_VALUES + 50):
        emit(log, round_of(number), model=f"m-{number}", provider=["not", "text"])
    assert log.flush()
    counts = scraped(registry, f"{CALLS}_count")
    assert len(counts) == MOST_VALUES + 1
    assert counts[labels(gen_ai_request_model="other")] == 50


def test_a_label_that_no_scrape_could_show(open_log, registry):
    """A name with half a character, which a model may write, and a long one do not break the scrape."""
    log = open_log()
    export_metrics(log, registry=registry)
    emit(log, round_of(1), model="read\ud83d")
    emit(log, round_of(2), model="m" * 50_000)
    assert log.flush()
    models = {dict(key)["gen_ai_request_model"] for key in scraped(registry, f"{CALLS}_count")}
    assert models == {"read?", "m" * 200}


def test_the_oldest_open_calls_are_forgotten(open_log, registry):
    """Calls that never end take bounded memory."""
    log = open_log(on_full="block", block_timeout=30)
    metrics = export_metrics(log, registry=registry)
    for number in range(10_050):
        log.emit(blm.RoundStarted(round_id=f"r{number}", session_id="s", model="m-1"))
    assert log.flush()
    assert list(metrics._rounds)[:1] == ["r50"]
    assert len(metrics._rounds) == 10_000


def test_drops_are_those_of_the_channels(tmp_path, registry):
    """Drops are counted by reason, over all logs, and stay when a log is closed and gone."""
    sink = GateSink()
    log = open_log_on(sink, tmp_path / "a.jsonl", queue_size=10)
    export_metrics(log, registry=registry)
    for _ in range(5_000):
        log.info("x")
    sink.open_gate()
    dropped = log.stats().dropped
    log.close()
    log.info("too late")
    del log
    with blm.open_log(tmp_path / "b.jsonl") as other:
        export_metrics(other, registry=registry)
    counts = {dict(key)["reason"]: value for key, value in scraped(registry, "bamboo_dropped_total").items()}
    assert counts["plain_gave_way"] + counts["queue_full"] == sum(dropped.values()) > 0
    assert counts["closed"] == 1


def test_the_configured_log(tmp_path, registry, unconfigured):
    """Without a log the configured one is counted, also one that is configured later."""
    export_metrics(registry=registry)
    for name in ("a.jsonl", "b.jsonl"):
        blm.configure(tmp_path / name)
        emit(blm.get_logger("app"), round_of(1))
        assert blm.flush()
    assert scraped(registry, f"{CALLS}_count") == {labels(gen_ai_request_model="m-1"): 2}


def test_a_listener_that_fails_costs_nothing(open_log, capfd):
    """An exception of a listener is reported on stderr, and every record is written."""
    log = open_log()
    log._logger.listeners.append(lambda records: 1 / 0)
    emit(log, round_of(1))
    assert log.close()
    assert log.stats().written == 2
    assert "a listener of the log failed: ZeroDivisionError" in capfd.readouterr().err
