from __future__ import annotations

import random
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

from profilelake.behaviour import features

NAMES = ("Selfie", "Meal", "Pet", "Flower", "Baby")


def crawl(seed: int) -> tuple[list[tuple[str, str, str]], list[tuple[str, str]], list[tuple[str, str, str]]]:
    """Random posts, their pictures and the pictures' categories, with every odd case by name."""
    rng = random.Random(seed)
    images = [f"i{n}" for n in range(60)]
    categories = [(image, rng.choice(NAMES), "fit") for image in images if rng.random() < 0.85]
    of = {image: category for image, category, _ in categories}
    posts: list[tuple[str, str, str]] = []
    pictures: list[tuple[str, str]] = []

    def post(user: str, shown: list[str], relation: str = "posted") -> None:
        post_id = f"p{len(posts)}"
        posts.append((post_id, user, relation))
        pictures.extend((post_id, image) for image in shown)

    for n in range(25):
        for _ in range(rng.randrange(1, 12)):
            post(f"u{n}", rng.choices(images, k=rng.randrange(0, 6)), rng.choice(["posted"] * 4 + ["favourite"]))
    selfies = [image for image in images if of.get(image) == "Selfie"]
    meals = [image for image in images if of.get(image) == "Meal"]
    plain = [image for image in images if image not in of]
    post("no picture", [])
    post("uncategorised", plain[:2])
    post("one picture", meals[:1])
    for _ in range(3):
        post("only selfies", rng.choices(selfies, k=2))
    post("selfie in every post", [selfies[0], meals[0]])
    post("twice in a post", [meals[0], meals[0]])
    post("only favourites", meals[:1], "favourite")
    for image in (*meals[:1], *selfies[:1]):
        post("a tie", [image])
    return posts, pictures, categories


@pytest.fixture(scope="module", params=[1, 2])
def data(request: pytest.FixtureRequest) -> tuple[Any, Any, Any]:
    return crawl(request.param)


def counts(spark: SparkSession, data: tuple[Any, Any, Any]) -> DataFrame:
    posts, pictures, categories = data
    return features.category_counts(
        features.occurrences(
            spark.createDataFrame(posts, "post_id string, user_id string, relation string"),
            spark.createDataFrame(pictures, "post_id string, image_id string"),
            spark.createDataFrame(categories, "image_id string, category string, fit_id string"),
        )
    )


def moments(data: tuple[Any, Any, Any]) -> dict[str, list[list[str]]]:
    """By user the categories of each Moment's pictures, straight from the paper: one list a Moment, with repeats."""
    posts, pictures, categories = data
    of = {image: category for image, category, _ in categories}
    shown: dict[str, list[str]] = {}
    for post, image in pictures:
        if image in of:
            shown.setdefault(post, []).append(of[image])
    found: dict[str, list[list[str]]] = {}
    for post, user, relation in posts:
        if relation == "posted" and post in shown:
            found.setdefault(user, []).append(shown[post])
    return found


def compared(found: DataFrame, key: list[str], expected: list[dict[str, Any]], without: tuple[str, ...] = ()) -> None:
    left = found.drop(*without).toPandas().sort_values(key).reset_index(drop=True)
    right = pd.DataFrame(expected, columns=left.columns).sort_values(key).reset_index(drop=True)
    assert len(right) > 10
    pd.testing.assert_frame_equal(left, right, check_dtype=False)


def ratio(above: int, below: int) -> float | None:
    return above / below if below else None


def test_categories_are_definitions_1_to_4_and_feature_f(spark: SparkSession, data: tuple[Any, Any, Any]) -> None:
    expected = []
    for user, his in moments(data).items():
        occurrence = {name: sum(name in moment for moment in his) for name in NAMES}
        total = sum(occurrence.values())
        for name in NAMES:
            if occurrence[name]:
                images = sum(moment.count(name) for moment in his)
                expected.append(
                    {
                        "user_id": user,
                        "category": name,
                        "images": images,
                        "occurrences": occurrence[name],
                        "frequency": occurrence[name] / total,
                        "inertia": images / occurrence[name],
                        "singleness": sum(set(moment) == {name} for moment in his) / occurrence[name],
                        "frequency_without_selfie": None
                        if name == "Selfie"
                        else occurrence[name] / (total - occurrence["Selfie"]),
                        "fit_id": "fit",
                    }
                )
    compared(features.user_categories(counts(spark, data)), ["user_id", "category"], expected)


def test_features_are_i_and_s(spark: SparkSession, data: tuple[Any, Any, Any]) -> None:
    expected = []
    for user, his in moments(data).items():
        others = [[name for name in moment if name != "Selfie"] for moment in his]
        other_occurrences = sum(len(set(moment)) for moment in others)
        without_selfie = [moment for moment in his if "Selfie" not in moment]
        single = ratio(sum(len(set(moment)) == 1 for moment in without_selfie), len(without_selfie))
        inertia = ratio(sum(map(len, others)), other_occurrences)
        reasons = []
        if inertia is None:
            reasons.append(("other_inertia", "no picture but selfies"))
        if single is None:
            reasons.append(("other_singleness", "no post without selfie"))
        expected.append(
            {
                "user_id": user,
                "posts": len(his),
                "occurrences": sum(len(set(moment)) for moment in his),
                "other_occurrences": other_occurrences,
                "other_inertia": inertia,
                "other_singleness": single,
                "fit_id": "fit",
                "missing": reasons,
            }
        )
    found = features.user_features(counts(spark, data))
    compared(found, ["user_id"], expected, without=("missing",))
    reasons_found = {row["user_id"]: [tuple(m) for m in row["missing"]] for row in found.collect()}
    assert reasons_found == {row["user_id"]: row["missing"] for row in expected}


def test_selfie_measures_are_definitions_2_to_4_of_selfie(spark: SparkSession, data: tuple[Any, Any, Any]) -> None:
    unmeasured = sorted([*features.TENDENCIES, *features.KIND_OCCURRENCES])
    expected = []
    for user, his in moments(data).items():
        with_selfie = [moment for moment in his if "Selfie" in moment]
        expected.append(
            {
                "user_id": user,
                "selfie_frequency": len(with_selfie) / sum(len(set(moment)) for moment in his),
                "selfie_inertia": ratio(sum(moment.count("Selfie") for moment in his), len(with_selfie)),
                "selfie_singleness": ratio(sum(set(moment) == {"Selfie"} for moment in his), len(with_selfie)),
                "selfie_occurrences": len(with_selfie),
                "fit_id": "fit",
            }
        )
    found = features.selfie_measures(counts(spark, data))
    compared(found, ["user_id"], expected, without=("missing", *unmeasured))
    for row in found.collect():
        assert all(row[name] is None for name in unmeasured)
        if row["selfie_occurrences"]:
            assert [tuple(m) for m in row["missing"]] == [(name, "not measured yet") for name in unmeasured]
        else:
            empty = sorted([*unmeasured, "selfie_inertia", "selfie_singleness"])
            assert [tuple(m) for m in row["missing"]] == [(name, "no selfie") for name in empty]


def test_users_without_a_categorised_posted_picture_have_no_row(
    spark: SparkSession, data: tuple[Any, Any, Any]
) -> None:
    users = {row["user_id"] for row in counts(spark, data).select("user_id").distinct().collect()}
    assert users == set(moments(data))
    assert not users & {"no picture", "uncategorised", "only favourites"}
    assert users >= {"one picture", "only selfies", "twice in a post", "selfie in every post"}


def test_worked_example(spark: SparkSession) -> None:
    """Two selfies and a meal in one post, a meal twice in another, a selfie alone in a third."""
    posts = [(f"p{n}", "u", "posted") for n in range(3)]
    pictures = [("p0", "s1"), ("p0", "s2"), ("p0", "m"), ("p1", "m"), ("p1", "m"), ("p2", "s1")]
    categories = [("s1", "Selfie", "f"), ("s2", "Selfie", "f"), ("m", "Meal", "f")]
    counted = counts(spark, (posts, pictures, categories))
    by_name = {row["category"]: row for row in features.user_categories(counted).collect()}
    assert (by_name["Selfie"]["images"], by_name["Selfie"]["occurrences"]) == (3, 2)
    assert by_name["Selfie"]["frequency"] == 0.5
    assert by_name["Selfie"]["singleness"] == 0.5
    assert by_name["Meal"]["inertia"] == 1.5
    assert by_name["Meal"]["frequency_without_selfie"] == 1.0
    row = features.user_features(counted).collect()[0]
    assert (row["posts"], row["occurrences"], row["other_inertia"], row["other_singleness"]) == (3, 4, 1.5, 1.0)
