from __future__ import annotations

import math

import numpy as np
import pytest

from profilelake.clusters import naming
from profilelake.clusters.names import load
from profilelake.clusters.naming import Evidence, log_odds, propose, propose_kinds

NO_FACES = {"one_dominant": 0, "one_small": 0, "small_group": 0, "large_group": 0}


@pytest.fixture
def names(lake_config):
    return load(lake_config)


@pytest.fixture
def settings(lake_config):
    return lake_config.naming


def evidence(labels=None, *, size=100, faces=None, very_long=0):
    """`labels` are mean probabilities of one network's labels."""
    return Evidence(
        size=size,
        labels={label: value * size for label, value in (labels or {}).items()},
        labelled=size if labels else 0,
        faces={**NO_FACES, **(faces or {})},
        very_long=very_long,
    )


def one(of, names, settings):
    return propose({0: of, 1: evidence({"brick": 0.0, "cock": 0.5})}, names, settings)[0]


@pytest.mark.parametrize("seed", range(5))
def test_log_odds_are_monroes(seed):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 40, size=(4, 6)).astype(float)
    counts[1, 2] = 0
    found = log_odds(counts, counts.sum(axis=1), 10.0)
    for group in range(4):
        for word in range(6):
            a0 = 10.0
            a = a0 * counts[:, word].sum() / counts.sum()
            yi, ni = counts[group, word], counts[group].sum()
            yj, nj = counts[:, word].sum() - yi, counts.sum() - ni
            delta = math.log((yi + a) / (ni + a0 - yi - a)) - math.log((yj + a) / (nj + a0 - yj - a))
            assert found[group, word] == pytest.approx(delta / math.sqrt(1 / (yi + a) + 1 / (yj + a)))


def test_a_word_that_nobody_has_stands_out_nowhere():
    assert log_odds([[1.0, 0.0], [2.0, 0.0]], [1.0, 2.0], 10.0)[:, 1].tolist() == [0.0, 0.0]


def test_a_single_word_or_group_is_no_error():
    assert np.isfinite(log_odds([[3.0], [2.0]], [3.0, 2.0], 10.0)).all()
    assert np.isfinite(log_odds([[3.0, 1.0]], [4.0], 10.0)).all()


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        ({"tabby": 0.4, "tiger cat": 0.3, "lynx": 0.1}, "Pet"),
        ({"espresso": 0.9}, "Snack"),
        ({"pizza": 0.5, "plate": 0.2}, "Meal"),
        ({"strawberry": 0.4, "trifle": 0.2}, "Fruit & Cake"),
        ({"alp": 0.3, "lakeside": 0.2}, "Landscape Photo"),
        ({"palace": 0.3, "bell cote": 0.14}, "Building"),
        ({"daisy": 0.36, "bee": 0.05}, "Flower"),
        ({"lipstick": 0.5}, "Cosmetic"),
        ({"running shoe": 0.5}, "Shoes"),
        ({"crib": 0.3, "diaper": 0.1}, "Baby"),
        ({"brass": 0.17, "menu": 0.06, "crossword puzzle": 0.05}, "Essay"),
    ],
)
def test_labels_propose_a_listed_name(names, settings, labels, name):
    assert one(evidence(labels), names, settings).name == name


def test_the_evidence_says_what_the_name_rests_on(names, settings):
    found = one(evidence({"tabby": 0.4, "tiger cat": 0.3, "pizza": 0.1}), names, settings)
    assert found.why == "labels of Pet have 0.70 on average (tabby 0.40, tiger cat 0.30); next: Meal 0.10"
    assert found.clear


def test_evidence_that_two_names_share_is_not_clear(names, settings):
    found = one(evidence({"tabby": 0.3, "pizza": 0.28}), names, settings)
    assert (found.name, found.clear) == ("Pet", False)
    assert "NOT CLEAR" in found.why


def test_where_no_name_fits_the_label_that_tells_it_apart_is_the_name(names, settings):
    of = {
        0: evidence({"missile": 0.3, "projectile": 0.2, "bubble": 0.25}),
        1: evidence({"bubble": 0.5, "projectile": 0.01}),
        2: evidence({"tabby": 0.6, "bubble": 0.3}),
    }
    found = propose(of, names, settings)
    assert (found[0].name, found[0].clear) == ("missile", False)
    assert "no listed name fits" in found[0].why
    assert found[1].name == "bubble"


def test_a_little_evidence_is_no_evidence(names, settings):
    found = one(evidence({"missile": 0.3, "tabby": 0.19}), names, settings)
    assert found.name == "missile"
    assert "the best listed name, Pet, has 0.19" in found.why


def test_faces_beat_labels_and_shape_beats_faces(names, settings):
    labels = {"tabby": 0.9}
    assert one(evidence(labels, faces={"one_dominant": 50}), names, settings).name == "Selfie"
    assert one(evidence(labels, faces={"one_dominant": 49}), names, settings).name == "Pet"
    assert one(evidence(labels, faces={"small_group": 60}), names, settings).name == "Small Group Photo"
    assert one(evidence(labels, faces={"large_group": 60}), names, settings).name == "Large Group Photo"
    both = evidence(labels, faces={"one_dominant": 90}, very_long=80)
    assert one(both, names, settings).name == "Very Long Picture"


def test_a_person_who_is_not_near_is_a_tourist_where_people_travel_to(names, settings):
    small = {"one_small": 70}
    assert one(evidence({"palace": 0.4}, faces=small), names, settings).name == "Tourist Photo"
    assert one(evidence({"alp": 0.1}, faces=small), names, settings).name == "Full-Length Photo"


def test_without_evidence_a_cluster_keeps_its_number(names, settings):
    found = propose({3: evidence(), 8: evidence()}, names, settings)
    assert {found[3].name, found[8].name} == {"Cluster 3", "Cluster 8"}


def test_every_proposal_is_a_usable_name(names, settings):
    from profilelake.clusters.names import name_fault
    from profilelake.images.classes import imagenet_labels

    assert [label for label in imagenet_labels() if name_fault(label)] == []


def test_kinds_of_selfie_go_one_to_one(names, settings):
    of = {
        0: evidence({"wig": 0.5, "lakeside": 0.01}),
        1: evidence({"wig": 0.3, "lakeside": 0.3}),
        2: evidence({"wig": 0.3, "coffee mug": 0.25, "lakeside": 0.05}),
        3: evidence({"wig": 0.3, "mask": 0.2}),
    }
    found = {cluster: proposal.name for cluster, proposal in propose_kinds(of, names, settings).items()}
    assert found == {
        0: "Indoor Ordinary Selfie",
        1: "Outdoor Selfie",
        2: "Holding Something Selfie",
        3: "Face Mask Selfie",
    }


def test_a_cluster_takes_its_second_kind_when_another_needs_the_first(names, settings):
    of = {
        0: evidence({"wig": 0.2, "lakeside": 0.50, "coffee mug": 0.35}),
        1: evidence({"wig": 0.2, "lakeside": 0.55}),
        2: evidence({"wig": 0.9}),
        3: evidence({"wig": 0.9}),
    }
    found = propose_kinds(of, names, settings)
    assert (found[0].name, found[1].name) == ("Holding Something Selfie", "Outdoor Selfie")
    assert found[2].name == found[3].name == "Indoor Ordinary Selfie"


def test_two_clusters_of_one_kind_merge(names, settings):
    of = {
        0: evidence({"wig": 0.3, "lakeside": 0.3}),
        1: evidence({"wig": 0.3, "seashore": 0.3}),
        2: evidence({"wig": 0.9}),
        3: evidence({"wig": 0.9}),
    }
    found = propose_kinds(of, names, settings)
    assert found[0].name == found[1].name == "Outdoor Selfie"


def test_selfies_without_labels_are_ordinary(names, settings):
    found = propose_kinds({0: evidence(), 1: evidence()}, names, settings)
    assert {proposal.name for proposal in found.values()} == {"Indoor Ordinary Selfie"}


def face_rows():
    def boxes(*areas):
        return [(0.0, 0.0, area, 1.0, 0.99) for area in areas]

    return {
        "none": (0, boxes()),
        "near": (1, boxes(0.10)),
        "at the limit": (1, boxes(0.04)),
        "far": (1, boxes(0.01)),
        "near before others": (3, boxes(0.20, 0.05, 0.01)),
        "two": (2, boxes(0.20, 0.15)),
        "two far": (2, boxes(0.02, 0.01)),
        "five": (5, boxes(*[0.03] * 5)),
        "six": (6, boxes(0.2, *[0.01] * 5)),
    }


def test_what_faces_make_of_a_picture(spark, settings):
    box = "struct<x: double, y: double, width: double, height: double, score: double>"
    rows = [
        (name, faces, boxes, max((b[2] * b[3] for b in boxes), default=0.0))
        for name, (faces, boxes) in face_rows().items()
    ]
    frame = spark.createDataFrame(
        rows, f"name string, faces int, boxes array<{box}>, largest_face_share double"
    ).select("name", naming.face_kind(settings).alias("kind"))
    assert {row["name"]: row["kind"] for row in frame.collect()} == {
        "none": None,
        "near": "one_dominant",
        "at the limit": "one_dominant",
        "far": "one_small",
        "near before others": "one_dominant",
        "two": "small_group",
        "two far": "small_group",
        "five": "small_group",
        "six": "large_group",
    }


def test_evidence_is_counted_by_cluster(spark, settings):
    box = "struct<x: double, y: double, width: double, height: double, score: double>"
    assigned = spark.createDataFrame([("a", 0), ("b", 0), ("c", 1), ("d", 1)], "image_id string, cluster_id int")
    labels = spark.createDataFrame(
        [
            ("a", "n1", 1, "tabby", 0.5),
            ("a", "n1", 2, "lynx", 0.25),
            ("a", "n2", 1, "tabby", 0.75),
            ("b", "n1", 1, "lynx", 0.5),
            ("c", "n1", 1, "pizza", 0.125),
            ("c", "other", 1, "tabby", 1.0),
            ("z", "n1", 1, "tabby", 1.0),
        ],
        "image_id string, network string, rank int, label string, score float",
    )
    faces = spark.createDataFrame(
        [("a", 1, [(0.0, 0.0, 0.5, 0.5, 1.0)], 0.25), ("b", 0, [], 0.0), ("z", 9, [], 0.0)],
        f"image_id string, faces int, boxes array<{box}>, largest_face_share double",
    )
    images = spark.createDataFrame(
        [("a", 10, 30), ("b", 10, 31), ("c", 30, 10), ("d", 5, 5)], "image_id string, width int, height int"
    )
    found = naming.collect(assigned, labels, faces, images, ["n1", "n2"], settings)
    assert found == {
        0: Evidence(2, {"tabby": 1.25, "lynx": 0.75}, 3, {**NO_FACES, "one_dominant": 1}, 1),
        1: Evidence(2, {"pizza": 0.125}, 1, NO_FACES, 0),
    }
    assert found[0].weight(frozenset({"tabby"})) == pytest.approx(1.25 / 3)
