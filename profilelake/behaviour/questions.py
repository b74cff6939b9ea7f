"""The tasks of paper 1 over one lake: who is on which side, and the matrix that each figure is made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pyspark.sql import DataFrame
from pyspark.storagelevel import StorageLevel

from profilelake import config
from profilelake.behaviour import tasks
from profilelake.behaviour.features import SELFIE
from profilelake.behaviour.tasks import Matrix, Sides, Task
from profilelake.lake import Lake
from profilelake.training.crossval import Cell

NO_COLUMN = "the lake has no category but Selfie: there is nothing to predict from"


@dataclass(frozen=True, eq=False)
class Question:
    """A task, its two sides, and their users with all features that any of its feature sets has; None without sides."""

    task: Task
    sides: Sides
    matrix: Matrix | None
    categories: Sequence[str]

    def name(self, feature_set: str) -> str:
        """What a figure of it is called."""
        return f"{self.task.name} {feature_set}"

    def columns(self, feature_set: str) -> tuple[str, ...]:
        """Names of the columns of a feature set, in this lake."""
        return tasks.columns(feature_set, self.categories)

    def reason(self, feature_set: str) -> str | None:
        """Why there can be no figure; None where one can be tried."""
        if self.matrix is None:
            return self.sides.reason
        return None if self.columns(feature_set) else NO_COLUMN

    def cell(self, feature_set: str) -> Cell | None:
        """The figure to make; None where there can be none."""
        if self.matrix is None or self.reason(feature_set) is not None:
            return None
        return Cell(
            self.name(feature_set), select(self.matrix, self.columns(feature_set)), self.matrix.y, self.matrix.users
        )


def select(matrix: Matrix, columns: Sequence[str]) -> npt.NDArray[np.float64]:
    """Columns of a matrix by name, (n, len(columns))."""
    place = {name: number for number, name in enumerate(matrix.columns)}
    return matrix.x[:, [place[name] for name in columns]]


@dataclass(frozen=True, eq=False)
class Asked:
    """The questions of a lake and what they rest on.

    Attributes:
        users: `tasks.study_users`, persisted.
        user_categories: the table.
        categories: of the lake but Selfie, by name.
        attributes: their names, in the order of the columns of `users`.
        questions: by name of the task, in the paper's order.
    """

    users: DataFrame
    user_categories: DataFrame
    categories: tuple[str, ...]
    attributes: tuple[str, ...]
    questions: Mapping[str, Question]


@contextmanager
def ask(lake: Lake, rules: config.Selfie, attributes: Sequence[str]) -> Iterator[Asked]:
    """All tasks over a lake, for as long as a block runs: the users are persisted meanwhile."""
    user_categories = lake.read("user_categories")
    listed = user_categories.select("category").distinct().orderBy("category").collect()
    categories = tuple(row["category"] for row in listed if row["category"] != SELFIE)
    users = tasks.study_users(
        lake.read("user_features"),
        lake.read("selfie_measures"),
        lake.read("user_attributes"),
        attributes,
        rules.min_occurrences,
    ).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        questions = {}
        for task in tasks.tasks(attributes):
            sides = tasks.sides(users, task, rules)
            matrix = None
            if sides.reason is None:
                # the widest set holds the others: one matrix a task comes to the driver
                widest = max(task.feature_sets, key=lambda name: len(tasks.columns(name, categories)))
                matrix = tasks.matrix(
                    users, user_categories, sides, task, widest, categories, rules.max_users, rules.seed
                )
            questions[task.name] = Question(task, sides, matrix, categories)
        yield Asked(users, user_categories, categories, tuple(attributes), questions)
    finally:
        users.unpersist()
