"""Values that the configurations of all log shippers for Loki share."""

from __future__ import annotations

from bamboo_logmetrics.ship.destinations.loki import Loki

PUSH_PATH = Loki.path
URL_HELP = "Loki, such as http://localhost:3100."
FORM = (
    "Labels: service_name, env, family and level. Ids are structured metadata. Each line is sent unchanged, with its "
    "own timestamp."
)
