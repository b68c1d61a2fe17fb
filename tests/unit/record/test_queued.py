from __future__ import annotations

from bamboo_logmetrics.record.queued import KeyValues, as_dict


def test_key_values_as_a_dictionary():
    """Key values become a dictionary of their names and values, and a dictionary is returned itself."""
    assert as_dict(KeyValues(("a", "b"), (1, None))) == {"a": 1, "b": None}
    bound = {"a": 1}
    assert as_dict(bound) is bound
