"""BabelDomains' own files, by synset of BabelNet or WordNet and by title."""

from __future__ import annotations

from pathlib import Path

import pytest

from profilelake.errors import ConfigError
from profilelake.interests import lexicon
from tests.interests.test_build import written

BN = (
    "bn:00000001n\tAnimals\t0.9\n"
    "bn:00000002n\tTransport and travel\t0.5*\tSport and recreation\t0.8\n"
    "bn:00000003n\tArt, architecture, and archaeology\t1\n"
)
SENSES = (
    "jaguar\tbn:00000001n\t1\n"
    "Jaguar\tbn:00000002n\t1\n"
    "jaguar\tbn:00000003n\t0\n"
    "Atlas-moth\tbn:00000003n\t0\n"
    "thing\tbn:00000009n\t1\n"
)


def put(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_by_synset_of_babelnet_with_a_list_of_senses(tmp_path: Path) -> None:
    made = lexicon.load("babeldomains", put(tmp_path / "bn.txt", BN), put(tmp_path / "senses.tsv", SENSES))
    assert made.domains_of("jaguars") == ("animals", "sport and recreation")
    assert made.domains_of("atlas moth") == ("art, architecture and archaeology",)
    assert made.entries["thing"] == ()
    assert made.classes == ()


@pytest.mark.parametrize("form", ["00000002n", "00000002-n", "wn:00000002n"])
def test_by_synset_of_wordnet_with_its_folder(tmp_path: Path, form: str) -> None:
    path = put(tmp_path / "wn.txt", f"{form}\tAnimals\t1.0\n00000003n\tMusic\t0.1\n")
    (tmp_path / "dict").mkdir()
    made = lexicon.load("babeldomains", path, str(written(tmp_path / "dict")))
    assert made.domains_of("dogs") == ("animals", "music")
    assert made.entries["entity"] == ()


def test_by_title(tmp_path: Path) -> None:
    text = "Gray_wolf\tAnimals\t1\nJaguar_(car)\tTransport and travel\t1\nGray-Wolf\tMusic\t-\n"
    made = lexicon.load("babeldomains", put(tmp_path / "wiki.txt", text))
    assert made.entries == {"gray wolf": ("animals",)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BN + "bn:00000004n\tSports\t1\n", "line 4: BabelDomains has no domain 'Sports'"),
        (BN + "bn:00000004n\tAnimals\n", "line 4: not an id and then pairs"),
        (BN + "bn:00000004n\n", "line 4: not an id and then pairs"),
        (BN + "bn:00000004n\tAnimals\tmuch\n", "line 4: the score 'much' is no number"),
        (BN + "bn:00000001n\tAnimals\t1\n", "line 4: 'bn:00000001n' stands there twice"),
        (BN + "Jaguar\tAnimals\t1\n", "line 4: 'Jaguar' beside ids of another kind"),
        ("", "holds no line"),
        ("00000001n\tAnimals\t1\n", "have no synset in common"),
    ],
)
def test_a_wrong_file_is_told(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        lexicon.load("babeldomains", put(tmp_path / "bn.txt", text), put(tmp_path / "senses.tsv", SENSES))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("jaguar\tbn:00000001n", "line 6: not a word, an id and 1 or 0"),
        ("jaguar\tbn:00000001n\tyes", "line 6: not a word, an id and 1 or 0"),
        ("jaguar\t42\t1", "line 6: no word, or '42' is no synset"),
        ("--\tbn:00000001n\t1", "line 6: no word"),
    ],
)
def test_a_wrong_list_of_senses_is_told(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        lexicon.load("babeldomains", put(tmp_path / "bn.txt", BN), put(tmp_path / "s.tsv", f"{SENSES}{line}\n"))


def test_the_two_files_must_fit(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is by synset: name a list of senses"):
        lexicon.load("babeldomains", put(tmp_path / "bn.txt", BN))
    with pytest.raises(ConfigError, match="by title of Wikipedia and needs no list"):
        lexicon.load("babeldomains", put(tmp_path / "w.txt", "Wolf\tAnimals\t1\n"), put(tmp_path / "s.tsv", SENSES))
    with pytest.raises(ConfigError, match="cannot be read"):
        lexicon.load("babeldomains", str(tmp_path / "none.txt"))
