"""``bamboo-logmetrics ship``."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table
from rich.text import Text

from bamboo_logmetrics.cli.exit_codes import FAILED, OK
from bamboo_logmetrics.cli.extras import exit_for_missing_extra
from bamboo_logmetrics.cli.filter_options import files_argument
from bamboo_logmetrics.cli.formatting import (
    as_json,
    plural,
    print_table,
    printable,
    progress_bar,
    tolerate_broken_pipe,
)
from bamboo_logmetrics.cli.terminal import check_stdout
from bamboo_logmetrics.logfiles.discovery import find_logs, size_of
from bamboo_logmetrics.system import FS

if TYPE_CHECKING:
    from bamboo_logmetrics.ship import LogStatus, Shipped, Shipper

_GIVE_UP_AFTER = 300.0  # seconds


def _number(_ctx: click.Context, _option: click.Parameter, value: float | None) -> float | None:
    if value is not None and math.isnan(value):
        msg = "'nan' is not a number of seconds"
        raise click.BadParameter(msg)
    return value


class _ShipCommand(click.Command):
    """Takes the destinations and their options from the registry whenever it runs: more may be registered by then."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        from bamboo_logmetrics.ship.destinations import DESTINATIONS

        files, *others, help_option = super().get_params(ctx)
        to = click.Option(["--to"], type=click.Choice(list(DESTINATIONS)), help="Kind of server.")
        return [files, to, *others, *_destination_options(), help_option]


def _destination_options() -> list[click.Option]:
    """Return the options of all destinations."""
    from bamboo_logmetrics.ship.destinations import DESTINATIONS

    return [
        click.Option(
            [f"--{field.name.replace('_', '-')}"],
            help=f"For {name}: {field.metadata['help']}" + (f"  [default: {field.default}]" if field.default else ""),
        )
        for name, destination in DESTINATIONS.items()
        for field in fields(destination.Options)
    ]


@click.command(cls=_ShipCommand)
@files_argument
@click.option("--url", help="URL of the server, such as http://localhost:3100; the destination's path is appended.")
@click.option("--follow", is_flag=True, help="Go on at the end: deliver lines that are appended, until stopped.")
@click.option("--status", "show", is_flag=True, help="Show how far these logs are shipped, and ship nothing.")
@click.option("--resend", is_flag=True, help="Send the lines in the dead-letter files again, and nothing else.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Form of --status.")
@click.option("--name", help="Name of the checkpoint, to ship one log to several servers.  [default: as --to]")
@click.option("--service", default="", help="Service of lines without service_name.  [default: the log's name]")
@click.option("--env", default="", help="Environment of lines without env, such as production.")
@click.option("--user", default="", help="User for basic authentication; give the password by file or environment.")
@click.option("--password-file", default="", type=click.Path(), help="File with the password.")
@click.option("--token-file", default="", type=click.Path(), help="File with a bearer token.")
@click.option("--api-key-file", default="", type=click.Path(), help="File with an Elasticsearch API key.")
@click.option("--tenant", default="", help="Tenant of Loki, sent as X-Scope-OrgID.")
@click.option(
    "--ca", default="", type=click.Path(), help="File with the certificates to trust, in place of the system's."
)
@click.option("--cert", default="", type=click.Path(), help="File with the client's certificate.")
@click.option("--key", default="", type=click.Path(), help="File with the certificate's key.")
@click.option(
    "--checkpoint-dir",
    type=click.Path(file_okay=False),
    help="Directory of checkpoints and dead letters.  [default: that of the log]",
)
@click.option(
    "--dead-letter-bytes",
    type=click.IntRange(min=0),
    default=64 * 1024 * 1024,
    show_default=True,
    help="Largest size of a dead-letter file; refused lines beyond it are counted, and not kept.",
)
@click.option("--moved", is_flag=True, help="The checkpoint's server has another URL now: go on there.")
@click.option(
    "--give-up-after",
    type=click.FloatRange(min=0),
    callback=_number,
    help=f"Seconds without success after which to exit with 1.  [default: {_GIVE_UP_AFTER:.0f}; with --follow never]",
)
@click.pass_context
def ship(ctx: click.Context, /, files: tuple[str, ...], *, show: bool, form: str, **values: Any) -> None:
    """Deliver logs to Loki, Elasticsearch, OpenSearch or an OTLP server.

    FILE is a log, or a quoted pattern. Its rotated and compressed files are found automatically, the oldest first.

    The files are the buffer: a hidden checkpoint beside each log notes how far it is delivered, and is never ahead of
    the server's acknowledgements. After an outage or a crash the same command goes on there. Each line is delivered at
    least once; within one backing index of Elasticsearch exactly once. A line that the server rejects goes, with the
    reason, to a hidden dead-letter file beside the log. --resend sends these lines again, at least once; those that are
    taken are removed from the file.

    Secrets come from the environment or from files, never from the command line: BAMBOO_LOGMETRICS_SHIP_USER,
    _PASSWORD, _TOKEN, _API_KEY, _TENANT, _CA, _CERT, _KEY, or _PASSWORD_FILE, _TOKEN_FILE, _API_KEY_FILE.

    \b
    Exit code: 0 all delivered (or a follower was stopped), 1 lines were
    refused or lost, or the server did not take them in time, 2 bad usage,
    130 interrupted.

    \b
    bamboo-logmetrics ship logs/agent.jsonl --to loki --url http://localhost:3100 --follow
    bamboo-logmetrics ship 'logs/*.jsonl' --to elasticsearch --url https://es:9200 --follow
    bamboo-logmetrics ship logs/agent.jsonl --to otlp --url http://localhost:4318
    bamboo-logmetrics ship logs/agent.jsonl --status
    """  # noqa: D301 - click wants the character \b itself
    try:
        from bamboo_logmetrics.ship import Shipper  # noqa: F401 - imported first, to report a missing extra
    except ImportError as error:
        exit_for_missing_extra(ctx, "ship", error)
    if show:
        _show_status(files, values["checkpoint_dir"], form)
        return
    if not values["to"] or not values["url"]:
        msg = "give --to and --url to ship, or --status to see how far the logs are shipped"
        raise click.UsageError(msg)
    if values["resend"] and values["follow"]:
        msg = "--resend ends with the last dead letter: give it without --follow"
        raise click.UsageError(msg)
    _run(ctx, files, values)


def _run(ctx: click.Context, files: tuple[str, ...], values: dict[str, Any]) -> None:
    from bamboo_logmetrics.ship import GivenUpError

    follow, resend, give_up_after = (values.pop(name) for name in ("follow", "resend", "give_up_after"))
    if give_up_after is None and not follow:
        give_up_after = _GIVE_UP_AFTER
    with progress_bar() as progress:
        task = progress.add_task("delivering", total=None if follow or resend else _size(files), visible=not follow)
        try:
            shipper = _shipper(files, values, lambda size: progress.update(task, advance=size))
        except ImportError as error:
            exit_for_missing_extra(ctx, "ship,otel", error)
        if follow:  # otherwise SIGTERM ends the process as usual: not all is delivered
            signal.signal(signal.SIGTERM, lambda *_: shipper.stop())
        try:
            with _interruptible(shipper):
                if resend:
                    result = shipper.resend(give_up_after=give_up_after)
                else:
                    result = shipper.run(follow=follow, give_up_after=give_up_after)
        except GivenUpError as error:
            _write(f"Error: {printable(str(error))}; the same command goes on where this one ended")
            ctx.exit(FAILED)
    with tolerate_broken_pipe():
        click.echo(_summary(result))
    ctx.exit(OK if follow or not (result.refused or result.lost) else FAILED)


@contextmanager
def _interruptible(shipper: Shipper) -> Iterator[None]:
    """Have Ctrl-C stop a shipper once its last request is answered; a second Ctrl-C ends it at once.

    A KeyboardInterrupt between an answer and its checkpoint would have lines delivered again.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:  # ignored, as in the background of a shell
        yield
        return
    interrupts = []

    def stop(*_: object) -> None:
        interrupts.append(True)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        shipper.stop()

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if interrupts:
        raise KeyboardInterrupt


def _shipper(files: tuple[str, ...], values: dict[str, Any], on_progress: Callable[[int], None]) -> Shipper:
    from bamboo_logmetrics.ship import Credentials, Shipper

    names = ("user", "tenant", "ca", "cert", "key")
    secrets = ("password_file", "token_file", "api_key_file")
    credentials = Credentials.from_environment(**{option: values.pop(option) for option in (*names, *secrets)})
    return Shipper(files, access=credentials, on_trouble=_report, on_notice=_note, on_progress=on_progress, **values)


def _size(files: tuple[str, ...]) -> int:
    return sum(size_of(FS(), log) for log in find_logs(files))


def _report(problem: str) -> None:
    _write(f"{printable(problem)}; trying again" if problem else "going on")


def _note(notice: str) -> None:
    _write(f"note: {printable(notice)}")


def _write(text: str) -> None:
    """Write a line to stderr, with the time in UTC, so that the beginning and the end of an outage are known."""
    with suppress(OSError):  # stderr is closed, which is no reason to stop
        click.echo(f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ} {text}", err=True)


def _summary(result: Shipped) -> str:
    text = f"delivered {plural(result.shipped, 'line')}"
    if result.refused:
        text += f"; {result.refused:,} refused: see the dead-letter file (--status names it)"
    if result.lost:
        text += f"; {result.lost:,} lost: the files do not hold them any more"
    return text


def _show_status(files: tuple[str, ...], directory: str | None, form: str) -> None:
    from bamboo_logmetrics.ship import status

    check_stdout()
    logs = status(files, checkpoint_dir=directory)
    with tolerate_broken_pipe():
        if form == "json":
            click.echo(as_json(logs))
        elif not logs:
            click.echo("no shipper has a checkpoint of these logs")
        else:
            _show_table(logs)


def _show_table(logs: list[LogStatus]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("log", overflow="fold")
    for name in ("name", "state"):
        table.add_column(name, no_wrap=True)
    for name in ("delivered", "refused", "lost", "repeated", "left", "oldest"):
        table.add_column(name, justify="right", no_wrap=True)
    for item in logs:
        table.add_row(*_cells(item))
    print_table(table)
    for item in logs:
        if item.error:
            since = f" (since {printable(item.error_since)})" if item.error_since else ""
            click.echo(f"{click.style('problem', fg='red')}: {item.name}: {printable(item.error)}{since}")
        if item.dead_letters:
            more = f"; it is full: {item.unkept:,} more are not kept" if item.unkept else ""
            click.echo(f"note: dead letters of {item.name}: {printable(item.dead_letters)}{more}")


def _cells(item: LogStatus) -> list[Text]:
    state = "running" if item.running else "not running"
    counts = [f"{number:,}" for number in (item.shipped, item.refused, item.lost, item.repeated)]
    behind = [f"{item.lag_bytes:,} B", f"{item.lag_seconds:.0f} s"]
    return [Text(cell) for cell in (printable(item.log), item.name, state, *counts, *behind)]
