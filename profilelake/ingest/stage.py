"""Ingest as a stage: from a crawl to posts, pictures, users and quarantine.

What is read is kept in the run's staging first, and judged; only then tables are written, `source_files` last. So a
crawl with too many bad records changes nothing but quarantine, and a run that is killed anywhere is made up for by the
next one: it finds the same files unread.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from profilelake.config import Config
from profilelake.errors import ConfigError, ProfilelakeError, TooManyBadRecords
from profilelake.frames import local_frame
from profilelake.ingest import crawl, pictures, posts, quarantine, reading, users
from profilelake.ingest.crawl import Root
from profilelake.ingest.reading import TableCrawl
from profilelake.ingest.staging import Staging
from profilelake.lake import Lake
from profilelake.ledger import Context, StageReport, stage
from udfs.crawl import rows

log = logging.getLogger("profilelake.ingest")

STAGE = quarantine.STAGE
_WHAT = {"jsonl": "*.jsonl or *.jsonl.gz file", "table": "row"}

check = crawl.check


@dataclass(frozen=True)
class _Work:
    """What a look at the file list tells: metadata files there are, those to read, pictures to look at again, and
    whether the lake knows any of its files."""

    metadata: int
    unchanged: int
    to_read: bool
    pictures: int
    is_known: bool


def pending(lake: Lake, config: Config) -> dict[str, int]:
    """Metadata files (of a table: the table) that a run would read, and pictures whose files came or changed."""
    spark = lake.spark
    if config.crawl.format == "table":
        found = TableCrawl(spark, config)
        if lake.exists("source_files") and found.is_unchanged(lake):
            return {"metadata_files": 0}
        return {"metadata_files": 1}
    root = crawl.find_root(spark, config)
    listing = crawl.list_files(spark, root)
    if not all(lake.exists(table) for table in ("source_files", "quarantine", "post_images")):
        return {"metadata_files": reading.readings(reading.all_new(listing), config, root).count()}
    states = reading.with_states(listing, lake, reread=config.crawl.reread)
    return {
        "metadata_files": reading.readings(states, config, root).count(),
        "pictures_to_look_at_again": _changed_pictures(lake, states).count(),
    }


@stage(STAGE)
def run(context: Context) -> StageReport:
    """Read what is new or changed in the crawl."""
    with Staging(context.spark, context.lake, context.config) as staging:
        if context.config.crawl.format == "table":
            return _ingest_table(context, staging)
        return _ingest_files(context, staging)


def _ingest_files(context: Context, staging: Staging) -> StageReport:
    spark, lake, config = context.spark, context.lake, context.config
    root = crawl.find_root(spark, config)
    filled = _filled(lake)
    states = _states(context, root, filled, staging)
    work = _look_around(lake, states, config, filled)
    warnings = []
    if not work.metadata:
        wanted = _WHAT.get(config.crawl.format, "metadata file of this format")
        warnings.append(f"the crawl at {config.crawl.path} is empty: there is no {wanted} in it")
    if not work.is_known and "source_files" in filled and _has_namesake(lake, root):
        warnings.append(
            f"the lake knows a crawl called {root.label}, and no file of this one: if it is another crawl, give it a "
            "crawl.name of its own, or the two share the ids of their records"
        )
    if not work.to_read and not work.pictures:
        return StageReport(STAGE, counters={"files_unchanged": work.unchanged}, warnings=warnings)
    todo = staging.keep("todo", reading.readings(states, config, root))
    items = reading.read_items(spark, config, root, todo, staging) if work.to_read else reading.no_items(spark)
    members = None
    if config.crawl.format != "jsonl":
        members = _members(states, config, root, todo)
    source = _Source(todo, items, members, states, root, 0, filled)
    return _ingest(context, staging, source, {"files_unchanged": work.unchanged}, warnings)


def _ingest_table(context: Context, staging: Staging) -> StageReport:
    spark, lake, config = context.spark, context.lake, context.config
    found = TableCrawl(spark, config)
    root = found.root
    filled = _filled(lake)
    states = None
    if root is not None and "images" in found.columns:
        states = _states(context, root, filled, staging)
    unchanged = found.is_unchanged(lake)
    if unchanged and (states is None or not _changed_pictures(lake, states).limit(1).count()):
        return StageReport(STAGE, counters={"files_unchanged": 1})
    todo = staging.keep("todo", found.todo(spark).where(F.lit(not unchanged)))
    items = found.read_items(spark, staging) if not unchanged else reading.no_items(spark)
    n = items.count()
    warnings = [] if n or unchanged else [f"the crawl at {config.crawl.path} is empty: the table has no row"]
    mean = (found.size or 0) // max(1, n)
    source = _Source(todo, items, None, states, root, mean, filled)
    return _ingest(context, staging, source, {"files_unchanged": int(unchanged)}, warnings)


@dataclass(frozen=True)
class _Source:
    """What was read: the files (`todo`), their items, for sidecar formats all files of the posts (`members`), the
    state of every file (None for a table of bytes), the folder, the bytes of a table's row, and which of the lake's
    tables have rows."""

    todo: DataFrame
    items: DataFrame
    members: DataFrame | None
    states: DataFrame | None
    root: Root | None
    mean_row_bytes: int
    filled: frozenset[str]

    @property
    def files(self) -> DataFrame:
        """Every file that the run speaks for: file."""
        own = self.todo.select("file")
        return own if self.members is None else own.union(self.members.select("file")).distinct()


def _filled(lake: Lake) -> frozenset[str]:
    """Which of the tables that ingest looks things up in have rows: a first run needs no look-ups."""
    found = [
        lake.read(table).limit(1).select(F.lit(table).alias("table"))
        for table in ("source_files", "posts", "post_images")
    ]
    found.append(quarantine.held(lake).limit(1).select(F.lit("quarantine").alias("table")))
    return frozenset(row["table"] for row in reduce(DataFrame.union, found).collect())  # four rows at most


def _states(context: Context, root: Root, filled: frozenset[str], staging: Staging) -> DataFrame:
    """The state of every file of the crawl, kept."""
    listing = crawl.list_files(context.spark, root)
    if "source_files" not in filled:
        return staging.keep("states", reading.all_new(listing))
    return staging.keep("states", reading.with_states(listing, context.lake, reread=context.config.crawl.reread))


def _look_around(lake: Lake, states: DataFrame, config: Config, filled: frozenset[str]) -> _Work:
    metadata = reading.is_metadata(config)
    worth = metadata & reading.since(config)
    row = states.agg(
        F.count(F.when(metadata, 1)).alias("metadata"),
        F.count(F.when(worth & ~F.col("changed"), 1)).alias("unchanged"),
        F.count(F.when(worth & F.col("changed"), 1)).alias("changed"),
        F.count("known").alias("known"),
    ).first()
    assert row is not None
    again = _changed_pictures(lake, states).limit(1).count() if filled & {"quarantine", "post_images"} else 0
    return _Work(row["metadata"], row["unchanged"], row["changed"] > 0, again, row["known"] > 0)


def _has_namesake(lake: Lake, root: Root) -> bool:
    """Whether the lake has files of a crawl of this name."""
    return not lake.read("source_files").where(F.col("path").startswith(root.label + "/")).isEmpty()


def _changed_pictures(lake: Lake, states: DataFrame) -> DataFrame:
    """Files that came or changed since a post's picture was taken from them, or refused: file."""
    changed = states.where("changed").select("file", "known")
    refused = posts.refused_places(lake).select(F.col("source_ref").alias("file"))
    taken = lake.read("post_images").select(F.col("source_ref").alias("file"))
    return (
        changed.join(refused, on="file", how="left_semi")
        .select("file")
        .union(changed.where(F.col("known").isNotNull()).join(taken, on="file", how="left_semi").select("file"))
        .distinct()
    )


def _members(states: DataFrame, config: Config, root: Root, todo: DataFrame) -> DataFrame:
    """Every file of the groups that were read: file, size, modified_at."""
    ordinary = states.where(reading.is_metadata(config) & ~F.col("outside") & ~F.col("unnamed"))
    grouped = reading.groups(ordinary, config.crawl.format).withColumn("member", F.explode("members"))
    rel = F.when(F.col("folder") == "", F.col("member.name")).otherwise(
        F.concat_ws("/", "folder", F.col("member.name"))
    )
    found = grouped.select(
        F.concat(F.lit(root.label + "/"), rel).alias("file"), "folder", "key", "member.size", "member.modified_at"
    )
    if config.crawl.since is not None:
        # Groups that are too old are not read, and must not count as read.
        read = found.join(todo.select("file"), on="file", how="left_semi").select("folder", "key")
        found = found.join(read, on=["folder", "key"], how="left_semi")
    return found.select("file", "size", "modified_at")


def _ingest(
    context: Context, staging: Staging, source: _Source, counted: Mapping[str, int], warnings: list[str]
) -> StageReport:
    lake, config = context.lake, context.config
    totals = _totals(source.items)
    _refuse_long_files(totals, config)
    items = reading.numbered(source.items, cut=bool(totals["max_start"]))
    fresh = "posts" not in source.filled
    names, moved = _identities(lake, config, items, totals, staging, fresh)
    if names is not None:
        items = users.resolve(items, names)
    hash_ = users.hashing(config)
    if config.crawl.pseudonymise:
        items = users.pseudonymise(items, hash_)
    if names is not None or config.crawl.pseudonymise:
        items = staging.keep("resolved", items)
    records = posts.records_of(items)
    held = posts.stored(lake, records, moved)
    decided = posts.decide(records, held)
    if totals["parts"]:
        decided = posts.count_positions(decided, lake)
    decided = staging.keep("decided", decided)
    sums = decided.agg(
        F.coalesce(F.sum("records"), F.lit(0)).alias("records"),
        F.coalesce(F.sum("read"), F.lit(0)).alias("read"),
        F.coalesce(F.sum("superseded"), F.lit(0)).alias("superseded"),
        F.coalesce(F.sum(F.col("is_new").cast("int")), F.lit(0)).alias("written"),
    ).first()
    assert sums is not None
    bad_records = quarantine.bad_records(items)
    faults = totals["faults"]
    read = sums["read"] + faults
    _adds_up("records", totals["records"], sums["records"])
    _adds_up("posts", read, sums["written"] + sums["superseded"] + faults)
    too_many = _excess("records", read, faults, bad_records, config)
    if too_many is not None:
        quarantine.write(lake, bad_records, quarantine.scope(lake, bad_records, source.files, None, None))
        raise too_many

    found = _look_at_pictures(context, staging, source, decided, fresh)
    checked = found.checked
    tally = checked.agg(
        F.count("*").alias("n"), F.count("reason").alias("bad"), F.count("image_id").alias("good")
    ).first()
    assert tally is not None
    _adds_up("pictures", found.places, tally["bad"] + tally["good"])
    bad = staging.keep("bad", bad_records.unionByName(quarantine.bad_pictures(checked)))
    if "quarantine" in source.filled:
        scope = staging.keep("scope", quarantine.scope(lake, bad, source.files, decided, checked))
    else:
        scope = bad.select("record_id")
    too_many = _excess("pictures", tally["n"], tally["bad"], checked.where(F.col("reason").isNotNull()), config)
    if too_many is not None:
        quarantine.write(lake, bad, scope)
        raise too_many

    with ThreadPoolExecutor(2) as lanes:
        # Neither waits for the other; a killed run is made up for in whole by the next one.
        of_pictures = lanes.submit(_write_pictures, lake, config, found, decided, moved)
        of_posts = lanes.submit(_write_posts, lake, records, decided, moved, fresh)
        new_images = of_pictures.result()
        of_posts.result()
    kept = None if moved is None else quarantine.renamed(lake, decided, moved, scope)
    quarantine.write(lake, bad, scope, kept)
    lake.write("source_files", _source_files(source, checked, found.files, config))
    return StageReport(
        STAGE,
        rows_in=read,
        rows_out=sums["written"],
        rows_quarantined=faults,
        rows_superseded=sums["superseded"],
        images=found.opened,
        counters={
            "posts_read": read,
            "posts_superseded": sums["superseded"],
            "pictures_read": tally["n"],
            "pictures_quarantined": tally["bad"],
            "pictures_opened": found.opened,
            "images_new": new_images,
            "hidden_likes": totals["hidden_likes"],
            "unknown_keys": totals["unknown_keys"],
            "files_read": totals["files"],
            "ignored_files": totals["ignored"],
            **counted,
        },
        warnings=warnings,
    )


def _totals(items: DataFrame) -> Row:
    kind = F.col("kind")
    only_name = F.col("user_id").contains(":@") | F.col("owner_id").contains(":@")
    per_file = items.groupBy("file").agg(
        F.count(F.when(kind == rows.RECORD, 1)).alias("records"),
        F.count(F.when(kind == rows.FAULT, 1)).alias("faults"),
        F.count(F.when(kind == rows.IGNORED, 1)).alias("ignored"),
        F.count(F.when(F.col("hidden_likes"), 1)).alias("hidden_likes"),
        F.coalesce(F.sum("unknown_keys"), F.lit(0)).alias("unknown_keys"),
        F.count(F.when(F.col("part"), 1)).alias("parts"),
        F.count(F.when(only_name, 1)).alias("only_name"),
        F.coalesce(F.max("block_start"), F.lit(0)).alias("max_start"),
    )
    sums = [
        F.coalesce(F.sum(name), F.lit(0)).alias(name)
        for name in (
            "records",
            "faults",
            "ignored",
            "hidden_likes",
            "unknown_keys",
            "parts",
            "only_name",
        )
    ]
    most = F.max(F.struct((F.col("records") + F.col("faults")).alias("n"), "file")).alias("most")
    row = per_file.agg(
        F.count("*").alias("files"), *sums, F.coalesce(F.max("max_start"), F.lit(0)).alias("max_start"), most
    ).first()
    assert row is not None
    return row


def _refuse_long_files(totals: Row, config: Config) -> None:
    most = totals["most"]
    limit = config.crawl.max_posts_per_file
    if most is not None and config.crawl.format != "table" and most["n"] > limit:
        raise ConfigError(
            f"{most['file']} holds {most['n']:,} posts, more than crawl.max_posts_per_file={limit:,} allows: split the "
            "file, or raise the setting"
        )


def _identities(
    lake: Lake, config: Config, items: DataFrame, totals: Row, staging: Staging, fresh: bool
) -> tuple[DataFrame | None, DataFrame | None]:
    """Names with ids, where a record or the lake has users of whom only the name is known; and the stored ids that
    such names were kept under, where the lake has any."""
    stored = lake.read("posts")
    if config.crawl.pseudonymise:
        stale = not fresh  # a hash doesn't tell whether it was a name
    else:
        only_name = F.col("user_id").contains(":@") | F.col("owner_id").contains(":@")
        stale = not fresh and not stored.where(only_name).isEmpty()
    if not totals["only_name"] and not stale:
        return None, None
    records = items.where(F.col("kind") == rows.RECORD)
    known = users.known_names(records, None if config.crawl.pseudonymise else lake)
    names = staging.keep("names", known)
    return names, users.moves(names, users.hashing(config)) if stale else None


@dataclass(frozen=True)
class _Pictures:
    """What came of the pictures, kept: of each place (`checked`), their files (None for a table of bytes), what the
    opened ones are (`seen`, `opened` of them), and how many places there are."""

    checked: DataFrame
    files: DataFrame | None
    seen: DataFrame
    opened: int
    places: int


def _look_at_pictures(
    context: Context, staging: Staging, source: _Source, decided: DataFrame, fresh: bool
) -> _Pictures:
    lake, config = context.lake, context.config
    spark = context.spark
    places = pictures.wanted(decided, source.states, lake, source.root, fresh=fresh)
    places = staging.keep("places", places)
    listed = places.agg(F.count("*").alias("n"), F.count(F.when(F.col("has_bytes"), 1)).alias("in_columns")).first()
    assert listed is not None
    files, n, mean = None, 0, 0
    if source.states is not None and source.root is not None:
        files = pictures.find_files(spark, places, source.states, source.root)
        if "post_images" in source.filled:
            files = pictures.with_known_ids(files, lake)
        else:
            files = files.withColumn("image_id", F.lit(None).cast("string"))
        files = staging.keep("files", files)
        opened = pictures.to_read(files, config)
        size = opened.agg(F.count("*").alias("n"), F.avg("size").cast("bigint").alias("mean")).first()
        assert size is not None
        n, mean = size["n"], size["mean"] or 0
        if n:
            pictures.look(context, config, opened, source.root, staging, n, mean)
    if listed["in_columns"]:
        mean = max(mean, source.mean_row_bytes)
        pictures.look_in_columns(context, config, places, source.items, staging, listed["in_columns"], mean)
        n += listed["in_columns"]
    empty = local_frame(spark, [], pictures.SEEN_DDL)
    seen = staging.read("pictures", empty) if n else empty
    checked = staging.keep("checked", pictures.check(places, files, seen, config))
    return _Pictures(checked, files, seen, n, listed["n"])


def _write_pictures(lake: Lake, config: Config, found: _Pictures, decided: DataFrame, moved: DataFrame | None) -> int:
    """Write `images` and `post_images`. Returns the number of new pictures."""
    checked = found.checked
    added = pictures.write_images(lake, config, found.seen) if found.opened else 0
    held = lake.read("post_images").drop("run_id")
    rows_ = checked.where(F.col("image_id").isNotNull()).select("post_id", "position", "image_id", "source_ref")
    whole = decided.where(F.col("is_new") & ~F.col("is_part")).select("post_id")
    scope = checked.select("post_id", "position").union(
        held.join(whole, on="post_id", how="left_semi").select("post_id", "position")
    )
    if moved is not None:
        pairs = decided.select(F.explode("old_post_ids").alias("old"), F.col("post_id").alias("new"), "is_new")
        renamed = held.join(pairs.where("old != new"), on=F.col("post_id") == F.col("old"), how="inner")
        scope = scope.union(renamed.select("post_id", "position")).union(
            renamed.where(~F.col("is_new")).select("new", "position")
        )
        rows_ = rows_.unionByName(
            renamed.where(~F.col("is_new")).select(F.col("new").alias("post_id"), "position", "image_id", "source_ref")
        )
        rows_ = (
            rows_.groupBy("post_id", "position")
            .agg(F.max(F.struct("image_id", "source_ref")).alias("last"))
            .select("post_id", "position", "last.*")
        )
    lake.write("post_images", rows_, scope=scope)
    return added


def _write_posts(lake: Lake, records: DataFrame, decided: DataFrame, moved: DataFrame | None, fresh: bool) -> None:
    """Write `posts`, `post_counts` and `users`."""
    touched = decided.select("user_id").union(decided.select(F.explode("old_user_ids"))).distinct()
    lake.write("posts", posts.rows_of(decided))
    counts = posts.counts_of(records)
    if moved is not None:
        gone = decided.select(F.explode("old_post_ids").alias("old"), F.col("post_id").alias("new")).where("old != new")
        old_counts = lake.read("post_counts").drop("run_id")
        renamed = old_counts.join(gone, on=F.col("post_id") == F.col("old"), how="inner")
        counts = (
            counts.unionByName(renamed.select(F.col("new").alias("post_id"), "crawled_at", "likes", "comments"))
            .groupBy("post_id", "crawled_at")
            .agg(F.max(F.struct("likes", "comments")).alias("counts"))
            .select("post_id", "crawled_at", "counts.*")
        )
    lake.write("post_counts", counts)
    if moved is not None:
        lake.delete("post_counts", renamed.select("post_id", "crawled_at"))
        lake.delete("posts", gone.select(F.col("old").alias("post_id")))
    lake.write("users", users.rows_of(lake, touched, users.latest_sights(records)))
    if fresh:
        return
    # Users whose last post went to another id.
    left = lake.read("users").join(touched, on="user_id", how="left_semi").select("user_id")
    lake.delete("users", left.join(lake.read("posts").select("user_id"), on="user_id", how="left_anti"))


def _source_files(source: _Source, checked: DataFrame, files: DataFrame | None, config: Config) -> DataFrame:
    """Rows for `source_files`: files that were read, those beside them, and pictures that were looked at."""
    kind = F.col("kind")
    n_records = F.count(F.when(kind.isin(rows.RECORD, rows.FAULT), 1))
    per_file = source.items.groupBy("file").agg(
        n_records.alias("records"), F.count(F.when(kind == rows.RECORD, 1)).alias("good")
    )
    # A file without any item was empty, or went before it was opened: then it isn't known as read.
    metadata = (
        source.todo.join(per_file, on="file", how="left")
        .where(F.col("records").isNotNull() | (F.col("size") == 0) | F.lit(config.crawl.format == "table"))
        .select(
            F.col("file").alias("path"),
            F.coalesce("size", F.lit(0)).cast("bigint").alias("size"),
            "modified_at",
            F.when(F.col("good") > 0, "read").when(F.col("records") > 0, "bad").otherwise("ignored").alias("status"),
            F.coalesce("records", F.lit(0)).alias("records"),
            F.lit(3).alias("rank"),
        )
    )
    none = F.lit(None).cast("bigint").alias("records")
    found = [metadata]
    if files is not None:
        good = checked.where(F.col("image_id").isNotNull()).select(F.col("source_ref").alias("file")).distinct()
        state = files.join(good.withColumn("good", F.lit(True)), on="file", how="left").where(
            F.col("size").isNotNull() & F.col("modified_at").isNotNull()
        )
        status = F.when(F.col("good"), "read").otherwise("bad").alias("status")
        for key in ("file", "canon"):
            found.append(
                state.select(F.col(key).alias("path"), "size", "modified_at", status, none, F.lit(2).alias("rank"))
            )
    if source.members is not None:
        found.append(
            source.members.select(
                F.col("file").alias("path"),
                "size",
                "modified_at",
                F.lit("ignored").alias("status"),
                none,
                F.lit(1).alias("rank"),
            )
        )
    every = found[0]
    for part in found[1:]:
        every = every.unionByName(part)
    best = F.max_by(F.struct("size", "modified_at", "status", "records"), F.struct("rank", "status"))
    return every.groupBy("path").agg(best.alias("best")).select("path", "best.*")


def _adds_up(what: str, read: int, accounted: int) -> None:
    if read != accounted:
        raise ProfilelakeError(
            f"ingest lost {what}: {read:,} read, {accounted:,} written, superseded or refused; nothing was written"
        )


def _excess(what: str, read: int, bad: int, refused: DataFrame, config: Config) -> TooManyBadRecords | None:
    """The error for more bad records or pictures than allowed; None where it is within."""
    limit = config.quarantine.max_share
    if not read or bad / read <= limit:
        return None
    top: list[Any] = refused.groupBy("reason").count().orderBy(F.desc("count"), "reason").limit(3).collect()
    reasons = ", ".join(f"{row['count']:,} {row['reason']}" for row in top)
    return TooManyBadRecords(
        f"{bad:,} of {read:,} {what} ({bad / read:.1%}) are bad, more than quarantine.max_share ({limit:.1%}) allows: "
        f"{reasons}; nothing but quarantine was written, select * from quarantine where stage = 'ingest' shows them",
        read,
        bad,
    )
