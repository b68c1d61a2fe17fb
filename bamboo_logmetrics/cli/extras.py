"""What a command needs beside the extra ``cli``."""

from __future__ import annotations

import click

_PACKAGES = {"httpx": "httpx", "google": "protobuf", "opentelemetry": "opentelemetry-proto"}  # by what is imported


def need(ctx: click.Context, extras: str, error: ImportError) -> None:
    """Say which extra is missing and exit with 2, where it is that; else raise the error again."""
    package = _PACKAGES.get(str(error.name).partition(".")[0])
    if package is None:
        raise error
    click.echo(f"Error: this needs the package {package}: pip install 'bamboo_logmetrics[cli,{extras}]'", err=True)
    ctx.exit(2)
