"""Types of users: non-negative matrix factorisation of feature F (paper 1, section 5.2.3).

F (users x categories) is about W H: the rows of H are types, those of W say how much a user is of each. H comes from a
bounded sample of users, W then of everybody, on executors; so the driver never holds more than the sample.
"""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning

from profilelake.config import Behaviour
from profilelake.reasons import NO_TYPE, NO_TYPES, ONLY_SELFIES, missing
from udfs import nonnegative

# Part of every fit's id: another way to make types makes other types of the same users.
_ENGINE = "nmf-1"

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """Types that were found, the one of most users of the sample first.

    loadings: H, (types, categories), rows sum to 1 or are all 0; users: of the sample, by type; sample_users: all of
    them, those of no type included; error: |F - W H| / |F| over the sample (Frobenius); note: what a person should
    know about it. reason: why there are no types; then all else is empty.
    """

    fit_id: str
    loadings: Doubles
    users: tuple[int, ...]
    sample_users: int
    error: float
    note: str | None = None
    reason: str | None = None


def counted(counts: DataFrame, categories: Sequence[str]) -> DataFrame:
    """Every user's occurrences as one row, of which feature F are the shares.

    Args:
        counts: as `features.category_counts` returns them.
        categories: at least one.

    Returns:
        `user_id`, `occurrences` array<bigint>: element i is of categories[i].
    """
    wide = counts.groupBy("user_id").pivot("category", list(categories)).agg(F.sum("occurrences"))
    # categories may have names, such as `a.b`, that are no names of columns
    numbered = wide.toDF("user_id", *[f"c{i}" for i in range(len(categories))])
    each = [F.coalesce(f"c{i}", F.lit(0).cast("bigint")) for i in range(len(categories))]
    return numbered.select("user_id", F.array(*each).alias("occurrences"))


@dataclass(frozen=True)
class Sample:
    """Users that types are found on: their ids, and their occurrences (users, categories)."""

    user_ids: tuple[str, ...]
    occurrences: Doubles


def sample(rows: DataFrame, rules: Behaviour) -> Sample:
    """Of the users who post something else than selfies those whose seeded hash is smallest, `rules.type_sample` of
    them or all: the same ones, in the same order, however the table lies.

    Args:
        rows: as `counted` returns them.
        rules: type_sample, seed.
    """
    posting = rows.where(F.exists("occurrences", lambda n: n > 0))
    drawn = posting.withColumn("drawn", F.xxhash64(F.lit(rules.seed), "user_id")).orderBy("drawn", "user_id")
    held: Any = drawn.limit(rules.type_sample).select("user_id", "occurrences").toPandas()
    occurrences = np.array(held["occurrences"].tolist(), np.float64)
    return Sample(tuple(held["user_id"]), occurrences.reshape(len(held), -1))


def fit(of: Sample, categories: Sequence[str], category_fit_id: str, rules: Behaviour) -> Fit:
    """Find the types of a sample of users (paper 1, section 5.2.3).

    Rows of H are normalised to sum 1 before weights are compared: NMF leaves their scale open. Users of the sample are
    counted by the weights that everybody gets (`user_types`), and the types numbered by these counts.

    Args:
        of: the users.
        categories: of their occurrences: the lake's, but Selfie; at least as many as types.
        category_fit_id: the fit of the categories.
        rules: types, type_iterations, seed.

    Returns:
        The fit; the same users, occurrences and rules have the same fit_id in any run.
    """
    f = nonnegative.frequencies(of.occurrences)
    reason = _too_few(f, rules.types)
    if reason is not None:
        return Fit("", np.zeros((0, len(categories))), (), len(f), math.nan, reason=reason)
    made, note = _components(f, rules)
    weights = nonnegative.weights(f, made)
    order = _order(made, _users(weights))
    loadings, weights = made[order], weights[:, order]
    return Fit(
        fit_id=_fit_id(of, categories, category_fit_id, rules),
        loadings=loadings,
        users=_users(weights),
        sample_users=len(f),
        error=float(np.linalg.norm(f - weights @ loadings) / np.linalg.norm(f)),
        note=note,
    )


def _too_few(f: Doubles, types: int) -> str | None:
    distinct = len(np.unique(f, axis=0)) if f.size else 0
    if distinct < types:
        return f"{types} types are asked for, but only {distinct} users can be told apart by what they post"
    return None


def _components(f: Doubles, rules: Behaviour) -> tuple[Doubles, str | None]:
    """H with rows that sum to 1 (or are all 0), and what to say about it."""
    model = NMF(rules.types, init="nndsvda", random_state=rules.seed, max_iter=rules.type_iterations, tol=1e-5)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(f)
    stopped = any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
    note = f"the types were still changing after {rules.type_iterations} iterations (behaviour.type_iterations)"
    h = model.components_
    totals = h.sum(axis=1, keepdims=True)
    return np.divide(h, totals, out=np.zeros(h.shape), where=totals > 0), note if stopped else None


def _users(weights: Doubles) -> tuple[int, ...]:
    """Users by type."""
    of = np.bincount(nonnegative.largest(weights), minlength=weights.shape[1] + 1)
    return tuple(int(n) for n in of[1:])


def _order(loadings: Doubles, users: Sequence[int]) -> list[int]:
    return sorted(range(len(users)), key=lambda i: (-users[i], (-loadings[i]).tolist()))


def _fit_id(of: Sample, categories: Sequence[str], category_fit_id: str, rules: Behaviour) -> str:
    rests_on = {
        "engine": _ENGINE,
        "category_fit_id": category_fit_id,
        "categories": list(categories),
        "users": hashlib.sha256("\n".join(of.user_ids).encode("utf-8")).hexdigest(),
        "occurrences": hashlib.sha256(of.occurrences.tobytes()).hexdigest(),
        "types": rules.types,
        "iterations": rules.type_iterations,
        "seed": rules.seed,
    }
    text = json.dumps(rests_on, sort_keys=True)
    return "types-" + hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def names(loadings: Doubles, categories: Sequence[str], attributes: Mapping[str, Sequence[str]]) -> list[str]:
    """What each type is called: its number, and the attribute in which it stands out most.

    An attribute's value for a type is the sum of the type's loadings of its categories. A type stands out in those of
    which its value is above all other types' (the first type on ties), and is called after the one that is largest in
    it (the first attribute on ties): so no two are called alike. One that stands out in none is its number alone.

    Args:
        loadings: (types, categories).
        categories: of the loadings.
        attributes: as `attributes.load` returns them.
    """
    of = np.array([[category in held for category in categories] for held in attributes.values()], np.float64)
    values = loadings @ of.T
    ahead = (np.arange(len(values))[:, None] == values.argmax(axis=0)) & (values.max(axis=0) > values.min(axis=0))
    called = list(attributes)
    return [
        f"{number}: {called[int(np.where(leads, row, -1).argmax())]}" if leads.any() else str(number)
        for number, (row, leads) in enumerate(zip(values, ahead, strict=True), 1)
    ]


def user_types(rows: DataFrame, loadings: Doubles, fit_id: str) -> DataFrame:
    """Rows of `user_types`: every user's weights by non-negative least squares on executors, and the type of the
    largest, the lowest number on ties.

    Weights are NULL for a user who posts nothing but selfies; the type is, too, where all weights are 0, as for one who
    posts only what no type does.

    Args:
        rows: as `counted` returns them.
        loadings: H, (types, categories), rows sum to 1 or are all 0.
        fit_id: the fit of the types.
    """
    held = rows.sparkSession.sparkContext.broadcast(loadings)
    typed = rows.mapInArrow(nonnegative.typer(held), nonnegative.TYPED_DDL).withColumn("fit_id", F.lit(fit_id))
    no_type = F.when(F.col("weights").isNull(), F.lit(ONLY_SELFIES)).otherwise(F.lit(NO_TYPE))
    return typed.withColumn("missing", missing({"weights": F.lit(ONLY_SELFIES), "type": no_type}))


def untyped(counts: DataFrame) -> DataFrame:
    """Rows of `user_types` where there are no types.

    Args:
        counts: as `features.category_counts` returns them.
    """
    absent = {"weights": "array<double>", "type": "int", "fit_id": "string"}
    users = counts.select("user_id").distinct()
    return users.withColumns({name: F.lit(None).cast(type_) for name, type_ in absent.items()}).withColumn(
        "missing", missing(dict.fromkeys(absent, F.lit(NO_TYPES)))
    )
