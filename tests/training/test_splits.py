"""Who is held out: the same users forever, whatever else is in the lake."""

from __future__ import annotations

import numpy as np
import pytest

from profilelake.training import splits

USERS = np.array([f"jsonl:{number}" for number in range(4000)])


def test_who_is_held_out_depends_on_the_id_alone() -> None:
    out = splits.held_out(USERS, 0.2)
    shuffled = np.random.default_rng(0).permutation(len(USERS))
    assert (splits.held_out(USERS[shuffled], 0.2) == out[shuffled]).all()
    assert [bool(splits.held_out([user], 0.2)[0]) for user in USERS[:50]] == out[:50].tolist()
    # written down: another hash would hold out users that champions were trained on
    assert USERS[out][:5].tolist() == ["jsonl:9", "jsonl:10", "jsonl:16", "jsonl:17", "jsonl:23"]


@pytest.mark.parametrize("share", [0.0, 0.05, 0.2, 0.5, 1.0])
def test_about_the_share_is_held_out(share: float) -> None:
    assert splits.held_out(USERS, share).mean() == pytest.approx(share, abs=0.02)


def test_a_larger_share_holds_out_the_same_users_and_more() -> None:
    small, large = splits.held_out(USERS, 0.1), splits.held_out(USERS, 0.3)
    assert (large | ~small).all()
    assert large.sum() > small.sum()


def test_held_out_users_take_part_where_they_are_too_few() -> None:
    y = np.arange(len(USERS)) % 2
    out = splits.held_out(USERS, 0.2)
    n = int(out.sum())
    made = splits.split(USERS, y, 0.2, n, 20)
    assert made.reason is None
    assert (made.train == ~out).all()
    made = splits.split(USERS, y, 0.2, n + 1, 20)
    assert made.train.all()
    assert made.reason == f"only {n} of 4000 users would be held out, {n + 1} are needed"


def test_everybody_takes_part_where_too_few_would_be_left() -> None:
    users, y = USERS[:60], np.arange(60) % 2
    out = splits.held_out(users, 0.5)
    assert 0 < out.sum() < 60
    left = int((~out).sum())
    assert splits.split(users, y, 0.5, 1, left).reason is None
    assert splits.split(users, y, 0.5, 1, left + 1).train.all()
    # one class would be left alone
    lonely = out.astype(int)
    assert splits.split(users, lonely, 0.5, 1, 2).train.all()


def test_rows_say_who_took_part_and_in_which_fold() -> None:
    rows = splits.rows("m", "r", np.array(["a", "b"]), np.array([1, 0]), np.array([True, False]), np.array([3, -1]))
    assert rows == [
        {"model": "m", "mlflow_run_id": "r", "user_id": "a", "label": 1, "part": "train", "fold": 3},
        {"model": "m", "mlflow_run_id": "r", "user_id": "b", "label": 0, "part": "held_out", "fold": None},
    ]
