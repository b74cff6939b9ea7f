from __future__ import annotations

import random
import statistics
from datetime import UTC, datetime
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from profilelake.interests import profile as interests
from profilelake.profiles import merge
from profilelake.reasons import REASONS
from profilelake.tables import TABLES
from tests.lakes import WHEN, frame

NOW = datetime(2025, 5, 5, tzinfo=UTC)
TENDENCIES = ("group_tendency", "outdoor_tendency", "holding_something_tendency", "face_mask_tendency")
DECLARED = {column.name: column for column in TABLES["user_profiles"].columns}


def made(
    spark: SparkSession,
    data: dict[str, list[dict[str, Any]]],
    *,
    has_run: bool,
    scored: bool = False,
    interested: bool = False,
) -> dict[str, dict[str, Any]]:
    posts, post_images = (frame(spark, name, data.get(name, [])) for name in ("posts", "post_images"))
    others = [
        frame(spark, name, data.get(name, [])) for name in ("user_categories", "user_features", "selfie_measures")
    ]
    types, fits, attributes, scores = (
        frame(spark, name, data.get(name, []))
        for name in ("user_types", "user_type_fits", "user_attributes", "behaviour_scores")
    )
    found = merge.profiles(
        frame(spark, "users", data.get("users", [])),
        merge.activity(posts, post_images),
        *others,
        merge.types(types, fits),
        attributes,
        scores,
        interests.profiles(
            frame(spark, "user_interests", data.get("user_interests", [])),
            frame(spark, "user_interest_evidence", data.get("user_interest_evidence", [])),
            "lite",
            4,
            3,
        ),
        behaviour_has_run=has_run,
        interests_have_run=interested,
        score_has_run=scored,
        profiled_at=F.lit(NOW),
    )
    assert found.columns == [name for name in DECLARED if name != "run_id"]
    rows = [row.asDict(recursive=True) for row in found.drop("first_seen_at", "last_seen_at", "profiled_at").collect()]
    by_user = {row["user_id"]: row for row in rows}
    assert len(by_user) == len(rows)
    return by_user


def reasons(row: dict[str, Any]) -> dict[str, str]:
    return {entry["column"]: entry["reason"] for entry in row["missing"]}


def measured(user: str, **values: Any) -> dict[str, Any]:
    """A row of selfie_measures without tendencies, as the behaviour stage leaves it."""
    absent = [{"column": name, "reason": "not measured yet"} for name in (*TENDENCIES, "selfie_fit_id")]
    return {"user_id": user, "selfie_frequency": 0.5, "selfie_inertia": 1.5, "selfie_singleness": 0.25,
            "selfie_occurrences": 4, "fit_id": "fit", "missing": absent, **values}  # fmt: skip


@pytest.mark.parametrize("seed", [1, 2])
def test_activity_counts_posts_favourites_pictures_and_likes(spark: SparkSession, seed: int) -> None:
    rng = random.Random(seed)
    posts = [
        {
            "post_id": f"p{n}",
            "user_id": f"u{rng.randrange(12)}",
            "relation": rng.choice(["posted", "posted", "favourite"]),
            "likes": rng.choice([None, *range(6)]),
        }
        for n in range(120)
    ]
    pictures = [
        {"post_id": post["post_id"], "position": place, "image_id": f"i{rng.randrange(30)}"}
        for post in posts
        for place in range(rng.randrange(4))
    ]
    found = merge.activity(frame(spark, "posts", posts), frame(spark, "post_images", pictures)).collect()
    expected = {}
    for user in {post["user_id"] for post in posts}:
        his = [post for post in posts if post["user_id"] == user and post["relation"] == "posted"]
        likes = [post["likes"] for post in his if post["likes"] is not None]
        ids = {post["post_id"] for post in his}
        expected[user] = {
            "user_id": user,
            "posts": len(his),
            "favourites": sum(post["user_id"] == user for post in posts) - len(his),
            "images": sum(picture["post_id"] in ids for picture in pictures),
            "known_likes": len(likes),
            "median_likes": float(statistics.median(likes)) if likes else None,
        }
    assert {row["user_id"]: row.asDict() for row in found} == expected


def test_every_user_has_a_profile_and_every_null_a_reason(spark: SparkSession) -> None:
    data = {
        "users": [
            {"user_id": "full", "user_name": "Ada", "followers": 7},
            {"user_id": "uncategorised"},
            {"user_id": "favourites", "first_seen_at": None, "last_seen_at": None},
            {"user_id": "nothing", "first_seen_at": None, "last_seen_at": None},
        ],
        "posts": [
            {"post_id": "p1", "user_id": "full", "likes": 3},
            {"post_id": "p2", "user_id": "full", "likes": 8},
            {"post_id": "p3", "user_id": "uncategorised"},
            {"post_id": "p4", "user_id": "favourites", "relation": "favourite", "likes": 100},
        ],
        "post_images": [{"post_id": post, "position": 0, "image_id": "i"} for post in ("p1", "p2", "p4")],
        "user_categories": [
            {"user_id": "full", "category": name, "images": occurrences, "occurrences": occurrences,
             "frequency": occurrences / 8, "inertia": 1.0, "singleness": 1.0, "fit_id": "fit"}
            for name, occurrences in (("Pet", 2), ("Selfie", 4), ("Meal", 2))
        ],
        "user_features": [
            {"user_id": "full", "posts": 6, "occurrences": 8, "other_occurrences": 4, "other_inertia": 1.0,
             "other_singleness": None, "fit_id": "fit",
             "missing": [{"column": "other_singleness", "reason": "no post without selfie"}]}
        ],
        "selfie_measures": [measured("full")],
        "user_types": [{"user_id": "full", "weights": [0.25, 0.5], "type": 2, "fit_id": "types-1"}],
        "user_type_fits": [
            {"fit_id": fit_id, "type": number, "name": f"{number}: {name}", "categories": ["Meal", "Pet"],
             "loadings": [0.5, 0.5], "users": 1, "sample_users": 1, "error": 0.5, "current": fit_id == "types-1",
             "category_fit_id": "fit", "fitted_at": NOW}
            for fit_id, number, name in (("types-0", 2, "Old"), ("types-1", 1, "Food"), ("types-1", 2, "Animals"))
        ],
        "user_attributes": [
            {"user_id": "full", "attribute": name, "value": value, "occurrences": n, "fit_id": "fit"}
            for name, value, n in (("Pets", 0.5, 2), ("Food", None, 0))
        ],
        "behaviour_scores": [
            {"user_id": "full", "task": task, "model_version": "3", "probability": 0.75, "evidence": 8}
            for task in ("R5", "R1")
        ],
        "user_interests": [
            {"user_id": "full", "relation": relation, "basis": basis, "domain": domain, "occurrences": n,
             "score": n / 2, "rank": rank}
            for relation, basis, domains in (
                ("posted", "lite", ("music", "animals", "history", "media", "law and crime", "farming")),
                ("posted", "tags", ("farming", "music", "media")),
                ("posted", "resnet50", ("heraldry, honors and vexillology",)),
                ("favourite", "lite", ("mathematics",)),
            )
            for rank, (n, domain) in enumerate(zip((9, 9, 4, 3, 3, 1), domains, strict=False), 1)
        ],
        "user_interest_evidence": [
            {"user_id": user, "relation": relation, "basis": basis, "given": 40, "named": named}
            for user, relation, basis, named in (
                ("full", "posted", "lite", 20), ("full", "posted", "tags", 3), ("full", "posted", "resnet50", 9),
                ("full", "favourite", "lite", 19), ("full", "favourite", "tags", 99),
                ("uncategorised", "posted", "lite", 3), ("favourites", "favourite", "tags", 0),
                ("favourites", "posted", "resnet50", 50),
            )
        ],
    }  # fmt: skip
    found = made(spark, data, has_run=True, scored=True, interested=True)
    assert set(found) == {"full", "uncategorised", "favourites", "nothing"}
    for row in found.values():
        absent = [name for name in row if row[name] is None]
        assert [entry["column"] for entry in row["missing"] if "seen" not in entry["column"]] == sorted(absent)
        assert [entry["column"] for entry in row["missing"]] == sorted(entry["column"] for entry in row["missing"])
        assert {entry["reason"] for entry in row["missing"]} <= REASONS

    full = found["full"]
    assert [entry["category"] for entry in full["behaviour_categories"]] == ["Selfie", "Meal", "Pet"]
    assert full["behaviour_categories"][0] == {
        "category": "Selfie", "images": 4, "occurrences": 4, "frequency": 0.5, "inertia": 1.0, "singleness": 1.0,
    }  # fmt: skip
    scalars = {
        "user_name": "Ada", "followers": 7, "posts": 2, "favourites": 0, "images": 2, "median_likes": 5.5,
        "behaviour_top_category": "Selfie", "behaviour_posts": 6, "behaviour_occurrences": 8, "behaviour_inertia": 1.0,
        "behaviour_selfie_occurrences": 4, "behaviour_selfie_frequency": 0.5, "behaviour_selfie_inertia": 1.5,
        "behaviour_selfie_singleness": 0.25, "behaviour_fit_id": "fit",
    }  # fmt: skip
    assert {name: full[name] for name in scalars} == scalars
    why = reasons(full)
    assert why["behaviour_singleness"] == "no post without selfie"
    assert why["behaviour_group_tendency"] == "not measured yet"
    assert why["behaviour_selfie_fit_id"] == "not measured yet"
    assert why["personality_openness"] == "stage has not run"
    assert (full["behaviour_type"], full["behaviour_type_weights"]) == ("2: Animals", [0.25, 0.5])
    assert full["behaviour_attributes"] == [
        {"attribute": "Food", "value": None, "occurrences": 0},
        {"attribute": "Pets", "value": 0.5, "occurrences": 2},
    ]
    assert [(score["task"], score["probability"]) for score in full["behaviour_scores"]] == [("R1", 0.75), ("R5", 0.75)]
    assert full["behaviour_scores"][0] == {"task": "R1", "probability": 0.75, "model_version": "3", "evidence": 8}
    assert not {"first_seen_at", "followers", "behaviour_categories", "median_likes"} & set(why)
    top = ["music", "animals", "history", "media", "law and crime"]
    assert full["interests_from_pictures"] == [
        {"domain": domain, "occurrences": n, "rank": rank}
        for rank, (domain, n) in enumerate(zip(top, (9, 9, 4, 3, 3), strict=True), 1)
    ]
    assert [entry["domain"] for entry in full["interests_from_tags"]] == ["farming", "music", "media"]
    scalars = {"relation": "posted", "network": "lite", "images": 20, "tags": 3, "overlap": 2}
    assert {name: full[f"interests_{name}"] for name in scalars} == scalars

    why = reasons(found["uncategorised"])
    of_behaviour = {why[name] for name in DECLARED if name.startswith("behaviour_")}
    assert of_behaviour == {"no categorised picture"}
    assert why["median_likes"] == "no post with known likes"
    assert why["user_name"] == why["followers"] == "unknown"
    assert "first_seen_at" not in why
    few = found["uncategorised"]
    assert (few["interests_images"], few["interests_network"], few["interests_relation"]) == (3, "lite", "posted")
    assert why["interests_from_pictures"] == why["interests_overlap"] == "too few pictures that name a domain"
    assert why["interests_from_tags"] == why["interests_tags"] == "no tag"

    why = reasons(found["favourites"])
    assert (found["favourites"]["interests_relation"], found["favourites"]["interests_tags"]) == ("favourite", 0)
    assert why["interests_from_tags"] == "too few tags that name a domain"
    assert {why[f"interests_{name}"] for name in ("from_pictures", "network", "images", "overlap")} == {
        "no picture with a label"
    }
    why = reasons(found["nothing"])
    assert why["interests_relation"] == "no picture with a label and no tag"
    assert why["interests_overlap"] == why["interests_network"] == "no picture with a label"

    assert (found["favourites"]["posts"], found["favourites"]["favourites"], found["favourites"]["images"]) == (0, 1, 0)
    for user in ("favourites", "nothing"):
        why = reasons(found[user])
        assert why["median_likes"] == why["first_seen_at"] == why["last_seen_at"] == "no post, only favourites"


def test_before_the_behaviour_stage_its_columns_say_so(spark: SparkSession) -> None:
    found = made(spark, {"users": [{"user_id": "a", "last_seen_at": WHEN}]}, has_run=False)
    why = reasons(found["a"])
    assert {why[name] for name in DECLARED if name.startswith(("behaviour_", "interests_"))} == {"stage has not run"}


def test_no_selfie_passes_on_its_reason(spark: SparkSession) -> None:
    names = ("selfie_inertia", "selfie_singleness", *TENDENCIES)
    row = measured(
        "a",
        selfie_frequency=0.0,
        selfie_occurrences=0,
        selfie_inertia=None,
        selfie_singleness=None,
        missing=[{"column": name, "reason": "no selfie"} for name in sorted(names)],
    )
    found = made(spark, {"users": [{"user_id": "a"}], "selfie_measures": [row]}, has_run=True)["a"]
    assert found["behaviour_selfie_frequency"] == 0.0
    assert {reasons(found)[f"behaviour_{name}"] for name in names} == {"no selfie"}


def test_users_without_type_or_scores_say_why(spark: SparkSession) -> None:
    data = {
        "users": [{"user_id": "a"}, {"user_id": "b"}],
        "user_features": [
            {"user_id": user, "posts": 1, "occurrences": 1, "other_occurrences": 1, "fit_id": "fit", "missing": []}
            for user in "ab"
        ],
        "user_types": [
            {"user_id": "a", "weights": [0.0, 0.0], "fit_id": "types-1",
             "missing": [{"column": "type", "reason": "nothing in common with any type"}]},
            {"user_id": "b", "missing": [{"column": name, "reason": "too few users or categories for types"}
                                         for name in ("fit_id", "type", "weights")]},
        ],
    }  # fmt: skip
    found = made(spark, data, has_run=True, scored=True)
    why = reasons(found["a"])
    assert why["behaviour_type"] == "nothing in common with any type"
    assert "behaviour_type_weights" not in why
    assert why["behaviour_scores"] == "no model has scored the user"
    why = reasons(found["b"])
    assert why["behaviour_type"] == why["behaviour_type_weights"] == "too few users or categories for types"
    unscored = made(spark, data, has_run=True)
    assert reasons(unscored["a"])["behaviour_scores"] == "stage has not run"
