"""From records to the tables `posts` and `post_counts`: which record of a post is kept."""

from __future__ import annotations

from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from profilelake.lake import Lake
from udfs.crawl import rows

# Columns of `posts` that a record gives as they are.
_FIELDS = (
    "source", "relation", "user_id", "owner_id", "posted_at", "caption", "hashtags", "tags", "board", "likes",
    "comments", "n_images", "url", "crawled_at", "source_ref",
)  # fmt: skip
_IMAGES = "array<struct<position: int, path: string, rel: string>>"
_FAVOURITE = ":favourite:"


def records_of(items: DataFrame) -> DataFrame:
    """Records with their stored post_id, the time at which they count as crawled, and the user as owner of what is
    posted where the record names no other."""
    plain = F.concat("source", F.lit(":"), "native_post_id")
    favourite = F.concat(plain, F.lit(_FAVOURITE), "user_id")
    return (
        items.where(F.col("kind") == rows.RECORD)
        .withColumn("post_id", F.when(F.col("relation") == "favourite", favourite).otherwise(plain))
        .withColumn("crawled_at", F.coalesce("crawled_at", "modified_at"))
        .withColumn("owner_id", F.coalesce("owner_id", F.when(F.col("relation") == "posted", F.col("user_id"))))
    )


def stored(lake: Lake, records: DataFrame, moved: DataFrame | None) -> DataFrame:
    """The lake's rows of the posts that `records` bring anew, and of users who get another id.

    `moved`: old_user_id, new_user_id. Such rows come with the new ids; `old_post_id` and `old_user_id` are what the
    lake calls them.
    """
    posts = lake.read("posts").drop("run_id")
    touched = records.select("post_id").distinct()
    as_is = posts.withColumns({"old_post_id": F.col("post_id"), "old_user_id": F.col("user_id")})
    if moved is None:
        return as_is.join(touched, on="post_id", how="left_semi")
    renamed = _renamed(as_is, moved)
    stale = renamed.where("_moved").drop("_moved")
    touched = touched.union(stale.select("post_id")).distinct()
    return (
        renamed.where(~F.col("_moved")).drop("_moved").join(touched, on="post_id", how="left_semi").unionByName(stale)
    )


def _renamed(posts: DataFrame, moved: DataFrame) -> DataFrame:
    """Rows under their users' new ids; `_moved` says whether an id changed."""
    for who in ("user_id", "owner_id"):
        pairs = moved.select(F.col("old_user_id").alias(who), F.col("new_user_id").alias(f"_new_{who}"))
        posts = posts.join(pairs, on=who, how="left")
    suffix = F.concat(F.lit(_FAVOURITE), "user_id")
    stem = F.expr(f"substring(post_id, 1, length(post_id) - length(concat('{_FAVOURITE}', user_id)))")
    is_favourite = (F.col("relation") == "favourite") & F.col("post_id").endswith(suffix)
    renamed_id = F.concat(stem, F.lit(_FAVOURITE), "_new_user_id")
    return posts.select(
        *[c for c in posts.columns if c not in ("post_id", "user_id", "owner_id", "_new_user_id", "_new_owner_id")],
        F.when(is_favourite & F.col("_new_user_id").isNotNull(), renamed_id)
        .otherwise(F.col("post_id"))
        .alias("post_id"),
        F.coalesce("_new_user_id", "user_id").alias("user_id"),
        F.coalesce("_new_owner_id", "owner_id").alias("owner_id"),
        (F.col("_new_user_id").isNotNull() | F.col("_new_owner_id").isNotNull()).alias("_moved"),
    )


def order(source_ref: Column, crawled_at: Column, *tie: Column) -> Column:
    """What decides between two records of a post: the later crawled_at, then the greater file, then the greater line
    as a number (a table's row key as text)."""
    file = F.regexp_extract(source_ref, r"(?s)^(.*):[^:]*$", 1)
    line = F.regexp_extract(source_ref, r":([0-9]{1,18})$", 1)
    number = F.when(line != "", line.cast("bigint")).otherwise(F.lit(0).cast("bigint"))
    return F.struct(
        crawled_at.alias("crawled_at"), file.alias("file"), number.alias("line"), source_ref.alias("source_ref"), *tie
    )


def decide(records: DataFrame, held: DataFrame) -> DataFrame:
    """One row a post: the record, or the lake's row, that wins.

    Parts (a picture a file) of a post are one record: the last of them gives the fields, all give their pictures, and
    none supersedes another, nor does the lake's row.

    Args:
        records: of this run, as `records_of` and `reading.numbered` make them.
        held: the lake's rows of the same posts, as `stored` makes them.

    Returns:
        post_id, the columns of `posts`, and: is_new (the kept record is of this run, or it brings parts), is_part,
        has_bytes, item_id (of the item that holds the bytes), images (of this run:
        position, path, rel), old_post_ids and old_user_ids (what the lake calls it), records (of this run), read (the
        same with the parts of a post as one), superseded.
    """
    digest = F.xxhash64(*[c for c in _FIELDS if c not in ("source_ref", "crawled_at")])
    nothing = F.lit(None).cast("string")
    new = records.select(
        "post_id",
        *_FIELDS,
        F.col("crawled_at").alias("last_seen_at"),
        F.lit(True).alias("is_new"),
        "part",
        "has_bytes",
        "item_id",
        "images",
        nothing.alias("old_post_id"),
        nothing.alias("old_user_id"),
        order(F.col("source_ref"), F.col("crawled_at"), F.lit(1).alias("is_new"), digest.alias("digest")).alias(
            "order"
        ),
    )
    old = held.select(
        "post_id",
        *_FIELDS,
        "last_seen_at",
        F.lit(False).alias("is_new"),
        F.lit(False).alias("part"),
        F.lit(False).alias("has_bytes"),
        F.lit(None).cast("bigint").alias("item_id"),
        F.lit(None).cast(_IMAGES).alias("images"),
        "old_post_id",
        "old_user_id",
        order(F.col("source_ref"), F.col("crawled_at"), F.lit(0).alias("is_new"), digest.alias("digest")).alias(
            "order"
        ),
    )
    fields = F.struct(*_FIELDS, "is_new", "part", "has_bytes", "item_id", "images")
    part = F.col("is_new") & F.col("part")
    whole = F.col("is_new") & ~F.col("part")
    grouped = (
        new.unionByName(old)
        .groupBy("post_id")
        .agg(
            F.max_by(fields, F.col("order")).alias("best"),
            F.max("last_seen_at").alias("last_seen_at"),
            F.count(F.when(whole, 1)).alias("wholes"),
            F.count(F.when(part, 1)).alias("parts"),
            # the parts' pictures, those of the later record first
            F.sort_array(F.collect_list(F.when(part, F.struct("order", "images"))), asc=False).alias("pieces"),
            F.collect_set("old_post_id").alias("old_post_ids"),
            F.collect_set("old_user_id").alias("old_user_ids"),
        )
    )
    pieces = F.flatten(F.col("pieces.images"))
    brings_parts = (F.col("parts") > 0) & (F.col("best.part") | ~F.col("best.is_new"))
    read = F.col("wholes") + F.when(F.col("parts") > 0, 1).otherwise(0)
    kept = F.when(F.col("best.is_new") | brings_parts, 1).otherwise(0)
    return grouped.select(
        "post_id",
        *[F.col(f"best.{name}").alias(name) for name in _FIELDS],
        "last_seen_at",
        (F.col("best.is_new") | brings_parts).alias("is_new"),
        brings_parts.alias("is_part"),
        F.col("best.has_bytes").alias("has_bytes"),
        F.col("best.item_id").alias("item_id"),
        F.when(brings_parts, _first_of_each_position(pieces))
        .when(F.col("best.is_new"), F.col("best.images"))
        .otherwise(F.array().cast(_IMAGES))
        .alias("images"),
        "old_post_ids",
        "old_user_ids",
        (F.col("wholes") + F.col("parts")).alias("records"),
        read.alias("read"),
        (read - kept).alias("superseded"),
    )


def _first_of_each_position(images: Column) -> Column:
    return F.aggregate(
        images,
        F.array().cast(_IMAGES),
        lambda kept, image: F.when(
            F.exists(kept, lambda other: other["position"] == image["position"]), kept
        ).otherwise(F.concat(kept, F.array(image))),
    )


def count_positions(decided: DataFrame, lake: Lake) -> DataFrame:
    """`decided` with n_images of posts in parts counted over all parts: the lake's too, those refused included."""
    parts = decided.where("is_part")
    places = [
        parts.select("post_id", F.explode("images.position").alias("position")),
        lake.read("post_images").select("post_id", "position"),
        refused_places(lake).select("post_id", "position"),
    ]
    ours = parts.select("post_id")
    every = reduce(lambda a, b: a.unionByName(b), [p.join(ours, on="post_id", how="left_semi") for p in places])
    counted = every.distinct().groupBy("post_id").agg(F.count("*").cast("int").alias("places"))
    return (
        decided.join(counted, on="post_id", how="left")
        .withColumn("n_images", F.coalesce("places", "n_images"))
        .drop("places")
    )


def refused_places(lake: Lake) -> DataFrame:
    """Pictures that ingest refused: the columns of quarantine, post_id and position."""
    refused = lake.read("quarantine").where(
        (F.col("stage") == "ingest") & ~F.col("record_id").eqNullSafe(F.col("source_ref"))
    )
    place = F.regexp_extract("record_id", r"(?s)^(.*)#([0-9]+)$", 2)
    return refused.where(place != "").withColumns(
        {"post_id": F.regexp_extract("record_id", r"(?s)^(.*)#([0-9]+)$", 1), "position": place.cast("int")}
    )


def rows_of(decided: DataFrame) -> DataFrame:
    """Rows for `posts`."""
    return decided.select("post_id", *_FIELDS, "last_seen_at")


def counts_of(records: DataFrame) -> DataFrame:
    """Rows for `post_counts`: every time at which a post was crawled, superseded records too; the parts of a post are
    crawled when the last of them was."""
    at = F.struct("file", "line", "source_ref", F.xxhash64("likes", "comments"))
    values = F.struct("likes", "comments")
    wholes = records.where(~F.col("part")).select("post_id", "crawled_at", values.alias("counts"), at.alias("at"))
    parts = (
        records.where("part")
        .groupBy("post_id")
        .agg(
            F.max_by(F.struct("crawled_at", values.alias("counts"), at.alias("at")), F.struct("crawled_at", at)).alias(
                "x"
            )
        )
        .select("post_id", "x.crawled_at", "x.counts", "x.at")
    )
    return (
        wholes.unionByName(parts)
        .groupBy("post_id", "crawled_at")
        .agg(F.max_by("counts", "at").alias("counts"))
        .select("post_id", "crawled_at", "counts.likes", "counts.comments")
    )
