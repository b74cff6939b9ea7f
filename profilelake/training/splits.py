"""Who takes part in a training, by user. Knows nothing of what is trained.

Whether a user is held out is a property of the id alone: the same users forever, in every lake and for every model. So
a champion and its challenger, trained at different times on different data, have users whom neither has seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pyspark.sql import functions as F

from profilelake.lake import Lake

TRAIN, HELD_OUT = "train", "held_out"
_SEED = "profilelake: held out"  # never changed: who was held out once must not be trained on later

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Split:
    """Which rows of a training are trained on.

    Attributes:
        train: (n,) whether a row is.
        reason: why nobody is held out; None where somebody is.
    """

    train: Mask
    reason: str | None


def held_out(users: Sequence[str] | npt.NDArray[np.str_], share: float) -> Mask:
    """Whether each user (n,) is held out; about a `share` of them. Who is held out at a share is so at every larger."""

    def place(user: str) -> float:
        digest = hashlib.sha256(f"{_SEED}\0{user}".encode()).digest()
        return int.from_bytes(digest[:7], "big") / 2**56  # exact in a double

    return np.array([place(str(user)) < share for user in users], np.bool_)


def split(
    users: npt.NDArray[np.str_], y: npt.NDArray[np.integer[Any]], share: float, min_held_out: int, min_train: int
) -> Split:
    """Hold users out where that leaves enough on both sides of the split; else everybody takes part.

    Args:
        users: (n,) of the labelled rows.
        y: (n,) their classes.
        share: of users that are held out.
        min_held_out: held-out users below which they could judge nothing.
        min_train: rows below which there is too little to train on.
    """
    out = held_out(users, share)
    held, left = int(out.sum()), int((~out).sum())
    everybody = np.ones(len(users), np.bool_)
    if held < min_held_out:
        return Split(everybody, f"only {held} of {len(users)} users would be held out, {min_held_out} are needed")
    classes, counts = np.unique(y[~out], return_counts=True)
    if left < min_train or len(classes) < len(np.unique(y)) or counts.min() < 2:
        return Split(everybody, f"only {left} of {len(users)} users would be left to train on")
    return Split(~out, None)


def rows(
    model: str,
    mlflow_run_id: str,
    users: npt.NDArray[np.str_],
    y: npt.NDArray[np.integer[Any]],
    train: Mask,
    folds: npt.NDArray[np.integer[Any]],
) -> list[dict[str, Any]]:
    """Rows of `training_splits` of one training; fold -1 becomes NULL."""
    return [
        {
            "model": model,
            "mlflow_run_id": mlflow_run_id,
            "user_id": str(user),
            "label": int(label),
            "part": TRAIN if trained else HELD_OUT,
            "fold": int(fold) if fold >= 0 else None,
        }
        for user, label, trained, fold in zip(users, y, train, folds, strict=True)
    ]


def trained_on(lake: Lake, mlflow_run_ids: Collection[str]) -> dict[str, set[str]]:
    """By tracked run the users that it was trained on. A training of labelled users has a bounded number of them."""
    found: dict[str, set[str]] = {run_id: set() for run_id in mlflow_run_ids}
    if found:
        held = lake.read("training_splits").where(F.col("mlflow_run_id").isin(*found) & (F.col("part") == TRAIN))
        for row in held.select("mlflow_run_id", "user_id").toLocalIterator():
            found[row["mlflow_run_id"]].add(row["user_id"])
    return found
