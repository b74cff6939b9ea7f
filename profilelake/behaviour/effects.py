"""How far two groups of users lie apart, from moments alone: effect size, intervals, p-values. Plain numbers, no Spark.

Moments of parts add up, so they can be taken by executors, and a value that most users lack counts as 0 without a row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

_CONFIDENCE = 0.95
_Z = float(stats.norm.ppf(0.5 + _CONFIDENCE / 2))

Interval = tuple[float | None, float | None]


@dataclass(frozen=True)
class Moments:
    """n values, their mean (0 without any), and the sum of their squared distances from it.

    The squares are of distances, not of values: a column without spread has exactly 0, whatever its level.
    """

    n: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def __add__(self, other: Moments) -> Moments:
        """The moments of both together (Chan, Golub and LeVeque, 1983)."""
        n = self.n + other.n
        if n == 0:
            return Moments()
        apart = other.mean - self.mean
        squares = self.squares + other.squares + apart * apart * self.n * other.n / n
        return Moments(n, self.mean + apart * other.n / n, squares)

    def with_zeros(self, n: int) -> Moments:
        """The same with as many zeros as make it n values.

        Raises:
            ValueError: there are more than n already.
        """
        if n < self.n:
            raise ValueError(f"{self.n} values cannot be filled up to {n}")
        return self + Moments(n - self.n)

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the sample; None below two values."""
        return None if self.n < 2 else math.sqrt(self.squares / (self.n - 1))


def mean_interval(of: Moments) -> Interval:
    """95 % interval of the mean by Student's t; no ends below two values."""
    if of.deviation is None:
        return None, None
    half = float(stats.t.ppf(0.5 + _CONFIDENCE / 2, of.n - 1)) * of.deviation / math.sqrt(of.n)
    return of.mean - half, of.mean + half


@dataclass(frozen=True)
class Effect:
    """Hedges' g of one group against another with its 95 % interval, and the p-value of Welch's test; None where the
    groups have no spread, or fewer than two users."""

    g: float | None
    low: float | None
    high: float | None
    p: float | None


def effect(one: Moments, other: Moments) -> Effect:
    """How far `one` lies above `other`.

    g is the difference of means over the pooled standard deviation, times 1 - 3 / (4 df - 1) against the bias of small
    groups (Hedges, 1981); its variance is that of Borenstein et al., Introduction to Meta-Analysis (2009), equations
    4.20 and 4.24, its interval that of the normal distribution. The test is Welch's, which asks for no equal spread.
    """
    df = one.n + other.n - 2
    squares = one.squares + other.squares
    if min(one.n, other.n) < 2 or squares <= 0:
        return Effect(None, None, None, None)
    d = (one.mean - other.mean) / math.sqrt(squares / df)
    correction = 1 - 3 / (4 * df - 1)
    variance = (one.n + other.n) / (one.n * other.n) + d * d / (2 * (one.n + other.n))
    half = _Z * correction * math.sqrt(variance)
    g = correction * d
    test = stats.ttest_ind_from_stats(
        one.mean, one.deviation, one.n, other.mean, other.deviation, other.n, equal_var=False
    )
    return Effect(g, g - half, g + half, float(test.pvalue))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """p-values corrected for how many there are (Holm, 1979), in the same order; what is None is not tested."""
    tested = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for nth, (p, place) in enumerate(tested):
        largest = max(largest, min(1.0, p * (len(tested) - nth)))
        corrected[place] = largest
    return corrected


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> tuple[float | None, float | None, float | None]:
    """Spearman's coefficient with its 95 % interval; None where a side is constant or has fewer than three values, no
    ends below four.

    The interval is Fisher's z with the standard error sqrt((1 + r^2 / 2) / (n - 3)) of Bonett and Wright (Psychometrika
    65, 2000), which holds for ranks where 1 / sqrt(n - 3) is too narrow; at a coefficient of 1 it is that point.
    """
    n = len(one)
    if n < 3 or len(set(one)) < 2 or len(set(other)) < 2:
        return None, None, None
    r = float(stats.spearmanr(one, other).statistic)
    if n < 4:
        return r, None, None
    if abs(r) >= 1:
        return r, r, r
    half = _Z * math.sqrt((1 + r * r / 2) / (n - 3))
    return r, math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half)
