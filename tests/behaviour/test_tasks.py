from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from profilelake import config as configuration
from profilelake.behaviour import features, published, tasks
from profilelake.behaviour.tasks import Sides, Task
from profilelake.errors import ProfilelakeError

# Names as the lake spells them; the last three have nothing to rank, or nothing to tell apart.
ATTRIBUTES = ("Living Goods", "all alike", "three users", "nobody")
RULES = configuration.load(arguments=["selfie.min_users=4"]).selfie
USER_FEATURES = ("occurrences", "other_occurrences", "other_inertia", "other_singleness")
COUNTS = (
    "selfie_occurrences",
    "one_face_occurrences",
    "multi_face_occurrences",
    "indoor_ordinary_occurrences",
    "outdoor_occurrences",
    "holding_something_occurrences",
    "face_mask_occurrences",
)
CATEGORIES = ("Selfie", "Meal", "Pet", "Baby", "never posted")
USERS = 61

# One task of each rule; the others differ in their columns alone.
RANKED = ("R1", "R2", "R5", *(f"R7_{attribute}" for attribute in ATTRIBUTES))

Rows = dict[str, dict[str, Any]]


def made_up(seed: int) -> tuple[Rows, dict[str, dict[str, float]]]:
    """By user the columns of the user tables, and F by category. Values are few, so that many users tie; some are
    NULL; users have just enough occurrences, and just too few. Ids are no ASCII everywhere."""
    rng = random.Random(seed)
    users, f = {}, {}
    for number in rng.sample(range(USERS), USERS):
        user = f"{rng.choice(['u', 'ü', '😊', chr(0xFFFD)])}{number}"
        row: dict[str, Any] = {
            "occurrences": rng.choice([49, 50, 51, 80, 200]),
            "other_occurrences": rng.choice([0, 40, 49]),
            "other_inertia": rng.choice([1.0, 1.5, None]),
            "other_singleness": rng.choice([0.25, 0.5, None]),
        }
        for measure in tasks.MEASURES:
            row[measure] = rng.choice([0.0, 0.1, 1 / 3, 0.7, 1.0, None])
        for count in COUNTS:
            row[count] = rng.choice([0, 1, 2, 5, None])
        row["Living Goods"] = rng.random()
        row["all alike"] = 0.5
        row["three users"] = float(number) if number < 2 else None
        row["nobody"] = None
        users[user] = row
        f[user] = {name: rng.random() for name in ("Meal", "Pet", "Baby") if rng.random() < 0.6}
    for user in ("first", "second"):  # nothing but selfies
        users[user] = {
            **users[min(users)],
            "occurrences": 90,
            "selfie_inertia": 9.0 + len(user),
            "selfie_occurrences": 9,
            "three users": None,
        }
        f[user] = {}
    users["three users 0"] = {**dict.fromkeys(users["first"]), "occurrences": 99, "three users": 7.0}
    f["three users 0"] = {"Meal": 1.0}
    return users, f


def laid(spark: SparkSession, users: Rows, f: Mapping[str, Mapping[str, float]]) -> tuple[DataFrame, DataFrame]:
    """`study_users` and `user_categories`."""
    attributes = [(user, name, row[name]) for user, row in users.items() for name in ATTRIBUTES if name != "nobody"]
    columns = (*tasks.MEASURES, *COUNTS)
    whole = spark.createDataFrame(
        [(user, *(row[name] for name in (*USER_FEATURES, *columns))) for user, row in users.items()],
        "user_id string, occurrences bigint, other_occurrences bigint, other_inertia double, other_singleness double, "
        + ", ".join(f"{name} {'double' if name in tasks.MEASURES else 'bigint'}" for name in columns),
    )  # fmt: skip
    study = tasks.study_users(
        whole.drop(*columns),
        whole.select("user_id", *columns),
        spark.createDataFrame(attributes, "user_id string, attribute string, value double"),
        ATTRIBUTES,
        50,
    )
    rows = [(user, name, value) for user, shares in f.items() for name, value in shares.items()]
    rows += [(user, "Selfie", None) for user in users]
    categories = spark.createDataFrame(rows, "user_id string, category string, frequency_without_selfie double")
    return study.coalesce(2).persist(), categories.coalesce(1).persist()


def by_name(attributes: tuple[str, ...] = ()) -> dict[str, Task]:
    return {task.name: task for task in tasks.tasks(attributes)}


class Study:
    """Two random studies, their tasks' sides as found, each read once."""

    def __init__(self, spark: SparkSession, seed: int) -> None:
        self.rows, self.f = made_up(seed)
        self.users, self.categories = laid(spark, self.rows, self.f)
        self.tasks = by_name(ATTRIBUTES)
        self.sides = {name: tasks.sides(self.users, self.tasks[name], RULES) for name in RANKED}
        self.found = {
            name: {row["user_id"]: (row["value"], row["label"]) for row in sides.frame.collect()}
            for name, sides in self.sides.items()
        }
        self.frames = {
            features: {row["user_id"]: row["features"] for row in self.frame(features).collect()}
            for features in ("F+S+I", "measures")
        }

    def frame(self, features: str) -> DataFrame:
        return tasks.feature_frame(self.users, self.categories, features, CATEGORIES)


@pytest.fixture(scope="module")
def study(spark: SparkSession) -> Study:
    return Study(spark, 1)


def expected_sides(
    rows: Rows, measure: str, drop_by: tuple[str, ...] = (), part: int | None = None
) -> tuple[dict[str, tuple[float, int | None]], float | None, float | None, int]:
    """The issue's words, in plain Python: user -> (value, label), the two cut values, users on a side."""
    ranked = [user for user, row in rows.items() if row["occurrences"] >= 50 and row[measure] is not None]
    if part is not None:
        by_evidence = sorted(ranked, key=lambda user: (sum(rows[user][name] or 0 for name in drop_by), user))
        ranked = by_evidence[len(by_evidence) // part :]
    order = sorted(ranked, key=lambda user: (-rows[user][measure], user))
    each = len(order) // 4
    made: dict[str, tuple[float, int | None]] = {user: (rows[user][measure], None) for user in order}
    if not each:
        return made, None, None, 0
    upper, lower = rows[order[each - 1]][measure], rows[order[-each]][measure]
    if upper != lower:
        made |= {user: (rows[user][measure], 1) for user in order[:each]}
        made |= {user: (rows[user][measure], 0) for user in order[-each:]}
    return made, upper, lower, each


@pytest.mark.parametrize(
    ("name", "measure", "drop_by", "part"),
    [
        ("R1", "selfie_frequency", (), None),
        ("R2", "selfie_inertia", ("selfie_occurrences",), 3),
        ("R5", "outdoor_tendency", ("outdoor_occurrences", "indoor_ordinary_occurrences"), 4),
        ("R7_Living Goods", "Living Goods", (), None),
    ],
)
def test_sides_are_those_of_the_plain_rule(
    study: Study, name: str, measure: str, drop_by: tuple[str, ...], part: int | None
) -> None:
    expected, upper, lower, each = expected_sides(study.rows, measure, drop_by, part)
    sides = study.sides[name]
    assert study.found[name] == expected
    assert (sides.n, sides.each, sides.upper, sides.lower) == (len(expected), each, upper, lower)
    assert sides.reason is None
    labels = [label for _, label in expected.values()]
    assert labels.count(1) == labels.count(0) == each >= 5


def test_the_drops_and_ties_of_the_random_study_are_what_they_are_to_test(study: Study) -> None:
    """Ties at every cut, so that the order among them matters, and users dropped and kept with equal evidence."""
    for name in ("R1", "R2", "R5"):
        found = study.found[name]
        cuts = (study.sides[name].upper, study.sides[name].lower)
        assert max(len({label for value, label in found.values() if value == cut}) for cut in cuts) == 2, name
    ranked = {
        user for user, row in study.rows.items() if row["occurrences"] >= 50 and row["selfie_inertia"] is not None
    }
    kept = set(study.found["R2"])
    assert len(ranked - kept) == len(ranked) // 3
    evidence = {user: study.rows[user]["selfie_occurrences"] or 0 for user in ranked}
    tied = max(evidence[user] for user in ranked - kept)
    gone = {user for user in ranked - kept if evidence[user] == tied}
    stay = {user for user in kept if evidence[user] == tied}
    assert gone
    assert stay
    assert max(gone) < min(stay)


def test_users_below_the_threshold_take_no_part_and_those_at_it_do(study: Study) -> None:
    at = {occurrences: {user for user, row in study.rows.items() if row["occurrences"] == occurrences}
          for occurrences in (49, 50)}  # fmt: skip
    assert all(at.values())
    listed = set(study.frames["measures"])
    assert not listed & at[49]
    assert listed >= at[50]


def test_equal_cut_values_are_no_figure_and_label_nobody(study: Study) -> None:
    sides = study.sides["R7_all alike"]
    assert sides.reason == "the last positive and the first negative user both have 0.5: no sides"
    assert (sides.upper, sides.lower) == (0.5, 0.5)
    assert {label for _, label in study.found["R7_all alike"].values()} == {None}


def test_fewer_users_than_a_quarter_takes_are_no_figure(study: Study) -> None:
    few = study.sides["R7_three users"]
    assert (few.n, few.each, few.upper, few.lower) == (len(study.found["R7_three users"]), 0, None, None)
    assert 1 <= few.n <= 3
    assert few.reason == f"0 labelled users of {few.n} that have what R7_three users ranks; a figure needs 4"
    none = study.sides["R7_nobody"]
    assert (none.n, none.each, study.found["R7_nobody"]) == (0, 0, {})
    assert none.reason == "0 labelled users of 0 that have what R7_nobody ranks; a figure needs 4"


def test_too_few_labelled_users_for_a_figure_are_labelled_all_the_same(study: Study) -> None:
    r1 = tasks.tasks(())[0]
    needs = configuration.load(arguments=["selfie.min_users=60"]).selfie
    sides = tasks.sides(study.users, r1, needs)
    assert sides.reason == f"{2 * sides.each} labelled users of {sides.n} that have what R1 ranks; a figure needs 60"
    assert sides.frame.where(F.col("label").isNotNull()).count() == 2 * sides.each


# --- features ---------------------------------------------------------------------------------------------------------


def expected_features(study: Study, user: str, names: tuple[str, ...]) -> list[float | None]:
    shares = study.f[user]
    frequencies = {name: shares.get(name, 0.0) if shares else None for name in CATEGORIES if name != "Selfie"}
    return [frequencies[name] if name in frequencies else study.rows[user][name] for name in names]


def test_features_of_all_users(study: Study) -> None:
    names = ("Baby", "Meal", "Pet", "never posted", "other_singleness", "other_inertia")
    assert tasks.columns("F+S+I", CATEGORIES) == names
    users = {user for user, row in study.rows.items() if row["occurrences"] >= 50}
    assert study.frames["F+S+I"] == {user: expected_features(study, user, names) for user in users}
    assert study.frames["F+S+I"]["first"][:4] == [None] * 4  # nothing but selfies: its frequencies are no numbers
    assert study.frames["measures"] == {user: [study.rows[user][name] for name in tasks.MEASURES] for user in users}


def test_unknown_features_are_told(study: Study) -> None:
    with pytest.raises(ProfilelakeError, match="there are no features X; there are F, I, S, measures"):
        tasks.columns("F+X", CATEGORIES)


def matrix(study: Study, name: str, feature_set: str, limit: int, seed: int = 1) -> tasks.Matrix:
    return tasks.matrix(
        study.users, study.categories, study.sides[name], study.tasks[name], feature_set, CATEGORIES, limit, seed
    )


def test_the_matrix_holds_the_labelled_users_by_id(study: Study) -> None:
    made = matrix(study, "R2", "F+I", 10_000)
    labelled = {user: label for user, (_, label) in study.found["R2"].items() if label is not None}
    assert list(made.users) == sorted(labelled)
    assert made.columns == tasks.columns("F+I", CATEGORIES)
    assert (made.x.dtype, made.y.dtype, made.notes) == (np.float64, np.int8, ())
    np.testing.assert_array_equal(made.y, [labelled[user] for user in made.users])
    expected = [
        [math.nan if value is None else value for value in expected_features(study, user, made.columns)]
        for user in made.users
    ]
    np.testing.assert_array_equal(made.x, expected)
    assert np.isnan(made.x[:, :4]).all(axis=1).any()  # somebody who posts nothing but selfies


def test_a_sample_is_seeded_and_even_and_the_same_for_all_features(study: Study) -> None:
    made, again = matrix(study, "R1", "I", 9), matrix(study, "R1", "F", 9)
    assert made.notes == (f"R1: a sample of 4 of {study.sides['R1'].each} users from each side",)
    assert [study.found["R1"][user][1] for user in made.users] == list(made.y)
    assert [int((made.y == label).sum()) for label in (1, 0)] == [4, 4]
    assert list(made.users) == sorted(made.users) == list(again.users)
    assert list(made.users) != list(matrix(study, "R1", "I", 9, seed=2).users)


def test_a_matrix_of_nobody(study: Study) -> None:
    made = matrix(study, "R7_all alike", "measures", 100)
    assert made.x.shape == (0, 7)
    assert (len(made.users), len(made.y)) == (0, 0)


def moved(posts: list[tuple[str, str, str]], pictures: list[tuple[str, str]], seed: int) -> list[tuple[str, str]]:
    """The same pictures but selfies, of which some go, some come, and all the others are in any post of their user."""
    rng = random.Random(seed)
    user_of = {post: user for post, user, _ in posts}
    posts_of: dict[str, list[str]] = {}
    for post, user, _ in posts:
        posts_of.setdefault(user, []).append(post)
    kept = [(post, image) for post, image in pictures if not image.startswith("s")]
    selfies = [(rng.choice(posts_of[user_of[post]]), image) for post, image in pictures if image.startswith("s")]
    come = [(rng.choice(posts)[0], f"s{rng.randrange(9)}") for _ in range(60)]
    return kept + rng.sample(selfies, len(selfies) // 2) + come


def test_feature_f_sees_no_selfie(spark: SparkSession) -> None:
    rng = random.Random(7)
    names = ("Baby", "Meal", "Pet", "Selfie")
    named = [(f"{name[0].lower()}{n}", number, 0) for number, name in enumerate(names) for n in range(9)]
    posts = [(f"p{n}", f"u{n % 20}", "posted") for n in range(160)]
    pictures = [(post, rng.choice(named)[0]) for post, _, _ in posts for _ in range(rng.randrange(4))]
    pictures += [("p0", "s1"), ("p0", "s2")]

    def found(shown: list[tuple[str, str]]) -> tuple[dict[str, Any], dict[str, Any]]:
        of = features.occurrences(
            spark.createDataFrame(posts, "post_id string, user_id string, relation string"),
            spark.createDataFrame(shown, "post_id string, image_id string"),
            spark.createDataFrame(named, "image_id string, category int, kinds int"),
        )
        counts = features.category_counts(of, names).persist()
        users, measured = (
            features.user_features(counts, "fit"),
            features.selfie_measures(counts, "fit", None, faces=True),
        )
        shares = features.user_categories(counts, "fit")
        made = tasks.feature_frame(users, shares, "F+I", names)
        return (
            {row["user_id"]: row["features"] for row in made.collect()},
            {row["user_id"]: row["selfie_frequency"] for row in measured.collect()},
        )

    (before, measured), (after, measured_after) = found(pictures), found(moved(posts, pictures, 3))
    assert before == after
    assert len(before) == 20
    assert sum(measured[user] != measured_after[user] for user in before) > 10


# --- the list of tasks ------------------------------------------------------------------------------------------------


def test_the_tasks_and_what_the_paper_prints_of_them() -> None:
    made = by_name(("Travel", "Food", "of the house"))
    assert list(made) == [
        "R1", "R2", "R3", "R4", "R5", "R6_holding_something", "R6_face_mask", "R7_Travel", "R7_Food", "R7_of the house",
    ]  # fmt: skip
    assert {name: (task.measure, task.drop_by, task.drop_part) for name, task in made.items()} == {
        "R1": ("selfie_frequency", (), None),
        "R2": ("selfie_inertia", ("selfie_occurrences",), "few_selfies"),
        "R3": ("selfie_singleness", ("selfie_occurrences",), "few_selfies"),
        "R4": ("group_tendency", ("multi_face_occurrences", "one_face_occurrences"), "few_kinds"),
        "R5": ("outdoor_tendency", ("outdoor_occurrences", "indoor_ordinary_occurrences"), "few_kinds"),
        "R6_holding_something": (
            "holding_something_tendency",
            ("holding_something_occurrences", "indoor_ordinary_occurrences"),
            "few_kinds",
        ),
        "R6_face_mask": (
            "face_mask_tendency",
            ("face_mask_occurrences", "indoor_ordinary_occurrences"),
            "few_kinds",
        ),
        "R7_Travel": ("attribute_0", (), None),
        "R7_Food": ("attribute_1", (), None),
        "R7_of the house": ("attribute_2", (), None),
    }
    assert made["R1"].feature_sets == ("F",)
    assert made["R2"].feature_sets == made["R3"].feature_sets == ("F", "I", "S", "F+I", "F+S", "S+I", "F+S+I")
    assert {made[name].feature_sets for name in ("R4", "R5", "R6_holding_something", "R6_face_mask")} == {("F",)}
    assert made["R1"].published == {"F": pytest.approx(0.8936)}
    assert made["R2"].published["F+I"] == pytest.approx(0.8352)
    assert "F+S" not in made["R2"].published  # struck out in table 2
    assert made["R6_face_mask"].published == {"F": pytest.approx(0.9032)}
    assert made["R7_Travel"].published == {"measures": pytest.approx(0.8760)}
    assert made["R7_of the house"].published == {}
    assert [made[name].artefact for name in ("R1", "R4", "R7_Food")] == ["table 2", "table 4", "table 6"]


def test_every_accuracy_that_the_paper_prints_belongs_to_a_task() -> None:
    made = by_name(tuple(published.TABLE_6))
    printed = sum(len(task.published) for task in made.values())
    assert printed == len(published.TABLE_2) + len(published.TABLE_4) + len(published.TABLE_6)
    for task in made.values():
        assert set(task.published) <= set(task.feature_sets)


def test_sides_is_a_frame_of_what_others_read(study: Study) -> None:
    sides: Sides = study.sides["R1"]
    assert dict(sides.frame.dtypes) == {"user_id": "string", "value": "double", "label": "int"}
