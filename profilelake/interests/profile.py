"""What profiles show of interests (paper 2, section 3): five domains from pictures, five from tags. Frames to frames.

A user has interests from own posts and from favourites. A profile shows one of the two, for pictures and tags alike, so
that what they have in common is of the same pictures: the one with more pictures that name a domain, then with more
such tags; favourites, the paper's setting, on ties.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from profilelake.interests.counting import TAGS, TOP
from profilelake.reasons import FEW_PICTURES, FEW_TAGS, NO_LABEL, NO_LABEL_NO_TAG, NO_TAG

FROM_PICTURES, FROM_TAGS = "interests_from_pictures", "interests_from_tags"
NETWORK, RELATION, OVERLAP = "interests_network", "interests_relation", "interests_overlap"
IMAGES, NAMED_TAGS = "interests_images", "interests_tags"


def profiles(
    user_interests: DataFrame, evidence: DataFrame, network: str | None, min_pictures: int, min_tags: int
) -> DataFrame:
    """The columns of `user_profiles` that tell interests.

    Args:
        user_interests: the table.
        evidence: the table user_interest_evidence.
        network: whose labels count; None: nobody's.
        min_pictures, min_tags: that name a domain, below which the domains are NULL.

    Returns:
        `user_id` and the seven columns, a row a user with any evidence; why they are NULL, tells `reasons`.
    """
    chosen = _chosen(evidence, network)
    tops = _tops(user_interests, network)
    both = chosen.join(tops, on=["user_id", RELATION], how="left")
    pictures = F.when(F.col(IMAGES) >= min_pictures, F.col("pictures"))
    tags = F.when(F.col(NAMED_TAGS) >= min_tags, F.col("tags"))
    common = F.array_intersect(_domains(F.col(FROM_PICTURES)), _domains(F.col(FROM_TAGS)))
    return (
        both.withColumns({FROM_PICTURES: pictures, FROM_TAGS: tags})
        .withColumn(NETWORK, F.when(F.col(IMAGES).isNotNull(), _name(network)))
        .withColumn(OVERLAP, F.when(common.isNotNull(), F.size(common)))
        .drop("pictures", "tags")
    )


def _chosen(evidence: DataFrame, network: str | None) -> DataFrame:
    """A user's relation, with how many pictures and tags name a domain in it; NULL: there are none at all."""
    by_relation = evidence.groupBy("user_id", "relation").agg(
        F.max(F.when(F.col("basis") == _name(network), F.col("named"))).alias("images"),
        F.max(F.when(F.col("basis") == TAGS, F.col("named"))).alias("tags"),
    )
    absent = F.lit(-1).cast("bigint")
    order = F.struct(
        F.coalesce("images", absent).alias("images"),
        F.coalesce("tags", absent).alias("tags"),
        (F.col("relation") == "favourite").alias("favourite"),
    )
    best = (
        by_relation.where(F.coalesce("images", "tags").isNotNull()).groupBy("user_id").agg(F.max(order).alias("best"))
    )

    def known(name: str) -> Column:
        return F.when(F.col("best")[name] >= 0, F.col("best")[name])

    return best.select(
        "user_id",
        F.when(F.col("best")["favourite"], F.lit("favourite")).otherwise(F.lit("posted")).alias(RELATION),
        known("images").alias(IMAGES),
        known("tags").alias(NAMED_TAGS),
    )


def _tops(user_interests: DataFrame, network: str | None) -> DataFrame:
    """The first domains of pictures and of tags by user and relation, best first; [] where there are none."""
    entry = F.struct("rank", "domain", "occurrences")

    def listed(basis: Column) -> Column:
        ordered = F.array_sort(F.collect_list(F.when(basis, entry)))
        return F.transform(
            ordered,
            lambda e: F.struct(
                e["domain"].alias("domain"), e["occurrences"].alias("occurrences"), e["rank"].alias("rank")
            ),
        )

    return (
        user_interests.where(F.col("rank") <= TOP)
        .groupBy("user_id", F.col("relation").alias(RELATION))
        .agg(
            listed(F.col("basis") == _name(network)).alias("pictures"),
            listed(F.col("basis") == TAGS).alias("tags"),
        )
    )


def _name(network: str | None) -> Column:
    return F.lit(network).cast("string")


def _domains(top: Column) -> Column:
    return F.transform(top, lambda entry: entry["domain"])


def reasons() -> dict[str, Column]:
    """Why each of the columns is NULL, where it is, for a frame that holds them all."""
    pictures = F.when(F.col(IMAGES).isNull(), F.lit(NO_LABEL)).otherwise(F.lit(FEW_PICTURES))
    tags = F.when(F.col(NAMED_TAGS).isNull(), F.lit(NO_TAG)).otherwise(F.lit(FEW_TAGS))
    return {
        FROM_PICTURES: pictures,
        FROM_TAGS: tags,
        OVERLAP: F.when(F.col(FROM_PICTURES).isNull(), pictures).otherwise(tags),
        NETWORK: F.lit(NO_LABEL),
        IMAGES: F.lit(NO_LABEL),
        NAMED_TAGS: F.lit(NO_TAG),
        RELATION: F.lit(NO_LABEL_NO_TAG),
    }
