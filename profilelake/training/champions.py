"""Which models are live: the table `champions`, and the alias of MLflow's registry that follows it.

The table decides. A new champion is registered, gets the alias, and then its row, all rows in one commit: a run that
dies in between leaves the old rows, and the next one finds the version that is registered already and goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import functions as F

from profilelake.lake import Lake, WriteResult
from profilelake.training.gate import Verdict
from profilelake.training.tracking import Version


@dataclass(frozen=True)
class Champion:
    """The live version of a model."""

    model: str
    version: str
    mlflow_run_id: str
    model_sha256: str | None
    since: datetime


@dataclass(frozen=True)
class Crowned:
    """A version that won, and by what."""

    version: Version
    verdict: Verdict
    model_sha256: str


def current(lake: Lake, prefix: str) -> dict[str, Champion]:
    """The live models whose names begin with `prefix`, by name."""
    rows = lake.read("champions").where(F.col("until").isNull() & F.col("model").startswith(prefix)).collect()
    return {
        row["model"]: Champion(
            row["model"], row["version"], row["mlflow_run_id"], row["model_sha256"], row["since"].astimezone(UTC)
        )
        for row in rows
    }


def crown(lake: Lake, crowned: Sequence[Crowned], now: datetime) -> WriteResult:
    """Write that these versions are live from now on, and that those before them no longer are, in one commit.

    A version is known by the run that made it, too: a registry that was set up anew numbers its versions from 1 again.
    """
    if not crowned:
        return WriteResult()
    fresh = {(one.version.model, one.version.version, one.version.run_id) for one in crowned}
    held = lake.read("champions").where(
        F.col("until").isNull() & F.col("model").isin([one.version.model for one in crowned])
    )
    ended = [
        row.asDict() | {"until": now}
        for row in held.collect()
        if (row["model"], row["version"], row["mlflow_run_id"]) not in fresh
    ]
    begun: list[dict[str, Any]] = [
        {
            "model": one.version.model,
            "version": one.version.version,
            "since": now,
            "metric": one.verdict.metric,
            "value": one.verdict.value,
            "mlflow_run_id": one.version.run_id,
            "reason": one.verdict.reason,
            "model_sha256": one.model_sha256,
        }
        for one in crowned
    ]
    for row in ended:
        del row["run_id"]
    return lake.write("champions", lake.frame("champions", [*ended, *begun]))
