"""The numbers behind the figures against pandas and scipy on whole random data, where ours see moments alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T
from pyspark.sql.pandas.types import to_arrow_schema
from scipy import stats

from profilelake.behaviour import published, relations, tasks
from profilelake.behaviour.figures import MEASURES
from profilelake.behaviour.relations import Study
from profilelake.behaviour.tasks import Sides
from profilelake.training.results import EvaluationRow, FigureRow
from tests.behaviour import drawn

CATEGORIES = ("Always", "Meal", "Never", "Odd name: n", "Pet", "Rare", "n")
ATTRIBUTES = ("Travel", "Food", "Level", "Unknown")
TYPES = {1: "1: Travel", 2: "2: Food", 3: "3"}
LIMIT = 60


@dataclass(frozen=True)
class Crowd:
    """Random users as pandas sees them, and what ours made of them."""

    users: pd.DataFrame
    f: pd.DataFrame
    frequency: pd.DataFrame
    labels: dict[str, pd.Series]
    study: Study
    rows: list[FigureRow]
    ranked: list[EvaluationRow]

    def series(self, figure: str, name: str) -> dict[str, FigureRow]:
        found = {row.label or "": row for row in self.rows if (row.figure, row.series) == (figure, name)}
        assert found, f"{figure} has no series {name}"
        return found


def people(seed: int = 4, count: int = 90) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Users with ties and gaps, their F (one has none) and their frequencies by category (absent as 0)."""
    rng = np.random.default_rng(seed)
    names = [f"u{n:02d}" for n in range(count)]
    occurrences = pd.DataFrame(rng.poisson(3, (count, len(CATEGORIES))), index=names, columns=CATEGORIES)
    occurrences["Never"] = 0
    occurrences["Rare"] = (np.arange(count) % 30 == 0).astype(int)
    occurrences["Always"] = 1 + occurrences["Always"]
    selfies = pd.Series(rng.poisson(2, count), index=names)
    occurrences.iloc[3] = 0  # only selfies
    selfies.iloc[3] = 5
    f = occurrences.div(occurrences.sum(axis=1), axis=0)
    frequency = occurrences.assign(Selfie=selfies).div(occurrences.sum(axis=1) + selfies, axis=0)
    # a category that everybody has the same of
    frequency["Always"] = 0.25
    users = pd.DataFrame({name: np.round(rng.random(count), 1) for name in MEASURES}, index=names)
    for name in list(MEASURES)[3:]:
        users.loc[rng.random(count) < 0.15, name] = np.nan
    users.loc[names[3], "selfie_frequency"] = 1.0
    users["other_inertia"] = np.where(f["Meal"].isna(), np.nan, 1 + rng.random(count))
    users["other_singleness"] = np.where(rng.random(count) < 0.2, np.nan, rng.random(count))
    users["attribute_0"] = np.round((f["Meal"] + f["Pet"]).fillna(0.0), 2)
    users["attribute_1"] = users["selfie_frequency"] * 0.5 + 0.01 * rng.random(count)
    users["attribute_2"] = 0.1  # means of it differ in their last digit
    users["attribute_3"] = np.nan
    users["type"] = rng.choice([1, 2, 3, 0], count)
    return users, f, frequency


def labelled(users: pd.DataFrame) -> dict[str, pd.Series]:
    measures = dict(zip(("R1", "R2", "R3", *relations.FIGURE_8), MEASURES, strict=True))
    found = {}
    for task, measure in measures.items():
        order = users[measure].dropna().sort_values(ascending=False, kind="stable").index
        labels = pd.Series(np.nan, index=order)
        labels.iloc[: len(order) // 4] = 1
        labels.iloc[len(order) - len(order) // 4 :] = 0
        found[task] = labels
    return found


def rows_of(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    return [tuple(None if pd.isna(cell) else cell for cell in row) for row in frame.itertuples(index=False)]


def framed(spark: SparkSession, rows: list[tuple[Any, ...]], ddl: str) -> DataFrame:
    """Rows as a frame by Arrow, which needs no Python worker."""
    schema = T._parse_datatype_string(ddl)
    assert isinstance(schema, T.StructType)
    columns = [dict(zip(schema.names, row, strict=True)) for row in rows]
    return spark.createDataFrame(pa.Table.from_pylist(columns, schema=to_arrow_schema(schema)), schema).coalesce(1)


@pytest.fixture(scope="module")
def crowd(spark: SparkSession) -> Crowd:
    users, f, frequency = people()
    labels = labelled(users)
    columns = [name for name in users.columns if name != "type"]
    schema = "user_id string, " + ", ".join(f"{name} double" for name in columns)
    long = frequency.stack().rename("frequency").rename_axis(["user_id", "category"]).reset_index()
    long["f"] = [
        float("nan") if c == "Selfie" else f.loc[u, c] for u, c in zip(long.user_id, long.category, strict=True)
    ]
    long = long[(long.frequency > 0) & ((long.f > 0) | (long.category.isin(["Selfie", "Always"])))]
    strangers = [("stranger", "Meal", 1.0, 1.0), ("stranger", "Pet", 1.0, 1.0)]
    sides = {
        task: Sides(
            framed(
                spark,
                [(user, 0.0, None if math.isnan(label) else int(label)) for user, label in of.items()],
                "user_id string, value double, label int",
            ),
            len(of), len(of) // 4, None, None, None,
        )
        for task, of in labels.items()
    }  # fmt: skip
    study = Study(
        users=framed(spark, rows_of(users[columns].rename_axis("user_id").reset_index()), schema),
        user_categories=framed(
            spark,
            rows_of(long) + strangers,
            "user_id string, category string, frequency double, frequency_without_selfie double",
        ),
        user_types=framed(
            spark,
            [(user, int(kind) or None) for user, kind in users["type"].items()] + [("stranger", 1)],
            "user_id string, type int",
        ),
        categories=CATEGORIES,
        attributes=ATTRIBUTES,
        type_names=TYPES,
        sides=sides,
    )
    rows = relations.numbers(study)
    return Crowd(users, f, frequency, labels, study, rows, relations.rankings(study, LIMIT, seed=1))


def test_measures_are_called_alike_everywhere() -> None:
    assert tuple(MEASURES) == tasks.MEASURES
    assert {*relations.TWO_SIDES.values(), *relations.FIGURE_8} == {t.name for t in tasks.tasks(())}


@pytest.mark.parametrize("figure", ["figure 4", "figure 5", "figure 6"])
def test_two_sides_against_the_users_themselves(crowd: Crowd, figure: str) -> None:
    labels = crowd.labels[relations.TWO_SIDES[figure]]
    sides = [labels.index[labels == side] for side in (1, 0)]
    effect, corrected = crowd.series(figure, "effect"), crowd.series(figure, "p holm")
    ps = {}
    for category in CATEGORIES:
        one, other = (crowd.f.loc[side, category].dropna().to_numpy() for side in sides)
        for name, values in (("positive", one), ("negative", other)):
            row = crowd.series(figure, name)[category]
            assert (row.y, row.n) == (pytest.approx(values.mean()), len(values))
            if values.std() > 0:
                expected = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
                assert (row.low, row.high) == pytest.approx(expected)
        if one.std() + other.std() == 0:
            assert effect[category].y is None
            continue
        n = len(one) + len(other)
        pooled = math.sqrt((one.var() * len(one) + other.var() * len(other)) / (n - 2))
        g = (1 - 3 / (4 * (n - 2) - 1)) * (one.mean() - other.mean()) / pooled
        assert effect[category].y == pytest.approx(g)
        ps[category] = crowd.series(figure, "p")[category].y
        assert ps[category] == pytest.approx(stats.ttest_ind(one, other, equal_var=False).pvalue)
    assert "Never" not in ps
    if figure != "figure 4":
        for habit, column in (("I", "other_inertia"), ("S", "other_singleness")):
            one, other = (crowd.users.loc[side, column].dropna() for side in sides)
            assert crowd.series(figure, f"{habit} positive")[habit].y == pytest.approx(one.mean())
            assert crowd.series(figure, f"{habit} effect")[habit].n == len(one) + len(other)
            ps[habit] = stats.ttest_ind(one, other, equal_var=False).pvalue
            assert crowd.series(figure, f"{habit} p")[habit].y == pytest.approx(ps[habit])
    order = sorted(ps, key=lambda name: ps[name])
    smallest = order[0]
    of_it = {**corrected, **crowd.series(figure, "I p holm")} if figure != "figure 4" else corrected
    if smallest in of_it:
        assert of_it[smallest].y == pytest.approx(min(1, ps[smallest] * len(ps)))
    ordered = [row.y for row in sorted(effect.values(), key=lambda row: row.x)]
    assert ordered == sorted(ordered, key=lambda g: (g is None, -(g or 0)))
    assert sorted(row.x for row in effect.values()) == list(range(len(CATEGORIES)))


def test_figure_8_shows_top_quarters_beside_all_users_and_tests_them_against_the_others(crowd: Crowd) -> None:
    everybody = crowd.series("figure 8", "all users")
    assert set(everybody) == set(CATEGORIES)
    for category, row in everybody.items():
        assert (row.y, row.n) == (pytest.approx(crowd.f[category].mean()), len(crowd.f) - 1)
    for task in relations.FIGURE_8:
        top = crowd.labels[task].index[crowd.labels[task] == 1]
        rest = crowd.f.index.difference(top)
        for category in CATEGORIES:
            one, other = crowd.f.loc[top, category].dropna(), crowd.f.loc[rest, category].dropna()
            assert crowd.series("figure 8", task)[category].y == pytest.approx(one.mean())
            p = crowd.series("figure 8", f"{task} p")[category].y
            if category == "Never":
                assert p is None
            else:
                assert p == pytest.approx(stats.ttest_ind(one, other, equal_var=False).pvalue)
    ps = [row.y for row in crowd.rows if row.figure == "figure 8" and row.series.endswith(" p") and row.y is not None]
    corrected = [row.y for row in crowd.rows if row.figure == "figure 8" and row.series.endswith("p holm")]
    assert min(p for p in corrected if p is not None) == pytest.approx(min(1, min(ps) * len(ps)))


def test_figure_8_shows_the_24_categories_that_differ_most() -> None:
    rows = [row for row in drawn.rows() if row.figure == "figure 8"]
    everybody = {row.label: row.y for row in rows if row.series == "all users"}
    assert len(everybody) == 24
    of = {task: {row.label: row.y for row in rows if row.series == task} for task in relations.FIGURE_8}
    assert all(set(means) == set(everybody) for means in of.values())
    # from the top come those that lovers of group and outdoor selfies post more than the others
    leaning = [
        of["R4"][name] + of["R5"][name] - of["R6_holding_something"][name] - of["R6_face_mask"][name]
        for name in sorted(everybody, key=lambda name: next(r.x for r in rows if r.label == name))
    ]
    assert leaning == sorted(leaning, reverse=True)


def test_pearsons_coefficients_are_those_of_whole_vectors(crowd: Crowd) -> None:
    rows = [row for row in crowd.rows if row.figure == "figure 3"]
    names = sorted({*CATEGORIES, "Selfie"})
    assert len(rows) == len(names) ** 2
    spread = [name for name in names if name not in ("Never", "Always")]
    expected = crowd.frequency[spread].corr()
    for row in rows:
        if row.series in spread and row.label in spread:
            assert row.y == pytest.approx(expected.loc[row.series, row.label])
        else:
            assert row.y is None
        assert row.n == len(crowd.users)
    places = {row.label: row.x for row in rows}
    assert sorted(places.values()) == list(range(len(names)))
    assert {places["Always"], places["Never"]} == {len(names) - 2, len(names) - 1}


def test_related_categories_become_neighbours() -> None:
    rows = [row for row in drawn.rows() if row.figure == "figure 3"]
    places = {row.label: row.x for row in rows}
    for group in drawn.ATTRIBUTES.values():
        if group[0] != "Snack":  # nobody of the crowd has a liking for food
            at = sorted(places[name] for name in group)
            assert at[-1] - at[0] == len(group) - 1, group


def test_types_by_attribute_and_measure(crowd: Crowd) -> None:
    typed = crowd.users[crowd.users["type"] > 0]
    means = typed.groupby("type")[["attribute_0", "attribute_1", "attribute_2"]].mean()
    for i, attribute in enumerate(ATTRIBUTES[:3]):
        column = means[f"attribute_{i}"]
        spread = column.max() - column.min()
        for number, name in TYPES.items():
            row = crowd.series("figure 9", attribute)[name]
            expected = (column[number] - column.min()) / spread if spread > 1e-12 else 0.0
            assert (row.y, row.x) == (pytest.approx(expected), number)
            assert crowd.series("figure 9", f"@mean {attribute}")[name].y == pytest.approx(column[number])
    notes = sorted(row.label or "" for row in crowd.rows if row.series == "@note" and row.figure == "figure 9")
    assert notes == ["equal in all types, so 0: Level", "no category of it in this lake: Unknown"]
    assert not [row for row in crowd.rows if row.series == "Unknown"]
    for measure in MEASURES:
        by_type = typed.groupby("type")[measure]
        for number, name in TYPES.items():
            row = crowd.series("figure 10", measure)[name]
            assert (row.y, row.n) == (pytest.approx(by_type.mean()[number]), by_type.count()[number])


def test_the_ranking_by_users_is_spearmans_over_the_drawn_ones(crowd: Crowd) -> None:
    found = {(row.task, row.variant): row for row in crowd.ranked if row.metric == "spearman"}
    assert len(found) == len(MEASURES) * len(ATTRIBUTES)
    assert all((row.n or 0) <= LIMIT for row in found.values())
    assert found["selfie_frequency", "Travel"].n == LIMIT
    assert found["selfie_frequency", "Level"].value is None
    assert (found["selfie_frequency", "Unknown"].value, found["selfie_frequency", "Unknown"].n) == (None, 0)
    all_users = relations.rankings(replace(crowd.study, attributes=ATTRIBUTES[:2]), 1000, seed=1)
    for row in all_users:
        if row.metric == "spearman":
            both = crowd.users[[row.task, f"attribute_{ATTRIBUTES.index(row.variant)}"]].dropna()
            assert (row.value, row.n) == (pytest.approx(stats.spearmanr(both).statistic), len(both))
            assert (row.low or 0) < (row.value or 0) < (row.high or 0)


def test_the_ranking_by_types_orders_attributes_by_the_type_that_stands_for_each(crowd: Crowd) -> None:
    typed = crowd.users[crowd.users["type"] > 0]
    for measure in MEASURES:
        of_type = typed.groupby("type")[measure].mean()
        keys = {}
        for i, attribute in enumerate(ATTRIBUTES[:3]):
            means = typed.groupby("type")[f"attribute_{i}"].mean()
            stands = means.index[np.isclose(means, means.max(), rtol=1e-12)].min()
            keys[attribute] = (-of_type[stands], -means[stands])
        expected = sorted(keys, key=lambda attribute: keys[attribute])
        found = {int(row.value or 0): row for row in crowd.ranked if (row.task, row.metric) == (measure, "rank")}
        assert [found[rank].variant for rank in sorted(found)] == expected
        for row in found.values():
            printed = published.RANKING[measure]
            assert row.published == (printed.index(row.variant) + 1 if row.variant in printed else None)


def test_sides_that_cannot_be_told_apart_and_lone_users_leave_a_note(crowd: Crowd, spark: SparkSession) -> None:
    unlabelled = framed(spark, [("u00", 0.0, None)], "user_id string, value double, label int")
    alike = Sides(unlabelled, 1, 0, "all users are alike", None, None)
    one_type = framed(spark, [("u00", 2)], "user_id string, type int")
    lone = crowd.study.users.where("user_id = 'u00'")
    study = replace(crowd.study, users=lone, user_types=one_type, sides={"R1": alike, "R4": alike})
    rows = relations.numbers(study)
    notes = {(row.figure, row.series): row.label for row in rows if row.series.startswith("@note")}
    assert notes["figure 4", "@note"] == "all users are alike"
    assert notes["figure 5", "@note"] == "there are no two sides to compare"
    assert notes["figure 3", "@note"] == "fewer than two users"
    assert notes["figure 8", "@note R4"] == "group selfies: all users are alike"
    assert [row.y for row in rows if row.series == "Travel"] == [0.0]
    assert [row.n for row in rows if row.series == "selfie_frequency"] == [1]


def test_pictures_are_counted_by_category_kind_and_faces(spark: SparkSession) -> None:
    posts = framed(spark, [("p1", "posted"), ("p2", "posted"), ("p3", "favourite")], "post_id string, relation string")
    shown = [("p1", "s1"), ("p1", "s1"), ("p1", "s2"), ("p2", "s3"), ("p2", "m"), ("p2", "bare"), ("p3", "m")]
    images = framed(spark, shown, "post_id string, image_id string")
    categories = framed(
        spark,
        [("s1", "Selfie", "Outdoor Selfie"), ("s2", "Selfie", "Face Mask Selfie"), ("s3", "Selfie", None),
         ("m", "Meal", None)],
        "image_id string, category string, sub_category string",
    )  # fmt: skip
    faces = framed(spark, [("s1", 2), ("s2", 0), ("m", 5)], "image_id string, faces int")
    found = {
        (row.artefact, row.variant, row.task): row.value for row in relations.pictures(posts, images, categories, faces)
    }
    assert found == {
        ("table 1", "category", "Outdoor Selfie"): 2,
        ("table 1", "category", "Face Mask Selfie"): 1,
        ("table 1", "category", "Selfie"): 1,
        ("table 1", "category", "Meal"): 1,
        ("table 1", "category", "all"): 5,
        ("table 3", "kind", "Outdoor Selfie"): 2,
        ("table 3", "kind", "Face Mask Selfie"): 1,
        ("table 3", "kind", "Selfie"): 4,
        ("table 3", "faces", "Multi-face Selfie"): 2,
        ("table 3", "faces", "One-face Selfie"): 1,
    }
