"""The 34 domains and their names elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from profilelake.config import conf_dir
from profilelake.errors import ConfigError
from profilelake.interests.domains import domains, read

# Paper 2, section 3, read line by line from its three columns; `animals` from its conclusion.
PAPER = """
art, architecture and archaeology; biology; business, economics and finance; chemistry and mineralogy; computing;
culture and society; education; engineering and technology; farming; food and drink; games and video games;
geography and places; geology and geophysics; health and medicine; heraldry, honors and vexillology; history;
language and linguistics; law and crime; literature and theatre; mathematics; media; meteorology; music;
numismatics and currencies; philosophy and psychology; physics and astronomy; politics and government;
religion, mysticism and mythology; royalty and nobility; sport and recreation; textile and clothing;
transport and travel; warfare and defense
"""


def test_they_are_the_papers_and_animals() -> None:
    listed = {" ".join(name.split()) for name in PAPER.split(";")}
    assert set(domains()) == listed | {"animals"}
    assert len(domains()) == 34
    assert list(domains()) == sorted(domains())
    assert all(len(text) > 20 for text in domains().descriptions.values())


def test_babeldomains_and_the_api_name_them_their_own_way() -> None:
    known = domains()
    assert known.of_babel("Religion, mysticism, and mythology") == "religion, mysticism and mythology"
    assert known.of_babel("Heraldry, honors, and vexillology") == known.of_babel("heraldry honors and vexillology")
    assert known.of_babel("Sports") is None
    assert known.of_api["FOOD_DRINK_AND_TASTE"] == known.of_api["FOOD_AND_DRINK"] == "food and drink"
    assert set(known.of_api.values()) == set(known)
    assert "GENERAL" not in known.of_api


def changed(tmp_path: Path, change: str, to: str) -> Path:
    text = (conf_dir() / "domains.yaml").read_text(encoding="utf-8")
    assert change in text
    path = tmp_path / "domains.yaml"
    path.write_text(text.replace(change, to, 1), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("change", "to", "said"),
    [
        ("  animals:", "  Animals:", "'Animals': a name is in lower case"),
        ("  biology:", "  animals:", "line [0-9]+: 'animals' is given twice"),
        ("api: [ANIMALS]", "api: [BIOLOGY]", "biology: 'BIOLOGY' stands for 'animals' already"),
        ("babel: Animals", "babel: Biology", "biology: 'biology' stands for 'animals' already"),
        ("description: wild", "descriptoin: wild", "domains.animals.descriptoin: Extra inputs"),
        ("domains:\n", "domains: [\n", "domains.yaml line"),
    ],
)
def test_a_wrong_file_is_told(tmp_path: Path, change: str, to: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read(changed(tmp_path, change, to))


def test_a_file_with_too_few_is_told(tmp_path: Path) -> None:
    content = yaml.safe_load((conf_dir() / "domains.yaml").read_text(encoding="utf-8"))
    del content["domains"]["music"]
    path = tmp_path / "domains.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ConfigError, match="it has 33 domains, BabelDomains has 34"):
        read(path)
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read(tmp_path / "none.yaml")
