"""The silhouette curve that the choice of k rests on (paper 1, 4.1), as numbers."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Row
from pyspark.sql import functions as F

from profilelake.frames import local_frame
from profilelake.lake import Lake

PAPER = 1
FIGURE = "4.1 silhouette"


def record(lake: Lake, fit_id: str, sweep: Sequence[Row]) -> None:
    """Write a fit's curve to `figure_data`, unless it is there: series `S(k)`, `S(k) smoothed` and `chosen`, the fit as
    label.

    Args:
        lake: open for writing.
        fit_id: the fit.
        sweep: its rows of `cluster_sweeps`.
    """
    held = lake.read("figure_data").where((F.col("figure") == FIGURE) & (F.col("label") == fit_id))
    if not held.isEmpty():
        return
    rows = [(PAPER, FIGURE, "S(k)", float(row["k"]), row["silhouette"], None, None, None, fit_id) for row in sweep]
    rows += [
        (PAPER, FIGURE, "S(k) smoothed", float(row["k"]), row["silhouette_smoothed"], None, None, None, fit_id)
        for row in sweep
    ]
    rows += [
        (PAPER, FIGURE, "chosen", float(row["k"]), row["silhouette_smoothed"], None, None, None, fit_id)
        for row in sweep
        if row["chosen"]
    ]
    schema = (
        "paper int, figure string, series string, x double, y double, low double, high double, n bigint, label string"
    )
    lake.write("figure_data", local_frame(lake.spark, rows, schema))
