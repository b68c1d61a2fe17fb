"""``bamboo-logmetrics ship``."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table
from rich.text import Text

from bamboo_logmetrics.cli.extras import need
from bamboo_logmetrics.cli.formatting import as_json, plural, print_table, printable, progress_bar, unheard
from bamboo_logmetrics.logfiles.discovery import find_logs, size_of
from bamboo_logmetrics.system import FS

if TYPE_CHECKING:
    from bamboo_logmetrics.ship import LogStatus, Shipped, Shipper

_PATIENCE = 300.0  # seconds


def _number(_ctx: click.Context, _option: click.Parameter, value: float | None) -> float | None:
    if value is not None and math.isnan(value):
        msg = "'nan' is not a number of seconds"
        raise click.BadParameter(msg)
    return value


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--to", type=click.Choice(["loki", "elasticsearch", "otlp"]), help="The kind of server.")
@click.option("--url", help="Where it is, such as http://localhost:3100; the interface's path is appended.")
@click.option("--follow", is_flag=True, help="Go on at the end, and deliver what is appended, until stopped.")
@click.option("--status", "show", is_flag=True, help="Say how far the shippers of these logs are, and ship nothing.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to print --status.")
@click.option("--name", help="Names the checkpoint, to ship one log to several places.  [default: as --to]")
@click.option("--service", default="", help="Service of lines without service_name.  [default: the log's name]")
@click.option("--env", default="", help="Environment of lines without env, such as production.")
@click.option("--data-stream", help="Of Elasticsearch.  [default: logs-bamboo.events-default]")
@click.option("--user", default="", help="For basic authorisation; its password comes from the environment or a file.")
@click.option("--password-file", default="", help="A file that holds the password.")
@click.option("--token-file", default="", help="A file that holds a bearer token.")
@click.option("--api-key-file", default="", help="A file that holds an Elasticsearch API key.")
@click.option("--tenant", default="", help="Loki's tenant, X-Scope-OrgID.")
@click.option("--ca", default="", help="A file with the certificates to trust, in place of the system's.")
@click.option("--cert", default="", help="A file with the client's certificate.")
@click.option("--key", default="", help="A file with its key.")
@click.option("--checkpoint-dir", help="Where checkpoints and dead letters are kept.  [default: beside the log]")
@click.option("--moved", is_flag=True, help="The checkpoint's server has another URL now: go on there.")
@click.option(
    "--give-up-after",
    type=click.FloatRange(min=0),
    callback=_number,
    help=f"Seconds without any success after which to exit with 1.  [default: {_PATIENCE:.0f}; with --follow never]",
)
@click.pass_context
def ship(ctx: click.Context, /, files: tuple[str, ...], *, show: bool, form: str, **given: Any) -> None:
    """Deliver logs to Loki, Elasticsearch, OpenSearch or an OTLP server.

    FILE is a log, or a quoted pattern. Its rotated and compressed files are found by themselves, the oldest first.

    The files are the buffer: a hidden checkpoint beside each log says how far it is delivered, and is never ahead of
    what the server has acknowledged. After an outage or a crash the same command goes on there. Each line is delivered
    at least once; within one backing index of Elasticsearch exactly once. What a server refuses for good goes, with the
    reason, to a hidden dead-letter file beside the log.

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
        from bamboo_logmetrics.ship import Shipper  # noqa: F401 - here, where a missing extra is reported
    except ImportError as error:
        need(ctx, "ship", error)
    if show:
        _show_status(files, given["checkpoint_dir"], form)
        return
    if not given["to"] or not given["url"]:
        msg = "give --to and --url, or --status to see how far the shippers are"
        raise click.UsageError(msg)
    _run(ctx, files, given)


def _run(ctx: click.Context, files: tuple[str, ...], given: dict[str, Any]) -> None:
    from bamboo_logmetrics.ship import GivenUpError

    follow, patience = given.pop("follow"), given.pop("give_up_after")
    if patience is None and not follow:
        patience = _PATIENCE
    with progress_bar() as progress:
        task = progress.add_task("delivering", total=None if follow else _size(files), visible=not follow)
        try:
            shipper = _shipper(files, given, lambda size: progress.update(task, advance=size))
        except ImportError as error:
            need(ctx, "ship,otel", error)
        if follow:  # else it is an end before the end
            signal.signal(signal.SIGTERM, lambda *_: shipper.stop())
        try:
            with _interruptible(shipper):
                done = shipper.run(follow=follow, patience=patience)
        except GivenUpError as error:
            click.echo(f"Error: {printable(str(error))}; the same command goes on where this one ended", err=True)
            ctx.exit(1)
    with unheard():
        click.echo(_summary(done))
    ctx.exit(0 if follow or not (done.refused or done.lost) else 1)


@contextmanager
def _interruptible(shipper: Shipper) -> Iterator[None]:
    """Have Ctrl-C stop a shipper, so that what is under way counts; a second one ends it at once.

    As an exception it could come between an answer and its checkpoint, and lines would be delivered again.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:  # ignored, as in the background of a shell
        yield
        return
    heard = []

    def stop(*_: object) -> None:
        heard.append(True)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        shipper.stop()

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if heard:
        raise KeyboardInterrupt


def _shipper(files: tuple[str, ...], given: dict[str, Any], on_progress: Callable[[int], None]) -> Shipper:
    from bamboo_logmetrics.ship import Credentials, Shipper

    names = ("user", "tenant", "ca", "cert", "key")
    secrets = ("password_file", "token_file", "api_key_file")
    access = Credentials.from_environment(**{option: given.pop(option) for option in (*names, *secrets)})
    return Shipper(files, access=access, on_trouble=_say, on_notice=_note, on_progress=on_progress, **given)


def _size(files: tuple[str, ...]) -> int:
    return sum(size_of(FS(), log) for log in find_logs(files))


def _say(trouble: str) -> None:
    _write(f"{printable(trouble)}; trying again" if trouble else "going on")


def _note(notice: str) -> None:
    _write(f"note: {printable(notice)}")


def _write(text: str) -> None:
    with suppress(OSError):  # nobody listens any more; that is no reason to stop
        click.echo(text, err=True)


def _summary(done: Shipped) -> str:
    text = f"delivered {plural(done.shipped, 'line')}"
    if done.refused:
        text += f"; {done.refused:,} refused: see the dead-letter file (--status names it)"
    if done.lost:
        text += f"; {done.lost:,} lost: the files do not hold them any more"
    return text


def _show_status(files: tuple[str, ...], directory: str | None, form: str) -> None:
    from bamboo_logmetrics.ship import status

    found = status(files, checkpoint_dir=directory)
    with unheard():
        if form == "json":
            click.echo(as_json(found))
        elif not found:
            click.echo("nobody has shipped these logs yet")
        else:
            _show_table(found)


def _show_table(found: list[LogStatus]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("log", overflow="fold")
    for name in ("name", "state"):
        table.add_column(name, no_wrap=True)
    for name in ("delivered", "refused", "lost", "repeated", "behind", "for"):
        table.add_column(name, justify="right", no_wrap=True)
    for item in found:
        table.add_row(*_cells(item))
    print_table(table)
    for item in found:
        if item.error:
            since = f" (since {item.error_since})" if item.error_since else ""
            click.echo(f"{click.style('problem', fg='red')}: {item.name}: {printable(item.error)}{since}")
        if item.dead_letters:
            click.echo(f"note: dead letters of {item.name}: {printable(item.dead_letters)}")


def _cells(item: LogStatus) -> list[Text]:
    state = "running" if item.running else "not running"
    counts = [f"{number:,}" for number in (item.shipped, item.refused, item.lost, item.repeated)]
    behind = [f"{item.lag_bytes:,} B", f"{item.lag_seconds:.0f} s"]
    return [Text(cell) for cell in (printable(item.log), item.name, state, *counts, *behind)]
