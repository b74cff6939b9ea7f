"""Who goes live, and why: the rules of the gate, on numbers laid down by hand."""

from __future__ import annotations

from typing import NoReturn

import numpy as np
import pytest

from profilelake.training import gate
from profilelake.training.gate import Champion, Measured, Unseen, Verdict


def never() -> NoReturn:
    raise AssertionError("nothing is to be predicted or refitted here")


def judge(challenger: Measured, champion: Champion | None, min_unseen: int = 10) -> Verdict:
    return gate.judge(challenger, champion, metric="accuracy", min_unseen=min_unseen)


def unseen(n: int, mine: int, theirs: int) -> Unseen:
    """n rows of which the challenger gets the first `mine` right, the champion the first `theirs`."""
    y = np.arange(n) % 2
    return Unseen(y, np.where(np.arange(n) < mine, y, 1 - y), np.where(np.arange(n) < theirs, y, 1 - y))


@pytest.mark.parametrize(("low", "wins"), [(0.51, True), (0.5, False), (0.4, False)])
def test_without_a_champion_the_lower_bound_must_exceed_the_majority(low: float, wins: bool) -> None:
    verdict = judge(Measured(0.9, low, 0.5, 40), None)
    assert (verdict.wins, verdict.metric, verdict.value) == (wins, "accuracy", 0.9)
    assert "no champion yet" in verdict.reason
    assert f"{low:.4f}" in verdict.reason
    assert ("does not exceed" in verdict.reason) is not wins


@pytest.mark.parametrize(("mine", "theirs", "wins"), [(9, 8, True), (8, 8, False), (7, 8, False)])
def test_a_champion_is_beaten_on_users_that_neither_was_trained_on(mine: int, theirs: int, wins: bool) -> None:
    # its cross-validation, however good, is of users that it knows
    verdict = judge(Measured(0.99, 0.9, 0.5, 40), Champion("version 1", 10, lambda: unseen(10, mine, theirs), never))
    assert (verdict.wins, verdict.value) == (wins, mine / 10)
    assert verdict.reason == (
        f"accuracy {mine / 10:.4f} against {theirs / 10:.4f} of version 1 on 10 rows that neither was trained on"
    )


@pytest.mark.parametrize(("theirs", "wins"), [(0.79, True), (0.8, False), (0.81, False)])
@pytest.mark.parametrize("n", [0, 9])
def test_with_too_few_such_users_both_configurations_are_refitted(theirs: float, wins: bool, n: int) -> None:
    verdict = judge(Measured(0.8, 0.7, 0.5, 40), Champion("version 1", n, never, lambda: theirs))
    assert (verdict.wins, verdict.value) == (wins, 0.8)
    assert f"only {n} rows are unseen by both, of 10 that it takes" in verdict.reason
    assert "the same folds of 40 rows" in verdict.reason


def test_without_any_unseen_row_nothing_is_judged_on_them() -> None:
    assert judge(Measured(0.8, 0.7, 0.5, 40), Champion("version 1", 0, never, lambda: 0.7), min_unseen=0).wins
