from __future__ import annotations

import json
from collections import namedtuple
from dataclasses import make_dataclass
from enum import Enum
from types import MappingProxyType, SimpleNamespace
from unittest.mock import MagicMock

import msgspec
import pydantic
import pytest
from support.exchanges import BODIES, tokens

from bamboo_logmetrics.usage import CallFacts, UnknownUsage, read_body, read_usage


def namespaces(value):
    """Return a value with a namespace in place of each dict."""
    return json.loads(json.dumps(value), object_hook=lambda fields: SimpleNamespace(**fields))


def models(value):
    """Return a value with a model of pydantic that takes any field in place of each dict."""

    class Anything(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="allow", protected_namespaces=())

    return json.loads(json.dumps(value), object_hook=lambda fields: Anything(**fields))


def dataclasses(value):
    """Return a value with a dataclass with slots in place of each dict."""

    def made_of(fields):
        names = [name for name in fields if name.isidentifier()]
        return make_dataclass("Anything", names, slots=True)(**{name: fields[name] for name in names})

    return json.loads(json.dumps(value), object_hook=made_of)


def structs(value):
    """Return a value with a struct of msgspec in place of each dict."""

    def made_of(fields):
        return msgspec.defstruct("Anything", list(fields))(**fields)

    return json.loads(json.dumps(value), object_hook=made_of)


ANSWERS = {
    name: exchange
    for name, exchange in BODIES.items()
    if isinstance(exchange.body, dict) and exchange.usage is not None and name != "embeddings with a total alone"
}


@pytest.mark.parametrize("form", [dict, MappingProxyType, namespaces, models, dataclasses, structs])
@pytest.mark.parametrize("name", ANSWERS)
def test_whole_answers(name, form):
    """A whole answer gives the same facts as its JSON, whatever it is made of."""
    assert read_usage(form(ANSWERS[name].body)) == read_body(json.dumps(ANSWERS[name].body).encode())


@pytest.mark.parametrize("form", [dict, MappingProxyType, namespaces, models, dataclasses, structs])
@pytest.mark.parametrize("name", [name for name in ANSWERS if ANSWERS[name].body.get("usage")])
def test_usages_alone(name, form):
    """A usage alone gives the same tokens as within its answer."""
    facts = read_usage(form(ANSWERS[name].body["usage"]))
    assert (facts.usage, facts.usage_source) == (ANSWERS[name].usage, ANSWERS[name].source)


def test_names_of_the_gemini_sdk():
    """The Python names of Gemini's SDK are those of its REST API, alone or in an answer; an enum is its value."""
    traffic = Enum("Traffic", {"NOW": "ON_DEMAND"})
    usage = SimpleNamespace(
        prompt_token_count=20, candidates_token_count=5, thoughts_token_count=6, total_token_count=31,
        cached_content_token_count=3, tool_use_prompt_token_count=None, traffic_type=traffic.NOW,
    )  # fmt: skip
    for obj in (usage, SimpleNamespace(usage_metadata=usage, model_version="g-1", candidates=None)):
        facts = read_usage(obj)
        assert facts.usage == tokens(20, 11, 31, read=3, reasoning=6)
        assert facts.bound["service_tier"] == "ON_DEMAND"
    assert facts.bound["response_model"] == "g-1"


@pytest.mark.parametrize("usage", [
    {"input_tokens": 100, "output_tokens": 30, "total_tokens": 130, "input_token_details": {"cache_read": 80, "cache_creation": 5},
     "output_token_details": {"reasoning": 20}},  # LangChain
    {"input_tokens": 100, "output_tokens": 30, "cache_read_tokens": 80, "cache_write_tokens": 5,
     "details": {"reasoning_tokens": 20}},  # pydantic-ai
])  # fmt: skip
def test_usages_of_frameworks(usage):
    """LangChain and pydantic-ai count with the cache in the input."""
    assert read_usage(usage).usage == tokens(100, 30, read=80, written=5, reasoning=20)
    assert read_usage(SimpleNamespace(usage_metadata=usage)).usage == tokens(100, 30, read=80, written=5, reasoning=20)


def test_events_of_boto3():
    """The event of boto3 with the usage of a stream holds it as metadata."""
    usage = {"inputTokens": 10, "outputTokens": 5, "totalTokens": 115, "cacheReadInputTokens": 100}
    assert read_usage({"metadata": {"usage": usage, "metrics": {"latencyMs": 5}}}).usage == tokens(
        110, 5, 115, read=100
    )


def test_what_is_read_already():
    """A TokenUsage is the usage, and facts are themselves."""
    usage = tokens(1, 2, read=0)
    facts = CallFacts(usage=usage)
    assert read_usage(usage) == CallFacts(usage=usage, usage_source="reported", complete=True)
    assert read_usage(facts) is facts


def test_an_answer_without_usage():
    """An answer whose usage is None has none."""
    facts = read_usage(SimpleNamespace(id="c", object="chat.completion.chunk", model="m", choices=[], usage=None))
    assert (facts.usage, facts.usage_source, facts.bound["response_model"]) == (None, "missing", "m")
    facts = read_usage({"prompt_tokens": None, "completion_tokens": None})
    assert (facts.usage, facts.usage_source) == (None, "missing")


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    "obj",
    [
        None,
        5,
        "x",
        b"x",
        [],
        {},
        {"x": 1},
        {1: 2},
        object(),
        int,
        Point(1, 2),
        iter([]),
        SimpleNamespace(a=1),
        MagicMock(),
    ],
)
def test_unknown_objects(obj):
    """Anything else is a TypeError that names what can be read."""
    with pytest.raises(
        UnknownUsage, match=r"is not a usage: pass a TokenUsage, .* OpenAI, Anthropic, Gemini"
    ) as caught:
        read_usage(obj)
    assert isinstance(caught.value, TypeError)


class Evil:
    def __getattr__(self, name):
        raise RuntimeError(name)


class Lazy(dict):
    def __getitem__(self, key):
        raise KeyError(key)


class Divided:
    __slots__ = ("usage",)

    @property
    def __dict__(self):
        return 1 / 0


class Leaving:
    @property
    def __dict__(self):
        raise KeyboardInterrupt


@pytest.mark.parametrize("make", [Evil, lambda: Lazy(usage=1), Divided, lambda: {"usage": Evil()}])
def test_objects_that_raise(make):
    """An object that raises an error when it is read is none that is known; its own error is the cause."""
    obj = make()
    with pytest.raises(UnknownUsage, match=f"{type(obj).__name__} is not a usage: pass a TokenUsage") as caught:
        read_usage(obj)
    assert type(caught.value.__cause__) in {RuntimeError, KeyError, ZeroDivisionError}


def test_an_interrupt_while_an_object_is_read():
    """An interrupt passes unchanged."""
    with pytest.raises(KeyboardInterrupt):
        read_usage(Leaving())


def test_objects_that_hold_themselves():
    """An object within itself ends."""
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    usage["self"] = usage
    answer = SimpleNamespace(usage=usage, response=None)
    answer.response = answer
    assert read_usage(answer).usage == tokens(1, 2)
