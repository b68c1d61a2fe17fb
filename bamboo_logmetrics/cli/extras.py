"""The message for a missing package of an extra that only some commands need."""

from __future__ import annotations

from typing import NoReturn

import click

from bamboo_logmetrics.cli.exit_codes import UNUSABLE

_PACKAGES = {  # by top-level module
    "aiohttp": "aiohttp",
    "google": "protobuf",
    "httptools": "httptools",
    "httpx": "httpx",
    "opentelemetry": "opentelemetry-proto",
    "uvicorn": "uvicorn",
    "websockets": "websockets",
    "yarl": "aiohttp",
}


def exit_for_missing_extra(ctx: click.Context, extras: str, error: ImportError) -> NoReturn:
    """Print how to install ``extras``, separated by commas, and exit; raise an error of another cause again."""
    package = _PACKAGES.get(str(error.name).partition(".")[0])
    if package is None:
        raise error
    click.echo(f"Error: this needs the package {package}: pip install 'bamboo_logmetrics[cli,{extras}]'", err=True)
    ctx.exit(UNUSABLE)
