from __future__ import annotations

from bamboo_logmetrics.reading import Finding


def test_a_finding_as_text():
    """A finding says where it stands, as far as that is known."""
    finding = Finding
    assert str(finding(kind="gap", text="t", file="f", line=3)) == "f:3: t"
    assert str(finding(kind="gap", text="t", writer="w")) == "writer w: t"
    assert str(finding(kind="gap", text="t")) == "t"
