"""Hashtags: the rule against an independent reading, character by character, and every exception by name."""

import random
import time
import unicodedata

import pytest

from udfs.crawl.hashtags import clean_hashtag, hashtags_in
from udfs.crawl.records import join_hashtags


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("", []),
        ("no tag at all", []),
        ("#Sun and #sea", ["sun", "sea"]),
        ("##double", ["double"]),
        ("#one#two#three", ["one", "two", "three"]),
        ("C#minor", ["minor"]),
        ("# alone #", []),
        ("#!no #-no #.no", []),
        ("#2024 #_private #a_b", ["2024", "_private", "a_b"]),
        ("#stop-here #stop.here #stop'here", ["stop", "stop", "stop"]),
        ("#Straße #STRASSE", ["strasse", "strasse"]),
        ("#İstanbul", ["i̇stanbul"]),
        ("#旅行 #日本語の #한국어 #Москва #שלום", ["旅行", "日本語の", "한국어", "москва", "שלום"]),
        ("#हिन्दी", ["हिन्दी"]),  # vowel signs and virama are combining marks (Mc, Mn)
        ("#ไทยแลนด์", ["ไทยแลนด์"]),
        ("#cafe\u0301", ["caf\u00e9"]),  # decomposed text is composed
        ("#\u0301x", []),  # a combining mark cannot begin a hashtag
        ("#٣٤", ["٣٤"]),  # decimal digits of any script
        ("#Ⅷ #½", []),  # number letters and fractions are no digits
        ("#a😀b", ["a"]),
        ("#️⃣ keycap", []),
        ("line\u2028#next", ["next"]),
    ],
)
def test_a_hashtag_is_letters_digits_underscores_and_marks(caption: str, expected: list[str]) -> None:
    assert hashtags_in(caption) == expected


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("https://example.org/#section #tag", ["tag"]),
        ("HTTP://EXAMPLE.ORG/a#b", []),
        ("(see https://example.org/page#part)", []),
        ("www.example.org/#part and #tag", ["tag"]),
        ("example.org/about#team #tag", ["tag"]),
        ('"example.org/#team"', []),
        ("#before https://example.org/#x#y #after", ["before", "after"]),
        ("#first://x", ["first"]),
        ("https://example.org/a，#话题", ["话题"]),  # full-width punctuation ends a URL
        ("<https://example.org/#x>#tag", ["tag"]),
        ("and/or#this", ["this"]),  # no host
        ("swww.#x", ["x"]),
        ("https://de.example.org/wiki/Köln#Geschichte", []),
        ("https://a.org/#x https://b.org/#y #z", ["z"]),
    ],
)
def test_not_inside_a_url(caption: str, expected: list[str]) -> None:
    assert hashtags_in(caption) == expected


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("#话题#", ["话题"]),
        ("看#I Love You!#和#第二个#", ["i love you!", "第二个"]),
        ("#a# text #b#", ["a", "b"]),
        ("#foo #bar", ["foo", "bar"]),  # unclosed: as elsewhere
        ("#foo #bar #baz", ["foo", "bar", "baz"]),
        ("##", []),
        ("#" + "长" * 200 + "#", ["长" * 200]),
        ("#line\nbreak#", ["line"]),
        ("http://t.cn/A6#x #话题#", ["话题"]),
    ],
)
def test_weibo_topics_are_the_text_between_two_signs(caption: str, expected: list[str]) -> None:
    assert hashtags_in(caption, topics=True) == expected


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ("Sun", "sun"),
        (" # New York ", "newyork"),
        ("##x", "x"),
        ("#", ""),
        ("  ", ""),
        ("a#b", "a#b"),
        ("CAFE\u0301", "café"),
    ],
)
def test_own_hashtags_lose_spaces_and_leading_signs(own: str, expected: str) -> None:
    assert clean_hashtag(own) == expected


def test_joined_in_the_order_of_first_occurrence_without_repeats() -> None:
    joined = join_hashtags("#b #A #B", ["c", "#a", "", " C "], topics=False)
    assert joined == ["b", "a", "c"]


def _by_the_words_of_the_rule(caption: str) -> list[str]:
    """Another way to the same: mark every character with its class, then read runs off the marked text."""
    marks = "".join(
        "#" if c == "#" else "s" if unicodedata.category(c) in ("Lu", "Ll", "Lt", "Lm", "Lo", "Nd") or c == "_"
        else "m" if unicodedata.category(c) in ("Mn", "Mc", "Me") else "."
        for c in caption
    )  # fmt: skip
    tags = []
    for at, mark in enumerate(marks):
        if mark == "#" and marks[at + 1 : at + 2] == "s":
            size = len(marks[at + 1 :]) - len(marks[at + 1 :].lstrip("sm"))
            tag = unicodedata.normalize("NFC", caption[at + 1 : at + 1 + size]).casefold()
            tags.append(unicodedata.normalize("NFC", tag))
    return tags


def test_random_text_against_the_rule() -> None:
    dice = random.Random(11)
    alphabet = "##aZ_ß9٣½\u0301\u0939\u093fŘ漢 .-\n\u2028😀İ\u200d"
    for _ in range(3000):
        caption = "".join(dice.choice(alphabet) for _ in range(dice.randrange(25)))
        assert hashtags_in(caption) == _by_the_words_of_the_rule(caption), repr(caption)


@pytest.mark.parametrize("piece", ["#", "#a", "a://", "www.#", "a.b/#", "a" * 50 + "#", "#\u0301", "://#,，"])
@pytest.mark.parametrize("topics", [False, True])
def test_the_work_grows_with_the_text_only(piece: str, topics: bool) -> None:
    caption = piece * (400_000 // len(piece))
    begin = time.process_time()
    hashtags_in(caption, topics)
    assert time.process_time() - begin < 5
