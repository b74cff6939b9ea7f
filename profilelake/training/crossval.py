"""Cross-validated accuracy with permutation tests, many figures at once, on executors.

A figure is a `Cell`: a matrix of features and a label a row. All folds and shuffles of all cells are units of the same
Spark jobs (`udfs.crossval` computes one), so that executors stay busy whatever the number of cells, and no result
depends on how the units are cut into tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pyspark.sql import SparkSession

from udfs import crossval as udf


@dataclass(frozen=True, eq=False)
class Cell:
    """One figure to make.

    Attributes:
        name: names it in errors and seeds its shuffles; unique among the cells of a call.
        x: (n, d) float64, NaN where missing.
        y: (n,) integers, 1 positive, 0 negative.
        users: (n,) who the rows are; nothing is computed from it.
    """

    name: str
    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.integer[Any]]
    users: npt.NDArray[np.str_]


@dataclass(frozen=True)
class Plan:
    """How figures are made.

    Attributes:
        folds: of the stratified cross-validation; fewer where the smaller class has fewer rows.
        min_rows: rows below which there is no figure.
        c, gamma: of the SVM.
        search: C and gamma are chosen inside each fold instead (`udfs.crossval.GRID`).
        shuffles: of the labels at most; 0: no p-values.
        shuffle_rows: rows of the stratified sample that labels are shuffled on, at most.
        exceedances: shuffles that do at least as well as the labels before no more are tried.
        seed: of folds, samples and shuffles.
    """

    folds: int
    min_rows: int
    c: float
    gamma: udf.Gamma
    search: bool
    shuffles: int
    shuffle_rows: int
    exceedances: int
    seed: int


@dataclass(frozen=True, eq=False)
class Score:
    """What a cell's cross-validation gave.

    Attributes:
        name: the cell's.
        n, positives: rows, and those with label 1.
        folds: folds of the cross-validation; 0 without a figure.
        accuracy: share of the pooled out-of-fold predictions that are right; None without a figure.
        fold_accuracies: the same a fold.
        fold_of: (n,) int16, the fold, from 0, that tested a row; -1 without a figure.
        predicted: (n,) int8, the out-of-fold prediction, 1 or 0; -1 without a figure.
        low, high: 95 % Wilson interval of the accuracy; None without a figure.
        baseline: share of the larger class.
        p_value: of the permutation test (Besag and Clifford, 1991); None without one.
        shuffles: shuffles that it rests on.
        shuffle_n: rows that were shuffled.
        imputed: entries of x that were missing.
        notes: what a reader of the figure should know.
        reason: why there is no figure; None where there is one.
    """

    name: str
    n: int
    positives: int
    folds: int
    accuracy: float | None
    fold_accuracies: tuple[float, ...]
    fold_of: npt.NDArray[np.int16]
    predicted: npt.NDArray[np.int8]
    low: float | None
    high: float | None
    baseline: float | None
    p_value: float | None
    shuffles: int
    shuffle_n: int
    imputed: int
    notes: tuple[str, ...]
    reason: str | None


def evaluate(spark: SparkSession, cells: Sequence[Cell], plan: Plan) -> list[Score]:
    """The score of every cell, in their order; folds and shuffles of all of them run together on executors."""
    raise NotImplementedError


def classifier(c: float, gamma: udf.Gamma, seed: int) -> Any:
    """The unfitted scikit-learn pipeline that is evaluated: median imputer, StandardScaler, SVC with RBF kernel."""
    raise NotImplementedError


def fitted(x: npt.NDArray[np.float64], y: npt.NDArray[np.integer[Any]], plan: Plan) -> Any:
    """A scikit-learn estimator with `predict_proba`, column 1 the positive side, fitted to all rows: the classifier
    under `CalibratedClassifierCV(method="sigmoid", ensemble=False)`.

    Raises:
        ValueError: a class has fewer than two rows, so that nothing can be calibrated.
    """
    raise NotImplementedError
