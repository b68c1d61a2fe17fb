"""Configurations of other people's agents, which read the log's files and send its lines on.

Each is one template beside this module, with a few places in ``<<double angle brackets>>``; no syntax among them uses
those. :func:`render` fills them. Nothing here reads or sends a line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import NamedTuple

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.integrations import grafana, otlp, quoting
from bamboo_logmetrics.integrations.quoting import Quote, Url
from bamboo_logmetrics.logfiles.discovery import service_of

__all__ = ["TARGETS", "Settings", "Target", "grafana", "render"]

_PLACE = re.compile(r"<<(\w+)>>")
_WRITER = "?" * 20
_PUSH = "/loki/api/v1/push"


class Settings(NamedTuple):
    """What a configuration is made for.

    Args:
        path: the log, an absolute path.
        url: where the lines go.
        service: the service of lines that have no ``service_name`` bound.
        env: their environment; empty for none.
        state: a directory for what the agent must remember; empty for a place beside the log.
        command: how the configuration was made, for its first lines.
    """

    path: str
    url: Url
    service: str
    env: str
    state: str
    command: str


class Target(NamedTuple):
    """An agent.

    Args:
        template: the name of its template.
        quote: how its syntax writes a text.
        places: what stands in the template's places, beside those that all have.
        reserved: characters that a path must not have, because the agent reads them as its own, and says no way out.
        has_state: True when it names where the agent remembers how far it has read.
    """

    template: str
    quote: Quote
    places: Callable[[Settings, Quote], Mapping[str, str]]
    reserved: str = ""
    has_state: bool = False


def render(
    target: str, *, path: str, url: str, service: str = "", env: str = "", state: str = "", command: str = ""
) -> str:
    """Return the configuration of an agent that reads the log at ``path`` and sends it to ``url``.

    A relative path is one of the current directory. Raises ConfigError for what the agent could not be told.
    """
    try:
        agent = TARGETS[target]
    except KeyError:
        msg = f"there is no configuration for {target!r}; there are: {', '.join(TARGETS)}"
        raise ConfigError(msg) from None
    path, state = os.path.abspath(path), state and os.path.abspath(state)
    for name, text in (("--path", path), ("--state", state)):
        quoting.check_path(name, text, target, agent.reserved)
    quoting.check_name("--service", service)
    quoting.check_name("--env", env)
    settings = Settings(path, quoting.parse_url(url), service or service_of(path), env, state, command)
    quoting.check_name("the name of the log (give a --service)", settings.service)
    places = {
        "path": agent.quote(path),
        "rotated": agent.quote(f"{path}.*Z-{_WRITER}"),  # plain ones only: a compressed one has a suffix after that
        "compressed": agent.quote(f"{path}.*Z-{_WRITER}.gz"),
        "command": command or f"bamboo-logmetrics config {target}",
        **agent.places(settings, agent.quote),
    }
    return _PLACE.sub(lambda found: places[found[1]], _template(agent.template))


def _template(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def _indented(text: str, by: int) -> str:
    return "\n".join(" " * by + line if line else "" for line in text.splitlines())


def _beside(settings: Settings, target: str) -> str:
    """Return a place for an agent's state beside the log."""
    folder, name = os.path.split(settings.path)
    return os.path.join(folder, f".{name}.{target}")


# -- the places of each ------------------------------------------------------------------


def _filebeat(settings: Settings, quote: Quote) -> dict[str, str]:
    env = f", environment: {quote(settings.env)}" if settings.env else ""
    return {
        "id": quote(f"bamboo-{settings.path}"),
        "url": quote(settings.url.with_port),  # without a port it would take 9200, for https too
        "service_fields": f"{{ name: {quote(settings.service)}{env} }}",
    }


def _logstash(settings: Settings, quote: Quote) -> dict[str, str]:
    env = f' "[service][environment]" => {quote(settings.env)}' if settings.env else ""
    return {
        "url": quote(settings.url.with_port),  # as above
        "service_fields": f'"[service][name]" => {quote(settings.service)}{env}',
    }


def _alloy(settings: Settings, quote: Quote) -> dict[str, str]:
    env = f", env = {quote(settings.env)}" if settings.env else ""
    return {
        "static_labels": f"{{ service_name = {quote(settings.service)}{env} }}",
        "push_url": quote(settings.url.ending(_PUSH)),
    }


def _fluent_bit(settings: Settings, quote: Quote) -> dict[str, str]:
    state = settings.state and os.path.join(settings.state, os.path.basename(settings.path))
    state = state or _beside(settings, "fluent-bit")
    program = _filled("fluent-bit.lua", service=quote(settings.service), env=quote(settings.env))
    return {
        "storage": quote(state),
        "database": quote(f"{state}.db"),
        "program": _indented(program, 8),
        "host": quote(settings.url.host),
        "port": str(settings.url.port),
        "push_path": quote(settings.url.path_ending(_PUSH)),
        "tls": "on" if settings.url.scheme == "https" else "off",
    }


def _vector(settings: Settings, quote: Quote) -> dict[str, str]:
    program = _filled("vector.vrl", service=quote(settings.service), env=quote(settings.env))
    return {
        "state": quote(settings.state or os.path.dirname(settings.path)),  # it must exist, and that does
        "program": _indented(program, 6),
        "push_url": quote(settings.url.ending(_PUSH)),
    }


def _otel_collector(settings: Settings, quote: Quote) -> dict[str, str]:
    env = f", deployment.environment.name: {quote(settings.env)}" if settings.env else ""
    return {
        "state": quote(settings.state or _beside(settings, "otel-collector")),
        "resource": f"{{ service.name: {quote(settings.service)}{env} }}",
        "statements": _indented("\n".join(f"- {text}" for text in otlp.statements()), 10),
        "url": quote(settings.url.without("/v1/logs")),
    }


def _filled(name: str, **places: str) -> str:
    return _PLACE.sub(lambda found: places[found[1]], _template(name))


TARGETS: Mapping[str, Target] = {
    "filebeat": Target("filebeat.yml", quoting.yaml, _filebeat, reserved="$"),
    "logstash": Target("logstash.conf", quoting.logstash, _logstash, reserved="$"),
    "alloy": Target("config.alloy", quoting.yaml, _alloy),
    "fluent-bit": Target("fluent-bit.yaml", quoting.yaml, _fluent_bit, reserved="$,", has_state=True),
    "vector": Target("vector.yaml", quoting.yaml, _vector, reserved="$", has_state=True),
    "otel-collector": Target("otel-collector.yaml", quoting.collector, _otel_collector, has_state=True),
}
