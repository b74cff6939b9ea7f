"""What is left out of labels and tags, and by which rule."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
import yaml

from profilelake.config import conf_dir
from profilelake.errors import ConfigError
from profilelake.images.classes import imagenet_labels
from profilelake.interests import cleaning, lexicon
from udfs.interests.cleaning import LISTED, RULES, Lists, Row
from udfs.interests.lexicon import Lexicon
from udfs.interests.words import fold

# ImageNet's labels that the lists take, reviewed: what a photographer means by them is the camera, not the interest.
TAKEN = {
    "lens cap": "technique",
    "Polaroid camera": "camera",
    "reflex camera": "camera",
    "tripod": "technique",
    "orange": "colour",
}


@pytest.fixture(scope="module")
def packaged() -> Lexicon:
    return lexicon.packaged()


def rule_of(packaged: Lexicon, word: str) -> str:
    (row,) = cleaning.rows([word], packaged)
    return row.rule


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("camera", ["Canon EOS 5D", "canon eos 5d mark ii", "canoneos5dmarkiii", "Nikon D7000", "d7000", "D90"]),
        ("camera", ["iPhone 6s", "GoPro", "SONY", "Leica M9", "dslr", "#iphone", "polaroid cameras"]),
        ("camera", ["olympus pen", "canon eos rebel", "Nikon lens", "Sony Alpha 7", "350D"]),
        ("technique", ["f/2.8", "f2.8", "50mm", "24-70mm f/2.8", "50 mm", "ISO 400", "1/250s", "bokeh", "HDR"]),
        ("technique", ["Macro Lens", "photoshopped", "wide-angle", "lens flare", "rule of thirds"]),
        ("picture_type", ["portrait", "Portraits", "self-portrait", "selfie", "macro", "panorama", "365", "close-up"]),
        ("picture_type", ["Street Photography", "streetphotography", "Landscape", "long exposures"]),
        ("colour", ["red", "black and white", "blackandwhite", "B&W", "bw", "colours", "orange", "Dark-Blue"]),
        ("stop_word", ["the", "beautiful", "2012", "2012-05", "geo:lat=52.1", "flickr", "love it", "January"]),
        ("not_in_lexicon", ["asdfgh", "東京", "приветмир", "qwxz", "東京🗼"]),
        ("not_in_lexicon", ["g20x", "f1", "f16", "a380", "m16"]),
        ("stop_word", ["upcoming:event=123", "dc:identifier=abc", "taxonomy:binomial=Ardea cinerea", "uploaded:by=me"]),
        ("no_domain", ["entity", "whole", "1960s"]),
        ("blank", ["", " ", "\t\n", "---", "#", "☃❤️", "👩‍👩‍👧‍👦"]),
        ("too_long", ["x" * 10_000, "dog " * 2_500, "😀" * 5_000]),
        ("kept", ["sunset", "red car", "orange tree", "blues", "canon law", "'; DROP TABLE users;--", "dog"]),
        ("kept", ["3d", "canon city", "olympus mons", "sony building", "dc residents"]),
    ],
)  # fmt: skip
def test_each_rule(packaged: Lexicon, rule: str, words: list[str]) -> None:
    assert {word[:20]: rule_of(packaged, word) for word in words} == {word[:20]: rule for word in words}


def test_there_is_a_row_a_word_and_domains_only_where_kept(packaged: Lexicon) -> None:
    words = ["sunset", None, "canon", "xxqq", "dog", "sunset"]
    rows = list(cleaning.rows(words, packaged))
    assert [row.word for row in rows] == ["sunset", "", "canon", "xxqq", "dog", "sunset"]
    assert all(bool(row.domains) == (row.rule == "kept") and row.rule in RULES for row in rows)
    assert rows[0] == rows[5]
    assert list(cleaning.rows([], packaged)) == []


def test_listed_parts_of_a_tag_are_left_out(packaged: Lexicon) -> None:
    rows = list(cleaning.rows(["red fox", "red car", "nikon dog", "nikon lens", "beautiful red"], packaged))
    assert [row.domains for row in rows[:4]] == [("animals",), ("transport and travel",), ("animals",), ()]
    assert [row.rule for row in rows] == ["kept", "kept", "kept", "camera", "stop_word"]


def test_what_the_lists_take_of_imagenets_labels_is_known(packaged: Lexicon) -> None:
    by_word = cleaning.label_rows(packaged)
    by_synset = cleaning.label_rows(packaged, "synset")
    assert [row.word for row in by_word] == list(imagenet_labels())
    for rows in (by_word, by_synset):
        assert {row.word: row.rule for row in rows if row.rule != "kept"} == TAKEN
        assert all(row.domains for row in rows if row.rule == "kept")
    page = (conf_dir().parent / "docs" / "interests.md").read_text(encoding="utf-8")
    assert all(label in page for label in TAKEN)


def test_labels_by_word_and_by_synset_differ_where_words_have_two_meanings(packaged: Lexicon) -> None:
    pairs = zip(cleaning.label_rows(packaged), cleaning.label_rows(packaged, "synset"), strict=True)
    differ = {
        word.word: (word.domains[:1], synset.domains) for word, synset in pairs if word.domains[:1] != synset.domains
    }
    assert differ["Cardigan"] == (("textile and clothing",), ("animals",))
    assert 20 < len(differ) < 150
    assert cleaning.label_rows(packaged, "synset")[1] == Row("goldfish", ("animals",), "kept")


def test_a_source_without_synsets_says_so(packaged: Lexicon) -> None:
    made = Lexicon("own.tsv", {"dog": ("animals",)})
    with pytest.raises(ConfigError, match=r"own\.tsv knows no synsets"):
        cleaning.label_rows(made, "synset")
    with pytest.raises(ValueError, match="by word or by synset, not by 'sense'"):
        cleaning.label_rows(packaged, "sense")


def plainly(word: str, entries: dict[str, tuple[str, ...]], listed: dict[str, str]) -> tuple[tuple[str, ...], str]:
    """The rules again, from the issue's text: whole first, then the longest part from the left. Words here have no
    plurals and no accents."""
    tokens = word.split()
    if not tokens:
        return (), "blank"
    domains: list[str] = []
    reasons: list[str] = []
    spans = [tokens] if word in entries or word in listed else []
    rest = [] if spans else tokens
    while rest:
        sizes = [n for n in range(len(rest), 0, -1) if " ".join(rest[:n]) in {**entries, **listed}]
        spans += [rest[: sizes[0]]] if sizes else []
        rest = rest[sizes[0] if sizes else 1 :]
    for span in spans:
        text = " ".join(span)
        if text in listed:
            reasons.append(listed[text])
        elif entries[text]:
            domains += [one for one in entries[text] if one not in domains]
        else:
            reasons.append("no_domain")
    return (tuple(domains), "kept") if domains else ((), reasons[0] if reasons else "not_in_lexicon")


def test_random_tags_against_the_rules_written_again() -> None:
    random_ = random.Random(7)
    letters = ["ka", "lo", "mi", "nu", "pe", "ro"]
    phrases = sorted({" ".join(random_.choices(letters, k=random_.randint(1, 4))) for _ in range(120)})
    pool = ["animals", "music", "history"]
    entries = {phrase: tuple(random_.sample(pool, random_.randint(0, 2))) for phrase in phrases[::2]}
    listed = {phrase: random_.choice(["camera", "colour"]) for phrase in random_.sample(phrases, 25)}
    words = [" ".join(random_.choices([*letters, "zz"], k=random_.randint(0, 6))) for _ in range(3_000)]
    rows = list(cleaning.rows(words, Lexicon("a test", entries), Lists(listed, ())))
    assert {row.rule for row in rows} == {"kept", "blank", "camera", "colour", "no_domain", "not_in_lexicon"}
    for row in rows:
        assert (row.domains, row.rule) == plainly(row.word, entries, listed), row


def test_the_lists_hold_nothing_twice_and_every_pattern_works() -> None:
    lists = cleaning.packaged()
    assert all(word == fold(word) for word in lists.words)
    assert set(lists.words.values()) == set(LISTED)
    assert len(lists.words) > 600


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"camera": {"words": ["Canon"], "patterns": []}}, "camera: the word 'Canon' must be spelt 'canon'"),
        ({"colour": {"words": ["canon"], "patterns": []}}, "colour: 'canon' stands under camera already"),
        ({"camera": {"words": [], "patterns": ["d(["]}}, "is no regular expression"),
        ({"camera": {"words": [], "patterns": [".*"]}}, "the pattern '.\\*' matches every word"),
        *(
            ({"camera": {"words": [], "patterns": [pattern]}}, "has flags, or names or refers to groups")
            for pattern in ("(?i)canon", "(?P<brand>canon)", r"(a)\1", "(a)?(?(1)b|c)")
        ),
        ({"camera": {"words": [365], "patterns": []}}, "camera.words.0: Input should be a valid string"),
        ({"cameras": {"words": [], "patterns": []}}, "cameras: Extra inputs are not permitted"),
        ({"stop_word": None}, "stop_word: Input should be"),
    ],
)
def test_wrong_lists_are_told(tmp_path: Path, change: dict[str, object], said: str) -> None:
    content = yaml.safe_load((conf_dir() / "lexicons" / "cleaning.yaml").read_text(encoding="utf-8"))
    path = tmp_path / "cleaning.yaml"
    path.write_text(yaml.safe_dump({**content, **change}), encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        cleaning.read(path)


def test_the_digest_tells_lexicons_and_lists_apart(packaged: Lexicon, monkeypatch: pytest.MonkeyPatch) -> None:
    small = Lexicon("a test", {"dog": ("animals",), "cat": ("animals",)})
    lists = Lists({"red": "colour"}, (("camera", re.compile("d7000")),))
    changed = [
        cleaning.digest(packaged),
        cleaning.digest(small, lists),
        cleaning.digest(Lexicon("a test", {"dog": ("animals",), "cat": ()}), lists),
        cleaning.digest(Lexicon("a test", small.entries, {"mice": ("mouse",)}), lists),
        cleaning.digest(Lexicon("a test", small.entries, classes=[("animals",)]), lists),
        cleaning.digest(small, Lists({"red": "stop_word"}, lists.patterns)),
        cleaning.digest(small, Lists(lists.words, (("camera", re.compile("d[0-9]+")),))),
    ]
    assert len(set(changed)) == len(changed)
    # the order of words in a file, and where it lies, decide nothing
    assert cleaning.digest(Lexicon("another place", dict(reversed(small.entries.items()))), lists) == changed[1]
    monkeypatch.setattr(cleaning, "__version__", "999.0")
    assert cleaning.digest(small, lists) not in changed
