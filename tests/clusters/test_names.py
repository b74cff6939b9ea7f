from __future__ import annotations

import re

import pytest
import yaml

from profilelake.clusters.names import load, name_fault, read
from profilelake.clusters.stage import check
from profilelake.config import conf_dir
from profilelake.errors import ConfigError
from profilelake.images.classes import imagenet_labels

# Paper 1, table 1, with its four kinds of selfie (5.2.2, table 3 for Indoor Ordinary) as the one category Selfie.
TABLE_1 = {
    "Pet", "Bed", "Big Word Ad", "Small Group Photo", "Poster", "Chart", "Pink Goods", "Child", "Flower", "Cosmetic",
    "Cosmetics Ad", "Activity", "Large Group Photo", "Building", "TV & Poster Screenshot", "Toy", "Snack",
    "Landscape Photo", "Tourist Photo", "Sunglass & Handbag", "Photoshop Photo", "Star", "Beauty Ad", "Cosmetic Tips",
    "Display Rack", "Hand & Leg", "Wallet & Accessory", "Fruit & Cake", "WeChat Moment", "Motto", "WeChat Expression",
    "QR-code", "WeChat Wallet", "Chat Screenshot", "Other Ad", "Comic", "Essay", "Other Goods", "Shoes",
    "Necklace & Bracelet", "Clothes", "Baby", "Full-Length Photo", "Special Effects Photo", "Very Long Picture",
    "Meal", "Selfie",
}  # fmt: skip
# Paper 1, table 5.
ATTRIBUTES = {
    "Travel": ["Landscape Photo", "Tourist Photo", "Building"],
    "Cosmetic": ["Cosmetic", "Cosmetics Ad", "Cosmetic Tips"],
    "Children": ["Child", "Baby"],
    "Living Goods": ["Shoes", "Clothes", "Sunglass & Handbag", "Necklace & Bracelet"],
    "WeChat": [
        "WeChat Moment", "Motto", "WeChat Expression", "QR-code", "WeChat Wallet", "Chat Screenshot", "Other Ad",
        "Comic", "Essay",
    ],
    "Food": ["Snack", "Fruit & Cake", "Meal"],
}  # fmt: skip


def test_the_listed_names_are_the_papers(make_config):
    names = load(make_config())
    assert set(names.categories) == TABLE_1
    assert len(TABLE_1) == 47
    assert set(names.kinds) == {
        "Indoor Ordinary Selfie",
        "Outdoor Selfie",
        "Holding Something Selfie",
        "Face Mask Selfie",
    }
    assert names.otherwise == "Indoor Ordinary Selfie"


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_every_attribute_has_names_that_evidence_can_propose(make_config, attribute):
    names = load(make_config())
    told = [name for name in ATTRIBUTES[attribute] if names.categories[name].by_labels]
    assert told


@pytest.mark.slow
def test_the_labels_are_torchvisions():
    from torchvision.models import ResNet50_Weights

    assert list(imagenet_labels()) == ResNet50_Weights.IMAGENET1K_V2.meta["categories"]


def test_the_labels_are_a_thousand():
    labels = imagenet_labels()
    assert len(labels) == len(set(labels)) == 1000
    assert (labels[0], labels[281], labels[999]) == ("tench", "tabby", "toilet tissue")


@pytest.fixture
def edited(tmp_path):
    """The packaged file with one text replaced by another."""

    def edit(old, new):
        text = (conf_dir() / "categories.yaml").read_text(encoding="utf-8")
        assert old in text
        path = tmp_path / "categories.yaml"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        return path

    return edit


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("studio couch]", "studio cuoch]", "Bed: ImageNet has no label 'studio cuoch'; did you mean 'studio couch'?"),
        ("studio couch]", "tabby]", "Bed: the label 'tabby' speaks for 'Pet' already"),
        ("studio couch]", "quilt]", "Bed: lists 'quilt' twice"),
        ("  Bed:\n", "  Pet:\n", "line \\d+: 'Pet' is given twice"),
        ("  Selfie:\n", "  Self:\n", "categories lack 'Selfie'"),
        ("faces: one_dominant", "faces: huge", "categories.Selfie.faces: Input should be 'one_dominant'"),
        ("faces: one_dominant", "face: one_dominant", "categories.Selfie.face: Extra inputs are not permitted"),
        ("shape: very_long", "shape: very_long\n    faces: small_group", "Very Long Picture: shape stands alone"),
        ("[Landscape Photo, Building]\n  Full", "[Landscape]\n  Full", "labels_of names 'Landscape'"),
        ("otherwise: true", "otherwise: false", "exactly one name needs `otherwise: true`"),
        ("  Motto: {}", "  Motto:\n    otherwise: true", "`otherwise` is for kinds_of_selfie"),
        ("  Motto: {}", "  Motto:\n    labels_of: [Pet]", "labels_of needs faces"),
        ("  Motto: {}", '  "=Motto": {}', "begins with '='"),
        ("  Motto: {}", '  " Motto": {}', "begins or ends with a space"),
        ("  Motto: {}", "  Motto: {", "expected"),
        ("kinds_of_selfie:", "kinds:", "kinds_of_selfie: Field required"),
    ],
)
def test_a_fault_names_its_place(edited, make_config, old, new, message):
    path = edited(old, new)
    with pytest.raises(ConfigError) as found:
        check(make_config(f"naming.categories={path}"))
    assert str(path) in str(found.value)
    assert re.search(message if "\\d" in message else re.escape(message), str(found.value))


def test_all_faults_are_told_at_once(edited):
    path = edited("studio couch]", "studio cuoch, tabby]")
    with pytest.raises(ConfigError) as found:
        read(path)
    assert len(str(found.value).splitlines()) == 2


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read(tmp_path / "none.yaml")


def test_own_names_replace_the_packaged_ones(make_config, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "categories": {"Selfie": {"faces": "one_dominant"}, "Cats": {"labels": ["tabby"]}},
                "kinds_of_selfie": {"Any": {"otherwise": True}},
            },
            sort_keys=False,
        ),
        encoding="utf-8",
    )
    assert list(load(make_config(f"naming.categories={path}")).categories) == ["Selfie", "Cats"]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("Fruit & Cake", None),
        ("自拍", None),
        ("", "empty"),
        ("  ", "empty"),
        ("=1+1", "formula"),
        ("+49", "formula"),
        ("-1", "formula"),
        ("@SUM(A1)", "formula"),
        ("a\tb", "printed"),
        ("a\nb", "printed"),
        ("x" * 81, "81 characters"),
        ("all", "all categories together"),
        ("All", None),
    ],
)
def test_names_that_cannot_be_used(name, fault):
    found = name_fault(name)
    assert (found is None) if fault is None else (fault in found)
