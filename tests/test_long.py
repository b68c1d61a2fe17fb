"""Properties with many more examples than the suite has time for: ``tox -e long``."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from support.flats import FLATS, exact, there_and_back

from bamboo_logmetrics.format.layouts import LAYOUTS
from bamboo_logmetrics.format.strict_json import encode

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=20_000)
@given(flat=FLATS)
def test_any_record_comes_back(layout, flat):
    """Any record that is read back from its line has the keys, values and types of its JSON form."""
    assert exact(there_and_back(layout, flat)) == exact(msgspec.json.decode(encode(flat)))
