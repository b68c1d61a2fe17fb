"""The group of all commands, and what they have in common: how they fail."""

from __future__ import annotations

from typing import Any

import click

from bamboo_logmetrics._version import __version__
from bamboo_logmetrics.cli.config import config
from bamboo_logmetrics.cli.demo import demo
from bamboo_logmetrics.cli.formatting import printable
from bamboo_logmetrics.cli.import_ import import_
from bamboo_logmetrics.cli.ship import ship
from bamboo_logmetrics.cli.verify import verify
from bamboo_logmetrics.errors import BambooLogError

INTERRUPTED = 130  # 128 + SIGINT, as shells have it
UNUSABLE = 2


class _Group(click.Group):
    """Turns what a command may raise into a message and an exit code."""

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
    See what it is about:     bamboo-logmetrics demo
    Is anything missing?      bamboo-logmetrics verify logs/agent.jsonl
    Deliver it to a server:   bamboo-logmetrics ship logs/agent.jsonl --to loki --url http://loki:3100
    Import your transcripts:  bamboo-logmetrics import claude-code ~/.claude/projects -o history.jsonl

    \b
    Tab completion, in ~/.bashrc (for zsh or fish, put that name in place of bash):
      eval "$(_BAMBOO_LOGMETRICS_COMPLETE=bash_source bamboo-logmetrics)"
    """  # noqa: D301 - click wants the character \b itself


cli.add_command(config)
cli.add_command(demo)
cli.add_command(import_)
cli.add_command(ship)
cli.add_command(verify)
