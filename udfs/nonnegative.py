"""Non-negative least squares of every row against one small matrix. Runs on executors; numpy and scipy only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udfs.centroids import matrix

Doubles = npt.NDArray[np.float64]
Mapper = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]

TYPED_DDL = "user_id string, weights array<double>, type int"

# Steps of one row's active set; scipy's 3 for each column are few where columns are nearly alike.
_STEPS = 100


def weights(rows: Doubles, loadings: Doubles) -> Doubles:
    """For every row f the w >= 0 that makes |f - w H| smallest (Lawson and Hanson, 1974).

    With H^T = QR that is |Q^T f - R w|, k numbers instead of m. Rows are multiplied one by one, so that a row's result
    depends on no other row to the last bit, as in a product of all rows it may.

    Args:
        rows: f, (n, m).
        loadings: H, (k, m), k <= m; rows of H may be alike, or 0, which get the weight 0.

    Returns:
        w, (n, k).
    """
    from scipy.optimize import nnls

    q, r = np.linalg.qr(loadings.T)
    found = [nnls(r, row @ q, maxiter=_STEPS * len(loadings))[0] for row in rows]
    return np.array(found, np.float64).reshape(len(rows), len(loadings))


def frequencies(counts: Doubles) -> Doubles:
    """Rows of counts (n, m) as shares of their sum; NaN where that is 0."""
    totals = counts.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0))


def largest(weights: Doubles) -> npt.NDArray[np.int32]:
    """Of every row of weights (n, k) the place of the largest, from 1, the lowest on ties; 0 where all are 0."""
    place = weights.argmax(axis=1) + 1 if len(weights) else np.zeros(0)
    return np.where(weights.any(axis=1), place, 0).astype(np.int32)


def typer(loadings: Any) -> Mapper:
    """For `mapInArrow` over (user_id, occurrences): (user_id, weights, type), see TYPED_DDL. NULL are the weights of a
    user without occurrences, and the type where no weight is above 0.

    Args:
        loadings: a broadcast of H, (k, m).
    """

    def assign(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        basis = np.asarray(loadings.value, np.float64)
        for batch in batches:
            if not batch.num_rows:
                continue
            shares = frequencies(matrix(batch.column("occurrences")))
            known = ~np.isnan(shares).any(axis=1)
            found = np.zeros((len(shares), len(basis)))
            found[known] = weights(shares[known], basis)
            types = largest(found)
            listed = [row.tolist() if there else None for row, there in zip(found, known, strict=True)]
            yield pa.RecordBatch.from_arrays(
                [
                    batch.column("user_id"),
                    pa.array(listed, pa.list_(pa.float64())),
                    pa.array(types, mask=types == 0),
                ],
                names=["user_id", "weights", "type"],
            )

    return assign
