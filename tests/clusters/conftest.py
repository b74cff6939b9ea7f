"""A lake with planted groups, clustered once; tests that change it get a copy."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from profilelake import config as configuration
from profilelake.clusters import stage
from profilelake.config import Config
from profilelake.lake import Lake, open_lake
from profilelake.ledger import StageReport
from tests.clusters import planted
from tests.conftest import SMALL

SETTINGS = (*SMALL, "clusters.k_min=5", "clusters.k_max=7", "clusters.k_step=1", "clusters.smoothing=1")


@dataclass(frozen=True)
class Clustered:
    """A lake and the configuration that it is used with."""

    spark: SparkSession
    folder: Path

    def config(self, *arguments: str) -> Config:
        places = (f"lake.path={self.folder / 'lake'}", f"report.path={self.folder / 'report'}")
        return configuration.load(arguments=[*SETTINGS, *places, *arguments])

    def open(self, run_id: str | None = None) -> Lake:
        return open_lake(self.spark, self.config(), run_id=run_id)

    def run(self, *arguments: str) -> StageReport:
        return stage.run(self.spark, self.config(*arguments))


def _schema(spark: SparkSession, folder: Path) -> None:
    """Dropping a schema deletes its folder: one of its own keeps a lake that several tests share."""
    spark.sql(f"CREATE SCHEMA IF NOT EXISTS profilelake LOCATION '{folder / 'schema'}'")


@pytest.fixture(scope="session")
def _inputs(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pictures of each planted group, not clustered yet."""
    made = Clustered(spark, tmp_path_factory.mktemp("planted"))
    _schema(spark, made.folder)
    planted.put(made.open("0"), planted.every(range(10)), content=True)
    return made.folder


@pytest.fixture(scope="session")
def _clustered(spark: SparkSession, _inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after one run of the stage."""
    made = Clustered(spark, tmp_path_factory.mktemp("clustered"))
    shutil.copytree(_inputs / "lake", made.folder / "lake")
    _schema(spark, made.folder)
    made.run()
    return made.folder


@pytest.fixture
def inputs(spark: SparkSession, _inputs: Path, tmp_path: Path) -> Clustered:
    """A copy of the lake with ten pictures of each planted group, not clustered yet."""
    shutil.copytree(_inputs / "lake", tmp_path / "lake")
    return Clustered(spark, tmp_path)


@pytest.fixture
def clustered(spark: SparkSession, _clustered: Path, tmp_path: Path) -> Clustered:
    """A copy of that lake after one run of the stage."""
    shutil.copytree(_clustered / "lake", tmp_path / "lake")
    return Clustered(spark, tmp_path)


@pytest.fixture
def seen(spark: SparkSession, _clustered: Path) -> Clustered:
    """That lake itself, for tests that only look."""
    _schema(spark, _clustered)
    return Clustered(spark, _clustered)


@pytest.fixture
def killed_after(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], list[str]]]:
    """`killed_after(n)`: a run dies after its n-th write that changes something; 0: it lives. The tables written."""
    real = Lake.write

    def arm(last: int) -> list[str]:
        written: list[str] = []

        def write(self, table, rows, scope=None):
            result = real(self, table, rows, scope)
            if result.changed:
                written.append(table)
            if result.changed and len(written) == last:
                raise KeyboardInterrupt(f"killed after {table}")
            return result

        monkeypatch.setattr(Lake, "write", write)
        return written

    yield arm
    monkeypatch.setattr(Lake, "write", real)
