"""Units of the cross-validation of an SVM: a fold, or a whole one on shuffled labels. Runs on executors; numpy and
scikit-learn only.

Labels are 1 and 0, features float64 with NaN where missing. Whatever is learnt of the features (medians, means,
standard deviations, C and gamma) is learnt of a fold's training rows alone.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from sklearn import config_context
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from udfs.worker_start import settle

Doubles = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int8]
Indices = npt.NDArray[np.intp]
Gamma = Literal["scale", "auto"] | float

# What a search tries, each on so many folds of the training rows.
GRID = {"svc__C": (0.1, 1.0, 10.0, 100.0), "svc__gamma": (0.001, 0.01, 0.1, 1.0)}
INNER_FOLDS = 3

# The number of the shuffle that leaves the labels as they are; shuffles count from 1.
UNSHUFFLED = 0


class CellError(Exception):
    """A figure could not be computed; the message names it."""


@dataclass(frozen=True)
class Method:
    """How labels are predicted: folds, C and gamma of the SVM, or that they are chosen in each fold, the seed."""

    folds: int
    c: float
    gamma: Gamma
    search: bool
    seed: int


@dataclass(frozen=True, eq=False)
class Data:
    """What a cell's units compute from.

    Attributes:
        name: the cell's.
        x: (n, d).
        y: (n,).
        sample: the rows, ascending, whose labels are shuffled.
        method: of the folds of all rows.
        shuffled: of the folds of the sample.
    """

    name: str
    x: Doubles
    y: Labels
    sample: Indices
    method: Method
    shuffled: Method


class Unit(NamedTuple):
    """One piece of work: fold `number` (from 0) of a cell's rows, or shuffle `number` of its sample."""

    cell: int
    kind: Literal["fold", "shuffle"]
    number: int


class Held(Protocol):
    """A Spark broadcast of `Data`, or what looks like one."""

    @property
    def value(self) -> Data: ...


def classifier(c: float, gamma: Gamma, seed: int) -> Pipeline:
    """Median imputer, StandardScaler, SVC with RBF kernel. A column without any value becomes 0, a constant one too."""
    return Pipeline(
        [
            ("imputer", SimpleImputer(strategy="median", keep_empty_features=True)),
            ("scaler", StandardScaler()),
            ("svc", SVC(kernel="rbf", C=c, gamma=gamma, random_state=seed)),
        ]
    )


def estimator(method: Method) -> Any:
    """`classifier`, or with `search` the one of `GRID` that does best on stratified folds of what it is fitted to."""
    plain = classifier(method.c, method.gamma, method.seed)
    if not method.search:
        return plain
    return GridSearchCV(plain, GRID, scoring="accuracy", cv=folds(INNER_FOLDS, method.seed))


def folds(number: int, seed: int) -> StratifiedKFold:
    """The folds of every cross-validation here."""
    return StratifiedKFold(number, shuffle=True, random_state=seed)


def fold_numbers(y: Labels, method: Method) -> npt.NDArray[np.int16]:
    """The fold (n,), from 0, that tests each row."""
    found = np.empty(len(y), np.int16)
    for number, (_, test) in enumerate(_split(y, method)):
        found[test] = number
    return found


def _split(y: Labels, method: Method) -> Iterator[tuple[Indices, Indices]]:
    # the features don't matter to it
    splits: Iterator[tuple[Indices, Indices]] = folds(method.folds, method.seed).split(np.zeros(len(y)), y)
    return splits


def predict_fold(x: Doubles, y: Labels, method: Method, number: int) -> Labels:
    """Predictions for the rows that fold `number` tests, in their order, from the other rows."""
    of = fold_numbers(y, method)
    train, test = of != number, of == number
    predicted: Labels = estimator(method).fit(x[train], y[train]).predict(x[test])
    return predicted


def correct(x: Doubles, y: Labels, method: Method) -> int:
    """Rows that their out-of-fold prediction gets right."""
    model = estimator(method)
    return sum(
        int((model.fit(x[train], y[train]).predict(x[test]) == y[test]).sum()) for train, test in _split(y, method)
    )


def shuffled(y: Labels, seed: int, name: str, number: int) -> Labels:
    """The labels of shuffle `number` of a cell: they depend on nothing but the arguments."""
    if number == UNSHUFFLED:
        return y
    of_name = int.from_bytes(hashlib.sha256(name.encode("utf-8")).digest()[:8], "big")
    return np.random.default_rng([seed, of_name, number]).permutation(y)


def run(units: Iterable[Sequence[Unit]], cells: Mapping[int, Held]) -> Iterator[tuple[Unit, Labels | int]]:
    """For `mapPartitions`: every unit with its result, `predict_fold` of a fold, `correct` of a shuffle. On one thread:
    neither libsvm nor the other steps know more.

    Args:
        units: what to compute, in groups.
        cells: the cells' data, by the cell's number.

    Raises:
        CellError: a unit fails.
    """
    settle()
    with config_context(skip_parameter_validation=True):
        for unit in itertools.chain.from_iterable(units):
            yield unit, _result(unit, cells[unit.cell].value)


def _result(unit: Unit, of: Data) -> Labels | int:
    try:
        if unit.kind == "fold":
            return predict_fold(of.x, of.y, of.method, unit.number)
        y = shuffled(of.y[of.sample], of.method.seed, of.name, unit.number)
        return correct(of.x[of.sample], y, of.shuffled)
    except Exception as error:
        raise CellError(f"{of.name}: {unit.kind} {unit.number} failed: {type(error).__name__}: {error}") from error
