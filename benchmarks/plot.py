"""Measured values as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from benchmarks.rows import Row


def save_bars(
    rows: Sequence[Row], path: Path, *, metric: str, ours: str, axis: str, number: str, logarithmic: bool = False
) -> None:
    """One panel a subject: the median of each case, on a linear axis with the least and most of its runs.

    Args:
        rows: those of the metric are drawn.
        path: of the picture.
        metric: what is drawn.
        ours: how the cases begin that are of another colour.
        axis: what the axis is called.
        number: format of the numbers beside the bars.
        logarithmic: whether the axis is.
    """
    drawn = [row for row in rows if row.metric == metric]
    subjects = list(dict.fromkeys(row.subject for row in drawn))
    bars_of = [sum(row.subject == subject for row in drawn) for subject in subjects]
    figure, panels = plt.subplots(
        len(subjects),
        squeeze=False,
        figsize=(8, 0.9 * len(subjects) + 0.3 * len(drawn)),
        height_ratios=bars_of,  # or the labels of many bars would lie over each other
        layout="tight",
    )
    for panel, subject in zip(panels[:, 0], subjects, strict=True):
        mine = [row for row in drawn if row.subject == subject][::-1]
        medians = [row.median for row in mine]
        spread = [[row.median - row.min for row in mine], [row.max - row.median for row in mine]]
        colours = ["tab:orange" if row.case.startswith(ours) else "tab:blue" for row in mine]
        bars = panel.barh([row.case for row in mine], medians, xerr=None if logarithmic else spread, color=colours)
        panel.bar_label(bars, fmt=number, padding=4)
        if logarithmic:
            panel.set_xscale("log")
        panel.set_title(subject, loc="left", fontsize=10)
        panel.margins(x=0.15)
    panels[-1, 0].set_xlabel(axis)
    figure.savefig(path, dpi=110)
    plt.close(figure)
