from __future__ import annotations

import logging
import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from jobs import make_study as job
from profilelake import ledger, study
from profilelake.behaviour import stage as behaviour
from profilelake.config import Config
from profilelake.errors import ConfigError
from profilelake.lake import Lake, open_lake
from profilelake.profiles import stage as profiles
from profilelake.tables import TABLES
from tests.lakes import WHEN, day, frame, lay, lay_categories, lay_posts

PICTURES = [f"{n:02x}{'0' * 62}" for n in range(0, 256, 16)]


def crawl(seed: int = 3) -> tuple[list[dict[str, Any]], dict[str, list[str]]]:
    rng = random.Random(seed)
    posts: list[dict[str, Any]] = []
    for n in range(80):
        user = f"u{rng.randrange(8)}"
        posts.append(
            {
                "post_id": f"p{n}",
                "user_id": user,
                "source": "flickr" if user in ("u0", "u1") else "weibo",
                "relation": "favourite" if n % 7 == 0 or user == "u7" else "posted",
                "posted_at": day(rng.randrange(40)) if n else datetime(2024, 1, 10, tzinfo=UTC),
                "likes": n,
            }
        )
    return posts, {post["post_id"]: rng.choices(PICTURES, k=rng.randrange(3)) for post in posts}


def wanted_posts(
    posts: list[dict[str, Any]],
    since: datetime | None,
    until: datetime | None,
    users: set[str] | None,
    sources: set[str],
    min_posts: int,
) -> set[str]:
    met = [
        post
        for post in posts
        if (since is None or post["posted_at"] >= since)
        and (until is None or post["posted_at"] < until)
        and (users is None or post["user_id"] in users)
        and (not sources or post["source"] in sources)
    ]
    posted = [post["user_id"] for post in met if post["relation"] == "posted"]
    return {post["post_id"] for post in met if posted.count(post["user_id"]) >= min_posts}


@pytest.mark.parametrize(
    ("since", "until", "users", "sources", "min_posts"),
    [
        (None, None, None, (), 0),
        ("2024-01-10", "2024-01-25", None, (), 0),
        ("2024-01-10T02:00:00+02:00", None, None, (), 3),
        (None, "2024-01-10", None, ("flickr",), 0),
        (None, None, {"u2", "u3", "u7"}, (), 2),
        ("2024-01-05", "2024-02-05", {"u0", "u1", "u5"}, ("weibo", "flickr"), 5),
    ],
)
def test_kept_posts(
    spark: SparkSession,
    since: str | None,
    until: str | None,
    users: set[str] | None,
    sources: tuple[str, ...],
    min_posts: int,
) -> None:
    posts, _ = crawl()
    first, last = (None if text is None else study.instant(text) for text in (since, until))
    wanted = study.Study(
        "lake", first and first.isoformat(), last and last.isoformat(), tuple(sources), min_posts=min_posts
    )
    asked = None if users is None else spark.createDataFrame([(user,) for user in sorted(users)], "user_id string")
    found = study.kept_posts(frame(spark, "posts", posts), wanted, asked).select("post_id").collect()
    expected = wanted_posts(posts, first, last, users, set(sources), min_posts)
    assert {row["post_id"] for row in found} == expected
    assert len(found) == len(expected)
    assert 0 < len(expected) <= 80


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-05-01", datetime(2024, 5, 1, tzinfo=UTC)),
        ("2024-05-01T12:00:00+02:00", datetime(2024, 5, 1, 10, tzinfo=UTC)),
        ("2024-05-01T12:00:00Z", datetime(2024, 5, 1, 12, tzinfo=UTC)),
    ],
)
def test_instants(text: str, expected: datetime) -> None:
    assert study.instant(text) == expected


def test_every_table_is_copied_or_left_to_the_jobs() -> None:
    """A new table must say what a study does with it."""
    listed = [*study.COPIED, *study.CATEGORIES, *study.LEFT_TO_JOBS]
    assert sorted(listed) == sorted(TABLES)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "--out"),
        (["--out", "x", "--from", "yesterday"], "'yesterday' is neither a date"),
        (["--out", "x", "--from", "2024-05-01T12:00:00"], "is neither a date"),
        (["--out", "x", "--from", "2024-05-02", "--to", "2024-05-02"], "is not before --to 2024-05-02"),
        (["--out", "x", "--min-posts", "-1"], "--min-posts -1"),
        (["--out", " "], "--out is empty"),
    ],
)
def test_wrong_calls_end_before_spark_starts(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "session", None)
    assert job.main(argv) == 2
    assert message in capsys.readouterr().out


def filled(lake: Lake) -> tuple[list[dict[str, Any]], dict[str, list[str]]]:
    posts, pictures = crawl()
    lay_posts(lake, posts, pictures)
    lay(
        lake,
        "users",
        [{"user_id": f"u{n}", "source": "flickr" if n < 2 else "weibo", "user_name": f"n{n}"} for n in range(8)],
        anew=True,
        posts=99,
        first_seen_at=WHEN,
    )
    for table in ("images", "image_embeddings", "image_labels", "image_faces"):
        lay(lake, table, [{"image_id": image} for image in PICTURES])
    lay(lake, "post_counts", [{"post_id": post["post_id"]} for post in posts])
    lay(lake, "cluster_fits", [{}])
    lay(lake, "cluster_sweeps", [{}])
    lay_categories(lake, {image: ("Selfie" if n % 3 == 0 else "Meal") for n, image in enumerate(PICTURES)})
    lay(
        lake,
        "quarantine",
        [{"record_id": f"{post['post_id']}#9", "reason": "image_missing"} for post in posts]
        + [{"record_id": "bad.jsonl:4"}],
    )
    lay(lake, "source_files", [{"path": "crawl/posts.jsonl"}])
    return posts, pictures


def ids(lake: Lake, table: str, column: str) -> set[str]:
    return {row[0] for row in lake.spark.table(lake.name(table)).select(column).collect()}


@pytest.mark.slow
def test_a_study_is_a_lake_of_its_own(
    lake: Lake,
    lake_config: Config,
    make_config: Callable[..., Config],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    spark = lake.spark
    posts, pictures = filled(lake)
    out = str(tmp_path / "study")
    arguments: dict[str, Any] = {"since": "2024-01-05", "until": "2024-01-30", "sources": ("weibo",), "min_posts": 3}
    kept = wanted_posts(posts, study.instant("2024-01-05"), study.instant("2024-01-30"), None, {"weibo"}, 3)
    shown = {image for post in kept for image in pictures[post]}
    users = {post["user_id"] for post in posts if post["post_id"] in kept}
    expected = {
        "posts": len(kept),
        "post_images": sum(len(pictures[post]) for post in kept),
        "images": len(shown),
        "users": len(users),
    }
    assert 1 < len(users) < 6

    # a dry run counts and makes nothing
    assert study.make_study(spark, lake_config, out, **arguments, dry_run=True) == expected
    assert not Path(out).exists()

    # cut off in the middle, while the lake goes on
    with monkeypatch.context() as patch:

        def broken(*_: Any) -> int:
            raise RuntimeError("power cut")

        patch.setattr(study, "_write_in_chunks", broken)
        with pytest.raises(RuntimeError, match="power cut"):
            study.make_study(spark, lake_config, out, **arguments)
    lay(lake, "posts", [{"post_id": "late", "user_id": "u3", "source": "weibo", "posted_at": day(10)}])

    # completed from the same versions
    monkeypatch.setattr(study, "_CHUNK_BYTES", 20)  # so that the pictures take several commits
    counts = study.make_study(spark, lake_config, out, **arguments)
    assert {name: counts[name] for name in expected} == expected
    assert counts["post_counts"] == counts["quarantine"] == len(kept)
    assert counts["image_embeddings"] == counts["image_labels"] == counts["image_faces"] == len(shown)
    assert counts["image_clusters"] == len(shown)
    assert (counts["source_files"], counts["cluster_fits"], counts["cluster_centroids"]) == (1, 1, 2)

    study_config = make_config(f"lake.path={out}", "lake.schema=a_study")
    made = open_lake(spark, study_config)
    assert ids(made, "posts", "post_id") == kept
    assert ids(made, "images", "image_id") == shown
    assert spark.table(made.name("images")).count() == len(shown)
    found = {row["user_id"]: row.asDict() for row in spark.table(made.name("users")).collect()}
    assert set(found) == users
    for user, row in found.items():
        his = [post for post in posts if post["post_id"] in kept and post["user_id"] == user]
        assert row["posts"] == sum(post["relation"] == "posted" for post in his)
        assert row["user_name"] == f"n{user[1]}"
    seen = spark.sql(f"SELECT min(first_seen_at) = (SELECT min(posted_at) FROM {made.name('posts')} WHERE relation = "
                     f"'posted') AS same FROM {made.name('users')}").collect()  # fmt: skip
    assert seen[0]["same"]

    # made again it is no work, and says that the lake has moved on
    versions = made.versions(TABLES)
    with caplog.at_level(logging.WARNING, "profilelake.study"):
        assert study.make_study(spark, lake_config, out, **arguments) == counts
    assert "has changed since the study was made" in caplog.text
    assert made.versions(TABLES) == versions

    # jobs run on it
    with ledger.run(spark, study_config, "test"):
        assert behaviour.run(spark, study_config).status == "done"
        assert profiles.run(spark, study_config).rows_out == len(users)
    assert ids(made, "user_categories", "user_id") <= users

    # other arguments, the lake itself and another lake are refused
    with pytest.raises(ConfigError, match=r"holds another study .*min_posts 3, not 4"):
        study.make_study(spark, lake_config, out, **{**arguments, "min_posts": 4})
    with pytest.raises(ConfigError, match="is the lake that the study is drawn from"):
        study.make_study(spark, lake_config, str(lake.path) + "/", **arguments)
    with pytest.raises(ConfigError, match="is a lake that is no study"):
        study.make_study(spark, study_config, str(lake.path), **arguments)


@pytest.mark.slow
def test_users_can_be_named_and_are_checked(
    lake: Lake, lake_config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spark = lake.spark
    posts, _ = filled(lake)
    listed = tmp_path / "users.txt"
    listed.write_text("\ufeffu3\r\nu4\n\nu3\n", encoding="utf-8")
    out = tmp_path / "study"
    call = [f"lake.path={lake_config.lake.path}", "--out", str(out)]
    assert job.main([*call, "--users", str(listed), "--refit"]) == 0
    assert '"status": "done"' in capsys.readouterr().out.splitlines()[-1]
    made = open_lake(spark, study._config_of(lake_config, str(out)))
    assert ids(made, "posts", "post_id") == {post["post_id"] for post in posts if post["user_id"] in ("u3", "u4")}
    assert ids(made, "cluster_fits", "fit_id") == ids(made, "image_clusters", "fit_id") == set()

    with pytest.raises(ConfigError, match=r"the lake knows no users nobody, nothing \(2 of 3 asked for\)"):
        study.make_study(spark, lake_config, str(tmp_path / "other"), users=["u3", "nobody", "nothing"])
    with pytest.raises(ConfigError, match="no post is of tumblr; the lake's sources are flickr, weibo"):
        study.make_study(spark, lake_config, str(tmp_path / "other"), sources=["tumblr", "weibo"])
    with pytest.raises(ConfigError, match="no post meets all conditions"):
        study.make_study(spark, lake_config, str(tmp_path / "other"), since="2030-01-01")
    with pytest.raises(ConfigError, match="cannot be read"):
        study.make_study(spark, lake_config, str(tmp_path / "other"), users=str(tmp_path / "no.txt"))
    with pytest.raises(ConfigError, match="the list of users is empty"):
        study.make_study(spark, lake_config, str(tmp_path / "other"), users=["  "])
    assert not (tmp_path / "other").exists()


def test_without_a_lake_there_is_no_study(
    spark: SparkSession, make_config: Callable[..., Config], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="there is no lake at"):
        study.make_study(spark, make_config(), str(tmp_path / "study"))
