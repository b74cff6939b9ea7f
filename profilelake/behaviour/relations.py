"""What tells the users of paper 1 apart, as numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame

from profilelake.behaviour.figures import FigureRow
from profilelake.behaviour.tasks import Sides


@dataclass(frozen=True)
class EvaluationRow:
    """A row of `evaluations` without `run_id`, `paper` (1) and `mlflow_run_id`."""

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


@dataclass(frozen=True)
class Study:
    """What the figures rest on.

    users: `tasks.study_users`; attributes: in the order of their columns; type_names: type -> user_type_fits.name.
    """

    users: DataFrame
    user_categories: DataFrame
    user_types: DataFrame
    categories: Sequence[str]  # of the lake but Selfie
    attributes: Sequence[str]
    type_names: Mapping[int, str]
    sides: Mapping[str, Sides]  # by Task.name


def numbers(study: Study) -> list[FigureRow]:
    """Rows of figures 3 to 6 and 8 to 10."""
    raise NotImplementedError


def rankings(study: Study, limit: int, seed: int) -> list[EvaluationRow]:
    """Rows of `evaluations`: the ranking of attributes for each measure (5.2.3)."""
    raise NotImplementedError


def pictures(posts: DataFrame, post_images: DataFrame, image_categories: DataFrame, image_faces: DataFrame) -> list[EvaluationRow]:
    """Rows of `evaluations` for tables 1 and 3."""
    raise NotImplementedError
