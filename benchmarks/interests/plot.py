"""The seconds as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.interests.targets import SECONDS, STAGE
from benchmarks.plot import save_bars
from benchmarks.rows import Row


def save(rows: Sequence[Row], path: Path) -> None:
    """One panel a number of labels and tags: the median seconds of each case, with the least and most of its runs."""
    save_bars(rows, path, metric=SECONDS, ours=STAGE, axis="seconds, two cores", number="%.1f")
