"""One profile a user out of the tables that the rooms fill. DataFrame -> DataFrame.

Every frame here has one row a user and is joined to `users` from the left, so that a user of whom little is known has
a profile too.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from profilelake.interests import profile as interests
from profilelake.reasons import (
    NO_CATEGORY,
    NO_KNOWN_LIKES,
    NO_POST,
    NOT_SCORED,
    STAGE_NOT_RUN,
    missing,
    reason_of,
)
from profilelake.tables import TABLES

PROFILE = TABLES["user_profiles"]

# Columns of user_profiles and the columns of the table that they come from.
FROM_FEATURES = {
    "behaviour_posts": "posts",
    "behaviour_occurrences": "occurrences",
    "behaviour_inertia": "other_inertia",
    "behaviour_singleness": "other_singleness",
    "behaviour_fit_id": "fit_id",
}
FROM_SELFIE_MEASURES = {
    f"behaviour_{name}": name
    for name in (
        "selfie_occurrences",
        "selfie_frequency",
        "selfie_inertia",
        "selfie_singleness",
        "group_tendency",
        "outdoor_tendency",
        "holding_something_tendency",
        "face_mask_tendency",
        "selfie_fit_id",
    )
}
FROM_TYPES = {"behaviour_type": "type", "behaviour_type_weights": "weights"}
FROM_CATEGORIES = ("behaviour_categories", "behaviour_top_category")
ATTRIBUTES, SCORES = "behaviour_attributes", "behaviour_scores"


def activity(posts: DataFrame, post_images: DataFrame) -> DataFrame:
    """What a user has in the lake.

    Returns:
        `user_id`, `posts`, `favourites`, `images` (pictures of posts that passed ingest, repeats counted; favourites'
        don't count), `known_likes` (posts whose likes are known), all bigint, and `median_likes` double (exact; NULL
        where no post's likes are known).
    """
    posted = F.col("relation") == "posted"
    pictures = post_images.groupBy("post_id").agg(F.count("*").alias("pictures"))
    return (
        posts.select("post_id", "user_id", "relation", "likes")
        .join(pictures, on="post_id", how="left")
        .groupBy("user_id")
        .agg(
            F.count(F.when(posted, 1)).alias("posts"),
            F.count(F.when(~posted, 1)).alias("favourites"),
            F.coalesce(F.sum(F.when(posted, F.col("pictures"))), F.lit(0)).alias("images"),
            F.count(F.when(posted, F.col("likes"))).alias("known_likes"),
            F.median(F.when(posted, F.col("likes"))).alias("median_likes"),
        )
    )


def category_mix(user_categories: DataFrame) -> DataFrame:
    """A user's categories as one array, most frequent first, by name on ties.

    Returns:
        `user_id`, `behaviour_categories`, `behaviour_top_category`.
    """
    entry = F.struct(
        (-F.col("occurrences")).alias("order"),
        "category",
        "images",
        "occurrences",
        "frequency",
        "inertia",
        "singleness",
    )
    ordered = F.array_sort(F.collect_list(entry))
    listed = user_categories.groupBy("user_id").agg(
        F.transform(ordered, lambda e: e.dropFields("order")).alias("behaviour_categories")
    )
    return listed.withColumn("behaviour_top_category", F.get("behaviour_categories", F.lit(0))["category"])


def types(user_types: DataFrame, user_type_fits: DataFrame) -> DataFrame:
    """The table user_types with the type as it is called: its number and name."""
    called = user_type_fits.select("fit_id", "type", "name")
    return user_types.join(called, on=["fit_id", "type"], how="left").withColumn("type", F.col("name")).drop("name")


def _listed(table: DataFrame, name: str, first: str, *others: str) -> DataFrame:
    """A user's rows of a table as one array `name`, ordered by the column `first`, which is its key."""
    return table.groupBy("user_id").agg(F.array_sort(F.collect_list(F.struct(first, *others))).alias(name))


def _renamed(table: DataFrame, columns: Mapping[str, str], prefix: str) -> DataFrame:
    """`user_id`, the columns under the profile's names, and the table's `missing` as `<prefix>_missing`."""
    return table.select(
        "user_id",
        *[F.col(held).alias(ours) for ours, held in columns.items()],
        F.col("missing").alias(f"{prefix}_missing"),
    )


def profiles(
    users: DataFrame,
    activity: DataFrame,
    user_categories: DataFrame,
    user_features: DataFrame,
    selfie_measures: DataFrame,
    user_types: DataFrame,
    user_attributes: DataFrame,
    behaviour_scores: DataFrame,
    user_interests: DataFrame,
    *,
    behaviour_has_run: bool,
    interests_have_run: bool,
    score_has_run: bool,
    profiled_at: Column,
) -> DataFrame:
    """Rows of `user_profiles`, one for every row of `users`.

    Args:
        users: the table.
        activity: as `activity` returns it.
        user_categories, user_features, selfie_measures, user_attributes: the tables.
        user_types: as `types` returns them.
        behaviour_scores: the view behaviour_scores_current.
        user_interests: as `interests.profiles` returns them.
        behaviour_has_run: whether the stage that fills these tables was ever done: without a row in them a user then
            has no categorised picture.
        interests_have_run: whether the stage that finds interests was ever done.
        score_has_run: whether the stage that scores was ever done.
        profiled_at: timestamp of the rows.

    Returns:
        All columns of the table but `run_id`. Every NULL has its reason in `missing`, taken over from the table that
        the value comes from where that one gives one.
    """
    joined = (
        users.drop("run_id", "posts")
        .join(activity, on="user_id", how="left")
        .join(category_mix(user_categories), on="user_id", how="left")
        .join(_renamed(user_features, FROM_FEATURES, "features"), on="user_id", how="left")
        .join(_renamed(selfie_measures, FROM_SELFIE_MEASURES, "selfie"), on="user_id", how="left")
        .join(_renamed(user_types, FROM_TYPES, "types"), on="user_id", how="left")
        .join(_listed(user_attributes, ATTRIBUTES, "attribute", "value", "occurrences"), on="user_id", how="left")
        .join(
            _listed(behaviour_scores, SCORES, "task", "probability", "model_version", "evidence"),
            on="user_id",
            how="left",
        )
        .join(user_interests, on="user_id", how="left")
        .na.fill(0, ["posts", "favourites", "images", "known_likes"])
        .withColumn("profiled_at", profiled_at)
    )
    unfilled = {c.name: c.type for c in PROFILE.columns if c.name not in {*joined.columns, "missing", "run_id"}}
    wide = joined.withColumns({name: F.lit(None).cast(type_) for name, type_ in unfilled.items()})
    return wide.withColumn("missing", missing(_reasons(behaviour_has_run, interests_have_run, score_has_run))).select(
        [c.name for c in PROFILE.columns if c.name != "run_id"]
    )


def _reasons(behaviour_has_run: bool, interests_have_run: bool, score_has_run: bool) -> dict[str, Column]:
    """Why each column of a profile is NULL, where it is."""
    no_post = F.when(F.col("posts") == 0, F.lit(NO_POST))
    known = {
        "user_name": F.lit(None).cast("string"),
        "followers": F.lit(None).cast("string"),
        "first_seen_at": no_post,
        "last_seen_at": no_post,
        "median_likes": F.coalesce(no_post, F.when(F.col("known_likes") == 0, F.lit(NO_KNOWN_LIKES))),
    }
    unmeasured = F.lit(NO_CATEGORY if behaviour_has_run else STAGE_NOT_RUN)
    known |= dict.fromkeys((*FROM_CATEGORIES, ATTRIBUTES), unmeasured)
    unscored = F.when(F.col("features_missing").isNull(), unmeasured).otherwise(F.lit(NOT_SCORED))
    known[SCORES] = unscored if score_has_run else F.lit(STAGE_NOT_RUN)
    if interests_have_run:
        known |= interests.reasons()
    rooms = {"features": FROM_FEATURES, "selfie": FROM_SELFIE_MEASURES, "types": FROM_TYPES}
    for prefix, columns in rooms.items():
        known |= {
            ours: F.coalesce(
                reason_of(F.col(f"{prefix}_missing"), held), F.when(F.col(f"{prefix}_missing").isNull(), unmeasured)
            )
            for ours, held in columns.items()
        }
    nullable = [c.name for c in PROFILE.columns if c.nullable and c.name != "missing"]
    return {name: known.get(name, F.lit(STAGE_NOT_RUN)) for name in nullable}
