"""The rates as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.plot import save_bars
from benchmarks.rows import RATE, Row


def save(rows: Sequence[Row], path: Path) -> None:
    """One panel a subject: the median rate of each case, with the least and most of its runs."""
    save_bars(rows, path, metric=RATE, ours="stage", axis="images a second, two cores", number="%.0f")
