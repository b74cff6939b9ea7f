"""Where a crawl is, what files it holds, and how they are opened: always through Spark."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf

from profilelake.config import Config
from profilelake.errors import ConfigError
from udfs.crawl import walk

# Files that a sidecar format looks at: metadata, captions, pictures. Everything else in a crawl is a stranger.
SIDECAR_FILES = r"(?is)^[^._][^/]*\.(json\.xz|json|txt|jpe?g|png|webp|gif|bmp|tiff?|hei[cf]|avif)$"
JSONL_FILES = r"(?is)^[^._][^/]*\.jsonl(\.gz)?$"
_GLOB = re.compile(r"([{}\[\]*?\\])")


@dataclass(frozen=True)
class Root:
    """A crawl's folder: `uri` is qualified and without a slash at its end, `local` its path where the file system is
    this machine's (or mounted on every machine), `label` what stands before paths in record ids."""

    uri: str
    local: str | None
    label: str


def check(config: Config) -> None:
    """What can be said about a crawl before Spark starts.

    Raises:
        ConfigError: no crawl is given, or a local one is not there.
    """
    path = config.crawl.path
    if path is None or not path.strip():
        raise ConfigError("crawl.path is not set: say where the crawl is, such as crawl.path=data/crawl")
    if config.crawl.format == "table":
        return  # may be a table's name
    local = _local_path(path)
    if local is None:
        return
    if not os.path.exists(local):
        raise ConfigError(f"there is no crawl at {path} (crawl.path): the folder does not exist")
    if not os.path.isdir(local):
        raise ConfigError(f"crawl.path must be the crawl's folder, {path} is a file: give the folder that it is in")


def _local_path(path: str) -> str | None:
    """The path on this machine; None for another file system, or where only the cluster knows which one is meant."""
    if path.startswith("file:"):
        return "/" + path.removeprefix("file:").lstrip("/")
    if has_scheme(path):
        return None
    elsewhere = ("HADOOP_CONF_DIR", "YARN_CONF_DIR", "DATABRICKS_RUNTIME_VERSION")
    return None if any(os.environ.get(name) for name in elsewhere) else path


def has_scheme(path: str) -> bool:
    """Whether a path is a URI such as s3://bucket/folder."""
    return ":" in path.split("/", 1)[0]


def qualified(spark: SparkSession, path: str) -> tuple[Any, Any]:
    """(Hadoop path, its file system) of a local path or any Hadoop URI."""
    jvm: Any = spark._jvm
    hadoop = jvm.org.apache.hadoop.fs.Path(path if has_scheme(path) else os.path.abspath(path))
    file_system = hadoop.getFileSystem(spark._jsc.hadoopConfiguration())
    return file_system.makeQualified(hadoop), file_system


def find_root(spark: SparkSession, config: Config) -> Root:
    """The crawl's folder.

    Raises:
        ConfigError: there is none, or it is a file.
    """
    check(config)
    path, file_system = qualified(spark, str(config.crawl.path))
    if not file_system.exists(path):
        raise ConfigError(f"there is no crawl at {config.crawl.path} (crawl.path): the folder does not exist")
    if not file_system.getFileStatus(path).isDirectory():
        raise ConfigError(f"crawl.path must be the crawl's folder, {config.crawl.path} is a file: give its folder")
    return root_at(path, file_system, label_of(config))


def root_at(path: Any, file_system: Any, label: str) -> Root:
    """The root for a qualified Hadoop path."""
    local = str(path.toUri().getPath()) if file_system.getUri().getScheme() == "file" else None
    return Root(str(path.toString()).rstrip("/"), local, label)


def label_of(config: Config) -> str:
    """`crawl.name`, else the folder's own name."""
    label = config.crawl.label
    return label if label not in ("", ".", "..") else Path(str(config.crawl.path)).resolve().name or "crawl"


def escaped(path: str) -> str:
    """A path for a Spark reader that would take its brackets, stars and question marks for a pattern."""
    return _GLOB.sub(r"\\\1", path)


def vectorised(function: Callable[..., Any], returns: str) -> Callable[[str | Column], Column]:
    """A pandas function as a function of columns; `returns` is a type or column list in SQL."""
    made: Any = pandas_udf(function, returns)  # type: ignore[call-overload]
    return lambda column: cast(Column, made(column))


def list_files(spark: SparkSession, root: Root) -> DataFrame:
    """Every file of a crawl.

    Returns:
        file (string, path below the crawl behind the label), rel (path below the crawl), size (bytes), modified_at
        (to the millisecond), hidden (a name on the path begins with `.` or `_`), outside (a link that leaves the
        crawl; size and time are the link's), is_folder (true only for a link to a folder outside), unnamed (the name
        is no UTF-8 and cannot be opened).
    """
    found = _walked(spark, root.local) if root.local is not None else _listed(spark, root)
    return found.select(
        F.concat(F.lit(root.label + "/"), "rel").alias("file"),
        "rel",
        "size",
        "modified_at",
        "hidden",
        "outside",
        "is_folder",
        "unnamed",
    )


def _walked(spark: SparkSession, folder: str) -> DataFrame:
    """The listing of a local file system, made by executors, a task for some of the folders below the root."""
    tasks = max(2, spark.sparkContext.defaultParallelism)
    top = spark.range(1, numPartitions=1).select(F.lit("").alias("rel"))
    first = top.mapInArrow(functools.partial(walk.list_folders, root=folder, deep=False), walk.LISTING_DDL)
    is_own_folder = F.col("is_folder") & ~F.col("outside") & ~F.col("unnamed")
    deeper = (
        first.where(is_own_folder)
        .select("rel")
        .repartition(tasks)
        .mapInArrow(functools.partial(walk.list_folders, root=folder, deep=True), walk.LISTING_DDL)
    )
    return first.where(~is_own_folder).unionByName(deeper).withColumn("modified_at", F.timestamp_millis("modified_ms"))


def _listed(spark: SparkSession, root: Root) -> DataFrame:
    """The listing of a store that has no links, by Spark; names that begin with `.` or `_` are not in it."""
    files = (
        spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(escaped(root.uri))
    )  # content is not selected, so nothing is opened
    return files.select(
        F.expr(f"substring(path, {len(root.uri) + 2})").alias("rel"),
        F.col("length").alias("size"),
        F.col("modificationTime").alias("modified_at"),
        F.lit(False).alias("hidden"),
        F.lit(False).alias("outside"),
        F.lit(False).alias("is_folder"),
        F.lit(False).alias("unnamed"),
    )


def read_bytes(spark: SparkSession, uris: Sequence[str], *, missing_ok: bool = False) -> DataFrame:
    """Files as Spark's binaryFile gives them: path, modificationTime, length, content.

    With `missing_ok` a file that goes while it is read, or may not be read, has no row.
    """
    reader = spark.read.format("binaryFile")
    if missing_ok:
        reader = reader.option("ignoreMissingFiles", "true").option("ignoreCorruptFiles", "true")
    return reader.load([escaped(uri) for uri in uris])
