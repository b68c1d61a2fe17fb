"""``bamboo-logmetrics verify``."""

from __future__ import annotations

import click

from bamboo_logmetrics import reading
from bamboo_logmetrics.cli.formatting import as_json, progress_bar, show_report, unheard

_LONG = 100 * 1024 * 1024  # bytes; less is read before a bar could be looked at


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to print the report.")
@click.option("--complete", is_flag=True, help="A beginning that retention has removed is missing, too.")
@click.pass_context
def verify(ctx: click.Context, files: tuple[str, ...], form: str, complete: bool) -> None:
    """Tell whether every event of a log is accounted for.

    FILE is a log, or a quoted pattern. Its rotated and compressed files are found by themselves; a rotated file stands
    for its log.

    Every line is read. Lines of each writer are numbered, so a number that is not there is a lost line. Events that the
    application lost before they were written are announced in the log itself, and are accounted for.

    \b
    Exit code: 0 all is accounted for, 1 something is missing, broken or
    repeated, 2 bad usage, 130 interrupted.

    \b
    bamboo-logmetrics verify logs/agent.jsonl
    bamboo-logmetrics verify 'logs/*.jsonl' --complete
    bamboo-logmetrics verify logs/agent.jsonl --format json | jq .writers
    """  # noqa: D301 - click wants the character \b itself
    with progress_bar() as progress:
        task = progress.add_task("reading", total=None, visible=False)

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total, visible=total > _LONG)

        report = reading.verify(files, complete=complete, on_progress=show)
    with unheard():
        if form == "json":
            click.echo(as_json(report))
        else:
            show_report(report)
    ctx.exit(0 if report.ok else 1)
