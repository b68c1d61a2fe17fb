"""Vector: the log to Loki."""

from __future__ import annotations

import os
from textwrap import indent

from bamboo_logmetrics.integrations import loki
from bamboo_logmetrics.integrations.base import Settings, Target, fill, quote_json, read_text

_HELP = f"""Print vector.yaml, for Vector 0.34 or later: the log to Loki.

{loki.FORM}

\b
bamboo-logmetrics config vector --path logs/agent.jsonl \\
  --url http://localhost:3100 > vector.yaml
vector --config-yaml vector.yaml
"""


def _placeholders(settings: Settings) -> dict[str, str]:
    program = fill(
        read_text(__name__, "vector.vrl"), service=quote_json(settings.service), env=quote_json(settings.env)
    )
    return {
        "state": quote_json(settings.state or os.path.dirname(settings.path)),  # Vector demands one that exists
        "program": indent(program.rstrip("\n"), " " * 6),
        "push_url": quote_json(settings.url.append(loki.PUSH_PATH).text),
    }


VECTOR = Target(
    name="vector",
    help=_HELP,
    url_help=loki.URL_HELP,
    package=__name__,
    template="vector.yaml",
    placeholders=_placeholders,
    quote=quote_json,
    reserved="$",
    has_state=True,
)
