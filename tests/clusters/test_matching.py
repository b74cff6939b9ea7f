from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from profilelake.clusters.matching import cosine_distances, match


def test_cosine_distances_are_scipys():
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(6, 9)), rng.normal(size=(4, 9))
    np.testing.assert_allclose(cosine_distances(left, right), cdist(left, right, "cosine"), atol=1e-12)


def test_a_vector_of_zeros_has_no_direction():
    found = cosine_distances([[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [2.0, 0.0]])
    assert found.tolist() == [[0.0, 1.0], [1.0, 0.0]]


@pytest.mark.parametrize("seed", range(20))
def test_the_matching_is_the_cheapest_of_all(seed):
    rng = np.random.default_rng(seed)
    old, new, limit = rng.normal(size=(rng.integers(1, 5), 3)), rng.normal(size=(rng.integers(1, 5), 3)), 0.7
    distances = cdist(old, new, "cosine")

    def cost(pairs):
        alone = min(len(old), len(new)) - len(pairs)
        return sum(distances[pair] for pair in pairs) + limit * alone

    near = [(i, j) for i in range(len(old)) for j in range(len(new)) if distances[i, j] <= limit]
    best = min(
        cost(pairs)
        for size in range(len(near) + 1)
        for pairs in itertools.combinations(near, size)
        if len({i for i, _ in pairs}) == len({j for _, j in pairs}) == size
    )
    found = match(old, new, limit)
    pairs = [(i, j) for j, i in found.items()]
    assert len(set(found.values())) == len(found)
    assert all(distances[pair] <= limit for pair in pairs)
    assert cost(pairs) == pytest.approx(best)


def test_a_far_pair_takes_no_partner_away():
    angles = np.radians
    old = [[1.0, 0.0], [np.cos(angles(80)), np.sin(angles(80))]]
    new = [[np.cos(angles(5)), np.sin(angles(5))], [np.cos(angles(-34)), np.sin(angles(-34))]]
    assert match(old, new, 0.2) == {0: 0}


def test_shuffled_clusters_find_themselves():
    rng = np.random.default_rng(3)
    old = rng.normal(size=(47, 64))
    order = rng.permutation(47)
    assert match(old, 1.7 * old[order] + rng.normal(scale=0.01, size=old.shape), 0.2) == dict(enumerate(order.tolist()))


def test_nothing_matches_beyond_the_limit():
    assert match([[1.0, 0.0]], [[0.0, 1.0]], 0.2) == {}
