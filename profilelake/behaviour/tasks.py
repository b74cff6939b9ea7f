"""The tasks R1 to R7 of paper 1: who is ranked by what, who is on which side, and from which features.

DataFrame -> DataFrame; what comes to the driver is the users at the cuts, and in `matrix` a bounded sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from pyspark.sql import DataFrame

from profilelake import config

MEASURES = (
    "selfie_frequency",
    "selfie_inertia",
    "selfie_singleness",
    "group_tendency",
    "outdoor_tendency",
    "holding_something_tendency",
    "face_mask_tendency",
)


@dataclass(frozen=True)
class Task:
    """One classification of two quarters of the users.

    Attributes:
        name: R1, R2, R3, R4, R5, R6_holding_something, R6_face_mask, R7_<attribute as the lake spells it>.
        measure: the column of `study_users` that users are ranked by.
        feature_sets: F, I, S and their sums joined by "+"; R7: `measures`.
        drop_by: columns of `study_users` whose sum (NULL as 0) says who is dropped first, the lowest; () drops nobody.
        drop_part: the key of `config.selfie` that says one user in how many is dropped; None drops nobody.
        artefact: where the paper prints the accuracies.
        published: feature set -> the paper's accuracy as a share; absent where it prints none.
    """

    name: str
    measure: str
    feature_sets: tuple[str, ...]
    drop_by: tuple[str, ...]
    drop_part: Literal["few_selfies", "few_kinds"] | None
    artefact: str
    published: Mapping[str, float]


@dataclass(frozen=True)
class Sides:
    """The two quarters of a task.

    Attributes:
        frame: `user_id`, `value` double (the measure), `label` int: 1 positive, 0 negative, NULL between the quarters
            (for everybody, where the quarters cannot be told apart); users without the measure and those dropped are
            absent.
        n: users ranked.
        each: users on either side.
        reason: why there is no figure; None where there is one.
        upper, lower: the measure of the last positive and of the first negative user; None where a side is empty.
    """

    frame: DataFrame
    n: int
    each: int
    reason: str | None
    upper: float | None
    lower: float | None


@dataclass(frozen=True, eq=False)
class Matrix:
    """Labelled users as arrays, by `user_id`.

    Attributes:
        columns: (d,) the categories' names for F, then `other_inertia`, `other_singleness`, or the measures' names, in
            the order in which the feature set names them.
        users: (n,).
        x: (n, d) float64, NaN where missing.
        y: (n,) int8, 1 positive, 0 negative.
        notes: what a reader should know, such as that it is a sample.
    """

    columns: tuple[str, ...]
    users: npt.NDArray[np.str_]
    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.int8]
    notes: tuple[str, ...] = ()


def tasks(attributes: Sequence[str]) -> tuple[Task, ...]:
    """All tasks, in the paper's order; R7 once for each attribute, the i-th ranked by the column `attribute_<i>`."""
    raise NotImplementedError


def study_users(
    user_features: DataFrame,
    selfie_measures: DataFrame,
    user_attributes: DataFrame,
    attributes: Sequence[str],
    min_occurrences: int,
) -> DataFrame:
    """What tasks rank and drop by: one row a user with at least `min_occurrences` occurrences over all categories.

    Returns:
        `user_id`, `occurrences`, `other_inertia`, `other_singleness`, the seven measures, the counts that they rest
        on, `attribute_<i>` double for the i-th (from 0) of `attributes`, NULL where the user has none.
    """
    raise NotImplementedError


def sides(users: DataFrame, task: Task, rules: config.Selfie) -> Sides:
    """Who is on which side of a task. `users` (`study_users`) is read several times: persist it."""
    raise NotImplementedError


def columns(feature_set: str, categories: Sequence[str]) -> tuple[str, ...]:
    """Names of a feature set's columns. `categories`: those of the lake; Selfie among them is passed over."""
    raise NotImplementedError


def feature_frame(
    users: DataFrame, user_categories: DataFrame, feature_set: str, categories: Sequence[str]
) -> DataFrame:
    """The features of all `users`: `user_id`, `features` array<double> in the order of `columns`, NULL elements where
    missing."""
    raise NotImplementedError


def matrix(
    users: DataFrame,
    user_categories: DataFrame,
    sides: Sides,
    task: Task,
    feature_set: str,
    categories: Sequence[str],
    limit: int,
    seed: int,
) -> Matrix:
    """The labelled users of a task, on the driver: all, or a seeded sample of `limit`, half of it from each side."""
    raise NotImplementedError
