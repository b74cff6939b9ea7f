"""The tasks R1 to R7 of paper 1: who is ranked by what, who is on which side, and from which features.

DataFrame -> DataFrame; what comes to the driver is the users at the cuts, and in `matrix` a bounded sample.

Orders are total. Quarters: the measure descending, then `user_id` ascending. Drops: occurrences ascending, then
`user_id` ascending, the first ones go. Strings are compared by their UTF-8 bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from profilelake import config
from profilelake.behaviour import published
from profilelake.behaviour.features import KIND_OCCURRENCES, SELFIE, TENDENCIES
from profilelake.errors import ProfilelakeError
from profilelake.training.crossval import Plan

FREQUENCY, INERTIA, SINGLENESS, ALL_MEASURES = "F", "I", "S", "measures"

MEASURES = ("selfie_frequency", "selfie_inertia", "selfie_singleness", *TENDENCIES)
COUNTS = ("selfie_occurrences", *KIND_OCCURRENCES)
_FUSIONS = ("F", "I", "S", "F+I", "F+S", "S+I", "F+S+I")
_KINDS = {
    "R4": ("group_tendency", "multi_face_occurrences", "one_face_occurrences"),
    "R5": ("outdoor_tendency", "outdoor_occurrences", "indoor_ordinary_occurrences"),
    "R6_holding_something": (
        "holding_something_tendency",
        "holding_something_occurrences",
        "indoor_ordinary_occurrences",
    ),
    "R6_face_mask": ("face_mask_tendency", "face_mask_occurrences", "indoor_ordinary_occurrences"),
}


@dataclass(frozen=True)
class Task:
    """One classification of two quarters of the users.

    Attributes:
        name: R1, R2, R3, R4, R5, R6_holding_something, R6_face_mask, R7_<attribute as the lake spells it>.
        measure: the column of `study_users` that users are ranked by.
        feature_sets: F, I, S and their sums joined by "+"; R7: `measures`.
        drop_by: columns of `study_users` whose sum (NULL as 0) says who is dropped first, the lowest; () drops nobody.
        drop_part: the key of `config.selfie` that says one user in how many is dropped; None drops nobody.
        artefact: where the paper prints the accuracies.
        published: feature set -> the paper's accuracy as a share; absent where it prints none.
    """

    name: str
    measure: str
    feature_sets: tuple[str, ...]
    drop_by: tuple[str, ...]
    drop_part: Literal["few_selfies", "few_kinds"] | None
    artefact: str
    published: Mapping[str, float]


@dataclass(frozen=True)
class Sides:
    """The two quarters of a task.

    Attributes:
        frame: `user_id`, `value` double (the measure), `label` int: 1 positive, 0 negative, NULL between the quarters
            (for everybody, where the quarters cannot be told apart); users without the measure and those dropped are
            absent.
        n: users ranked.
        each: users on either side.
        reason: why there is no figure; None where there is one.
        upper, lower: the measure of the last positive and of the first negative user; None where a side is empty.
    """

    frame: DataFrame
    n: int
    each: int
    reason: str | None
    upper: float | None
    lower: float | None


@dataclass(frozen=True, eq=False)
class Matrix:
    """Labelled users as arrays, by `user_id`.

    Attributes:
        columns: (d,) the categories' names for F, then `other_inertia`, `other_singleness`, or the measures' names, in
            the order in which the feature set names them.
        users: (n,).
        x: (n, d) float64, NaN where missing.
        y: (n,) int8, 1 positive, 0 negative.
        notes: what a reader should know, such as that it is a sample.
    """

    columns: tuple[str, ...]
    users: npt.NDArray[np.str_]
    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.int8]
    notes: tuple[str, ...] = ()


def tasks(attributes: Sequence[str]) -> tuple[Task, ...]:
    """All tasks, in the paper's order; R7 once for each attribute, the i-th ranked by the column `attribute_<i>`."""
    table_2 = {
        task: {features: value / 100 for (of, features), value in published.TABLE_2.items() if of == task}
        for task in ("R1", "R2", "R3")
    }
    few = ("selfie_occurrences",)
    first = (
        Task("R1", "selfie_frequency", (FREQUENCY,), (), None, "table 2", MappingProxyType(table_2["R1"])),
        Task("R2", "selfie_inertia", _FUSIONS, few, "few_selfies", "table 2", MappingProxyType(table_2["R2"])),
        Task("R3", "selfie_singleness", _FUSIONS, few, "few_selfies", "table 2", MappingProxyType(table_2["R3"])),
    )
    kinds = (
        Task(
            name, measure, (FREQUENCY,), pair, "few_kinds", "table 4", _printed(FREQUENCY, published.TABLE_4.get(name))
        )
        for name, (measure, *counts) in _KINDS.items()
        for pair in [tuple(counts)]
    )
    of_attributes = (
        Task(
            name=f"R7_{attribute}",
            measure=f"attribute_{i}",
            feature_sets=(ALL_MEASURES,),
            drop_by=(),
            drop_part=None,
            artefact="table 6",
            published=_printed(ALL_MEASURES, published.TABLE_6.get(attribute)),
        )
        for i, attribute in enumerate(attributes)
    )
    return (*first, *kinds, *of_attributes)


def _printed(features: str, per_cent: float | None) -> Mapping[str, float]:
    return MappingProxyType({} if per_cent is None else {features: per_cent / 100})


def study_users(
    user_features: DataFrame,
    selfie_measures: DataFrame,
    user_attributes: DataFrame,
    attributes: Sequence[str],
    min_occurrences: int,
) -> DataFrame:
    """What tasks rank and drop by: one row a user with at least `min_occurrences` occurrences over all categories.

    Returns:
        `user_id`, `occurrences`, `other_occurrences`, `other_inertia`, `other_singleness`, the seven measures, the
        counts that they rest on, `attribute_<i>` double for the i-th (from 0) of `attributes`, NULL where the user has
        none.
    """
    enough = user_features.where(F.col("occurrences") >= min_occurrences).select(
        "user_id", "occurrences", "other_occurrences", "other_inertia", "other_singleness"
    )
    users = enough.join(selfie_measures.select("user_id", *MEASURES, *COUNTS), on="user_id", how="inner")
    if not attributes:
        return users
    wide = user_attributes.groupBy("user_id").agg(
        *(
            F.max(F.when(F.col("attribute") == attribute, F.col("value"))).alias(f"attribute_{i}")
            for i, attribute in enumerate(attributes)
        )
    )
    return users.join(wide, on="user_id", how="left")


def sides(users: DataFrame, task: Task, rules: config.Selfie) -> Sides:
    """Who is on which side of a task.

    Users whose measure is NULL leave first. Of the N others floor(N / part) are dropped where the task says so; of the
    N users left then, floor(N / `rules.quarter`) are on each side.

    Args:
        users: `study_users`; read several times, so persist it.
        task: the task.
        rules: the configuration's section.
    """
    ranked = users.where(F.col(task.measure).isNotNull()).select(
        "user_id", F.col(task.measure).cast("double").alias("value"), _evidence(task).alias("evidence")
    )
    if task.drop_part is not None:
        part = getattr(rules, task.drop_part)
        _, (dropped,) = _at_ranks(ranked, F.asc("evidence"), lambda n: [n // part])
        if dropped is not None:
            ranked = ranked.where(~_first_up_to("evidence", dropped, descending=False))
    n, (last, first) = _at_ranks(ranked, F.desc("value"), lambda n: [n // rules.quarter, n + 1 - n // rules.quarter])
    each = n // rules.quarter
    label, reason = F.lit(None).cast("int"), None
    if last is not None and first is not None:
        if last["value"] == first["value"]:
            reason = f"the last positive and the first negative user both have {last['value']:g}: no sides"
        else:
            positive = _first_up_to("value", last, descending=True)
            between = _first_up_to("value", first, descending=True) & (F.col("user_id") != first["user_id"])
            label = F.when(positive, 1).when(~between, 0)
    if 2 * each < rules.min_users:
        reason = f"{2 * each} labelled users of {n} that have what {task.name} ranks; a figure needs {rules.min_users}"
    return Sides(
        frame=ranked.select("user_id", "value", label.alias("label")),
        n=n,
        each=each,
        reason=reason,
        upper=None if last is None else last["value"],
        lower=None if first is None else first["value"],
    )


def _evidence(task: Task) -> Column:
    total: Column = F.lit(0).cast("bigint")
    for name in task.drop_by:
        total = total + F.coalesce(F.col(name), F.lit(0))
    return total


def _first_up_to(by: str, cut: Row, *, descending: bool) -> Column:
    """Whether a row is in an order of `by`, then `user_id` ascending, no further than the cut."""
    before: Column = F.col(by) > cut[by] if descending else F.col(by) < cut[by]
    tied: Column = (F.col(by) == cut[by]) & (F.col("user_id") <= cut["user_id"])
    return before | tied


def _at_ranks(frame: DataFrame, by: Column, wanted: Callable[[int], Sequence[int]]) -> tuple[int, list[Row | None]]:
    """How many rows there are, and those at some ranks, from 1, of an order by `by`, then `user_id` ascending; None
    where a rank is none. `wanted` tells the ranks from the number of rows.

    Executors sort ranges of the order, so no window holds all rows; only the rows asked for come to the driver.
    """
    # an id is the number of its range, in order, in the upper bits, and the row's place in the range in the lower 33
    placed = frame.orderBy(by, F.asc("user_id")).withColumn("place", F.monotonically_increasing_id())
    placed = placed.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        counted = placed.groupBy(F.shiftright("place", 33).alias("number")).count().orderBy("number").collect()
        ranges = [(row["number"], row["count"]) for row in counted]
        n = sum(rows for _, rows in ranges)
        places = [_place(ranges, rank) for rank in wanted(n)]
        found = placed.where(F.col("place").isin([place for place in places if place is not None])).collect()
    finally:
        placed.unpersist()
    by_place = {row["place"]: row for row in found}
    return n, [None if place is None else by_place[place] for place in places]


def _place(ranges: Sequence[tuple[int, int]], rank: int) -> int | None:
    """The id of the row at a rank, from 1, given the ranges' numbers and rows."""
    left = rank - 1
    for number, rows in ranges:
        if 0 <= left < rows:
            return (number << 33) + left
        left -= rows
    return None


def columns(feature_set: str, categories: Sequence[str]) -> tuple[str, ...]:
    """Names of a feature set's columns: the categories but Selfie by name, `other_inertia`, `other_singleness`, the
    measures, in the order in which the set names them.

    Args:
        feature_set: F, I, S, joined by "+", or `measures`.
        categories: the categories of the lake, in any order.

    Raises:
        ProfilelakeError: no such features.
    """
    of = {
        FREQUENCY: tuple(sorted(set(categories) - {SELFIE})),
        INERTIA: ("other_inertia",),
        SINGLENESS: ("other_singleness",),
        ALL_MEASURES: MEASURES,
    }
    unknown = [name for name in feature_set.split("+") if name not in of]
    if unknown:
        raise ProfilelakeError(f"there are no features {', '.join(unknown)}; there are {', '.join(of)}")
    return tuple(column for name in feature_set.split("+") for column in of[name])


def plan_of(rules: config.Selfie) -> Plan:
    """How figures of tasks are made."""
    return Plan(
        folds=rules.folds,
        min_rows=rules.min_users,
        c=rules.svm_c,
        gamma=rules.svm_gamma,
        search=rules.search,
        shuffles=rules.shuffles,
        shuffle_rows=rules.shuffle_users,
        exceedances=rules.exceedances,
        seed=rules.seed,
    )


def feature_frame(
    users: DataFrame, user_categories: DataFrame, feature_set: str, categories: Sequence[str]
) -> DataFrame:
    """The features of all `users`.

    F (paper 1, 4.2) is `frequency_without_selfie`: 0 for a category that the user never posts, missing in all
    categories for a user who posts nothing but selfies, whose frequencies are no numbers.

    Args:
        users: `study_users`.
        user_categories: `user_id`, `category`, `frequency_without_selfie`.
        feature_set, categories: as for `columns`.

    Returns:
        `user_id`, `features` array<double> in the order of `columns`, NULL elements where missing.
    """
    frequencies = set(categories) - {SELFIE}
    elements: list[Column] = []
    for name in columns(feature_set, categories):
        if name in frequencies:
            posted = F.coalesce(F.try_element_at("frequencies", F.lit(name)), F.lit(0.0))
            elements.append(F.when(F.col("frequencies").isNotNull(), posted))
        else:
            elements.append(F.col(name))
    if FREQUENCY in feature_set.split("+"):
        of_user = (
            user_categories.where((F.col("category") != SELFIE) & F.col("frequency_without_selfie").isNotNull())
            .groupBy("user_id")
            .agg(
                F.map_from_entries(F.collect_list(F.struct("category", "frequency_without_selfie"))).alias(
                    "frequencies"
                )
            )
        )
        users = users.join(of_user, on="user_id", how="left")
    return users.select("user_id", F.array(*elements).alias("features"))


def matrix(
    users: DataFrame,
    user_categories: DataFrame,
    sides: Sides,
    task: Task,
    feature_set: str,
    categories: Sequence[str],
    limit: int,
    seed: int,
) -> Matrix:
    """The labelled users of a task, on the driver: all, or a seeded sample of `limit`, half of it from each side.

    Who is in the sample depends on a hash of `user_id` and the seed, not on the feature set.

    Args:
        users: `study_users`.
        user_categories: as for `feature_frame`.
        sides: the task's.
        task: the task.
        feature_set, categories: as for `columns`.
        limit: rows at most.
        seed: of the sample.
    """
    labelled = sides.frame.where(F.col("label").isNotNull()).select("user_id", "label")
    notes: tuple[str, ...] = ()
    if 2 * sides.each > limit:
        drawn = (F.xxhash64("user_id", F.lit(seed)), F.asc("user_id"))
        halves = [labelled.where(F.col("label") == label).orderBy(*drawn).limit(limit // 2) for label in (1, 0)]
        labelled = halves[0].unionByName(halves[1])
        notes = (f"{task.name}: a sample of {limit // 2} of {sides.each} users from each side",)
    names = columns(feature_set, categories)
    # the labelled users are at most `limit`: they go to the categories, not the categories to them
    chosen = F.broadcast(labelled)
    theirs = user_categories.join(chosen.select("user_id"), on="user_id", how="left_semi")
    features = feature_frame(users.join(chosen, on="user_id", how="left_semi"), theirs, feature_set, categories)
    whole = F.transform("features", lambda value: F.coalesce(value, F.lit(float("nan"))))
    wide = features.join(chosen, on="user_id", how="inner").select("user_id", "label", whole.alias("x"))
    rows: Any = wide.toPandas()
    rows = rows.sort_values("user_id", ignore_index=True)
    return Matrix(
        columns=names,
        users=rows["user_id"].to_numpy(np.str_),
        x=np.array(rows["x"].tolist(), np.float64).reshape(len(rows), len(names)),
        y=rows["label"].to_numpy(np.int8),
        notes=notes,
    )
