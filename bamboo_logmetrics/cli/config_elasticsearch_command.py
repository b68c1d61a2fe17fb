"""``bamboo-logmetrics config elasticsearch``, ``opensearch`` and ``kibana``."""

from __future__ import annotations

from collections.abc import Callable

import click

from bamboo_logmetrics.cli.exit_codes import FAILED, OK
from bamboo_logmetrics.cli.extras import exit_for_missing_extra
from bamboo_logmetrics.cli.formatting import printable, tolerate_broken_pipe
from bamboo_logmetrics.cli.terminal import check_stdout
from bamboo_logmetrics.integrations.elasticsearch.console import console
from bamboo_logmetrics.integrations.elasticsearch.mapping import Product
from bamboo_logmetrics.integrations.elasticsearch.requests import KEEP, NAMES, Request, TemplateNames, setup_requests
from bamboo_logmetrics.integrations.kibana import saved_objects

_Command = Callable[..., None]

_NAME_OPTIONS = (
    click.option("--name", default=NAMES.name, show_default=True, help="The name of everything that is created."),
    click.option("--pattern", default=NAMES.pattern, show_default=True, help="The pattern of the data streams."),
)
_SETUP_OPTIONS = (
    click.option("--apply", is_flag=True, help="Send the requests to --url instead of printing them."),
    click.option("--url", metavar="URL", help="The server, such as https://localhost:9200."),
    click.option(
        "--keep",
        metavar="DAYS",
        type=click.IntRange(min=1),
        default=KEEP,
        show_default=True,
        help="The days for which events are kept after the rollover of their index.",
    ),
    *_NAME_OPTIONS,
)


def _with(options: tuple[Callable[[_Command], _Command], ...]) -> Callable[[_Command], _Command]:
    """Return a decorator that adds options; the help shows them in this order."""

    def decorate(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@click.command("elasticsearch")
@_with(_SETUP_OPTIONS)
def elasticsearch(apply: bool, url: str | None, keep: int, name: str, pattern: str) -> None:
    """Print or apply the lifecycle policy, types, ingest pipeline and index template for Elasticsearch.

    Without --apply, print the requests for the console of Kibana's Dev Tools. For Elasticsearch 8.13 or later.

    The pipeline makes ECS documents of lines in any layout that arrive as text in "message" (or "event.original", or
    "log"), and of lines in the layouts native and ecs that a log shipper has parsed. So any log shipper can deliver
    them.

    --apply uses the credentials from the environment, as "ship" does: BAMBOO_LOGMETRICS_SHIP_USER, _PASSWORD, _TOKEN,
    _API_KEY, _CA, _CERT, _KEY, or _PASSWORD_FILE, _TOKEN_FILE, _API_KEY_FILE. Applying twice changes nothing.

    \b
    Exit code: 0 done, 1 a request failed, 2 bad usage.

    \b
    bamboo-logmetrics config elasticsearch
    bamboo-logmetrics config elasticsearch --keep 30 --apply --url https://localhost:9200
    """  # noqa: D301 - click wants the character \b itself
    _set_up("elasticsearch", TemplateNames(name, pattern), keep, url, apply=apply)


@click.command("opensearch")
@_with(_SETUP_OPTIONS)
def opensearch(apply: bool, url: str | None, keep: int, name: str, pattern: str) -> None:
    """Print or apply the lifecycle policy, types, ingest pipeline and index template for OpenSearch.

    As "elasticsearch", with a policy for Index State Management (ISM). For OpenSearch 2.15 or later. A server without
    ISM gets everything else, and never deletes events.

    \b
    Exit code: 0 done, 1 a request failed, 2 bad usage.

    \b
    bamboo-logmetrics config opensearch
    bamboo-logmetrics config opensearch --apply --url https://localhost:9200
    """  # noqa: D301 - click wants the character \b itself
    _set_up("opensearch", TemplateNames(name, pattern), keep, url, apply=apply)


@click.command("kibana")
@_with(_NAME_OPTIONS)
def kibana(name: str, pattern: str) -> None:
    """Print a data view, saved searches and a dashboard for Kibana 8.9 or later.

    Import them under Stack Management > Saved Objects, or by the API:

    \b
    bamboo-logmetrics config kibana > bamboo.ndjson
    curl -X POST "$KIBANA/api/saved_objects/_import?overwrite=true" -H "kbn-xsrf: true" \\
      --form file=@bamboo.ndjson
    """  # noqa: D301 - click wants the character \b itself
    check_stdout()
    with tolerate_broken_pipe():
        click.echo(saved_objects(TemplateNames(name, pattern)), nl=False)


COMMANDS = (elasticsearch, opensearch, kibana)


def _set_up(product: Product, names: TemplateNames, keep: int, url: str | None, *, apply: bool) -> None:
    if apply != bool(url):
        msg = "give --apply and --url together, or neither to print the requests"
        raise click.UsageError(msg)
    requests = setup_requests(product, names, keep=keep)
    if url:
        click.get_current_context().exit(_send(requests, url))
    check_stdout()
    with tolerate_broken_pipe():
        click.echo(console(requests), nl=False)


def _send(requests: list[Request], url: str) -> int:
    """Send requests, print the result of each, and return the exit code."""
    try:
        from bamboo_logmetrics.integrations.elasticsearch.sending import send
        from bamboo_logmetrics.ship.credentials import Credentials
    except ImportError as error:
        exit_for_missing_extra(click.get_current_context(), "ship", error)
    code = OK
    for result in send(requests, url, Credentials.from_environment()):
        status = "done" if result.ok else "left out" if result.skipped else "refused"
        if status == "refused":
            code = FAILED
        text = f"{status}: {result.request.method} {result.request.path}: {printable(result.message)}"
        click.echo(text, err=status == "refused")
    return code
