"""The pictures of posts: which have to be looked at, what they are, and the tables `images` and `post_images`.

Bytes are read once a file, by executors, in jobs of a bounded number of files, and wait in the run's staging until it
is known that the run may write.
"""

from __future__ import annotations

import functools
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from profilelake.config import Config
from profilelake.frames import local_frame, struct
from profilelake.ingest import posts
from profilelake.ingest.crawl import Root, read_bytes, vectorised
from profilelake.ingest.reading import FILES_A_JOB, byte_batches
from profilelake.ingest.staging import Staging
from profilelake.lake import Lake
from profilelake.ledger import Context
from profilelake.session import settings
from udfs.crawl import rows, walk

# The bucket comes last, as Parquet's readers give what is part of a path.
SEEN_DDL = (
    "canon string, n_bytes bigint, content binary, image_id string, format string, width int, height int, "
    "reason string, detail string, bucket int"
)


def wanted(decided: DataFrame, states: DataFrame | None, lake: Lake, root: Root | None, *, fresh: bool) -> DataFrame:
    """The pictures that this run has to look at, one row a place.

    Those of posts that a record of this run decides, and those of other posts whose file came or changed since it was
    refused or taken.

    Args:
        decided: as `posts.decide` makes them.
        states: as `reading.with_states` makes them; None for a table without a folder.
        root: the crawl's folder, if it has one.
        fresh: the lake has no post yet, so that there is nothing else to look at again.

    Returns:
        post_id, position, user_id, file (key of the picture's file; NULL where the path leaves the crawl or names no
        file, and for bytes of a table), rel, has_bytes, item_id (of the item that holds the bytes), source_ref (what
        the tables call its origin).
    """
    label = F.lit(None).cast("string") if root is None else F.lit(root.label + "/")
    is_file = F.col("image.rel").isNotNull() & (F.col("image.rel") != "") & ~F.col("has_bytes")
    file = F.when(is_file, F.concat(label, "image.rel"))
    listed = (
        decided.where("is_new")
        .withColumn("image", F.explode("images"))
        .select(
            "post_id",
            F.col("image.position").alias("position"),
            "user_id",
            file.alias("file"),
            F.col("image.rel").alias("rel"),
            "has_bytes",
            "item_id",
            F.coalesce(file, F.col("source_ref")).alias("source_ref"),
        )
    )
    if states is None or fresh:
        return listed
    changed = states.where("changed").select(F.col("file").alias("source_ref"), "rel", "known")
    refused = posts.refused_places(lake).select("post_id", "position", "source_ref")
    taken = lake.read("post_images").select("post_id", "position", "source_ref")
    again = refused.join(changed.drop("known"), on="source_ref", how="inner").unionByName(
        taken.join(changed.where(F.col("known").isNotNull()).drop("known"), on="source_ref", how="inner")
    )
    done = decided.select(F.col("post_id")).union(decided.select(F.explode("old_post_ids")))
    return listed.unionByName(
        again.join(done, on="post_id", how="left_anti")
        # a run that was killed between two tables may have left a place in both
        .groupBy("post_id", "position")
        .agg(F.max(F.struct("source_ref", "rel")).alias("last"))
        .select("post_id", "position", "last.source_ref", "last.rel")
        .join(lake.read("posts").select("post_id", "user_id"), on="post_id", how="inner")
        .select(
            "post_id",
            "position",
            "user_id",
            F.col("source_ref").alias("file"),
            "rel",
            F.lit(False).alias("has_bytes"),
            F.lit(None).cast("bigint").alias("item_id"),
            "source_ref",
        )
    )


def find_files(spark: SparkSession, places: DataFrame, states: DataFrame, root: Root) -> DataFrame:
    """The files of `places`, each once.

    Returns:
        file, canon (the file behind links to folders), rel (of `canon`; NULL where there is none), size, modified_at,
        outside, known, changed.
    """
    files = places.where(F.col("file").isNotNull()).select("file", F.col("rel").alias("given_rel")).distinct()
    state = states.select("file", "rel", "size", "modified_at", "outside", "known", "changed")
    there = files.join(state, on="file", how="inner").withColumn("canon", F.col("file")).drop("given_rel")
    absent = files.join(state.select("file"), on="file", how="left_anti").select(
        "file", F.col("given_rel").alias("rel")
    )
    if root.local is None:
        found = _hidden_ones(spark, absent, root).withColumns(
            {"outside": F.lit(False), "known": F.lit(None).cast("string"), "changed": F.lit(True)}
        )
        return there.unionByName(found.withColumn("canon", F.col("file")))
    followed = absent.mapInArrow(functools.partial(walk.follow, root=root.local), walk.FOLLOWED_DDL)
    behind = followed.withColumnRenamed("outside", "leads_out").join(state.drop("file"), on="rel", how="left")
    return there.unionByName(
        behind.select(
            "file",
            F.when(F.col("size").isNotNull(), F.col("rel")).alias("rel"),
            "size",
            "modified_at",
            (F.col("leads_out") | F.coalesce("outside", F.lit(False))).alias("outside"),
            "known",
            F.coalesce("changed", F.lit(True)).alias("changed"),
            F.concat(F.lit(root.label + "/"), "rel").alias("canon"),
        )
    )


def _hidden_ones(spark: SparkSession, absent: DataFrame, root: Root) -> DataFrame:
    """State of files that a store's listing lacks because a name begins with `.` or `_`: asked one by one, in bounded
    numbers; all others are not there."""
    jvm: Any = spark._jvm
    hidden = absent.where(F.col("rel").rlike(r"(^|/)[._]"))
    n = hidden.count()
    buckets = -(-n // FILES_A_JOB)
    found = absent.where(~F.col("rel").rlike(r"(^|/)[._]")).select(
        "file",
        F.lit(None).cast("string").alias("rel"),
        F.lit(None).cast("bigint").alias("size"),
        F.lit(None).cast("timestamp").alias("modified_at"),
    )
    for bucket in range(buckets):
        mine = hidden.where(F.pmod(F.xxhash64("file"), F.lit(buckets)) == bucket)
        states: list[tuple[str, str | None, int | None, int | None]] = []
        for file, rel in mine.collect():  # about FILES_A_JOB, whatever the size of the crawl
            path = jvm.org.apache.hadoop.fs.Path(f"{root.uri}/{rel}")
            file_system = path.getFileSystem(spark._jsc.hadoopConfiguration())
            try:
                state = file_system.getFileStatus(path)
            except Py4JJavaError as error:
                if "FileNotFoundException" not in str(error.java_exception.toString()):
                    raise
                states.append((file, None, None, None))
                continue
            states.append((file, rel, int(state.getLen()), int(state.getModificationTime())))
        schema = "file string, rel string, size bigint, modified_ms bigint"
        asked = local_frame(spark, states, schema).withColumn("modified_at", F.timestamp_millis("modified_ms"))
        found = found.unionByName(asked.drop("modified_ms"))
    return found


def with_known_ids(files: DataFrame, lake: Lake) -> DataFrame:
    """`files` with the image_id of those that are unchanged since they were taken."""
    same = files.where((F.col("known") == "read") & ~F.col("changed")).select("file")
    ids = (
        lake.read("post_images")
        .join(same, on=F.col("source_ref") == F.col("file"), how="left_semi")
        .groupBy(F.col("source_ref").alias("file"))
        .agg(F.min("image_id").alias("image_id"))
    )
    return files.join(ids, on="file", how="left")


def to_read(files: DataFrame, config: Config) -> DataFrame:
    """The files that are opened: canon, rel, size, each once."""
    return (
        files.where(
            F.col("rel").isNotNull()
            & ~F.col("outside")
            & F.col("image_id").isNull()
            & (F.col("size") > 0)
            & (F.col("size") <= config.crawl.max_image_bytes)
        )
        .select("canon", "rel", "size")
        .distinct()
    )


def look(context: Context, config: Config, files: DataFrame, root: Root, staging: Staging, n: int, mean: int) -> None:
    """Read `files` (n of them, of `mean` bytes) and keep, as `pictures`, what they are (columns of `SEEN_DDL`)."""
    spark = context.spark
    buckets = -(-n // FILES_A_JOB)
    progress = context.progress(n, "pictures")
    for bucket in range(buckets):
        mine = files.where(F.pmod(F.xxhash64("canon"), F.lit(buckets)) == bucket)
        listed = mine.select("canon", "rel").collect()  # about FILES_A_JOB, whatever the size of the crawl
        if not listed:
            continue
        pairs = [(canon, _openable(spark, f"{root.uri}/{rel}", staging, at)) for at, (canon, rel) in enumerate(listed)]
        names = local_frame(spark, pairs, "canon string, path string")
        contents = read_bytes(spark, [path for _, path in pairs], missing_ok=True).select("path", "length", "content")
        seen = contents.join(F.broadcast(names), on="path", how="inner").select(
            "canon", F.col("length").alias("n_bytes"), "content", _inspected(config).alias("seen")
        )
        with settings(spark, {**byte_batches(config, mean), "spark.sql.files.openCostInBytes": 2**16}):
            staging.keep("pictures", _seen(seen, F.lit(bucket)), by="bucket")
        progress.advance(len(pairs))


def look_in_columns(
    context: Context, config: Config, places: DataFrame, items: DataFrame, staging: Staging, n: int, mean: int
) -> None:
    """Keep, as `pictures`, what the pictures are whose bytes a table holds (n of them, a row of `mean` bytes)."""
    contents = items.where(F.col("contents").isNotNull()).select("item_id", "contents")
    bytes_ = (
        places.where("has_bytes")
        .join(contents, on="item_id", how="inner")
        .select(canon_of_bytes(), F.get("contents", F.col("position")).alias("content"))
    )
    seen = bytes_.select(
        "canon", F.length("content").cast("bigint").alias("n_bytes"), "content", _inspected(config).alias("seen")
    )
    # In buckets beside those of files, which `write_images` takes one by one.
    bucket = -1 - F.pmod(F.xxhash64("canon"), F.lit(-(-n // FILES_A_JOB))).cast("int")
    with settings(context.spark, byte_batches(config, mean)):
        staging.keep("pictures", _seen(seen, bucket), by="bucket")


def canon_of_bytes() -> Column:
    """What stands for the file of a picture whose bytes are in a column."""
    return F.concat_ws("#", "post_id", F.col("position").cast("string")).alias("canon")


def _inspected(config: Config) -> Column:
    limits = (config.crawl.max_image_bytes, config.crawl.max_image_pixels)
    return vectorised(rows.inspector(*limits), rows.SEEN_DDL)("content")


def _seen(seen: DataFrame, bucket: Column) -> DataFrame:
    good = F.col("seen.image_id").isNotNull()
    return seen.select(
        "canon", "n_bytes", F.when(good, F.col("content")).alias("content"), "seen.*", bucket.alias("bucket")
    ).select(struct(SEEN_DDL).names)


def _openable(spark: SparkSession, uri: str, staging: Staging, at: int) -> str:
    """A URI that Spark's readers open: of a name that begins with `.` or `_`, which they pass over, a copy."""
    name = uri.rsplit("/", 1)[-1]
    if not name.startswith((".", "_")):
        return uri
    jvm: Any = spark._jvm
    conf = spark._jsc.hadoopConfiguration()
    source = jvm.org.apache.hadoop.fs.Path(uri)
    copy = jvm.org.apache.hadoop.fs.Path(f"{staging.path}/hidden/{at}-{abs(hash(name))}")
    jvm.org.apache.hadoop.fs.FileUtil.copy(
        source.getFileSystem(conf), source, copy.getFileSystem(conf), copy, False, True, conf
    )
    return str(copy.getFileSystem(conf).makeQualified(copy).toString())


def check(places: DataFrame, files: DataFrame | None, seen: DataFrame, config: Config) -> DataFrame:
    """What came of each place: post_id, position, user_id, source_ref, image_id or reason and detail."""
    found = seen.select(
        F.col("canon"), F.col("image_id").alias("new_id"), F.col("reason").alias("bad"), F.col("detail").alias("why")
    )
    if files is None:
        known = places.withColumns(
            {"canon": canon_of_bytes(), "outside": F.lit(False), "image_id": F.lit(None).cast("string")}
        ).withColumns({"found_rel": F.col("rel"), "size": F.lit(0).cast("bigint")})
    else:
        named = files.select("file", "canon", F.col("rel").alias("found_rel"), "size", "outside", "image_id")
        known = places.join(named, on="file", how="left").withColumn(
            "canon", F.when(F.col("has_bytes"), canon_of_bytes()).otherwise(F.col("canon"))
        )
    limit = config.crawl.max_image_bytes
    judged = known.join(found, on="canon", how="left").withColumn("image_id", F.coalesce("image_id", "new_id"))
    too_large = F.col("size") > limit
    is_bytes = F.col("has_bytes")
    # Spark's readers pass over files without bytes: the listing alone tells of them.
    is_empty = F.col("found_rel").isNotNull() & (F.col("size") == 0)
    reason = (
        F.when(F.col("image_id").isNotNull(), F.lit(None).cast("string"))
        .when(F.col("bad").isNotNull(), F.col("bad"))
        .when(is_bytes, "image_missing")
        .when(F.col("rel").isNull() | F.coalesce("outside", F.lit(False)), "path_outside_crawl")
        .when(F.col("found_rel").isNotNull() & too_large, "image_too_many_bytes")
        .when(is_empty, "not_an_image")
        .otherwise("image_missing")
    )
    judged = judged.withColumn("reason", reason)
    detail = (
        F.when(F.col("bad").isNotNull(), F.col("why"))
        .when(F.col("reason") == "path_outside_crawl", "the listed path leaves the crawl: it is never opened")
        .when(
            F.col("reason") == "image_too_many_bytes",
            F.concat(F.format_number("size", 0), F.lit(f" bytes, more than {limit:,}")),
        )
        .when(is_empty, "the file is empty")
        .when(F.col("found_rel").isNotNull(), "the file could not be read: it may have gone meanwhile")
        .otherwise("there is no such file in the crawl")
    )
    return judged.select(
        "post_id",
        "position",
        "user_id",
        "source_ref",
        "image_id",
        "reason",
        F.when(F.col("reason").isNotNull(), detail).alias("detail"),
    )


def write_images(lake: Lake, config: Config, seen: DataFrame) -> int:
    """Add the contents that `images` lacks, each once, in commits of a bounded number of pictures. Returns how many
    are new."""
    new = (
        seen.where(F.col("image_id").isNotNull())
        .groupBy("image_id")
        .agg(F.min(F.struct("canon", "bucket", "n_bytes")).alias("first"))
        .join(lake.read("images").select("image_id"), on="image_id", how="left_anti")
        .select("image_id", "first.*")
    ).localCheckpoint()  # each commit looks at its own, and `images` changes with every one
    buckets = new.groupBy("bucket").agg(F.count("*").alias("n"), F.sum("n_bytes").alias("n_bytes"))
    added = 0
    for bucket, n, n_bytes in sorted(buckets.collect()):  # one row for FILES_A_JOB pictures
        # The keys of one bucket are few: broadcast, the bytes stay where they are.
        mine = F.broadcast(new.where(F.col("bucket") == bucket).select("canon"))
        contents = (
            seen.where(F.col("bucket") == bucket)
            .join(mine, on="canon", how="left_semi")
            .select("image_id", "content", "format", "width", "height", "n_bytes")
        )
        with settings(lake.spark, byte_batches(config, n_bytes // n)):
            added += lake.write("images", contents, n_bytes=n_bytes).inserted
    return added
