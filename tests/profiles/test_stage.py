from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from profilelake import ledger
from profilelake.behaviour import stage as behaviour
from profilelake.config import Config
from profilelake.lake import Lake
from profilelake.profiles import stage as profiles
from tests.conftest import contents, versions
from tests.lakes import day, lay, lay_categories, lay_posts


@pytest.fixture
def held(lake: Lake, lake_config: Config) -> Iterator[Lake]:
    """A lake that one run holds, so that the calls of a test don't each take it and leave it."""
    with ledger.run(lake.spark, lake_config, "test"):
        yield lake


@pytest.mark.slow
def test_profiles_and_views_follow_the_lake(held: Lake, lake_config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = held
    spark = lake.spark
    posts: list[dict[str, Any]] = [
        {"post_id": "p1", "user_id": "a", "owner_id": "a", "posted_at": day(1), "likes": 4, "n_images": 4},
        {"post_id": "p2", "user_id": "a", "owner_id": "a", "posted_at": day(2), "likes": 6, "n_images": 1},
        {"post_id": "p3", "user_id": "b", "owner_id": "b", "posted_at": day(3)},
        {"post_id": "p1:favourite:c", "user_id": "c", "owner_id": "a", "relation": "favourite", "posted_at": day(1)},
    ]
    lay_posts(lake, posts, {"p1": ["s", "m", "m", "x"], "p2": ["m"], "p1:favourite:c": ["s"]})
    lay(lake, "users", [{"user_id": "a", "user_name": "Ada"}, {"user_id": "b"}, {"user_id": "c"}], anew=True)
    lay_categories(lake, {"s": "Selfie", "m": "Meal"})
    lay_categories(lake, {"s": "Outdoor Selfie"}, purpose="selfie", fit_id="fit-s")

    # before the behaviour stage
    assert profiles.pending(lake, lake_config) == {"users": 3}
    report = profiles.run(spark, lake_config)
    assert (report.status, report.rows_in, report.rows_out) == ("done", 3, 3)
    early = spark.table(lake.name("user_profiles")).where("user_id = 'b'").collect()[0]
    assert {m["reason"] for m in early["missing"] if m["column"] == "behaviour_categories"} == {"stage has not run"}

    behaviour.run(spark, lake_config)
    assert profiles.pending(lake, lake_config) == {"users": 3}
    profiles.run(spark, lake_config)
    rows = {row["user_id"]: row for row in spark.table(lake.name("user_profiles")).collect()}
    assert rows["a"]["behaviour_top_category"] == "Meal"
    assert {m["reason"] for m in rows["b"]["missing"] if m["column"] == "behaviour_categories"} == {
        "no categorised picture"
    }

    # a rerun neither merges nor writes
    def broken(*_: Any, **__: Any) -> DataFrame:
        raise RuntimeError("nothing changed, so nothing needs merging")

    before = versions(lake)
    with monkeypatch.context() as patch:
        patch.setattr(profiles.merge, "profiles", broken)
        report = profiles.run(spark, lake_config)
    assert (report.rows_in, report.rows_out) == (3, 3)
    assert versions(lake) == before

    # the views
    user = spark.table(lake.name("v_user_360")).where("user_id = 'a'").collect()[0].asDict()
    assert user["behaviour_mix"] == "Meal 67 %, Selfie 33 %"
    assert (user["user_name"], user["posts"], user["images"], user["median_likes"]) == ("Ada", 2, 5, 5.0)
    assert user["interests_from_tags"] is None
    assert "personality_openness: stage has not run" in user["missing"]
    kinds = {field.dataType.typeName() for field in spark.table(lake.name("v_user_360")).schema}
    assert not kinds & {"array", "struct", "map"}
    assert spark.table(lake.name("v_user_360")).count() == 3

    seen = {row["post_id"]: row.asDict(recursive=True) for row in spark.table(lake.name("v_post_360")).collect()}
    assert set(seen) == {post["post_id"] for post in posts}
    assert seen["p1"]["images"] == [
        {"position": 0, "image_id": "s", "category": "Selfie", "sub_category": "Outdoor Selfie"},
        {"position": 1, "image_id": "m", "category": "Meal", "sub_category": None},
        {"position": 2, "image_id": "m", "category": "Meal", "sub_category": None},
        {"position": 3, "image_id": "x", "category": None, "sub_category": None},
    ]
    assert seen["p1"]["categories"] == ["Meal", "Selfie"]
    assert (seen["p1"]["user_name"], seen["p1"]["likes"], seen["p1"]["n_images"]) == ("Ada", 4, 4)
    assert (seen["p3"]["images"], seen["p3"]["categories"]) == ([], [])
    assert (seen["p1:favourite:c"]["user_name"], seen["p1:favourite:c"]["owner_name"]) == (None, "Ada")

    # a changed user is one changed row; a user who is gone leaves no ghost
    others = [line for line in contents(lake, "user_profiles") if '"user_id":"a"' not in line]
    lay(lake, "users", [{"user_id": "a", "user_name": "Ada L."}, {"user_id": "b"}], anew=True)
    report = profiles.run(spark, lake_config)
    assert report.counters == {"rows_changed": 2}
    assert (report.rows_in, report.rows_out) == (2, 2)
    left = contents(lake, "user_profiles")
    assert [line for line in left if '"user_id":"b"' in line] == [line for line in others if '"user_id":"b"' in line]
    assert not [line for line in left if '"user_id":"c"' in line]


def test_a_lake_without_users_has_no_profiles(held: Lake, lake_config: Config) -> None:
    report = profiles.run(held.spark, lake_config)
    assert (report.status, report.rows_in, report.rows_out) == ("done", 0, 0)


def test_pending_of_a_lake_that_is_not_there(spark: SparkSession, make_config: Callable[..., Config]) -> None:
    assert profiles.pending(Lake(spark, "no_such_schema", None), make_config()) == {"users": 0}
