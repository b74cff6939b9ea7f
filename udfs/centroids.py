"""Distances of vectors to the centroids of a k-means fit, in float64. Runs on executors; numpy only.

The cost is one matrix product a fit (pictures x clusters x width), never pictures x pictures: the simplified silhouette
of paper 1, 4.1 needs no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Vectors = npt.NDArray[np.float64]
Mapper = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]

# Bounds the (pictures x clusters) block of distances to some ten MB, whatever the size of an Arrow batch.
_ROWS = 4096


def two_nearest(vectors: Vectors, centroids: Vectors) -> tuple[npt.NDArray[np.int32], Vectors, Vectors]:
    """The nearest centroid of every vector, its distance, and the distance of the next one.

    Args:
        vectors: (n, d).
        centroids: (k, d); with k = 1 the next one is infinitely far.

    Returns:
        The centroid's index (n,), the lowest on ties; its Euclidean distance (n,); the next one's (n,).
    """
    n, k = len(vectors), len(centroids)
    if k == 1:
        own = np.linalg.norm(vectors - centroids[0], axis=1)
        return np.zeros(n, np.int32), own, np.full(n, np.inf)
    rows = np.arange(n)
    # |x|^2 is the same for all centroids of a row, so the order needs only |c|^2 - 2 x.c
    order = (centroids**2).sum(axis=1) - 2.0 * (vectors @ centroids.T)
    first = order.argmin(axis=1)
    order[rows, first] = np.inf
    second = order.argmin(axis=1)
    # The product loses digits where a vector lies on a centroid; the difference does not: there 0 is 0.
    own = np.linalg.norm(vectors - centroids[first], axis=1)
    other = np.linalg.norm(vectors - centroids[second], axis=1)
    swap = (other < own) | ((other == own) & (second < first))
    first[swap], own[swap], other[swap] = second[swap], other[swap], own[swap]
    return first.astype(np.int32), own, other


def silhouettes(own: Vectors, other: Vectors) -> Vectors:
    """Simplified silhouette s = (b - a) / max(a, b), 0 where both are 0 and where there is no other centroid.

    Args:
        own: a, distance to the own centroid (n,).
        other: b, smallest distance to another centroid (n,).
    """
    largest = np.maximum(own, other)
    valid = (largest > 0) & np.isfinite(largest)
    safe = np.where(valid, largest, 1.0)
    gap = np.where(valid, other, 0.0) - np.where(valid, own, 0.0)
    return np.asarray(gap / safe, np.float64)


def matrix(column: pa.Array) -> Vectors:
    """An Arrow list column (n rows of d numbers) as a float64 matrix (n, d).

    Raises:
        ValueError: a row is NULL, or the rows differ in length.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if not len(column):
        return np.zeros((0, 0))
    values = column.flatten().to_numpy(zero_copy_only=False)
    width, rest = divmod(len(values), len(column))
    lengths = column.value_lengths()
    if rest or column.null_count or any(length.as_py() != width for length in lengths.unique()):
        raise ValueError("vectors of one backbone differ in length, or one is NULL")
    return np.asarray(values.reshape(len(column), width), np.float64)


def assigner(centroids: Any) -> Mapper:
    """For `mapInArrow` over (image_id, embedding): (image_id, cluster_id, distance, silhouette).

    Args:
        centroids: a broadcast of a (k, d) float array.
    """

    def assign(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        centres = np.asarray(centroids.value, np.float64)
        for batch in batches:
            for part in _parts(batch):
                cluster, own, other = two_nearest(matrix(part.column("embedding")), centres)
                yield pa.RecordBatch.from_arrays(
                    [part.column("image_id"), pa.array(cluster), pa.array(own), pa.array(silhouettes(own, other))],
                    names=["image_id", "cluster_id", "distance", "silhouette"],
                )

    return assign


def _parts(batch: pa.RecordBatch) -> Iterable[pa.RecordBatch]:
    return (batch.slice(at, _ROWS) for at in range(0, batch.num_rows, _ROWS))
