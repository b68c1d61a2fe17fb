"""``bamboo-logmetrics completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from bamboo_logmetrics.cli.terminal import check_stdout

_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that lets a shell complete commands, options and their values.

    \b
    bash, in ~/.bashrc:                   eval "$(bamboo-logmetrics completion bash)"
    zsh, in ~/.zshrc:                     eval "$(bamboo-logmetrics completion zsh)"
    fish, in ~/.config/fish/config.fish:  bamboo-logmetrics completion fish | source
    """  # noqa: D301 - click wants the character \b itself
    check_stdout()
    root = ctx.find_root()
    name = root.info_name or ""
    made_for = get_completion_class(shell)
    assert made_for is not None
    variable = f"_{name}_COMPLETE".replace("-", "_").upper()
    click.echo(made_for(root.command, {}, name, variable).source())
