"""The gate that every trained model passes before it goes live. Knows nothing of what is trained.

- With no champion yet, the lower end of the 95 % interval of the cross-validated metric must exceed what the majority
  class gives.
- With a champion, the new model must do strictly better on users that neither was trained on. Where there are too few
  of them, both configurations are refitted on the same folds, and the new one must do strictly better there.

A tie leaves the champion: a change that gains nothing only costs those who compare scores over time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Measured:
    """What a configuration reached in cross-validation.

    Attributes:
        value: the metric; larger is better.
        low: lower end of its 95 % interval.
        baseline: what the majority class gives.
        n: rows.
    """

    value: float
    low: float
    baseline: float
    n: int


@dataclass(frozen=True, eq=False)
class Unseen:
    """Rows that neither model was trained on: their labels and both models' predictions, each (n,)."""

    y: Labels
    challenger: Labels
    champion: Labels


@dataclass(frozen=True)
class Champion:
    """Who is challenged.

    Attributes:
        name: as a reader knows it.
        n_unseen: rows that neither was trained on, as far as is known.
        unseen: both models on these rows; called only where it counts, as is the next.
        refitted: the champion's configuration cross-validated on the challenger's folds.
    """

    name: str
    n_unseen: int
    unseen: Callable[[], Unseen]
    refitted: Callable[[], float]


@dataclass(frozen=True)
class Verdict:
    """Whether the new model goes live, what it reached by what it was judged by, and why."""

    wins: bool
    metric: str
    value: float
    reason: str


def judge(challenger: Measured, champion: Champion | None, *, metric: str, min_unseen: int) -> Verdict:
    """The verdict on a new model.

    Args:
        challenger: its cross-validation.
        champion: the model that is live; None: none is.
        metric: what is measured; on unseen rows it is the accuracy.
        min_unseen: unseen rows below which both configurations are refitted.
    """
    if champion is None:
        return _first(challenger, metric)
    if champion.n_unseen >= max(min_unseen, 1):
        return _on_unseen(champion.unseen(), champion.name)
    return _refitted(challenger, champion, metric, min_unseen)


def _first(challenger: Measured, metric: str) -> Verdict:
    wins = challenger.low > challenger.baseline
    compared = "exceeds" if wins else "does not exceed"
    return Verdict(
        wins,
        metric,
        challenger.value,
        f"no champion yet; cross-validated on {challenger.n} rows, the lower 95 % bound {challenger.low:.4f} of "
        f"{metric} {compared} the majority's {challenger.baseline:.4f}",
    )


def _on_unseen(unseen: Unseen, name: str) -> Verdict:
    mine = float(np.mean(unseen.challenger == unseen.y))
    theirs = float(np.mean(unseen.champion == unseen.y))
    return Verdict(
        mine > theirs,
        "accuracy",
        mine,
        f"accuracy {mine:.4f} against {theirs:.4f} of {name} on {len(unseen.y)} rows that neither was trained on",
    )


def _refitted(challenger: Measured, champion: Champion, metric: str, min_unseen: int) -> Verdict:
    theirs = champion.refitted()
    return Verdict(
        challenger.value > theirs,
        metric,
        challenger.value,
        f"{metric} {challenger.value:.4f} against {theirs:.4f} of the configuration of {champion.name}, both refitted "
        f"on the same folds of {challenger.n} rows, since only {champion.n_unseen} rows are unseen by both, of "
        f"{min_unseen} that it takes",
    )
