from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from sklearn.model_selection import PredefinedSplit, StratifiedKFold, cross_val_predict

from profilelake.errors import ProfilelakeError
from profilelake.training import crossval
from profilelake.training.crossval import Cell, Plan, Score
from tests.behaviour import planted

PLAN = Plan(
    folds=5,
    min_rows=20,
    c=1.0,
    gamma="scale",
    search=False,
    shuffles=0,
    shuffle_rows=600,
    exceedances=4,
    seed=11,
)


class Local:
    """What `evaluate` uses of a session, in this process: tasks end in the reverse order of their start."""

    def __init__(self, cores: int = 2) -> None:
        self.sparkContext = self
        self.defaultParallelism = cores
        self.jobs: list[int] = []
        self.held = 0

    def broadcast(self, value: Any) -> Any:
        self.held += 1
        return Sent(value, self)

    def parallelize(self, groups: Sequence[Any], slices: int) -> Local:
        assert len(groups) == slices
        self.jobs.append(sum(map(len, groups)))
        self.groups = groups
        return self

    def mapPartitions(self, work: Callable[[Any], Iterator[Any]]) -> Local:
        self.made = [result for group in reversed(self.groups) for result in work(iter([group]))]
        return self

    def collect(self) -> list[Any]:
        return self.made


@dataclass
class Sent:
    value: Any
    of: Local

    def destroy(self) -> None:
        self.of.held -= 1


def evaluate(cells: Sequence[Cell], plan: Plan, local: Local | None = None) -> list[Score]:
    return crossval.evaluate(local or Local(), cells, plan)  # type: ignore[arg-type]


def cell(name: str = "a", n: int = 60, signal: float = 1.0, positives: int | None = None, seed: int = 0) -> Cell:
    """Three features, the first of which tells the label by `signal` standard deviations; some are missing."""
    rng = np.random.default_rng([seed, n])
    positives = n // 2 if positives is None else positives
    y = rng.permutation(np.array([1] * positives + [0] * (n - positives)))
    x = rng.normal(size=(n, 3))
    x[:, 0] += signal * y
    x[rng.random(x.shape) < 0.05] = np.nan
    return Cell(name, x, y, np.array([f"u{row}" for row in range(n)]))


def same(left: Score, right: Score) -> None:
    for name in Score.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name), err_msg=name)


def test_a_score_is_scikit_learns() -> None:
    one = cell(n=75, positives=40)
    (score,) = evaluate([one], PLAN)
    folds = StratifiedKFold(5, shuffle=True, random_state=11)
    predicted = cross_val_predict(crossval.classifier(1.0, "scale", 11), one.x, one.y, cv=folds)
    np.testing.assert_array_equal(score.predicted, predicted)
    by_fold = []
    for number, (_, test) in enumerate(folds.split(one.x, one.y)):
        assert set(score.fold_of[test]) == {number}
        by_fold.append((predicted[test] == one.y[test]).mean())
    assert score.fold_accuracies == pytest.approx(by_fold)
    assert score.accuracy == pytest.approx((predicted == one.y).mean())
    assert (score.n, score.positives, score.folds, score.baseline) == (75, 40, 5, 40 / 75)
    assert score.imputed == np.isnan(one.x).sum() > 0
    assert (score.p_value, score.shuffles, score.shuffle_n, score.notes, score.reason) == (None, 0, 0, (), None)
    # Wilson, 1927
    z, share, n = 1.959963984540054, score.accuracy, 75
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    assert (score.low, score.high) == pytest.approx((centre - half, centre + half))


@pytest.mark.parametrize("right", [0, 1, 40])
def test_wilsons_interval_stays_within_0_and_1(right: int) -> None:
    low, high = crossval.wilson(right, 40)
    assert 0 <= low <= right / 40 <= high <= 1
    assert low < high


def test_too_few_rows_are_no_figure_and_the_reason_says_it() -> None:
    scores = evaluate([cell("few", n=19), cell("one side", n=30, positives=29), cell("good", n=20)], PLAN)
    assert [score.reason for score in scores] == [
        "19 labelled rows; a figure needs 20",
        "1 of 30 labelled rows on one side; a cross-validation needs 2 on each",
        None,
    ]
    few = scores[0]
    assert (few.accuracy, few.low, few.high, few.p_value, few.folds, few.fold_accuracies) == (None,) * 4 + (0, ())
    assert (few.n, few.positives) == (19, 9)
    assert set(few.fold_of) == set(few.predicted) == {-1}


def test_no_cell_at_all_and_cells_without_rows() -> None:
    local = Local()
    assert evaluate([], PLAN, local) == []
    none = Cell("none", np.zeros((0, 3)), np.zeros(0, np.int8), np.zeros(0, np.str_))
    (score,) = evaluate([none], PLAN, local)
    assert (score.n, score.baseline, score.reason) == (0, None, "0 labelled rows; a figure needs 20")
    assert local.jobs == []


def test_fewer_folds_where_the_smaller_side_is_small() -> None:
    (score,) = evaluate([cell(n=30, positives=3)], PLAN)
    assert score.folds == len(score.fold_accuracies) == 3
    assert score.notes == ("3 folds, not 5: the smaller side has 3 rows",)
    (searched,) = evaluate([cell(n=30, positives=3)], replace(PLAN, search=True))
    assert "too few rows to choose C and gamma in each fold: C = 1.0, gamma = scale" in searched.notes
    np.testing.assert_array_equal(searched.predicted, score.predicted)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"y": np.arange(60)}, r"a: labels are 1 and 0, not \[0, 1, 2, 3, 4\]"),
        ({"y": np.zeros(59, int)}, r"a: x is \(60, 3\), y \(59,\)"),
        ({"x": np.full((60, 3), np.inf)}, "a: a feature is infinite"),
    ],
)
def test_cells_that_cannot_be_are_told_before_anything_runs(changed: dict[str, Any], message: str) -> None:
    local = Local()
    with pytest.raises(ProfilelakeError, match=message):
        evaluate([replace(cell(), **changed)], PLAN, local)
    assert local.jobs == []


def test_two_cells_of_one_name_are_refused() -> None:
    with pytest.raises(ProfilelakeError, match="two figures have one name: a"):
        evaluate([cell(), cell("b"), cell()], PLAN)


# --- permutation tests ------------------------------------------------------------------------------------------------


def besag_clifford(as_good: Sequence[bool], h: int, n: int) -> tuple[float, int]:
    """One shuffle after the other."""
    exceedances = 0
    for number, hit in enumerate(as_good[:n], start=1):
        exceedances += hit
        if exceedances == h:
            return h / number, number
    return (exceedances + 1) / (n + 1), n


def test_the_sequential_p_value() -> None:
    rng = random.Random(4)
    for _ in range(300):
        h, n = rng.randrange(1, 8), rng.randrange(1, 40)
        hits = [rng.random() < rng.choice([0.05, 0.3, 0.9]) for _ in range(n)]
        assert crossval.sequential_p(hits, h, n) == besag_clifford(hits, h, n)
        seen = rng.randrange(n)
        expected = besag_clifford(hits, h, n) if sum(hits[:seen]) >= h else None
        assert crossval.sequential_p(hits[:seen], h, n) == expected
    assert crossval.sequential_p([True] * 4, 4, 100) == (1.0, 4)
    assert crossval.sequential_p([False] * 100, 4, 100) == (1 / 101, 100)


def shuffled_accuracies(one: Cell, score: Score, numbers: Sequence[int]) -> list[int]:
    found = []
    for number in numbers:
        y = crossval.udf.shuffled(one.y.astype(np.int8), score.fold_of, 11, one.name, number)
        predicted = cross_val_predict(
            crossval.classifier(1.0, "scale", 11), one.x, y, cv=PredefinedSplit(score.fold_of)
        )
        found.append(int((predicted == y).sum()))
    return found


def test_a_signal_has_the_smallest_p_value_and_noise_stops_early() -> None:
    cells = [cell("signal", signal=2.0), cell("noise", signal=0.0, seed=3)]
    local = Local()
    signal, noise = evaluate(cells, replace(PLAN, shuffles=39), local)
    assert (signal.p_value, signal.shuffles, signal.shuffle_n) == (1 / 40, 39, 60)
    assert noise.p_value is not None
    assert noise.p_value > 0.1
    assert 4 <= noise.shuffles < 39
    # all cells' units are in each job, those of the first one with the folds; waves double
    assert local.jobs[0] == 2 * (5 + 1 + 8)
    assert len(local.jobs) <= 4
    assert local.held == 0
    observed = int((noise.predicted == cells[1].y).sum())
    hits = [right >= observed for right in shuffled_accuracies(cells[1], noise, range(1, noise.shuffles + 1))]
    assert besag_clifford(hits, 4, 39) == (noise.p_value, noise.shuffles)


def test_large_cells_are_shuffled_on_a_sample_against_the_accuracy_on_it() -> None:
    one = cell(n=90, positives=60, signal=0.8)
    plan = replace(PLAN, shuffles=12, shuffle_rows=30)
    (score,) = evaluate([one], plan)
    assert score.n == 90
    assert score.shuffle_n == 30
    assert score.notes == ("labels were shuffled on a sample of 30 of 90 rows",)
    (whole,) = evaluate([one], replace(plan, shuffles=0))
    assert (whole.accuracy, whole.notes) == (score.accuracy, ())
    # the sample's own figure, without a sample
    rows = np.sort(crossval._Work.of(one, plan).sample)
    assert (one.y[rows] == 1).sum() == 20
    (alone,) = evaluate([Cell("a", one.x[rows], one.y[rows], one.users[rows])], plan)
    assert (alone.p_value, alone.shuffles) == (score.p_value, score.shuffles)


def test_p_values_are_about_uniform_without_a_signal() -> None:
    cells = [cell(f"noise {seed}", n=24, signal=0.0, seed=seed) for seed in range(40)]
    scores = evaluate(cells, replace(PLAN, folds=2, shuffles=19, exceedances=20))
    values = np.array([score.p_value for score in scores], float)
    assert 0.4 < values.mean() < 0.7  # ties make it larger than a half
    assert (values <= 0.2).sum() <= 16  # 8 are expected; more than 16 are seen once in 1,000 times
    assert (values <= 0.5).sum() >= 10


def scores_of(cells: Sequence[Cell], plan: Plan, cores: int, monkeypatch: pytest.MonkeyPatch) -> list[Score]:
    monkeypatch.setattr(crossval, "_TASKS_PER_CORE", 1)
    return evaluate(cells, plan, Local(cores))


def test_no_score_depends_on_how_the_work_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [cell("signal", n=40), cell("noise", n=30, signal=0.0), cell("few", n=10)]
    plan = replace(PLAN, folds=3, shuffles=15, exceedances=3)
    one, two, five = (scores_of(cells, plan, cores, monkeypatch) for cores in (1, 2, 5))
    # nor on the other cells
    alone = evaluate(cells[1:2], plan)
    for at in range(len(cells)):
        same(one[at], two[at])
        same(one[at], five[at])
    same(one[1], alone[0])


def test_executors_give_the_same_scores(spark: SparkSession) -> None:
    cells = [cell("signal", n=40), cell("noise", n=30, signal=0.0), cell("few", n=10)]
    plan = replace(PLAN, folds=3, shuffles=15, exceedances=3)
    for found, expected in zip(crossval.evaluate(spark, cells, plan), evaluate(cells, plan), strict=True):
        same(found, expected)
    with pytest.raises(Exception, match=r"CellError: signal: fold \d+ failed"):
        crossval.evaluate(spark, cells[:1], replace(plan, gamma="nonsense"))  # type: ignore[arg-type]


# --- the fitted model -------------------------------------------------------------------------------------------------


def test_the_fitted_model_gives_calibrated_probabilities() -> None:
    one = cell(n=200, signal=1.5)
    model = crossval.fitted(one.x, one.y, PLAN)
    probability = model.predict_proba(one.x)[:, 1]
    assert list(model.classes_) == [0, 1]
    assert ((probability > 0) & (probability < 1)).all()
    assert probability[one.y == 1].mean() > probability[one.y == 0].mean() + 0.2
    # of rows that it says p of, about p are positive
    new = cell(n=2000, signal=1.5, seed=8)
    told = model.predict_proba(new.x)[:, 1]
    for low in (0.0, 0.5):
        some = (told >= low) & (told < low + 0.5)
        assert told[some].mean() == pytest.approx(new.y[some].mean(), abs=0.06)
    np.testing.assert_array_equal(crossval.fitted(one.x, one.y, PLAN).predict_proba(one.x)[:, 1], probability)


def test_the_fitted_model_of_few_rows_has_fewer_inner_folds() -> None:
    model = crossval.fitted(cell(n=20, positives=2).x, cell(n=20, positives=2).y, PLAN)
    assert model.cv.n_splits == 2
    with pytest.raises(ProfilelakeError, match="a model of 20 rows, 1 on the smaller side, cannot be calibrated"):
        crossval.fitted(cell(n=20, positives=1).x, cell(n=20, positives=1).y, PLAN)


def test_the_fitted_model_searches_where_it_is_asked_to() -> None:
    one = cell(n=40)
    model = crossval.fitted(one.x, one.y, replace(PLAN, search=True, c=77.0))
    chosen = model.calibrated_classifiers_[0].estimator.best_params_
    assert chosen["svc__C"] in crossval.udf.GRID["svc__C"]


# --- a relation of known strength -------------------------------------------------------------------------------------


FEW = {"drop_by": ("selfie_occurrences",), "part": 3}
TASKS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "R1": ("selfie_frequency", "F", {}),
    "R2 I": ("selfie_inertia", "I", FEW),
    "R2 F": ("selfie_inertia", "F", FEW),
    "R3": ("selfie_singleness", "F+S", FEW),
    "R4": ("group_tendency", "F", {"drop_by": ("one_face_occurrences", "multi_face_occurrences"), "part": 4}),
    "R5": ("outdoor_tendency", "F", {"drop_by": ("outdoor_occurrences", "indoor_ordinary_occurrences"), "part": 4}),
    "R6": ("face_mask_tendency", "F", {"drop_by": ("face_mask_occurrences", "indoor_ordinary_occurrences"), "part": 4}),
    "R7": ("Cosmetic", "measures", {}),
}


def planted_cell(tables: planted.Frames, task: str) -> Cell:
    measure, features, drops = TASKS[task]
    side = planted.labels(tables, measure, **drops).sort_index()
    of = tables.user_categories
    wide = of[of["category"] != "Selfie"].pivot(index="user_id", columns="category", values="frequency_without_selfie")
    sets = {
        "F": wide.fillna(0.0),
        "I": tables.user_features.set_index("user_id")[["other_inertia"]],
        "S": tables.user_features.set_index("user_id")[["other_singleness"]],
        "measures": tables.selfie_measures.set_index("user_id")[list(planted.MEASURES.values())],
    }
    x = pd.concat([sets[name] for name in features.split("+")], axis=1).reindex(side.index).to_numpy(float)
    return Cell(task, x, side.to_numpy(), side.index.to_numpy(np.str_))


@pytest.mark.parametrize("strength", [0.9, 0.6, 0.0])
def test_accuracy_reaches_what_a_planted_relation_allows(strength: float) -> None:
    # few categories: an SVM that learns from 250 users what 46 shares say falls short of who knows it
    shown = sorted({"Selfie", "Pet", "Toy", "Meal", *(group[0] for group in planted.GROUPS.values())})
    many = planted.plant(1500, strength=strength, seed=99, categories=shown)
    some = planted.plant(500, strength=strength, seed=5, categories=shown)
    of_many, of_some = planted.frames(many.pictures), planted.frames(some.pictures)
    cells = [planted_cell(of_some, task) for task in TASKS]
    rng = np.random.default_rng(1)
    cells += [replace(cells[0], name="shuffled", y=rng.permutation(cells[0].y))]
    scores = {score.name: score for score in evaluate(cells, replace(PLAN, folds=10))}
    allowed = {task: planted.allowed(many, of_many, measure, **drops) for task, (measure, _, drops) in TASKS.items()}
    for task in TASKS:
        assert scores[task].low <= max(0.5, allowed[task]) + 0.05, task  # never more than there is
        if strength:
            assert scores[task].low > 0.5, task
            assert scores[task].accuracy - 0.5 > 0.6 * (allowed[task] - 0.5), task
    if strength:
        # what the features show clearly is told as well as it can be
        for task in ("R2 I", "R4"):
            assert scores[task].low <= allowed[task] <= scores[task].high, task
    assert scores["shuffled"].low < 0.5
    assert (allowed["R1"] > 0.94) == (strength == 0.9)
