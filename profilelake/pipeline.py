"""The stages of a build, in order, and how several of them run as one job."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

from pyspark.sql import SparkSession

from profilelake import ledger
from profilelake.behaviour import stage as behaviour
from profilelake.clusters import stage as clusters
from profilelake.config import Config
from profilelake.images import stage as images
from profilelake.ingest import stage as ingest
from profilelake.lake import open_lake
from profilelake.profiles import stage as profiles
from profilelake.reports import stage as report

# Each module has run(spark, config), pending(lake, config) and, where something can be wrong before Spark starts,
# check(config).
STAGES: dict[str, ModuleType] = {
    "ingest": ingest,
    "images": images,
    "clusters": clusters,
    "behaviour": behaviour,
    "profiles": profiles,
    "report": report,
}


def check(config: Config, stages: Sequence[str]) -> None:
    """Everything that can be found wrong before Spark starts.

    Raises:
        ConfigError: a missing crawl, weights that fail their checksum, a faulty conf/categories.yaml.
    """
    for name in stages:
        checked = getattr(STAGES[name], "check", None)
        if checked is not None:
            checked(config)


def run(spark: SparkSession, config: Config, job: str, stages: Sequence[str]) -> ledger.Run:
    """Run stages as one job that holds the lake; the first failure ends it. For notebooks and tests."""
    with ledger.run(spark, config, job) as current:
        for name in stages:
            STAGES[name].run(spark, config)
    return current


def pending(spark: SparkSession, config: Config, stages: Sequence[str]) -> dict[str, dict[str, int]]:
    """By stage the rows that a run would touch now. A later stage's counts don't foresee what an earlier one adds.
    Writes nothing."""
    lake = open_lake(spark, config)
    return {name: STAGES[name].pending(lake, config) for name in stages}
