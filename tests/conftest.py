"""One Spark session for all tests, and the small configurations that they run on."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from profilelake import config as configuration
from profilelake.config import Config
from profilelake.lake import Lake, open_lake
from profilelake.session import get_session
from profilelake.tables import TABLES

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"

# What makes a test's lake small and quick; a test names what it changes.
SMALL = (
    "images.embed=[efficientnet_lite0]",
    "images.label=[efficientnet_lite0]",
    "images.chunk=1000",
    "clusters.k_min=2",
    "clusters.k_max=8",
    "clusters.k_step=2",
    "spark.local_shuffle_partitions=2",
    "quarantine.max_share=1.0",
)


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    with tempfile.TemporaryDirectory(prefix="profilelake-tests-") as scratch:
        os.environ["PYSPARK_SUBMIT_ARGS"] = (
            f"--conf spark.ui.enabled=false --conf spark.local.dir={scratch} "
            # the first compiler alone: a test's JVM ends before the second one's work pays
            f"--conf 'spark.driver.extraJavaOptions=-Dderby.system.home={scratch} -XX:TieredStopAtLevel=1' "
            "--conf spark.driver.memory=2g --conf spark.ui.showConsoleProgress=false pyspark-shell"
        )
        config = configuration.load(arguments=["spark.master=local[2]", "spark.driver_memory=2g"])
        session = get_session(config, "profilelake-tests")
        session.conf.set("spark.sql.shuffle.partitions", "2")
        yield session
        session.stop()


@pytest.fixture(autouse=True)
def _clean_session(request: pytest.FixtureRequest) -> Iterator[None]:
    """Nothing of one test's session state reaches the next."""
    yield
    if "spark" in request.fixturenames:
        session: SparkSession = request.getfixturevalue("spark")
        session.catalog.clearCache()
        for table in session.catalog.listTables("default"):
            if table.isTemporary:
                session.catalog.dropTempView(table.name)
        session.catalog.setCurrentDatabase("default")
        session.sql("DROP SCHEMA IF EXISTS profilelake CASCADE")


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., Config]:
    """`make_config("key=value", ...)`: small settings, lake and report below `tmp_path`."""

    def make(*arguments: str) -> Config:
        places = (f"lake.path={tmp_path / 'lake'}", f"report.path={tmp_path / 'report'}")
        return configuration.load(arguments=[*SMALL, *places, *arguments])

    return make


@pytest.fixture
def lake_config(make_config: Callable[..., Config]) -> Config:
    return make_config()


@pytest.fixture
def lake(spark: SparkSession, lake_config: Config) -> Lake:
    """An empty lake that can be written without a run, for tests that lay their input tables down by hand."""
    return open_lake(spark, lake_config, run_id="test")


def versions(lake: Lake) -> dict[str, int]:
    """The Delta version of every table but `runs`."""
    return {name: lake.version(name) for name in TABLES if name != "runs" and lake.exists(name)}


def contents(lake: Lake, table: str) -> list[str]:
    """A table's rows as sorted JSON, without the columns that say when or by which run they were written."""
    passed_over = {"run_id", *(c for c in TABLES[table].volatile if c.endswith("_at"))}
    frame: DataFrame = lake.spark.table(lake.name(table))
    kept = [F.col(name) for name in frame.columns if name not in passed_over]
    rows = frame.select(F.to_json(F.struct(*kept), {"ignoreNullFields": "false"}).alias("row"))
    return sorted(row["row"] for row in rows.collect())
