"""Types of users against plain numpy: least squares by trying every active set, and mixtures that were planted."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from profilelake.behaviour import types
from profilelake.behaviour.types import Fit, Sample
from profilelake.config import Behaviour
from udfs import nonnegative

Doubles = npt.NDArray[np.float64]


def rules(**values: Any) -> Behaviour:
    base: dict[str, Any] = {
        "attributes": None, "types": 3, "type_sample": 1000, "type_iterations": 2000, "seed": 5, "refit_types": False,
    }  # fmt: skip
    return Behaviour(**{**base, **values})


def brute_force(f: Doubles, h: Doubles) -> Doubles:
    """The best w >= 0 of |f - w H|: least squares on every set of rows of H, the best that has no negative weight."""
    best, weights = float(f @ f), np.zeros(len(h))
    for n in range(1, len(h) + 1):
        for some in itertools.combinations(range(len(h)), n):
            w = np.linalg.lstsq(h[list(some)].T, f, rcond=None)[0]
            left = float(((f - w @ h[list(some)]) ** 2).sum())
            if (w >= 0).all() and left < best - 1e-15:
                best, weights = left, np.zeros(len(h))
                weights[list(some)] = w
    return weights


@pytest.mark.parametrize("seed", range(4))
def test_weights_are_the_best_that_are_not_negative(seed: int) -> None:
    rng = np.random.default_rng(seed)
    k, m = int(rng.integers(1, 6)), int(rng.integers(6, 12))
    h = rng.dirichlet(np.full(m, 0.4), k)
    # mixtures, rows that are none, rows that have nothing in common with H
    rows = np.vstack([rng.dirichlet(np.ones(k), 20) @ h, rng.dirichlet(np.full(m, 0.3), 40), np.eye(m)])
    found = nonnegative.weights(rows, h)
    assert (found >= 0).all()
    np.testing.assert_allclose(found, [brute_force(row, h) for row in rows], atol=1e-9)
    # a row's weights depend on no other row, to the last bit
    assert np.array_equal(np.vstack([nonnegative.weights(rows[i : i + 1], h) for i in range(len(rows))]), found)


def test_weights_of_degenerate_types() -> None:
    h = np.array([[0.5, 0.5, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    found = nonnegative.weights(np.array([[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]), h)
    np.testing.assert_allclose(found.sum(axis=1), [1.0, 0.0])
    assert found[0, 2] == 0.0
    assert nonnegative.weights(np.zeros((0, 4)), h).shape == (0, 3)


def test_the_largest_weight_is_the_type_the_lowest_number_on_ties() -> None:
    weights = np.array([[0.1, 0.7, 0.2], [0.4, 0.4, 0.1], [0.0, 0.3, 0.3], [0.0, 0.0, 0.0]])
    assert nonnegative.largest(weights).tolist() == [2, 1, 2, 0]
    assert nonnegative.largest(np.zeros((0, 3))).tolist() == []


def planted(seed: int, users: int = 400) -> tuple[Sample, Doubles, npt.NDArray[np.int64]]:
    """Users who post from three kinds of taste that share a category, more of the first kind than of the second, and
    fewest of the third. Their occurrences, the tastes (rows sum to 1), whose taste is whose."""
    rng = np.random.default_rng(seed)
    tastes = np.array([[5, 3, 0, 0, 0, 0, 2], [0, 0, 6, 2, 0, 0, 2], [0, 0, 0, 0, 4, 4, 2]]) / np.array([[10]])
    of = rng.choice(3, users, p=[0.5, 0.3, 0.2])
    mixed = np.eye(3)[of] * 0.9 + rng.dirichlet(np.ones(3), users) * 0.1
    occurrences = np.array([rng.multinomial(300, row) for row in mixed @ tastes], np.float64)
    return Sample(tuple(f"u{i}" for i in range(users)), occurrences), tastes, of


def fitted(sample: Sample, **values: Any) -> Fit:
    categories = [f"c{i}" for i in range(sample.occurrences.shape[1])]
    return types.fit(sample, categories, "fit", rules(**values))


def test_planted_types_are_found_and_numbered_by_their_users() -> None:
    sample, tastes, of = planted(1)
    found = fitted(sample)
    np.testing.assert_allclose(found.loadings.sum(axis=1), 1.0)
    np.testing.assert_allclose(found.loadings, tastes, atol=0.08)
    assert found.users == tuple(np.bincount(of).tolist())
    assert (found.sample_users, found.reason, found.note) == (400, None, None)
    f = nonnegative.frequencies(sample.occurrences)
    weights = nonnegative.weights(f, found.loadings)
    assert np.array_equal(nonnegative.largest(weights) - 1, of)
    # weights are the mixture, since both f and the rows of H sum to 1
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=0.1)
    assert found.error == pytest.approx(np.linalg.norm(f - weights @ found.loadings) / np.linalg.norm(f))
    assert 0 < found.error < 0.2


def test_the_same_users_make_the_same_fit_and_others_another() -> None:
    sample, _, _ = planted(1)
    first, again = fitted(sample), fitted(sample)
    assert first.fit_id == again.fit_id
    assert np.array_equal(first.loadings, again.loadings)
    more = Sample(sample.user_ids, sample.occurrences + 1)
    others = [fitted(more), fitted(sample, seed=6), fitted(sample, types=2), fitted(planted(2)[0])]
    assert len({first.fit_id, *(other.fit_id for other in others)}) == 5


class Scaled:
    """An NMF whose second row of H is ten times as long, as NMF may leave it."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.components_ = np.array([[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 5.0, 5.0]])

    def fit(self, _: Doubles) -> None:
        """Found already."""


def test_rows_are_normalised_before_weights_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three users are mostly of the second type. Against the rows as they come their weights of it are a tenth."""
    monkeypatch.setattr(types, "NMF", Scaled)
    occurrences = np.array([[2.0, 2, 3, 3], [2, 1, 4, 3], [1, 2, 3, 4], [5, 5, 0, 0]])
    raw = nonnegative.weights(nonnegative.frequencies(occurrences), Scaled().components_)
    assert nonnegative.largest(raw).tolist() == [1, 1, 1, 1]
    found = fitted(Sample(tuple("abcd"), occurrences), types=2)
    assert found.loadings.tolist() == [[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 0.0, 0.0]]
    assert found.users == (3, 1)


def test_too_little_to_tell_users_apart_is_a_reason() -> None:
    few, alike = np.eye(5)[:2], np.tile([2.0, 1, 1], (50, 1))
    for occurrences, distinct in ((few, 2), (alike, 1), (alike * np.arange(1, 51)[:, None], 1), (few[:0], 0)):
        ids = tuple(map(str, range(len(occurrences))))
        found = fitted(Sample(ids, occurrences))
        assert found.reason == (f"3 types are asked for, but only {distinct} users can be told apart by what they post")
        assert (found.users, len(found.loadings), found.sample_users) == ((), 0, len(occurrences))


def test_users_of_one_taste_and_types_that_are_not_there() -> None:
    rng = np.random.default_rng(3)
    occurrences = np.array([rng.multinomial(500, [0.6, 0.4, 0, 0, 0]) for _ in range(60)], np.float64)
    found = fitted(Sample(tuple(map(str, range(60))), occurrences))
    assert found.reason is None
    assert np.isfinite(found.loadings).all()
    assert sum(found.users) == 60
    totals = found.loadings.sum(axis=1)
    np.testing.assert_allclose(totals[totals > 0], 1.0)


def test_an_nmf_that_did_not_settle_says_so() -> None:
    assert fitted(planted(1)[0], type_iterations=1).note == (
        "the types were still changing after 1 iterations (behaviour.type_iterations)"
    )


def test_names_are_where_types_stand_out() -> None:
    categories = ["Meal", "Pet", "Shoes", "Snack"]
    loadings = np.array([[0.5, 0.1, 0.2, 0.2], [0.3, 0.1, 0.6, 0.0], [0.3, 0.5, 0.2, 0.0]])
    listed = {"Food": ("Meal", "Snack"), "Animals": ("Pet",), "Goods": ("Shoes", "Wallet"), "None": ("Wallet",)}
    assert types.names(loadings, categories, listed) == ["1: Food", "2: Goods", "3: Animals"]
    assert types.names(loadings[:1], categories, listed) == ["1"]
    assert types.names(loadings, categories, {"None": ("Wallet",)}) == ["1", "2", "3"]
    assert types.names(np.array([[1.0, 0], [0, 1.0]]), ["a", "b"], {"X": ["a"], "Y": ["a"]}) == ["1: X", "2"]
    # the second has more of each than the third, but leads in none; the first leads in two
    alike = np.array([[0.5, 0.4, 0.1, 0.0], [0.4, 0.3, 0.3, 0.0], [0.2, 0.2, 0.6, 0.0]])
    assert types.names(alike, categories, listed) == ["1: Food", "2", "3: Goods"]


def test_every_user_on_executors_is_as_in_plain_numpy(spark: SparkSession) -> None:
    sample, _, _ = planted(4, users=60)
    categories = ["a.b", "`c`", "Meal", "Pet", "Snack", "Shoes", "Bed"]
    rows = [
        (user, category, int(n))
        for user, occurrences in zip(sample.user_ids, sample.occurrences, strict=True)
        for category, n in zip(categories, occurrences, strict=True)
        if n
    ]
    rows += [("only selfies", "Selfie", 3), ("elsewhere", "Other", 2), ("u0", "Selfie", 9)]
    counts = spark.createDataFrame(rows, "user_id string, category string, occurrences bigint").repartition(3)
    counted = types.counted(counts, [*categories, "Other"]).cache()
    drawn = types.sample(counted, rules(type_sample=20))
    again = types.sample(counted.repartition(1), rules(type_sample=20))
    assert drawn.user_ids == again.user_ids
    assert np.array_equal(drawn.occurrences, again.occurrences)
    other = types.sample(counted, rules(type_sample=20, seed=6))
    assert len(drawn.user_ids) == 20 != len(set(drawn.user_ids) & set(other.user_ids))
    everybody = types.sample(counted, rules())
    assert set(everybody.user_ids) == {*sample.user_ids, "elsewhere"}
    by_user = dict(zip(everybody.user_ids, everybody.occurrences, strict=True))
    assert np.array_equal([by_user[user] for user in sample.user_ids], np.pad(sample.occurrences, ((0, 0), (0, 1))))

    h = np.pad(fitted(sample).loadings, ((0, 0), (0, 1)))
    found = {row["user_id"]: row for row in types.user_types(counted, h, "types-1").collect()}
    assert set(found) == {*sample.user_ids, "only selfies", "elsewhere"}
    for user, occurrences in by_user.items():
        expected = brute_force(occurrences / occurrences.sum(), h)
        np.testing.assert_allclose(found[user]["weights"], expected, atol=1e-9)
        assert found[user]["type"] == (int(expected.argmax()) + 1 if expected.any() else None)
        assert found[user]["fit_id"] == "types-1"
    assert (found["elsewhere"]["weights"], found["elsewhere"]["type"]) == ([0.0, 0.0, 0.0], None)
    assert [tuple(m) for m in found["elsewhere"]["missing"]] == [("type", "nothing in common with any type")]
    assert (found["only selfies"]["weights"], found["only selfies"]["type"]) == (None, None)
    assert {m["reason"] for m in found["only selfies"]["missing"]} == {"no picture but selfies"}

    none: pd.DataFrame = types.untyped(counts).toPandas()
    assert set(none["user_id"]) == set(found)
    assert none[["weights", "type", "fit_id"]].isna().all().all()
    assert [entry["column"] for entry in none["missing"][0]] == ["fit_id", "type", "weights"]
