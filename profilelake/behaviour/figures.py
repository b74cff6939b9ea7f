"""The figures of paper 1, drawn from rows of `figure_data` alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure


@dataclass(frozen=True)
class FigureRow:
    """A row of `figure_data` without `run_id` and `paper` (1): one number behind a figure."""

    figure: str
    series: str
    x: float
    y: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    label: str | None = None


def draw(figure: str, rows: Sequence[FigureRow]) -> Figure:
    """The figure called `figure` from its rows; rows of other figures are passed over."""
    raise NotImplementedError
