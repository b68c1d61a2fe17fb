"""``bamboo-logmetrics verify``."""

from __future__ import annotations

import click

from bamboo_logmetrics import reading
from bamboo_logmetrics.cli.exit_codes import FAILED, OK
from bamboo_logmetrics.cli.filter_options import files_argument
from bamboo_logmetrics.cli.formatting import print_json, printable, progress_bar, show_report, tolerate_broken_pipe
from bamboo_logmetrics.cli.terminal import check_stdout

_LONG = 100 * 1024 * 1024  # bytes; a shorter log is read before anyone could look at a progress bar


@click.command()
@files_argument
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="The form of the report.")
@click.option(
    "--complete", is_flag=True, help="Also count as missing what retention has removed, and acknowledged losses."
)
@click.option("--acknowledge", multiple=True, metavar="WRITER", help="Acknowledge what this writer has lost by now.")
@click.option("--withdraw", multiple=True, metavar="WRITER", help="Withdraw an acknowledgement.")
@click.pass_context
def verify(
    ctx: click.Context,
    *,
    files: tuple[str, ...],
    form: str,
    complete: bool,
    acknowledge: tuple[str, ...],
    withdraw: tuple[str, ...],
) -> None:
    """Check that every event of a log is accounted for.

    FILE is a log, or a quoted pattern. Its rotated and compressed files are found automatically. For a rotated
    file, its whole log is checked. A dash is standard input: a saved stream, such as of a container.

    The command reads every line. The lines of each writer are numbered, so a missing number is a lost line. If the
    application lost events before they were written, the log itself records them; these events are accounted for.

    A loss that you know of can be acknowledged, by the id of its writer. It is noted beside the log, in a file named
    .NAME.acknowledged, and shown as a note; the exit code is 0 as long as that writer loses nothing more.

    \b
    Exit code: 0 all is accounted for, 1 something is missing, broken or
    repeated, 2 bad usage, 130 interrupted.

    \b
    bamboo-logmetrics verify logs/agent.jsonl
    bamboo-logmetrics verify 'logs/*.jsonl' --complete
    bamboo-logmetrics verify logs/agent.jsonl --format json | jq .writers
    docker logs app | bamboo-logmetrics verify -
    bamboo-logmetrics verify logs/agent.jsonl --acknowledge 9f3c21d07a55e8b04c1d
    """  # noqa: D301 - click wants the character \b itself
    check_stdout()
    with progress_bar() as progress:
        task = progress.add_task("reading", total=None, visible=False)

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total, visible=total > _LONG)

        report = reading.verify(files, complete=complete, acknowledge=acknowledge, withdraw=withdraw, on_progress=show)
    for finding in report.problems:
        if finding.kind == "unusable_acknowledgements":  # the report is without them
            click.echo(f"Error: {printable(str(finding))}", err=True)
    with tolerate_broken_pipe():
        if form == "json":
            print_json(report)
        else:
            show_report(report)
    ctx.exit(OK if report.ok else FAILED)
