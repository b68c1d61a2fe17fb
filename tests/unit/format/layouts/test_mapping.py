from __future__ import annotations

import pytest
from support import ROOT
from support.flats import NOW
from support.strategies import EVENT_CLASSES, HEADER, fields_in_line

from bamboo_logmetrics.format.layouts.mapping import EVERYWHERE, OLD_NAMES, ONLY_IN, ROWS, USAGE_WITHIN_ROUND


def test_each_place_has_one_key():
    """No two keys have one place, no place is within another, and nothing derived stands in a key's place."""
    paths = {(row.ecs or row.otel): row.key for row in ROWS}
    assert len(paths) == len({row.otel for row in ROWS}) == len(ROWS)
    derived_fields = {
        "event.kind", "event.dataset", "event.action", "event.category", "event.type", "event.outcome", "event.reason",
        "error.type", "gen_ai.operation.name", "gen_ai.request.stream", "log.record.uid", "openai.api.type",
        "bamboo.bound", "bamboo.timestamp", "gen_ai.response.time_to_first_chunk", "gen_ai.response.finish_reasons",
        *USAGE_WITHIN_ROUND.values(), *OLD_NAMES,
    }  # fmt: skip
    assert not derived_fields & {*paths, *(row.otel for row in ROWS)}
    assert not [path for path in paths for other in paths if other.startswith(path + ".")]
    assert not [row for row in ROWS if row.otel.startswith("bamboo.bound")]


def test_every_field_of_an_event_has_a_place():
    """Each field of each kind, and each header key, is in the table."""
    for cls in EVENT_CLASSES.values():
        names = {*HEADER[3:], *fields_in_line(cls)} - {"meta", "usage", "occurred_at"}
        kind = {row.key for row in (*EVERYWHERE, *ONLY_IN.get(cls.kind, ()))}
        assert names <= kind, cls.kind


@pytest.mark.parametrize(
    ("key", "fitting", "others"),
    [
        ("model", ["", "m"], [None, 5, ["m"]]),
        ("prompt_tokens", [0, 2**31 - 1, -(2**31)], [2**31, 1.0, True, "1", None]),
        ("total_tokens", [2**63 - 1, -(2**63)], [2**63, 2**64 - 1, 0.5, False]),
        ("status_code", [1, 200, 65_535], [0, -1, "200", True, 200.0, 2**63]),
        ("latency_ms", [0, 9_223_372_036_854], [-1, 9_223_372_036_855, 1.5, True, "1"]),
        ("time_to_first_token_ms", [0, 120, 0.5, -1.0], [True, "1", None, 2**63]),
        ("is_stream", [True, False], [0, 1, "true", None]),
        ("truncated", [[], ["a", "b"]], [["a", 1], "a", None]),
        ("started_at", [NOW], [NOW[:-1], "2026-11-22T15:47:16Z", "soon", 5, None, "0000-11-22T15:47:16.000000Z"]),
        ("dropped", [{}, {"storage": 1}], [[], "x", None]),
    ],
)
def test_what_fits_a_row(key, fitting, others):
    """A row takes values of its type only."""
    row = next(row for row in ROWS if row.key == key)
    assert [value for value in (*fitting, *others) if row.type.fits(value)] == fitting


def test_the_table_of_the_docs():
    """docs/reference/line-format.md has the table as it is in the code."""
    text = (ROOT / "docs" / "reference" / "line-format.md").read_text(encoding="utf-8")
    table = text.partition("| native key |")[2].partition("\n\n")[0].splitlines()[2:]
    documented = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    assert documented == [
        [
            f"`{row.key}`",
            f"`{row.otel}`",
            f"`{row.ecs}`" if row.ecs else "the same",
            row.type.elastic,
            ", ".join(f"`{kind}`" for kind, rows in ONLY_IN.items() if row in rows),
        ]
        for row in ROWS
    ]
