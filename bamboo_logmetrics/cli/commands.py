"""The group of all commands, and their common handling of errors."""

from __future__ import annotations

from typing import Any

import click

from bamboo_logmetrics._version import __version__
from bamboo_logmetrics.cli.completion_command import completion
from bamboo_logmetrics.cli.config_command import config
from bamboo_logmetrics.cli.demo_command import demo
from bamboo_logmetrics.cli.exit_codes import INTERRUPTED, UNUSABLE
from bamboo_logmetrics.cli.export_command import export
from bamboo_logmetrics.cli.formatting import printable
from bamboo_logmetrics.cli.import_command import import_group
from bamboo_logmetrics.cli.query_command import query
from bamboo_logmetrics.cli.report_command import report
from bamboo_logmetrics.cli.run_command import run
from bamboo_logmetrics.cli.ship_command import ship
from bamboo_logmetrics.cli.summary_command import summary
from bamboo_logmetrics.cli.tail_command import tail
from bamboo_logmetrics.cli.verify_command import verify
from bamboo_logmetrics.errors import BambooLogError


class _Group(click.Group):
    """Turns the exceptions of a command into a message and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)
        except (BambooLogError, OSError) as error:
            click.echo(f"Error: {printable(str(error))}", err=True)
            ctx.exit(UNUSABLE)


@click.group("bamboo-logmetrics", cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Keep logs of LLM agents and proxies in which every event is accounted for.

    \b
    See how it works:    bamboo-logmetrics demo
    Log a program:       bamboo-logmetrics run --log logs/agent.jsonl -- python agent.py
    Sum it up:           bamboo-logmetrics summary logs/agent.jsonl --by model
    Find lines:          bamboo-logmetrics query logs/agent.jsonl --event 'chat.*' --since 2h
    Watch it:            bamboo-logmetrics tail -f logs/agent.jsonl
    Look at it:          bamboo-logmetrics report logs/agent.jsonl -o report.html
    Find missing lines:  bamboo-logmetrics verify logs/agent.jsonl
    Deliver to a server: bamboo-logmetrics ship logs/agent.jsonl --to loki --url http://localhost:3100
    Export the events:   bamboo-logmetrics export logs/agent.jsonl --format tagged -o events.jsonl
    Import transcripts:  bamboo-logmetrics import claude-code ~/.claude/projects -o history.jsonl

    \b
    Tab completion, in ~/.bashrc (zsh and fish: see completion --help):
      eval "$(bamboo-logmetrics completion bash)"
    """  # noqa: D301 - click wants the character \b itself


for _command in (completion, config, demo, export, import_group, query, report, run, ship, summary, tail, verify):
    cli.add_command(_command)
