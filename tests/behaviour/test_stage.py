from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from profilelake import ledger
from profilelake.behaviour import stage as behaviour
from profilelake.config import Config
from profilelake.lake import Lake
from tests.conftest import contents, versions
from tests.lakes import lay, lay_categories, lay_posts

OUTPUTS = behaviour.OUTPUTS


@pytest.fixture
def filled(lake: Lake, lake_config: Config) -> Iterator[Lake]:
    """A lake with posts, held by one run, so that the calls of a test don't each take it and leave it."""
    posts = [
        {"post_id": "p1", "user_id": "a"},
        {"post_id": "p2", "user_id": "a"},
        {"post_id": "p3", "user_id": "b"},
        {"post_id": "p4", "user_id": "c", "relation": "favourite"},
        {"post_id": "p5", "user_id": "d"},
    ]
    lay_posts(lake, posts, {"p1": ["s", "m"], "p2": ["m", "m"], "p3": ["s"], "p4": ["m"], "p5": ["x"]})
    lay_categories(lake, {"s": "Selfie", "m": "Meal"})
    with ledger.run(lake.spark, lake_config, "test"):
        yield lake


def table(lake: Lake, name: str, *columns: str) -> list[tuple[Any, ...]]:
    return sorted(tuple(row) for row in lake.spark.table(lake.name(name)).select(*columns).collect())


def broken(*_: Any) -> DataFrame:
    raise RuntimeError("power cut")


@pytest.mark.slow
def test_fills_the_tables_once_and_follows_its_inputs(
    filled: Lake, lake_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    spark = filled.spark
    report = behaviour.run(spark, lake_config)
    assert (report.status, report.rows_in, report.rows_out) == ("done", 2, 2)
    assert table(filled, "user_categories", "user_id", "category", "images", "occurrences", "frequency") == [
        ("a", "Meal", 3, 2, 2 / 3),
        ("a", "Selfie", 1, 1, 1 / 3),
        ("b", "Selfie", 1, 1, 1.0),
    ]
    features = table(filled, "user_features", "user_id", "posts", "other_inertia", "other_singleness", "fit_id")
    assert features == [("a", 2, 1.5, 1.0, "fit-1"), ("b", 1, None, None, "fit-1")]
    measures = table(filled, "selfie_measures", "user_id", "selfie_frequency", "selfie_occurrences")
    assert measures == [("a", 1 / 3, 1), ("b", 1.0, 1)]
    row = spark.table(filled.name("runs")).where("stage = 'behaviour'").collect()[0]
    inputs = {entry["table"]: entry["version"] for entry in row["inputs"]}
    assert inputs == filled.versions((*behaviour.INPUTS, *OUTPUTS))

    # nothing new: nothing is measured, nothing written
    before = versions(filled)
    assert behaviour.pending(filled, lake_config) == {"users": 0}
    with monkeypatch.context() as patch:
        patch.setattr(behaviour.features, "occurrences", broken)
        again = behaviour.run(spark, lake_config)
    assert (again.rows_in, again.rows_out) == (2, 2)
    assert versions(filled) == before
    # but another version of the code measures again
    with monkeypatch.context() as patch:
        patch.setattr("profilelake.freshness.__version__", "999.0")
        assert behaviour.pending(filled, lake_config) == {"users": 2}

    # an input has a new version that says the same: all is measured, nothing written
    lay(filled, "posts", [{"post_id": "p9", "user_id": "z"}])
    before = versions(filled)
    assert behaviour.pending(filled, lake_config) == {"users": 2}
    assert behaviour.run(spark, lake_config).counters == {"rows_changed": 0}
    assert versions(filled) == before

    # an output that somebody changed is mended
    good = contents(filled, "user_features")
    spark.sql(f"UPDATE {filled.name('user_features')} SET posts = 99")
    behaviour.run(spark, lake_config)
    assert contents(filled, "user_features") == good


@pytest.mark.slow
def test_leaves_no_ghosts_and_survives_failures(
    filled: Lake, lake_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    spark = filled.spark
    # dies between two tables; the next run completes them
    with monkeypatch.context() as patch:
        patch.setattr(behaviour.features, "user_features", broken)
        with pytest.raises(RuntimeError, match="power cut"):
            behaviour.run(spark, lake_config)
    assert contents(filled, "user_features") == []
    behaviour.run(spark, lake_config)
    assert {row[0] for row in table(filled, "user_features", "user_id")} == {"a", "b"}

    # a category is renamed; a failed run in between is never taken for a done one
    lay_categories(filled, {"s": "Selfie", "m": "Lunch"}, anew=True)
    with monkeypatch.context() as patch:
        patch.setattr(behaviour.features, "occurrences", broken)
        with pytest.raises(RuntimeError, match="power cut"):
            behaviour.run(spark, lake_config)
    behaviour.run(spark, lake_config)
    assert {row[0] for row in table(filled, "user_categories", "category")} == {"Selfie", "Lunch"}

    # b's only picture has no category any more
    pictures = [("p1", 0, "s"), ("p1", 1, "m"), ("p3", 0, "x")]
    lay(
        filled,
        "post_images",
        [{"post_id": post, "position": place, "image_id": image} for post, place, image in pictures],
        anew=True,
    )
    behaviour.run(spark, lake_config)
    for name in OUTPUTS:
        assert {row[0] for row in table(filled, name, "user_id")} == {"a"}, name

    # no picture has one
    spark.sql(f"DELETE FROM {filled.name('image_clusters')}")
    report = behaviour.run(spark, lake_config)
    assert (report.status, report.rows_in, report.rows_out) == ("done", 0, 0)
    assert all(contents(filled, name) == [] for name in OUTPUTS)
    report = behaviour.run(spark, lake_config)
    assert (report.status, report.rows_in, report.rows_out) == ("done", 0, 0)


def test_nothing_categorised_is_skipped_with_a_reason(lake: Lake, lake_config: Config) -> None:
    report = behaviour.run(lake.spark, lake_config)
    assert (report.status, report.reason) == ("skipped", "no picture has a category yet")


def test_pending_of_a_lake_that_is_not_there(spark: SparkSession, make_config: Callable[..., Config]) -> None:
    assert behaviour.pending(Lake(spark, "no_such_schema", None), make_config()) == {"users": 0}


def test_one_user_with_most_posts_brings_nothing_to_the_driver(
    lake: Lake, lake_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = 100_000
    numbers = lake.spark.range(many)
    numbers.selectExpr(
        "concat('p', id) AS post_id", "'test' AS source", "'posted' AS relation", "'r' AS run_id",
        "IF(id % 1000 = 0, concat('u', id), 'big') AS user_id", "TIMESTAMP'2024-01-01' AS posted_at",
        "CAST(array() AS array<string>) AS hashtags", "1 AS n_images", "TIMESTAMP'2024-01-01' AS crawled_at",
        "TIMESTAMP'2024-01-01' AS last_seen_at", "'x:1' AS source_ref",
    ).write.format("delta").mode("append").saveAsTable(lake.name("posts"))  # fmt: skip
    numbers.selectExpr(
        "concat('p', id) AS post_id", "0 AS position", "IF(id % 4 = 1, 's', 'm') AS image_id", "'x' AS source_ref",
        "'r' AS run_id",
    ).write.format("delta").mode("append").saveAsTable(lake.name("post_images"))  # fmt: skip
    lay_categories(lake, {"s": "Selfie", "m": "Meal"})
    brought: list[int] = []
    frame_class = type(numbers)
    collect = frame_class.collect

    def counted(frame: DataFrame) -> list[Any]:
        rows = collect(frame)
        brought.append(len(rows))
        return rows

    with monkeypatch.context() as patch:
        patch.setattr(frame_class, "collect", counted)
        patch.setattr(frame_class, "toPandas", None)
        patch.setattr(frame_class, "toLocalIterator", None)
        behaviour.run(lake.spark, lake_config)
    assert brought
    assert max(brought) <= 100
    big = lake.spark.table(lake.name("user_categories")).where("user_id = 'big'").orderBy("category").collect()
    assert [(row["category"], row["occurrences"]) for row in big] == [("Meal", 74_900), ("Selfie", 25_000)]
