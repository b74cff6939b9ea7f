"""The stage that measures how users post: user_categories, user_features, selfie_measures, user_attributes, user_types.

The types of users are fitted once (`user_type_fits`) and stay, so that months can be compared; who is of which is
measured again with everything else.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import reduce
from typing import Any

import numpy as np
from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from profilelake import freshness
from profilelake.behaviour import attributes, features, types
from profilelake.behaviour.features import SELFIE
from profilelake.clusters import names, store
from profilelake.clusters.refit import CATEGORIES, KINDS
from profilelake.config import Config
from profilelake.lake import Lake
from profilelake.ledger import Context, StageReport, skipped, stage

log = logging.getLogger("profilelake.behaviour")

NAME = "behaviour"
INPUTS = ("posts", "post_images", "image_clusters", "cluster_centroids", "image_faces")
OUTPUTS = (
    "user_categories",
    "user_features",
    "selfie_measures",
    "user_attributes",
    "user_type_fits",
    "user_types",
)


def check(config: Config) -> None:
    """Everything about the attributes that can be found wrong before Spark starts.

    Raises:
        ConfigError: see `attributes.load`.
    """
    attributes.load(config.behaviour.attributes)
    attributes.warn_of_unlisted(config.behaviour.attributes, names.load(config).categories)


@stage(NAME)
def run(context: Context) -> StageReport:
    """Measure every user who posted a categorised picture; others have no rows.

    Rows are users. All users are measured again whenever an input changed since the last time, since a renamed
    category concerns everybody; only rows that differ are written, and users who lost their last categorised picture
    lose their rows.
    """
    lake, config = context.lake, context.config
    last = _unchanged(lake, config)
    if last is not None:
        return StageReport(NAME, rows_in=last["rows_in"], rows_out=last["rows_out"])
    fits = _fits(lake)
    if CATEGORIES not in fits:
        if lake.is_empty("user_features"):
            return skipped(NAME, "no picture has a category yet")
        return _emptied(lake)
    present = _present(lake, fits[CATEGORIES])
    listed = attributes.load(config.behaviour.attributes)
    attributes.require(config.behaviour.attributes, {*names.load(config).categories, *present})
    attributes.log_absent(listed, present)
    counts = features.category_counts(occurrences(lake, present), present).persist(StorageLevel.DISK_ONLY)
    try:
        counts.count()  # what follows reads it beside each other
        with ThreadPoolExecutor() as lanes:
            of_types = lanes.submit(_write_types, context, counts, fits[CATEGORIES], listed, present)
            measured = measures(lake, counts, fits, listed, present)
            written = [lanes.submit(lake.write, *table) for table in measured.items()]
            changed = sum(each.result().changed for each in written)
            typed, warnings = of_types.result()
    finally:
        counts.unpersist()
    users = lake.read("user_features").count()
    return StageReport(
        NAME, rows_in=users, rows_out=users, counters={"rows_changed": changed + typed}, warnings=warnings
    )


def _unchanged(lake: Lake, config: Config) -> Row | None:
    """The ledger's last row where there is nothing to do. What `behaviour.types` and the like decide is looked at only
    when types are fitted anew, but the list of attributes whenever it changes."""
    rules = config.behaviour
    settings = {"attributes": attributes.load(rules.attributes), "types": rules.types}
    last = freshness.unchanged(lake, NAME, (*INPUTS, *OUTPUTS), settings=settings)
    return None if rules.refit_types else last


def _fits(lake: Lake) -> dict[str, str]:
    """By purpose the fit that pictures have their categories and kinds of selfie from; none where none has one."""
    held = lake.read("image_clusters").select("purpose", "fit_id")
    # all pictures of a purpose are of one fit
    first = [held.where(F.col("purpose") == purpose).limit(1) for purpose in (CATEGORIES, KINDS)]
    return {row["purpose"]: row["fit_id"] for row in reduce(DataFrame.union, first).collect()}


def _present(lake: Lake, fit_id: str) -> list[str]:
    """The lake's categories, by name: as many as clusters at most."""
    rows = store.clusters(lake, CATEGORIES, fit_id).select("category").distinct().orderBy("category")
    return [row["category"] for row in rows.collect()]


def occurrences(lake: Lake, present: Sequence[str]) -> DataFrame:
    """`features.occurrences` of a lake. present: its categories by name."""
    return features.occurrences(lake.read("posts"), lake.read("post_images"), _pictures(lake, present))


def _pictures(lake: Lake, present: Sequence[str]) -> DataFrame:
    """Every categorised picture: the number of its category among those present, and what kinds of selfie it is. Faces
    and kinds are looked up for selfies alone."""
    number = (F.array_position(F.lit(list(present)), F.col("category")) - 1).cast("int")
    of = _called(lake, CATEGORIES, category=number)
    is_selfie = F.col("category") == (present.index(SELFIE) if SELFIE in present else -1)
    selfies = (
        of.where(is_selfie)
        .join(_called(lake, KINDS, sub_category=F.col("category")), on="image_id", how="left")
        .join(lake.read("image_faces").select("image_id", "faces"), on="image_id", how="left")
        .select("image_id", "category", features.kinds().alias("kinds"))
    )
    return of.where(~is_selfie).withColumn("kinds", F.lit(0)).unionByName(selfies)


def _called(lake: Lake, purpose: str, **what: SparkColumn) -> DataFrame:
    """By picture what is made of the name of its cluster of a purpose."""
    cluster = ["purpose", "fit_id", "cluster_id"]
    made = [column.alias(name) for name, column in what.items()]
    clusters = lake.read("cluster_centroids").where(F.col("purpose") == purpose).select(*cluster, *made)
    return store.assigned(lake, purpose).join(F.broadcast(clusters), on=cluster, how="inner").select("image_id", *what)


def measures(
    lake: Lake,
    counts: DataFrame,
    fits: Mapping[str, str],
    listed: Mapping[str, Sequence[str]],
    present: Sequence[str],
) -> dict[str, DataFrame]:
    """Rows by table, of everything but types."""
    fit_id, faces = fits[CATEGORIES], not lake.is_empty("image_faces")
    return {
        "user_categories": features.user_categories(counts, fit_id),
        "user_features": features.user_features(counts, fit_id),
        "selfie_measures": features.selfie_measures(counts, fit_id, fits.get(KINDS), faces=faces),
        "user_attributes": attributes.user_attributes(counts, listed, present, fit_id),
    }


def _emptied(lake: Lake) -> StageReport:
    """No picture has a category any more: nobody has rows. Types that were found stay on record, none is current."""
    changed = sum(lake.clear(table).changed for table in OUTPUTS if table != "user_type_fits")
    _keep_fit(lake, _current(lake), [])
    return StageReport(NAME, counters={"rows_changed": changed})


# --- types ------------------------------------------------------------------------------------------------------------


def _write_types(
    context: Context, counts: DataFrame, fit_id: str, listed: Mapping[str, Sequence[str]], present: Sequence[str]
) -> tuple[int, list[str]]:
    """Write the types and who is of which; how many rows of `user_types` it changed, and warnings."""
    lake, rules = context.lake, context.config.behaviour
    categories = [category for category in present if category != SELFIE]
    current = _current(lake)
    if len(categories) < rules.types:
        _keep_fit(lake, current, [])
        why = f"{rules.types} types are asked for, but there are only {len(categories)} categories beside selfies"
        return lake.write("user_types", types.untyped(counts)).changed, [f"no types of users: {why}"]
    held, warnings = current, []
    rows = types.counted(counts, categories).persist(StorageLevel.DISK_ONLY)
    try:
        if rules.refit_types or not _still_fits(current, rules.types, categories, fit_id):
            made = types.fit(types.sample(rows, rules), categories, fit_id, rules)
            held = _rows(made, categories, fit_id)
            warnings = [f"no types of users: {made.reason}"] if made.reason else [made.note] if made.note else []
        loadings = np.array([row["loadings"] for row in held])
        called = types.names(loadings, categories, listed) if held else []
        _keep_fit(lake, current, [{**row, "name": name} for row, name in zip(held, called, strict=True)])
        typed = types.user_types(rows, loadings, held[0]["fit_id"]) if held else types.untyped(counts)
        return lake.write("user_types", typed).changed, warnings
    finally:
        rows.unpersist()


def _current(lake: Lake) -> list[dict[str, Any]]:
    """The rows of the types in use, as many as types."""
    rows = lake.read("user_type_fits").where("current").drop("run_id").orderBy("type").collect()
    return [row.asDict() for row in rows]


def _still_fits(held: Sequence[Mapping[str, Any]], wanted: int, categories: Sequence[str], fit_id: str) -> bool:
    """Whether the types in use are as many as wanted, and of these categories."""
    of_these = [row["category_fit_id"] == fit_id and row["categories"] == list(categories) for row in held]
    return len(held) == wanted and all(of_these)


def _rows(made: types.Fit, categories: Sequence[str], fit_id: str) -> list[dict[str, Any]]:
    """A fit as rows of `user_type_fits`, without names; none where there are no types."""
    fitted_at = datetime.now(UTC)
    return [
        {
            "fit_id": made.fit_id,
            "type": number,
            "categories": list(categories),
            "loadings": loadings.tolist(),
            "users": users,
            "sample_users": made.sample_users,
            "error": made.error,
            "current": True,
            "category_fit_id": fit_id,
            "fitted_at": fitted_at,
        }
        for number, (loadings, users) in enumerate(zip(made.loadings, made.users, strict=True), 1)
    ]


def _keep_fit(lake: Lake, current: Sequence[Mapping[str, Any]], wanted: Sequence[Mapping[str, Any]]) -> None:
    """Put the wanted types in the place of the current ones, in one commit; none wanted: none are current then."""
    if wanted == current:
        return
    others = lake.read("user_type_fits").drop("run_id").where("current")
    if wanted:
        others = others.where(F.col("fit_id") != wanted[0]["fit_id"])
    others = others.withColumn("current", F.lit(False))
    lake.write("user_type_fits", lake.frame("user_type_fits", wanted).unionByName(others))


def pending(lake: Lake, config: Config) -> dict[str, int]:
    """Users that a run would measure: all of them, or none where nothing changed."""
    if not all(lake.exists(table) for table in INPUTS) or _unchanged(lake, config) is not None:
        return {"users": 0}
    fits = _fits(lake)
    if CATEGORIES not in fits:
        return {"users": 0}
    return {"users": occurrences(lake, _present(lake, fits[CATEGORIES])).select("user_id").distinct().count()}
