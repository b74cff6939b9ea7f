"""Whether two sides found the same: a wrong answer is no yardstick."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from benchmarks.behaviour.definitions import RESULTS

_DIGITS = 1e-12  # relative: sums may be added up in another order


class DifferError(Exception):
    """Two sides disagree."""


def compare(name: str, ours: pa.Table, theirs: pa.Table) -> None:
    """Compare a result row by row, in the columns that theirs has.

    Args:
        name: of the result (`RESULTS`), which has its key.
        ours, theirs: rows in any order.

    Raises:
        DifferError: rows or values differ; the message has the first.
    """
    key = list(RESULTS[name])
    left, right = (
        table.select(theirs.column_names).to_pandas().set_index(key, verify_integrity=True).sort_index()
        for table in (ours, theirs)
    )
    if not left.index.equals(right.index):
        other = left.index.symmetric_difference(right.index)
        raise DifferError(f"{name}: {len(left)} rows of ours, {len(right)} of theirs; only one has {other[0]}")
    for column in left.columns:
        mine, their = (side[column].to_numpy(np.float64, na_value=np.nan) for side in (left, right))
        wrong = np.flatnonzero(~np.isclose(mine, their, rtol=_DIGITS, atol=0, equal_nan=True))
        if len(wrong):
            at = wrong[0]
            raise DifferError(
                f"{name}.{column}: {len(wrong)} of {len(left)} rows differ, {left.index[at]}: {mine[at]} of ours, "
                f"{their[at]} of theirs"
            )
