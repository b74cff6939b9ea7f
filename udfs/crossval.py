"""Units of the cross-validation of an SVM: a fold, or a whole one on shuffled labels. Runs on executors; numpy and
scikit-learn only.

Labels are 1 and 0, features float64 with NaN where missing. Whatever is learnt (medians, means, standard deviations, C
and gamma) is learnt of a fold's training rows alone. Labels are shuffled within folds, so every fold keeps its share
of both, and what is learnt of the features is learnt once a fold for many shuffles.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from sklearn import config_context
from sklearn.impute import SimpleImputer
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from udfs.worker_start import settle

Doubles = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int8]
Indices = npt.NDArray[np.intp]
Gamma = Literal["scale", "auto"] | float
Kind = Literal["fold", "shuffle"]

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
        sample: the rows, ascending, whose labels are shuffled; memory grows with the square of their number.
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
    kind: Kind
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
    # the features don't matter to it
    for number, (_, test) in enumerate(folds(method.folds, method.seed).split(np.zeros(len(y)), y)):
        found[test] = number
    return found


def predict_fold(x: Doubles, y: Labels, method: Method, number: int) -> Labels:
    """Predictions for the rows that fold `number` tests, in their order, from the other rows."""
    test = fold_numbers(y, method) == number
    predicted: Labels = estimator(method).fit(x[~test], y[~test]).predict(x[test])
    return predicted


def shuffled(y: Labels, of: npt.NDArray[np.int16], seed: int, name: str, number: int) -> Labels:
    """The labels of shuffle `number` of a cell, within the folds `of`: they depend on nothing but the arguments."""
    if number == UNSHUFFLED:
        return y
    of_name = int.from_bytes(hashlib.sha256(name.encode("utf-8")).digest()[:8], "big")
    drawn = np.random.default_rng([seed, of_name, number]).random(len(y))
    made = np.empty_like(y)
    made[np.argsort(of, kind="stable")] = y[np.lexsort((drawn, of))]
    return made


def correct(data: Data, numbers: Sequence[int]) -> list[int]:
    """For each of some shuffles of a cell's sample the rows that their out-of-fold prediction gets right."""
    x, y, method = data.x[data.sample], data.y[data.sample], data.shuffled
    of = fold_numbers(y, method)
    labels = [shuffled(y, of, method.seed, data.name, number) for number in numbers]
    right = [0] * len(numbers)
    for fold in range(method.folds):
        test = of == fold
        predict = _predictor(x[~test], x[test], method)
        for at, some in enumerate(labels):
            right[at] += int((predict(some[~test]) == some[test]).sum())
    return right


def _predictor(train: Doubles, test: Doubles, method: Method) -> Callable[[Labels], Labels]:
    """Labels of the training rows -> predictions for the test rows, as `estimator` makes them."""
    if method.search:
        return lambda y: estimator(method).fit(train, y).predict(test)
    scaled = classifier(method.c, method.gamma, method.seed)[:-1].fit(train)
    train, test = scaled.transform(train), scaled.transform(test)
    gamma = _gamma(train, method.gamma)
    # as large as the rows' square; with it at hand a fit takes a fifth of the time
    kernel, kernel_of_test = rbf_kernel(train, gamma=gamma), rbf_kernel(test, train, gamma=gamma)
    svm = SVC(kernel="precomputed", C=method.c)
    return lambda y: svm.fit(kernel, y).predict(kernel_of_test)


def _gamma(train: Doubles, gamma: Gamma) -> float:
    """What scikit-learn's SVC takes `scale` and `auto` for."""
    if gamma == "auto":
        return 1 / train.shape[1]
    if gamma == "scale":
        spread = float(train.var())
        return 1 / (train.shape[1] * spread) if spread else 1.0
    return float(gamma)


def run(units: Iterable[Sequence[Unit]], cells: Mapping[int, Held]) -> Iterator[tuple[Unit, Labels | int]]:
    """For `mapPartitions`: every unit with its result, the predictions of a fold (`predict_fold`), the rows that a
    shuffle gets right (`correct`). On one thread: neither libsvm nor the other steps know more.

    Args:
        units: what to compute, in groups; shuffles of one cell that follow each other share what a fold learns.
        cells: the cells' data, by the cell's number.

    Raises:
        CellError: a unit fails.
    """
    settle()
    with config_context(skip_parameter_validation=True):
        for (cell, kind), some in itertools.groupby(itertools.chain.from_iterable(units), key=_cell_and_kind):
            together = list(some)
            yield from zip(together, _results(cells[cell].value, kind, [unit.number for unit in together]), strict=True)


def _cell_and_kind(unit: Unit) -> tuple[int, Kind]:
    return unit.cell, unit.kind


def _results(of: Data, kind: Kind, numbers: Sequence[int]) -> Sequence[Labels | int]:
    try:
        if kind == "fold":
            return [predict_fold(of.x, of.y, of.method, number) for number in numbers]
        return correct(of, numbers)
    except Exception as error:
        which = f"{kind}s {numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else f"{kind} {numbers[0]}"
        raise CellError(f"{of.name}: {which} failed: {type(error).__name__}: {error}") from error
