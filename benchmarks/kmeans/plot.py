"""The seconds as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.kmeans.targets import SECONDS
from benchmarks.plot import save_bars
from benchmarks.rows import Row


def save(rows: Sequence[Row], path: Path) -> None:
    """One panel a subject: the median seconds of each case on a logarithmic scale."""
    save_bars(rows, path, metric=SECONDS, ours="ours", axis="seconds, two cores", number="%.1f", logarithmic=True)
