"""Categories, features and selfie measures of a user (paper 1, sections 4.2 and 5.2.1). DataFrame -> DataFrame.

A Moment of the paper is a post here. Everything rests on one aggregate, `category_counts`, a row for each user and
category; what follows are roll-ups of it. So no user's posts ever come together in one place: a user with a million
posts is as many rows of a shuffle with partial sums as anybody else's posts.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from profilelake.reasons import NO_POST_WITHOUT_SELFIE, NO_SELFIE, NOT_MEASURED, ONLY_SELFIES, missing

SELFIE = "Selfie"

# Of selfie_measures, what definitions 5-8 (section 5.2.2) fill.
TENDENCIES = ("group_tendency", "outdoor_tendency", "holding_something_tendency", "face_mask_tendency")
KIND_OCCURRENCES = (
    "one_face_occurrences",
    "multi_face_occurrences",
    "indoor_ordinary_occurrences",
    "outdoor_occurrences",
    "holding_something_occurrences",
    "face_mask_occurrences",
)


def occurrences(posts: DataFrame, post_images: DataFrame, image_categories: DataFrame) -> DataFrame:
    """One row an occurrence: a category in a post, however many pictures (paper 1, definition 1).

    Args:
        posts: `post_id`, `user_id`, `relation`; only `posted` counts, favourites are other people's posts.
        post_images: `post_id`, `image_id`; a picture listed twice in a post counts as two pictures.
        image_categories: `image_id`, `category`, `fit_id`, a row a categorised picture; others count nowhere.

    Returns:
        `user_id`, `post_id`, `category` (the key), `images` bigint, `fit_id`.
    """
    posted = posts.where(F.col("relation") == "posted").select("post_id", "user_id")
    return (
        post_images.select("post_id", "image_id")
        .join(posted, on="post_id", how="inner")
        .join(image_categories.select("image_id", "category", "fit_id"), on="image_id", how="inner")
        .groupBy("user_id", "post_id", "category")
        .agg(F.count("*").alias("images"), F.max("fit_id").alias("fit_id"))
    )


def category_counts(of: DataFrame) -> DataFrame:
    """Occurrences (`occurrences`) rolled up by user and category.

    Returns:
        `user_id`, `category` (the key), `images`, `occurrences`, `alone` (posts that have only this category), `first`
        (posts whose first category by name it is: summed over a user's categories, every post counts once), all
        bigint; `fit_id`.
    """
    in_post = F.struct("category", "images")
    by_post = of.groupBy("user_id", "post_id").agg(
        F.array_sort(F.collect_list(in_post)).alias("categories"), F.max("fit_id").alias("fit_id")
    )
    listed = by_post.select(
        "user_id", "fit_id", F.size("categories").alias("n"), F.posexplode("categories").alias("place", "entry")
    )
    return listed.groupBy("user_id", F.col("entry.category").alias("category")).agg(
        F.sum("entry.images").alias("images"),
        F.count("*").alias("occurrences"),
        F.count(F.when(F.col("n") == 1, 1)).alias("alone"),
        F.count(F.when(F.col("place") == 0, 1)).alias("first"),
        F.max("fit_id").alias("fit_id"),
    )


def _is_selfie() -> Column:
    return F.col("category") == SELFIE


def _others(name: str) -> Column:
    """The sum of a count over all categories but Selfie; 0 where there is none."""
    return F.coalesce(F.sum(F.when(~_is_selfie(), F.col(name))), F.lit(0))


def _selfies(name: str) -> Column:
    """A count of the category Selfie; 0 where there is none."""
    return F.coalesce(F.sum(F.when(_is_selfie(), F.col(name))), F.lit(0))


def user_categories(counts: DataFrame) -> DataFrame:
    """Rows of `user_categories` from `category_counts`: definitions 2 (frequency), 3 (inertia), 4 (singleness) and
    the F-feature (section 4.2: the frequency after all selfies are filtered out, NULL for Selfie itself).

    A user has at most as many rows as there are categories, so the sums over a user's rows are small windows.
    """
    of_user = Window.partitionBy("user_id")
    all_occurrences = F.sum("occurrences").over(of_user)
    other_occurrences = F.sum(F.when(~_is_selfie(), F.col("occurrences"))).over(of_user)
    return counts.select(
        "user_id",
        "category",
        "images",
        "occurrences",
        F.try_divide("occurrences", all_occurrences).alias("frequency"),
        F.try_divide("images", "occurrences").alias("inertia"),
        F.try_divide("alone", "occurrences").alias("singleness"),
        F.when(~_is_selfie(), F.try_divide("occurrences", other_occurrences)).alias("frequency_without_selfie"),
        "fit_id",
    )


def user_features(counts: DataFrame) -> DataFrame:
    """Rows of `user_features` from `category_counts`: the I- and S-features (paper 1, section 4.2).

    `other_inertia` is NULL for a user who posts nothing but selfies, `other_singleness` for one whose every post has
    a selfie.
    """
    totals = counts.groupBy("user_id").agg(
        F.sum("first").alias("posts"),
        F.sum("occurrences").alias("occurrences"),
        _others("occurrences").alias("other_occurrences"),
        F.try_divide(_others("images"), _others("occurrences")).alias("other_inertia"),
        # a post with one category and no selfie is a post that has another category alone
        F.try_divide(_others("alone"), F.sum("first") - _selfies("occurrences")).alias("other_singleness"),
        F.max("fit_id").alias("fit_id"),
    )
    reasons = {
        "other_inertia": F.lit(ONLY_SELFIES),
        "other_singleness": F.lit(NO_POST_WITHOUT_SELFIE),
    }
    return totals.withColumn("missing", missing(reasons))


def selfie_measures(counts: DataFrame) -> DataFrame:
    """Rows of `selfie_measures` from `category_counts`: selfie frequency, inertia and singleness are definitions 2, 3
    and 4 for the category Selfie (paper 1, section 5.2.1).

    The four tendencies (definitions 5-8) and the counts that they rest on are NULL, with a reason.
    """
    measured = counts.groupBy("user_id").agg(
        F.try_divide(_selfies("occurrences"), F.sum("occurrences")).alias("selfie_frequency"),
        F.try_divide(_selfies("images"), _selfies("occurrences")).alias("selfie_inertia"),
        F.try_divide(_selfies("alone"), _selfies("occurrences")).alias("selfie_singleness"),
        _selfies("occurrences").alias("selfie_occurrences"),
        F.max("fit_id").alias("fit_id"),
    )
    unmeasured = measured.withColumns(
        {
            **{name: F.lit(None).cast("double") for name in TENDENCIES},
            **{name: F.lit(None).cast("bigint") for name in KIND_OCCURRENCES},
        }
    )
    without = F.col("selfie_occurrences") == 0
    reasons = {
        "selfie_inertia": F.lit(NO_SELFIE),
        "selfie_singleness": F.lit(NO_SELFIE),
        **{
            name: F.when(without, F.lit(NO_SELFIE)).otherwise(F.lit(NOT_MEASURED))
            for name in (*TENDENCIES, *KIND_OCCURRENCES)
        },
    }
    return unmeasured.withColumn("missing", missing(reasons))
