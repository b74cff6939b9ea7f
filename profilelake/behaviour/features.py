"""Categories, features and selfie measures of a user (paper 1, sections 4.2 and 5.2). DataFrame -> DataFrame.

A Moment of the paper is a post here. Everything rests on one aggregate, `category_counts`, a row for each user and
category; what follows are roll-ups of it. So no user's posts ever come together in one place: a user with a million
posts is as many rows of a shuffle with partial sums as anybody else's posts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from profilelake.reasons import (
    NO_POST_WITHOUT_SELFIE,
    NO_SELFIE,
    NO_SELFIE_OF_KINDS,
    NO_SELFIE_SEARCHED,
    NOT_MEASURED,
    ONLY_SELFIES,
    missing,
)

SELFIE = "Selfie"

ONE_FACE, MULTI_FACE = "one_face_occurrences", "multi_face_occurrences"
INDOOR, OUTDOOR = "indoor_ordinary_occurrences", "outdoor_occurrences"
HOLDING, MASK = "holding_something_occurrences", "face_mask_occurrences"

# The kinds of selfie that posts are counted by, and the sub-category that four of them are (paper 1, table 3).
KIND_OCCURRENCES = (ONE_FACE, MULTI_FACE, INDOOR, OUTDOOR, HOLDING, MASK)
SUB_CATEGORIES = {
    INDOOR: "Indoor Ordinary Selfie",
    OUTDOOR: "Outdoor Selfie",
    HOLDING: "Holding Something Selfie",
    MASK: "Face Mask Selfie",
}

# Definitions 5-8 (section 5.2.2): the kind above, and the kinds that are added up below.
TENDENCIES = {
    "group_tendency": (MULTI_FACE, ONE_FACE),
    "outdoor_tendency": (OUTDOOR, INDOOR),
    "holding_something_tendency": (HOLDING, INDOOR),
    "face_mask_tendency": (MASK, INDOOR),
}


def occurrences(posts: DataFrame, post_images: DataFrame, pictures: DataFrame) -> DataFrame:
    """One row an occurrence: a category in a post, however many pictures (paper 1, definition 1).

    Categories are numbers, so that no shuffle of every picture carries and sorts their names.

    Args:
        posts: `post_id`, `user_id`, `relation`; only `posted` counts, favourites are other people's posts.
        post_images: `post_id`, `image_id`; a picture listed twice in a post counts as two pictures.
        pictures: `image_id`, `category` (its number), `kinds` (as `kinds` makes it, 0 for what is no selfie), a row a
            categorised picture; others count nowhere.

    Returns:
        `user_id`, `post_id`, `category` (the key), `images` bigint, `kinds` int: bit i is set where one of the
        pictures is of `KIND_OCCURRENCES[i]`.
    """
    posted = posts.where(F.col("relation") == "posted").select("post_id", "user_id")
    shown = post_images.select("post_id", "image_id").join(pictures, on="image_id", how="inner")
    # Joined before they are counted: all that goes by post then stays where the join has put it, without a shuffle.
    in_post = shown.join(posted, on="post_id", how="inner").groupBy("user_id", "post_id", "category")
    return in_post.agg(F.count("*").alias("images"), F.bit_or("kinds").alias("kinds"))


def kinds() -> Column:
    """The kinds of a selfie as bits, from its `sub_category` and the `faces` found in it. One that no detector has seen
    has neither of the first two, one without a sub-category none of the others."""
    is_of = {
        ONE_FACE: F.col("faces") < 2,
        MULTI_FACE: F.col("faces") >= 2,
        **{kind: F.col("sub_category") == name for kind, name in SUB_CATEGORIES.items()},
    }
    bits = [F.when(is_of[kind], F.lit(1 << bit)).otherwise(F.lit(0)) for bit, kind in enumerate(KIND_OCCURRENCES)]
    return reduce(Column.bitwiseOR, bits)


def category_counts(of: DataFrame, names: Sequence[str]) -> DataFrame:
    """Occurrences (`occurrences`) rolled up by user and category.

    Args:
        of: the occurrences.
        names: the categories by name; number i is names[i].

    Returns:
        `user_id`, `category` (its name; the key), `images`, `occurrences`, `alone` (posts that have only this
        category), `first` (posts whose first category by number it is: summed over a user's categories, every post
        counts once), and each of `KIND_OCCURRENCES` (0 but for Selfie); all bigint.
    """
    in_post = Window.partitionBy("post_id")
    placed = of.select(
        "user_id",
        "category",
        "images",
        "kinds",
        (F.count("*").over(in_post) == 1).alias("is_alone"),
        (F.min("category").over(in_post) == F.col("category")).alias("is_first"),
    )
    counts = placed.groupBy("user_id", "category").agg(
        F.sum("images").alias("images"),
        F.count("*").alias("occurrences"),
        F.count_if("is_alone").alias("alone"),
        F.count_if("is_first").alias("first"),
        *[
            F.count_if(F.col("kinds").bitwiseAND(1 << bit) != 0).alias(kind)
            for bit, kind in enumerate(KIND_OCCURRENCES)
        ],
    )
    return counts.withColumn("category", F.get(F.lit(list(names)), F.col("category")))


def _is_selfie() -> Column:
    return F.col("category") == SELFIE


def _others(name: str) -> Column:
    """The sum of a count over all categories but Selfie; 0 where there is none."""
    return F.coalesce(F.sum(F.when(~_is_selfie(), F.col(name))), F.lit(0))


def _selfies(name: str) -> Column:
    """A count of the category Selfie; 0 where there is none."""
    return F.coalesce(F.sum(F.when(_is_selfie(), F.col(name))), F.lit(0))


def user_categories(counts: DataFrame, fit_id: str) -> DataFrame:
    """Rows of `user_categories` from `category_counts`: definitions 2 (frequency), 3 (inertia), 4 (singleness) and
    the F-feature (section 4.2: the frequency after all selfies are filtered out, NULL for Selfie itself).

    A user has at most as many rows as there are categories, so the sums over a user's rows are small windows.

    Args:
        counts: as `category_counts` returns them.
        fit_id: the fit of the categories.
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
        F.lit(fit_id).alias("fit_id"),
    )


def user_features(counts: DataFrame, fit_id: str) -> DataFrame:
    """Rows of `user_features` from `category_counts`: the I- and S-features (paper 1, section 4.2).

    `other_inertia` is NULL for a user who posts nothing but selfies, `other_singleness` for one whose every post has
    a selfie.

    Args:
        counts: as `category_counts` returns them.
        fit_id: the fit of the categories.
    """
    totals = counts.groupBy("user_id").agg(
        F.sum("first").alias("posts"),
        F.sum("occurrences").alias("occurrences"),
        _others("occurrences").alias("other_occurrences"),
        F.try_divide(_others("images"), _others("occurrences")).alias("other_inertia"),
        # a post with one category and no selfie is a post that has another category alone
        F.try_divide(_others("alone"), F.sum("first") - _selfies("occurrences")).alias("other_singleness"),
    )
    reasons = {
        "other_inertia": F.lit(ONLY_SELFIES),
        "other_singleness": F.lit(NO_POST_WITHOUT_SELFIE),
    }
    return totals.withColumn("fit_id", F.lit(fit_id)).withColumn("missing", missing(reasons))


def selfie_measures(counts: DataFrame, fit_id: str, selfie_fit_id: str | None, *, faces: bool) -> DataFrame:
    """Rows of `selfie_measures` from `category_counts`: selfie frequency, inertia and singleness are definitions 2, 3
    and 4 for the category Selfie (paper 1, section 5.2.1), the four tendencies definitions 5 to 8 (section 5.2.2).

    The counts that the tendencies rest on are NULL while nobody has measured them, and 0 then for users without
    selfies. A ratio without anything below is NULL.

    Args:
        counts: as `category_counts` returns them.
        fit_id: the fit of the categories.
        selfie_fit_id: the fit of the kinds of selfie; None: selfies have no kinds yet.
        faces: whether faces were looked for.
    """
    known = {ONE_FACE: faces, MULTI_FACE: faces} | dict.fromkeys(SUB_CATEGORIES, selfie_fit_id is not None)
    measured = counts.groupBy("user_id").agg(
        F.try_divide(_selfies("occurrences"), F.sum("occurrences")).alias("selfie_frequency"),
        F.try_divide(_selfies("images"), _selfies("occurrences")).alias("selfie_inertia"),
        F.try_divide(_selfies("alone"), _selfies("occurrences")).alias("selfie_singleness"),
        _selfies("occurrences").alias("selfie_occurrences"),
        *[(_selfies(kind) if known[kind] else F.lit(None).cast("bigint")).alias(kind) for kind in KIND_OCCURRENCES],
    )
    tendencies = {
        name: F.try_divide(F.col(above), F.col(above) + F.col(other)) for name, (above, other) in TENDENCIES.items()
    }
    without = F.col("selfie_occurrences") == 0
    reasons = dict.fromkeys(("selfie_inertia", "selfie_singleness"), F.lit(NO_SELFIE))
    reasons |= dict.fromkeys(("selfie_fit_id", *KIND_OCCURRENCES), F.lit(NOT_MEASURED))
    for name, (above, _) in TENDENCIES.items():
        nothing_below = NO_SELFIE_OF_KINDS if above in SUB_CATEGORIES else NO_SELFIE_SEARCHED
        unfit = F.lit(nothing_below if known[above] else NOT_MEASURED)
        reasons[name] = F.when(without, F.lit(NO_SELFIE)).otherwise(unfit)
    return (
        measured.withColumns(tendencies)
        .withColumns({"fit_id": F.lit(fit_id), "selfie_fit_id": F.lit(selfie_fit_id).cast("string")})
        .withColumn("missing", missing(reasons))
    )
