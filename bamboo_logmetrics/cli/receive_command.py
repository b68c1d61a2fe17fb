"""``bamboo-logmetrics receive``."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import click

from bamboo_logmetrics.cli import serving
from bamboo_logmetrics.cli.extras import exit_for_missing_extra
from bamboo_logmetrics.cli.formatting import plural, printable


@click.command()
@serving.serving_options("127.0.0.1:4318", "exporters")
@click.option(
    "--durability", type=click.Choice(["write", "fsync"]), default="write", show_default=True,
    help="When a request is acknowledged: its events are in the file, or on the disk.",
)  # fmt: skip
@click.option(
    "--max-body", type=click.IntRange(min=1), default=16 * 1024**2, show_default=True,
    help="Largest body of a request, in bytes, also once it is decompressed.",
)  # fmt: skip
@click.option(
    "--max-concurrent", type=click.IntRange(min=1), default=200, show_default=True,
    help="Requests that may be under way; further ones get 503, and are sent again.",
)  # fmt: skip
@click.option(
    "--timeout", type=click.FloatRange(min=0.1, max=86_400), default=30, show_default=True,
    help="Seconds that may pass without a byte of the body of a request.",
)  # fmt: skip
@click.pass_context
def receive(ctx: click.Context, /, **values: Any) -> None:
    """Receive OpenTelemetry, and log the calls of models in it.

    The telemetry of Claude Code, Codex and Gemini CLI, and whatever follows the GenAI conventions, comes by OTLP over
    HTTP (protobuf or JSON) and becomes events: rounds, tool calls, failed requests, sessions. Each call counts once,
    also when an exporter sends it again. What is not known becomes a plain line with its name. Prompts, answers and
    payloads of tools are never stored.

    A request is acknowledged when its events are in the file. SIGTERM and Ctrl-C end it when the requests that are
    under way are answered.

    \b
    Exit code: 0 stopped, 2 bad usage, or the address or the log cannot
    be used.

    \b
    bamboo-logmetrics receive --log logs/agents.jsonl
    export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318
    """  # noqa: D301 - click wants the character \b itself
    try:
        from bamboo_logmetrics.live import receiver, server  # noqa: F401 - first, to report a missing extra
    except ImportError as error:
        exit_for_missing_extra(ctx, "live", error)
    _run(values)


def _run(values: dict[str, Any]) -> None:
    from bamboo_logmetrics.live.receiver import Receiver, ReceiverOptions
    from bamboo_logmetrics.live.receiving import receiving
    from bamboo_logmetrics.live.server import address_of, make_server, open_socket, run_server
    from bamboo_logmetrics.live.status_pages import StatusPages
    from bamboo_logmetrics.live.traffic import Traffic

    token = serving.token_of(values, "write to the log")
    listener = open_socket(values["listen"], is_remote_allowed=values["allow_remote"])
    with listener, receiving(values["log"], values["durability"], _note) as (log, acknowledger):
        limits = {name: values[name] for name in ("max_body", "max_concurrent", "timeout")}
        receiver = Receiver(acknowledger, ReceiverOptions(token=token, **limits))
        traffic = Traffic(receiver, serving.reporter(quiet=values["quiet"]))
        server = make_server(StatusPages(traffic, log, token))
        run_server(server, listener, lambda: serving.write(f"listening on {address_of(listener)}, for OTLP over HTTP"))
    counts = f"{plural(traffic.requests, 'request')}, {plural(traffic.errors, 'error')}"
    for category, number in acknowledger.counts().items():
        if number:
            serving.write(f"{plural(number, 'record')}: {category}")
    serving.write(f"stopped: {counts}; {plural(receiver.events, 'event')} written to {printable(values['log'])}")


def _note(text: str) -> None:
    """Print a line for the operator, with the time in UTC."""
    serving.write(f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ} note: {printable(text)}")
