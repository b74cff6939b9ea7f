"""Runs that follow each other: nothing new, something new, something healed, something that failed midway."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from profilelake.config import Config
from profilelake.errors import ConfigError, TooManyBadRecords
from profilelake.ingest import stage
from profilelake.lake import Lake, WriteResult, open_lake
from tests.conftest import Place
from tests.ingest.crawls import TABLES, WHEN, comparable, ingest, look, picture, post, put, settings

LATER = WHEN + timedelta(days=1)


def lay(crawl: Path) -> None:
    put(crawl, "a.jsonl", [
        post(post_id="1", images=["1.jpg", "2.jpg", "late.jpg"], likes=3, caption="a #Tag"),
        post(post_id="2", user_id="ben", images=["1.jpg"]),
        post(post_id="1", likes=9, crawled_at="2024-02-01T00:00:00Z"),
        post(post_id="3", relation="favourite", user_id="ben", owner_id="ann", images=["2.jpg"]),
        "broken",
    ])  # fmt: skip
    put(crawl, "1.jpg", picture(1))
    put(crawl, "2.jpg", picture(2))


@pytest.mark.slow
def test_runs_that_follow_each_other(spark: SparkSession, empty: Place, tmp_path: Path) -> None:
    crawl = tmp_path / "crawl"
    lay(crawl)
    config = settings(empty, crawl)
    first = ingest(spark, config)
    assert first.report is not None
    assert (first.report.rows_in, first.report.rows_out, first.report.rows_superseded) == (5, 3, 1)
    one = first.posts["jsonl:1"]
    assert (one["likes"], one["source_ref"], one["crawled_at"], one["hashtags"]) == (
        3,
        "crawl/a.jsonl:1",
        WHEN,
        ["tag"],
    )
    assert sorted(
        (row["likes"], row["crawled_at"].month) for row in first.tables["post_counts"] if row["post_id"] == "jsonl:1"
    ) == [(3, 3), (9, 2)]
    assert first.posts["jsonl:3:favourite:jsonl:ben"]["owner_id"] == "jsonl:ann"
    assert first.reasons == {"crawl/a.jsonl:5": "bad_json", "jsonl:1#2": "image_missing"}
    ben = first.by("users", "user_id")["jsonl:ben"]
    assert (ben["posts"], ben["first_seen_at"], ben["source"]) == (1, first.posts["jsonl:2"]["posted_at"], "jsonl")
    assert not (empty.path / "_staging").exists()

    # nothing new
    again = ingest(spark, config)
    assert again.report is not None
    assert again.report.rows_in == 0
    assert again.report.counters["files_unchanged"] == 1
    assert again.versions == first.versions
    assert again.tables == first.tables

    # a picture that arrives later heals its row; another one changes
    put(crawl, "late.jpg", picture(3))
    put(crawl, "2.jpg", picture(4), LATER)
    healed = ingest(spark, config)
    assert healed.reasons == {"crawl/a.jsonl:5": "bad_json"}
    assert healed.shown[("jsonl:1", 2)] == "crawl/late.jpg"
    assert healed.report is not None
    assert (healed.report.rows_in, healed.report.counters["pictures_read"]) == (0, 3)
    contents = {row["image_id"]: row["content"] for row in healed.tables["images"]}
    ids = {(row["post_id"], row["position"]): row["image_id"] for row in healed.tables["post_images"]}
    assert contents[ids[("jsonl:1", 1)]] == contents[ids[("jsonl:3:favourite:jsonl:ben", 0)]] == picture(4)
    assert len(contents) == 4
    assert healed.versions["posts"] == first.versions["posts"]

    # the file changes: its broken line heals, a post is crawled again with other pictures, an older record loses
    lines = (crawl / "a.jsonl").read_text().split("\n")
    lines[4] = json.dumps(post(post_id="4"))
    lines[1] = json.dumps(post(post_id="2", user_id="ben", images=["late.jpg"]))
    put(crawl, "a.jsonl", "\n".join(lines), LATER)
    put(crawl, "b.jsonl", [post(post_id="2", user_id="ben", likes=1, crawled_at="2023-01-01T00:00:00Z"), "also broken"])
    changed = ingest(spark, config)
    assert changed.report is not None
    assert changed.report.rows_superseded == 2
    assert changed.reasons == {"crawl/b.jsonl:2": "bad_json"}
    assert changed.posts["jsonl:2"]["likes"] is None
    assert changed.posts["jsonl:2"]["crawled_at"] == LATER
    assert [key for key in changed.shown.items() if key[0][0] == "jsonl:2"] == [(("jsonl:2", 0), "crawl/late.jpg")]
    assert changed.report.counters["pictures_opened"] == 0
    assert "jsonl:4" in changed.posts
    assert changed.by("post_counts", "post_id", "crawled_at")

    # everything again: the same tables, one attempt more
    forced = ingest(spark, settings(empty, crawl, "crawl.reread=true"))
    assert forced.report is not None
    assert forced.report.counters["pictures_opened"] == 3
    rows = forced.by("quarantine", "record_id")
    assert rows["crawl/b.jsonl:2"]["attempts"] == 2
    assert (
        rows["crawl/b.jsonl:2"]["first_seen_at"]
        == changed.by("quarantine", "record_id")["crawl/b.jsonl:2"]["first_seen_at"]
    )
    assert {t: r for t, r in forced.tables.items() if t != "quarantine"} == {
        t: r for t, r in changed.tables.items() if t != "quarantine"
    }


@pytest.mark.slow
def test_too_many_bad_records_change_nothing_but_quarantine(spark: SparkSession, empty: Place, tmp_path: Path) -> None:
    crawl = tmp_path / "crawl"
    put(crawl, "a.jsonl", [post(), post(post_id="2", images=["no.jpg", "1.jpg"]), "{", "{"])
    put(crawl, "1.jpg", picture(1))
    with pytest.raises(TooManyBadRecords, match=r"2 of 4 records \(50.0%\) are bad.*2 bad_json"):
        stage.run(spark, settings(empty, crawl, "quarantine.max_share=0.4"))
    config = settings(empty, crawl)
    found = look(spark, config)
    assert found.reasons == {"crawl/a.jsonl:3": "bad_json", "crawl/a.jsonl:4": "bad_json"}
    assert [table for table in TABLES if found.tables[table]] == ["quarantine"]
    put(crawl, "a.jsonl", [post(), post(post_id="2", images=["no.jpg", "1.jpg", "1.jpg"])])
    with pytest.raises(TooManyBadRecords, match=r"1 of 3 pictures \(33.3%\) are bad.*1 image_missing"):
        stage.run(spark, settings(empty, crawl, "quarantine.max_share=0.3"))
    found = look(spark, config)
    assert found.reasons == {"jsonl:2#0": "image_missing"}
    assert [table for table in TABLES if found.tables[table]] == ["quarantine"]
    runs = open_lake(spark, config).read("runs").where("stage = 'ingest'")
    assert {row["status"] for row in runs.collect()} == {"rejected"}
    done = ingest(spark, config)
    assert done.by("quarantine", "record_id")["jsonl:2#0"]["attempts"] == 2
    assert set(done.posts) == {"jsonl:1", "jsonl:2"}


@pytest.mark.slow
def test_a_run_that_dies_anywhere_is_made_up_for(
    spark: SparkSession, empty: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crawl = tmp_path / "crawl"
    lay(crawl)
    config = settings(empty, crawl)
    write = Lake.write
    # Pictures first: a later run finds none to write, since their lane goes on when another table's dies.
    for dying in ("images", "post_images", "quarantine"):

        def fail(
            lake: Lake, table: str, rows: DataFrame, scope: DataFrame | None = None, *, at: str = dying, **more: Any
        ) -> WriteResult:
            if table == at:
                raise OSError(f"the power went at {at}")
            return write(lake, table, rows, scope, **more)

        monkeypatch.setattr(Lake, "write", fail)
        with pytest.raises(OSError, match=f"the power went at {dying}"):
            stage.run(spark, config)
        monkeypatch.setattr(Lake, "write", write)
    disturbed = ingest(spark, config)
    empty.put_down()
    undisturbed = ingest(spark, config)
    assert comparable(disturbed) == comparable(undisturbed)


def test_an_empty_crawl_is_a_warning(spark: SparkSession, empty: Place, tmp_path: Path) -> None:
    (tmp_path / "crawl").mkdir()
    found = ingest(spark, settings(empty, tmp_path / "crawl"))
    assert found.report is not None
    assert len(found.report.warnings) == 1
    assert "is empty" in found.report.warnings[0]
    assert not any(found.tables.values())


def test_a_file_with_too_many_posts_is_refused(spark: SparkSession, empty: Place, tmp_path: Path) -> None:
    put(tmp_path / "crawl", "a.jsonl", [post(post_id=n) for n in range(3)])
    config = settings(empty, tmp_path / "crawl", "crawl.max_posts_per_file=2")
    with pytest.raises(ConfigError, match=r"crawl/a\.jsonl holds 3 posts, more than crawl\.max_posts_per_file=2"):
        stage.run(spark, config)
    assert not any(look(spark, config).tables.values())


@pytest.mark.parametrize("given", ["crawl.path=null", "crawl.path=nowhere/at/all", "crawl.path=file:///nowhere/at/all"])
def test_a_missing_crawl_is_said_before_spark_starts(make_config: Any, given: str) -> None:
    config: Config = make_config(given)
    with pytest.raises(ConfigError, match=r"crawl\.path"):
        stage.check(config)


def test_a_crawl_that_is_a_file_is_said_before_spark_starts(make_config: Any, tmp_path: Path) -> None:
    path = put(tmp_path, "a.jsonl", [post()])
    with pytest.raises(ConfigError, match="must be the crawl's folder"):
        stage.check(make_config(f"crawl.path={path}"))


@pytest.mark.slow
def test_another_crawl_of_the_same_name_is_warned_of(spark: SparkSession, empty: Place, tmp_path: Path) -> None:
    put(tmp_path / "one" / "crawl", "a.jsonl", [post(post_id="1")])
    put(tmp_path / "two" / "crawl", "b.jsonl", [post(post_id="2")])
    first = ingest(spark, settings(empty, tmp_path / "one" / "crawl"))
    second = ingest(spark, settings(empty, tmp_path / "two" / "crawl"))
    named = ingest(spark, settings(empty, tmp_path / "two" / "crawl", "crawl.name=second"))
    assert first.report is not None
    assert second.report is not None
    assert named.report is not None
    assert [len(report.warnings) for report in (first.report, second.report, named.report)] == [0, 1, 0]
    assert "give it a crawl.name of its own" in second.report.warnings[0]
