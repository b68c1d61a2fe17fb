"""``bamboo-logmetrics config elasticsearch``, ``opensearch`` and ``kibana``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from bamboo_logmetrics.cli.extras import need
from bamboo_logmetrics.cli.formatting import printable, unheard
from bamboo_logmetrics.integrations import elastic, kibana
from bamboo_logmetrics.integrations.elastic import KEEP, NAMES, Request, TemplateNames

_REFUSED = 1

_Command = Callable[..., None]


_NAMED = (
    click.option("--name", default=NAMES.name, show_default=True, help="What things are called there."),
    click.option("--pattern", default=NAMES.pattern, show_default=True, help="The data streams it is for."),
)
_APPLIED = (
    click.option("--apply", "sent", is_flag=True, help="Send it to --url, instead of printing it."),
    click.option("--url", metavar="URL", help="Where the server is, such as https://localhost:9200."),
    click.option(
        "--keep",
        metavar="DAYS",
        type=click.IntRange(min=1),
        default=KEEP,
        show_default=True,
        help="How long events are kept after their index was rolled over.",
    ),
)


def _with(*options: Callable[[_Command], _Command]) -> Callable[[_Command], _Command]:
    """Return a decorator that adds options, shown in this order."""

    def decorate(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@click.command("elasticsearch")
@_with(*_APPLIED, *_NAMED)
@click.pass_context
def elasticsearch(ctx: click.Context, /, name: str, pattern: str, **given: Any) -> None:
    """Lifecycle policy, types, ingest pipeline and index template for Elasticsearch.

    Without --apply it prints the requests for the console of Kibana's Dev Tools. For Elasticsearch 8.13 or later.

    The pipeline makes ECS documents of lines in any layout that come as text in "message" (or "event.original", or
    "log"), and of lines that an agent parsed, in the layouts native and ecs. So any agent may deliver them.

    --apply takes the user, password, token or API key of the environment, as "ship" does:
    BAMBOO_LOGMETRICS_SHIP_USER, _PASSWORD, _TOKEN, _API_KEY, _CA, _CERT, _KEY, or _PASSWORD_FILE, _TOKEN_FILE,
    _API_KEY_FILE. Sending it again changes nothing.

    \b
    Exit code: 0 done, 1 the server refused it, 2 bad usage.

    \b
    bamboo-logmetrics config elasticsearch
    bamboo-logmetrics config elasticsearch --keep 30 --apply --url https://localhost:9200
    """  # noqa: D301 - click wants the character \b itself
    _give(ctx, elastic.requests("elasticsearch", TemplateNames(name, pattern), keep=given["keep"]), given)


@click.command("opensearch")
@_with(*_APPLIED, *_NAMED)
@click.pass_context
def opensearch(ctx: click.Context, /, name: str, pattern: str, **given: Any) -> None:
    """Lifecycle policy, types, ingest pipeline and index template for OpenSearch.

    As "elasticsearch", with a policy for Index State Management (ISM). For OpenSearch 2.15 or later. A server without
    ISM gets everything else: nothing is ever deleted there then.

    \b
    Exit code: 0 done, 1 the server refused it, 2 bad usage.

    \b
    bamboo-logmetrics config opensearch
    bamboo-logmetrics config opensearch --apply --url https://localhost:9200
    """  # noqa: D301 - click wants the character \b itself
    _give(ctx, elastic.requests("opensearch", TemplateNames(name, pattern), keep=given["keep"]), given)


@click.command("kibana")
@_with(*_NAMED)
def kibana_(name: str, pattern: str) -> None:
    """Print a data view, saved searches and a dashboard for Kibana 8.9 or later.

    Import them under Stack Management > Saved Objects, or through the interface:

    \b
    bamboo-logmetrics config kibana > bamboo.ndjson
    curl -X POST "$KIBANA/api/saved_objects/_import?overwrite=true" -H "kbn-xsrf: true" \\
      --form file=@bamboo.ndjson
    """  # noqa: D301 - click wants the character \b itself
    with unheard():
        click.echo(kibana.ndjson(kibana.saved_objects(TemplateNames(name, pattern))), nl=False)


COMMANDS = (elasticsearch, opensearch, kibana_)


def _give(ctx: click.Context, requests: list[Request], given: dict[str, Any]) -> None:
    if given["sent"] != bool(given["url"]):
        msg = "give --apply and --url together, or neither to print the requests"
        raise click.UsageError(msg)
    if given["sent"]:
        ctx.exit(_send(ctx, requests, given["url"]))
    with unheard():
        click.echo(elastic.console(requests), nl=False)


def _send(ctx: click.Context, requests: list[Request], url: str) -> int:
    """Send requests, say of each what came of it, and return the exit code."""
    try:
        from bamboo_logmetrics.integrations.elastic_sending import send
        from bamboo_logmetrics.ship.credentials import Credentials
    except ImportError as error:
        need(ctx, "ship", error)
    code = 0
    for done in send(requests, url, Credentials.from_environment()):
        mark = "done" if done.ok else "left out" if done.skipped else "refused"
        code = code if done.ok or done.skipped else _REFUSED
        text = f"{mark}: {done.request.method} {done.request.path}: {printable(done.said)}"
        click.echo(text, err=mark == "refused")
    return code
