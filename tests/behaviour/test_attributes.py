"""The list of attributes: the paper's, and what files of one's own may not hold."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from profilelake import config as configuration
from profilelake import pipeline
from profilelake.behaviour import attributes
from profilelake.behaviour.published import TABLE_1, TABLE_1_TOTAL, TABLE_3, TABLE_6
from profilelake.clusters import names
from profilelake.config import conf_dir
from profilelake.errors import ConfigError


def test_table_1_has_47_categories_and_every_attribute_is_made_of_them() -> None:
    kinds = [name for name in TABLE_1 if name.endswith(" Selfie")]
    categories = {"Selfie", *TABLE_1} - set(kinds)
    assert (len(TABLE_1), len(kinds), len(categories)) == (50, 4, 47)
    # the paper's sum is another one, and so is its share of selfies: "more than 10 %"
    assert (sum(TABLE_1.values()), TABLE_1_TOTAL) == (109_690, 109_545)
    selfies = sum(TABLE_1[kind] for kind in kinds)
    assert selfies == TABLE_3["Selfie"] == 10_080
    assert round(100 * selfies / sum(TABLE_1.values()), 2) == 9.19
    listed = names.read(conf_dir() / "categories.yaml")
    assert set(listed.categories) == categories
    assert set(listed.kinds) == set(kinds)
    found = attributes.load(None)
    assert set().union(*found.values()) <= categories - {"Selfie"}
    attributes.require(None, categories)


def test_the_packaged_list_is_table_5() -> None:
    found = attributes.load(None)
    assert list(found) == list(TABLE_6)
    assert found["Living Goods"] == ("Shoes", "Clothes", "Sunglass & Handbag", "Necklace & Bracelet")
    assert found["Travel"] == ("Landscape Photo", "Tourist Photo", "Building")
    assert {name: len(categories) for name, categories in found.items()} == {
        "Travel": 3, "Cosmetic": 3, "Children": 2, "Living Goods": 4, "WeChat": 9, "Food": 3,
    }  # fmt: skip


def written(folder: Path, text: str) -> str:
    path = folder / "own.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_category_may_speak_for_several_attributes(tmp_path: Path) -> None:
    path = written(tmp_path, "attributes:\n  A: [Pet, Meal]\n  B:\n    - Meal\n")
    assert attributes.load(path) == {"A": ("Pet", "Meal"), "B": ("Meal",)}


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 1, "the file must hold one key, `attributes`"),
        ("attribute: {A: [Pet]}", 1, "the file must hold one key, `attributes`"),
        ("attributes:\n  A: [Pet]\nothers: 1\n", 1, "the file must hold one key, `attributes`"),
        ("attributes: {}", 1, "at least one attribute"),
        ("attributes:\n", 1, "at least one attribute"),
        ("attributes:\n  A: []\n", 2, "'A' must list its categories, at least one"),
        ("attributes:\n  A:\n", 2, "'A' must list its categories, at least one"),
        ("attributes:\n  A: Pet\n", 2, "'A' must list its categories, at least one"),
        ("attributes:\n  A: [Pet]\n  B: [Meal]\n  A: [Meal]\n", 4, "the attribute 'A' is given twice, first in line 2"),
        ("attributes:\n  A:\n    - Pet\n    - Meal\n    - Pet\n", 5, "'A' names 'Pet' twice, first in line 3"),
        ("attributes:\n  A:\n    - Pet\n    - Selfie\n", 4, "'A' names 'Selfie', but attributes are of what is no"),
        ("attributes:\n  A: [Pet, 7]\n", 2, "a category of 'A' must be a text; put quotes around 7"),
        ("attributes:\n  yes: [Pet]\n", 2, "an attribute must be a text; put quotes around yes"),
        ("attributes:\n  A: [' Pet']\n", 2, "begins or ends with a space"),
        ("attributes:\n  A/B: [Pet]\n", 2, "holds / or :, which names of models cannot"),
        ("attributes:\n  A: [Pet\n", 3, "this is no YAML"),
    ],
)
def test_faults_are_told_with_their_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        attributes.load(path)
    assert str(caught.value).startswith(f"{path} line {line}: ")
    assert said in str(caught.value)
    assert caught.value.exit_code == 2


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        attributes.load(written(tmp_path, "attributes:\n  A: []\n  B: [Pet, Pet]\n  C: [Selfie]\n"))
    assert [line.split(": ")[0][-6:] for line in str(caught.value).splitlines()] == ["line 2", "line 3", "line 4"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml, cannot be read: No such file"):
        attributes.load(str(tmp_path / "none.yaml"))


def test_an_unknown_category_needs_a_cluster_of_that_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path, "attributes:\n  A: [Shoes, Sungalss & Handbag]\n  Sport:\n    - Our Gym\n")
    with pytest.raises(ConfigError) as caught:
        attributes.require(path, {"Shoes", "Sunglass & Handbag", "Meal"})
    assert str(caught.value).splitlines() == [
        f"{path} line 2: A names the category 'Sungalss & Handbag', which is neither listed nor the lake's; did you "
        "mean 'Sunglass & Handbag'?",
        f"{path} line 4: Sport names the category 'Our Gym', which is neither listed nor the lake's",
    ]
    attributes.require(path, {"Shoes", "Sungalss & Handbag", "Our Gym"})

    # before Spark starts nobody knows how people named the lake's clusters: a warning, and the faults of the file
    config = configuration.load(arguments=[f"behaviour.attributes={path}"])
    with caplog.at_level(logging.WARNING, "profilelake.behaviour"):
        pipeline.check(config, ["behaviour"])
    assert [record.getMessage().split(": ")[1][:5] for record in caplog.records] == ["A nam", "Sport"]
    assert "did you mean 'Sunglass & Handbag'?" in caplog.records[0].getMessage()
    broken = configuration.load(arguments=[f"behaviour.attributes={written(tmp_path, 'attributes: {}')}"])
    with pytest.raises(ConfigError, match="at least one attribute"):
        pipeline.check(broken, ["behaviour"])


def test_what_the_lake_lacks_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "profilelake.behaviour"):
        attributes.log_absent({"A": ("Pet", "Meal", "Bed"), "B": ("Bed",), "C": ("Pet",)}, {"Pet"})
    assert [record.getMessage() for record in caplog.records] == [
        "attribute A: the lake lacks Meal, Bed",
        "attribute B: the lake has none of its categories, so it has no value",
    ]
