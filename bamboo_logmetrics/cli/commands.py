"""The group of all commands, and their common handling of errors."""

from __future__ import annotations

import signal
from importlib import import_module
from typing import Any

import click

from bamboo_logmetrics._version import __version__
from bamboo_logmetrics.cli.error_text import error_text
from bamboo_logmetrics.cli.exit_codes import INTERRUPTED, UNUSABLE
from bamboo_logmetrics.cli.formatting import printable
from bamboo_logmetrics.cli.signals import SignalInterrupt, interrupt_at_signals
from bamboo_logmetrics.cli.stdout import discard_unwritable
from bamboo_logmetrics.errors import BambooLogError

# the module of each command, and its name there; it is imported when it is run, so that each starts fast
_COMMANDS = {
    "completion": "completion_command:completion",
    "config": "config_command:config",
    "demo": "demo_command:demo",
    "export": "export_command:export",
    "import": "import_command:import_group",
    "proxy": "proxy_command:proxy",
    "query": "query_command:query",
    "receive": "receive_command:receive",
    "report": "report_command:report",
    "run": "run_command:run",
    "ship": "ship_command:ship",
    "summary": "summary_command:summary",
    "tail": "tail_command:tail",
    "verify": "verify_command:verify",
}
_READING = {"export", "query", "report", "summary", "tail", "verify"}  # the others treat signals in their own ways


class _Group(click.Group):
    """Imports a command when it is asked for; turns its exceptions into a message and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the interface of click
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(f"bamboo_logmetrics.cli.{module}"), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, others = super().resolve_command(ctx, args)
        if name in _READING and not ctx.resilient_parsing:
            ctx.with_resource(interrupt_at_signals())
        return name, command, others

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SignalInterrupt as ended:
            click.echo(f"ended by {signal.Signals(ended.number).name}", err=True)
            ctx.exit(128 + ended.number)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)
        except (BambooLogError, OSError) as error:
            click.echo(f"Error: {printable(error_text(error))}", err=True)
            discard_unwritable()
            ctx.exit(UNUSABLE)


@click.group("bamboo-logmetrics", cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Keep logs of LLM agents and proxies in which every event is accounted for.

    \b
    See how it works:    bamboo-logmetrics demo
    Log a program:       bamboo-logmetrics run --log logs/agent.jsonl -- python agent.py
    Log any program:     bamboo-logmetrics proxy --log logs/proxy.jsonl
    Log their telemetry: bamboo-logmetrics receive --log logs/agents.jsonl
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
