"""The only place that builds a SparkSession: Delta, Arrow, UTC, ANSI, the same on a laptop and on a cluster."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyspark
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from profilelake import failures
from profilelake.config import Config
from profilelake.errors import ConfigError, ProfilelakeError

log = logging.getLogger("profilelake.session")

# Fixed when a session starts: a session that somebody else started has them or it has not.
STATIC = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}
RUNTIME = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # Shortened tracebacks are an environment variable of SQL's Python workers that RDDs' lack: Spark would keep two
    # daemons with all that they have loaded, each with workers of its own.
    "spark.sql.execution.pyspark.udf.simplifiedTraceback.enabled": "false",
    # Rows that a stage keeps meanwhile, mostly on disk: compressing them takes longer than writing more.
    "spark.sql.inMemoryColumnarStorage.compressed": "false",
    # A MERGE of ours has one source row a key by construction; a schema never changes behind tables.py.
    "spark.databricks.delta.schema.autoMerge.enabled": "false",
}


def _local_only(config: Config) -> dict[str, str]:
    """What makes small tables quick on one machine and would throttle a cluster."""
    return {
        "spark.sql.shuffle.partitions": str(config.spark.local_shuffle_partitions),
        "spark.databricks.delta.snapshotPartitions": "1",
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "2",
    }


def get_session(config: Config, app_name: str = "profilelake") -> SparkSession:
    """The running session, or a new one.

    A session that already runs (a notebook, a cluster's own) is used as it is: its runtime settings are set to ours
    and a warning names each setting that can no longer be changed.

    Raises:
        ProfilelakeError: Spark doesn't start, or the running session has no Delta.
    """
    running = _running()
    if running is not None:
        return _adopt(running, config)
    # Executors of a local master must run this interpreter, or they lack our packages.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    # Spark says at every start which of the machine's addresses it took; a local master needs none but its own.
    if config.spark.master.startswith("local"):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    builder = SparkSession.builder.appName(app_name)
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ  # spark-submit has fixed master and memory already
    if not submitted:
        own = Path(pyspark.__file__).parent
        if (own / "jars").is_dir():  # a SPARK_HOME of another Spark would start that one's JVM
            os.environ["SPARK_HOME"] = str(own)
        builder = builder.master(config.spark.master).config("spark.driver.memory", config.spark.driver_memory)
    for key, value in {**STATIC, **RUNTIME}.items():
        builder = builder.config(key, value)
    # The in-memory catalog makes a folder for its default schema; nobody wants it in the current folder.
    builder = builder.config("spark.sql.warehouse.dir", Path(tempfile.gettempdir(), "profilelake-warehouse").as_uri())
    try:
        spark = builder.getOrCreate()
    except Exception as error:
        raise ProfilelakeError(
            f"Spark does not start: {_first_line(error)}. Is there a Java 17 or 21 (JAVA_HOME, PATH)? "
            "`make setup` installs one where there is none."
        ) from error
    _quiet(spark)
    failures.remember_interrupts()
    return _adopt(spark, config)


def _running() -> SparkSession | None:
    """The session that this process has. Active is a matter of threads, the default one is everybody's."""
    default = SparkSession._instantiatedSession
    if default is not None and default._sc._jsc is None:
        default = None  # it was stopped
    return SparkSession.getActiveSession() or default


def _adopt(spark: SparkSession, config: Config) -> SparkSession:
    for key, value in STATIC.items():
        found = spark.conf.get(key, None)
        if found is None or value not in str(found):
            log.warning("this session has %s=%s, not %s: it was started by somebody else", key, found, value)
    wanted = dict(RUNTIME)
    if str(spark.sparkContext.master).startswith("local"):
        wanted |= _local_only(config)
    for key, value in wanted.items():
        try:
            spark.conf.set(key, value)
        except PySparkException as error:
            log.warning("this session keeps %s=%s: %s", key, spark.conf.get(key, None), _first_line(error))
    _require_delta(spark)
    return spark


def _require_delta(spark: SparkSession) -> None:
    try:
        spark._jvm.java.lang.Class.forName(  # type: ignore[union-attr]
            "io.delta.sql.DeltaSparkSessionExtension",
            True,
            spark._jvm.Thread.currentThread().getContextClassLoader(),  # type: ignore[union-attr]
        )
    except Exception as error:
        raise ProfilelakeError(
            "Delta Lake's jars are not on this session's class path: `make setup` puts them there; on a cluster use "
            "a runtime that has Delta, or spark-submit --packages (docs/stack.md names the versions)"
        ) from error


def _quiet(spark: SparkSession) -> None:
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        spark.sparkContext.setLogLevel("ERROR")


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0]


@contextmanager
def session(config: Config, app_name: str = "profilelake") -> Iterator[SparkSession]:
    """A session for one job: what this call started it stops, what it found it leaves running."""
    found = _running() is not None
    spark = get_session(config, app_name)
    try:
        yield spark
    finally:
        if not found:
            spark.stop()


@contextmanager
def settings(spark: SparkSession, values: Mapping[str, object]) -> Iterator[None]:
    """Session settings for as long as a block runs."""
    before = {key: spark.conf.get(key, None) for key in values}
    try:
        for key, value in values.items():
            spark.conf.set(key, str(value))
        yield
    finally:
        for key, old in before.items():
            if old is None:
                spark.conf.unset(key)
            else:
                spark.conf.set(key, old)


def require_importable() -> None:
    """`udfs` and `jobs` are common names: what executors import by name must be ours.

    Raises:
        ConfigError: another package of that name is found first.
    """
    import importlib

    for name in ("udfs", "jobs"):
        module = importlib.import_module(name)
        if getattr(module, "OWNER", None) != "profilelake":
            places = ", ".join(getattr(module, "__path__", [])) or getattr(module, "__file__", "an unknown place")
            raise ConfigError(
                f"the package {name!r} that Python finds is not profilelake's but the one in {places}: "
                "take it off PYTHONPATH, or start from another folder"
            )
