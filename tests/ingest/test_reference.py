"""Random crawls, read in two runs, against a reference in plain Python: every row of every table."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from profilelake.config import PSEUDONYM_KEY
from tests.conftest import Place
from tests.ingest.crawls import WHEN, Outcome, ingest, picture, put, settings
from tests.ingest.reference import Expected, Line

KEY = "a key of enough bytes, no secret"
PATHS = [*(f"pictures/{n}.{'png' if n % 3 == 0 else 'jpg'}" for n in range(9)), "text.jpg", "gone.jpg", None]
FAULTS: dict[str, list[Any]] = {
    "bad_json": ["{", "[1]", '{"post_id": NaN}', '"text"'],
    "missing_field": [{"post_id": None}, {"user_id": "  "}, {"posted_at": None}],
    "bad_timestamp": [{"posted_at": "2024-01-01T00:00:00"}, {"posted_at": -1}, {"crawled_at": "yesterday"}],
    "bad_value": [{"likes": "many"}, {"relation": "shared"}, {"post_id": [1]}, {"images": "1.jpg"}],
}


def lay_pictures(crawl: Path) -> None:
    for number in range(9):
        # two files with the same bytes are one picture
        kind, which = ("PNG", number) if number % 3 == 0 else ("JPEG", max(number, 2))
        put(crawl, f"pictures/{number}.{'png' if number % 3 == 0 else 'jpg'}", picture(which, kind, (20 + which, 16)))
    put(crawl, "text.jpg", "text and no picture")


def record(rng: random.Random) -> dict[str, Any]:
    """A valid record; posts and users come again."""
    moment = WHEN - timedelta(days=rng.randrange(30), seconds=rng.randrange(86_400))
    given: dict[str, Any] = {
        "post_id": rng.choice([str(rng.randrange(24)), rng.randrange(24)]),
        "user_id": rng.choice(["ann", "ben", "@carl", 12, "12", "dora"]),
        "posted_at": rng.choice([
            int(moment.timestamp()),
            moment.strftime("%Y-%m-%dT%H:%M:%S.125+02:00"),
            moment.strftime("%Y-%m-%d %H:%M:%SZ"),
        ]),
        "relation": rng.choice([None, "posted", "posted", "favourite"]),
        "owner_id": rng.choice([None, None, "ann", 7]),
        "caption": rng.choice([None, "", "Plain\u2028words", "A #Day by the #sea, #DAY", "#Ünder_score1 \U0001f31e"]),
        "hashtags": rng.choice([None, [], ["#Sea", " two words "]]),
        "tags": rng.choice([None, [], ["Tag one", "b"]]),
        "board": rng.choice([None, "Stuff"]),
        "likes": rng.choice([None, -1, 0, 12, "13", 14.0]),
        "comments": rng.choice([None, 2, "3"]),
        "crawled_at": rng.choice([None, int(WHEN.timestamp()) + rng.randrange(4), "2024-03-01T13:00:00+01:00"]),
        "images": rng.choice([None, rng.choices(PATHS, k=rng.randrange(5))]),
    }  # fmt: skip
    return {key: value for key, value in given.items() if value is not None or rng.random() < 0.3}


def lines_of(rng: random.Random, n: int) -> list[tuple[str, dict[str, Any], str | None]]:
    """(text of the line, record, reason for which it is refused); blank lines too."""
    made: list[tuple[str, dict[str, Any], str | None]] = []
    for _ in range(n):
        given = record(rng)
        if rng.random() < 0.1:
            made.append(("  ", {}, None))
        if rng.random() < 0.15:
            reason = rng.choice(sorted(FAULTS))
            fault = rng.choice(FAULTS[reason])
            text = fault if isinstance(fault, str) else json.dumps({**given, **fault})
            made.append((text, {}, reason))
        else:
            made.append((json.dumps(given, ensure_ascii=rng.random() < 0.5), given, None))
    return made


def lay_file(crawl: Path, name: str, at: datetime, rng: random.Random, n: int) -> list[Line]:
    """A jsonl file, and its lines as the reference takes them."""
    made = lines_of(rng, n)
    text = "\n".join(line for line, _, _ in made).encode() + rng.choice([b"", b"\n"])
    put(crawl, name, gzip.compress(text) if name.endswith(".gz") else text, at)
    return [
        Line(f"crawl/{name}", number, at, given, fault)
        for number, (text, given, fault) in enumerate(made, 1)
        if text.strip()
    ]


def agrees(found: Outcome, expected: Expected) -> None:
    """Every row, column by column."""

    def without(rows: Sequence[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
        return [{key: value for key, value in row.items() if key not in names} for row in rows]

    assert {row["post_id"]: row for row in found.tables["posts"]} == expected.posts
    assert found.by("users", "user_id") == expected.users
    assert {
        (row["post_id"], row["position"]): {"image_id": row["image_id"], "source_ref": row["source_ref"]}
        for row in found.tables["post_images"]
    } == expected.shown
    assert {row["image_id"]: row for row in without(found.tables["images"], "added_at")} == expected.images
    assert {
        (row["post_id"], row["crawled_at"]): (row["likes"], row["comments"]) for row in found.tables["post_counts"]
    } == expected.counts
    refused = found.by("quarantine", "record_id")
    assert {key: row["reason"] for key, row in refused.items()} == {
        key: row["reason"] for key, row in expected.quarantine.items()
    }
    for key, row in refused.items():
        if "#" in key:
            assert row["user_id"] == expected.quarantine[key]["user_id"]


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "pseudonymise"), [(1, True), (2, False)])
def test_a_random_crawl_in_lines(
    spark: SparkSession, empty: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, pseudonymise: bool
) -> None:
    rng = random.Random(seed)
    crawl = tmp_path / "crawl"
    lay_pictures(crawl)
    expected = Expected("jsonl", crawl, "crawl", KEY.encode() if pseudonymise else None)
    monkeypatch.setenv(PSEUDONYM_KEY, KEY)
    config = settings(empty, crawl, f"crawl.pseudonymise={str(pseudonymise).lower()}")

    new = lay_file(crawl, "a.jsonl", WHEN, rng, 30) + lay_file(crawl, "sub/b.jsonl.gz", WHEN, rng, 30)
    expected.run(new)
    first = ingest(spark, config)
    agrees(first, expected)
    assert first.report is not None
    faults = sum(line.fault is not None for line in new)
    assert (first.report.rows_in, first.report.rows_quarantined) == (len(new), faults)
    assert first.report.rows_out == len(expected.posts)
    assert first.report.rows_superseded == len(new) - faults - len(expected.posts)
    assert first.report.counters["pictures_quarantined"] == sum("#" in key for key in expected.quarantine)

    expected.run(lay_file(crawl, "sub/c.jsonl", WHEN + timedelta(seconds=2), rng, 30))
    agrees(ingest(spark, config), expected)


def lay_table(spark: SparkSession, folder: Path, records: Sequence[dict[str, Any]]) -> None:
    columns = ("post_id", "user_id", "user_name", "owner_id", "relation", "url")
    rows = {name: pa.array([given.get(name) for given in records], pa.string()) for name in columns}
    rows["posted_at"] = pa.array([given["posted_at"] for given in records], pa.int64())
    rows["crawled_at"] = pa.array([given["crawled_at"] for given in records], pa.int64())
    rows["followers"] = pa.array([given["followers"] for given in records], pa.int64())
    spark.createDataFrame(pa.table(rows)).write.mode("append").parquet(str(folder))


def named(rng: random.Random, n: int, at: int, *, with_id: float) -> list[dict[str, Any]]:
    """Records of people who are known by id and name, by name, or by id."""
    ids = {"ann": "1", "ben": "2", "carl": "3", "dora": "4"}
    made = []
    for number in range(n):
        given: dict[str, Any] = {
            "post_id": f"{at}-{number}" if rng.random() < 0.7 else f"again-{rng.randrange(4)}",
            "relation": rng.choice(["posted", "favourite"]),
            "url": "https://example.org/p",
            "posted_at": 1_700_000_000 + rng.randrange(1000),
            "crawled_at": 1_700_100_000 + at * 1000 + number,
            "followers": rng.choice([None, rng.randrange(1000)]),
        }
        user, owner = rng.choices(sorted(ids), k=2)
        knows_id = rng.random() < with_id
        given["user_id"] = ids[user] if knows_id else rng.choice([None, f"@{user}"])
        given["user_name"] = user if given["user_id"] is None or (knows_id and rng.random() < 0.7) else None
        given["owner_id"] = rng.choice([None, f"@{owner}", ids[owner]])
        made.append(given)
    return made


@pytest.mark.parametrize("pseudonymise", [pytest.param(False, marks=pytest.mark.slow), True])
def test_names_take_the_ids_that_they_occur_with(
    spark: SparkSession, empty: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pseudonymise: bool
) -> None:
    """First people of whom mostly the name is known; then records that tell the ids, whereupon stored posts, the
    favourites' post_ids among them, and users move to the ids (or their hashes)."""
    rng = random.Random(3)
    monkeypatch.setenv(PSEUDONYM_KEY, KEY)
    table = tmp_path / "table"
    columns = (
        "post_id", "user_id", "user_name", "owner_id", "relation", "url", "posted_at", "crawled_at", "followers",
    )  # fmt: skip
    mapped = "crawl.columns={" + ", ".join(f"{name}: {name}" for name in columns) + "}"
    options = ("crawl.format=table", "crawl.source=shop", mapped, f"crawl.pseudonymise={str(pseudonymise).lower()}")
    expected = Expected("shop", table, "table", KEY.encode() if pseudonymise else None)
    lines: list[Line] = []
    seen: list[set[str]] = []
    for at, with_id in enumerate((0.0, 0.4)):
        records = named(rng, 20, at, with_id=with_id)
        lay_table(spark, table, records)
        # a table has no lines: its rows are named by their post_id
        lines += [Line("table", str(given["post_id"]), WHEN, given) for given in records]
        expected.run(lines)
        found = ingest(spark, settings(empty, table, *options))
        agrees(found, expected)
        seen.append(set(found.by("users", "user_id")))
    assert seen[0] - seen[1]
