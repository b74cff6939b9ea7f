"""The silhouette curve that the choice of k rests on (paper 1, 4.1), as numbers and as a drawing."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from pyspark.sql import Row
from pyspark.sql import functions as F

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
    lake.write("figure_data", lake.spark.createDataFrame(rows, schema))


def silhouette_curve(
    ks: Sequence[int], silhouettes: Sequence[float], smoothed: Sequence[float], chosen: int | None
) -> bytes:
    """The curve as a PNG: S(k) as points, the smoothed S(k) as a line, the chosen k marked.

    Args:
        ks: the tried k, ascending.
        silhouettes: S(k) of each.
        smoothed: smoothed S(k) of each.
        chosen: the k that was kept; None leaves the mark out.
    """
    figure = Figure(figsize=(7.0, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(ks, silhouettes, "o", color="#8a94a6", markersize=4, label="S(k)")
    axes.plot(ks, smoothed, "-", color="#1f5fbf", linewidth=2, label="S(k) smoothed")
    if chosen is not None:
        height = smoothed[list(ks).index(chosen)]
        axes.axvline(chosen, color="#c0401f", linewidth=1, linestyle=":")
        axes.plot([chosen], [height], "o", color="#c0401f", markersize=8, label=f"k = {chosen}")
    axes.set_xlabel("clusters k")
    axes.set_ylabel("mean simplified silhouette")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e3e6ec", linewidth=0.8)
    axes.legend(frameon=False)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=150)
    return out.getvalue()
