"""One Spark session for all tests, and the small configurations that they run on."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from profilelake import config as configuration
from profilelake import ledger
from profilelake import session as sessions
from profilelake.config import Config
from profilelake.lake import Lake, open_lake
from profilelake.tables import TABLES, VIEWS

ROOT = Path(__file__).resolve().parent.parent
# Of the JVMs of processes that tests start: in the minutes that they live their second compiler takes more time than it
# saves. The first one alone has room for a fifth of Spark's code, unless it is given more.
os.environ.setdefault(
    "SPARK_SUBMIT_OPTS", "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m -XX:MetaspaceSize=256m"
)
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
            # compiling a query's code takes longer than a test's few rows do
            "--conf spark.sql.codegen.wholeStage=false --conf spark.sql.codegen.factoryMode=NO_CODEGEN "
            # this JVM lives long enough for the second compiler, and its heap is too small to be marked beside its work
            f"--conf 'spark.driver.extraJavaOptions=-Dderby.system.home={scratch} -XX:TieredStopAtLevel=4 "
            "-XX:+UseSerialGC -XX:+UseTransparentHugePages' "
            "--conf spark.driver.memory=2g --conf spark.ui.showConsoleProgress=false pyspark-shell"
        )
        config = configuration.load(arguments=["spark.master=local[2]", "spark.driver_memory=2g"])
        # Planning anew after every shuffle takes longer, too; what tests start as processes of their own does that.
        sessions.RUNTIME["spark.sql.adaptive.enabled"] = "false"
        session = sessions.get_session(config, "profilelake-tests")
        session.conf.set("spark.sql.shuffle.partitions", "2")
        yield session
        session.stop()


class Place:
    """Where the lakes of tests stand, one after the other: a lake that was laid by is put down there in a moment, while
    making its tables, or registering them under another path, takes seconds.

    A test has the place for itself; what a fixture of wider scope makes there is laid by, or read, before it returns.
    """

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark = spark
        self.path = folder / "lake"
        self._empty = folder / "empty"
        open_lake(spark, configuration.load(arguments=[f"lake.path={self.path}"]), run_id="empty")
        self.lay_by(self._empty)

    def put_down(self, lake: Path | None = None) -> Path:
        """Put down a copy of a lake that was laid by, or an empty lake with every table."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()  # type: ignore[union-attr]
        shutil.copytree(lake or self._empty, self.path)
        return self.path

    def lay_by(self, folder: Path) -> None:
        """Keep a copy of the lake as it is now."""
        shutil.copytree(self.path, folder)


@pytest.fixture(scope="session")
def place(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(spark, tmp_path_factory.mktemp("place"))


@pytest.fixture(autouse=True)
def _clean_session(request: pytest.FixtureRequest) -> Iterator[None]:
    """Nothing of one test's session state reaches the next, but the tables of the place, which are put down anew."""
    yield
    if "spark" in request.fixturenames:
        session: SparkSession = request.getfixturevalue("spark")
        session.catalog.clearCache()
        for view in session.sql("SHOW VIEWS IN default").collect():
            if view["isTemporary"]:
                session.catalog.dropTempView(view["viewName"])
        session.catalog.setCurrentDatabase("default")
        if not session.catalog.databaseExists("profilelake"):
            return
        location = str(session.catalog.getDatabase("profilelake").locationUri)
        if "place" not in request.fixturenames or not location.endswith(str(request.getfixturevalue("place").path)):
            session.sql("DROP SCHEMA profilelake CASCADE")
            return
        for row in session.sql("SHOW TABLES IN profilelake").collect():
            if row["tableName"] not in TABLES and row["tableName"] not in VIEWS:
                session.sql(f"DROP TABLE profilelake.{row['tableName']}")


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., Config]:
    """`make_config("key=value", ...)`: small settings, lake and report below `tmp_path`."""

    def make(*arguments: str) -> Config:
        places = (f"lake.path={tmp_path / 'lake'}", f"report.path={tmp_path / 'report'}")
        return configuration.load(arguments=[*SMALL, *places, *arguments])

    return make


@pytest.fixture
def make_lake_config(make_config: Callable[..., Config], place: Place) -> Callable[..., Config]:
    """The same for an empty lake that has its tables already."""
    where = f"lake.path={place.put_down()}"
    return lambda *arguments: make_config(where, *arguments)


@pytest.fixture
def lake_config(make_lake_config: Callable[..., Config]) -> Config:
    return make_lake_config()


@pytest.fixture
def lake(spark: SparkSession, lake_config: Config) -> Lake:
    """An empty lake that can be written without a run, for tests that lay their input tables down by hand."""
    return open_lake(spark, lake_config, run_id="test")


@pytest.fixture
def unlocked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of a stage that neither take the lake nor leave it, which costs more than most stages do to a small lake; in
    the ledger they have the stage's own row alone."""

    class Free(ledger._Lock):
        def take(self) -> None:
            return

        def assert_held(self) -> None:
            return

        def release(self, *_: object) -> None:
            return

    monkeypatch.setattr(ledger, "_Lock", Free)


def versions(lake: Lake) -> dict[str, int]:
    """The Delta version of every table but `runs`."""
    return lake.versions(name for name in TABLES if name != "runs" and lake.exists(name))


def contents(lake: Lake, table: str) -> list[str]:
    """A table's rows as sorted JSON, without the columns that say when or by which run they were written."""
    passed_over = {"run_id", *(c for c in TABLES[table].volatile if c.endswith("_at"))}
    frame: DataFrame = lake.spark.table(lake.name(table))
    kept = [F.col(name) for name in frame.columns if name not in passed_over]
    rows = frame.select(F.to_json(F.struct(*kept), {"ignoreNullFields": "false"}).alias("row"))
    return sorted(row["row"] for row in rows.collect())
