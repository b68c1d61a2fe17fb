"""The contents of the files of a log, counted without the package, and of servers, as they report them."""

from __future__ import annotations

import glob
import gzip
import json
import threading
import time
import urllib.parse
import urllib.request
from collections import Counter

_LOOKS = 0.2  # seconds between two looks at a server that makes things visible after a while


def lines(path):
    """Give the decoded lines of all files of a log."""
    for name in [*sorted(glob.glob(f"{path}.2*")), str(path)]:
        opening = gzip.open if name.endswith(".gz") else open
        with opening(name, "rb") as file:
            yield from map(json.loads, file)


def totals(records):
    """Return the sums to compare: lines, lines by event, prompt tokens by model, tool calls by name."""
    events, tokens, tools = Counter(), Counter(), Counter()
    for record in records:
        events[record["event"]] += 1
        if record["event"] == "chat.round_completed":
            tokens[record["model"]] += record["prompt_tokens"]
        if record["event"] == "chat.tool_called":
            tools[record["tool_name"]] += 1
    return {"events": dict(events), "tokens": dict(tokens), "tools": dict(tools)}


def fetch(url, data=None, method=None):
    """Return the text that a server answers; ``data`` is posted as JSON, or, a mapping of texts, as a form."""
    headers = {"Content-Type": "application/json"}
    body = None if data is None else json.dumps(data).encode()
    request = urllib.request.Request(url, body, headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode()


def eventually(check, timeout=60.0):
    """Return the result of ``check`` once that is true; fail after ``timeout`` seconds."""
    until, pause = time.monotonic() + timeout, threading.Event()
    while not (answers := check()):
        assert time.monotonic() < until, f"not within {timeout} s"
        pause.wait(_LOOKS)
    return answers


class VictoriaLogs:
    """VictoriaLogs' lines of one service."""

    def __init__(self, url, service):
        self._url = url
        self.service = service

    def _ask(self, pipes):
        query = f'_time:100y {{service_name="{self.service}"}} | {pipes}'
        answers = fetch(f"{self._url}/select/logsql/query?" + urllib.parse.urlencode({"query": query}))
        return [json.loads(line) for line in answers.splitlines()]

    def flush(self):
        """Make everything visible that was delivered."""
        fetch(f"{self._url}/internal/force_flush")

    def ids(self):
        """Return how often each line is there."""
        return Counter((row["writer"], int(row["seq"])) for row in self._ask("fields writer, seq"))

    def totals(self):
        """Return the same as :func:`totals`, each line counted once, by its query language."""
        return {
            "events": self._counts("*", "event", "count() n"),
            "tokens": self._counts("event:=chat.round_completed", "model", "sum(prompt_tokens) n"),
            "tools": self._counts("event:=chat.tool_called", "tool_name", "count() n"),
        }

    def _counts(self, which, key, stats):
        once = f"filter {which} | uniq by (writer, seq, {key}, prompt_tokens)"
        return {row[key]: int(row["n"]) for row in self._ask(f"{once} | stats by ({key}) {stats}")}


class Elastic:
    """The documents of one service in a data stream."""

    def __init__(self, url, service, data_stream):
        self._url = f"{url}/{data_stream}"
        self.service = service

    def flush(self):
        """Make everything visible that was delivered."""
        fetch(f"{self._url}/_refresh", method="POST")

    def _search(self, aggregations, *filters):
        query = {"bool": {"filter": [{"term": {"service.name": self.service}}, *filters]}}
        body = {"size": 0, "track_total_hits": True, "query": query, "aggs": aggregations}
        return json.loads(fetch(f"{self._url}/_search", body))

    def count(self):
        return self._search({})["hits"]["total"]["value"]

    def totals(self):
        """Return the same as :func:`totals`, by aggregations."""
        terms = {"field": "event.action", "size": 100}
        models = {
            "terms": {"field": "gen_ai.request.model"},
            "aggs": {"n": {"sum": {"field": "gen_ai.usage.input_tokens"}}},
        }
        answers = {
            "events": self._search({"by": {"terms": terms}}),
            "tokens": self._search({"by": models}, {"term": {"event.action": "chat.round_completed"}}),
            "tools": self._search(
                {"by": {"terms": {"field": "gen_ai.tool.name"}}}, {"term": {"event.action": "chat.tool_called"}}
            ),
        }
        return {
            name: {
                bucket["key"]: int(bucket["n"]["value"] if "n" in bucket else bucket["doc_count"])
                for bucket in answer["aggregations"]["by"]["buckets"]
            }
            for name, answer in answers.items()
        }

    def types(self, *fields):
        """Return the one type of each field."""
        answers = json.loads(fetch(f"{self._url}/_field_caps?fields=" + ",".join(fields)))["fields"]
        return {name: ",".join(kinds) for name, kinds in answers.items() if name in fields}
