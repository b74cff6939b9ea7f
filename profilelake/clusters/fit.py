"""The k-means engine behind `clusters.fit`. Callers see vectors in and centroids out, never which engine it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pyspark.ml.clustering import KMeans
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

# Part of every fit's id: another engine, or this one changed, makes other clusters from the same pictures.
ENGINE = "pyspark.ml-1"

# Vectors of one partition: 8,192 x 1,280 double numbers are 84 MB.
_ROWS = 8192
_MIN_PARTITIONS = 2


@dataclass(frozen=True)
class Fit:
    """One k-means fit.

    `k` was asked for; `centroids` is (k or fewer, d): duplicates among the pictures and clusters that ran empty leave
    fewer.
    """

    k: int
    centroids: npt.NDArray[np.float32]
    iterations: int


@contextmanager
def prepared(vectors: DataFrame, images: int) -> Iterator[DataFrame]:
    """(image_id, embedding) in an order that depends on the pictures alone, held in memory for many passes.

    k-means|| draws by partition and position: with the same partitions in the same order the same seed gives the same
    clusters, however the table's files lie.

    Args:
        vectors: image_id string, embedding array<float>, one row a picture.
        images: how many there are.
    """
    partitions = max(_MIN_PARTITIONS, math.ceil(images / _ROWS))
    held = (
        vectors.select("image_id", "embedding")
        .repartition(partitions, "image_id")
        .sortWithinPartitions("image_id")
        .persist(StorageLevel.MEMORY_AND_DISK)
    )
    try:
        yield held
    finally:
        held.unpersist()


def fit(
    vectors: DataFrame,
    ks: Sequence[int],
    *,
    seed: int,
    max_iterations: int,
    on_fit: Callable[[], None] = lambda: None,
) -> list[Fit]:
    """k-means (Lloyd from a k-means|| start) for every k, with Euclidean distance.

    Args:
        vectors: of `prepared`.
        ks: how many clusters to look for, each at least 2 and at most the number of distinct vectors.
        seed: of the start.
        max_iterations: of one fit.
        on_fit: called after every fit, for a progress line.

    Returns:
        A fit for every k, in order. The same pictures, seed and engine give the same fit.
    """
    points = vectors.select(array_to_vector(F.col("embedding")).alias("features"))
    fits = []
    for k in ks:
        # by block: dense vectors go through one matrix product instead of one dot product a pair
        model = KMeans(k=k, seed=seed, maxIter=max_iterations, initMode="k-means||", solver="block").fit(points)
        centroids = np.asarray(model.clusterCenters(), np.float32)
        fits.append(Fit(k, np.unique(centroids, axis=0), int(model.summary.numIter)))
        on_fit()
    return fits
