"""Simplified silhouette and the choice of k (paper 1, 4.1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from profilelake.clusters.fit import Fit
from udfs.centroids import assigner, scorer

_SUMS = "fit int, cluster_id int, size bigint, silhouette double, distance double, squared double"
_ASSIGNED = "image_id string, cluster_id int, distance double, silhouette double"


@dataclass(frozen=True)
class Scored:
    """A fit and how well it separates the pictures it was made from.

    `fit` has no empty cluster and is ordered by size, the largest first; `sizes` are the pictures a cluster;
    `silhouette` is S(k); `inertia` the sum of squared distances to the own centroid; `mean_distance` their mean
    distance.
    """

    fit: Fit
    sizes: npt.NDArray[np.int64]
    silhouette: float
    inertia: float
    mean_distance: float


@dataclass(frozen=True)
class Choice:
    """The k that is kept, the smoothed S of every tried k, and whether k is the largest tried of several."""

    k: int
    smoothed: tuple[float, ...]
    at_the_end: bool


def score(vectors: DataFrame, fits: Sequence[Fit]) -> list[Scored]:
    """S(k) of every fit, in one pass over the vectors.

    a is a picture's distance to its own centroid, b the smallest to another centroid, s = (b - a) / max(a, b), 0 where
    both are 0 and 0 in a cluster of one picture; S(k) is the mean of s over the pictures. Only sums by cluster reach
    the driver. Since every picture is with its nearest centroid, S lies between 0 and 1.

    Args:
        vectors: of `fit.prepared`.
        fits: fits of these vectors.
    """
    scored: list[Scored] = []
    waiting = list(fits)
    while waiting:
        sums = _sums(vectors, waiting)
        again = []
        for fit, of in zip(waiting, sums, strict=True):
            if (of[:, 0] == 0).any():  # an empty cluster's centroid must not be anybody's "other" one
                again.append(replace(fit, centroids=fit.centroids[of[:, 0] > 0]))
            else:
                scored.append(_scored(fit, of))
        waiting = again
    place = {fit.k: place for place, fit in enumerate(fits)}
    return sorted(scored, key=lambda one: place[one.fit.k])


def _sums(vectors: DataFrame, fits: Sequence[Fit]) -> list[npt.NDArray[np.float64]]:
    """(clusters, 4) of size, silhouette, distance, squared distance for every fit."""
    context = vectors.sparkSession.sparkContext
    held = context.broadcast({place: fit.centroids for place, fit in enumerate(fits)})
    try:
        rows = (
            vectors.select("embedding")
            .mapInArrow(scorer(held), _SUMS)
            .groupBy("fit", "cluster_id")
            .agg(F.sum("size").alias("size"), *[_total(name) for name in ("silhouette", "distance", "squared")])
            .collect()
        )
    finally:
        held.destroy()
    sums = [np.zeros((len(fit.centroids), 4)) for fit in fits]
    for row in rows:
        sums[row["fit"]][row["cluster_id"]] = row["size"], row["silhouette"], row["distance"], row["squared"]
    return sums


def _total(name: str) -> Column:
    """A sum whose last digits don't depend on which partition was done first."""
    return F.aggregate(F.array_sort(F.collect_list(name)), F.lit(0.0), lambda total, part: total + part).alias(name)


def _scored(fit: Fit, sums: npt.NDArray[np.float64]) -> Scored:
    sizes = sums[:, 0].astype(np.int64)
    # by size, then by the centroid itself, so that numbers of clusters don't depend on the engine's order
    order = np.lexsort((*fit.centroids.T[::-1], -sizes))
    images = int(sizes.sum())
    return Scored(
        fit=replace(fit, centroids=fit.centroids[order]),
        sizes=sizes[order],
        silhouette=math.fsum(sums[sizes > 1, 1]) / images,
        inertia=math.fsum(sums[:, 3]),
        mean_distance=math.fsum(sums[:, 2]) / images,
    )


def choose(ks: Sequence[int], scores: Sequence[float], *, smoothing: int, decline: float) -> Choice:
    """The k before the marked decline: the largest whose smoothed S is at least (1 - decline) x the largest one.

    Args:
        ks: the tried k, ascending.
        scores: S(k) of each.
        smoothing: tried k in the centred mean (odd); truncated at the ends.
        decline: the share of the largest smoothed S that still is no decline, 0 to 1.
    """
    smoothed = smooth(scores, smoothing)
    least = (1 - decline) * max(smoothed)
    k = max(k for k, value in zip(ks, smoothed, strict=True) if value >= least)
    return Choice(k, tuple(smoothed), at_the_end=len(ks) > 1 and k == max(ks))


def smooth(values: Sequence[float], width: int) -> list[float]:
    """Centred mean over `width` (odd) neighbours, over those that exist at the ends."""
    half = width // 2
    return [float(np.mean(values[max(0, at - half) : at + half + 1])) for at in range(len(values))]


def assign(vectors: DataFrame, centroids: npt.NDArray[np.float32]) -> DataFrame:
    """The nearest centroid of every picture: image_id, cluster_id, distance (Euclidean), silhouette.

    A silhouette here knows no sizes: who needs 0 in clusters of one picture sets it.

    Args:
        vectors: image_id string, embedding array<float>; in any order.
        centroids: (k, d).
    """
    held = vectors.sparkSession.sparkContext.broadcast(centroids)
    return vectors.select("image_id", "embedding").mapInArrow(assigner(held), _ASSIGNED)
