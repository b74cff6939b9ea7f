"""The seven measures, the features and the attributes against a second implementation, written from the paper."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from profilelake.behaviour import attributes, features

NAMES = ("Selfie", "Meal", "Pet", "Flower", "Baby")
KINDS = ("Indoor Ordinary Selfie", "Outdoor Selfie", "Holding Something Selfie", "Face Mask Selfie")
ATTRIBUTES = {"Food": ("Meal", "Snack"), "Living": ("Pet", "Flower", "Baby"), "Young": ("Baby",), "Money": ("Wallet",)}

Picture = tuple[str, str | None, int | None]  # category, kind, faces


@dataclass(frozen=True)
class Crawl:
    posts: list[tuple[str, str, str]]
    pictures: list[tuple[str, str]]
    categories: dict[str, Picture]

    @property
    def moments(self) -> dict[str, list[list[Picture]]]:
        """By user the pictures of each Moment, straight from the paper: one list a Moment, with repeats."""
        shown: dict[str, list[Picture]] = {}
        for post, image in self.pictures:
            if image in self.categories:
                shown.setdefault(post, []).append(self.categories[image])
        found: dict[str, list[list[Picture]]] = {}
        for post, user, relation in self.posts:
            if relation == "posted" and post in shown:
                found.setdefault(user, []).append(shown[post])
        return found

    def counts(self, spark: SparkSession) -> DataFrame:
        names = sorted(NAMES)
        rows = [
            (image, names.index(category), kind, faces) for image, (category, kind, faces) in self.categories.items()
        ]
        pictures = spark.createDataFrame(rows, "image_id string, category int, sub_category string, faces int")
        kinds = F.when(F.col("category") == names.index("Selfie"), features.kinds()).otherwise(0)
        of = features.occurrences(
            spark.createDataFrame(self.posts, "post_id string, user_id string, relation string"),
            spark.createDataFrame(self.pictures, "post_id string, image_id string"),
            pictures.select("image_id", "category", kinds.alias("kinds")),
        )
        return features.category_counts(of, names)


def crawl(seed: int) -> Crawl:
    """Random posts, their pictures and what is on them, with every odd case by name."""
    rng = random.Random(seed)
    images = [f"i{n}" for n in range(90)]
    of: dict[str, Picture] = {}
    for image in images:
        if rng.random() < 0.85:
            category = rng.choice((*NAMES, "Selfie", "Selfie"))
            kind = rng.choice((*KINDS, None, "A kind of our own")) if category == "Selfie" else None
            of[image] = (category, kind, rng.choice((None, 0, 1, 1, 2, 7)))
    posts: list[tuple[str, str, str]] = []
    pictures: list[tuple[str, str]] = []

    def post(user: str, shown: list[str], relation: str = "posted") -> None:
        post_id = f"p{len(posts)}"
        posts.append((post_id, user, relation))
        pictures.extend((post_id, image) for image in shown)

    for n in range(25):
        for _ in range(rng.randrange(1, 12)):
            post(f"u{n}", rng.choices(images, k=rng.randrange(0, 6)), rng.choice(["posted"] * 4 + ["favourite"]))
    selfies = [image for image in images if of.get(image, ("",))[0] == "Selfie"]
    meals = [image for image in images if of.get(image, ("",))[0] == "Meal"]
    plain = [image for image in images if image not in of]
    of |= {"bare": ("Selfie", None, None), "one": ("Selfie", KINDS[0], 1), "many": ("Selfie", KINDS[1], 3)}
    post("no picture", [])
    post("uncategorised", plain[:2])
    post("one picture", meals[:1])
    for _ in range(3):
        post("only selfies", rng.choices(selfies, k=2))
    post("selfie in every post", [selfies[0], meals[0]])
    post("twice in a post", [meals[0], meals[0]])
    post("only favourites", meals[:1], "favourite")
    post("selfie without kind and faces", ["bare"])
    post("of both kinds at once", ["one", "many", "one"])
    for image in (*meals[:1], *selfies[:1]):
        post("a tie", [image])
    return Crawl(posts, pictures, of)


@dataclass(frozen=True)
class Measured:
    """What Spark made of a crawl."""

    crawl: Crawl
    frames: dict[str, pd.DataFrame]


@pytest.fixture(scope="module", params=[1, 2])
def measured(request: pytest.FixtureRequest, spark: SparkSession) -> Measured:
    made = crawl(request.param)
    counts = made.counts(spark).persist()
    frames = {
        "user_categories": features.user_categories(counts, "fit"),
        "user_features": features.user_features(counts, "fit"),
        "selfie_measures": features.selfie_measures(counts, "fit", "kinds", faces=True),
        "unmeasured": features.selfie_measures(counts, "fit", None, faces=False),
        "user_attributes": attributes.user_attributes(counts, ATTRIBUTES, NAMES, "fit"),
    }
    found = Measured(made, {name: frame.toPandas() for name, frame in frames.items()})
    counts.unpersist()
    return found


def compared(found: pd.DataFrame, key: list[str], expected: list[dict[str, Any]]) -> None:
    left = found.drop(columns=["missing"], errors="ignore").sort_values(key).reset_index(drop=True)
    right = pd.DataFrame(expected, columns=left.columns).sort_values(key).reset_index(drop=True)
    assert len(right) > 10
    pd.testing.assert_frame_equal(left, right, check_dtype=False)


def reasons(found: pd.DataFrame, key: str = "user_id") -> dict[Any, dict[str, str]]:
    return {
        row[key]: {entry["column"]: entry["reason"] for entry in row["missing"]} for row in found.to_dict("records")
    }


def ratio(above: int, below: int) -> float | None:
    return above / below if below else None


def named(moment: list[Picture]) -> list[str]:
    return [category for category, _, _ in moment]


def test_categories_are_definitions_1_to_4_and_feature_f(measured: Measured) -> None:
    expected = []
    for user, his in measured.crawl.moments.items():
        moments = [named(moment) for moment in his]
        occurrence = {name: sum(name in moment for moment in moments) for name in NAMES}
        total = sum(occurrence.values())
        for name in NAMES:
            if occurrence[name]:
                images = sum(moment.count(name) for moment in moments)
                expected.append(
                    {
                        "user_id": user,
                        "category": name,
                        "images": images,
                        "occurrences": occurrence[name],
                        "frequency": occurrence[name] / total,
                        "inertia": images / occurrence[name],
                        "singleness": sum(set(moment) == {name} for moment in moments) / occurrence[name],
                        "frequency_without_selfie": None
                        if name == "Selfie"
                        else occurrence[name] / (total - occurrence["Selfie"]),
                        "fit_id": "fit",
                    }
                )
    compared(measured.frames["user_categories"], ["user_id", "category"], expected)


def test_features_are_i_and_s(measured: Measured) -> None:
    expected, why = [], {}
    for user, his in measured.crawl.moments.items():
        moments = [named(moment) for moment in his]
        others = [[name for name in moment if name != "Selfie"] for moment in moments]
        other_occurrences = sum(len(set(moment)) for moment in others)
        without_selfie = [moment for moment in moments if "Selfie" not in moment]
        single = ratio(sum(len(set(moment)) == 1 for moment in without_selfie), len(without_selfie))
        inertia = ratio(sum(map(len, others)), other_occurrences)
        why[user] = {"other_inertia": "no picture but selfies"} if inertia is None else {}
        why[user] |= {"other_singleness": "no post without selfie"} if single is None else {}
        expected.append(
            {
                "user_id": user,
                "posts": len(moments),
                "occurrences": sum(len(set(moment)) for moment in moments),
                "other_occurrences": other_occurrences,
                "other_inertia": inertia,
                "other_singleness": single,
                "fit_id": "fit",
            }
        )
    compared(measured.frames["user_features"], ["user_id"], expected)
    assert reasons(measured.frames["user_features"]) == why


def kind_counts(his: list[list[Picture]]) -> dict[str, int]:
    """Posts with a selfie of each kind (definition 1 for sub-categories)."""
    selfies = [[(kind, faces) for category, kind, faces in moment if category == "Selfie"] for moment in his]
    return {
        "one_face_occurrences": sum(any(f is not None and f < 2 for _, f in moment) for moment in selfies),
        "multi_face_occurrences": sum(any(f is not None and f >= 2 for _, f in moment) for moment in selfies),
        **{
            name: sum(any(k == kind for k, _ in moment) for moment in selfies)
            for name, kind in zip(
                (
                    "indoor_ordinary_occurrences",
                    "outdoor_occurrences",
                    "holding_something_occurrences",
                    "face_mask_occurrences",
                ),
                KINDS,
                strict=True,
            )
        },
    }


def first_three(his: list[list[Picture]]) -> dict[str, Any]:
    moments = [named(moment) for moment in his]
    with_selfie = [moment for moment in moments if "Selfie" in moment]
    return {
        "selfie_frequency": len(with_selfie) / sum(len(set(moment)) for moment in moments),
        "selfie_inertia": ratio(sum(moment.count("Selfie") for moment in moments), len(with_selfie)),
        "selfie_singleness": ratio(sum(set(moment) == {"Selfie"} for moment in moments), len(with_selfie)),
        "selfie_occurrences": len(with_selfie),
    }


def test_selfie_measures_are_definitions_2_to_8(measured: Measured) -> None:
    expected, why = [], {}
    for user, his in measured.crawl.moments.items():
        n = kind_counts(his)
        indoor, one, many = (n[f"{k}_occurrences"] for k in ("indoor_ordinary", "one_face", "multi_face"))
        row = {
            "user_id": user,
            **first_three(his),
            **n,
            "group_tendency": ratio(many, one + many),
            **{
                f"{kind}_tendency": ratio(n[f"{kind}_occurrences"], n[f"{kind}_occurrences"] + indoor)
                for kind in ("outdoor", "holding_something", "face_mask")
            },
            "fit_id": "fit",
            "selfie_fit_id": "kinds",
        }
        expected.append(row)
        absent = [name for name, value in row.items() if value is None]
        searched = {"group_tendency": "no selfie whose faces were looked for"}
        otherwise = {name: searched.get(name, "no selfie of these kinds") for name in absent}
        why[user] = otherwise if row["selfie_occurrences"] else dict.fromkeys(absent, "no selfie")
    compared(measured.frames["selfie_measures"], ["user_id"], expected)
    assert reasons(measured.frames["selfie_measures"]) == why
    assert why["selfie without kind and faces"]["outdoor_tendency"] == "no selfie of these kinds"
    both = measured.frames["selfie_measures"].set_index("user_id").loc["of both kinds at once"]
    assert (both["group_tendency"], both["outdoor_tendency"], both["selfie_occurrences"]) == (0.5, 0.5, 1)


def test_what_nobody_has_measured_is_null_and_says_so(measured: Measured) -> None:
    found = measured.frames["unmeasured"]
    assert found[[*features.TENDENCIES, *features.KIND_OCCURRENCES, "selfie_fit_id"]].isna().all().all()
    expected = [{"user_id": user, **first_three(his)} for user, his in measured.crawl.moments.items()]
    compared(found[list(expected[0])], ["user_id"], expected)
    for user, why in reasons(found).items():
        selfies = first_three(measured.crawl.moments[user])["selfie_occurrences"]
        assert {why[name] for name in (*features.KIND_OCCURRENCES, "selfie_fit_id")} == {"not measured yet"}
        assert {why[name] for name in features.TENDENCIES} == {"not measured yet" if selfies else "no selfie"}


def test_attributes_are_shares_of_what_is_no_selfie(measured: Measured) -> None:
    expected, why = [], {}
    for user, his in measured.crawl.moments.items():
        moments = [set(named(moment)) for moment in his]
        others = sum(len(moment - {"Selfie"}) for moment in moments)
        for attribute, categories in ATTRIBUTES.items():
            occurrences = sum(len(moment & set(categories)) for moment in moments)
            value = None if attribute == "Money" else ratio(occurrences, others)
            expected.append(
                {"user_id": user, "attribute": attribute, "value": value, "occurrences": occurrences, "fit_id": "fit"}
            )
            if value is None:
                absent = "no category of it in the lake" if attribute == "Money" else "no picture but selfies"
                why[user, attribute] = absent
    found = measured.frames["user_attributes"]
    compared(found, ["user_id", "attribute"], expected)
    told = {
        (row["user_id"], row["attribute"]): row["missing"][0]["reason"]
        for row in found.to_dict("records")
        if len(row["missing"])
    }
    assert told == why
    assert {why["only selfies", name] for name in ("Food", "Living", "Young")} == {"no picture but selfies"}


def test_attributes_agree_with_user_categories(measured: Measured) -> None:
    f = measured.frames["user_categories"].dropna(subset="frequency_without_selfie")
    values = measured.frames["user_attributes"].set_index(["attribute", "user_id"])["value"]
    for attribute, categories in ATTRIBUTES.items():
        added = f[f["category"].isin(categories)].groupby("user_id")["frequency_without_selfie"].sum()
        known = values[attribute].dropna()
        pd.testing.assert_series_equal(
            known.sort_index(), added.reindex(known.index, fill_value=0.0).sort_index(), check_names=False
        )


def test_users_without_a_categorised_posted_picture_have_no_row(measured: Measured) -> None:
    users = set(measured.crawl.moments)
    for name, found in measured.frames.items():
        assert set(found["user_id"]) == users, name
    assert not users & {"no picture", "uncategorised", "only favourites"}
    assert users >= {"one picture", "only selfies", "twice in a post", "selfie in every post"}


def test_features_see_no_selfie(measured: Measured, spark: SparkSession) -> None:
    """Selfies are moved about among all posts: F and I of everybody else's pictures are the same."""
    own = measured.crawl
    rng = random.Random(7)
    places = [post for post, _, _ in own.posts]
    moved = [
        (rng.choice(places), image) if own.categories.get(image, ("",))[0] == "Selfie" else (post, image)
        for post, image in own.pictures
    ]
    assert moved != own.pictures
    counts = Crawl(own.posts, moved, own.categories).counts(spark)
    f = ["user_id", "category", "frequency_without_selfie"]
    now = features.user_categories(counts, "fit").where("category != 'Selfie'").select(*f).toPandas()
    before = measured.frames["user_categories"].query("category != 'Selfie'")[f]
    pd.testing.assert_frame_equal(
        now.sort_values(f[:2]).reset_index(drop=True), before.sort_values(f[:2]).reset_index(drop=True)
    )


def test_worked_example(spark: SparkSession) -> None:
    """Two selfies and a meal in one post, a meal twice in another, a selfie alone in a third."""
    posts = [(f"p{n}", "u", "posted") for n in range(3)]
    pictures = [("p0", "s1"), ("p0", "s2"), ("p0", "m"), ("p1", "m"), ("p1", "m"), ("p2", "s1")]
    categories: dict[str, Picture] = {
        "s1": ("Selfie", KINDS[0], 1), "s2": ("Selfie", KINDS[3], 2), "m": ("Meal", None, 9),
    }  # fmt: skip
    counts = Crawl(posts, pictures, categories).counts(spark)
    rows = {row["category"]: row for row in features.user_categories(counts, "f").collect()}
    assert (rows["Selfie"]["images"], rows["Selfie"]["occurrences"]) == (3, 2)
    assert (rows["Selfie"]["frequency"], rows["Selfie"]["singleness"]) == (0.5, 0.5)
    assert (rows["Meal"]["inertia"], rows["Meal"]["frequency_without_selfie"]) == (1.5, 1.0)
    row = features.user_features(counts, "f").collect()[0]
    assert (row["posts"], row["occurrences"], row["other_inertia"], row["other_singleness"]) == (3, 4, 1.5, 1.0)
    row = features.selfie_measures(counts, "f", "kinds", faces=True).collect()[0]
    # p0 has a selfie of one face and one of two, p2 one of one face
    assert (row["one_face_occurrences"], row["multi_face_occurrences"], row["group_tendency"]) == (2, 1, 1 / 3)
    assert (row["indoor_ordinary_occurrences"], row["face_mask_occurrences"]) == (2, 1)
    assert (row["outdoor_tendency"], row["face_mask_tendency"]) == (0.0, 1 / 3)
