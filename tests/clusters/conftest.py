"""A lake with planted groups, clustered once; tests that change it get a copy."""

from __future__ import annotations

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
from tests.conftest import SMALL, Place

SETTINGS = (*SMALL, "clusters.k_min=5", "clusters.k_max=7", "clusters.k_step=1", "clusters.smoothing=1")


@dataclass(frozen=True)
class Clustered:
    """A lake and the configuration that it is used with; `folder` is the test's own."""

    place: Place
    folder: Path

    @property
    def spark(self) -> SparkSession:
        return self.place.spark

    def config(self, *arguments: str) -> Config:
        places = (f"lake.path={self.place.path}", f"report.path={self.folder / 'report'}")
        return configuration.load(arguments=[*SETTINGS, *places, *arguments])

    def open(self, run_id: str | None = None) -> Lake:
        return open_lake(self.spark, self.config(), run_id=run_id)

    def run(self, *arguments: str) -> StageReport:
        return stage.run(self.spark, self.config(*arguments))


@pytest.fixture(scope="session")
def unclustered(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pictures of each planted group, not clustered yet."""
    made = Clustered(place, tmp_path_factory.mktemp("planted"))
    place.put_down()
    planted.put(made.open("0"), planted.every(range(10)), content=True)
    place.lay_by(made.folder / "lake")
    return made.folder / "lake"


@pytest.fixture(scope="session")
def _clustered(place: Place, unclustered: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after one run of the stage."""
    made = Clustered(place, tmp_path_factory.mktemp("clustered"))
    place.put_down(unclustered)
    made.run()
    place.lay_by(made.folder / "lake")
    return made.folder / "lake"


@pytest.fixture
def inputs(place: Place, unclustered: Path, tmp_path: Path, unlocked: None) -> Clustered:
    """The lake with ten pictures of each planted group, not clustered yet."""
    place.put_down(unclustered)
    return Clustered(place, tmp_path)


@pytest.fixture
def clustered(place: Place, _clustered: Path, tmp_path: Path, unlocked: None) -> Clustered:
    """That lake after one run of the stage."""
    place.put_down(_clustered)
    return Clustered(place, tmp_path)


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
