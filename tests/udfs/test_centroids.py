from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from udfs.centroids import assigner, matrix, silhouettes, two_nearest


class Broadcast:
    def __init__(self, value):
        self.value = value


def brute_force(vectors, centroids):
    distances = np.sqrt(((vectors[:, None, :] - centroids[None, :, :]) ** 2).sum(axis=2))
    order = distances.argsort(axis=1, kind="stable")
    rows = np.arange(len(vectors))
    return order[:, 0], distances[rows, order[:, 0]], distances[rows, order[:, 1]]


@pytest.mark.parametrize("seed", range(5))
def test_two_nearest_are_those_of_all_pairs(seed):
    rng = np.random.default_rng(seed)
    vectors, centroids = rng.normal(size=(200, 17)), rng.normal(size=(2 + seed, 17))
    cluster, own, other = two_nearest(vectors, centroids)
    expected = brute_force(vectors, centroids)
    assert cluster.tolist() == expected[0].tolist()
    np.testing.assert_allclose(own, expected[1], rtol=1e-12)
    np.testing.assert_allclose(other, expected[2], rtol=1e-12)


def test_a_vector_on_its_centroid_is_at_distance_zero():
    centroids = np.random.default_rng(0).normal(size=(4, 1280)) * 100
    cluster, own, other = two_nearest(centroids.copy(), centroids)
    assert cluster.tolist() == [0, 1, 2, 3]
    assert (own == 0).all()
    assert (other > 0).all()


def test_ties_go_to_the_lower_number():
    centroids = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    cluster, own, other = two_nearest(np.zeros((1, 2)), centroids)
    assert (cluster.tolist(), own.tolist(), other.tolist()) == ([0], [1.0], [1.0])


def test_a_single_centroid_has_no_other():
    cluster, own, other = two_nearest(np.array([[3.0, 4.0]]), np.zeros((1, 2)))
    assert (cluster.tolist(), own.tolist(), other.tolist()) == ([0], [5.0], [np.inf])
    assert silhouettes(own, other).tolist() == [0.0]


def test_silhouettes_follow_their_definition():
    own, other = np.array([0.0, 0.0, 1.0, 2.0]), np.array([0.0, 3.0, 4.0, 2.0])
    assert silhouettes(own, other).tolist() == [0.0, 1.0, 0.75, 0.0]


def test_a_matrix_keeps_rows_of_a_slice():
    column = pa.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], pa.list_(pa.float32()))
    assert matrix(column[1:]).tolist() == [[3.0, 4.0], [5.0, 6.0]]
    assert matrix(column[:0]).shape == (0, 0)


@pytest.mark.parametrize("rows", [[[1.0, 2.0], [3.0]], [[1.0], [2.0], None], [[1.0], [2.0, 3.0], [4.0]]])
def test_vectors_that_differ_in_length_are_refused(rows):
    with pytest.raises(ValueError, match="differ in length"):
        matrix(pa.array(rows, pa.list_(pa.float32())))


def batches(vectors, size):
    ids = pa.array([f"{n:03d}" for n in range(len(vectors))])
    rows = pa.array([list(map(float, vector)) for vector in vectors], pa.list_(pa.float32()))
    whole = pa.RecordBatch.from_arrays([ids, rows], names=["image_id", "embedding"])
    return [whole.slice(at, size) for at in range(0, len(vectors), size)]


def test_assigning_does_not_depend_on_batches():
    rng = np.random.default_rng(1)
    vectors, centroids = rng.normal(size=(90, 8)).astype(np.float32), rng.normal(size=(5, 8)).astype(np.float32)
    results = []
    for size in (1, 7, 90):
        out = list(assigner(Broadcast(centroids))(batches(vectors, size)))
        results.append(pa.Table.from_batches(out).to_pydict())
    assert results[0] == results[1] == results[2]
    expected = brute_force(vectors.astype(np.float64), centroids.astype(np.float64))
    assert results[0]["image_id"] == [f"{n:03d}" for n in range(90)]
    assert results[0]["cluster_id"] == expected[0].tolist()
    np.testing.assert_allclose(results[0]["silhouette"], (expected[2] - expected[1]) / expected[2], rtol=1e-9)


def test_an_empty_partition_has_no_rows():
    assert list(assigner(Broadcast(np.ones((2, 3))))([])) == []
