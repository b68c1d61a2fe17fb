from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.secret_table import HALVES, load

SECRETS, HARMLESS = load("secrets"), load("harmless")


def test_the_table_is_large_and_both_halves_are_alike():
    """Each half has hundreds of examples of both kinds, and each example of a secret marks what must not remain."""
    assert len(SECRETS) > 800
    assert len(HARMLESS) > 500
    for examples in (SECRETS, HARMLESS):
        counts = [sum(example.half == half for example in examples) for half in HALVES]
        assert min(counts) > 200
    assert all(example.secrets for example in SECRETS)
    assert not any(example.secrets for example in HARMLESS)


def _percent(count, of):
    return round(100 * count / of, 1)


@pytest.mark.parametrize("half", HALVES)
def test_precision_and_recall(half):
    """At least 98 % of the secrets are masked whole, at most 1 % of the harmless texts touched; the docs say how many."""
    secrets = [example for example in SECRETS if example.half == half]
    harmless = [example for example in HARMLESS if example.half == half]
    whole = sum(example.is_masked_whole() for example in secrets)
    touched = sum(not example.is_untouched() for example in harmless)
    assert whole >= 0.98 * len(secrets)
    assert touched <= 0.01 * len(harmless)
    page = (Path(__file__).parents[4] / "docs" / "reference" / "redaction.md").read_text("utf-8")
    recall, precision = _percent(whole, len(secrets)), _percent(whole, whole + touched)
    row = f"| {half} | {len(secrets)} | {recall} % | {len(harmless)} | {_percent(touched, len(harmless))} % | {precision} % |"
    assert row in page


@pytest.mark.parametrize("example", SECRETS, ids=lambda example: f"{example.kind}: {str(example.value)[:30]}")
def test_masking_again_changes_nothing(example):
    """Masking what is masked changes nothing, and JSON stays JSON."""
    once = example.masked()
    if not isinstance(once, str):
        return
    assert type(example)(example.kind, example.half, once, ()).masked() == once
    try:
        json.loads(example.value)
    except ValueError:
        return
    json.loads(once)
