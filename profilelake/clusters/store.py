"""Reading and writing the tables of fits: which fit of a purpose is current, its clusters, what is retired."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from profilelake.lake import Lake


def current(lake: Lake, purpose: str) -> Row | None:
    """The current fit of a purpose, a row of `cluster_fits`."""
    return lake.read("cluster_fits").where((F.col("purpose") == purpose) & F.col("current")).first()


def latest(lake: Lake, purpose: str) -> Row | None:
    """The last fit of a purpose, current or not."""
    fits = lake.read("cluster_fits").where(F.col("purpose") == purpose)
    return fits.orderBy(F.desc("current"), F.desc("fitted_at"), "fit_id").first()


def is_known(lake: Lake, purpose: str, fit_id: str) -> bool:
    """Whether a fit is or was the current one."""
    fits = lake.read("cluster_fits").where((F.col("purpose") == purpose) & (F.col("fit_id") == fit_id))
    return not fits.isEmpty()


def clusters(lake: Lake, purpose: str, fit_id: str) -> DataFrame:
    """The clusters of a fit, rows of `cluster_centroids`."""
    return lake.read("cluster_centroids").where((F.col("purpose") == purpose) & (F.col("fit_id") == fit_id))


def sweep(lake: Lake, purpose: str, fit_id: str) -> DataFrame:
    """What each tried k of a fit scored, rows of `cluster_sweeps`."""
    return lake.read("cluster_sweeps").where((F.col("purpose") == purpose) & (F.col("fit_id") == fit_id))


def assigned(lake: Lake, purpose: str) -> DataFrame:
    """The pictures of a purpose with their clusters, rows of `image_clusters`."""
    return lake.read("image_clusters").where(F.col("purpose") == purpose)


def scope(lake: Lake, purpose: str, fit_id: str | None = None) -> DataFrame:
    """A write's scope: a purpose, or one of its fits."""
    one = lake.spark.range(1).select(F.lit(purpose).alias("purpose"))
    return one if fit_id is None else one.withColumn("fit_id", F.lit(fit_id))


def make_current(lake: Lake, fit: Mapping[str, Any]) -> None:
    """Write a fit's row and make it the one current fit of its purpose, in one commit."""
    others = (
        lake.read("cluster_fits")
        .where((F.col("purpose") == fit["purpose"]) & (F.col("fit_id") != fit["fit_id"]))
        .drop("run_id")
        .withColumn("current", F.lit(False))
    )
    lake.write("cluster_fits", lake.frame("cluster_fits", [fit]).unionByName(others))


def retire(lake: Lake, purpose: str) -> None:
    """A purpose that has nothing to cluster any more has no assigned picture and no current fit."""
    if current(lake, purpose) is None:
        return
    lake.clear("image_clusters", scope(lake, purpose))
    fits = lake.read("cluster_fits").where(F.col("purpose") == purpose).drop("run_id")
    lake.write("cluster_fits", fits.withColumn("current", F.lit(False)))


def drop_orphans(lake: Lake, purpose: str) -> None:
    """Forget sweeps and clusters that a run which died left of a fit that never became current."""
    fits = lake.read("cluster_fits").where(F.col("purpose") == purpose).select("fit_id").collect()
    known = [row["fit_id"] for row in fits]  # as many as fits were ever made
    for table in ("cluster_sweeps", "cluster_centroids"):
        orphans = lake.read(table).where((F.col("purpose") == purpose) & ~F.col("fit_id").isin(known))
        if not orphans.isEmpty():
            lake.clear(table, orphans.select("purpose", "fit_id").distinct())
