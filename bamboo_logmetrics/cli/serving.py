"""Options, the token, and lines about requests, for each command that runs a server."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from bamboo_logmetrics.cli.formatting import printable

if TYPE_CHECKING:
    from bamboo_logmetrics.live.traffic import Passed

_MOST_SHOWN = 200  # characters of a path

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def serving_options(address: str, clients: str) -> Decorator:
    """Return the decorator for the options of every server.

    Args:
        address: the default of ``--listen``.
        clients: the word for those who connect.
    """
    options = (
        click.option(
            "--log",
            required=True,
            type=click.Path(dir_okay=False),
            help="The log; its directory is made if it is missing.",
        ),
        click.option("--listen", default=address, show_default=True, metavar="HOST:PORT", help="Address to listen at."),
        click.option(
            "--auth-token-file",
            type=click.Path(),
            metavar="FILE",
            help=f"File with the token that {clients} have to give.",
        ),
        click.option("--allow-remote", is_flag=True, help="Let other machines connect; needs --auth-token-file."),
        click.option("--quiet", is_flag=True, help="Print no line for each request."),
    )

    def with_options(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return with_options


def token_of(values: dict[str, Any], danger: str) -> str:
    """Return the token that the options name; empty for none.

    Raises ConfigError for a file that cannot be read, and UsageError if others may connect without a token.
    """
    from bamboo_logmetrics.live.upstreams import key_from

    token = key_from(values["auth_token_file"]) if values["auth_token_file"] else ""
    if values["allow_remote"] and not token:
        msg = f"--allow-remote needs --auth-token-file: otherwise anybody could {danger}"
        raise click.UsageError(msg)
    return token


def reporter(*, quiet: bool) -> Callable[[Passed], None]:
    """Return the function for each request that has ended: it prints a line, if stderr is a terminal."""
    return show if sys.stderr.isatty() and not quiet else lambda _: None


def show(passed: Passed) -> None:
    """Print a line for a request that has ended."""
    now = datetime.now().astimezone()
    status = passed.status if passed.is_whole else f"{passed.status or '-'} cut off"
    path = printable(passed.path[:_MOST_SHOWN])
    write(f"{now:%H:%M:%S} {status} {passed.method} {path} {passed.milliseconds:,} ms")


def write(text: str) -> None:
    """Print a line on stderr."""
    with suppress(OSError):  # stderr is closed, which is no reason to stop
        click.echo(text, err=True)
