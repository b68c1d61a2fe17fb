"""``bamboo-logmetrics run``: start a program whose model calls are logged, without a change of its code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from bamboo_logmetrics.instrument.autostart import environment
from bamboo_logmetrics.instrument.settings import host_names
from bamboo_logmetrics.logfiles.path_check import refuse

_NOT_FOUND, _NOT_EXECUTABLE = 127, 126  # exit codes of shells


def _checked(_: click.Context, __: click.Parameter, hosts: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse what is no host before the program is started."""
    try:
        return tuple(sorted(host_names(hosts)))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option(
    "--log",
    default="metrics.jsonl",
    show_default=True,
    type=click.Path(dir_okay=False),
    help="The log; its directory is made if it is missing.",
)
@click.option(
    "--host",
    "hosts",
    multiple=True,
    callback=_checked,
    help="A host to observe besides those of known providers, such as a gateway; may be given several times.",
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
def run(ctx: click.Context, log: str, hosts: tuple[str, ...], command: tuple[str, ...]) -> None:
    """Run a program and log its model calls.

    The program and the Python programs that it starts are instrumented as by
    bamboo_logmetrics.instrument.instrument(): each request to a known provider is two events, with usage, status and
    latency. Prompts and completions are never stored. Exit code and signals are the program's.

    A COMMAND that ends in .py, or begins with -m, is run by this Python.

    \b
    bamboo-logmetrics run --log logs/agent.jsonl -- python agent.py
    bamboo-logmetrics run -- uvicorn app:app --workers 2
    bamboo-logmetrics run --host gateway.internal -- -m my_agent
    """  # noqa: D301 - click wants the character \b itself
    program = program_of(command)
    directory = os.path.dirname(os.path.abspath(log))
    try:
        os.makedirs(directory, exist_ok=True)
    except OSError as error:
        refuse(log, f"its directory cannot be made ({error.strerror})", "give another --log")
    if getattr(sys, "stdout", None) is not None:  # the program may need none
        sys.stdout.flush()
    try:
        os.execvpe(program[0], program, environment(log, hosts, os.environ))  # noqa: S606 - a shell would take signals
    except FileNotFoundError:
        click.echo(f"Error: {program[0]}: command not found", err=True)
        ctx.exit(_NOT_FOUND)
    except OSError as error:
        click.echo(f"Error: {program[0]}: {error.strerror}", err=True)
        ctx.exit(_NOT_EXECUTABLE)


def program_of(command: Sequence[str]) -> list[str]:
    """Return the program and its arguments: this Python for a module or a script."""
    if command[0] == "-m" or command[0].endswith(".py"):
        return [sys.executable, *command]
    return [*command]
