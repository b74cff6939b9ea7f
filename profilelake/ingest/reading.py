"""Which metadata files are read, and the items that they hold: one adapter a format, one schema behind them."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from datetime import UTC, datetime

from delta.tables import DeltaTable
from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from profilelake.config import Config
from profilelake.errors import ConfigError, ProfilelakeError
from profilelake.frames import local_frame, struct
from profilelake.ingest.crawl import (
    JSONL_FILES,
    SIDECAR_FILES,
    Root,
    check,
    escaped,
    has_scheme,
    label_of,
    qualified,
    read_bytes,
    root_at,
    vectorised,
)
from profilelake.ingest.staging import Staging
from profilelake.lake import Lake
from profilelake.session import settings
from udfs.crawl import gallery_dl, instaloader, jsonl, rows
from udfs.crawl import table as table_format

log = logging.getLogger("profilelake.ingest")

# Files opened by one Spark job. Their paths are on the driver meanwhile, and this bounds them.
FILES_A_JOB = 5000
# A gzip file goes to one worker as a whole, and its bytes are several times in memory on the way.
MAX_GZIP_BYTES = 256 * 2**20
MAX_CAPTION_BYTES = 2**20
# A line that is longer never reaches Python and is passed over by Hadoop's reader; what `max_line_bytes` of a record
# allows is far below.
_MAX_READER_LINE = 256 * 2**20
_LINES_A_BATCH = 1000
_NAME_NOT_UTF8 = "the file's name is no UTF-8, so that it cannot be opened: rename it"
_LEADS_OUTSIDE = "a link to outside of the crawl: it is never followed"

JSON_LIMIT = max(instaloader.MAX_JSON_BYTES, gallery_dl.MAX_JSON_BYTES)


def with_states(listing: DataFrame, lake: Lake, *, reread: bool) -> DataFrame:
    """The listing with `known` (the status in source_files, NULL for a new file) and `changed` (it has to be read)."""
    held = lake.read("source_files").select(
        F.col("path").alias("file"),
        F.col("size").alias("held_size"),
        F.col("modified_at").alias("held_at"),
        F.col("status").alias("known"),
    )
    same = (F.col("size") == F.col("held_size")) & (F.col("modified_at") == F.col("held_at"))
    changed = F.lit(True) if reread else ~F.coalesce(same, F.lit(False))
    return listing.join(held, on="file", how="left").withColumn("changed", changed).drop("held_size", "held_at")


def all_new(listing: DataFrame) -> DataFrame:
    """The same for a lake that knows no file yet."""
    return listing.withColumns({"known": F.lit(None).cast("string"), "changed": F.lit(True)})


def is_metadata(config: Config) -> Column:
    """Whether a row of the listing is a file that the crawl's format looks at (for a sidecar format pictures too)."""
    pattern = JSONL_FILES if config.crawl.format == "jsonl" else SIDECAR_FILES
    name = F.element_at(F.split("rel", "/"), -1)
    return ~F.col("hidden") & (name.rlike(pattern) | (F.col("is_folder") & F.col("outside")))


def since(config: Config) -> Column:
    """Whether a row of the listing is as new as crawl.since asks."""
    return (
        F.lit(True)
        if config.crawl.since is None
        else F.col("modified_at") >= F.lit(config.crawl.since).cast("timestamp")
    )


def readings(states: DataFrame, config: Config, root: Root) -> DataFrame:
    """The metadata files to read: columns of `rows.READING_DDL`, modified_at, and `problem` (why it is not opened).

    A file is read when it changed; a sidecar also when a file beside it came or changed, since what it lists depends
    on them.
    """
    metadata = states.where(is_metadata(config))
    problem = (
        F.when(F.col("outside"), F.lit(_LEADS_OUTSIDE)).when(F.col("unnamed"), F.lit(_NAME_NOT_UTF8)).alias("problem")
    )
    if config.crawl.format == "jsonl":
        return metadata.where(F.col("changed") & since(config)).select(
            "file",
            "rel",
            "size",
            F.lit(None).cast("array<string>").alias("names"),
            F.lit(None).cast("string").alias("text_rel"),
            F.lit(None).cast("bigint").alias("text_size"),
            F.lit(None).cast("string").alias("stem"),
            "modified_at",
            problem,
        )
    crawler = config.crawl.format
    ordinary = metadata.where(~F.col("outside") & ~F.col("unnamed"))
    grouped = groups(ordinary, crawler).select("folder", "members")
    found = grouped.mapInArrow(functools.partial(rows.group_posts, crawler=crawler, label=root.label), rows.READING_DDL)
    times = ordinary.select("file", "modified_at")
    good = (
        found.join(times, on="file", how="inner").where(since(config)).withColumn("problem", F.lit(None).cast("string"))
    )
    name = F.lower("rel")
    # Of links to outside only those to metadata and to folders are records; a picture's is found with its post.
    bad = metadata.where(
        F.col("changed")
        & since(config)
        & (F.col("outside") | F.col("unnamed"))
        & (name.rlike(r"\.json(\.xz)?$") | F.col("is_folder"))
    ).select(
        "file",
        "rel",
        "size",
        F.lit(None).cast("array<string>").alias("names"),
        F.lit(None).cast("string").alias("text_rel"),
        F.lit(None).cast("bigint").alias("text_size"),
        F.lit(None).cast("string").alias("stem"),
        "modified_at",
        problem,
    )
    return good.unionByName(bad)


def groups(files: DataFrame, crawler: str) -> DataFrame:
    """Files of a sidecar format that belong together, where one of them changed: folder, key, members
    array<struct<name, size, modified_at>>."""
    key = vectorised(rows.group_keys(crawler), "string")
    name = F.element_at(F.split("rel", "/"), -1)
    return (
        files.withColumn("name", name)
        .withColumn("folder", F.expr("substring(rel, 1, greatest(length(rel) - length(name) - 1, 0))"))
        .withColumn("key", key("name"))
        .where(F.col("key").isNotNull())
        .groupBy("folder", "key")
        .agg(
            F.max("changed").alias("changed"),
            F.collect_list(F.struct("name", "size", "modified_at")).alias("members"),
        )
        .where("changed")
        .drop("changed")
    )


def read_items(spark: SparkSession, config: Config, root: Root, todo: DataFrame, staging: Staging) -> DataFrame:
    """The items of `todo` (kept readings), kept: columns of `rows.ITEM_DDL`.

    Raises:
        ConfigError: a gzip file is too large to be read in one piece.
    """
    large_gzip = F.lower("rel").endswith(".gz") & (F.col("size") > MAX_GZIP_BYTES)
    counts = todo.agg(
        F.count(F.when(_is_opened(), 1)).alias("opened"),
        F.count(F.when(~_is_opened(), 1)).alias("closed"),
        F.min(F.when(large_gzip, F.struct("file", "size"))).alias("large"),
        F.max("size").alias("largest"),
    ).first()
    assert counts is not None
    if counts["large"] is not None:
        raise ConfigError(
            f"{counts['large']['file']} has {counts['large']['size']:,} bytes: a gzip file above {MAX_GZIP_BYTES:,} is "
            "not read, since it cannot be read in pieces; unpack it (plain .jsonl files may have any size) or split it"
        )
    kept = no_items(spark)
    if counts["closed"]:
        kept = staging.keep("items", _without_opening(todo))
    chunks = -(-counts["opened"] // FILES_A_JOB)
    parse = _parse_jsonl if config.crawl.format == "jsonl" else _parse_sidecars
    for chunk in range(chunks):
        mine = todo.where(_is_opened() & (F.pmod(F.xxhash64("file"), F.lit(chunks)) == chunk))
        with settings(spark, {"spark.sql.execution.arrow.maxRecordsPerBatch": _LINES_A_BATCH}):
            parsed = parse(spark, config, root, mine)
            if parsed is not None:
                kept = staging.keep("items", parsed)
    if config.crawl.format == "jsonl" and (counts["largest"] or 0) > _MAX_READER_LINE:
        kept = staging.keep("items", _passed_over(kept, todo))
    return kept


def _is_opened() -> Column:
    return F.col("problem").isNull() & F.col("stem").isNull() & ~_is_misfit()


def _is_misfit() -> Column:
    """A sidecar that is too large, or empty: Spark's readers pass over files without bytes."""
    return F.lower("rel").rlike(r"\.json(\.xz)?$") & ((F.col("size") > JSON_LIMIT) | (F.col("size") == 0))


def _without_opening(todo: DataFrame) -> DataFrame:
    """Faults that the listing alone tells."""
    without = F.col("stem").isNotNull()
    reason = (
        F.when(F.col("problem") == _LEADS_OUTSIDE, "path_outside_crawl")
        .when(F.col("problem").isNotNull(), "bad_json")
        .when(without, "missing_field")
        .otherwise("bad_json")
    )
    detail = (
        F.when(F.col("problem").isNotNull(), F.col("problem"))
        .when(
            without,
            F.concat(F.lit("no sidecar "), "stem", F.lit(".json.xz: run instaloader without --no-metadata-json")),
        )
        .when(F.col("size") == 0, "the file is empty")
        .otherwise(F.concat(F.col("size").cast("string"), F.lit(f" bytes, more than {JSON_LIMIT:,}")))
    )
    values = {
        "kind": F.lit(rows.FAULT),
        "file": F.col("file"),
        "block_start": F.lit(0),
        "line": F.lit(1),
        "modified_at": F.col("modified_at"),
        "reason": reason,
        "detail": detail,
    }
    return todo.where(~_is_opened()).select(
        *[values.get(f.name, F.lit(None)).cast(f.dataType).alias(f.name) for f in struct(rows.ITEM_DDL).fields]
    )


def _uris(files: DataFrame, root: Root, column: str = "rel") -> list[str]:
    # One job's paths, about FILES_A_JOB of them whatever the size of the crawl.
    return [f"{root.uri}/{row[0]}" for row in files.select(column).collect()]


def _parse_jsonl(spark: SparkSession, config: Config, root: Root, files: DataFrame) -> DataFrame | None:
    uris = _uris(files, root)
    packed = [uri for uri in uris if uri.lower().endswith(".gz")]
    plain = [uri for uri in uris if not uri.lower().endswith(".gz")]
    source = config.crawl.source
    parsed = []
    if plain:
        value = F.col("value").cast("binary")
        limit = jsonl.MAX_LINE_BYTES + 1
        lines = (
            spark.read.format("text")
            .option("lineSep", "\n")
            .option("mapreduce.input.linerecordreader.line.maxlength", str(_MAX_READER_LINE))
            .load([escaped(uri) for uri in plain])
            .select(
                F.substring(value, 1, limit).alias("value"),
                F.length(value).cast("bigint").alias("length"),
                F.col("_metadata.file_path").alias("path"),
                F.col("_metadata.file_block_start").alias("block_start"),
                F.col("_metadata.file_modification_time").alias("modified_at"),
            )
        )
        parse = functools.partial(rows.parse_lines, root=root.uri, label=root.label, source=source)
        parsed.append(lines.mapInArrow(parse, rows.ITEM_DDL))
    if packed:
        contents = read_bytes(spark, packed).select(
            "content", _file(root), F.col("modificationTime").alias("modified_at")
        )
        parsed.append(contents.mapInArrow(functools.partial(rows.parse_gzip, source=source), rows.ITEM_DDL))
    return functools.reduce(DataFrame.unionByName, parsed) if parsed else None


def _file(root: Root) -> Column:
    return F.concat(F.lit(root.label + "/"), F.expr(f"substring(path, {len(root.uri) + 2})")).alias("file")


def _parse_sidecars(spark: SparkSession, config: Config, root: Root, files: DataFrame) -> DataFrame | None:
    uris = _uris(files, root)
    if not uris:
        return None
    contents = read_bytes(spark, uris).select("content", _file(root))
    wanted = F.col("text_rel").isNotNull() & (F.col("text_size") <= MAX_CAPTION_BYTES)
    texts = _uris(files.where(wanted), root, "text_rel")
    joined = contents.join(F.broadcast(files), on="file", how="inner")
    if texts:
        captions = read_bytes(spark, texts).select(
            F.col("content").alias("text"), F.expr(f"substring(path, {len(root.uri) + 2})").alias("text_rel")
        )
        joined = joined.join(captions, on="text_rel", how="left")
    else:
        joined = joined.withColumn("text", F.lit(None).cast("binary"))
    parse = functools.partial(rows.parse_sidecars, crawler=config.crawl.format)
    selected = joined.select("content", "file", "rel", "modified_at", "names", "text")
    return selected.mapInArrow(parse, rows.ITEM_DDL)


def numbered(items: DataFrame, *, cut: bool) -> DataFrame:
    """Items with their final line and `source_ref` `<file>:<line>` (of a table `<file>:<row key>`); blocks leave.

    `cut`: Spark read some file in several pieces, so that a line's number is its place behind the pieces before.
    """
    lines = F.col("line")
    if cut:
        blocks = items.where(F.col("kind") == rows.BLOCK).select("file", "block_start", F.col("line").alias("n"))
        # Few rows: one a piece of a file, of 128 MB or so.
        before = (
            blocks.alias("a")
            .join(
                blocks.alias("b"),
                on=(F.col("a.file") == F.col("b.file")) & (F.col("b.block_start") < F.col("a.block_start")),
                how="left",
            )
            .groupBy("a.file", "a.block_start")
            .agg(F.coalesce(F.sum("b.n"), F.lit(0)).alias("before"))
        )
        items = items.join(before, on=["file", "block_start"], how="left")
        lines = F.col("line") + F.coalesce("before", F.lit(0))
    return (
        items.where(F.col("kind") != rows.BLOCK)
        .withColumn("line", lines)
        .withColumn("source_ref", F.concat("file", F.lit(":"), F.coalesce("row_key", F.col("line").cast("string"))))
        .drop("block_start", "block_bytes")
    )


def _passed_over(items: DataFrame, todo: DataFrame) -> DataFrame:
    """Faults for plain files of which Hadoop's reader passed over a line that no memory would hold: their pieces
    have fewer bytes than the file."""
    read = items.where(F.col("block_bytes").isNotNull()).groupBy("file").agg(F.sum("block_bytes").alias("n"))
    short = read.join(todo.select("file", "size", "modified_at"), on="file", how="inner").where(
        F.col("n") + len(b"\xef\xbb\xbf") < F.col("size")
    )
    values = {
        "kind": F.lit(rows.FAULT),
        "file": F.col("file"),
        "block_start": F.lit(0),
        "line": F.lit(0),
        "modified_at": F.col("modified_at"),
        "reason": F.lit("bad_json"),
        "detail": F.lit(
            f"a line of more than {_MAX_READER_LINE:,} bytes was passed over; lines behind it are numbered without it"
        ),
    }
    return short.select(
        *[values.get(f.name, F.lit(None)).cast(f.dataType).alias(f.name) for f in struct(rows.ITEM_DDL).fields]
    )


# --- tables -----------------------------------------------------------------------------------------------------------


class TableCrawl:
    """A crawl that is a table: where it is, how it is read, and by what a change of it is seen.

    `root`: below which picture paths lie; `uri` is None for a table of the catalog, which has no folder.
    """

    def __init__(self, spark: SparkSession, config: Config) -> None:
        check(config)
        self._config = config
        path = str(config.crawl.path)
        self.label = label_of(config)
        self.root: Root | None = None
        if "/" not in path and not has_scheme(path) and _is_table(spark, path):
            self._frame = spark.table(path)
            self.size, self.modified_at = _catalog_state(spark, path)
        else:
            found, file_system = qualified(spark, path)
            if not file_system.exists(found):
                raise ConfigError(f"there is no table and no folder {path} (crawl.path)")
            folder = found if file_system.getFileStatus(found).isDirectory() else found.getParent()
            self.root = root_at(folder, file_system, self.label)
            uri = str(found.toString())
            if DeltaTable.isDeltaTable(spark, uri):
                self._frame = spark.read.format("delta").load(uri)
                self.size, self.modified_at = _delta_state(DeltaTable.forPath(spark, uri))
            else:
                self._frame = self._parquet(spark, uri)
                self.size, self.modified_at = _folder_state(spark, uri)
        self.columns = self._columns()

    def _parquet(self, spark: SparkSession, uri: str) -> DataFrame:
        reader = spark.read.option("pathGlobFilter", "*.parquet")
        try:
            return reader.parquet(escaped(uri))
        except AnalysisException as error:
            raise ConfigError(
                f"{self._config.crawl.path} (crawl.path) is neither a Delta table nor Parquet files (*.parquet)"
            ) from error

    def _columns(self) -> dict[str, str]:
        """Field to column: the configured ones, and those of a field's own name."""
        names = self._frame.columns
        absent = sorted(column for column in self._config.crawl.columns.values() if column not in names)
        if absent:
            raise ConfigError(
                f"crawl.columns names {', '.join(absent)}, which {self._config.crawl.path} has not; its columns are "
                f"{', '.join(names)}"
            )
        own = {field: field for field in table_format.FIELDS if field in names}
        found = {**own, **self._config.crawl.columns}
        if self.root is None and "images" in found and table_format.IMAGE_BYTES not in found:
            raise ConfigError(
                f"crawl.columns: {self._config.crawl.path} is a table of the catalog, below which there are no "
                "pictures: give their bytes as image_bytes"
            )
        return found

    def is_unchanged(self, lake: Lake) -> bool:
        """Whether source_files knows the table as it is."""
        if self._config.crawl.reread or self.size is None:
            return False
        held = lake.read("source_files").where(F.col("path") == self.label).select("size", "modified_at").first()
        return held is not None and held["size"] == self.size and held["modified_at"] == _naive(self.modified_at)

    def todo(self, spark: SparkSession) -> DataFrame:
        """The table as the one thing to read."""
        row = (self.label, None, self.size, None, None, None, None, self.modified_at or datetime.now(UTC), None)
        return local_frame(spark, [row], rows.READING_DDL + ", modified_at timestamp, problem string")

    def read_items(self, spark: SparkSession, staging: Staging) -> DataFrame:
        """Its items, kept."""
        parse = functools.partial(
            rows.parse_table,
            columns=self.columns,
            file=self.label,
            modified_at=self.modified_at or datetime.now(UTC),
            source=self._config.crawl.source,
        )
        wanted = sorted(set(self.columns.values()))
        items = (
            self._frame.select(*[F.col(f"`{name}`") for name in wanted])
            .mapInArrow(parse, rows.ITEM_DDL)
            .withColumn("item_id", F.monotonically_increasing_id())
        )
        with settings(spark, self._batches()):
            return staging.keep("items", items)

    def _batches(self) -> Mapping[str, object]:
        """Rows a batch, from the bytes that a row takes where pictures are a column."""
        if table_format.IMAGE_BYTES not in self.columns:
            return {"spark.sql.execution.arrow.maxRecordsPerBatch": _LINES_A_BATCH}
        n = max(1, self._frame.count())
        return byte_batches(self._config, (self.size or n * self._config.crawl.max_image_bytes) // n)


def byte_batches(config: Config, mean_bytes: int) -> dict[str, object]:
    """Settings under which neither an Arrow batch nor one of Spark's column batches of picture bytes grows beyond
    spark.arrow_batch_bytes, whatever the size of this crawl's pictures."""
    rows_a_batch = max(1, min(1000, config.spark.arrow_batch_bytes // max(1, mean_bytes)))
    return {
        "spark.sql.execution.arrow.maxRecordsPerBatch": rows_a_batch,
        "spark.sql.parquet.columnarReaderBatchSize": rows_a_batch,
    }


def no_items(spark: SparkSession) -> DataFrame:
    """No items."""
    return local_frame(spark, [], rows.ITEM_DDL)


def _naive(moment: datetime | None) -> datetime | None:
    # Spark hands timestamps over as naive datetimes in the driver's own zone.
    return None if moment is None else moment.astimezone().replace(tzinfo=None)


def _is_table(spark: SparkSession, name: str) -> bool:
    try:
        return spark.catalog.tableExists(name)
    except AnalysisException:
        return False


def _catalog_state(spark: SparkSession, name: str) -> tuple[int | None, datetime | None]:
    try:
        return _delta_state(DeltaTable.forName(spark, name))
    except AnalysisException:
        return None, None  # a view, or a table of another format: it is read every time


def _delta_state(found: DeltaTable) -> tuple[int | None, datetime | None]:
    row = found.detail().select("sizeInBytes", "lastModified").first()
    assert row is not None
    return int(row["sizeInBytes"]), row["lastModified"].astimezone(UTC)


def _folder_state(spark: SparkSession, uri: str) -> tuple[int | None, datetime | None]:
    files = spark.read.format("binaryFile").option("pathGlobFilter", "*.parquet").load(escaped(uri))
    row = files.agg(F.sum("length").alias("size"), F.max("modificationTime").alias("at")).first()
    if row is None or row["size"] is None:
        raise ProfilelakeError(f"{uri} (crawl.path) holds no *.parquet file")
    return int(row["size"]), row["at"].astimezone(UTC)
