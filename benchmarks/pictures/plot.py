"""The rates as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from benchmarks.rows import RATE, Row


def save(rows: Sequence[Row], path: Path) -> None:
    """One panel a subject: the median rate of each case, with the least and most of its runs."""
    rates = [row for row in rows if row.metric == RATE]
    subjects = list(dict.fromkeys(row.subject for row in rates))
    bars_of = [sum(row.subject == subject for row in rates) for subject in subjects]
    figure, panels = plt.subplots(
        len(subjects),
        squeeze=False,
        figsize=(8, 0.9 * len(subjects) + 0.26 * len(rates)),
        height_ratios=bars_of,  # or the labels of many bars would lie over each other
        layout="tight",
    )
    for panel, subject in zip(panels[:, 0], subjects, strict=True):
        mine = [row for row in rates if row.subject == subject][::-1]
        medians = [row.median for row in mine]
        spread = [[row.median - row.min for row in mine], [row.max - row.median for row in mine]]
        colours = ["tab:orange" if row.case.startswith("stage") else "tab:blue" for row in mine]
        bars = panel.barh([row.case for row in mine], medians, xerr=spread, color=colours)
        panel.bar_label(bars, fmt="%.0f", padding=4)
        panel.set_title(subject, loc="left", fontsize=10)
        panel.margins(x=0.12)
    panels[-1, 0].set_xlabel("images a second, two cores")
    figure.savefig(path, dpi=110)
    plt.close(figure)
