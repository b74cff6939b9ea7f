"""What a user's pictures and tags name, by domain (paper 2, section 3). DataFrame -> DataFrame.

Everything rests on one aggregate, `domain_counts`; interests and what they rest on are made of it. So no user's
pictures or tags ever come together in one place, and nothing here is done in Python a row.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from profilelake.frames import join_hashed
from udfs.interests.cleaning import MAX_LENGTH

# The basis that no network is called.
TAGS = "tags"
# Domains of a profile (paper 2, section 3: "narrowed down to the first five positions").
TOP = 5

# Weights are added up as whole millionths, so that a sum doesn't depend on the order of its rows.
_UNIT = 1_000_000
_BASIS = ("user_id", "relation", "basis")


def tags(posts: DataFrame) -> DataFrame:
    """Every tag of every post and favourite: the site's `tags`, and where the crawl gives none (NULL, not []) the
    `hashtags`. The same text counts once a post, and again on another post.

    Args:
        posts: `user_id`, `relation`, `tags`, `hashtags`.

    Returns:
        `user_id`, `relation`, `word`: as it was written; of one with more than `MAX_LENGTH` characters, which is
        dropped in any case, as many and an ellipsis, so that tables hold no long ones.
    """
    given = F.array_distinct(F.coalesce("tags", "hashtags"))
    word = F.coalesce("word", F.lit(""))
    cut = F.concat(F.substring(word, 1, MAX_LENGTH), F.lit("…"))
    return posts.select("user_id", "relation", F.explode(given).alias("word")).withColumn(
        "word", F.when(F.length(word) > MAX_LENGTH, cut).otherwise(word)
    )


def labels(image_labels: DataFrame, networks: Sequence[str], *, weigh: bool) -> DataFrame:
    """What networks say of pictures: each one's best label, or all five of them.

    Args:
        image_labels: the table.
        networks: those that count.
        weigh: whether a label counts by its score, over ranks 1 to 5.

    Returns:
        `image_id`, `basis`, `class_index`, `n` int (1: the best label, which makes the picture a given one; 0: a
        lesser one), `weight` bigint (millionths).
    """
    best = F.col("rank") == 1
    score = F.nanvl(F.col("score").cast("double"), F.lit(0.0))
    return image_labels.where(F.col("network").isin(list(networks)) & (F.lit(weigh) | best)).select(
        "image_id",
        F.col("network").alias("basis"),
        "class_index",
        best.cast("int").alias("n"),
        (F.round(score * _UNIT).cast("bigint") if weigh else F.lit(_UNIT).cast("bigint")).alias("weight"),
    )


def named_by_pictures(posts: DataFrame, post_images: DataFrame, labelled: DataFrame, classes: DataFrame) -> DataFrame:
    """The domains that each picture in a post names by each label; a picture posted twice names them twice.

    Args:
        posts: `post_id`, `user_id`, `relation`.
        post_images: `post_id`, `image_id`.
        labelled: as `labels` returns them.
        classes: `class_index`, `domains`, a row a class.

    Returns:
        `user_id`, `relation`, `basis`, `n`, `weight`, `domains` (NULL or empty: none).
    """
    shown = join_hashed(
        post_images.select("post_id", "image_id"), posts.select("post_id", "user_id", "relation"), "post_id"
    )
    return (
        shown.join(labelled, on="image_id", how="inner")
        .join(F.broadcast(classes.select("class_index", "domains")), on="class_index", how="left")
        .select(*_BASIS, "n", "weight", "domains")
    )


def named_by_tags(tagged: DataFrame, words: DataFrame) -> DataFrame:
    """The domains that each tag names.

    Args:
        tagged: as `tags` returns them.
        words: `word`, `domains`, a row a word that names any.

    Returns:
        As `named_by_pictures`.
    """
    return tagged.join(words, on="word", how="left").select(
        "user_id",
        "relation",
        F.lit(TAGS).alias("basis"),
        F.lit(1).alias("n"),
        F.lit(_UNIT).cast("bigint").alias("weight"),
        "domains",
    )


def domain_counts(named: DataFrame) -> DataFrame:
    """Pictures and tags by user, basis and domain.

    Args:
        named: as `named_by_pictures` and `named_by_tags` return them.

    Returns:
        `user_id`, `relation`, `basis`, `domain` (the key; NULL: what names none), `occurrences`, `weight` (millionths),
        `given` and `named` (pictures or tags whose first domain it is: summed over a user's domains, every one counts
        once; those without a domain are not named); all bigint.
    """
    by_domain = named.select(*_BASIS, "n", "weight", F.posexplode_outer("domains").alias("place", "domain"))
    first = F.when(F.coalesce("place", F.lit(0)) == 0, F.col("n")).otherwise(F.lit(0))
    return by_domain.groupBy(*_BASIS, "domain").agg(
        F.sum("n").alias("occurrences"),
        F.sum("weight").alias("weight"),
        F.sum(first).alias("given"),
        F.sum(F.when(F.col("domain").isNotNull(), first).otherwise(F.lit(0))).alias("named"),
    )


def evidence(counts: DataFrame) -> DataFrame:
    """Rows of `user_interest_evidence` from `domain_counts`."""
    return counts.groupBy(*_BASIS).agg(F.sum("given").alias("given"), F.sum("named").alias("named"))


def interests(counts: DataFrame, prior: float | None = None) -> DataFrame:
    """Rows of `user_interests` from `domain_counts`: a user's domains by score, ties by name.

    Args:
        counts: as `domain_counts` returns them.
        prior: None: the score is the weight itself; else log-odds against all other users, with a prior of this
            weight (`_log_odds`).
    """
    named = counts.where(F.col("domain").isNotNull() & (F.col("weight") > 0)).drop("given", "named")
    scored = (
        named.withColumn("score", F.try_divide("weight", F.lit(_UNIT)))
        if prior is None
        else named.transform(lambda frame: _log_odds(frame, prior))
    )
    # The hash goes first because it is sorted by: texts that begin alike, as ids of a source do, are slow to sort.
    by_score = Window.partitionBy(F.xxhash64("user_id"), *_BASIS).orderBy(F.desc("score"), "domain")
    return scored.select(*_BASIS, "domain", "occurrences", "score", F.row_number().over(by_score).alias("rank"))


def _log_odds(named: DataFrame, prior: float) -> DataFrame:
    """The score of a domain: how much more of it a user has than all other users, by relation and basis: the log-odds
    ratio with an informative Dirichlet prior, as z (Monroe, Colaresi and Quinn 2008, equations 15, 16 and 22). The
    prior has every domain's share in all users.

    All users' domains are a hundred rows or so; a user's are 34 at most, a small window.
    """
    everybody = named.groupBy("relation", "basis", "domain").agg(F.sum("weight").alias("all_of_it"))
    of_basis = Window.partitionBy("relation", "basis")
    background = everybody.withColumn("all_of_all", F.sum("all_of_it").over(of_basis))
    mine = named.withColumn("all_of_mine", F.sum("weight").over(Window.partitionBy(*_BASIS)))
    both = mine.join(F.broadcast(background), on=["relation", "basis", "domain"], how="inner")

    def of_unit(whole: Column) -> Column:
        return F.try_divide(whole, F.lit(_UNIT))

    a = F.lit(prior) * F.try_divide("all_of_it", "all_of_all")
    own, own_all = of_unit(F.col("weight")), of_unit(F.col("all_of_mine"))
    others = of_unit(F.col("all_of_it") - F.col("weight"))
    others_all = of_unit(F.col("all_of_all") - F.col("all_of_mine"))

    def log_odd(some: Column, all_: Column) -> Column:
        # where there is only one domain nothing else is left, on both sides alike
        rest = F.greatest(all_ + F.lit(prior) - some - a, F.lit(sys.float_info.min))
        return F.ln(some + a) - F.ln(rest)

    variance = F.try_divide(F.lit(1.0), own + a) + F.try_divide(F.lit(1.0), others + a)
    z = F.try_divide(log_odd(own, own_all) - log_odd(others, others_all), F.sqrt(variance))
    return both.withColumn("score", z)
