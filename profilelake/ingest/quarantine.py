"""What ingest refused: rows for `quarantine`, and which rows of earlier runs leave."""

from __future__ import annotations

from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from profilelake.ingest import posts
from profilelake.lake import Lake
from udfs.crawl import rows

STAGE = "ingest"
_COLUMNS = ("record_id", "user_id", "source_ref", "reason", "detail")


def bad_records(items: DataFrame) -> DataFrame:
    """Refused records, one row a record_id (rows of a table may share one): the columns above."""
    faults = items.where(F.col("kind") == rows.FAULT)
    return (
        faults.groupBy(F.col("source_ref").alias("record_id"))
        .agg(F.min(F.struct("reason", "detail", "user_id")).alias("first"))
        .select("record_id", "first.user_id", F.col("record_id").alias("source_ref"), "first.reason", "first.detail")
    )


def bad_pictures(checked: DataFrame) -> DataFrame:
    """Refused pictures."""
    return checked.where(F.col("reason").isNotNull()).select(
        _place(F.col("post_id"), F.col("position")), "user_id", "source_ref", "reason", "detail"
    )


def _place(post_id: Column, position: Column) -> Column:
    return F.concat_ws("#", post_id, position.cast("string")).alias("record_id")


def held(lake: Lake) -> DataFrame:
    """This stage's rows."""
    return lake.read("quarantine").where(F.col("stage") == STAGE)


def scope(
    lake: Lake, bad: DataFrame, read_files: DataFrame, decided: DataFrame | None, checked: DataFrame | None
) -> DataFrame:
    """record_ids that this run speaks for: records of the files that it read, pictures of the posts that it decided
    and of the places that it looked at, what it refuses, and what it calls by another id."""
    mine = held(lake)
    in_file = F.regexp_extract("source_ref", r"(?s)^(.*):[^:]*$", 1)
    records = (
        mine.where(F.col("record_id") == F.col("source_ref"))
        .withColumn("file", in_file)
        .join(read_files, on="file", how="left_semi")
    )
    parts = [bad.select("record_id"), records.select("record_id")]
    if checked is not None:
        parts.append(checked.select(_place(F.col("post_id"), F.col("position"))))
    if decided is not None:
        whole = decided.where(F.col("is_new") & ~F.col("is_part")).select("post_id")
        renamed = decided.select(F.explode("old_post_ids").alias("old"), "post_id").where("old != post_id")
        gone = whole.union(renamed.select("old"))
        parts.append(posts.refused_places(lake).join(gone, on="post_id", how="left_semi").select("record_id"))
    return reduce(lambda a, b: a.unionByName(b), parts).distinct()


def renamed(lake: Lake, decided: DataFrame, moved: DataFrame, scope_: DataFrame) -> DataFrame:
    """Rows that stay refused, under their user's new id: pictures of favourites that the lake keeps under another
    post_id, and everything else of such a user that `scope_` leaves alone. With `old_record_id`."""
    pairs = decided.where(~F.col("is_new")).select(
        F.explode("old_post_ids").alias("old"), F.col("post_id").alias("new")
    )
    pairs = pairs.where("old != new")
    users = moved.select(F.col("old_user_id").alias("user_id"), "new_user_id")
    pictures = (
        posts.refused_places(lake)
        .join(pairs, on=F.col("post_id") == F.col("old"), how="inner")
        .join(users, on="user_id", how="left")
        .select(
            _place(F.col("new"), F.col("position")),
            F.coalesce("new_user_id", "user_id").alias("user_id"),
            "source_ref",
            "reason",
            "detail",
            F.col("record_id").alias("old_record_id"),
        )
    )
    others = (
        held(lake)
        .join(scope_, on="record_id", how="left_anti")
        .join(users, on="user_id", how="inner")
        .select(
            "record_id",
            F.col("new_user_id").alias("user_id"),
            "source_ref",
            "reason",
            "detail",
            F.col("record_id").alias("old_record_id"),
        )
    )
    return pictures.unionByName(others)


def write(lake: Lake, bad: DataFrame, scope_: DataFrame, kept: DataFrame | None = None) -> None:
    """Replace the rows of `scope_` (record_id).

    A row that was there keeps its first time and counts one attempt more; a try of a run that was killed midway counts
    once with the try that completes it.

    Args:
        bad: refused in this run.
        scope_: record_ids that the run speaks for.
        kept: refused before, not tried now, with `old_record_id` (see `renamed`).
    """
    completed = (
        lake.spark.table(lake.name("runs"))
        .where((F.col("stage") == STAGE) & F.col("status").isin("done", "rejected"))
        .select("run_id", F.lit(1).alias("completed"))
    )
    before = (
        held(lake)
        .select("record_id", "attempts", "first_seen_at", "run_id")
        .join(F.broadcast(completed), on="run_id", how="left")
        .drop("run_id")
    )
    tries = F.when(F.col("attempts").isNull(), 1).otherwise(F.col("attempts") + F.coalesce("completed", F.lit(0)))
    first_seen = F.coalesce("first_seen_at", F.current_timestamp())
    rows_ = bad.join(before, on="record_id", how="left").select(
        F.lit(STAGE).alias("stage"),
        *_COLUMNS,
        tries.cast("int").alias("attempts"),
        first_seen.alias("first_seen_at"),
    )
    in_scope = scope_
    if kept is not None:
        old = before.withColumnRenamed("record_id", "old_record_id")
        moved = kept.join(bad.select("record_id"), on="record_id", how="left_anti").join(
            old, on="old_record_id", how="inner"
        )
        rows_ = rows_.unionByName(moved.select(F.lit(STAGE).alias("stage"), *_COLUMNS, "attempts", "first_seen_at"))
        in_scope = scope_.union(moved.select("record_id")).union(kept.select("old_record_id")).distinct()
    lake.write("quarantine", rows_, scope=in_scope.select(F.lit(STAGE).alias("stage"), "record_id"))
