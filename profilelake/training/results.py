"""What evaluations find, of any paper: rows of `evaluations` and of `figure_data`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from profilelake.ledger import Context
from profilelake.training import attempts

# A series that holds no values but why there are none.
NOTE = "@note"


@dataclass(frozen=True)
class EvaluationRow:
    """A row of `evaluations` without `run_id`, `paper` and `mlflow_run_id`."""

    artefact: str
    task: str
    variant: str
    split: str
    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    baseline: float | None = None
    published: float | None = None
    note: str | None = None


@dataclass(frozen=True)
class FigureRow:
    """A row of `figure_data` without `run_id` and `paper`: one number behind a figure."""

    figure: str
    series: str
    x: float
    y: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    label: str | None = None


Series = Mapping[str, Sequence[FigureRow]]
"""Series of one figure by name, each by x."""


def series_of(figure: str, rows: Sequence[FigureRow]) -> dict[str, list[FigureRow]]:
    """The series of one figure among rows of any, each by x."""
    found: dict[str, list[FigureRow]] = {}
    for row in sorted((row for row in rows if row.figure == figure), key=lambda row: row.x):
        found.setdefault(row.series, []).append(row)
    return found


def reasons(series: Series) -> list[str]:
    """Why a figure has no values: what its notes say."""
    return [row.label or "" for name in sorted(series) for row in series[name] if name.startswith(NOTE)]


def write_rows(
    context: Context,
    paper: int,
    run_id: str,
    evaluations: Mapping[str, Sequence[EvaluationRow]] | Mapping[str | None, Sequence[EvaluationRow]],
    figures: Sequence[FigureRow],
    ids: Mapping[str, str],
    parent: str | None,
) -> None:
    """Write rows of `evaluations` and `figure_data`, in place of what earlier attempts left (`attempts.forget`).

    Args:
        context: of the stage that found them.
        paper: whose they are.
        run_id: of the lake, under which they stand.
        evaluations: by name of their part of the training; None: of the whole.
        figures: of the whole.
        ids: tracked runs by name of the part.
        parent: the tracked run of parts without one; None: MLflow could not be reached.
    """
    attempts.forget(context, paper, run_id)
    lake = attempts.beside(context)
    of_table = {"paper": paper, "run_id": run_id}
    rows = [
        asdict(row) | of_table | {"mlflow_run_id": parent if name is None else ids.get(name, parent)}
        for name, of_part in evaluations.items()
        for row in of_part
    ]
    lake.write("evaluations", lake.frame("evaluations", rows))
    lake.write("figure_data", lake.frame("figure_data", [asdict(row) | of_table for row in figures]))
