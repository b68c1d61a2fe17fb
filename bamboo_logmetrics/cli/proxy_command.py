"""``bamboo-logmetrics proxy``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bamboo_logmetrics.cli import serving
from bamboo_logmetrics.cli.exit_codes import FAILED
from bamboo_logmetrics.cli.extras import exit_for_missing_extra
from bamboo_logmetrics.cli.formatting import plural, printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket

    from bamboo_logmetrics.live.forwarding import ProxyOptions

_NEVER_AN_ID = {
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "cookie",
    "x-bamboo-token",
    "proxy-authorization",
}


def _session_header(_ctx: click.Context, _option: click.Parameter, value: str) -> str:
    """Return the name of a header in lower case; one that carries a secret is refused."""
    name = value.lower()
    if name in _NEVER_AN_ID or not all(sign.isalnum() or sign in "-_." for sign in name):
        msg = f"{value!r} cannot name sessions; give a header such as x-session-id"
        raise click.BadParameter(msg)
    return name


@click.command()
@serving.serving_options("127.0.0.1:8787", "clients")
@click.option(
    "--upstream", "upstreams", multiple=True, metavar="NAME=URL",
    help="A provider besides openai, anthropic and gemini, or another URL for one of these; may be given again.",
)  # fmt: skip
@click.option(
    "--upstream-key-file", "key_files", multiple=True, metavar="NAME=FILE",
    help="File with the key for an upstream, in place of the clients' keys; may be given several times.",
)  # fmt: skip
@click.option(
    "--session-from", default="", callback=_session_header, metavar="HEADER", help="Header that names the session."
)
@click.option(
    "--max-body",
    type=click.IntRange(min=1),
    default=1024**3,
    show_default=True,
    help="Largest body of a request, in bytes.",
)
@click.option(
    "--max-concurrent", type=click.IntRange(min=1), default=2000, show_default=True,
    help="Requests that may be under way; further ones get 503.",
)  # fmt: skip
@click.option(
    "--timeout", type=click.FloatRange(min=0.1, max=86_400), default=600, show_default=True,
    help="Seconds that may pass without a byte from an upstream, or of the body of a request.",
)  # fmt: skip
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes that serve the address and write the log.",
)
@click.pass_context
def proxy(ctx: click.Context, /, **values: Any) -> None:
    """Forward requests to providers, and log what they cost.

    Each request is two events, with usage, status and latency, as the instrumentation writes them; so clients in any
    language are covered. /openai/..., /anthropic/... and /gemini/... lead to these providers, /NAME/... to an upstream
    of your own, and nothing to anywhere else. Keys, prompts and completions are never stored.

    The headers x-bamboo-session, x-bamboo-user, x-bamboo-round and traceparent of a client become ids in the events.
    GET /healthz answers while the proxy runs; GET /metrics gives Prometheus its numbers.

    SIGTERM and Ctrl-C end it when the requests that are under way are finished, 30 seconds later at most.

    \b
    Exit code: 0 stopped, 1 workers died again and again, 2 bad usage,
    or the address or the log cannot be used.

    \b
    bamboo-logmetrics proxy --log logs/proxy.jsonl
    export OPENAI_BASE_URL=http://127.0.0.1:8787/openai/v1
    export ANTHROPIC_BASE_URL=http://127.0.0.1:8787/anthropic
    """  # noqa: D301 - click wants the character \b itself
    try:
        from bamboo_logmetrics.live import server  # noqa: F401 - imported first, to report a missing extra
    except ImportError as error:
        exit_for_missing_extra(ctx, "live", error)
    _run(ctx, values)


def _run(ctx: click.Context, values: dict[str, Any]) -> None:
    from bamboo_logmetrics.live.forwarding import ProxyOptions
    from bamboo_logmetrics.live.server import address_of, open_socket
    from bamboo_logmetrics.live.upstreams import make_upstreams
    from bamboo_logmetrics.live.workers import Workers, WorkersFailedError

    upstreams = make_upstreams(values["upstreams"], values["key_files"])
    token = serving.token_of(values, "use the proxy")
    names = ("session_from", "max_body", "max_concurrent", "timeout")
    options = ProxyOptions(upstreams=upstreams, token=token, **{name: values[name] for name in names})
    with open_socket(values["listen"], is_remote_allowed=values["allow_remote"]) as listener:
        ready = f"listening on {address_of(listener)}, for {', '.join(f'/{name}/' for name in upstreams)}"
        if values["workers"] == 1:
            counts = [_serve(values, options, listener, lambda: serving.write(ready))]
        else:
            workers = Workers(
                values["workers"], lambda on_ready: _serve(values, options, listener, on_ready), serving.write
            )
            serving.write(ready)
            try:
                workers.run()
            except WorkersFailedError as error:
                serving.write(f"Error: {error}; see the messages above")
                ctx.exit(FAILED)
            counts = workers.results
    requests, errors = (sum(numbers) for numbers in zip((0, 0), *counts, strict=True))
    passed = f"{plural(requests, 'request')}, {plural(errors, 'error')}"
    serving.write(f"stopped: {passed}; the events are in {printable(values['log'])}")


def _serve(
    values: dict[str, Any], options: ProxyOptions, listener: socket, on_ready: Callable[[], object]
) -> tuple[int, int]:
    """Serve until a signal comes, and return the numbers of requests and of errors."""
    from bamboo_logmetrics.live.forwarding import Proxy
    from bamboo_logmetrics.live.server import make_server, run_server
    from bamboo_logmetrics.live.status_pages import StatusPages
    from bamboo_logmetrics.live.traffic import Traffic
    from bamboo_logmetrics.logger.opening import open_log

    with open_log(values["log"]) as log:
        traffic = Traffic(Proxy(log, options), serving.reporter(quiet=values["quiet"]))
        app = StatusPages(traffic, log, options.token, has_metrics=values["workers"] == 1)
        run_server(make_server(app), listener, on_ready)
    return traffic.requests, traffic.errors
