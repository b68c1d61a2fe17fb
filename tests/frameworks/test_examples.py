"""The programs in ``examples/``, run as a reader would, against a provider on loopback."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager

import httpx
import pytest
from support import ROOT
from support.provider_server import CHAT_STREAM, stream_answer
from support.tools import typed

import bamboo_logmetrics as blm

EXAMPLES = ROOT / "examples"


@pytest.fixture
def environ(server):
    paths = os.pathsep.join(path for path in sys.path if path)
    return {
        **os.environ, "OPENAI_BASE_URL": f"{server.url}/v1", "OPENAI_API_KEY": "k", "PYTHONPATH": paths,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }  # fmt: skip


@pytest.fixture
def run(tmp_path, environ):
    """Run an example, and return what it printed and the typed events of its log."""

    def running(name):
        program = [sys.executable, str(EXAMPLES / f"{name}.py")]
        done = subprocess.run(program, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        (path,) = (tmp_path / "logs").glob("*.jsonl")
        assert blm.verify(path, complete=True).ok
        return done.stdout, typed(path)

    return running


def counts(events):
    """Return how many events of each kind there are."""
    found = {}
    for event in events:
        found[event["event"]] = found.get(event["event"], 0) + 1
    return found


def test_openai_client(run, server):
    """Both calls, the stream too, have their tokens."""
    pytest.importorskip("openai")
    server.answer(server.always, stream_answer(CHAT_STREAM))
    output, events = run("openai_client")
    assert output == "hello\nhello é\n"
    assert [event["total_tokens"] for event in events if event["event"] == "forward.request_completed"] == [42, 42]


def test_agent_loop(run):
    """A session with two rounds, two tool calls and its messages; each round has the tokens of its request."""
    pytest.importorskip("openai")
    output, events = run("agent_loop")
    assert output == "1 words\n1 words\n"
    assert counts(events) == {
        "chat.session_started": 1, "chat.session_completed": 1, "chat.round_started": 2, "chat.round_completed": 2,
        "forward.request_started": 2, "forward.request_completed": 2, "chat.tool_called": 2,
        "chat.message_count_updated": 1,
    }  # fmt: skip
    assert [event["total_tokens"] for event in events if event["event"] == "chat.round_completed"] == [42, 42]
    assert {event["project"] for event in events if event["event"].startswith("chat.")} == {"demo"}


def test_litellm_logger(run):
    """LiteLLM's call is a request with its tokens."""
    pytest.importorskip("litellm")
    _, events = run("litellm_logger")
    assert counts(events) == {"forward.request_started": 1, "forward.request_completed": 1}
    assert events[1]["total_tokens"] == 42


def test_pydantic_ai_agent(run):
    """The run of the agent is a session with a round."""
    pytest.importorskip("pydantic_ai")
    output, events = run("pydantic_ai_agent")
    assert output == "hello\n"
    assert counts(events) == {
        "chat.session_started": 1, "chat.session_completed": 1, "chat.round_started": 1, "chat.round_completed": 1,
    }  # fmt: skip


def test_fastapi_proxy(tmp_path, environ):
    """The proxy reports what it receives and what it sends, and its tokens once; the metrics are those of the log."""
    pytest.importorskip("fastapi")
    with serving(tmp_path, environ) as url, httpx.Client(trust_env=False) as client:
        headers = {"authorization": "Bearer k", "x-request-id": "req-1"}
        answer = client.post(f"{url}/v1/chat/completions", json={"model": "m-1", "messages": []}, headers=headers)
        assert answer.json()["usage"]["total_tokens"] == 42
    events = typed(tmp_path / "logs/proxy.jsonl")
    assert [(event["event"].partition(".")[2], event.get("side")) for event in events] == [
        ("request_started", "server"), ("request_started", None),
        ("request_completed", None), ("request_completed", "server"),
    ]  # fmt: skip
    assert {event["trace_id"] for event in events} == {"req-1"}
    assert [event.get("total_tokens") for event in events[2:]] == [42, None]


@contextmanager
def serving(folder, environ):
    """Serve the proxy under uvicorn, and end it as a supervisor would."""
    command = [sys.executable, "-m", "uvicorn", "--port", "0", "--app-dir", str(EXAMPLES), "fastapi_proxy:app"]
    server = subprocess.Popen(command, cwd=folder, env=environ, stderr=subprocess.PIPE, text=True)
    try:
        lines = iter(server.stderr.readline, "")
        yield next(match[0] for line in lines if (match := re.search(r"http://127\.0\.0\.1:\d+", line)))
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=30)
    finally:
        server.kill()
        server.wait()
