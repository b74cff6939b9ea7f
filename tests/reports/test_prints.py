"""Cells of printed tables; whole tables are tested with the papers' own."""

from __future__ import annotations

from profilelake.reports import prints


def test_every_special_character_is_escaped() -> None:
    special = '\\{}$&#%_~^<>|"'
    assert prints.escaped(special) == (
        r"\textbackslash{}\{\}\$\&\#\%\_\textasciitilde{}\textasciicircum{}\textless{}\textgreater{}\textbar{}"
        r"\textquotedbl{}"
    )
    assert prints.escaped("Café 50 %") == r"Café 50 \%"


def test_p_values_and_shares() -> None:
    assert [prints.p_value(p) for p in (None, 0.0, 0.001, 0.0499, 1.0)] == ["", "< 0.001", "0.001", "0.050", "1.000"]
    assert prints.per_cent(0.89361) == "89.36"
