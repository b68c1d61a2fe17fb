from __future__ import annotations

import pytest

from bamboo_logmetrics.format.redact.values import mask_text

# (text, what it becomes)
TABLES = [
    ("| user | password |\n|---|---|\n| ann | blue sky |\n| bob | `x1` |\nend", "| user | password |\n|---|---|\n| ann | [redacted] |\n| bob | `[redacted]` |\nend"),
    (" user | password \n------+----------\n ann  | sky\n      | x1\n(2 rows)", " user | password \n------+----------\n ann  | [redacted]\n      | [redacted]\n(2 rows)"),
    ("+---+\n| password |\n+---+\n| sky |\n+---+", "+---+\n| password |\n+---+\n| [redacted] |\n+---+"),
    ("-[ RECORD 1 ]--\nuser     | ann\npassword | sky", "-[ RECORD 1 ]--\nuser     | ann\npassword | [redacted]"),
    ("| name | value |\n|---|---|\n| password | blue sky |", "| name | value |\n|---|---|\n| password | [redacted] |"),
    ("| **API key** | `A1b2C3d4E5f6` |", "| **API key** | `[redacted]` |"),
    ("|password|sky|", "|password|[redacted]|"),
    ('{"a": "| user | password |\\n|---|---|\\n| ann | sky |", "b": 1}', '{"a": "| user | password |\\n|---|---|\\n| ann | [redacted] |", "b": 1}'),
]  # fmt: skip
HARMLESS = [
    "| password | string | yes |",
    "| password | Password of the user |",
    "| field | type |\n|---|---|\n| password | hidden2x |",
    "| user | password |\n|---|---|\n| ann | ******** |\n| bob |",
    "| test | pass | fail |\n|---|---|---|\n| login | 5 | 0 |",
    "| password | email |\n|---|---|",
    "cat x | grep password | wc -l",
    "password | sky",
    "|---|---|\n| password |",
    "|\n|\n",
]


@pytest.mark.parametrize(("text", "masked"), TABLES, ids=[text[:30] for text, _ in TABLES])
def test_secrets_in_tables(text, masked):
    """Secrets in a column and beside a name are masked, cell by cell; the table stays a table."""
    assert mask_text(text) == masked
    assert mask_text(masked) == masked


@pytest.mark.parametrize("text", HARMLESS, ids=[text[:30] for text in HARMLESS])
def test_tables_without_secrets_stay(text):
    """Types, counts, masked cells, headings and pipes of a shell are not touched."""
    assert mask_text(text) == text
