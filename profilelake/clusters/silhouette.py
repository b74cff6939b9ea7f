"""The choice of k by the silhouette (paper 1, 4.1), and which cluster a picture is in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pyspark.sql import DataFrame

from udfs.centroids import assigner

_ASSIGNED = "image_id string, cluster_id int, distance double, silhouette double"


@dataclass(frozen=True)
class Choice:
    """The k that is kept, the smoothed S of every tried k, and whether k is the largest tried of several."""

    k: int
    smoothed: tuple[float, ...]
    at_the_end: bool


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
