"""Whether a stage that reads and writes whole tables has anything to do."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from pyspark.sql import Row
from pyspark.sql import functions as F

from profilelake import __version__
from profilelake.lake import Lake


def unchanged(
    lake: Lake,
    stage: str,
    tables: Collection[str],
    *,
    settings: Mapping[str, Any] | None = None,
    ran: Collection[str] = (),
) -> Row | None:
    """The ledger's last row of a stage, when running the stage again would change nothing; else None.

    Nothing would change when that row is `done`, of this version of profilelake and with these settings, and every one
    of `tables` is at the version that the row recorded. So a stage that failed, was skipped or was killed midway runs
    again: name the tables that the stage writes among `tables` too.

    Args:
        lake: the lake, which may be open to be read.
        stage: the stage's name in `runs`.
        tables: all tables that the stage reads or writes. They are marked as read (`Lake.read_tables`), so that the
            ledger records their versions.
        settings: what else the stage's result depends on, such as keys of the configuration and what a file of the
            configuration says; of what JSON can say. It is marked too (`Lake.settings`); None: on nothing else.
        ran: stages of which it matters whether they were ever done: one that was done for the first time since
            counts as a change.
    """
    lake.read_tables.update(tables)
    lake.settings = None if settings is None else json.dumps(settings, sort_keys=True, ensure_ascii=False)
    if not lake.exists("runs") or not all(lake.exists(table) for table in tables):
        return None
    runs = lake.spark.table(lake.name("runs"))
    last = runs.where(F.col("stage") == stage).orderBy(F.desc("started_at"), F.desc("run_id")).first()
    if last is None or last["status"] != "done" or last["version"] != __version__:
        return None
    # a lake that is open to be read may be of a format without the column
    if (last["settings"] if "settings" in runs.columns else None) != lake.settings:
        return None
    if read_by(last) != lake.versions(tables):
        return None
    if ran and _first_done_since(lake, ran, stage):
        return None
    return last


def read_by(row: Row) -> dict[str, int]:
    """The versions of tables that `inputs` of a row names, by table; none where it is NULL."""
    return {entry["table"]: entry["version"] for entry in row["inputs"] or []}


def _first_done_since(lake: Lake, stages: Collection[str], stage: str) -> bool:
    """Whether one of `stages` was done for the first time after the last start of `stage`."""
    runs = lake.spark.table(lake.name("runs"))
    started = runs.where(F.col("stage") == stage).agg(F.max("started_at").alias("last"))
    done = runs.where(F.col("stage").isin(*stages) & (F.col("status") == "done"))
    firsts = done.groupBy("stage").agg(F.min("started_at").alias("first"))
    return not firsts.join(started, on=F.col("first") > F.col("last"), how="inner").isEmpty()


def has_run(lake: Lake, stage: str) -> bool:
    """Whether a stage was ever done on the lake."""
    runs = lake.spark.table(lake.name("runs"))
    return not runs.where((F.col("stage") == stage) & (F.col("status") == "done")).isEmpty()
