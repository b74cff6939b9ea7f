from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from profilelake.behaviour import effects
from profilelake.behaviour.effects import Moments


def of(values: np.ndarray) -> Moments:
    return (
        Moments(len(values), float(np.mean(values)), float(np.var(values) * len(values))) if len(values) else Moments()
    )


@pytest.mark.parametrize("seed", range(4))
def test_moments_of_parts_and_zeros_are_those_of_the_whole(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [rng.normal(5, 3, size) for size in (0, 1, 17, 40)]
    found = sum((of(part) for part in parts), Moments()).with_zeros(100)
    whole = np.concatenate([*parts, np.zeros(100 - 58)])
    assert found.n == 100
    assert found.mean == pytest.approx(whole.mean())
    assert found.deviation == pytest.approx(whole.std(ddof=1))


def test_a_constant_has_no_spread_at_any_level() -> None:
    assert (Moments(3, 0.1, 0.0) + Moments(7, 0.1, 0.0)).squares == 0
    assert Moments(4, 1e9, 0.0).with_zeros(4) == Moments(4, 1e9, 0.0)
    with pytest.raises(ValueError, match="5 values cannot be filled up to 4"):
        Moments(5, 1.0, 0.0).with_zeros(4)


@pytest.mark.parametrize("seed", range(4))
def test_effect_is_hedges_g_and_welchs_test(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.normal(0.5, 2, 9 + seed), rng.normal(0, 1, 14)
    found = effects.effect(of(one), of(other))
    n1, n2 = len(one), len(other)
    pooled = math.sqrt(((n1 - 1) * one.var(ddof=1) + (n2 - 1) * other.var(ddof=1)) / (n1 + n2 - 2))
    d = (one.mean() - other.mean()) / pooled
    j = 1 - 3 / (4 * (n1 + n2 - 2) - 1)
    half = 1.959963985 * math.sqrt(j * j * (1 / n1 + 1 / n2 + d * d / (2 * (n1 + n2))))
    assert (found.g, found.low, found.high) == pytest.approx((j * d, j * d - half, j * d + half))
    assert found.p == pytest.approx(stats.ttest_ind(one, other, equal_var=False).pvalue)
    back = effects.effect(of(other), of(one))
    assert (back.g, back.p) == pytest.approx((-j * d, found.p))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Moments(1, 2.0, 0.0), Moments(9, 1.0, 4.0)),
        (Moments(5, 2.0, 0.0), Moments(9, 1.0, 0.0)),
        (Moments(), Moments(9, 1.0, 3.0)),
    ],
)
def test_groups_without_spread_or_users_have_no_effect(one: Moments, other: Moments) -> None:
    assert effects.effect(one, other) == effects.Effect(None, None, None, None)


def test_one_side_without_spread_is_still_compared() -> None:
    found = effects.effect(Moments(5, 2.0, 0.0), Moments(9, 1.0, 3.0))
    assert found.g is not None
    assert found.g > 0
    assert found.p is not None
    assert found.p < 0.01


def test_the_interval_of_a_mean_is_students() -> None:
    values = np.array([1.0, 2.0, 4.0, 9.0])
    expected = stats.t.interval(0.95, 3, loc=values.mean(), scale=stats.sem(values))
    assert effects.mean_interval(of(values)) == pytest.approx(expected)
    assert effects.mean_interval(of(values[:1])) == (None, None)


@pytest.mark.parametrize("seed", range(5))
def test_holm_is_a_plain_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p_values: list[float | None] = [None if rng.random() < 0.2 else float(rng.choice([0.001, 0.01, 0.02, 0.2, 0.9]))
                                    for _ in range(12)]  # fmt: skip
    known = [p for p in p_values if p is not None]
    expected: list[float | None] = []
    for p in p_values:
        if p is None:
            expected.append(None)
            continue
        # a p-value is rejected at level a when it and every smaller one are below a over how many are left
        steps = [q * (len(known) - sum(r < q for r in known)) for q in known if q <= p]
        expected.append(min(1.0, max(steps)))
    assert effects.holm(p_values) == pytest.approx(expected)
    assert effects.holm([]) == []


@pytest.mark.parametrize("seed", range(3))
def test_rank_correlation_is_spearmans_with_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one = rng.integers(0, 5, 30).astype(float)
    other = one + rng.integers(0, 6, 30)
    r, low, high = effects.rank_correlation(one.tolist(), other.tolist())
    ranks = np.corrcoef(stats.rankdata(one), stats.rankdata(other))[0, 1]
    assert r == pytest.approx(ranks)
    half = 1.959963985 * math.sqrt((1 + ranks**2 / 2) / 27)
    assert (low, high) == pytest.approx((math.tanh(math.atanh(ranks) - half), math.tanh(math.atanh(ranks) + half)))


def test_rank_correlation_of_nothing() -> None:
    assert effects.rank_correlation([1, 1, 1, 1], [1, 2, 3, 4]) == (None, None, None)
    assert effects.rank_correlation([1, 2], [1, 2]) == (None, None, None)
    assert effects.rank_correlation([1, 2, 3], [1, 3, 2])[1:] == (None, None)
    assert effects.rank_correlation([1, 2, 3, 4], [10, 20, 30, 40]) == (1.0, 1.0, 1.0)
