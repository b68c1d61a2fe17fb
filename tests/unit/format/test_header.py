from __future__ import annotations

import pytest

from bamboo_logmetrics.format.header import LineHeader, is_newer, is_writer_id, make_header

WRITER = "9f3c21d07a55e8b04c1d"


def test_a_header_has_its_values_checked():
    """A header is made of valid values only."""
    header = make_header("x", 1, WRITER, 5, plain=True, source=None)
    assert header == LineHeader("x", 1, WRITER, 5, True, None)
    for event, v, writer, seq in ((None, 1, WRITER, 5), ("x", 2, WRITER, 5), ("x", 1, None, 5), ("x", 1, WRITER, 0)):
        with pytest.raises(ValueError, match="^$"):
            make_header(event, v, writer, seq, plain=None, source=None)


@pytest.mark.parametrize(
    ("text", "valid"),
    [(WRITER, True), (WRITER.upper(), False), (WRITER[1:], False), (WRITER + "0", False), (WRITER + "\n", False), ("٣" * 20, False)],
)  # fmt: skip
def test_a_writer_s_id(text, valid):
    """A writer's id is 20 lower-case hex digits and nothing else."""
    assert is_writer_id(text) is valid


@pytest.mark.parametrize(
    ("version", "newer"), [(2, True), (1, False), (0, False), ("2", False), (True, False), (2.0, False)]
)
def test_a_newer_version(version, newer):
    """Only a larger whole number is the version of a later release."""
    assert is_newer(version) is newer
