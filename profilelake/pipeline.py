"""The stages of a build, in order, the trainings, and how several of them run as one job."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import ModuleType

from pyspark.sql import SparkSession

from profilelake import ledger
from profilelake.behaviour import score
from profilelake.behaviour import stage as behaviour
from profilelake.behaviour import train as train_selfie
from profilelake.clusters import stage as clusters
from profilelake.config import Config
from profilelake.images import stage as images
from profilelake.ingest import stage as ingest
from profilelake.interests import evaluate as evaluate_interests
from profilelake.interests import stage as interests
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
    "interests": interests,
    "score": score,
    "profiles": profiles,
    "report": report,
}
# They run beside a build: they read pinned versions of the tables, and write only their own.
TRAININGS: dict[str, ModuleType] = {"train_selfie": train_selfie, "evaluate_interests": evaluate_interests}


def _module(name: str) -> ModuleType:
    return (STAGES | TRAININGS)[name]


def check(config: Config, stages: Sequence[str]) -> None:
    """Everything that can be found wrong before Spark starts.

    Raises:
        ConfigError: a missing crawl, weights that fail their checksum, a faulty conf/categories.yaml or
            lexicon, no place to keep models.
    """
    # Images last: weights are hashed, or downloaded, which takes longer than to read all files of the user's own.
    for name in sorted(stages, key=lambda name: name == "images"):
        checked = getattr(_module(name), "check", None)
        if checked is not None:
            checked(config)


def run(spark: SparkSession, config: Config, job: str, stages: Sequence[str]) -> ledger.Run:
    """Run stages as one job; the first failure ends it. For notebooks and tests."""
    with start(spark, config, job, stages) as current:
        go_on(current, stages)
    return current


def start(spark: SparkSession, config: Config, job: str, stages: Sequence[str]) -> AbstractContextManager[ledger.Run]:
    """The run of a job, which holds the lake unless all it does is to train."""
    return ledger.run(spark, config, job, lock=any(name in STAGES for name in stages))


def go_on(current: ledger.Run, stages: Sequence[str]) -> None:
    """Run stages within a run."""
    for name in stages:
        _module(name).run(current.spark, current.config)


def pending(spark: SparkSession, config: Config, stages: Sequence[str]) -> dict[str, dict[str, int]]:
    """By stage the rows that a run would touch now. A later stage's counts don't foresee what an earlier one adds.
    Writes nothing."""
    lake = open_lake(spark, config)
    return {name: _module(name).pending(lake, config) for name in stages}
