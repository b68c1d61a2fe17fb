"""Log shippers as targets of a configuration: the interface, and how a template is filled in.

A template is a file in the target's folder with placeholders in ``<<double angle brackets>>``, which no syntax of a
target uses.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import NamedTuple

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.logfiles.discovery import service_of
from bamboo_logmetrics.ship.urls import Url, parse_url

_PLACEHOLDER = re.compile(r"<<(\w+)>>")
_WRITER = "?" * 20  # matches the writer's id in the name of a rotated file
_WILDCARDS = "*?[]{}\\"  # characters of patterns; no two log shippers escape all of them in the same way
_SYNTAX = "\"'`$\\{}"  # characters with a meaning in at least one of the languages that a service name is written in
_SECRETS = "the comments of the printed file show how the log shipper reads them from its environment"

Quote = Callable[[str], str]


class Settings(NamedTuple):
    """The facts that a configuration depends on.

    Args:
        path: the absolute path of the log.
        url: the server that receives the lines.
        service: the service of lines that have no ``service_name`` bound.
        env: the environment of lines that have no ``env`` bound; empty for none.
        state: the absolute path of a directory for the shipper's state; empty for a path beside the log.
    """

    path: str
    url: Url
    service: str
    env: str
    state: str

    def state_beside_log(self, name: str) -> str:
        """Return the path of a hidden file or directory beside the log, for the state of the shipper ``name``."""
        folder, file = os.path.split(self.path)
        return os.path.join(folder, f".{file}.{name}")


@dataclass(frozen=True, slots=True)
class Target:
    """A log shipper, and the configuration with which it reads a log and sends the lines to a server.

    Args:
        name: the name on the command line.
        help: the help text of its command.
        url_help: the help text of its option ``--url``.
        package: the package that holds the template.
        template: the file name of the template.
        placeholders: returns the texts for the template's placeholders, but for those that every template has.
        quote: writes a text as a string of the template's language.
        reserved: characters that a path must not have, because the shipper gives them a meaning and has no escape.
        has_state: True if the configuration names a place for the shipper's state.
    """

    name: str
    help: str
    url_help: str
    package: str
    template: str
    placeholders: Callable[[Settings], Mapping[str, str]]
    quote: Quote
    reserved: str = ""
    has_state: bool = False

    def render(
        self, *, path: str, url: str, service: str = "", env: str = "", state: str = "", command: str = ""
    ) -> str:
        """Return the configuration.

        Args:
            path: the log; a relative path starts in the current directory.
            url: the server that receives the lines.
            service: the service of lines that have no ``service_name`` bound; the log's name if empty.
            env: the environment of lines that have no ``env`` bound.
            state: a directory for the shipper's state.
            command: the command to be named in the configuration.

        Raises ConfigError for a value that the shipper would misread.
        """
        path, state = os.path.abspath(path), state and os.path.abspath(state)
        for option, text in (("--path", path), ("--state", state)):
            _check_path(option, text, self)
        check_name("--service", service)
        check_name("--env", env)
        address = parse_url(url, secrets=_SECRETS, plain=True)
        settings = Settings(path, address, service or service_of(path), env, state)
        check_name("the name of the log (give a --service)", settings.service)
        return fill(
            read_text(self.package, self.template),
            path=self.quote(path),
            rotated=self.quote(f"{path}.*Z-{_WRITER}"),  # not those that are compressed: they have one more suffix
            compressed=self.quote(f"{path}.*Z-{_WRITER}.gz"),
            command=command or f"bamboo-logmetrics config {self.name}",
            **self.placeholders(settings),
        )


def read_text(package: str, name: str) -> str:
    """Return the text of a file in a package's folder."""
    return files(package).joinpath(name).read_text(encoding="utf-8")


def fill(template: str, **placeholders: str) -> str:
    """Return a template with its placeholders replaced. Raises KeyError for a placeholder without a text."""
    return _PLACEHOLDER.sub(lambda match: placeholders[match[1]], template)


def quote_json(text: str) -> str:
    """Return a text as a string of JSON. YAML and Alloy have the same escapes."""
    return json.dumps(text, ensure_ascii=False)


def check_name(option: str, name: str) -> None:
    """Raise ConfigError for a service or environment with a character that a template's language gives a meaning."""
    for char in name:
        if not char.isprintable() or char in _SYNTAX:
            msg = f"{option} {name!r} contains {char!r}; use letters, digits, spaces and characters such as . _ - /"
            raise ConfigError(msg)


def _check_path(option: str, path: str, target: Target) -> None:
    for char in path:
        if not char.isprintable() or char in _WILDCARDS + target.reserved:
            msg = (
                f"{option} {path!r} contains {char!r}, which {target.name} would not read as a part of a name: "
                "rename the file or its directory, or use a link with another name"
            )
            raise ConfigError(msg)
