"""What the users of paper 1 have in common, as numbers: the rows behind its figures, its counts and its rankings.

Everything is aggregated in Spark. What comes to the driver is a row for a category and a side, or for a type; and for
the rank correlations a seeded sample of users, at most as many as configured.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pyspark.ml.functions import array_to_vector
from pyspark.ml.stat import Correlation
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F
from scipy.cluster import hierarchy
from scipy.spatial import distance

from profilelake.behaviour import effects, published
from profilelake.behaviour.effects import Effect, Moments
from profilelake.behaviour.features import SELFIE
from profilelake.behaviour.figures import AXIS, HABITS, MEAN, MEASURES, SHOWN, TENDENCIES
from profilelake.clusters.names import ALL_CATEGORIES
from profilelake.training.results import NOTE, EvaluationRow, FigureRow

if TYPE_CHECKING:
    from profilelake.behaviour.tasks import Sides

# Tasks whose two sides are a figure, and what I and S they have as sub-figures.
TWO_SIDES = {"figure 4": "R1", "figure 5": "R2", "figure 6": "R3"}
_HABIT_COLUMNS = dict(zip(HABITS, ("other_inertia", "other_singleness"), strict=True))
_WITH_HABITS = ("figure 5", "figure 6")
# Tasks of figure 8: those of people and places, then those of things.
FIGURE_8 = tuple(TENDENCIES)
ALL = "all users"

_POSITIVE, _NEGATIVE, _REST = "positive", "negative", "rest"
_SIZE = "@n"  # the feature of every user who has an F, so its count is theirs
_SAME = 1e-9  # what means of equal values may differ by, relative
_SEVERAL = 2  # faces from which on a selfie is multi-face
FACES = ("One-face Selfie", "Multi-face Selfie")


@dataclass(frozen=True)
class Study:
    """What the figures rest on.

    Args:
        users: `tasks.study_users`, a row a user with enough occurrences: `user_id`, the measures, `other_inertia`,
            `other_singleness`, and `attribute_<i>` for the i-th of `attributes`.
        user_categories: `user_id`, `category`, `frequency`, `frequency_without_selfie`; of other users too.
        user_types: `user_id`, `type`; of other users too.
        categories: the lake's, without Selfie.
        attributes: in the order in which they are shown.
        type_names: type -> its name (`user_type_fits.name`), of the current fit.
        sides: task -> its two sides; where it has none, the figure says why.
    """

    users: DataFrame
    user_categories: DataFrame
    user_types: DataFrame
    categories: Sequence[str]
    attributes: Sequence[str]
    type_names: Mapping[int, str]
    sides: Mapping[str, Sides]


def numbers(study: Study) -> list[FigureRow]:
    """Rows of `figure_data` for figures 3 to 6 and 8 to 10. The functions below say what a figure's series are."""
    found = moments(study)
    rows = correlations(study)
    for figure, task in TWO_SIDES.items():
        rows += two_sides(figure, study, found.get(task, {}))
    rows += tendencies(study, {task: found.get(task, {}) for task in FIGURE_8})
    types = type_moments(study)
    return rows + attributes_by_type(study, types) + measures_by_type(study, types)


# -- figures 4, 5, 6 and 8: two groups of users ----------------------------------------------------------------------

_NO_OTHERS = "on one side nobody posts anything but selfies"

Groups = Mapping[str, Mapping[str, Moments]]
"""Group -> feature -> moments. A feature is a category, `@I`, `@S` or `@n`: no category's name begins with @."""


def moments(study: Study) -> dict[str, dict[str, dict[str, Moments]]]:
    """Task -> group -> feature -> moments of the users in it, by one aggregate over all tasks that are shown.

    The groups are the two sides, `positive` and `negative`; for figure 8 `positive` and `rest`, all other users of the
    study. A user who lacks a category has F = 0, one who posts nothing but selfies has no F. I and S are of the users
    who have one.
    """
    shown = {task: study.sides[task] for task in (*TWO_SIDES.values(), *FIGURE_8) if task in study.sides}
    if not shown:
        return {}
    groups = reduce(DataFrame.unionByName, [_groups(study.users, task, sides) for task, sides in shown.items()])
    rows = (
        groups.join(_features(study), on="user_id", how="inner")
        .groupBy("task", "group", "feature")
        .agg(*_moments("value"))
        .collect()
    )
    found: dict[str, dict[str, dict[str, Moments]]] = {task: {} for task in shown}
    for row in rows:
        found[row["task"]].setdefault(row["group"], {})[row["feature"]] = _read(row)
    for sides in found.values():
        for group, of in sides.items():
            n = of.get(_SIZE, Moments()).n
            sides[group] = of | {name: of.get(name, Moments()).with_zeros(n) for name in study.categories}
    return found


def _groups(users: DataFrame, task: str, sides: Sides) -> DataFrame:
    """`user_id`, `task`, `group`."""
    labelled = users.select("user_id").join(sides.frame.select("user_id", "label"), on="user_id", how="left")
    other = F.lit(_REST) if task in FIGURE_8 else F.when(F.col("label") == 0, _NEGATIVE)
    grouped = labelled.select(
        "user_id", F.lit(task).alias("task"), F.when(F.col("label") == 1, _POSITIVE).otherwise(other).alias("group")
    )
    return grouped.where(F.col("group").isNotNull())


def _features(study: Study) -> DataFrame:
    """`user_id`, `feature`, `value`: F by category, I, S, and the feature of all who have an F."""
    frequency = study.user_categories.where(F.col("category") != SELFIE).select(
        "user_id", F.col("category").alias("feature"), F.col("frequency_without_selfie").alias("value")
    )
    has_others = F.when(F.col("other_inertia").isNotNull(), F.lit(1.0))
    own = {_SIZE: has_others, **{_habit(name): F.col(column) for name, column in _HABIT_COLUMNS.items()}}
    entries = F.array(*[F.struct(F.lit(name).alias("feature"), value.alias("value")) for name, value in own.items()])
    habits = study.users.select("user_id", F.inline(entries))
    return frequency.unionByName(habits).where(F.col("value").isNotNull())


def _habit(name: str) -> str:
    return f"@{name}"


def _moments(column: str, name: str = "") -> list[Column]:
    """n, mean and variance of a column's values, NULL left out; Spark merges their centred squares."""
    return [
        F.count(column).alias(f"{name}n"),
        F.avg(column).alias(f"{name}mean"),
        F.var_pop(column).alias(f"{name}variance"),
    ]


def _read(row: Row, name: str = "") -> Moments:
    n = row[f"{name}n"]
    return Moments(n, row[f"{name}mean"], row[f"{name}variance"] * n) if n else Moments()


def two_sides(figure: str, study: Study, groups: Groups) -> list[FigureRow]:
    """Figures 4 to 6: the mean of each feature on the two sides.

    Series, with the category as `label` and its place as x, the one that the positive side posts most beyond the other
    (in Hedges' g) first, those without a g last: `positive`, `negative` (mean with its interval), `effect` (g with its
    interval), `p` (Welch) and `p holm`, corrected over all features of the figure. In figures 5 and 6 the features I
    and S have the same series behind `I ` and `S `. Sides that could not be told apart have the one series `@note`.
    """
    reason = _reason(study, TWO_SIDES[figure])
    one, other = groups.get(_POSITIVE), groups.get(_NEGATIVE)
    if reason or one is None or other is None:
        return [FigureRow(figure, NOTE, 0.0, None, label=reason or _NO_OTHERS)]
    habits = [_habit(name) for name in HABITS] if figure in _WITH_HABITS else []
    features = [*study.categories, *habits]
    pairs = {name: (one.get(name, Moments()), other.get(name, Moments())) for name in features}
    between = {name: effects.effect(*pair) for name, pair in pairs.items()}
    corrected = dict(zip(features, effects.holm([between[name].p for name in features]), strict=True))
    ordered = sorted(study.categories, key=lambda name: _strongest_first(between[name], name))
    rows: list[FigureRow] = []
    for prefix, names in (("", ordered), *((f"{habit[1:]} ", [habit]) for habit in habits)):
        for x, name in enumerate(names):
            label = name.removeprefix("@")
            for series, of in zip((_POSITIVE, _NEGATIVE), pairs[name], strict=True):
                rows.append(_mean(figure, prefix + series, x, of, label))
            rows += _test(figure, prefix, x, between[name], corrected[name], sum(of.n for of in pairs[name]), label)
    return rows


def _reason(study: Study, task: str) -> str | None:
    """Why a task has no two sides; None where it has."""
    return study.sides[task].reason if task in study.sides else "there are no two sides to compare"


def _strongest_first(between: Effect, name: str) -> tuple[bool, float, str]:
    return between.g is None, -(between.g or 0.0), name


def _mean(figure: str, series: str, x: float, of: Moments, label: str) -> FigureRow:
    low, high = effects.mean_interval(of)
    return FigureRow(figure, series, float(x), of.mean if of.n else None, low, high, of.n, label)


def _test(
    figure: str, prefix: str, x: float, between: Effect, corrected: float | None, n: int, label: str
) -> list[FigureRow]:
    return [
        FigureRow(figure, f"{prefix}effect", float(x), between.g, between.low, between.high, n, label),
        FigureRow(figure, f"{prefix}p", float(x), between.p, n=n, label=label),
        FigureRow(figure, f"{prefix}p holm", float(x), corrected, n=n, label=label),
    ]


def tendencies(study: Study, tasks: Mapping[str, Groups]) -> list[FigureRow]:
    """Figure 8: what the top quarters of the four tendencies post, beside all users of the study.

    Shown are the 24 categories in which the mean of a top quarter differs most from that of all users: largest
    absolute difference over the four first, then by name. From the top come those that the first two (group, outdoor)
    post more than the last two (holding something, face mask).

    Series, with the category as `label` and its place as x: `all users` (mean with its interval); for each task
    `<task>` (mean of its top quarter with its interval), `<task> effect`, `<task> p`, `<task> p holm`. A group cannot
    be tested against one that holds it, so these three compare the top quarter with all other users: the difference has
    the same sign and is 0 where the other is. Holm's correction is over all categories and tasks, since those shown are
    chosen by their difference. A task without a quarter has the one row `@note <task>`.
    """
    rows = [
        FigureRow("figure 8", f"{NOTE} {task}", 0.0, None, label=_why(study, task))
        for task, groups in tasks.items()
        if _reason(study, task) or not {_POSITIVE, _REST} <= set(groups)
    ]
    without = {row.series for row in rows}
    whole = {task: tasks[task] for task in tasks if f"{NOTE} {task}" not in without}
    if not whole:
        return rows
    first = next(iter(whole.values()))
    everybody = {name: first[_POSITIVE][name] + first[_REST][name] for name in study.categories}
    shown = _most_differing(study.categories, whole, everybody)
    pairs = [(task, name) for task in whole for name in study.categories]
    between = {
        (task, name): effects.effect(whole[task][_POSITIVE][name], whole[task][_REST][name]) for task, name in pairs
    }
    corrected = dict(zip(pairs, effects.holm([between[pair].p for pair in pairs]), strict=True))
    for x, name in enumerate(shown):
        rows.append(_mean("figure 8", ALL, x, everybody[name], name))
        for task in whole:
            top, n = whole[task][_POSITIVE][name], everybody[name].n
            rows.append(_mean("figure 8", task, x, top, name))
            rows += _test("figure 8", f"{task} ", x, between[task, name], corrected[task, name], n, name)
    return rows


def _why(study: Study, task: str) -> str:
    return f"{TENDENCIES[task]}: {_reason(study, task) or 'nobody is outside of the quarter'}"


def _most_differing(
    categories: Sequence[str], tasks: Mapping[str, Groups], everybody: Mapping[str, Moments]
) -> list[str]:
    apart = {
        name: {task: groups[_POSITIVE][name].mean - everybody[name].mean for task, groups in tasks.items()}
        for name in categories
    }
    largest = {name: max(map(abs, by_task.values())) for name, by_task in apart.items()}
    shown = sorted(categories, key=lambda name: (-largest[name], name))[:SHOWN]
    side = {task: 1 if task in FIGURE_8[:2] else -1 for task in tasks}
    leaning = {name: sum(side[task] * apart[name][task] for task in tasks) for name in shown}
    return sorted(shown, key=lambda name: (-leaning[name], name))


# -- figure 3: which categories go together --------------------------------------------------------------------------


def correlations(study: Study) -> list[FigureRow]:
    """Figure 3: Pearson's coefficient between the frequencies of two categories, Selfie included, over the study's
    users; who lacks a category has 0 of it.

    A series for each category, x the place of the other one, which is the `label`; the places are those of the leaves
    of average linkage on 1 - r, turned so that neighbours are as alike as can be (Bar-Joseph, 2001). A category without
    spread has no coefficient (y NULL) and stands last.
    """
    names = sorted({*study.categories, SELFIE})
    has = F.map_from_entries(F.collect_list(F.struct("category", "frequency")))
    vectors = (
        study.users.select("user_id")
        .join(study.user_categories.select("user_id", "category", "frequency"), on="user_id", how="inner")
        .groupBy("user_id")
        .agg(has.alias("has"))
        .select(
            array_to_vector(
                F.array(*[F.coalesce(F.try_element_at("has", F.lit(name)), F.lit(0.0)) for name in names])
            ).alias("v")
        )
    )
    n = study.users.count()
    if n < 2:
        return [FigureRow("figure 3", NOTE, 0.0, None, n=n, label="fewer than two users")]
    matrix = np.asarray(Correlation.corr(vectors, "v").collect()[0][0].toArray(), dtype=np.float64)
    return correlation_rows(names, matrix, n)


def correlation_rows(names: Sequence[str], matrix: NDArray[np.float64], n: int) -> list[FigureRow]:
    """Rows of figure 3 from the coefficients (categories, categories), NaN where a category has no spread."""
    matrix = matrix.copy()
    constant = np.isnan(matrix).sum(axis=0) >= max(1, len(names) - 1)
    matrix[constant, :] = matrix[:, constant] = np.nan
    order = [*_neighbours(matrix, np.flatnonzero(~constant)), *np.flatnonzero(constant)]
    return [
        FigureRow("figure 3", names[i], float(x), None if np.isnan(matrix[i, j]) else float(matrix[i, j]), n=n,
                  label=names[j])
        for i in order
        for x, j in enumerate(order)
    ]  # fmt: skip


def _neighbours(matrix: NDArray[np.float64], among: NDArray[np.intp]) -> list[int]:
    if len(among) < 3:
        return [int(i) for i in among]
    apart = np.clip(1 - matrix[np.ix_(among, among)], 0, 2)
    np.fill_diagonal(apart, 0)
    tree = hierarchy.linkage(distance.squareform(apart, checks=False), method="average", optimal_ordering=True)
    return [int(among[leaf]) for leaf in hierarchy.leaves_list(tree)]


# -- figures 9 and 10: the types of users ----------------------------------------------------------------------------


@dataclass(frozen=True)
class TypeMoments:
    """Type -> users of it in the study; (type, column of the study's users) -> moments of those who have a value."""

    users: Mapping[int, int]
    of: Mapping[tuple[int, str], Moments]


def type_moments(study: Study) -> TypeMoments:
    """Attributes and measures of the study's users by their type, by one aggregate; users without a type are left
    out."""
    columns = [*MEASURES, *(f"attribute_{i}" for i in range(len(study.attributes)))]
    typed = study.user_types.where(F.col("type").isNotNull()).select("user_id", "type")
    rows = (
        study.users.join(typed, on="user_id", how="inner")
        .groupBy("type")
        .agg(F.count("*").alias("users"), *[part for name in columns for part in _moments(name, f"{name} ")])
        .collect()
    )
    return TypeMoments(
        {row["type"]: row["users"] for row in sorted(rows, key=lambda row: row["type"])},
        {(row["type"], name): _read(row, f"{name} ") for row in rows for name in columns},
    )


def attributes_by_type(study: Study, types: TypeMoments) -> list[FigureRow]:
    """Figure 9: the mean of each attribute over a type's users, brought to 0..1 over the types that have any.

    Series: `@axis` (x the attribute's place, `label` its name); for each attribute, with the type's name as `label` and
    its number as x, `<attribute>` (the normalised value, n the type's users) and `@mean <attribute>` (the mean with its
    interval). An attribute that is equal in all types is 0 in each; one that no user has and a type without users have
    no rows. A row of `@note` says each of these.
    """
    rows = [FigureRow("figure 9", AXIS, float(i), None, label=name) for i, name in enumerate(study.attributes)]
    flat, unknown = [], []
    for i, attribute in enumerate(study.attributes):
        by_type = {number: types.of[number, f"attribute_{i}"] for number in types.users}
        means = {number: of.mean for number, of in by_type.items() if of.n}
        unknown += [] if means else [attribute]
        flat += [attribute] if means and _equal(means.values()) else []
        for number, value in _normalised(means).items():
            of = by_type[number]
            rows.append(FigureRow("figure 9", attribute, float(number), value, n=of.n, label=_name(study, number)))
            rows.append(_mean("figure 9", f"{MEAN} {attribute}", number, of, _name(study, number)))
    notes = [f"equal in all types, so 0: {', '.join(flat)}"] if flat else []
    notes += [f"no category of it in this lake: {', '.join(unknown)}"] if unknown else []
    empty = [name for number, name in sorted(study.type_names.items()) if number not in types.users]
    notes += [f"no user with enough occurrences is of it: {', '.join(empty)}"] if empty else []
    return rows + [FigureRow("figure 9", NOTE, float(i), None, label=text) for i, text in enumerate(notes)]


def _normalised(means: Mapping[int, float]) -> dict[int, float]:
    """Min-max to 0..1; all 0 where they are equal."""
    if not means:
        return {}
    low, high = min(means.values()), max(means.values())
    flat = _equal(means.values())
    return {key: 0.0 if flat else (value - low) / (high - low) for key, value in means.items()}


def _equal(means: Collection[float]) -> bool:
    """Whether means are equal but for the last digits, in which the means of equal values over more and fewer users
    differ."""
    return math.isclose(min(means), max(means), rel_tol=_SAME)


def measures_by_type(study: Study, types: TypeMoments) -> list[FigureRow]:
    """Figure 10: the mean of each measure over a type's users who have it.

    A series for each measure, x the type's number, `label` its name, n the users with a value; y NULL without any.
    """
    return [
        _mean("figure 10", measure, number, types.of[number, measure], _name(study, number))
        for measure in MEASURES
        for number in types.users
    ]


def _name(study: Study, number: int) -> str:
    return study.type_names.get(number, str(number))


# -- the ranking of attributes ---------------------------------------------------------------------------------------


def rankings(study: Study, limit: int, seed: int) -> list[EvaluationRow]:
    """Rows of `evaluations` for the ranking of attributes by measure (paper 1, 5.2.3): artefact `5.2.3 ranking`, task =
    measure, variant = attribute.

    `spearman` (split `users`) is the rank correlation over the study's users who have both, at most `limit` of them,
    drawn by a seeded hash. `rank` (split `types`) is the paper's own ordering, published beside it, read so: an
    attribute stands for the type in which its mean is highest (the lowest number on ties), and attributes are ordered
    by that type's mean of the measure, from high to low. That is how figure 10 gives the orders that the paper prints:
    Travel and Food, which share a type, are neighbours in each. Attributes of one type are ordered by their share of
    it: the higher mean first, then by their place in the list.
    """
    types = type_moments(study)
    columns = [*MEASURES, *(f"attribute_{i}" for i in range(len(study.attributes)))]
    drawn: Any = (
        study.users.select("user_id", *columns)
        .orderBy(F.xxhash64("user_id", F.lit(seed)), "user_id")
        .limit(limit)
        .toPandas()
    )
    rows: list[EvaluationRow] = []
    for measure in MEASURES:
        for i, attribute in enumerate(study.attributes):
            both = drawn[[measure, f"attribute_{i}"]].dropna()
            value, low, high = effects.rank_correlation(*(both[name].tolist() for name in both.columns))
            rows.append(
                EvaluationRow("5.2.3 ranking", measure, attribute, "users", "spearman", value, low, high, len(both))
            )
        order = ranked_by_types(study, types, measure)
        printed = published.RANKING.get(measure, ())
        rows += [
            EvaluationRow(
                "5.2.3 ranking", measure, attribute, "types", "rank", float(rank), n=sum(types.users.values()),
                published=float(printed.index(attribute) + 1) if attribute in printed else None,
            )
            for rank, attribute in enumerate(order, start=1)
        ]  # fmt: skip
    return rows


def ranked_by_types(study: Study, types: TypeMoments, measure: str) -> list[str]:
    """Attributes from high to low by the measure's mean in the type that each stands for; those that no user has, or
    whose type has no value of the measure, are left out."""
    keys: dict[str, tuple[float, float, int]] = {}
    for i, attribute in enumerate(study.attributes):
        means = {number: types.of[number, f"attribute_{i}"] for number in types.users}
        known = {number: of.mean for number, of in means.items() if of.n}
        if not known:
            continue
        highest = max(known.values())
        number = min(key for key, mean in known.items() if math.isclose(mean, highest, rel_tol=_SAME))
        of = types.of[number, measure]
        if of.n:
            keys[attribute] = (-of.mean, -known[number], i)
    return sorted(keys, key=lambda attribute: keys[attribute])


# -- tables 1 and 3: counts of pictures ------------------------------------------------------------------------------


def pictures(
    posts: DataFrame, post_images: DataFrame, image_categories: DataFrame, image_faces: DataFrame
) -> list[EvaluationRow]:
    """Rows of `evaluations` for tables 1 and 3: posted pictures, one posted twice counts twice.

    Args:
        posts: `post_id`, `relation`; only `posted` counts.
        post_images: `post_id`, `image_id`.
        image_categories: `image_id`, `category`, `sub_category`.
        image_faces: `image_id`, `faces`.

    Returns:
        Metric `pictures`, split `posted`. Artefact `table 1`: a task for each category and `all`, variant `category`;
        the selfies that have a kind stand there by kind, as in the paper, others as Selfie. Artefact `table 3`: variant
        `kind`, tasks the kinds and Selfie; variant `faces`, tasks `One-face Selfie` and `Multi-face Selfie`. A selfie
        with two or more faces is multi-face, every other one-face; one that no detector has seen is neither.
    """
    several = F.when(F.col("category") == SELFIE, F.col("faces") >= _SEVERAL)
    rows = (
        post_images.select("post_id", "image_id")
        .join(posts.where(F.col("relation") == "posted").select("post_id"), on="post_id", how="inner")
        .join(image_categories.select("image_id", "category", "sub_category"), on="image_id", how="inner")
        .join(image_faces.select("image_id", "faces"), on="image_id", how="left")
        .groupBy("category", "sub_category", several.alias("several"))
        .count()
        .collect()
    )
    by_category: dict[str, int] = {}
    by_kind: dict[str, int] = {}
    by_faces: dict[str, int] = {}
    for row in rows:
        shown = row["sub_category"] or row["category"]
        by_category[shown] = by_category.get(shown, 0) + row["count"]
        if row["category"] != SELFIE:
            continue
        for kind in (row["sub_category"], SELFIE):
            if kind:
                by_kind[kind] = by_kind.get(kind, 0) + row["count"]
        if row["several"] is not None:
            faces = FACES[int(row["several"])]
            by_faces[faces] = by_faces.get(faces, 0) + row["count"]
    counted = [
        *(("table 1", "category", name, count, published.TABLE_1.get(name)) for name, count in by_category.items()),
        ("table 1", "category", ALL_CATEGORIES, sum(by_category.values()), published.TABLE_1_TOTAL),
        *(("table 3", "kind", name, count, published.TABLE_3.get(name)) for name, count in by_kind.items()),
        *(("table 3", "faces", name, count, published.TABLE_3.get(name)) for name, count in by_faces.items()),
    ]
    return [
        EvaluationRow(
            artefact, name, variant, "posted", "pictures", float(count), n=count,
            published=None if printed is None else float(printed),
        )
        for artefact, variant, name, count, printed in counted
    ]  # fmt: skip
