"""The two text baselines of R1 (paper 1, 5.2.1): do people's captions tell selfie addicts as their pictures do?

What comes to the driver is bounded by the configuration: `selfie.caption_sample` captions and `selfie.max_users`
labelled users, seeded samples both. Every caption of these users is scored, on executors.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel
from scipy.stats import hypergeom

from profilelake import config
from profilelake.behaviour import caption_lstm
from profilelake.behaviour.features import SELFIE
from profilelake.behaviour.tasks import plan_of
from profilelake.training import crossval
from udfs.caption_scores import Trained, load, probabilities, score_udf, torch_threads
from udfs.words import words_of

logger = logging.getLogger(__name__)

# A probability is summed as a decimal, so that a mean depends on no order of its captions.
_PROBABILITY = "decimal(7,6)"


@dataclass(frozen=True)
class Baseline:
    """What a baseline gave: either figures or a reason why there are none.

    Attributes:
        name: LSTM or doc2vec.
        caption_accuracy: share of captions, of users that the LSTM was not trained on, that it tells right.
        caption_n: these captions.
        caption_baseline: share of the larger kind among them.
        caption_low, caption_high: 95 % Wilson interval of `caption_accuracy`.
        caption_p_value: of its permutation test (`exact_p`), as if no two captions had a user in common.
        user_accuracy: LSTM: share of the users that the threshold was not learnt on who are on the side of it that
            their mean probability says; doc2vec: of all users in the cross-validation.
        n: these users.
        low, high: 95 % Wilson interval of `user_accuracy`.
        baseline: share of the larger side among them.
        p_value: of the permutation test of `user_accuracy`: LSTM: exact (`exact_p`); doc2vec: the cross-validation's.
        shuffles, shuffle_n: of doc2vec: what its p-value rests on (`crossval.Score`).
        threshold: of the LSTM: the mean probability from which on a user is positive.
        fold_accuracies: of doc2vec.
        notes: what a reader of the figures should know.
        reason: why there are no figures; None where there are.
    """

    name: Literal["LSTM", "doc2vec"]
    caption_accuracy: float | None = None
    caption_n: int | None = None
    caption_baseline: float | None = None
    caption_low: float | None = None
    caption_high: float | None = None
    caption_p_value: float | None = None
    user_accuracy: float | None = None
    n: int | None = None
    low: float | None = None
    high: float | None = None
    baseline: float | None = None
    p_value: float | None = None
    shuffles: int | None = None
    shuffle_n: int | None = None
    threshold: float | None = None
    fold_accuracies: tuple[float, ...] | None = None
    notes: tuple[str, ...] = ()
    reason: str | None = None


class _NoFigure(Exception):
    """There is too little to make a figure of; the message says what is missing."""


def captions_of(posts: DataFrame, post_images: DataFrame, image_categories: DataFrame) -> DataFrame:
    """The captions that the baselines rest on: of posts that show a categorised picture.

    Args:
        posts: `post_id`, `user_id`, `relation`, `caption`; favourites and posts with a blank caption are left out.
        post_images: `post_id`, `image_id`.
        image_categories: `image_id`, `category`, a row a categorised picture.

    Returns:
        `user_id`, `post_id` (the key), `caption`, `has_selfie` boolean: whether one of its pictures is a selfie.
    """
    shown = (
        post_images.select("post_id", "image_id")
        .join(image_categories.select("image_id", "category"), on="image_id", how="inner")
        .groupBy("post_id")
        .agg(F.bool_or(F.col("category") == SELFIE).alias("has_selfie"))
    )
    written = posts.where((F.col("relation") == "posted") & F.col("caption").rlike(r"\S"))
    return written.join(shown, on="post_id", how="inner").select("user_id", "post_id", "caption", "has_selfie")


def measure(spark: SparkSession, captions: DataFrame, ranked: DataFrame, rules: config.Selfie) -> list[Baseline]:
    """Both baselines, the LSTM first.

    Args:
        captions: as `captions_of` makes them.
        ranked: `user_id` (the key), `label` int: 1 and 0 for the quarters with the highest and the lowest selfie
            frequency, NULL between; users who are absent count nowhere.
        rules: the section `selfie` of the configuration.
    """
    quarters = _quarters(ranked, rules)
    if quarters["label"].nunique() < 2:
        return without("there are no users on both sides of R1")
    wanted = ranked.where(F.col("label").isNull()).select("user_id", F.lit(None).cast("int").alias("label"))
    wanted = wanted.unionByName(spark.createDataFrame(quarters, "user_id string, label int"))
    held = captions.join(wanted, on="user_id", how="inner").persist(StorageLevel.DISK_ONLY)
    between, sides = held.where(F.col("label").isNull()), held.where(F.col("label").isNotNull())
    try:
        # before minutes of training for a figure that can't be made
        writers: pd.DataFrame = sides.select("user_id", "label").distinct().toPandas()
        _check_users(writers["label"].to_numpy(np.int64), rules)
        return [_lstm(spark, between, sides, rules), _doc2vec(spark, sides, rules)]
    except _NoFigure as error:
        return without(str(error))
    finally:
        held.unpersist()


def without(reason: str) -> list[Baseline]:
    """Neither baseline, and why."""
    logger.warning("R1 has no text baselines: %s", reason)
    return [Baseline("LSTM", reason=reason), Baseline("doc2vec", reason=reason)]


def _quarters(ranked: DataFrame, rules: config.Selfie) -> pd.DataFrame:
    """The users of both quarters, or a seeded sample of `max_users`, half of it from each: user_id, label."""
    drawn = [
        ranked.where(F.col("label") == label)
        .select("user_id", "label")
        .orderBy(F.xxhash64(F.lit(rules.seed), "user_id"), "user_id")
        .limit(rules.max_users // 2)
        for label in (1, 0)
    ]
    return drawn[0].unionByName(drawn[1]).toPandas()


# --- captions on the driver -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Sample:
    """Captions in the order of their users and posts: users (n,), labels of the users (n,) with None between the
    quarters, words of each caption, whether its post shows a selfie (n,); notes on who is left out."""

    users: npt.NDArray[np.str_]
    labels: pd.Series
    words: list[list[str]]
    selfie: npt.NDArray[np.bool_]
    notes: tuple[str, ...]


def _sample(captions: DataFrame, rules: config.Selfie, whose: str) -> _Sample:
    """A seeded sample of at most `caption_sample` captions; those without a word are left out of it."""
    drawn = (
        captions.select("user_id", "post_id", "label", "has_selfie", "caption")
        .orderBy(F.xxhash64(F.lit(rules.seed), "post_id"), "post_id")
        .limit(rules.caption_sample)
    )
    schema = "user_id string, post_id string, label int, has_selfie boolean, words string"
    found: pd.DataFrame = drawn.mapInPandas(words_of(rules.caption_words), schema).toPandas()
    said = found[found["words"] != ""].sort_values(["user_id", "post_id"], ignore_index=True)
    notes = []
    if len(found) == rules.caption_sample:
        notes.append(f"a seeded sample of {len(found):,} captions of {whose}")
    if len(said) < len(found):
        notes.append(f"{len(found) - len(said):,} captions of {whose} without a word are left out")
    return _Sample(
        said["user_id"].to_numpy(str),
        said["label"],
        [words.split(" ") for words in said["words"]],
        said["has_selfie"].to_numpy(bool),
        tuple(notes),
    )


def rows_drawn(users: npt.NDArray[np.str_], share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Which rows (n,) belong to users of a seeded draw of a share of them; of two users or more some are in it, some
    not. users: (n,), whose each row is."""
    distinct = np.unique(users)
    count = min(max(round(share * len(distinct)), 1), len(distinct) - 1)
    return np.isin(users, np.random.default_rng(seed).permutation(distinct)[: max(count, 0)])


def _majority(positive: npt.NDArray[np.bool_]) -> float:
    share = float(np.mean(positive))
    return max(share, 1 - share)


def _check_users(labels: npt.NDArray[np.int64], rules: config.Selfie) -> None:
    if len(labels) < rules.min_users:
        raise _NoFigure(f"{len(labels)} users of the quarters have captions, {rules.min_users} are needed")
    if np.bincount(labels, minlength=2).min() < 2:
        raise _NoFigure("fewer than two users of one of the quarters have captions")


# --- LSTM -------------------------------------------------------------------------------------------------------------


def _lstm(spark: SparkSession, between: DataFrame, sides: DataFrame, rules: config.Selfie) -> Baseline:
    """Baseline (a): a caption classifier from the users between the quarters, a threshold on its mean for the others.

    The users between are divided, too, by the same share: the paper trains and evaluates on their texts and does not
    say how it keeps the two apart.
    """
    try:
        trained, told = _caption_classifier(between, rules)
        users = _means(spark, sides, trained)
        return _user_classifier(users, told, rules)
    except _NoFigure as error:
        logger.warning("R1 has no LSTM baseline: %s", error)
        return Baseline("LSTM", reason=str(error))


def _caption_classifier(between: DataFrame, rules: config.Selfie) -> tuple[Trained, Baseline]:
    """The trained network, and how well it tells captions of users that it was not trained on."""
    sample = _sample(between, rules, "users between the quarters")
    if not sample.words:
        raise _NoFigure("no caption of users between the quarters has a word")
    learns = rows_drawn(sample.users, rules.threshold_share, rules.seed)
    tests = ~learns
    if len(set(sample.selfie[learns].tolist())) < 2:
        raise _NoFigure("the captions that train it are not of both kinds, of posts with and without a selfie")
    if tests.sum() < rules.min_users:
        raise _NoFigure(f"{tests.sum()} captions of users between the quarters test it, {rules.min_users} are needed")
    trained = caption_lstm.train(_where(sample.words, learns), sample.selfie[learns], rules)
    network, numbers = load(trained)
    with torch_threads(caption_lstm.THREADS):
        positive = probabilities(network, _where(sample.words, tests), numbers) > 0.5
    truth = sample.selfie[tests]
    right, n = int((positive == truth).sum()), len(truth)
    low, high = crossval.wilson(right, n)
    told = Baseline(
        "LSTM",
        caption_accuracy=right / n,
        caption_n=n,
        caption_baseline=_majority(truth),
        caption_low=low,
        caption_high=high,
        caption_p_value=exact_p(positive, truth),
        notes=(
            f"trained on {learns.sum():,} captions of {len(np.unique(sample.users[learns])):,} users between the "
            f"quarters, captions tested on {len(np.unique(sample.users[tests])):,} others",
            *sample.notes,
        ),
    )
    return trained, told


def _where(captions: Sequence[list[str]], chosen: npt.NDArray[np.bool_]) -> list[list[str]]:
    return [captions[at] for at in np.flatnonzero(chosen)]


def mean_probabilities(spark: SparkSession, captions: DataFrame, trained: Trained) -> DataFrame:
    """Each user's mean probability over all captions: `user_id`, `label`, `probability` double, NULL where no caption
    has a word, `without` bigint, the captions that have none. `captions`: `user_id`, `label`, `caption`."""
    score = score_udf(spark.sparkContext.broadcast(trained))
    scored = captions.select("user_id", "label", score("caption").cast(_PROBABILITY).alias("positive"))
    return scored.groupBy("user_id", "label").agg(
        F.try_divide(F.sum("positive").cast("double"), F.count("positive")).alias("probability"),
        F.count(F.when(F.col("positive").isNull(), 1)).alias("without"),
    )


def _means(spark: SparkSession, sides: DataFrame, trained: Trained) -> pd.DataFrame:
    users: pd.DataFrame = mean_probabilities(spark, sides, trained).toPandas()
    return users.sort_values("user_id", ignore_index=True)


def _user_classifier(users: pd.DataFrame, told: Baseline, rules: config.Selfie) -> Baseline:
    """The user accuracy beside what is known of the captions; `users` as `mean_probabilities` gives them. The share
    that learns the threshold is drawn from each side."""
    notes = [*told.notes]
    without = int(users["without"].sum())
    if without:
        notes.append(f"{without:,} captions of users of the quarters without a word are left out")
    users = users[users["probability"].notna()]
    labels = users["label"].to_numpy(np.int64)
    _check_users(labels, rules)
    ids, values, positive = users["user_id"].to_numpy(str), users["probability"].to_numpy(np.float64), labels == 1
    learns = np.zeros(len(ids), np.bool_)
    for side in (positive, ~positive):
        learns[side] = rows_drawn(ids[side], rules.threshold_share, rules.seed)
    tests = ~learns
    threshold = learnt_threshold(values[learns], positive[learns])
    called = values[tests] >= threshold
    right, n = int((called == positive[tests]).sum()), int(tests.sum())
    low, high = crossval.wilson(right, n)
    notes.append(f"threshold learnt on {learns.sum():,} users of the quarters")
    return replace(
        told,
        user_accuracy=right / n,
        n=n,
        low=low,
        high=high,
        baseline=_majority(positive[tests]),
        p_value=exact_p(called, positive[tests]),
        threshold=threshold,
        notes=tuple(notes),
    )


def exact_p(called: npt.NDArray[np.bool_], positive: npt.NDArray[np.bool_]) -> float:
    """The p-value of the permutation test of an accuracy on rows that nothing was learnt from: of all shuffles of the
    labels, the share with which at least as many predictions are right. Exact: Fisher's test, one-sided.

    Args:
        called: (n,), what was predicted, n >= 1; positive: (n,), the labels.
    """
    hits = int((called & positive).sum())  # the more of these, the more are right on both sides
    return float(hypergeom.sf(hits - 1, len(positive), int(positive.sum()), int(called.sum())))


def learnt_threshold(values: npt.NDArray[np.float64], positive: npt.NDArray[np.bool_]) -> float:
    """The value from which on users are called positive with the best accuracy: in the middle between two neighbours,
    the smallest value for all of them, just above the largest for none; the lowest on ties.

    Args:
        values: (n,), n >= 1, finite.
        positive: (n,).
    """
    distinct = np.unique(values)
    lower, upper = distinct[:-1], distinct[1:]
    middle = lower + (upper - lower) / 2
    between = np.where(middle > lower, middle, upper)
    candidates = np.concatenate([distinct[:1], between, [np.nextafter(distinct[-1], np.inf)]])
    called = np.sort(values[positive]), np.sort(values[~positive])
    right = len(called[0]) - np.searchsorted(called[0], candidates) + np.searchsorted(called[1], candidates)
    return float(candidates[right.argmax()])


# --- doc2vec ----------------------------------------------------------------------------------------------------------


def _doc2vec(spark: SparkSession, sides: DataFrame, rules: config.Selfie) -> Baseline:
    """Baseline (b): a user's mean doc2vec vector, and the SVM of R1 in the same cross-validation."""
    sample = _sample(sides, rules, "users of the quarters")
    users, first = np.unique(sample.users, return_index=True)
    labels = sample.labels.to_numpy(np.int64)[first]
    try:
        _check_users(labels, rules)
    except _NoFigure as error:
        logger.warning("R1 has no doc2vec baseline: %s", error)
        return Baseline("doc2vec", reason=str(error), notes=sample.notes)
    vectors = pd.DataFrame(doc2vec_vectors(sample.words, rules)).groupby(sample.users).mean()
    cell = crossval.Cell("R1 doc2vec", vectors.loc[users].to_numpy(np.float64), labels, users)
    (score,) = crossval.evaluate(spark, [cell], plan_of(rules))
    if score.reason is not None:
        return Baseline("doc2vec", notes=sample.notes, reason=score.reason)
    return Baseline(
        "doc2vec",
        user_accuracy=score.accuracy,
        n=score.n,
        low=score.low,
        high=score.high,
        baseline=score.baseline,
        p_value=score.p_value,
        shuffles=score.shuffles,
        shuffle_n=score.shuffle_n,
        fold_accuracies=score.fold_accuracies,
        notes=(*sample.notes, *score.notes),
    )


def doc2vec_vectors(captions: Sequence[list[str]], rules: config.Selfie) -> npt.NDArray[np.float32]:
    """A vector for each caption (n, `doc2vec_width`) float32, by distributed memory (Le and Mikolov, 2014) with
    gensim's settings where the paper, which gives none, leaves them open.

    One thread, so that the same captions in the same order give the same vectors on one machine.
    """
    from gensim.models.doc2vec import Doc2Vec, TaggedDocument

    model = Doc2Vec(
        [TaggedDocument(words, [at]) for at, words in enumerate(captions)],
        vector_size=rules.doc2vec_width,
        epochs=rules.doc2vec_epochs,
        min_count=1,
        max_final_vocab=rules.vocabulary,
        workers=1,
        seed=rules.seed,
    )
    vectors: npt.NDArray[np.float32] = model.dv.vectors
    return vectors
