"""One spelling for case, accents, hyphens, signs and plurals."""

from __future__ import annotations

import unicodedata

import pytest

from udfs.interests.words import compact, fold, singulars, unaccented


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("#GoldenRetriever", "goldenretriever"),
        ("  New_York-City ", "new york city"),
        ("hip–hop", "hip hop"),
        ("lady's slipper", "ladys slipper"),
        ("Lady’s Slipper", "ladys slipper"),
        ("U.S.A.", "usa"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("f/2.8", "f 28"),
        ("café", "café"),
        ("東京", "東京"),
        ("☃", ""),
        ("👩\u200d👩\u200d👧", ""),
        ("cat😻", "cat"),
        ("sea🌊side❤\ufe0f", "sea side"),
        ("→north", "north"),
        ("1\ufe0f\u20e3", "1"),
        ("🏴\U000e0067\U000e0062\U000e007f", ""),
        ("☺\ufe0e‼㊗©", ""),
        ("kodak™film", "kodak film"),
        (" -_/ ", ""),
        ("", ""),
        ("a\tb\nc\u00a0d", "a b c d"),
    ],
)
def test_folding(text: str, folded: str) -> None:
    assert fold(text) == folded
    assert fold(folded) == folded
    assert fold(unicodedata.normalize("NFD", text)) == folded


def test_accents_and_spaces_can_be_taken_away() -> None:
    assert unaccented("café crème") == "cafe creme"
    assert unaccented("東京") == "東京"
    assert compact("new york city") == "newyorkcity"


@pytest.mark.parametrize(
    ("plural", "singular"),
    [
        ("cats", "cat"), ("buses", "bus"), ("boxes", "box"), ("waltzes", "waltz"), ("churches", "church"),
        ("dishes", "dish"), ("firemen", "fireman"), ("cities", "city"), ("golden retrievers", "golden retriever"),
        ("women", "woman"), ("old women", "old woman"),
    ],
)  # fmt: skip
def test_plurals(plural: str, singular: str) -> None:
    assert singular in list(singulars(plural, {"women": ("woman",)}))


def test_what_is_no_plural() -> None:
    assert list(singulars("glass", {})) == []
    assert list(singulars("is", {})) == []
    assert list(singulars("tree", {})) == []
    assert next(singulars("women", {"women": ("woman",)})) == "woman"
