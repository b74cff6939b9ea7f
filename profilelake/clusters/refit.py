"""One new fit of a purpose: sweep, choice of k, names, and what passes on from the fit before."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from pyspark.ml.functions import array_to_vector
from pyspark.ml.stat import Summarizer
from pyspark.sql import DataFrame, Row, Window
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from profilelake.clusters import figures, matching, naming, silhouette, store
from profilelake.clusters.fit import ENGINE, Fit, fit
from profilelake.clusters.names import Names
from profilelake.clusters.vectors import Digest, Source
from profilelake.config import Config
from profilelake.lake import Lake
from profilelake.ledger import Context

log = logging.getLogger("profilelake.clusters")

CATEGORIES = "categories"
KINDS = "selfie"


@dataclass(frozen=True)
class Wish:
    """What is to be clustered.

    Attributes:
        purpose: as in `cluster_fits`.
        source: the network whose vectors are clustered.
        vectors: image_id, embedding of the pictures.
        basis: which pictures these are, in words that change when others are meant.
        ks: how many clusters to look for.
        searched: whether k is the silhouette's choice among `ks`.
        least: distinct pictures below which there is nothing to cluster.
    """

    purpose: str
    source: Source
    vectors: DataFrame
    basis: str
    ks: Sequence[int]
    searched: bool
    least: int


@dataclass(frozen=True)
class Plan:
    """A wish fitted to the pictures that are there: what is tried, what there is to say about that, the fit's id."""

    wish: Wish
    digest: Digest
    ks: Sequence[int]
    notes: Sequence[str]
    fit_id: str


@dataclass(frozen=True)
class Made:
    """What a new fit left to say: names whose evidence is unclear, reviewed names that it lost."""

    unclear: int = 0
    warnings: tuple[str, ...] = ()


def plan(wish: Wish, digest: Digest, config: Config) -> Plan:
    """Cap the wish at what so many distinct pictures allow, and name the fit.

    The same pictures, vectors, settings and engine have the same fit_id in any run. It begins with letters: a
    spreadsheet must not take it for a number.
    """
    ks, notes = _possible(wish, digest.distinct)
    settings = config.clusters
    rests_on: Mapping[str, Any] = {
        "engine": ENGINE,
        "purpose": wish.purpose,
        "basis": wish.basis,
        "vectors": [wish.source.backbone, wish.source.weights_sha256, wish.source.preprocessing],
        "pictures": asdict(digest),
        "k": ks,
        "choice": [settings.smoothing, settings.decline] if len(ks) > 1 else [],
        "seed": settings.seed,
        "iterations": settings.max_iterations,
    }
    text = json.dumps(rests_on, sort_keys=True)
    return Plan(wish, digest, ks, notes, "fit-" + hashlib.sha256(text.encode("utf-8")).hexdigest()[:16])


def _possible(wish: Wish, distinct: int) -> tuple[list[int], list[str]]:
    ks = [k for k in wish.ks if k <= distinct]
    if len(ks) == len(wish.ks):
        return ks, []
    if not wish.searched:
        return [distinct], [f"k = {wish.ks[0]} was asked for, but there are only {distinct} distinct pictures"]
    ks = ks or list(range(2, distinct + 1))
    return ks, [f"there are only {distinct} distinct pictures: k from {ks[0]} to {ks[-1]} was tried"]


def make(context: Context, planned: Plan, vectors: DataFrame, names: Names, old: Row | None) -> Made:
    """Write `cluster_sweeps`, `cluster_centroids`, `figure_data` of a fit, then make it the current one.

    Clusters that a run which died has written are taken over.

    Args:
        context: of the stage.
        planned: what to fit.
        vectors: `fit.prepared` vectors of the wish.
        names: listed names.
        old: the fit before, whose reviewed names pass on.
    """
    lake, wish, fit_id = context.lake, planned.wish, planned.fit_id
    made = Made()
    clusters = store.clusters(lake, wish.purpose, fit_id).orderBy("cluster_id").collect()
    # one that was current before is made again: names have been reviewed since
    if clusters and not store.is_known(lake, wish.purpose, fit_id):
        log.info("%s: goes on with fit %s, which an earlier run has made", wish.purpose, fit_id)
    else:
        made = _fit(context, planned, vectors, names, old)
        clusters = store.clusters(lake, wish.purpose, fit_id).orderBy("cluster_id").collect()
    tried = store.sweep(lake, wish.purpose, fit_id).orderBy("k").collect()
    chosen = next(row for row in tried if row["chosen"])
    if wish.purpose == CATEGORIES and len(tried) > 1:
        figures.record(lake, fit_id, tried)
    notes = list(planned.notes)
    if wish.searched and len(tried) > 1 and chosen["k"] == tried[-1]["k"]:
        notes.append(
            f"S(k) shows no decline up to k = {chosen['k']}, the largest that was tried: the pictures may have no "
            "clear groups, or clusters.k_max is too small"
        )
    centroids = np.array([row["centroid"] for row in clusters], np.float32)
    scored = silhouette.score(vectors, [Fit(chosen["k"], centroids, chosen["iterations"])])[0]
    store.make_current(
        lake,
        {
            "purpose": wish.purpose,
            "fit_id": fit_id,
            "backbone": wish.source.backbone,
            "weights_sha256": wish.source.weights_sha256,
            "preprocessing": wish.source.preprocessing,
            "basis": wish.basis,
            "k": len(clusters),
            "fitted_at": datetime.now(UTC),
            "current": True,
            "drift": None,
            "images": planned.digest.images,
            "mean_distance": scored.mean_distance,
            "warning": "; ".join(notes) or None,
        },
    )
    return made


def _fit(context: Context, planned: Plan, vectors: DataFrame, names: Names, old: Row | None) -> Made:
    """Fit every k, choose one, name its clusters; write sweep and clusters."""
    lake, wish, settings = context.lake, planned.wish, context.config.clusters
    progress = context.progress(len(planned.ks), f"fits for {wish.purpose}")
    fits = fit(
        vectors,
        planned.ks,
        seed=settings.seed,
        max_iterations=settings.max_iterations,
        on_fit=lambda: progress.advance(1),
    )
    scored = silhouette.score(vectors, fits)
    choice = silhouette.choose(
        planned.ks,
        [one.silhouette for one in scored],
        smoothing=settings.smoothing,
        decline=settings.decline,
    )
    chosen = next(one for one in scored if one.fit.k == choice.k)
    clusters, made = _clusters(context, planned, chosen, vectors, names, old)
    sweep = [
        {
            "purpose": wish.purpose,
            "fit_id": planned.fit_id,
            "k": one.fit.k,
            "silhouette": one.silhouette,
            "silhouette_smoothed": smoothed,
            "inertia": one.inertia,
            "iterations": one.fit.iterations,
            "chosen": one is chosen,
        }
        for one, smoothed in zip(scored, choice.smoothed, strict=True)
    ]
    scope = store.scope(lake, wish.purpose, planned.fit_id)
    lake.write("cluster_sweeps", store.frame(lake, "cluster_sweeps", sweep), scope=scope)
    lake.write("cluster_centroids", store.frame(lake, "cluster_centroids", clusters), scope=scope)
    return made


def _clusters(
    context: Context,
    planned: Plan,
    chosen: silhouette.Scored,
    vectors: DataFrame,
    names: Names,
    old: Row | None,
) -> tuple[list[dict[str, Any]], Made]:
    """Rows of `cluster_centroids`."""
    wish, centroids = planned.wish, chosen.fit.centroids
    assigned = silhouette.assign(vectors, centroids).persist(StorageLevel.DISK_ONLY)
    try:
        proposals = propose(context, wish.purpose, assigned, names)
        exemplars = _exemplars(assigned, context.config.clusters.exemplars)
    finally:
        assigned.unpersist()
    passed, warnings = _passed_on(context, wish, centroids, old)
    rows = [
        {
            "purpose": wish.purpose,
            "fit_id": planned.fit_id,
            "cluster_id": cluster,
            "centroid": [float(value) for value in centroid],
            "size": int(chosen.sizes[cluster]),
            "proposed_category": proposals[cluster].name,
            "category": passed.get(cluster, proposals[cluster].name),
            "reviewed": cluster in passed,
            "evidence": proposals[cluster].why,
            "exemplar_image_ids": exemplars[cluster],
        }
        for cluster, centroid in enumerate(centroids)
    ]
    unclear = sum(not proposal.clear for cluster, proposal in proposals.items() if cluster not in passed)
    return rows, Made(unclear, warnings)


def propose(context: Context, purpose: str, assigned: DataFrame, names: Names) -> dict[int, naming.Proposal]:
    """The names that the evidence speaks for, by cluster.

    Args:
        context: of the stage.
        purpose: kinds of selfie are told from each other, categories by what they show.
        assigned: image_id, cluster_id.
        names: listed names.
    """
    lake, config = context.lake, context.config
    evidence = naming.collect(
        assigned,
        lake.read("image_labels"),
        lake.read("image_faces"),
        lake.read("images"),
        config.images.label,
        config.naming,
    )
    told = naming.propose_kinds if purpose == KINDS else naming.propose
    return told(evidence, names, config.naming)


def renew_names(context: Context, purpose: str, fit_id: str, names: Names) -> None:
    """Propose the names of a fit again, where labels, faces or the listed names have changed since; names that a person
    chose stay."""
    lake = context.lake
    fitted = store.assigned(lake, purpose).where(F.col("fitted"))
    proposals = propose(context, purpose, fitted, names)
    rows = [(cluster, proposal.name, proposal.why) for cluster, proposal in sorted(proposals.items())]
    fresh = lake.spark.createDataFrame(rows, "cluster_id int, name string, why string")
    renewed = (
        store.clusters(lake, purpose, fit_id)
        .drop("run_id")
        .join(fresh, on="cluster_id", how="left")
        .withColumn("proposed_category", F.coalesce("name", "proposed_category"))
        .withColumn("evidence", F.coalesce("why", "evidence"))
        .withColumn("category", F.when(F.col("reviewed"), F.col("category")).otherwise(F.col("proposed_category")))
        .drop("name", "why")
    )
    lake.write("cluster_centroids", renewed, scope=store.scope(lake, purpose, fit_id))


def _exemplars(assigned: DataFrame, most: int) -> dict[int, list[str]]:
    """By cluster the pictures nearest to the centroid, nearest first."""
    nearest = Window.partitionBy("cluster_id").orderBy("distance", "image_id")
    rows = (
        assigned.withColumn("place", F.row_number().over(nearest))
        .where(F.col("place") <= most)
        .groupBy("cluster_id")
        .agg(F.array_sort(F.collect_list(F.struct("place", "image_id"))).alias("nearest"))
        .collect()
    )
    return {row["cluster_id"]: [one["image_id"] for one in row["nearest"]] for row in rows}


def _passed_on(
    context: Context, wish: Wish, centroids: npt.NDArray[np.float32], old: Row | None
) -> tuple[dict[int, str], tuple[str, ...]]:
    """Reviewed names of the fit before, by new cluster, and a warning about those that no new cluster takes."""
    lake, purpose = context.lake, wish.purpose
    if old is None:
        return {}, ()
    rows = store.clusters(lake, purpose, old["fit_id"]).orderBy("cluster_id").collect()
    if not any(row["reviewed"] for row in rows):
        return {}, ()
    places = {row["cluster_id"]: row["centroid"] for row in rows}
    if not wish.source.made(old):
        places = _means(lake, wish.source, purpose, old["fit_id"])
    held = [row for row in rows if row["cluster_id"] in places]
    pairs: dict[int, int] = {}
    if held:
        former = np.array([places[row["cluster_id"]] for row in held])
        pairs = matching.match(former, centroids, context.config.clusters.name_match_limit)
    passed = {new: str(held[at]["category"]) for new, at in pairs.items() if held[at]["reviewed"]}
    lost = sorted({str(row["category"]) for row in rows if row["reviewed"]} - set(passed.values()))
    if not lost:
        return passed, ()
    return passed, (f"{purpose}: no cluster of the new fit matches the reviewed {', '.join(lost)}",)


def _means(lake: Lake, source: Source, purpose: str, fit_id: str) -> dict[int, list[float]]:
    """Where an old fit's clusters lie among another network's vectors: the mean of their pictures' new vectors."""
    rows = (
        store.assigned(lake, purpose)
        .where(F.col("fit_id") == fit_id)
        .select("image_id", "cluster_id")
        .join(source.vectors, on="image_id", how="inner")
        .select("cluster_id", array_to_vector(F.col("embedding")).alias("vector"))
        .groupBy("cluster_id")
        .agg(Summarizer.mean(F.col("vector")).alias("mean"))
        .collect()
    )
    return {row["cluster_id"]: [float(value) for value in row["mean"]] for row in rows}
