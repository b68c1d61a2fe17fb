"""``bamboo-logmetrics config``: configurations for log shippers, and for the servers that store and show the lines."""

from __future__ import annotations

import shlex
from typing import IO, Any

import click

from bamboo_logmetrics import integrations
from bamboo_logmetrics.cli.config_elasticsearch_command import COMMANDS
from bamboo_logmetrics.cli.formatting import tolerate_broken_pipe
from bamboo_logmetrics.cli.terminal import check_stdout
from bamboo_logmetrics.integrations.grafana import alerts as grafana_alerts
from bamboo_logmetrics.integrations.grafana import dashboard as grafana_dashboard
from bamboo_logmetrics.integrations.lnav import log_format

_output_option = click.option(
    "-o", "--output", metavar="FILE", type=click.Path(), help="Write to this new file instead of printing."
)


@click.group("config")
def config() -> None:
    """Print a complete configuration for a log shipper, or for a server that stores or shows the lines.

    The configuration of a log shipper names the files of the log, reads a rotated file to its end, and uses the
    timestamp of each line. It contains no secrets; its comments show how the shipper reads them from its environment.
    """


def _shipper_command(target: integrations.Target) -> click.Command:
    """Return the command of a log shipper."""
    options = [
        click.Option(
            ["--path"],
            required=True,
            metavar="FILE",
            type=click.Path(),
            help="The log, by its path on the shipper's host.",
        ),
        click.Option(["--url"], required=True, metavar="URL", help=target.url_help),
        click.Option(
            ["--service"],
            default="",
            metavar="NAME",
            help="The service of lines without service_name.  [default: the log's name]",
        ),
        click.Option(
            ["--env"], default="", metavar="NAME", help="The environment of lines without env, such as production."
        ),
    ]
    if target.has_state:
        text = "The directory in which the shipper remembers its read positions.  [default: beside the log]"
        options.append(click.Option(["--state"], default="", metavar="DIR", help=text))

    def run(output: str | None, **settings: str) -> None:
        arguments = [part for name, text in settings.items() if text for part in (f"--{name}", text)]
        command = shlex.join(["bamboo-logmetrics", "config", target.name, *arguments])
        _write(output, target.render(command=command, **settings))

    command = click.Command(target.name, params=[*options], callback=run, help=target.help)
    return _output_option(command)


@config.command()
@click.option("--alerts", is_flag=True, help="Print the alert rules instead, as a file for Grafana's provisioning.")
@click.option(
    "--datasource",
    default="loki",
    show_default=True,
    metavar="UID",
    help="The uid of the Loki data source, for the alert rules; users choose it in the dashboard itself.",
)
@_output_option
def grafana(alerts: bool, datasource: str, output: str | None) -> None:
    """Print a dashboard for Grafana 11 or later, over the lines in Loki.

    It shows tokens, latency quantiles, errors, tools, requests, drops, storage errors, and writers without a clean end.
    Import it in Grafana, or put it into the directory of Grafana's provisioning. It needs lines of the layout native,
    as alloy, fluent-bit, vector and ship send them.

    \b
    bamboo-logmetrics config grafana > bamboo.json
    bamboo-logmetrics config grafana --alerts > /etc/grafana/provisioning/alerting/bamboo.yaml
    """  # noqa: D301 - click wants the character \b itself
    _write(output, grafana_alerts(datasource) if alerts else grafana_dashboard())


@config.command()
@_output_option
def lnav(output: str | None) -> None:
    """Print a format for lnav, the viewer of log files: columns, colours by level, SQL over the fields.

    It knows lines of the layout native. lnav reads rotated and compressed files too.

    \b
    bamboo-logmetrics config lnav -o bamboo_logmetrics.json
    lnav -i bamboo_logmetrics.json
    lnav logs/agent.jsonl*
    """  # noqa: D301 - click wants the character \b itself
    _write(output, log_format())


def _write(output: str | None, text: str) -> None:
    """Print a configuration, or write it to a new file."""
    if output is None:
        check_stdout()
        with tolerate_broken_pipe():
            click.echo(text, nl=False)
        return
    try:
        file: IO[Any] = open(output, "x", encoding="utf-8")  # noqa: SIM115 - closed below
    except FileExistsError:
        msg = f"{output} exists; remove it, or use another name"
        raise click.UsageError(msg) from None
    with file:
        file.write(text)


for _command in (*map(_shipper_command, integrations.TARGETS.values()), *COMMANDS):
    config.add_command(_command)
