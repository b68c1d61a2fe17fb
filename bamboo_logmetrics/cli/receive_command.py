"""``bamboo-logmetrics receive``."""

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import click

from bamboo_logmetrics.cli.extras import exit_for_missing_extra
from bamboo_logmetrics.cli.formatting import plural, printable

if TYPE_CHECKING:
    from bamboo_logmetrics.live.proxy_traffic import Passed

_MOST_SHOWN = 200  # characters of a path


@click.command()
@click.option(
    "--log", required=True, type=click.Path(dir_okay=False), help="The log; its directory is made if it is missing."
)
@click.option(
    "--listen", default="127.0.0.1:4318", show_default=True, metavar="HOST:PORT", help="Address to listen at."
)
@click.option(
    "--durability", type=click.Choice(["write", "fsync"]), default="write", show_default=True,
    help="When a request is acknowledged: its events are in the file, or on the disk.",
)  # fmt: skip
@click.option(
    "--auth-token-file", type=click.Path(), metavar="FILE", help="File with the token that exporters have to give."
)
@click.option("--allow-remote", is_flag=True, help="Let other machines connect; needs --auth-token-file.")
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
@click.option("--quiet", is_flag=True, help="Print no line for each request.")
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
        from bamboo_logmetrics.live import proxy_server, receiver  # noqa: F401 - first, to report a missing extra
    except ImportError as error:
        exit_for_missing_extra(ctx, "live", error)
    _run(values)


def _run(values: dict[str, Any]) -> None:
    from bamboo_logmetrics.live.proxy_server import address_of, make_server, open_socket, run_server
    from bamboo_logmetrics.live.proxy_traffic import Traffic
    from bamboo_logmetrics.live.receiver import Receiver, ReceiverOptions
    from bamboo_logmetrics.live.receiving import receiving
    from bamboo_logmetrics.live.status_pages import StatusPages
    from bamboo_logmetrics.live.upstreams import key_from

    token = key_from(values["auth_token_file"]) if values["auth_token_file"] else ""
    if values["allow_remote"] and not token:
        msg = "--allow-remote needs --auth-token-file: otherwise anybody could write to the log"
        raise click.UsageError(msg)
    listener = open_socket(values["listen"], is_remote_allowed=values["allow_remote"])
    with listener, receiving(values["log"], values["durability"], _note) as (log, acknowledger):
        limits = {name: values[name] for name in ("max_body", "max_concurrent", "timeout")}
        receiver = Receiver(acknowledger, ReceiverOptions(token=token, **limits))
        has_lines = sys.stderr.isatty() and not values["quiet"]
        traffic = Traffic(receiver, _show if has_lines else lambda _: None)
        server = make_server(StatusPages(traffic, log, token))
        run_server(server, listener, lambda: _write(f"listening on {address_of(listener)}, for OTLP over HTTP"))
    counts = f"{plural(traffic.requests, 'request')}, {plural(traffic.errors, 'error')}"
    for category, number in acknowledger.counts().items():
        if number:
            _write(f"{plural(number, 'record')}: {category}")
    _write(f"stopped: {counts}; {plural(receiver.events, 'event')} written to {printable(values['log'])}")


def _show(passed: Passed) -> None:
    """Print a line for a request that has ended."""
    path = printable(passed.path[:_MOST_SHOWN])
    now = datetime.now().astimezone()
    _write(f"{now:%H:%M:%S} {passed.status or '-'} {passed.method} {path} {passed.milliseconds:,} ms")


def _note(text: str) -> None:
    """Print a line for the operator, with the time in UTC."""
    _write(f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ} note: {printable(text)}")


def _write(text: str) -> None:
    with suppress(OSError):  # stderr is closed, which is no reason to stop
        click.echo(text, err=True)
