"""The cleaner as executors run it: Arrow batches of words in, a row a word out."""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pytest

from profilelake.interests import cleaning, lexicon
from udfs.interests.cleaning import MAX_LENGTH, RULES, Cleaner, Lists, Row, cleaner
from udfs.interests.lexicon import Lexicon

LEXICON = Lexicon("a test", {"dog": ("animals",), "hot dog": ("food and drink", "animals"), "entity": ()})
LISTS = Lists({"canon": "camera"}, (("technique", re.compile(r"\d+mm")),))


class Held:
    """A broadcast that counts how often it is unpacked."""

    def __init__(self, value: Any) -> None:
        self.packed, self.unpacked = value, 0

    @property
    def value(self) -> Any:
        self.unpacked += 1
        return copy.deepcopy(self.packed)


def batch(words: list[str | None]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"word": pa.array(words, pa.string())})


def cleaned(held: Held, batches: Iterable[pa.RecordBatch]) -> list[tuple[str, list[str], str]]:
    made = list(cleaner(held)(batches))
    assert all(one.schema.names == ["word", "domains", "rule"] for one in made)
    return [(row["word"], row["domains"], row["rule"]) for one in made for row in one.to_pylist()]


def test_a_row_a_word_in_their_order_and_one_unpacking() -> None:
    held = Held((LEXICON, LISTS))
    found = cleaned(held, [batch(["Dogs", None]), batch([]), batch(["hot-dog", "35mm", "Canon", "qq", "entity", " "])])
    assert found == [
        ("Dogs", ["animals"], "kept"),
        ("", [], "blank"),
        ("hot-dog", ["food and drink", "animals"], "kept"),
        ("35mm", [], "technique"),
        ("Canon", [], "camera"),
        ("qq", [], "not_in_lexicon"),
        ("entity", [], "no_domain"),
        (" ", [], "blank"),
    ]
    assert held.unpacked == 1


@pytest.mark.parametrize("batches", [[], [batch([])], [batch([]), batch([])]])
def test_a_partition_without_words_unpacks_nothing(batches: list[pa.RecordBatch]) -> None:
    held = Held((LEXICON, LISTS))
    assert cleaned(held, batches) == []
    assert held.unpacked == 0


def test_what_people_write_comes_back_as_it_was_written() -> None:
    rng = random.Random(3)
    signs = [
        "a",
        "Z",
        " ",
        "-",
        "#",
        "'",
        ";",
        "é",
        "e\u0301",
        "東",
        "م",
        "😀",
        "👩‍👧",
        "\u200d",
        "\u0000",
        "\n",
        "ß",
        "İ",
    ]
    words = ["".join(rng.choices(signs, k=rng.randrange(1, 40))) for _ in range(2_000)]
    words += ["x" * 10_000, "'; DROP TABLE posts;--", "y" * MAX_LENGTH, "😀" * (MAX_LENGTH + 1)]
    made = lexicon.packaged(), cleaning.packaged()
    found = cleaned(Held(made), [batch(words)])
    assert [word for word, _, _ in found] == words
    assert {rule for _, _, rule in found} <= set(RULES)
    assert all(bool(domains) == (rule == "kept") for _, domains, rule in found)
    assert [Row(word, tuple(domains), rule) for word, domains, rule in found] == list(cleaning.rows(words, made[0]))
    assert {word[:1]: rule for word, _, rule in found[-4:]} == {
        "x": "too_long", "'": "kept", "y": "not_in_lexicon", "😀": "too_long",
    }  # fmt: skip


def test_a_lexicon_that_has_travelled_finds_the_same() -> None:
    """Also one that was used, and so has its table of words written together."""
    used = Lexicon("a test", {"new york": ("geography and places",)}, {"men": ("man",)})
    assert used.find("newyork") == "new york"
    again = copy.deepcopy(used)
    assert Cleaner(again, LISTS).row("NewYork 35mm") == Cleaner(used, LISTS).row("NewYork 35mm")
    assert again == used
