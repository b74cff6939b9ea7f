from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from profilelake import ledger
from profilelake.behaviour import stage as behaviour
from profilelake.config import Config
from profilelake.errors import ConfigError
from profilelake.lake import Lake
from profilelake.ledger import Run, StageReport
from tests.conftest import contents, versions
from tests.lakes import lay, lay_categories, lay_posts

OUTPUTS = behaviour.OUTPUTS
KINDS = ("group_tendency", "multi_face_occurrences", "outdoor_tendency", "selfie_fit_id")
OF_USERS = [name for name in OUTPUTS if name != "user_type_fits"]


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


@pytest.fixture
def typed(lake: Lake, lake_config: Config) -> Iterator[Run]:
    """A run that holds a lake of four users with as many tastes, two of them alike."""
    shown = {
        "a": [["m", "m"], ["m"], ["s", "p"]],
        "b": [["m"], ["m"], ["m", "s"]],
        "c": [["p"], ["p", "f"], ["s2"]],
        "d": [["s"], ["s2"]],
    }
    posts = {f"{user}{n}": images for user, his in shown.items() for n, images in enumerate(his)}
    lay_posts(lake, [{"post_id": post, "user_id": post[0]} for post in posts], posts)
    lay_categories(lake, {"s": "Selfie", "s2": "Selfie", "m": "Meal", "p": "Pet", "f": "Flower"})
    with ledger.run(lake.spark, lake_config, "test") as run:
        yield run


def broken(*_: Any) -> DataFrame:
    raise RuntimeError("power cut")


@pytest.mark.slow
def test_fills_the_tables_once_and_follows_its_inputs(
    filled: Lake, lake_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    spark = filled.spark
    # dies before a table; the next run completes it
    with monkeypatch.context() as patch:
        patch.setattr(behaviour.features, "user_features", broken)
        with pytest.raises(RuntimeError, match="power cut"):
            behaviour.run(spark, lake_config)
    assert contents(filled, "user_features") == []
    report = behaviour.run(spark, lake_config)
    assert (report.status, report.rows_in, report.rows_out) == ("done", 2, 2)
    said = "no types of users: 5 types are asked for, but there are only 1 categories beside selfies"
    assert list(report.warnings) == [said]
    assert table(filled, "user_categories", "user_id", "category", "images", "occurrences", "frequency") == [
        ("a", "Meal", 3, 2, 2 / 3),
        ("a", "Selfie", 1, 1, 1 / 3),
        ("b", "Selfie", 1, 1, 1.0),
    ]
    features = table(filled, "user_features", "user_id", "posts", "other_inertia", "other_singleness", "fit_id")
    assert features == [("a", 2, 1.5, 1.0, "fit-1"), ("b", 1, None, None, "fit-1")]
    # there are no kinds and no faces
    measures = table(filled, "selfie_measures", "user_id", "selfie_frequency", "selfie_occurrences", *KINDS)
    assert measures == [("a", 1 / 3, 1, *[None] * 4), ("b", 1.0, 1, *[None] * 4)]
    assert table(filled, "user_types", "user_id", "type", "fit_id") == [("a", None, None), ("b", None, None)]
    row = spark.table(filled.name("runs")).where("stage = 'behaviour' AND status = 'done'").collect()[0]
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

    # an input has a new version that says the same, and somebody changed an output: that is mended, no more is written
    lay(filled, "posts", [{"post_id": "p9", "user_id": "z"}])
    good = contents(filled, "user_features")
    before = versions(filled)
    spark.sql(f"UPDATE {filled.name('user_features')} SET posts = 99")
    assert behaviour.pending(filled, lake_config) == {"users": 2}
    assert behaviour.run(spark, lake_config).counters == {"rows_changed": 2}
    assert contents(filled, "user_features") == good
    assert versions(filled) == {**before, "user_features": before["user_features"] + 2}

    # a category is renamed, and b's only picture has none any more; a failed run in between is never taken for a done
    # one
    lay_categories(filled, {"s": "Selfie", "m": "Lunch"}, anew=True)
    pictures = [("p1", 0, "s"), ("p1", 1, "m"), ("p3", 0, "x")]
    rows = [{"post_id": post, "position": place, "image_id": image} for post, place, image in pictures]
    lay(filled, "post_images", rows, anew=True)
    with monkeypatch.context() as patch:
        patch.setattr(behaviour.features, "occurrences", broken)
        with pytest.raises(RuntimeError, match="power cut"):
            behaviour.run(spark, lake_config)
    behaviour.run(spark, lake_config)
    assert {row[0] for row in table(filled, "user_categories", "category")} == {"Selfie", "Lunch"}
    for name in OF_USERS:
        assert {row[0] for row in table(filled, name, "user_id")} == {"a"}, name

    # no picture has one
    spark.sql(f"DELETE FROM {filled.name('image_clusters')}")
    for _ in range(2):
        report = behaviour.run(spark, lake_config)
        assert (report.status, report.rows_in, report.rows_out) == ("done", 0, 0)
        assert all(contents(filled, name) == [] for name in OUTPUTS)


@pytest.mark.slow
def test_kinds_types_and_attributes_follow_the_lake(
    typed: Run, make_config: Callable[..., Config], tmp_path: Path
) -> None:
    lake, listed = typed.lake, tmp_path / "attributes.yaml"
    listed.write_text("attributes:\n  Food: [Meal, Snack]\n  Animals: [Pet]\n  Money: [Wallet & Accessory]\n")

    def configured(*arguments: str) -> Config:
        # stages take the configuration of the run that they belong to
        typed.config = make_config(f"lake.path={lake.path}", f"behaviour.attributes={listed}", *arguments)
        return typed.config

    def run(*arguments: str) -> StageReport:
        return behaviour.run(lake.spark, configured(*arguments))

    lay_categories(lake, {"s": "Outdoor Selfie", "s2": "Indoor Ordinary Selfie"}, purpose="selfie", fit_id="fit-s")
    lay(lake, "image_faces", [{"image_id": image, "faces": faces} for image, faces in (("s", 2), ("m", 5))])
    assert not run("behaviour.types=2").warnings
    fit = ("type", "name", "users", "sample_users", "current", "category_fit_id")
    fits = table(lake, "user_type_fits", *fit, "fit_id", "loadings")
    assert [row[:6] for row in fits] == [(1, "1: Food", 2, 3, True, "fit-1"), (2, "2: Animals", 1, 3, True, "fit-1")]
    first = fits[0][6]
    of = {row[0]: row[1:] for row in table(lake, "user_types", "user_id", "type", "fit_id")}
    assert of == {"a": (1, first), "b": (1, first), "c": (2, first), "d": (None, first)}
    assert table(lake, "user_attributes", "user_id", "attribute", "value", "occurrences")[:6] == [
        ("a", "Animals", 1 / 3, 1), ("a", "Food", 2 / 3, 2), ("a", "Money", None, 0),
        ("b", "Animals", 0.0, 0), ("b", "Food", 1.0, 3), ("b", "Money", None, 0),
    ]  # fmt: skip
    assert table(lake, "selfie_measures", "user_id", *KINDS) == [
        ("a", 1.0, 1, 1.0, "fit-s"), ("b", 1.0, 1, 1.0, "fit-s"), ("c", None, 0, 0.0, "fit-s"),
        ("d", 1.0, 1, 0.5, "fit-s"),
    ]  # fmt: skip

    # nothing new: nothing is written
    before = versions(lake)
    assert run("behaviour.types=2").counters == {}
    assert versions(lake) == before

    # another list of attributes and another post are something new, but types that were found stay
    listed.write_text("attributes:\n  Animals: [Pet]\n  Garden: [Flower, Snack]\n")
    lay_posts(lake, [{"post_id": "d9", "user_id": "d"}], {"d9": ["p"]})
    run("behaviour.types=2")
    assert {row[0] for row in table(lake, "user_attributes", "attribute")} == {"Animals", "Garden"}
    now = table(lake, "user_type_fits", *fit, "fit_id", "loadings")
    assert [row[1] for row in now] == ["1", "2: Animals"]
    assert [row[2:] for row in now] == [row[2:] for row in fits]
    assert ("d", 2) in table(lake, "user_types", "user_id", "type")
    listed.write_text("attributes:\n  Animals: [Pets]\n")
    with pytest.raises(ConfigError, match=r"line 2: Animals names the category 'Pets', .*; did you mean 'Pet'\?"):
        run("behaviour.types=2")

    # a name that people gave is as good as a listed one, and types of the old categories are current no more
    lay_categories(lake, {"s": "Selfie", "s2": "Selfie", "m": "Meal", "p": "Pets", "f": "Flower"}, anew=True)
    run("behaviour.types=2")
    now = table(lake, "user_type_fits", "current", "type", "fit_id", "sample_users")
    assert [row[:2] for row in now] == [(False, 1), (False, 2), (True, 1), (True, 2)]
    assert {row[0] for row in table(lake, "user_types", "fit_id")} == {now[-1][2]} != {first}
    assert now[-1][3] == 4
    # asked for again, the same users make the same types
    before = versions(lake)
    assert run("behaviour.types=2", "behaviour.refit_types=true").counters == {"rows_changed": 0}
    assert versions(lake) == before


def test_nothing_categorised_is_skipped_with_a_reason(lake: Lake, lake_config: Config) -> None:
    report = behaviour.run(lake.spark, lake_config)
    assert (report.status, report.reason) == ("skipped", "no picture has a category yet")


def test_pending_of_a_lake_that_is_not_there(spark: SparkSession, make_config: Callable[..., Config]) -> None:
    assert behaviour.pending(Lake(spark, "no_such_schema", None), make_config()) == {"users": 0}


def test_one_user_with_most_posts_brings_only_a_sample_to_the_driver(
    lake: Lake, make_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    many = 100_000
    small = make_config(f"lake.path={lake.path}", "behaviour.types=2", "behaviour.type_sample=50")
    numbers = lake.spark.range(many)
    numbers.selectExpr(
        "concat('p', id) AS post_id", "'test' AS source", "'posted' AS relation", "'r' AS run_id",
        "IF(id % 1000 = 0, concat('u', id), 'big') AS user_id", "TIMESTAMP'2024-01-01' AS posted_at",
        "CAST(array() AS array<string>) AS hashtags", "1 AS n_images", "TIMESTAMP'2024-01-01' AS crawled_at",
        "TIMESTAMP'2024-01-01' AS last_seen_at", "'x:1' AS source_ref",
    ).write.format("delta").mode("append").saveAsTable(lake.name("posts"))  # fmt: skip
    numbers.selectExpr(
        "concat('p', id) AS post_id", "0 AS position", "'x' AS source_ref", "'r' AS run_id",
        "CASE WHEN id % 4 = 1 THEN 's' WHEN id % 3000 = 0 THEN 'p' ELSE 'm' END AS image_id",
    ).write.format("delta").mode("append").saveAsTable(lake.name("post_images"))  # fmt: skip
    lay_categories(lake, {"s": "Selfie", "m": "Meal", "p": "Pet"})
    brought: list[int] = []
    frame_class = type(numbers)
    collect, to_pandas = frame_class.collect, frame_class.toPandas

    def counted(frame: DataFrame) -> list[Any]:
        rows = collect(frame)
        brought.append(len(rows))
        return rows

    def sampled(frame: DataFrame) -> Any:
        found = to_pandas(frame)
        brought.append(len(found))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(frame_class, "collect", counted)
        patch.setattr(frame_class, "toPandas", sampled)
        patch.setattr(frame_class, "toLocalIterator", None)
        behaviour.run(lake.spark, small)
    assert brought
    assert max(brought) <= 100
    big = lake.spark.table(lake.name("user_categories")).where("user_id = 'big'").orderBy("category").collect()
    assert [(row["category"], row["occurrences"]) for row in big] == [("Meal", 74_900), ("Selfie", 25_000)]
