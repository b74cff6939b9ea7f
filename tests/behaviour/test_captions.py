"""The text baselines of R1 on captions in which words tell selfies, and on captions in which they don't."""

from __future__ import annotations

import hashlib
import itertools
import math
import os
import random
import re
import subprocess
import sys
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pyspark.sql import SparkSession

from profilelake import config as configuration
from profilelake.behaviour import caption_lstm, captions
from profilelake.behaviour.captions import Baseline, exact_p
from profilelake.behaviour.results import of_baselines
from profilelake.config import Selfie
from udfs.caption_scores import load, probabilities
from udfs.words import words

TELLING = (("selfie", "me", "自拍", "🤳"), ("meal", "cat", "风景", "🍜"))
FILLERS = ("today", "again", "so", "happy", "星期天", "#mood", "よ")
CAPTIONS = "user_id string, post_id string, caption string, has_selfie boolean"
RANKED = "user_id string, value double, label int"


def rules(**changed: Any) -> Selfie:
    small = {"vocabulary": 50, "lstm_width": 8, "lstm_epochs": 15, "doc2vec_width": 8, "doc2vec_epochs": 20}
    small |= {"shuffles": 20, **changed}
    return configuration.load(arguments=[f"selfie.{key}={value}" for key, value in small.items()]).selfie


RULES = rules()


@dataclass(frozen=True)
class Crawl:
    captions: list[tuple[str, str, str, bool]]
    ranked: list[tuple[str, float, int | None]]


def crawl(seed: int, told: float) -> Crawl:
    """Users of both quarters and as many between them; a caption names what its post shows with probability `told`,
    else anything. Every user has a word of their own, and a caption without a word."""
    rng = random.Random(seed)
    written, ranked = [], []
    for n in range(80):
        label = {0: 1, 1: 0}.get(n % 4)
        user, share = f"u{n:02}", {1: 0.8, 0: 0.15, None: 0.45}[label]
        ranked.append((user, share, label))
        for post in range(6):
            selfie = rng.random() < share
            shown = selfie if rng.random() < told else rng.random() < 0.5
            said = [rng.choice(FILLERS), rng.choice(TELLING[not shown]), rng.choice(FILLERS), f"own{user}"]
            written.append((user, f"{user}-{post}", " ".join(said), selfie))
        written.append((user, f"{user}-blank", "?!", False))
    rng.shuffle(written)
    return Crawl(written, ranked)


def measured(spark: SparkSession, of: Crawl, by: Selfie = RULES) -> tuple[Baseline, Baseline]:
    lstm, doc2vec = captions.measure(
        spark, spark.createDataFrame(of.captions, CAPTIONS), spark.createDataFrame(of.ranked, RANKED), by
    )
    return lstm, doc2vec


@dataclass
class Seen:
    """The words that the network was trained on, and those that captions were tested on."""

    trained: list[list[str]]
    tested: list[list[str]]


def who(said: list[list[str]]) -> set[str]:
    return {word for caption in said for word in caption if word.startswith("own")}


PLANTED = crawl(1, told=0.8)


@pytest.fixture(scope="module")
def planted(spark: SparkSession) -> tuple[Baseline, Baseline, Seen]:
    seen = Seen([], [])
    train, score = caption_lstm.train, probabilities

    def trained(given: Any, *rest: Any) -> Any:
        seen.trained += given
        return train(given, *rest)

    def scored(network: Any, given: Any, numbers: Any) -> Any:
        seen.tested += given
        return score(network, given, numbers)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(caption_lstm, "train", trained)
        patch.setattr(captions, "probabilities", scored)
        lstm, doc2vec = measured(spark, PLANTED)
    return lstm, doc2vec, seen


# --- both baselines ---------------------------------------------------------------------------------------------------


def test_captions_that_tell_selfies_tell_selfie_addicts(planted: tuple[Baseline, Baseline, Seen]) -> None:
    lstm, doc2vec, seen = planted
    assert (lstm.name, lstm.reason) == ("LSTM", None)
    # 12 of 40 users test captions, 12 of 40 the threshold
    assert (lstm.caption_n, lstm.n) == (72, 12)
    assert lstm.caption_accuracy is not None
    assert lstm.caption_low is not None
    assert lstm.caption_high is not None
    assert lstm.caption_baseline is not None
    # what somebody reaches who knows which words tell
    telling = set(words(" ".join(TELLING[0]), 64))
    said = {post: (words(caption, 64), selfie) for _, post, caption, selfie in PLANTED.captions}
    right = [bool(telling & set(caption)) == selfie for caption, selfie in said.values() if caption in seen.tested]
    assert len(right) == 72
    assert abs(lstm.caption_accuracy - np.mean(right)) < 0.05
    assert 0.5 <= lstm.caption_baseline < lstm.caption_low < lstm.caption_accuracy < lstm.caption_high
    assert lstm.user_accuracy is not None
    assert lstm.user_accuracy > 0.8
    assert lstm.baseline == 0.5
    assert lstm.threshold is not None
    assert 0 < lstm.threshold < 1
    assert lstm.fold_accuracies is None
    assert lstm.p_value is not None
    assert lstm.caption_p_value is not None
    assert 1 / math.comb(12, 6) <= lstm.p_value < 0.05  # six of twelve are positive
    assert lstm.caption_p_value < 1e-4
    assert (lstm.shuffles, lstm.shuffle_n) == (None, None)

    assert (doc2vec.name, doc2vec.reason, doc2vec.n, doc2vec.baseline) == ("doc2vec", None, 40, 0.5)
    assert doc2vec.user_accuracy is not None
    assert 0.5 < doc2vec.user_accuracy <= 1
    assert doc2vec.fold_accuracies is not None
    assert len(doc2vec.fold_accuracies) == 10
    assert (doc2vec.shuffles, doc2vec.shuffle_n) == (20, 40)
    assert doc2vec.p_value in [as_good / 21 for as_good in range(1, 22)]
    assert (doc2vec.caption_accuracy, doc2vec.caption_n, doc2vec.threshold) == (None, None, None)
    assert doc2vec.caption_p_value is None


def test_no_user_is_trained_and_tested_on(planted: tuple[Baseline, Baseline, Seen]) -> None:
    _, _, seen = planted
    between = {f"own{user}" for user, _, label in PLANTED.ranked if label is None}
    assert len(who(seen.trained)) == 28
    assert who(seen.trained) | who(seen.tested) == between
    assert not who(seen.trained) & who(seen.tested)


def test_who_took_part_and_who_is_left_out_is_said(planted: tuple[Baseline, Baseline, Seen]) -> None:
    lstm, doc2vec, _ = planted
    assert lstm.notes == (
        "trained on 168 captions of 28 users between the quarters, captions tested on 12 others",
        "40 captions of users between the quarters without a word are left out",
        "40 captions of users of the quarters without a word are left out",
        "threshold learnt on 28 users of the quarters",
    )
    assert doc2vec.notes[0] == "40 captions of users of the quarters without a word are left out"


def test_rows_in_another_order_give_the_same_figures(
    spark: SparkSession, planted: tuple[Baseline, Baseline, Seen]
) -> None:
    torch.manual_seed(11)
    before = torch.get_num_threads(), torch.get_rng_state()
    again = measured(spark, Crawl(PLANTED.captions[::-1], PLANTED.ranked[::-1]))
    assert again == planted[:2]
    assert torch.get_num_threads() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


def test_captions_that_tell_nothing_do_as_chance_does(spark: SparkSession) -> None:
    of = crawl(2, told=0.0)
    lstm, doc2vec = measured(spark, of)
    assert lstm.caption_low is not None
    assert lstm.caption_low < 0.5 < lstm.caption_high  # type: ignore[operator]
    assert lstm.caption_p_value > 0.05  # type: ignore[operator]
    for baseline in (lstm, doc2vec):
        assert baseline.p_value > 0.05  # type: ignore[operator]
        assert baseline.low is not None
        assert baseline.low < 0.5 < baseline.high  # type: ignore[operator]


def figures(baseline: Baseline) -> dict[str, Any]:
    return {f.name: getattr(baseline, f.name) for f in fields(baseline) if f.name not in ("name", "notes", "reason")}


@pytest.mark.parametrize(
    ("writers", "sides", "changed", "reason", "doc2vec_too"),
    [
        ((None, 0, 1), (None, 1), {}, "no users on both sides of R1", True),
        ((), (None, 0, 1), {}, "0 users of the quarters have captions, 20 are needed", True),
        ((None, 0, 1), (None, 0, 1), {"min_users": 41}, "40 users .* have captions, 41 are needed", True),
        ((None, 1), (None, 0, 1), {}, "fewer than two users of one of the quarters", True),
        ((0, 1), (None, 0, 1), {}, "no caption of users between", False),
    ],
    ids=["one side", "no captions", "few users", "captions of one side", "none between"],
)
def test_too_little_is_a_reason_and_no_figure(
    spark: SparkSession,
    writers: tuple[int | None, ...],
    sides: tuple[int | None, ...],
    changed: dict[str, int],
    reason: str,
    doc2vec_too: bool,
) -> None:
    of = crawl(3, told=0.9)
    label = {user: label for user, _, label in of.ranked}
    found = measured(
        spark,
        Crawl([row for row in of.captions if label[row[0]] in writers], [row for row in of.ranked if row[2] in sides]),
        rules(lstm_epochs=1, doc2vec_epochs=1, **changed),
    )
    for baseline in found[: 2 if doc2vec_too else 1]:
        assert re.search(reason, str(baseline.reason))
        assert set(figures(baseline).values()) == {None}
    assert (found[1].user_accuracy is None) == doc2vec_too


def test_rows_of_evaluations_have_all_that_was_found(planted: tuple[Baseline, Baseline, Seen]) -> None:
    lstm, doc2vec, _ = planted
    rows = {(row.variant, row.metric): row for row in of_baselines([lstm, doc2vec])}
    assert {row.artefact for row in rows.values()} == {"5.2.1"}
    assert {(name, metric): (row.value, row.n) for (name, metric), row in rows.items()} == {
        ("LSTM", "accuracy"): (lstm.user_accuracy, 12),
        ("LSTM", "p_value"): (lstm.p_value, 12),
        ("LSTM", "threshold"): (lstm.threshold, None),
        ("LSTM", "caption_accuracy"): (lstm.caption_accuracy, 72),
        ("LSTM", "caption_p_value"): (lstm.caption_p_value, 72),
        ("doc2vec", "accuracy"): (doc2vec.user_accuracy, 40),
        ("doc2vec", "folds"): (10, 40),
        ("doc2vec", "fold_std"): (pytest.approx(np.std(doc2vec.fold_accuracies, ddof=1)), 10),
        ("doc2vec", "p_value"): (doc2vec.p_value, 40),
    }
    assert rows["doc2vec", "p_value"].note == "20 shuffles of the labels"
    without = of_baselines([Baseline("LSTM", reason="why"), Baseline("doc2vec", reason="why")])
    assert [(row.metric, row.value, row.note) for row in without] == [
        ("accuracy", None, "why"),
        ("caption_accuracy", None, "why"),
        ("accuracy", None, "the paper: below 0.55; why"),
    ]


# --- their parts ------------------------------------------------------------------------------------------------------


def test_captions_of_one_kind_train_nothing(spark: SparkSession) -> None:
    of = crawl(3, told=0.9)
    without = Crawl([(*row[:3], False) for row in of.captions], of.ranked)
    lstm, doc2vec = measured(spark, without, rules(doc2vec_epochs=1))
    assert "not of both kinds" in str(lstm.reason)
    assert set(figures(lstm).values()) == {None}
    assert doc2vec.user_accuracy is not None


@pytest.mark.parametrize("seed", range(6))
def test_the_exact_p_value_is_the_share_of_all_shuffles(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 8))
    called, positive = rng.random((2, n)) < rng.random()
    right = (called == positive).sum()
    as_good = [(called == np.array(labels)).sum() >= right for labels in itertools.permutations(positive)]
    assert exact_p(called, positive) == pytest.approx(np.mean(as_good))


def test_a_users_mean_is_over_all_captions_with_a_word(spark: SparkSession) -> None:
    of = crawl(4, told=0.9)
    said = [words(caption, RULES.caption_words) for _, _, caption, _ in of.captions]
    kept = [at for at, caption in enumerate(said) if caption]
    selfie = np.array([row[3] for row in of.captions])
    trained = caption_lstm.train([said[at] for at in kept], selfie[kept], rules(lstm_epochs=2))
    network, numbers = load(trained)
    rows = [
        (of.captions[at][0], round(float(probabilities(network, [said[at]], numbers)[0]), 6))
        if at in set(kept)
        else (of.captions[at][0], None)
        for at in range(len(said))
    ]
    rows += [("silent", None), ("silent", None)]
    written = [(user, 1, caption) for user, _, caption, _ in of.captions] + [("silent", 0, "?"), ("silent", 0, None)]
    expected = pd.DataFrame(rows, columns=["user_id", "p"]).groupby("user_id")["p"]

    frame = spark.createDataFrame(written, "user_id string, label int, caption string").repartition(3)
    found = captions.mean_probabilities(spark, frame, trained).toPandas().set_index("user_id").sort_index()
    np.testing.assert_allclose(found["probability"], expected.mean(), atol=2e-6)
    assert found["without"].tolist() == expected.apply(lambda p: p.isna().sum()).tolist()
    assert np.isnan(found.loc["silent", "probability"])
    assert found.loc["u00", "label"] == 1


@pytest.mark.parametrize("seed", range(8))
def test_the_threshold_is_the_best_of_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 40))
    values = rng.integers(0, 12, n) / 12
    positive = rng.random(n) < rng.random()

    def accuracy(threshold: float) -> float:
        return float(np.mean([(value >= threshold) == side for value, side in zip(values, positive, strict=True)]))

    found = captions.learnt_threshold(values, positive)
    assert accuracy(found) == max(accuracy(threshold) for threshold in [*values, *(values + 1e-9), -1.0])
    # ties: the lowest
    assert all(
        accuracy(value) < accuracy(found) for value in values if value < found and value not in values[values >= found]
    )


def test_thresholds_of_clear_cases() -> None:
    values = np.array([0.2, 0.4, 0.8, 0.6])
    positive = np.array([False, False, True, True])
    assert captions.learnt_threshold(values, positive) == pytest.approx(0.5)
    assert captions.learnt_threshold(values, np.ones(4, bool)) == 0.2
    assert captions.learnt_threshold(values, np.zeros(4, bool)) > 0.8
    assert captions.learnt_threshold(np.array([0.3, 0.3]), np.array([True, True])) == 0.3
    close = np.array([0.5, np.nextafter(0.5, 1)])
    assert captions.learnt_threshold(close, np.array([False, True])) == close[1]


@pytest.mark.parametrize(("n", "expected"), [(1, 0), (2, 1), (3, 2), (10, 7), (11, 8)])
def test_users_are_drawn_whole_and_seeded(n: int, expected: int) -> None:
    users = np.array([f"u{k % n}" for k in range(5 * n)])
    rows = captions.rows_drawn(users, 0.7, 5)
    assert len(set(users[rows])) == expected
    assert not set(users[rows]) & set(users[~rows])
    order = np.random.default_rng(0).permutation(len(users))
    assert (captions.rows_drawn(users[order], 0.7, 5) == rows[order]).all()
    if n > 3:
        assert any((captions.rows_drawn(users, 0.7, seed) != rows).any() for seed in range(5))


def test_the_vocabulary_is_the_most_frequent_words() -> None:
    said = [["b", "a", "c"], ["c", "b", "字"], ["d"]]
    assert caption_lstm.vocabulary(said, 3) == ("b", "c", "a")
    assert caption_lstm.vocabulary(said, 9) == ("b", "c", "a", "d", "字")
    assert caption_lstm.vocabulary([], 9) == ()


def test_training_learns_and_repeats_itself() -> None:
    rng = random.Random(5)
    selfie = np.array([rng.random() < 0.4 for _ in range(200)])
    said = [[rng.choice(FILLERS), rng.choice(TELLING[not shown]), rng.choice(FILLERS)] for shown in selfie]
    trained = caption_lstm.train(said, selfie, RULES)
    network, numbers = load(trained)
    assert ((probabilities(network, said, numbers) > 0.5) == selfie).mean() > 0.95
    assert len(trained.vocabulary) == len(FILLERS) + sum(map(len, TELLING))
    torch.manual_seed(99)
    assert caption_lstm.train(said, selfie, RULES) == trained
    assert caption_lstm.train(said, selfie, rules(seed=1)) != trained


def said_in(of: Crawl) -> list[list[str]]:
    return [words(caption, 64) for _, _, caption, _ in of.captions[:100]]


def test_doc2vec_gives_a_vector_a_caption_and_repeats_itself() -> None:
    said = said_in(crawl(6, told=0.9))
    vectors = captions.doc2vec_vectors(said, RULES)
    assert vectors.shape == (100, 8)
    assert np.isfinite(vectors).all()
    assert np.array_equal(captions.doc2vec_vectors(said, RULES), vectors)
    assert not np.array_equal(captions.doc2vec_vectors(said, rules(seed=1)), vectors)


@pytest.mark.slow
def test_doc2vec_does_not_depend_on_pythons_hashes() -> None:
    code = (
        "import hashlib; from profilelake.behaviour import captions; from tests.behaviour import test_captions as t;"
        "vectors = captions.doc2vec_vectors(t.said_in(t.crawl(6, told=0.9)), t.RULES);"
        "print(hashlib.sha256(vectors.tobytes()).hexdigest())"
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    ]  # fmt: skip
    here = captions.doc2vec_vectors(said_in(crawl(6, told=0.9)), RULES)
    assert found == [hashlib.sha256(here.tobytes()).hexdigest()] * 2


def test_captions_are_of_posts_with_a_categorised_picture(spark: SparkSession) -> None:
    rng = random.Random(7)
    said = ["me", "", "  ", "\n\t", None, "自拍", " x "]
    posts = [(f"p{n}", f"u{n % 5}", rng.choice(["posted", "posted", "favourite"]), rng.choice(said)) for n in range(80)]
    pictures = [(f"p{n}", f"i{rng.randrange(30)}") for n in range(80) for _ in range(rng.randrange(4))]
    categories = [(f"i{n}", rng.choice(["Selfie", "Meal", "Pet"])) for n in range(30) if rng.random() < 0.6]
    of = dict(categories)
    expected = []
    for post, user, relation, caption in posts:
        shown = [of[image] for owner, image in pictures if owner == post and image in of]
        if relation == "posted" and shown and (caption or "").strip():
            expected.append((user, post, caption, "Selfie" in shown))
    found = captions.captions_of(
        spark.createDataFrame(posts, "post_id string, user_id string, relation string, caption string"),
        spark.createDataFrame(pictures, "post_id string, image_id string"),
        spark.createDataFrame(categories, "image_id string, category string"),
    )
    assert sorted(tuple(row) for row in found.collect()) == sorted(expected)
    assert {selfie for *_, selfie in expected} == {True, False}
