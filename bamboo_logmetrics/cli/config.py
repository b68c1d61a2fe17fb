"""``bamboo-logmetrics config``: configurations of the agents and servers that the log goes to."""

from __future__ import annotations

import shlex
from typing import IO, Any

import click

from bamboo_logmetrics import integrations
from bamboo_logmetrics.cli.config_elastic import COMMANDS
from bamboo_logmetrics.cli.formatting import unheard

_URLS = {
    "filebeat": "Elasticsearch, such as http://localhost:9200.",
    "logstash": "Elasticsearch, such as http://localhost:9200.",
    "alloy": "Loki, such as http://localhost:3100.",
    "fluent-bit": "Loki, such as http://localhost:3100.",
    "vector": "Loki, such as http://localhost:3100.",
    "otel-collector": "Any OTLP/HTTP endpoint, such as http://localhost:4318, or Loki's http://localhost:3100/otlp.",
}

_HELP = {
    "filebeat": """Print filebeat.yml, for Filebeat 9.1 or later: the log to Elasticsearch.

    Documents of the data stream logs-bamboo.events-default, each with an _id of its line, so that none is there twice.
    Its index template and ingest pipeline must be there before: bamboo-logmetrics config elasticsearch.

    \b
    bamboo-logmetrics config filebeat --path logs/agent.jsonl \\
      --url http://localhost:9200 > filebeat.yml
    filebeat -e -c filebeat.yml
    """,
    "logstash": """Print logstash.conf, for Logstash 8 or 9: the log to Elasticsearch.

    Documents of the data stream logs-bamboo.events-default, each with an _id of its line, so that none is there twice.
    Its index template and ingest pipeline must be there before: bamboo-logmetrics config elasticsearch.

    \b
    bamboo-logmetrics config logstash --path logs/agent.jsonl \\
      --url http://localhost:9200 > logstash.conf
    logstash -f logstash.conf
    """,
    "alloy": """Print config.alloy, for Grafana Alloy 1.17 or later: the log to Loki.

    Labels service_name, env, family and level; ids as structured metadata; the lines as they are, at their own times.

    \b
    bamboo-logmetrics config alloy --path logs/agent.jsonl \\
      --url http://localhost:3100 > config.alloy
    alloy run --storage.path=alloy-data config.alloy
    """,
    "fluent-bit": """Print fluent-bit.yaml, for Fluent Bit 4.0 or later: the log to Loki.

    Labels service_name, env, family and level; ids as structured metadata; the lines as they are, at their own times.

    \b
    bamboo-logmetrics config fluent-bit --path logs/agent.jsonl \\
      --url http://localhost:3100 > fluent-bit.yaml
    fluent-bit -c fluent-bit.yaml
    """,
    "vector": """Print vector.yaml, for Vector 0.34 or later: the log to Loki.

    Labels service_name, env, family and level; ids as structured metadata; the lines as they are, at their own times.

    \b
    bamboo-logmetrics config vector --path logs/agent.jsonl \\
      --url http://localhost:3100 > vector.yaml
    vector --config-yaml vector.yaml
    """,
    "otel-collector": """Print otel-collector.yaml, for OpenTelemetry Collector Contrib 0.149 or later: the log by OTLP.

    Log records with attributes by OpenTelemetry's names, as of the layout "otel"; log.record.uid identifies each.

    \b
    bamboo-logmetrics config otel-collector --path logs/agent.jsonl \\
      --url http://localhost:4318 > otel-collector.yaml
    otelcol-contrib --config otel-collector.yaml
    """,
}

_OUTPUT = click.option(
    "-o", "--output", metavar="FILE", type=click.Path(), help="A new file to write to, instead of printing."
)


@click.group("config")
def config() -> None:
    """Print a complete configuration for an agent that reads the log, or a server that shows it.

    An agent's configuration names the files of the log, finds the rest of a file that was rotated, takes each line's
    own timestamp, and holds no secret: comments in it say how the agent takes those from its environment.
    """


def _agent(name: str) -> click.Command:
    """Make the command of an agent."""
    target = integrations.TARGETS[name]
    options = [
        click.Option(["--path"], required=True, metavar="FILE", help="The log, as the agent will see it."),
        click.Option(["--url"], required=True, metavar="URL", help=_URLS[name]),
        click.Option(
            ["--service"], default="", metavar="NAME", help="Of lines without service_name; by default the log's name."
        ),
        click.Option(["--env"], default="", metavar="NAME", help="Of lines without env, such as production."),
    ]
    if target.has_state:
        options.append(
            click.Option(
                ["--state"],
                default="",
                metavar="DIR",
                help="Where the agent keeps how far it has read; by default beside the log.",
            )
        )

    def run(output: str | None, **given: str) -> None:
        told = [part for key, text in given.items() if text for part in (f"--{key}", text)]
        command = shlex.join(["bamboo-logmetrics", "config", name, *told])
        _write(output, integrations.render(name, command=command, **given))

    command = click.Command(name, params=[*options], callback=run, help=_HELP[name])
    return _OUTPUT(command)


@config.command()
@click.option("--alerts", is_flag=True, help="Print the alert rules instead, as a file for Grafana's provisioning.")
@click.option(
    "--datasource",
    default="loki",
    show_default=True,
    metavar="UID",
    help="The uid of the Loki data source in Grafana, for the alert rules; the dashboard lets one choose.",
)
@_OUTPUT
def grafana(alerts: bool, datasource: str, output: str | None) -> None:
    """Print a dashboard for Grafana 11 or later, over the lines in Loki.

    Tokens, latency quantiles, errors, tools, requests, drops, storage errors, writers without a clean end. Import it,
    or put it where Grafana's provisioning looks. It is for lines of the layout native, as alloy, fluent-bit, vector or
    ship send them.

    \b
    bamboo-logmetrics config grafana > bamboo.json
    bamboo-logmetrics config grafana --alerts > /etc/grafana/provisioning/alerting/bamboo.yaml
    """  # noqa: D301 - click wants the character \b itself
    _write(output, integrations.grafana.alerts(datasource) if alerts else integrations.grafana.dashboard())


def _write(output: str | None, text: str) -> None:
    """Print a configuration, or write it to a new file."""
    if output is None:
        with unheard():
            click.echo(text, nl=False)
        return
    try:
        file: IO[Any] = open(output, "x", encoding="utf-8")  # noqa: SIM115 - closed below
    except FileExistsError:
        msg = f"{output} exists; give another name, or remove it"
        raise click.UsageError(msg) from None
    with file:
        file.write(text)


for _name in integrations.TARGETS:
    config.add_command(_agent(_name))

for _command in COMMANDS:  # what is applied to a server instead of read by an agent
    config.add_command(_command)
