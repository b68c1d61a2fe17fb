"""The meaning of the events of agent programs, as data: one table for each program, and one for metrics.

An attribute that no table names is never looked at. So prompts, completions and the payloads of tools cannot be stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

AttributeKeys = tuple[str, ...]


class Action(Enum):
    """The fate of a record."""

    CALL = "call"  # a round
    FAILURE = "failure"  # a request that failed
    REQUEST = "request"  # a request: a failed one is an event, any other begins a round that another record ends
    TOOL = "tool"
    SESSION = "session"  # the beginning of one
    REPEAT = "repeat"  # says again what another record says, or is a piece of an answer: it is not written
    NOTE = "note"  # no call: a plain line


class Tokens(NamedTuple):
    """Where a program has the tokens of a call.

    Args:
        prompt: the attributes that add up to the prompt with the cache; without the first the prompt is not known.
        completion: those that add up to the completion with reasoning; without the first it is not known.
        cache_read, cache_write, cache_write_1h, reasoning: the attribute of each part.
        total: the attribute with the total. If it is the prompt and the first part of the completion, then that part
            holds the others.
    """

    prompt: AttributeKeys
    completion: AttributeKeys
    cache_read: str = ""
    cache_write: str = ""
    cache_write_1h: str = ""
    reasoning: str = ""
    total: str = ""


class Rule(NamedTuple):
    """The fate of records with one event name.

    Args:
        action: what it is.
        needs: the attribute without which it is a REPEAT.
        bound: attributes by the well-known name that their text or number is bound under.
    """

    action: Action
    needs: str = ""
    bound: Mapping[str, str] = {}


class Program(NamedTuple):
    """An agent program.

    Args:
        agent: its name.
        services: its values of ``service.name``, in full: a service of somebody else may begin so.
        scopes: how the names of its instrumentation scopes begin, which nobody sets: each is one of these, or goes on
            behind one with a dot.
        prefix: how the names of its events begin; some versions leave it out.
        session: the attribute with the id of the session.
        tokens: where the tokens of a call are.
        rules: by event name without the prefix. Any other event is not known, and becomes a plain line.
        provider: the provider, if the program has only one.
        first_attempt: the number that it gives to the first attempt.
        exit_code: the attribute in which the text ``exited with code`` tells that a tool failed.
        modules: how the names of modules begin that its spans are of; empty if they do not tell.
    """

    agent: str
    services: frozenset[str]
    scopes: tuple[str, ...]
    prefix: str
    session: str
    tokens: Tokens
    rules: Mapping[str, Rule]
    provider: str = ""
    first_attempt: int = 1
    exit_code: str = ""
    modules: str = ""


_NOTE, _REPEAT = Rule(Action.NOTE), Rule(Action.REPEAT)

CLAUDE_CODE = Program(
    agent="claude-code",
    services=frozenset({"claude-code"}),
    scopes=("com.anthropic.claude_code",),
    prefix="claude_code.",
    session="session.id",
    tokens=Tokens(
        prompt=("input_tokens", "cache_read_tokens", "cache_creation_tokens"),
        completion=("output_tokens",),
        cache_read="cache_read_tokens",
        cache_write="cache_creation_tokens",
        cache_write_1h="cache_creation_1h_tokens",
    ),
    rules={
        "api_request": Rule(
            Action.CALL,
            bound={
                "provider_request_id": "request_id",
                "turn_id": "prompt.id",
                "speed": "speed",
                "cost_usd_estimate": "cost_usd",
                "time_to_first_token_ms": "ttft_ms",
                "agent_type": "agent.name",
                "attempt": "attempt",
            },
        ),
        "api_error": Rule(Action.FAILURE, bound={"turn_id": "prompt.id", "provider_request_id": "request_id"}),
        "tool_result": Rule(Action.TOOL, bound={"turn_id": "prompt.id"}),
        # their numbers are those of calls and tools
        "assistant_response": _REPEAT,
        "subagent_completed": _REPEAT,
        "tool_decision": _REPEAT,
        "api_request_body": _REPEAT,
        "api_response_body": _REPEAT,
        "user_prompt": _NOTE,
        "compaction": _NOTE,
        "internal_error": _NOTE,
    },
    provider="anthropic",
)

CODEX = Program(
    agent="codex",
    services=frozenset(
        {  # the originator, which differs by the program that starts it; others are possible
            "codex",
            "codex_cli_rs",
            "codex_exec",
            "codex-tui",
            "codex_tui",
            "codex_vscode",
            "codex_sdk_ts",
            "codex_mcp_server",
            "codex_app_server",
            "codex-app-server",
            "Codex Desktop",
        }
    ),
    scopes=("codex_otel",),
    prefix="codex.",
    session="conversation.id",
    tokens=Tokens(
        prompt=("input_token_count",),
        completion=("output_token_count",),
        cache_read="cached_token_count",
        cache_write="cache_write_token_count",
        reasoning="reasoning_token_count",
    ),
    rules={
        "conversation_starts": Rule(Action.SESSION),
        "api_request": Rule(Action.REQUEST),
        "websocket_request": Rule(Action.REQUEST),
        # one for each piece of an answer; only the last has tokens
        "sse_event": Rule(Action.CALL, needs="input_token_count", bound={"time_to_first_token_ms": "ttft_ms"}),
        "websocket_event": _REPEAT,
        "tool_result": Rule(Action.TOOL),
        "tool_decision": _REPEAT,
        "turn_ttft": _REPEAT,
        "startup_phase": _REPEAT,
        "user_prompt": _NOTE,
    },
    first_attempt=0,
    exit_code="output",
    modules="codex_",
)

GEMINI_CLI = Program(
    agent="gemini-cli",
    services=frozenset({"gemini-cli"}),
    scopes=("gemini-cli",),
    prefix="gemini_cli.",
    session="session.id",
    tokens=Tokens(
        prompt=("input_token_count", "tool_token_count"),
        completion=("output_token_count", "thoughts_token_count"),
        cache_read="cached_content_token_count",
        reasoning="thoughts_token_count",
        total="total_token_count",
    ),
    rules={
        "api_response": Rule(Action.CALL, bound={"turn_id": "prompt_id"}),
        "api_error": Rule(Action.FAILURE, bound={"turn_id": "prompt_id"}),
        "tool_call": Rule(Action.TOOL, bound={"turn_id": "prompt_id", "mcp_server": "mcp_server_name"}),
        "api_request": _REPEAT,
        "config": _NOTE,
        "model_routing": _NOTE,
        "plan.approval_mode_duration": _NOTE,
        "ripgrep_fallback": _NOTE,
        "startup_stats": _NOTE,
        "user_prompt": _NOTE,
    },
    provider="gcp.gemini",
)

PROGRAMS = (CLAUDE_CODE, CODEX, GEMINI_CLI)

# events of the GenAI conventions that hold the texts of messages; the calls themselves are spans
MESSAGE_EVENTS = (
    "gen_ai.system.message", "gen_ai.user.message", "gen_ai.assistant.message", "gen_ai.tool.message", "gen_ai.choice",
    "gen_ai.content.prompt", "gen_ai.content.completion",
)  # fmt: skip

# how the names of metrics begin that sum up what events and spans tell of each call
METRICS_OF_CALLS = ("gen_ai.", "claude_code.", "codex.", "gemini_cli.", "llm.")
WORD_OF_TOKENS = "token"  # in the name of any other such metric

# values that programs have for what has a fixed name here
VALUES = {"speed": {"normal": "standard"}}

# what of a rule's bound names is a number; everything else is text
NUMBERS = frozenset({"attempt", "cost_usd_estimate", "time_to_first_token_ms"})

# where each fact of a record is, the first that it has
MODEL = ("model", "gen_ai.request.model")
DURATION = ("duration_ms",)
STATUS_CODE = ("status_code", "http.response.status_code", "http.status_code")
ERROR = ("error", "error.message")
ERROR_TYPE = ("error_type", "error.type")
ATTEMPT = ("attempt",)
TOOL_NAME = ("tool_name", "function_name")
TOOL_CALL = ("tool_use_id", "call_id")
TOOL_ROUND = ("request_id",)
VERSION = ("app.version", "service.version")
MODULE = ("code.module.name", "code.namespace")
