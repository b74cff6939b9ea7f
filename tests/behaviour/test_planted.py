from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from profilelake.behaviour import features
from profilelake.behaviour import stage as behaviour
from profilelake.clusters.refit import CATEGORIES, KINDS
from profilelake.lake import Lake
from tests.behaviour import planted
from tests.lakes import FIT

KEYS = {
    "user_categories": ["user_id", "category"],
    "user_features": ["user_id"],
    "selfie_measures": ["user_id"],
    "user_attributes": ["user_id", "attribute"],
}


def test_the_same_seed_plants_the_same_users() -> None:
    one, again, other = planted.plant(5, 8, seed=3), planted.plant(5, 8, seed=3), planted.plant(5, 8, seed=4)
    pd.testing.assert_frame_equal(one.pictures, again.pictures)
    pd.testing.assert_frame_equal(one.posts, again.posts)
    assert not one.pictures.equals(other.pictures)


def test_what_a_post_says_depends_on_its_selfie() -> None:
    made = planted.plant(20, 30)
    shown = made.pictures.groupby("post_id")["faces"].max() > 0
    assert (made.posts.set_index("post_id")["has_selfie"] == shown).all()
    told = made.posts[made.posts["caption"].notna()]
    about = told["caption"].str.contains("mirror|smile|lipstick")
    assert told[about]["has_selfie"].mean() > told["has_selfie"].mean() + 0.2
    assert made.posts["caption"].isna().any()
    assert (told["caption"] == "").any()


@pytest.mark.parametrize("strength", [1.0, 0.0])
def test_the_strength_is_the_correlation_of_what_is_shown_and_done(strength: float) -> None:
    made = planted.plant(2000, 1, strength)
    for at in range(len(planted.BEHAVIOURS)):
        assert np.corrcoef(made.shown[:, at], made.habits[:, at])[0, 1] == pytest.approx(strength, abs=0.08)


def test_a_planted_lake_is_measured_as_the_paper_defines(lake: Lake) -> None:
    made = planted.plant(12, 20)
    planted.lay_planted(lake, made)
    present = sorted(set(made.pictures["category"]))
    counts = features.category_counts(behaviour.occurrences(lake, present), present).persist()
    expected = planted.frames(made.pictures)
    measured = behaviour.measures(
        lake, counts, {CATEGORIES: f"{FIT}-categories", KINDS: f"{FIT}-selfie"}, planted.ATTRIBUTES, present
    )
    for table, key in KEYS.items():
        wanted = getattr(expected, table).sort_values(key, ignore_index=True)
        found = measured[table].toPandas().sort_values(key, ignore_index=True)
        pd.testing.assert_frame_equal(found[wanted.columns], wanted, check_dtype=False, obj=table)
