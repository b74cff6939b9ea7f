from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from profilelake.clusters.silhouette import choose, smooth


@pytest.mark.parametrize("width", [1, 3, 5, 7])
def test_smoothing_is_a_centred_mean_that_is_cut_at_the_ends(width):
    values = np.random.default_rng(width).random(12)
    expected = pd.Series(values).rolling(width, center=True, min_periods=1).mean()
    np.testing.assert_allclose(smooth(list(values), width), expected)


@pytest.mark.parametrize("seed", range(30))
def test_the_choice_is_the_largest_k_without_a_marked_decline(seed):
    rng = np.random.default_rng(seed)
    ks, scores = list(range(10, 101, 5)), list(rng.random(19))
    found = choose(ks, scores, smoothing=5, decline=0.02)
    smoothed = pd.Series(scores).rolling(5, center=True, min_periods=1).mean()
    enough = [k for k, value in zip(ks, smoothed, strict=True) if value >= 0.98 * smoothed.max()]
    assert found.k == enough[-1]
    assert found.at_the_end == (enough[-1] == 100)
    np.testing.assert_allclose(found.smoothed, smoothed)


def test_a_flat_curve_has_no_decline():
    found = choose([10, 20, 30], [0.3, 0.3, 0.3], smoothing=5, decline=0.02)
    assert (found.k, found.at_the_end) == (30, True)


def test_a_decline_after_60_keeps_60():
    ks = list(range(10, 101, 10))
    scores = [0.20, 0.22, 0.24, 0.25, 0.25, 0.25, 0.10, 0.09, 0.08, 0.07]
    assert choose(ks, scores, smoothing=1, decline=0.02).k == 60


def test_scores_of_zero_keep_the_largest():
    assert choose([2, 3], [0.0, 0.0], smoothing=5, decline=0.02).k == 3


def test_a_given_k_is_no_end_of_a_range():
    found = choose([60], [0.2], smoothing=5, decline=0.02)
    assert (found.k, found.at_the_end) == (60, False)
