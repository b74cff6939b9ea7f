"""Cross-validated accuracy with permutation tests, many figures at once, on executors.

A figure is a `Cell`: a matrix of features and a label a row. All folds and shuffles of all cells are units of the same
Spark jobs (`udfs.crossval` computes one), so that executors stay busy whatever the number of cells, and no result
depends on how the units are cut into tasks.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from pyspark.sql import SparkSession
from scipy.stats import binomtest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import Pipeline
from sklearn.utils import resample

from profilelake.errors import ProfilelakeError
from udfs import crossval as udf

log = logging.getLogger("profilelake.training")

# Spark tasks a core: units of one figure take longer than another's, and a core that is done takes the next task.
_TASKS_PER_CORE = 4
# The calibration's own folds; the paper knows no calibration, five are scikit-learn's.
_CALIBRATION_FOLDS = 5


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
    """The score of every cell, in their order; folds and shuffles of all of them run together on executors.

    The same cells and plan give the same scores, whatever the executors and the order in which they finish. A cell's
    data goes to executors once and is forgotten before this returns.

    Raises:
        ProfilelakeError: two cells have one name, or arrays of a cell differ in length.
        Exception: Spark's, when a unit fails; its message holds `CellError` and the cell's name.
    """
    _check(cells)
    works = [_Work.of(cell, plan) for cell in cells]
    possible = {number: work for number, work in enumerate(works) if work.reason is None}
    context = spark.sparkContext
    held = {number: context.broadcast(work.data()) for number, work in possible.items()}
    try:
        wave = [unit for number, work in possible.items() for unit in work.first(number)]
        while wave:
            groups = _groups(wave, _TASKS_PER_CORE * context.defaultParallelism)
            dealt = context.parallelize(groups, len(groups))
            for unit, result in dealt.mapPartitions(functools.partial(udf.run, cells=held)).collect():
                possible[unit.cell].results[unit.kind, unit.number] = result
            wave = [unit for number, work in possible.items() for unit in work.next(number)]
            log.info("cross-validation: %d of %d figures need more shuffles", len({u.cell for u in wave}), len(works))
    finally:
        for sent in held.values():
            sent.destroy()
    return [work.score() for work in works]


def classifier(c: float, gamma: udf.Gamma, seed: int) -> Pipeline:
    """The unfitted scikit-learn pipeline that is evaluated: median imputer, StandardScaler, SVC with RBF kernel."""
    return udf.classifier(c, gamma, seed)


def fitted(x: npt.NDArray[np.float64], y: npt.NDArray[np.integer[Any]], plan: Plan) -> CalibratedClassifierCV:
    """A scikit-learn estimator with `predict_proba`, column 1 the positive side, fitted to all rows: the classifier
    (with `plan.search` the one that is best on these rows) under `CalibratedClassifierCV(method="sigmoid",
    ensemble=False)`, whose folds are fewer than five where the smaller class has fewer rows.

    Raises:
        ProfilelakeError: a class has fewer than two rows, so that nothing can be calibrated.
    """
    smaller = _smaller(y)
    if smaller < 2:
        raise ProfilelakeError(
            f"a model of {len(y)} rows, {smaller} on the smaller side, cannot be calibrated: each side needs 2"
        )
    number = min(_CALIBRATION_FOLDS, smaller)
    method = _method(smaller, number, plan)
    model = CalibratedClassifierCV(
        udf.estimator(method), method="sigmoid", ensemble=False, cv=udf.folds(number, plan.seed)
    )
    return model.fit(x, y)


def wilson(right: int, n: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of `right` out of `n`."""
    interval = binomtest(right, n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def sequential_p(as_good: Sequence[bool], exceedances: int, shuffles: int) -> tuple[float, int] | None:
    """The p-value of a sequential permutation test and the shuffles that it rests on (Besag and Clifford, 1991).

    Args:
        as_good: for shuffle 1, 2, ... whether it did at least as well as the labels.
        exceedances: h; the test stops at the shuffle l that is the h-th as good, and p = h / l.
        shuffles: n, at most: where g < h of n were as good, p = (g + 1) / (n + 1).

    Returns:
        None while it takes more shuffles to tell.
    """
    places = np.flatnonzero(as_good[:shuffles])
    if len(places) >= exceedances:
        last = int(places[exceedances - 1]) + 1
        return exceedances / last, last
    if len(as_good) < shuffles:
        return None
    return (len(places) + 1) / (shuffles + 1), shuffles


@dataclass(eq=False)
class _Work:
    """What is to be computed for a cell, and what is known by now: `results` by (kind, number of the unit)."""

    cell: Cell
    plan: Plan
    reason: str | None
    method: udf.Method
    notes: tuple[str, ...]
    sample: npt.NDArray[np.intp]
    results: dict[tuple[str, int], Any] = field(default_factory=dict)

    @classmethod
    def of(cls, cell: Cell, plan: Plan) -> _Work:
        n, smaller = len(cell.y), _smaller(cell.y)
        number = min(plan.folds, smaller)
        method = _method(smaller, number, plan)
        reason = None
        if n < plan.min_rows:
            reason = f"{n} labelled rows; a figure needs {plan.min_rows}"
        elif smaller < 2:
            reason = f"{smaller} of {n} labelled rows on one side; a cross-validation needs 2 on each"
        notes = []
        if reason is None and number < plan.folds:
            notes.append(f"{number} folds, not {plan.folds}: the smaller side has {smaller} rows")
        if reason is None and plan.search and not method.search:
            notes.append(f"too few rows to choose C and gamma in each fold: C = {plan.c}, gamma = {plan.gamma}")
        sample = np.arange(n)
        if reason is None and n > plan.shuffle_rows and plan.shuffles:
            drawn = resample(
                sample, replace=False, n_samples=plan.shuffle_rows, random_state=plan.seed, stratify=cell.y
            )
            sample = np.sort(drawn)
            notes.append(f"labels were shuffled on a sample of {plan.shuffle_rows} of {n} rows")
        return cls(cell, plan, reason, method, tuple(notes), sample)

    def data(self) -> udf.Data:
        """What its units compute from."""
        y = self.cell.y.astype(np.int8)
        smaller = _smaller(y[self.sample])
        shuffled = _method(smaller, min(self.method.folds, smaller), self.plan)
        return udf.Data(self.cell.name, np.asarray(self.cell.x, np.float64), y, self.sample, self.method, shuffled)

    def first(self, number: int) -> Iterator[udf.Unit]:
        """Units of the first wave: the folds, what shuffles are compared with, the first shuffles."""
        for fold in range(self.method.folds):
            yield udf.Unit(number, "fold", fold)
        if self.plan.shuffles:
            yield udf.Unit(number, "shuffle", udf.UNSHUFFLED)
            yield from self._shuffles(number, 0)

    def next(self, number: int) -> Iterator[udf.Unit]:
        """Further shuffles; none when the p-value is known."""
        if self.plan.shuffles and self._p_value() is None:
            yield from self._shuffles(number, len(self._as_good()))

    def _shuffles(self, number: int, done: int) -> Iterator[udf.Unit]:
        # as many again as were made: a test that stops has made less than half for nothing
        until = min(self.plan.shuffles, max(2 * self.plan.exceedances, 2 * done))
        for shuffle in range(done + 1, until + 1):
            yield udf.Unit(number, "shuffle", shuffle)

    def _fold_of(self) -> npt.NDArray[np.int16]:
        return udf.fold_numbers(self.cell.y.astype(np.int8), self.method)

    def _predicted(self) -> npt.NDArray[np.int8]:
        predicted = np.empty(len(self.cell.y), np.int8)
        of = self._fold_of()
        for fold in range(self.method.folds):
            predicted[of == fold] = self.results["fold", fold]
        return predicted

    def _as_good(self) -> list[bool]:
        least = self.results["shuffle", udf.UNSHUFFLED]
        made = sum(kind == "shuffle" and number != udf.UNSHUFFLED for kind, number in self.results)
        return [self.results["shuffle", number] >= least for number in range(1, made + 1)]

    def _p_value(self) -> tuple[float, int] | None:
        return sequential_p(self._as_good(), self.plan.exceedances, self.plan.shuffles)

    def score(self) -> Score:
        """What was found."""
        n, positives = len(self.cell.y), int((self.cell.y == 1).sum())
        none = Score(
            name=self.cell.name,
            n=n,
            positives=positives,
            folds=0,
            accuracy=None,
            fold_accuracies=(),
            fold_of=np.full(n, -1, np.int16),
            predicted=np.full(n, -1, np.int8),
            low=None,
            high=None,
            baseline=max(positives, n - positives) / n if n else None,
            p_value=None,
            shuffles=0,
            shuffle_n=0,
            imputed=int(np.isnan(self.cell.x).sum()),
            notes=self.notes,
            reason=self.reason,
        )
        if self.reason is not None:
            return none
        fold_of, predicted = self._fold_of(), self._predicted()
        right = predicted == self.cell.y
        low, high = wilson(int(right.sum()), n)
        p_value, shuffles = (self._p_value() if self.plan.shuffles else None) or (None, 0)
        return replace(
            none,
            folds=self.method.folds,
            accuracy=float(right.mean()),
            fold_accuracies=tuple(float(right[fold_of == fold].mean()) for fold in range(self.method.folds)),
            fold_of=fold_of,
            predicted=predicted,
            low=low,
            high=high,
            p_value=p_value,
            shuffles=shuffles,
            shuffle_n=len(self.sample) if shuffles else 0,
        )


def _smaller(y: npt.NDArray[np.integer[Any]]) -> int:
    """Rows of the smaller class."""
    return int(min((y == 1).sum(), (y == 0).sum()))


def _method(smaller: int, number: int, plan: Plan) -> udf.Method:
    """How `number` folds are predicted. C and gamma can be chosen only where the smaller class, less a fold, still has
    a row for each inner fold."""
    left = smaller - -(-smaller // max(1, number))
    return udf.Method(number, plan.c, plan.gamma, plan.search and left >= udf.INNER_FOLDS, plan.seed)


def _check(cells: Sequence[Cell]) -> None:
    names = [cell.name for cell in cells]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ProfilelakeError(f"two figures have one name: {', '.join(twice)}")
    for cell in cells:
        if cell.x.ndim != 2 or not len(cell.x) == len(cell.y) == len(cell.users):
            raise ProfilelakeError(
                f"{cell.name}: x is {cell.x.shape}, y {cell.y.shape}, users {cell.users.shape}: rows differ"
            )
        if not np.isin(cell.y, (0, 1)).all():
            raise ProfilelakeError(f"{cell.name}: labels are 1 and 0, not {sorted(set(cell.y.tolist()))[:5]}")
        if np.isinf(cell.x).any():
            raise ProfilelakeError(f"{cell.name}: a feature is infinite")


def _groups(wave: Sequence[udf.Unit], most: int) -> list[list[udf.Unit]]:
    """The units of a wave by Spark task, at most so many. Folds are dealt out in turn, since those of a large cell take
    long; shuffles of a cell stay together, since they share what a fold learns."""
    folds = [unit for unit in wave if unit.kind == "fold"]
    shuffles = [unit for unit in wave if unit.kind == "shuffle"]
    tasks = min(len(wave), most)
    share = -(-len(shuffles) // tasks)
    return [folds[at::tasks] + shuffles[at * share : (at + 1) * share] for at in range(tasks)]
