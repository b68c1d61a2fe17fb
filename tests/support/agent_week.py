"""A log of a made-up week: three projects, four models, agents with sub-agents, errors, drops and a killed program."""

from __future__ import annotations

import datetime as dt
import json
import random

START = dt.datetime(2026, 11, 23, 6, 0, tzinfo=dt.timezone.utc)
WRITERS = ("a1b2c3d4e5f60718293a", "b1c2d3e4f5061728394a")

# model, provider, and how often
_MODELS = (
    ("claude-sonnet-4-5", "anthropic", 5),
    ("gpt-5", "openai", 3),
    ("gpt-5-mini", "openai", 3),
    ("gemini-2.5-pro", "gcp.gemini", 2),
)
_PROJECTS = ("checkout", "search", "billing")
_AGENTS = ("reviewer", "fixer", "planner")
# tool, median milliseconds, and the share of calls that fail
_TOOLS = (
    ("read_file", 40, 0.01),
    ("grep", 120, 0.02),
    ("edit_file", 60, 0.06),
    ("run_tests", 14_000, 0.22),
    ("bash", 1_800, 0.09),
    ("web_search", 1_300, 0.04),
    ("list_files", 25, 0.0),
    ("task", 45_000, 0.02),
)
_TOOL_WEIGHTS = (30, 14, 16, 7, 12, 3, 8, 0)
_ERRORS = (
    "RateLimitError",
    "RateLimitError",
    "RateLimitError",
    "APITimeoutError",
    "OverloadedError",
    "BadRequestError",
)


class Week:
    """The lines of the week, in the order of their times."""

    def __init__(self, sessions=90, seed=7):
        self._random = random.Random(seed)
        self._lines = []
        for number in range(sessions):
            self._session(number, self._start(number, sessions), "")
        self._lines.sort(key=lambda line: line[0])

    def write(self, path, name="agents.jsonl"):
        """Write the log into a directory, and return its file: one program that ended, and one that was killed."""
        file = path / name
        half = next(number for number, line in enumerate(self._lines) if line[0].day >= (START.day + 3))
        rows = [
            *self._program(WRITERS[0], self._lines[:half], ends=False),
            *self._program(WRITERS[1], self._lines[half:], ends=True),
        ]
        file.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows), encoding="utf-8")
        return file

    def _program(self, writer, lines, *, ends):
        dropped, written, seq = 0, 0, 0

        def row(moment, event, level="info", **fields):
            nonlocal seq
            seq += 1
            stamp = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
            return {"timestamp": stamp, "level": level, "event": event, "v": 1, "writer": writer, "seq": seq} | fields

        first = lines[0][0]
        yield row(
            first,
            "system.worker_started",
            version="0.1.0",
            pid=4711,
            host="build-7",
            started_at=_text(first),
            repaired_bytes=0,
        )
        for number, (moment, event, fields) in enumerate(lines):
            written += 1
            yield row(moment, event, event_id=f"{writer[:8]}-0000-4000-8000-{number:012x}", **fields)
            if number in {len(lines) // 3, len(lines) // 3 + 40, len(lines) * 3 // 4}:
                count = 40 + number % 700
                dropped += count
                yield row(moment, "system.metrics_dropped", "warning", count=count, reason="queue_full", total=dropped)
        if ends:
            counts = {"emitted": written + dropped, "written": written, "dropped": {"queue_full": dropped}}
            yield row(lines[-1][0], "system.worker_stopped", **counts)

    def _start(self, number, sessions):
        """Return the start of a session: by day, more about noon, fewer on the last two days."""
        days = 7 * (number / sessions) ** 1.15
        hour = min(13.0, max(0.0, self._random.gauss(6.0, 3.0)))
        return START + dt.timedelta(days=int(days), hours=hour, minutes=self._random.random() * 50)

    def _session(self, number, moment, parent, depth=0, fixed=None):
        draw = self._random
        model, provider, _ = draw.choices(_MODELS, [row[2] for row in _MODELS])[0]
        project, agent = fixed or (draw.choices(_PROJECTS, (5, 3, 2))[0], draw.choices(_AGENTS, (3, 5, 2))[0])
        session = f"{agent}-{number:03}" if not parent else f"{parent}.{depth}{len(self._lines) % 97:02}"
        base = {"session_id": session, "agent": agent if not parent else "researcher", "project": project}
        if parent:
            base["parent_session_id"] = parent
        self._add(moment, "chat.session_started", base, model=model)
        context = draw.randrange(6_000, 14_000)
        for count in range(1, draw.randrange(3, 9 if parent else 26)):
            moment, context, failed = self._round(moment, base, f"{session}-r{count}", (model, provider), context)
            for call in range(0 if failed else draw.choices((0, 1, 2, 3), (2, 6, 3, 1))[0]):
                moment = self._call(moment, base, f"{session}-r{count}", call)
            if not parent and draw.random() < 0.05:
                round_id = f"{session}-r{count}"
                begun, moment = moment, self._session(number, moment, session, count, (project, agent))
                wait = round((moment - begun).total_seconds() * 1000)
                facts = {"tool_name": "task", "latency_ms": wait, "success": True}
                self._add(moment, "chat.tool_called", base, tool_call_id=f"{round_id}-task", round_id=round_id, **facts)
            moment += dt.timedelta(seconds=draw.expovariate(1 / 4) if draw.random() < 0.9 else draw.uniform(60, 600))
        status = "error" if draw.random() < 0.06 else "completed"
        self._add(moment, "chat.session_completed", base, status=status)
        return moment

    def _round(self, moment, base, round_id, model, context):
        draw, (name, provider) = self._random, model
        self._add(moment, "chat.round_started", base, round_id=round_id, model=name)
        attempts = 1 + (draw.random() < 0.05) + (draw.random() < 0.02)
        lost = draw.random() < 0.012
        latency = 0
        for attempt in range(1, attempts + 1):
            failed = attempt < attempts or lost
            took = (
                round(draw.lognormvariate(8.1 if "mini" not in name else 7.3, 0.55))
                if not failed
                else draw.randrange(200, 1500)
            )
            request = {
                "request_id": f"{round_id}-q{attempt}",
                "round_id": round_id,
                "attempt": attempt,
                "model": name,
                "provider": provider,
            }
            facts = {
                "status": "error" if failed else "success",
                "status_code": 429 if failed else 200,
                "latency_ms": took,
            }
            if failed:
                facts |= {"error_type": draw.choice(_ERRORS), "error": "the provider refused the request"}
            moment += dt.timedelta(milliseconds=took)
            latency += took
            self._add(moment, "forward.request_completed", base, **request, **facts)
            if attempt < attempts:
                moment += dt.timedelta(seconds=2)
                latency += 2_000
        facts = {"round_id": round_id, "model": name, "provider": provider, "latency_ms": latency}
        if lost:
            self._add(moment, "chat.round_completed", base, status="error", error_type=draw.choice(_ERRORS), **facts)
        else:
            facts |= self._usage(name, context, latency)
            self._add(moment, "chat.round_completed", base, status="success", **facts)
        return moment, context + draw.randrange(300, 5_000), lost

    def _usage(self, model, context, latency):
        draw = self._random
        completion = max(12, round(latency / 1000 * draw.uniform(30, 90)))
        usage = {"prompt_tokens": context, "completion_tokens": completion, "total_tokens": context + completion}
        usage["cache_read_tokens"] = int(context * draw.uniform(0.6, 0.96)) if draw.random() < 0.93 else 0
        if model.startswith("claude"):
            usage["cache_write_tokens"] = (context - usage["cache_read_tokens"]) // 2
        return usage | {"time_to_first_token_ms": draw.randrange(250, 1_900)}

    def _call(self, moment, base, round_id, call):
        draw = self._random
        tool, median, failing = draw.choices(_TOOLS, _TOOL_WEIGHTS)[0]
        took = max(1, round(median * draw.lognormvariate(0, 0.6)))
        moment += dt.timedelta(milliseconds=took)
        success = draw.random() >= failing
        facts = {
            "tool_call_id": f"{round_id}-c{call}",
            "round_id": round_id,
            "tool_name": tool,
            "latency_ms": took,
            "success": success,
        }
        self._add(moment, "chat.tool_called", base, **facts, **({} if success else {"error_type": "ToolError"}))
        return moment

    def _add(self, moment, event, base, **fields):
        self._lines.append((moment, event, base | fields))


def _text(moment):
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
