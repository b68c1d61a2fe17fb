"""Fluent Bit: the log to Loki."""

from __future__ import annotations

import os
from textwrap import indent

from bamboo_logmetrics.integrations import loki
from bamboo_logmetrics.integrations.base import Settings, Target, fill, quote_json, read_text

_HELP = f"""Print fluent-bit.yaml, for Fluent Bit 4.0 or later: the log to Loki.

{loki.FORM}

\b
bamboo-logmetrics config fluent-bit --path logs/agent.jsonl \\
  --url http://localhost:3100 > fluent-bit.yaml
fluent-bit -c fluent-bit.yaml
"""


def _placeholders(settings: Settings) -> dict[str, str]:
    state = settings.state and os.path.join(settings.state, os.path.basename(settings.path))
    state = state or settings.state_beside_log("fluent-bit")
    program = fill(
        read_text(__name__, "fluent-bit.lua"), service=quote_json(settings.service), env=quote_json(settings.env)
    )
    return {
        "storage": quote_json(state),
        "database": quote_json(f"{state}.db"),
        "program": indent(program.rstrip("\n"), " " * 8),
        "host": quote_json(settings.url.host),
        "port": str(settings.url.port),
        "push_path": quote_json(settings.url.append(loki.PUSH_PATH).path),
        "tls": "on" if settings.url.scheme == "https" else "off",
    }


FLUENT_BIT = Target(
    name="fluent-bit",
    help=_HELP,
    url_help=loki.URL_HELP,
    package=__name__,
    template="fluent-bit.yaml",
    placeholders=_placeholders,
    quote=quote_json,
    reserved="$,",
    has_state=True,
)
