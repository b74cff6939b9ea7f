from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from profilelake import lake as lakes
from profilelake import tables
from profilelake.config import Config
from profilelake.errors import ConfigError, ProfilelakeError
from profilelake.lake import Lake, WriteResult, open_lake
from profilelake.tables import TABLES, Column, Table
from tests.lakes import lay_categories

TOY = {
    "toy_append": Table(
        "toy_append",
        "appended",
        key=("id",),
        kind="append",
        cluster_by=("id",),
        columns=(Column("id", "string", "key", nullable=False), Column("n", "bigint", "value"), tables.RUN_ID),
        checks={"n_not_negative": "n >= 0"},
    ),
    "toy_upsert": Table(
        "toy_upsert",
        "upserted",
        key=("id", "part"),
        kind="upsert",
        columns=(
            Column("id", "string", "key", nullable=False),
            Column("part", "int", "key", nullable=False),
            Column("n", "double", "value"),
            Column("seen_at", "timestamp", "volatile"),
            tables.RUN_ID,
        ),
        volatile=("seen_at",),
    ),
    "toy_replace": Table(
        "toy_replace",
        "replaced",
        key=("user_id", "item"),
        kind="replace",
        cluster_by=("user_id",),
        columns=(
            Column("user_id", "string", "key", nullable=False),
            Column("item", "string", "key", nullable=False),
            Column("n", "bigint", "value"),
            tables.RUN_ID,
        ),
    ),
}


@pytest.fixture
def toys(spark: SparkSession, lake_config: Config, monkeypatch: pytest.MonkeyPatch) -> Lake:
    few = {"runs": TABLES["runs"], **TOY}
    for module in (lakes, tables):
        monkeypatch.setattr(module, "TABLES", few)
    monkeypatch.setattr(lakes, "VIEWS", {})
    return open_lake(spark, lake_config, run_id="first")


def rows(lake: Lake, table: str) -> list[tuple[object, ...]]:
    frame = lake.read(table).drop("seen_at")
    return sorted(tuple(row) for row in frame.collect())


def test_append_adds_new_keys_and_never_changes_old_ones(toys: Lake) -> None:
    first = toys.spark.createDataFrame([("a", 1), ("b", 2)], "id string, n bigint")
    assert toys.write("toy_append", first) == WriteResult(inserted=2)
    toys.run_id = "second"
    again = toys.spark.createDataFrame([("a", 9), ("c", 3)], "id string, n bigint")
    assert toys.write("toy_append", again) == WriteResult(inserted=1)
    assert rows(toys, "toy_append") == [("a", 1, "first"), ("b", 2, "first"), ("c", 3, "second")]


def test_heavy_rows_lie_in_ranges_of_what_their_table_is_clustered_by(
    toys: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lakes, "_FILE_BYTES", 100)
    names = [f"{random.Random(n).random():.6f}" for n in range(400)]
    frame = toys.spark.createDataFrame([(name, n) for n, name in enumerate(names)], "id string, n bigint")
    assert toys.write("toy_append", frame, n_bytes=350).inserted == 400
    of_file = toys.read("toy_append").select("id", F.input_file_name().alias("file"), F.monotonically_increasing_id())
    files: dict[str, list[str]] = {}
    for row in of_file.orderBy(F.monotonically_increasing_id()).collect():
        files.setdefault(row["file"], []).append(row["id"])
    assert len(files) == 4
    assert all(ids == sorted(ids) for ids in files.values())
    ranges = sorted((ids[0], ids[-1]) for ids in files.values())
    assert all(one[1] < other[0] for one, other in itertools.pairwise(ranges))

    toys.run_id = "second"
    more = frame.unionByName(toys.spark.createDataFrame([("new", 7)], "id string, n bigint"))
    assert toys.write("toy_append", more, n_bytes=350) == WriteResult(inserted=1)
    assert {row["run_id"] for row in toys.read("toy_append").where("id <> 'new'").collect()} == {"first"}


def test_upsert_changes_only_rows_that_differ(toys: Lake) -> None:
    def frame(*values: tuple[str, int, float | None]) -> object:
        made = toys.spark.createDataFrame(list(values), "id string, part int, n double")
        return made.withColumn("seen_at", F.current_timestamp())

    toys.write("toy_upsert", frame(("a", 1, 1.0), ("a", 2, None), ("b", 1, float("nan"))))  # type: ignore[arg-type]
    before = toys.version("toy_upsert")
    toys.run_id = "second"
    assert toys.write("toy_upsert", frame(("a", 1, 1.0), ("a", 2, None), ("b", 1, float("nan")))).changed == 0  # type: ignore[arg-type]
    assert toys.version("toy_upsert") == before
    assert toys.write("toy_upsert", frame(("a", 1, None), ("a", 2, None), ("c", 1, 0.0))) == WriteResult(1, 1, 0)  # type: ignore[arg-type]
    stored = toys.read("toy_upsert").drop("seen_at").where("id <> 'b'").collect()
    assert sorted(map(str, stored)) == sorted(
        map(str, [("a", 1, None, "second"), ("a", 2, None, "first"), ("c", 1, 0.0, "second")])
    ) or sorted((r.id, r.part, r.n, r.run_id) for r in stored if r.n is not None) == [("c", 1, 0.0, "second")]
    assert {(r.id, r.part): r.run_id for r in stored} == {("a", 1): "second", ("a", 2): "first", ("c", 1): "second"}


def test_replace_agrees_with_pandas_on_random_data(toys: Lake) -> None:
    rng = random.Random(4)
    held = pd.DataFrame(columns=["user_id", "item", "n"])
    for _ in range(4):
        scope = rng.sample("abcdef", rng.randint(0, 4))
        new = pd.DataFrame(
            [(u, i, rng.randint(0, 2)) for u in scope for i in "xyz" if rng.random() < 0.6],
            columns=["user_id", "item", "n"],
        )
        source = toys.spark.createDataFrame(
            [tuple(r) for r in new.itertuples(index=False)], "user_id string, item string, n bigint"
        )
        users = toys.spark.createDataFrame([(u,) for u in scope], "user_id string")
        result = toys.write("toy_replace", source, scope=users)
        outside = held[~held.user_id.isin(scope)]
        inside = held[held.user_id.isin(scope)]
        joined = inside.merge(new, on=["user_id", "item"], how="outer", suffixes=("_old", "_new"), indicator=True)
        assert result.inserted == (joined._merge == "right_only").sum()
        assert result.deleted == (joined._merge == "left_only").sum()
        both = joined[joined._merge == "both"]
        assert result.updated == (both.n_old != both.n_new).sum()
        held = pd.concat([outside, new])
        expected = sorted((r.user_id, r.item, int(r.n)) for r in held.itertuples())
        assert sorted((r.user_id, r.item, r.n) for r in toys.read("toy_replace").collect()) == expected


def test_replace_without_scope_is_the_whole_table(toys: Lake) -> None:
    toys.write(
        "toy_replace",
        toys.spark.createDataFrame([("a", "x", 1), ("b", "x", 1)], "user_id string, item string, n bigint"),
    )
    result = toys.write(
        "toy_replace", toys.spark.createDataFrame([("b", "x", 1)], "user_id string, item string, n bigint")
    )
    assert result == WriteResult(deleted=1)
    assert rows(toys, "toy_replace") == [("b", "x", 1, "first")]


@pytest.mark.parametrize(
    ("schema", "values", "message"),
    [
        ("id string, m bigint", [("a", 1)], "column n is missing; column m is unknown"),
        ("id string, n string", [("a", "1")], "column n is string, not bigint"),
        ("id string, n bigint", [("a", 1), ("a", 2)], "1 keys occur twice, 0 are NULL, for example \\(a\\)"),
        ("id string, n bigint", [(None, 1)], "0 keys occur twice, 1 are NULL"),
    ],
)
def test_rows_that_do_not_fit_are_refused_whole(
    toys: Lake, schema: str, values: list[tuple[object, ...]], message: str
) -> None:
    before = toys.version("toy_append")
    with pytest.raises(ProfilelakeError, match=message):
        toys.write("toy_append", toys.spark.createDataFrame(values, schema))
    assert toys.version("toy_append") == before


def test_keys_are_told_apart_where_their_hashes_are_not(toys: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(F, "xxhash64", lambda *_: F.lit(0))
    result = toys.write("toy_append", toys.spark.createDataFrame([("a", 1), ("b", 2)], "id string, n bigint"))
    assert result == WriteResult(inserted=2)
    with pytest.raises(ProfilelakeError, match="1 keys occur twice, 0 are NULL, for example \\(c\\)"):
        toys.write("toy_append", toys.spark.createDataFrame([("c", 1), ("d", 1), ("c", 2)], "id string, n bigint"))


def test_checks_are_enforced_and_nothing_is_half_written(toys: Lake) -> None:
    with pytest.raises(Exception, match="n_not_negative"):
        toys.write("toy_append", toys.spark.createDataFrame([("a", 1), ("b", -1)], "id string, n bigint"))
    assert rows(toys, "toy_append") == []


def test_a_lake_opened_to_be_read_refuses_writes(toys: Lake, lake_config: Config) -> None:
    reader = open_lake(toys.spark, lake_config)
    with pytest.raises(ProfilelakeError, match="opened to be read"):
        reader.write("toy_append", toys.spark.createDataFrame([("a", 1)], "id string, n bigint"))


def test_a_lake_of_the_previous_minor_is_brought_up(
    toys: Lake, lake_config: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    toys.write("toy_append", toys.spark.createDataFrame([("a", 1)], "id string, n bigint"))
    old = TOY["toy_append"]
    wider = Table(**{**old.__dict__, "columns": (*old.columns, Column("note", "string", "new in this minor"))})
    added = Table("toy_new", "new", key=("id",), kind="append", columns=(old.columns[0], tables.RUN_ID))
    grown = {**TOY, "runs": TABLES["runs"], "toy_append": wider, "toy_new": added}
    minor = (tables.FORMAT[0], tables.FORMAT[1] + 1)
    for module in (lakes, tables):
        monkeypatch.setattr(module, "TABLES", grown)
        monkeypatch.setattr(module, "FORMAT", minor)
    with caplog.at_level("INFO", logger="profilelake"):
        newer = open_lake(toys.spark, lake_config, run_id="second")
    assert "added columns to toy_append: note" in caplog.text
    assert "added tables: toy_new" in caplog.text
    assert rows(newer, "toy_append") == [("a", 1, "first", None)]
    versions = newer.versions(grown)
    open_lake(toys.spark, lake_config, run_id="third")
    assert newer.versions(grown) == versions == replace(newer, path=None).versions(grown)


def test_another_lake_in_the_same_session_is_another_lake(toys: Lake, make_config: Callable[..., Config]) -> None:
    toys.write("toy_append", toys.spark.createDataFrame([("a", 1)], "id string, n bigint"))
    here, there = toys.path, f"{toys.path}-other"
    other = open_lake(toys.spark, make_config(f"lake.path={there}"), run_id="second")
    assert rows(other, "toy_append") == []
    other.write("toy_append", other.spark.createDataFrame([("b", 2)], "id string, n bigint"))
    assert rows(open_lake(toys.spark, make_config(f"lake.path={here}")), "toy_append") == [("a", 1, "first")]
    assert rows(open_lake(toys.spark, make_config(f"lake.path={there}")), "toy_append") == [("b", 2, "second")]
    reader = open_lake(toys.spark, make_config(f"lake.path={there}-absent"))
    assert not reader.exists("toy_append")
    assert not Path(f"{there}-absent").exists()


@pytest.mark.parametrize("again", [True, False], ids=["the same place", "another"])
def test_a_session_forgets_a_lake_whose_folder_is_gone(
    toys: Lake, lake_config: Config, make_config: Callable[..., Config], again: bool
) -> None:
    """As somebody does who begins anew in a notebook."""
    toys.write("toy_append", toys.spark.createDataFrame([("a", 1)], "id string, n bigint"))
    assert toys.path is not None
    shutil.rmtree(toys.path)
    lake = open_lake(toys.spark, lake_config if again else make_config(), run_id="second")
    assert rows(lake, "toy_append") == []
    lake.write("toy_append", toys.spark.createDataFrame([("b", 1)], "id string, n bigint"))
    assert rows(lake, "toy_append") == [("b", 1, "second")]


def test_tables_that_the_catalog_manages_are_never_dropped(
    spark: SparkSession, toys: Lake, make_config: Callable[..., Config], tmp_path: Path
) -> None:
    spark.sql(f"CREATE SCHEMA managed LOCATION '{tmp_path / 'warehouse'}'")
    try:
        open_lake(spark, make_config("lake.path=null", "lake.schema=managed"), run_id="first")
        with pytest.raises(ConfigError, match=r"set lake\.path=null to use it"):
            open_lake(spark, make_config("lake.schema=managed"), run_id="second")
        assert spark.table("managed.toy_append").count() == 0
    finally:
        spark.sql("DROP SCHEMA managed CASCADE")


@pytest.mark.parametrize(
    ("major", "minor", "advice"),
    [(2, 0, "install a newer one"), (1, 7, "install a newer one"), (0, 9, "knows no migration")],
)
def test_a_lake_of_another_format_is_refused(
    toys: Lake, lake_config: Config, major: int, minor: int, advice: str
) -> None:
    toys.spark.sql(f"ALTER TABLE {toys.name('runs')} SET TBLPROPERTIES ('profilelake.format' = '{major}.{minor}')")
    with pytest.raises(ConfigError, match=advice):
        open_lake(toys.spark, lake_config, run_id="second")


def test_a_lake_that_cannot_be_read_is_one_sentence(
    spark: SparkSession, make_config: Callable[..., Config], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ProfilelakeError, match=r"the lake at .*file cannot be opened") as raised:
        open_lake(spark, make_config(f"lake.path={tmp_path / 'file'}"), run_id="first")
    assert raised.value.exit_code == 1
    assert "\n" not in str(raised.value)


def test_every_declared_table_is_created_as_declared(lake: Lake) -> None:
    for name, declared in TABLES.items():
        found = lake.spark.table(lake.name(name)).schema
        assert tables.differences(found, declared) == []
        assert {f.name: f.metadata.get("comment") for f in found.fields} == {
            c.name: c.comment for c in declared.columns
        }
        assert {f.name for f in found.fields if not f.nullable} == {c.name for c in declared.columns if not c.nullable}
        properties = {r["key"]: r["value"] for r in lake.spark.sql(f"SHOW TBLPROPERTIES {lake.name(name)}").collect()}
        assert properties["delta.enableDeletionVectors"] == "false"
        assert {f"delta.constraints.{check}".lower() for check in declared.checks} <= {
            key.lower() for key in properties
        }


def test_pinned_tables_are_read_as_they_were_also_by_views(lake: Lake) -> None:
    lay_categories(lake, {"s": "Selfie", "m": "Meal"})
    lake.pin(["image_clusters", "cluster_centroids"])
    lay_categories(lake, {"t": "Selfie"}, anew=True)
    assert sorted(row["image_id"] for row in lake.view("v_image_categories").collect()) == ["m", "s"]
    assert [row["image_id"] for row in lake.spark.table(lake.name("v_image_categories")).collect()] == ["t"]
    assert lake.read("image_clusters").count() == 2
    assert lake.read_tables == {"image_clusters", "cluster_centroids"}


def test_a_table_is_empty_as_it_is_read(toys: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what its log says; by its rows where a log has lost its checksums, and under a catalog."""
    spark = toys.spark
    assert toys.is_empty("toy_replace")
    toys.write("toy_replace", toys.frame("toy_replace", [{"user_id": "u", "item": "i"}]))
    assert not toys.is_empty("toy_replace")
    pinned = replace(toys, pins={"toy_replace": 0})
    assert pinned.is_empty("toy_replace")
    assert "toy_replace" in pinned.read_tables

    log = Path(str(toys.location("toy_replace")), "_delta_log")
    for at, spoilt in enumerate([None, "", "{", "{}"], 1):
        (checksum,) = log.glob(f"*{at}.crc")
        checksum.unlink()
        if spoilt is not None:
            checksum.write_text(spoilt, encoding="utf-8")
        spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()  # type: ignore[union-attr]
        assert not toys.is_empty("toy_replace")
        assert toys.versions(["toy_replace"]) == {"toy_replace": at}
        one = toys.frame("toy_replace", [{"user_id": "u", "item": str(at)}])
        assert toys.write("toy_replace", one) == WriteResult(inserted=1, deleted=1)

    toys.clear("toy_replace")
    assert toys.is_empty("toy_replace")
    spark.sql("INSERT INTO profilelake.toy_replace SELECT * FROM profilelake.toy_replace").collect()  # of no row
    assert toys.is_empty("toy_replace")
    managed = replace(toys, path=None)
    assert managed.is_empty("toy_replace")
    assert managed.write("toy_replace", toys.frame("toy_replace", [{"user_id": "v", "item": "i"}])).inserted == 1
    assert not managed.is_empty("toy_replace")
    assert managed.write("toy_replace", toys.frame("toy_replace", [{"user_id": "v", "item": "i", "n": 1}])).updated == 1

    monkeypatch.setattr(type(spark.table("profilelake.toy_replace")), "isEmpty", lambda _: pytest.fail("a job"))
    assert not toys.write("toy_replace", toys.frame("toy_replace", [{"user_id": "v", "item": "i", "n": 1}])).changed
