"""A toy option: one field in a subclass of the options."""

from __future__ import annotations

import dataclasses

from bamboo_logmetrics.options import Options, one_of, option


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ToyOptions(Options):
    """The options of a log, with one more."""

    flavour: str = option("sweet", one_of(["sweet", "sour"]), "Taste of a line.")
