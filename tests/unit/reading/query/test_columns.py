"""The columns: every name that a line may have."""

from __future__ import annotations

import re

from support import ROOT

from bamboo_logmetrics.events.registry import EVENT_CLASSES, is_builtin
from bamboo_logmetrics.format.fields import USAGE, fields_in_line
from bamboo_logmetrics.format.layouts.mapping import WELL_KNOWN
from bamboo_logmetrics.reading.query.columns import COLUMNS, TOKENS, struct_of

# of the log's own lines at start and end, which only verify needs
_OF_WORKERS = {"version", "pid", "host", "started_at", "repaired_bytes", "boot_id", "pid_namespace", "redact"}
_OF_WORKERS |= {"emitted", "written", "dropped"}


def test_every_field_and_well_known_name_is_a_column():
    """Each field of an event and each well-known bound name has a column."""
    fields = {name for kind, cls in EVENT_CLASSES.items() if is_builtin(cls) for name in fields_in_line(kind)}
    assert fields - _OF_WORKERS - {"meta", "occurred_at", "usage"} <= set(COLUMNS)  # these are spread out in a line
    assert {row.key for row in WELL_KNOWN} <= set(COLUMNS)


def test_all_parts_of_the_usage_are_summed():
    """The tokens that are summed are the parts of TokenUsage."""
    assert set(TOKENS) == set(USAGE)


def test_names_need_no_quotes():
    """Names of columns are plain words, and stand as they are in the argument of read_json."""
    assert all(re.fullmatch(r"[a-z0-9_]+", name) for name in COLUMNS)
    assert struct_of(["seq", "model"]) == "{'seq': 'UBIGINT', 'model': 'VARCHAR'}"


def test_the_docs_name_the_columns_of_each_view():
    """The page of the views has every column of "events"."""
    text = (ROOT / "docs" / "reference" / "views.md").read_text(encoding="utf-8")
    assert not [name for name in COLUMNS if f"`{name}`" not in text]
