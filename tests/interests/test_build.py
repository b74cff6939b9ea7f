"""The rules of the build, on a WordNet of a few words; `test_rebuild` builds the real one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from profilelake.errors import ConfigError
from profilelake.interests import build, wordnet
from profilelake.interests.build import Builder, Rules
from profilelake.interests.domains import domains
from profilelake.interests.wordnet import Synset, WordNet

# name of a synset: its words, its parents
SYNSETS: Mapping[str, tuple[list[str], list[str]]] = {
    "entity": (["entity"], []),
    "animal": (["animal"], ["entity"]),
    "dog": (["dog", "hound"], ["animal"]),
    "poodle": (["poodle"], ["dog"]),
    "salmon": (["salmon"], ["animal"]),
    "queen bee": (["queen"], ["animal"]),
    "queen": (["queen"], ["person"]),
    "regent": (["regent"], ["queen"]),
    "person": (["person"], ["entity"]),
    "boxer": (["boxer"], ["person"]),
    "food": (["food"], ["entity"]),
    "salmon meat": (["salmon"], ["food"]),
    "quoin": (["quoin"], ["entity"]),
    "Canis": (["Canis", "genus Canis"], ["taxonomic group"]),
    "taxonomic group": (["taxonomic group"], ["entity"]),
    "Canis lupus": (["Canis lupus", "wolf"], ["animal"]),
    "way": (["way"], ["entity"]),
    "time": (["way", "time"], ["entity"]),
    "year": (["year"], ["time"]),
    "leap year": (["leap year"], ["year"]),
    "minute": (["minute"], ["time"]),
}  # fmt: skip


def nouns(counts: Mapping[str, tuple[int, ...]] | None = None, swapped: bool = False) -> WordNet:
    offsets = {name: f"{at:08d}" for at, name in enumerate(SYNSETS)}
    synsets = {
        offsets[name]: Synset(offsets[name], tuple(words), tuple(offsets[parent] for parent in parents))
        for name, (words, parents) in SYNSETS.items()
    }
    senses: dict[str, tuple[str, ...]] = {}
    for offset, synset in synsets.items():
        for word in synset.words:
            senses[word.lower()] = (*senses.get(word.lower(), ()), offset)
    if swapped:
        senses = {word: tuple(reversed(of)) for word, of in senses.items()}
    none = {word: (0,) * len(of) for word, of in senses.items()}
    return WordNet(synsets, senses, {**none, **(counts or {})}, {"oxen": ("ox",)})


def offset(name: str) -> str:
    return f"{list(SYNSETS).index(name):08d}"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Builder]:
    """A builder of these words: ImageNet has one class here, the poodle."""
    monkeypatch.setattr(build, "imagenet_labels", lambda: ("poodle",))

    def make(labels: Mapping[str, tuple[str, ...]], words: Mapping[str, str] | None = None, **of: object) -> Builder:
        rules = Rules(
            of_label={
                "biology": "biology", "animals": "animals", "play": "games and video games",
                "sport": "sport and recreation", "sub": "sport and recreation", "factotum": "none",
                "food": "food and drink", "time": "physics and astronomy",
            },
            certain={offset("food"): "food and drink"},
            general={offset("animal"): "animals", offset("entity"): "none"},
            prefer=["animals", "food and drink", "biology"],
            words=words or {},
        )  # fmt: skip
        return Builder(nouns(**of), {offset(name): of for name, of in labels.items()}, rules, [offset("poodle")])  # type: ignore[arg-type]

    return make


def test_labels_come_before_a_general_rule_and_it_breaks_their_ties(made: Callable[..., Builder]) -> None:
    found = made({"dog": ("sport", "sub", "animals"), "poodle": ("sport", "animals"), "salmon": ("play",)})
    assert found.synset(offset("dog")) == ("sport and recreation", "animals")
    assert found.synset(offset("poodle")) == ("animals", "sport and recreation")
    assert found.synset(offset("salmon")) == ("games and video games",)
    assert found.synset(offset("queen bee")) == ("animals",)


def test_a_certain_rule_comes_before_all_labels(made: Callable[..., Builder]) -> None:
    found = made({"salmon meat": ("sport", "sub", "animals")})
    assert found.synset(offset("salmon meat")) == ("food and drink", "sport and recreation", "animals")


def test_labels_of_too_many_domains_say_nothing(made: Callable[..., Builder]) -> None:
    many = ("sport", "play", "food", "biology")
    found = made({"dog": many, "boxer": many, "salmon": ("sport", "sub", "play", "food"), "queen": ("sport",)})
    assert found.synset(offset("dog")) == ("animals",)
    assert found.synset(offset("boxer")) == ()
    assert found.synset(offset("salmon"))[0] == "sport and recreation"


def test_the_rarer_label_wins_a_tie(made: Callable[..., Builder]) -> None:
    tied = {"dog": ("sport", "play"), "salmon": ("sport",), "boxer": ("sport",)}
    assert made(tied).synset(offset("dog")) == ("games and video games", "sport and recreation")


def test_factotum_and_wide_words_have_no_domain(made: Callable[..., Builder]) -> None:
    found = made({"boxer": ("factotum",), "time": ("time",), "year": ("play", "sport"), "minute": ("time",)})
    assert found.synset(offset("boxer")) == ()
    assert found.synset(offset("time")) == ()  # three kinds
    assert found.synset(offset("year")) == ()  # its labels don't agree
    assert found.synset(offset("minute")) == ("physics and astronomy",)


def test_a_word_has_a_domain_for_each_key_sense(made: Callable[..., Builder]) -> None:
    labels = {"queen": ("play",)}
    assert made(labels, counts={"queen": (4, 2)}).word("queen") == ("animals", "games and video games")
    assert made(labels, counts={"queen": (4, 1)}).word("queen") == ("animals",)
    assert made(labels, counts={"queen": (1, 5)}).word("queen") == ("games and video games",)
    assert made({"queen": ("animals",)}, counts={"queen": (3, 3)}).word("queen") == ("animals",)


def test_senses_met_equally_often_are_ordered_by_kinds_then_by_preference(made: Callable[..., Builder]) -> None:
    assert made({"queen": ("play",)}).word("queen") == ("games and video games",)
    for swapped in (False, True):
        assert made({}, swapped=swapped).word("salmon") == ("animals",)


def test_a_rare_word_takes_what_any_sense_says_and_a_common_one_does_not(made: Callable[..., Builder]) -> None:
    labels = {"way": (), "queen": ()}
    assert made(labels, counts={"queen": (1, 4)}).word("queen") == ("animals",)
    assert made(labels, counts={"queen": (1, 9)}).word("queen") == ()


def test_the_lexicon_leaves_out_latin_names_and_puts_reviewed_words_first(made: Callable[..., Builder]) -> None:
    found = made({}, words={"dog": "food and drink", "selfie": "media"}).entries()
    assert "canis" not in found
    assert "genus canis" not in found
    assert found["wolf"] == ("animals",)
    assert found["dog"] == ("food and drink",)
    assert found["selfie"] == ("media",)
    assert found["quoin"] == ()


def test_tables(made: Callable[..., Builder]) -> None:
    found = made({})
    assert found.class_lines() == ["class_index\tsynset\tlabel\tdomains", f"0\tn{offset('poodle')}\tpoodle\tanimals"]
    assert found.plural_lines() == ["plural\tsingulars"]  # no word `ox` here


def test_a_label_that_the_map_lacks_is_told(made: Callable[..., Builder]) -> None:
    with pytest.raises(ConfigError, match="no domain for the labels quidditch"):
        made({"dog": ("quidditch",)})


def test_classes_must_be_words_of_their_synsets(made: Callable[..., Builder], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "imagenet_labels", lambda: ("cat",))
    with pytest.raises(ConfigError, match="class 0, cat, is no word of"):
        made({})


# --- the map's file

GOOD = """
labels: {animals: [animals], none: [factotum]}
synsets: {animals: [animal.1]}
general: {none: [entity.1]}
prefer: [animals]
words: {music: [hip hop]}
"""


@pytest.mark.parametrize(
    ("change", "to", "said"),
    [
        ("{animals: [animals]", "{animal: [animals]", "labels: no domain is called 'animal'"),
        ("[animal.1]", "[animal.2]", "synsets.animals: WordNet has no noun sense 'animal.2'"),
        ("[animal.1]", "[unicorn.1]", "no noun sense 'unicorn.1'"),
        ("[animal.1]", "[animal.1, salmon.1]", "'salmon.1' has fewer than 3 kinds"),
        ("[entity.1]", "[entity.1, animal.1]", "general.none: 'animal.1' is the synset of 'animal.1'"),
        ("[factotum]", "[animals]", "labels.none: 'animals' stands there twice"),
        ("[hip hop]", "[hip-hop]", "words: 'hip-hop' must be spelt 'hip hop'"),
        ("prefer: [animals]", "prefer: [animal]", "prefer: no domain is called"),
        ("prefer:", "prefers:", "prefers: Extra inputs"),
    ],
)
def test_a_wrong_map_is_told(tmp_path: Path, change: str, to: str, said: str) -> None:
    path = tmp_path / "map.yaml"
    path.write_text(GOOD, encoding="utf-8")
    poodle = frozenset([offset("poodle")])
    assert build.rules(path, domains(), nouns(), poodle).certain == {offset("animal"): "animals"}
    assert change in GOOD
    path.write_text(GOOD.replace(change, to), encoding="utf-8")
    with pytest.raises(ConfigError, match=said.replace(".", r"\.")):
        build.rules(path, domains(), nouns(), poodle)


def test_a_class_of_imagenet_may_be_listed_alone(tmp_path: Path) -> None:
    path = tmp_path / "map.yaml"
    path.write_text(GOOD.replace("[animal.1]", "[poodle.1]"), encoding="utf-8")
    assert build.rules(path, domains(), nouns(), frozenset([offset("poodle")])).certain == {offset("poodle"): "animals"}


# --- WordNet's own files

LICENCE = "  1 This software and database is being provided to you\n"
FILES = {
    "data.noun": LICENCE
    + "00000001 03 n 01 entity 0 001 ~ 00000002 n 0000 | that which is  \n"
    + '00000002 05 n 02 dog 0 Canis_familiaris 0 002 @ 00000001 n 0000 + 00000009 v 0101 | a pet; "a | b"  \n'
    + "00000003 18 n 01 Rex 0 002 @i 00000002 n 0000 #m 00000001 n 0000 | a dog  \n",
    "index.noun": LICENCE
    + "dog n 2 1 @ 2 1 00000002 00000003  \nentity n 1 1 ~ 1 0 00000001  \ncanis_familiaris n 1 1 @ 1 0 00000002  \n",
    "cntlist.rev": "dog%1:05:00:: 1 42\ndog%1:18:00:: 2 21\ndog%2:38:00:: 1 7\n",
    "noun.exc": "oxen ox\nmoose moose\n",
}


def written(tmp_path: Path, **change: str) -> Path:
    for name, text in {**FILES, **{key.replace("_", "."): text for key, text in change.items()}}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_wordnets_files_are_read(tmp_path: Path) -> None:
    found = wordnet.read(written(tmp_path))
    assert found.synsets["00000002"] == Synset("00000002", ("dog", "Canis familiaris"), ("00000001",))
    assert list(found.above("00000003")) == ["00000003", "00000002", "00000001"]
    assert found.senses["dog"] == ("00000002", "00000003")
    assert found.counts["dog"] == (42, 21)
    assert found.key_senses("dog") == ["00000002", "00000003"]
    assert found.senses["canis familiaris"] == ("00000002",)
    assert found.kinds("00000001") == 2
    assert found.sense("dog.2") == "00000003"
    assert found.sense("dog.3") is found.sense("dog.0") is found.sense("cat.1") is found.sense("dog") is None
    assert found.plurals["oxen"] == ("ox",)


def test_a_wrong_file_of_wordnet_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="line 2: not in WordNet's format"):
        wordnet.read(written(tmp_path, data_noun=LICENCE + "something else\n"))
    (tmp_path / "noun.exc").unlink()
    (tmp_path / "index.noun").unlink()
    with pytest.raises(ConfigError, match=r"lacks WordNet's index\.noun, noun\.exc"):
        wordnet.read(tmp_path)


def test_labels_of_wordnet_domains_are_read(tmp_path: Path) -> None:
    path = tmp_path / "wordnet_domains.txt"
    path.write_text("00000002-n\tbiology animals\n00000004-v\tsport\n-n\tsport play\n", encoding="utf-8")
    assert build.read_labels(path) == {"00000002": ("biology", "animals")}
    for line in ("00000002-n biology", "dog-n\tbiology", "00000002-n\t", "00000002\tbiology"):
        path.write_text(f"00000003-n\tsport\n{line}\n", encoding="utf-8")
        with pytest.raises(ConfigError, match="line 2: not in the form"):
            build.read_labels(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        build.read_labels(tmp_path / "none.txt")


def test_imagenets_synsets_are_read(tmp_path: Path) -> None:
    path = tmp_path / "synsets.txt"
    path.write_text("\n".join(f"n{at:08d}" for at in range(1000)) + "\n", encoding="utf-8")
    assert build.read_synsets(path)[:2] == ("00000000", "00000001")
    path.write_text("n00000001\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="no list of 1000 WordNet ids"):
        build.read_synsets(path)
