from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.impute import SimpleImputer
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from udfs import crossval
from udfs.crossval import CellError, Data, Method, Unit

METHOD = Method(folds=5, c=1.0, gamma="scale", search=False, seed=3)


@dataclass(frozen=True)
class Sent:
    value: Data


def made_up(n: int = 60, d: int = 4, missing: float = 0.2, seed: int = 1) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    y = np.arange(n, dtype=np.int8) % 2
    x = rng.lognormal(size=(n, d)) + y[:, None]
    x[rng.random(x.shape) < missing] = np.nan
    return x, y


def plain(c: float = 1.0, gamma: Any = "scale") -> Any:
    return make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), SVC(C=c, gamma=gamma))


def out_of_fold(x: npt.NDArray[np.float64], y: npt.NDArray[np.int8], method: Method) -> npt.NDArray[np.int8]:
    of = crossval.fold_numbers(y, method)
    predicted = np.full(len(y), -1, np.int8)
    for fold in range(method.folds):
        predicted[of == fold] = crossval.predict_fold(x, y, method, fold)
    return predicted


@pytest.mark.parametrize("seed", [1, 2])
def test_the_folds_together_are_scikit_learns_cross_val_predict(seed: int) -> None:
    x, y = made_up(seed=seed)
    method = replace(METHOD, c=2.5, gamma=0.3)
    folds = StratifiedKFold(5, shuffle=True, random_state=3)
    expected = cross_val_predict(plain(2.5, 0.3), x, y, cv=folds)
    found = out_of_fold(x, y, method)
    np.testing.assert_array_equal(found, expected)
    assert 0 < (expected == y).mean() < 1


def whole(x: Any, y: Any, method: Method, name: str = "a") -> Data:
    return Data(name, x, y, np.arange(len(y)), method, method)


@pytest.mark.parametrize(("gamma", "search"), [("scale", False), ("auto", False), (0.3, False), ("scale", True)])
def test_shuffles_are_predicted_as_folds_are(gamma: Any, search: bool) -> None:
    x, y = made_up(n=40)
    method = replace(METHOD, folds=2, c=2.5, gamma=gamma, search=search)
    of = crossval.fold_numbers(y, method)
    shuffles = [crossval.shuffled(y, of, 3, "a", number) for number in (0, 1)]
    for found, labels in zip(crossval.correct(whole(x, y, method), [0, 1]), shuffles, strict=True):
        right = 0
        for fold in range(2):
            model = crossval.estimator(method).fit(x[of != fold], labels[of != fold])
            right += (model.predict(x[of == fold]) == labels[of == fold]).sum()
        assert found == right


def test_every_fold_holds_both_labels_in_proportion() -> None:
    y = np.array([1] * 40 + [0] * 20, np.int8)
    of = crossval.fold_numbers(y, METHOD)
    assert [(of[y == 1] == fold).sum() for fold in range(5)] == [8] * 5
    assert [(of[y == 0] == fold).sum() for fold in range(5)] == [4] * 5


def test_medians_are_learnt_inside_the_fold() -> None:
    """A feature that few rows have: the median of all rows, test rows among them, gives other predictions."""
    x, y = made_up(n=24, d=1, missing=0.7, seed=9)
    found = out_of_fold(x, y, METHOD)
    folds = StratifiedKFold(5, shuffle=True, random_state=3)
    beforehand = SimpleImputer(strategy="median").fit_transform(x)
    leaky = cross_val_predict(make_pipeline(StandardScaler(), SVC()), beforehand, y, cv=folds)
    assert (found != leaky).any()
    np.testing.assert_array_equal(found, cross_val_predict(plain(), x, y, cv=folds))


@pytest.mark.parametrize("column", [7.0, np.nan])
def test_columns_that_say_nothing_change_nothing(column: float) -> None:
    x, y = made_up()
    wider = np.hstack([x, np.full((len(x), 1), column)])
    method = replace(METHOD, gamma=0.25)
    np.testing.assert_array_equal(out_of_fold(wider, y, method), out_of_fold(x, y, method))
    assert crossval.correct(whole(wider, y, method), [0, 1]) == crossval.correct(whole(x, y, method), [0, 1])


@pytest.mark.parametrize("value", [7.0, np.nan])
def test_users_who_are_all_alike_are_no_error(value: float) -> None:
    x, y = np.full((20, 3), value), np.arange(20, dtype=np.int8) % 2
    assert set(out_of_fold(x, y, METHOD)) <= {0, 1}
    assert 0 <= crossval.correct(whole(x, y, METHOD), [1])[0] <= 20


def test_search_finds_what_a_bad_c_and_gamma_miss() -> None:
    """Labels by the quadrant: a kernel as flat as this one sees nothing."""
    x = np.random.default_rng(0).normal(size=(80, 2))
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int8)
    bad = Method(folds=4, c=0.01, gamma=1e-4, search=False, seed=3)
    assert (out_of_fold(x, y, bad) == y).mean() < 0.6
    assert (out_of_fold(x, y, replace(bad, search=True)) == y).mean() > 0.8


def test_shuffles_depend_on_seed_name_and_number_alone() -> None:
    y = np.array([1] * 30 + [0] * 20, np.int8)
    of = crossval.fold_numbers(y, METHOD)
    made = {
        (seed, name, number): tuple(crossval.shuffled(y, of, seed, name, number))
        for seed in (1, 2)
        for name in ("R1 F", "R2 F")
        for number in (1, 2)
    }
    assert len(set(made.values())) == len(made)
    assert tuple(crossval.shuffled(y, of, 1, "R1 F", 2)) == made[1, "R1 F", 2]
    np.testing.assert_array_equal(crossval.shuffled(y, of, 1, "R1 F", crossval.UNSHUFFLED), y)


def test_every_shuffle_keeps_each_folds_labels_and_reaches_every_row() -> None:
    y = np.array([1] * 30 + [0] * 20, np.int8)
    of = crossval.fold_numbers(y, METHOD)
    made = np.array([crossval.shuffled(y, of, 1, "a", number) for number in range(1, 401)])
    for fold in range(5):
        assert (made[:, of == fold].sum(axis=1) == 6).all()
    # each row is as often positive as its fold has positives: 6 in 10
    assert np.abs(made.mean(axis=0) - 0.6).max() < 0.1


def test_units_are_computed_on_their_own_cells_and_rows() -> None:
    x, y = made_up()
    sample = np.arange(0, 60, 2) + np.arange(30) % 2  # both labels
    small = replace(METHOD, folds=3)
    first, second = Data("a", x, y, sample, METHOD, small), Data("b", -x, 1 - y, sample, METHOD, small)
    units = [[Unit(9, "fold", 2), Unit(4, "shuffle", 0)], [Unit(4, "shuffle", 7), Unit(9, "shuffle", 7)], []]
    found = list(crossval.run(units, {4: Sent(first), 9: Sent(second)}))
    assert [unit for unit, _ in found] == [unit for group in units for unit in group]
    np.testing.assert_array_equal(found[0][1], crossval.predict_fold(-x, 1 - y, METHOD, 2))
    assert [found[1][1], found[2][1]] == crossval.correct(whole(x[sample], y[sample], small), [0, 7])
    assert [found[3][1]] == crossval.correct(whole(-x[sample], 1 - y[sample], small, "b"), [7])


def test_an_error_names_the_cell() -> None:
    x, y = made_up()
    broken = Data("R3 F+S", np.full_like(x, np.inf), y, np.arange(60), METHOD, METHOD)
    with pytest.raises(CellError, match=r"R3 F\+S: fold 1 failed: ValueError: .*infinity"):
        list(crossval.run([[Unit(0, "fold", 1)]], {0: Sent(broken)}))
    with pytest.raises(CellError, match=r"R3 F\+S: shuffles 5 to 6 failed"):
        list(crossval.run([[Unit(0, "shuffle", 5), Unit(0, "shuffle", 6)]], {0: Sent(broken)}))
