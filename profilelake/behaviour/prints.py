"""The printed tables of paper 1, and files of its figures and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from profilelake.behaviour.figures import FigureRow
from profilelake.behaviour.relations import EvaluationRow
from profilelake.lake import Lake


@dataclass(frozen=True)
class Printed:
    """A table as it is printed: `name` ("table 2"), a caption, headings, rows of cells."""

    name: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | float | int | None]]


def tables(evaluations: Sequence[EvaluationRow]) -> list[Printed]:
    """Tables 1, 2, 3, 4 and 6 from rows of `evaluations`: those with artefact "table N", task R1.., variant = the
    feature set, metric "accuracy" (value, low, high, n, baseline, published as shares) and metric "p_value"."""
    raise NotImplementedError


def contact_sheets(lake: Lake, max_pixels: int) -> dict[str, bytes]:
    """Figures 2 and 7 as PNG by figure name ("figure 2")."""
    raise NotImplementedError


def write_all(
    folder: Path, rows: Sequence[FigureRow], printed: Sequence[Printed], sheets: Mapping[str, bytes]
) -> list[Path]:
    """Write figure_N.svg, .pdf, .png and table_N.csv, .tex to a local folder."""
    raise NotImplementedError
