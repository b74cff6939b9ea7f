"""Attempts at one training: what tells trainings apart, and what an attempt that could not reach MLflow leaves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pyspark.sql import functions as F

from profilelake import __version__, freshness
from profilelake.lake import Lake
from profilelake.ledger import Context
from profilelake.tables import TABLES
from profilelake.training.tracking import LAKE_RUN


def digest(lake: Lake, settings: Mapping[str, Any]) -> str:
    """The same lake, data (`Lake.pins`), settings and code are the same training."""
    rests_on = [lake.path or lake.schema, lake.pins, settings, __version__]
    return hashlib.sha256(json.dumps(rests_on, sort_keys=True).encode()).hexdigest()[:32]


def tags(context: Context) -> dict[str, str]:
    """What a tracked run says of the lake: the version of every table that it rests on, the ledger's run, the code."""
    versions = {f"table.{table}": f"{table}@{version}" for table, version in context.lake.pins.items()}
    return {**versions, LAKE_RUN: context.run_id, "profilelake.version": __version__}


def beside(context: Context) -> Lake:
    """The stage's lake for what is no input of the training: what is read of it counts as no change."""
    return replace(context.lake, read_tables=set())


def forget(context: Context, paper: int, run_id: str) -> None:
    """Delete what earlier attempts at this training wrote without MLflow: it comes again, with the ids of runs.

    Args:
        context: of the stage; its lake's pins and settings say which attempts are the same training.
        paper: whose rows of `evaluations` and `figure_data` they are.
        run_id: under which the rows come again.
    """
    lake = beside(context)
    runs = lake.spark.table(lake.name("runs"))
    same = (
        (F.col("stage") == context.stage) & (F.col("status") == "failed") & (F.col("settings") == context.lake.settings)
    )
    attempts = {
        row["run_id"]
        for row in runs.where(same).select("run_id", "inputs").collect()
        if freshness.read_by(row) == context.lake.pins
    }
    if not attempts:
        return
    for table, untracked, of in (
        ("evaluations", F.col("mlflow_run_id").isNull(), attempts),
        ("figure_data", F.lit(True), attempts - {run_id}),
    ):
        theirs = F.col("run_id").isin(*of) & (F.col("paper") == paper) & untracked
        lake.delete(table, lake.read(table).where(theirs).select(*TABLES[table].key))
