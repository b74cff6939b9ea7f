"""Input tables of a small lake, laid down by hand: a base record for each table, and what a test changes of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema

from profilelake.lake import Lake
from profilelake.tables import TABLES

WHEN = datetime(2024, 1, 1, tzinfo=UTC)
FIT = "fit-1"

BASE: Mapping[str, Mapping[str, Any]] = {
    "users": {"source": "test", "user_name": None, "first_seen_at": WHEN, "last_seen_at": WHEN, "posts": 0},
    "posts": {
        "source": "test",
        "relation": "posted",
        "posted_at": WHEN,
        "hashtags": [],
        "n_images": 0,
        "crawled_at": WHEN,
        "last_seen_at": WHEN,
        "source_ref": "crawl/posts.jsonl:1",
    },
    "post_images": {"source_ref": "crawl/picture.jpg"},
    "images": {"content": bytearray(b"bytes"), "format": "jpeg", "width": 4, "height": 3, "n_bytes": 5},
    "image_embeddings": {
        "backbone": "efficientnet_lite0",
        "embedding": [0.5, 0.25],
        "weights_sha256": "w" * 64,
        "preprocessing": "p",
    },
    "image_labels": {
        "network": "efficientnet_lite0",
        "rank": 1,
        "class_index": 0,
        "label": "tench",
        "score": 0.5,
        "weights_sha256": "w" * 64,
    },
    "image_faces": {"faces": 0, "boxes": [], "largest_face_share": 0.0, "detector_sha256": "d" * 64},
    "cluster_fits": {
        "purpose": "categories",
        "fit_id": FIT,
        "backbone": "efficientnet_lite0",
        "weights_sha256": "w" * 64,
        "preprocessing": "p",
        "basis": "all pictures",
        "k": 2,
        "fitted_at": WHEN,
        "current": True,
        "images": 1,
        "mean_distance": 1.0,
    },
    "cluster_sweeps": {
        "purpose": "categories",
        "fit_id": FIT,
        "k": 2,
        "silhouette": 0.5,
        "silhouette_smoothed": 0.5,
        "inertia": 1.0,
        "iterations": 3,
        "chosen": True,
    },
    "cluster_centroids": {
        "purpose": "categories",
        "fit_id": FIT,
        "centroid": [0.0],
        "size": 1,
        "proposed_category": "?",
        "reviewed": False,
        "evidence": "none",
        "exemplar_image_ids": [],
    },
    "image_clusters": {
        "purpose": "categories",
        "fit_id": FIT,
        "distance": 0.5,
        "silhouette": 0.25,
        "fitted": True,
    },
    "quarantine": {"stage": "ingest", "reason": "bad_json", "detail": "", "attempts": 1, "first_seen_at": WHEN},
    "post_counts": {"crawled_at": WHEN, "likes": 1, "comments": 0},
    "source_files": {"size": 1, "modified_at": WHEN, "status": "read"},
}


def frame(spark: SparkSession, table: str, rows: Iterable[Mapping[str, Any]], **common: Any) -> DataFrame:
    """Rows of a table; what a row leaves out has the base record's value, or NULL. No Python worker is needed."""
    schema = TABLES[table].schema
    base = {**dict.fromkeys(schema.names), "run_id": "test", **BASE.get(table, {}), **common}
    rows = list(rows)
    unknown = {key for row in rows for key in row} - set(schema.names)
    assert not unknown, f"{table} has no {unknown}"
    made = pa.Table.from_pylist([{**base, **row} for row in rows], schema=to_arrow_schema(schema))
    return spark.createDataFrame(made, schema).coalesce(1)


def lay(lake: Lake, table: str, rows: Iterable[Mapping[str, Any]], *, anew: bool = False, **common: Any) -> None:
    """Add rows (`frame`) to a table, or make them all that it holds (`anew`). They go past `Lake.write`, which takes
    time and isn't what these tests test."""
    made = frame(lake.spark, table, rows, **common)
    made.write.format("delta").mode("overwrite" if anew else "append").saveAsTable(lake.name(table))


def lay_posts(lake: Lake, posts: Sequence[Mapping[str, Any]], pictures: Mapping[str, Sequence[str]]) -> None:
    """Posts with the picture ids that each shows, in order, and the users who posted them."""
    lay(lake, "posts", posts)
    lay(
        lake,
        "post_images",
        [
            {"post_id": post, "position": position, "image_id": image}
            for post, images in pictures.items()
            for position, image in enumerate(images)
        ],
    )
    lay(lake, "users", [{"user_id": user} for user in sorted({post["user_id"] for post in posts})])


def lay_categories(
    lake: Lake,
    categories: Mapping[str, str],
    purpose: str = "categories",
    fit_id: str = FIT,
    *,
    anew: bool = False,
    **common: Any,
) -> None:
    """The category (or kind of selfie) of pictures: a cluster for each distinct name."""
    clusters = {name: number for number, name in enumerate(sorted(set(categories.values())))}
    lay(
        lake,
        "cluster_centroids",
        [{"cluster_id": number, "category": name} for name, number in clusters.items()],
        purpose=purpose,
        fit_id=fit_id,
        anew=anew,
    )
    lay(
        lake,
        "image_clusters",
        [{"image_id": image, "cluster_id": clusters[name], **common} for image, name in categories.items()],
        purpose=purpose,
        fit_id=fit_id,
        anew=anew,
    )


def day(number: int) -> datetime:
    """Noon of the n-th day of 2024, from 0, UTC."""
    return WHEN + timedelta(days=number, hours=12)
