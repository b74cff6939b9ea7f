"""The stage that measures how users post: user_categories, user_features, selfie_measures."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.storagelevel import StorageLevel

from profilelake import freshness
from profilelake.behaviour import features
from profilelake.config import Config
from profilelake.lake import Lake
from profilelake.ledger import Context, StageReport, skipped, stage

NAME = "behaviour"
INPUTS = ("posts", "post_images", "image_clusters", "cluster_centroids")
OUTPUTS = ("user_categories", "user_features", "selfie_measures")


@stage(NAME)
def run(context: Context) -> StageReport:
    """Measure every user who posted a categorised picture; others have no rows.

    Rows are users. All users are measured again whenever an input changed since the last time, since a renamed
    category concerns everybody; only rows that differ are written, and users who lost their last categorised picture
    lose their rows.
    """
    lake = context.lake
    last = freshness.unchanged(lake, NAME, (*INPUTS, *OUTPUTS))
    if last is not None:
        return StageReport(NAME, rows_in=last["rows_in"], rows_out=last["rows_out"])
    if _categories(lake).isEmpty() and lake.read("user_features").isEmpty():
        return skipped(NAME, "no picture has a category yet")
    counts = _counts(lake).persist(StorageLevel.DISK_ONLY)
    try:
        users = counts.select("user_id").distinct().count()
        written = {
            "user_categories": lake.write("user_categories", features.user_categories(counts)),
            "user_features": lake.write("user_features", features.user_features(counts)),
            "selfie_measures": lake.write("selfie_measures", features.selfie_measures(counts)),
        }
    finally:
        counts.unpersist()
    return StageReport(
        NAME,
        rows_in=users,
        rows_out=lake.read("user_features").count(),
        counters={"rows_changed": sum(result.changed for result in written.values())},
    )


def _categories(lake: Lake) -> DataFrame:
    return lake.spark.table(lake.name("v_image_categories"))


def _counts(lake: Lake) -> DataFrame:
    posted = features.occurrences(lake.read("posts"), lake.read("post_images"), _categories(lake))
    return features.category_counts(posted)


def pending(lake: Lake, config: Config) -> dict[str, int]:
    """Users that a run would measure: all of them, or none where no input changed."""
    tables = (*INPUTS, *OUTPUTS)
    if not all(lake.exists(table) for table in INPUTS) or freshness.unchanged(lake, NAME, tables) is not None:
        return {"users": 0}
    return {"users": _counts(lake).select("user_id").distinct().count()}
