"""Which new cluster is which old one, so that names survive a refit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment


def cosine_distances(left: npt.ArrayLike, right: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """1 - cosine of every row of `left` (m, d) with every row of `right` (k, d): (m, k), from 0 to 2.

    A row of zeros has no direction: it is at 0 from another such row and at 1 from the rest.
    """
    a, b = (np.asarray(rows, np.float64) for rows in (left, right))
    length_a, length_b = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    unit_a = a / np.where(length_a > 0, length_a, 1.0)[:, None]
    unit_b = b / np.where(length_b > 0, length_b, 1.0)[:, None]
    distances = np.clip(1.0 - unit_a @ unit_b.T, 0.0, 2.0)
    distances[np.ix_(length_a == 0, length_b == 0)] = 0.0
    return np.asarray(distances, np.float64)


def match(old: npt.ArrayLike, new: npt.ArrayLike, limit: float) -> dict[int, int]:
    """Optimal one-to-one matching of new centroids to old ones by cosine distance.

    Every pair costs its distance, every centroid left alone the limit: a far pair never takes the partner of a near
    one away just to be a pair too.

    Args:
        old: (m, d).
        new: (k, d), of the same space.
        limit: largest distance at which two centroids can be the same cluster.

    Returns:
        {index in `new`: index in `old`} of the pairs within the limit.
    """
    distances = cosine_distances(old, new)
    rows, columns = linear_sum_assignment(np.minimum(distances, limit))
    return {int(column): int(row) for row, column in zip(rows, columns, strict=True) if distances[row, column] <= limit}
