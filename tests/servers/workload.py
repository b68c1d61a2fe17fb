"""A process that emits, at a steady pace, what a test then looks for on a server.

    python workload.py PATH EVENTS SEED RATE

It prints a line after each twelfth of its events, so that a test can act while it is at work, and at its end the
latencies of its calls, as JSON.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time

import bamboo_logmetrics as blm

MODELS = ("gpt-5", "gpt-5-mini", "claude-sonnet-4-5", "gemini-3-pro")
TOOLS = ("read_file", "write_file", "shell", "web_search", "größer")
_BURST = 100


def events(count, seed):
    """Give events with what is bound beside each."""
    chance = random.Random(seed)
    for number in range(count):
        session, round_id = f"s-{seed}-{number // 40}", f"r-{seed}-{number // 4}"
        beside = {"model": chance.choice(MODELS), "project": f"p{seed}"}
        what = number % 8
        if what == 0:
            yield blm.RoundStarted(round_id=round_id, session_id=session, model=beside.pop("model")), beside
        elif what in {1, 2}:
            tokens = chance.randrange(10_000), chance.randrange(1_000)
            usage = blm.TokenUsage(prompt_tokens=tokens[0], completion_tokens=tokens[1], total_tokens=sum(tokens))
            status, error = ("error", "overloaded, try again") if chance.random() < 0.02 else ("success", None)
            yield (
                blm.RoundCompleted(
                    round_id=round_id,
                    session_id=session,
                    status=status,
                    usage=usage,
                    latency_ms=chance.randrange(30_000),
                    error=error,
                ),
                beside,
            )
        elif what == 7:
            yield (
                blm.RequestCompleted(
                    request_id=f"q-{seed}-{number}",
                    status_code=chance.choice((200, 429, 500)),
                    status="success",
                    latency_ms=number,
                ),
                beside,
            )
        else:
            yield (
                blm.ToolCalled(
                    tool_call_id=f"c-{seed}-{number}",
                    round_id=round_id,
                    session_id=session,
                    tool_name=chance.choice(TOOLS),
                    latency_ms=chance.randrange(5_000),
                    success=chance.random() < 0.9,
                ),
                beside,
            )


def main():
    path, count, seed, rate = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    log = blm.open_log(path, max_bytes=5_000_000, compress="gzip", on_full="block", block_timeout=60)
    pause, took = threading.Event(), []
    for number, (event, beside) in enumerate(events(count, seed)):
        if number % _BURST == 0:
            pause.wait(_BURST / rate)
        if number % (count // 12) == 0:
            print(number, flush=True)
        start = time.perf_counter_ns()
        log.emit(event, **beside)
        took.append(time.perf_counter_ns() - start)
    log.close(60)
    took.sort()
    ends = {f"p{share}": took[int(len(took) * share / 100)] for share in (50, 99, 99.9)}
    print(json.dumps(ends | {"emitted": log.stats().emitted, "written": log.stats().written}), flush=True)


if __name__ == "__main__":
    main()
