"""Whose a record is: names that take the id which they have elsewhere, pseudonyms, and the table `users`."""

from __future__ import annotations

import os
from collections.abc import Callable

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from profilelake.config import PSEUDONYM_KEY, Config
from profilelake.ingest.crawl import vectorised
from profilelake.lake import Lake
from udfs.crawl import rows

Hash = Callable[[Column], Column]


def hashing(config: Config) -> Hash:
    """What a native user id is stored as: itself, or its keyed hash with crawl.pseudonymise."""
    if not config.crawl.pseudonymise:
        return lambda user_id: user_id
    return vectorised(rows.pseudonyms(os.environ[PSEUDONYM_KEY].encode()), "string")


def by_name(source: Column, name: Column) -> Column:
    """The id of a user of whom only the name is known."""
    return F.concat(source, F.lit(":@"), name)


def named_only(user_id: Column, source: Column, name: Column) -> Column:
    """Whether an id is no more than a name."""
    return name.isNotNull() & (user_id == by_name(source, name))


def known_names(records: DataFrame, lake: Lake | None) -> DataFrame:
    """Names that occur with an id in `records` or, where a lake is given, in its `users`.

    Returns:
        alias (`<source>:@<name>`), user_id (native), one row an alias: of several ids the one crawled last.
    """
    seen = F.coalesce("crawled_at", "modified_at").alias("seen")
    pairs = [
        records.select("source", F.col(f"{who}_name").alias("name"), F.col(f"{who}_id").alias("user_id"), seen)
        for who in ("user", "owner")
    ]
    found = pairs[0].unionByName(pairs[1])
    if lake is not None:
        found = found.unionByName(
            lake.read("users").select(
                "source", F.col("user_name").alias("name"), "user_id", F.timestamp_seconds(F.lit(0)).alias("seen")
            )
        )
    with_id = found.where(
        F.col("name").isNotNull()
        & F.col("user_id").isNotNull()
        & ~named_only(F.col("user_id"), F.col("source"), F.col("name"))
        & ~F.substring_index("user_id", ":", -1).startswith("@")
    )
    return (
        with_id.groupBy(by_name(F.col("source"), F.col("name")).alias("alias"))
        .agg(F.max(F.struct("seen", "user_id")).alias("last"))
        .select("alias", "last.user_id")
    )


def resolve(items: DataFrame, names: DataFrame) -> DataFrame:
    """Items with the ids that their users' and owners' names have elsewhere."""
    for who in ("user_id", "owner_id"):
        aliases = names.select(F.col("alias").alias(who), F.col("user_id").alias("_resolved"))
        items = items.join(aliases, on=who, how="left").withColumn(who, F.coalesce("_resolved", who)).drop("_resolved")
    return items


def pseudonymise(items: DataFrame, hash_: Hash) -> DataFrame:
    """Items with hashed ids and without names and addresses."""
    nothing = F.lit(None).cast("string")
    return (
        items.withColumn("user_id", hash_(F.col("user_id")))
        .withColumn("owner_id", hash_(F.col("owner_id")))
        .withColumns({"user_name": nothing, "owner_name": nothing, "url": nothing})
    )


def moves(names: DataFrame, hash_: Hash) -> DataFrame:
    """Stored ids that are names, and the stored ids that take their place: old_user_id, new_user_id."""
    return names.select(hash_(F.col("alias")).alias("old_user_id"), hash_(F.col("user_id")).alias("new_user_id"))


def latest_sights(records: DataFrame) -> DataFrame:
    """What the newest record of each user says of them: user_id, source, user_name, followers, seen."""
    order = F.struct("crawled_at", "file", "line", "source_ref")
    return records.groupBy("user_id").agg(
        F.max("source").alias("source"),
        F.max_by("user_name", F.when(F.col("user_name").isNotNull(), order)).alias("user_name"),
        F.max_by("followers", F.when(F.col("followers").isNotNull(), order)).alias("followers"),
        F.max("crawled_at").alias("seen"),
    )


def rows_of(lake: Lake, touched: DataFrame, sights: DataFrame) -> DataFrame:
    """Rows for `users`: everybody in `touched` (user_id) who has posts or favourites in the lake.

    Counts and times are over the whole lake. Name and followers are those of the newest record that has them.
    """
    posted = F.col("relation") == "posted"
    counted = (
        lake.read("posts")
        .join(touched, on="user_id", how="left_semi")
        .groupBy("user_id")
        .agg(
            F.max("source").alias("source"),
            F.min(F.when(posted, F.col("posted_at"))).alias("first_seen_at"),
            F.max(F.when(posted, F.col("posted_at"))).alias("last_seen_at"),
            F.count(F.when(posted, 1)).alias("posts"),
            F.max("crawled_at").alias("crawled"),
        )
    )
    held = lake.read("users").select(
        "user_id", F.col("user_name").alias("held_name"), F.col("followers").alias("held_followers")
    )
    new = sights.select("user_id", "user_name", "followers", "seen")
    is_newest = F.coalesce(F.col("seen") >= F.col("crawled"), F.lit(False))

    def pick(value: str, kept: str) -> Column:
        return F.when(is_newest, F.coalesce(value, kept)).otherwise(F.coalesce(kept, value)).alias(value)

    return (
        counted.join(new, on="user_id", how="left")
        .join(held, on="user_id", how="left")
        .select(
            "user_id",
            "source",
            pick("user_name", "held_name"),
            "first_seen_at",
            "last_seen_at",
            "posts",
            pick("followers", "held_followers"),
        )
    )
