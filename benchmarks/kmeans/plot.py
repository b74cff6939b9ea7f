"""The seconds as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from benchmarks.kmeans.targets import SECONDS
from benchmarks.rows import Row


def save(rows: Sequence[Row], path: Path) -> None:
    """One panel a subject: the median seconds of each case on a logarithmic scale."""
    timed = [row for row in rows if row.metric == SECONDS]
    subjects = list(dict.fromkeys(row.subject for row in timed))
    bars_of = [sum(row.subject == subject for row in timed) for subject in subjects]
    figure, panels = plt.subplots(
        len(subjects),
        squeeze=False,
        figsize=(8, 0.9 * len(subjects) + 0.3 * len(timed)),
        height_ratios=bars_of,
        layout="tight",
    )
    for panel, subject in zip(panels[:, 0], subjects, strict=True):
        mine = [row for row in timed if row.subject == subject][::-1]
        colours = ["tab:orange" if row.case.startswith("ours") else "tab:blue" for row in mine]
        bars = panel.barh([row.case for row in mine], [row.median for row in mine], color=colours)
        panel.bar_label(bars, fmt="%.1f", padding=4)
        panel.set_xscale("log")
        panel.set_title(subject, loc="left", fontsize=10)
        panel.margins(x=0.15)
    panels[-1, 0].set_xlabel("seconds, two cores")
    figure.savefig(path, dpi=110)
    plt.close(figure)
