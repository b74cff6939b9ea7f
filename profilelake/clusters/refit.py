"""One new fit of a purpose: sweep, choice of k, names, and what passes on from the fit before."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from pyspark.ml.functions import array_to_vector
from pyspark.ml.stat import Summarizer
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from profilelake.clusters import figures, matching, naming, silhouette, store
from profilelake.clusters.kmeans import ENGINE, Fit, Settings, fit
from profilelake.clusters.names import Names
from profilelake.clusters.vectors import Digest, Source
from profilelake.config import Config
from profilelake.errors import ProfilelakeError
from profilelake.frames import local_frame
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
    """A wish fitted to the pictures that are there: what is tried, what there is to say about that, how the engine runs
    and from which earlier centroids, the fit's id."""

    wish: Wish
    digest: Digest
    ks: Sequence[int]
    notes: Sequence[str]
    settings: Settings
    start: Mapping[int, npt.NDArray[np.float32]]
    fit_id: str


@dataclass(frozen=True)
class Made:
    """What a new fit left to say: names whose evidence is unclear, reviewed names that it lost."""

    unclear: int = 0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Earlier:
    """A fit to begin from: its id, and its centroids (k, d)."""

    fit_id: str
    centroids: npt.NDArray[np.float32]


def earlier(lake: Lake, wish: Wish) -> Earlier | None:
    """The purpose's last fit, where it is of the same network's vectors."""
    last = store.latest(lake, wish.purpose)
    if last is None or not wish.source.made(last):
        return None
    rows = store.clusters(lake, wish.purpose, last["fit_id"]).orderBy("cluster_id").collect()
    return Earlier(last["fit_id"], np.array([row["centroid"] for row in rows], np.float32)) if rows else None


def plan(wish: Wish, digest: Digest, config: Config, begin: Earlier | None = None) -> Plan:
    """Cap the wish at what so many distinct pictures allow, and name the fit.

    Args:
        begin: begin from its centroids if their number is one of the k that are tried.

    The same pictures, vectors, settings and engine have the same fit_id in any run. It begins with letters: a
    spreadsheet must not take it for a number.
    """
    ks, notes = _possible(wish, digest.distinct)
    settings = config.clusters
    engine = Settings(
        seed=settings.seed,
        max_iterations=settings.max_iterations,
        tolerance=settings.tolerance,
        precision=settings.precision,
        seed_rows=settings.seed_sample,
        memory=settings.memory * 2**20,
        exemplars=settings.exemplars,
    )
    if begin is not None and len(begin.centroids) not in ks:
        begin = None
    start = {} if begin is None else {len(begin.centroids): begin.centroids}
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
        "tolerance": settings.tolerance,
        "precision": engine.settled_precision,
        "samples": [settings.seed_sample, settings.sweep_sample if len(ks) > 1 else 0],
        "start": None if begin is None else begin.fit_id,
    }
    text = json.dumps(rests_on, sort_keys=True)
    fit_id = "fit-" + hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]
    return Plan(wish, digest, ks, notes, engine, start, fit_id)


def _possible(wish: Wish, distinct: int) -> tuple[list[int], list[str]]:
    ks = [k for k in wish.ks if k <= distinct]
    if len(ks) == len(wish.ks):
        return ks, []
    if not wish.searched:
        return [distinct], [f"k = {wish.ks[0]} was asked for, but there are only {distinct} distinct pictures"]
    ks = ks or list(range(2, distinct + 1))
    return ks, [f"there are only {distinct} distinct pictures: k from {ks[0]} to {ks[-1]} was tried"]


def make(context: Context, planned: Plan, names: Names, old: Row | None) -> Made:
    """Write `cluster_sweeps`, `cluster_centroids`, `figure_data` of a fit, then make it the current one.

    Clusters that a run which died has written are taken over.

    Args:
        context: of the stage.
        planned: what to fit.
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
        made = _fit(context, planned, names, old)
        clusters = store.clusters(lake, wish.purpose, fit_id).orderBy("cluster_id").collect()
    tried = store.sweep(lake, wish.purpose, fit_id).orderBy("k").collect()
    chosen = next(row for row in tried if row["chosen"])
    if wish.purpose == CATEGORIES and len(tried) > 1:
        figures.record(lake, fit_id, tried)
    notes = [*planned.notes, *([chosen["note"]] if chosen["note"] else [])]
    if wish.searched and len(tried) > 1 and chosen["k"] == planned.ks[-1]:
        notes.append(
            f"S(k) shows no decline up to k = {chosen['k']}, the largest that was tried: the pictures may have no "
            "clear groups, or clusters.k_max is too small"
        )
    centroids = np.array([row["centroid"] for row in clusters], np.float32)
    distances = silhouette.assign(wish.vectors, centroids)
    # an exact decimal: its last digit does not depend on the order of the rows
    mean = distances.agg((F.sum(F.col("distance").cast("decimal(28, 10)")) / F.count("*")).cast("double")).first()
    assert mean is not None  # an aggregate always has a row
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
            "mean_distance": mean[0],
            "warning": "; ".join(notes) or None,
        },
    )
    return made


def _fit(context: Context, planned: Plan, names: Names, old: Row | None) -> Made:
    """Fit every k, choose one, name its clusters; write sweep and clusters. What is to be said of the fit goes with the
    sweep, so that a run which takes it over says it too."""
    lake, wish, settings = context.lake, planned.wish, context.config.clusters
    notes = []
    share = settings.sweep_sample / planned.digest.images
    sampled = len(planned.ks) > 1 and share < 1
    tried = _fits(context, planned, _sample(wish.vectors, share, settings.seed) if sampled else wish.vectors)
    fits = [one for one in tried if one.reason is None]
    refused = [one for one in tried if one.reason is not None]
    if not fits:
        raise ProfilelakeError(f"{wish.purpose}: no k could be fitted: {refused[0].reason}")
    if refused:
        notes.append(f"k from {refused[0].k} to {refused[-1].k} were not fitted: {refused[0].reason}")
    choice = silhouette.choose(
        [one.k for one in fits],
        [one.silhouette for one in fits],
        smoothing=settings.smoothing,
        decline=settings.decline,
    )
    chosen = next(one for one in fits if one.k == choice.k)
    if sampled:
        notes.append(f"S(k) was measured on a sample of {int(chosen.sizes.sum()):,} pictures (clusters.sweep_sample)")
    sweep = [
        {
            "purpose": wish.purpose,
            "fit_id": planned.fit_id,
            "k": one.k,
            "silhouette": one.silhouette,
            "silhouette_smoothed": smoothed,
            "inertia": one.inertia,
            "iterations": one.iterations,
            "chosen": one is chosen,
            "note": ("; ".join(notes) or None) if one is chosen else None,
        }
        for one, smoothed in zip(fits, choice.smoothed, strict=True)
    ]
    if sampled:
        start = {len(chosen.centroids): chosen.centroids}
        (chosen,) = _fits(context, replace(planned, ks=list(start), start=start), wish.vectors)
        if chosen.reason is not None:
            raise ProfilelakeError(f"{wish.purpose}: k = {chosen.k} could not be fitted: {chosen.reason}")
    clusters, made = _clusters(context, planned, chosen, names, old)
    scope = store.scope(lake, wish.purpose, planned.fit_id)
    lake.write("cluster_sweeps", lake.frame("cluster_sweeps", sweep), scope=scope)
    lake.write("cluster_centroids", lake.frame("cluster_centroids", clusters), scope=scope)
    return made


def _fits(context: Context, planned: Plan, vectors: DataFrame) -> list[Fit]:
    # One pass more than iterations at most, and more where the k are cut into groups: the line then says 100 % early.
    progress = context.progress(planned.settings.max_iterations + 1, f"passes for {planned.wish.purpose}")
    return fit(vectors, planned.ks, planned.settings, start=planned.start, on_pass=lambda: progress.advance(1))


def _sample(vectors: DataFrame, share: float, seed: int) -> DataFrame:
    """About a share of the pictures, the same ones however the table lies."""
    drawn = F.pmod(F.xxhash64(F.lit(seed + 1), "image_id"), F.lit(2**32))
    return vectors.where(drawn < int(share * 2**32))


def _clusters(
    context: Context, planned: Plan, chosen: Fit, names: Names, old: Row | None
) -> tuple[list[dict[str, Any]], Made]:
    """Rows of `cluster_centroids`."""
    wish, centroids, exemplars = planned.wish, chosen.centroids, chosen.exemplars
    while True:
        assigned = silhouette.assign(wish.vectors, centroids).persist(StorageLevel.DISK_ONLY)
        try:
            counted = assigned.groupBy("cluster_id").agg(F.count("*").alias("n")).collect()
            sizes = {row["cluster_id"]: row["n"] for row in counted}  # as `image_clusters` will have them
            if len(sizes) == len(centroids):
                proposals = propose(context, wish.purpose, assigned, names)
                break
        finally:
            assigned.unpersist()
        # Pictures that float32 can't tell apart may all be nearest to another centroid in float64.
        kept = sorted(sizes)
        centroids, exemplars = centroids[kept], tuple(exemplars[at] for at in kept)
    passed, warnings = _passed_on(context, wish, centroids, old)
    rows = [
        {
            "purpose": wish.purpose,
            "fit_id": planned.fit_id,
            "cluster_id": cluster,
            "centroid": [float(value) for value in centroid],
            "size": sizes[cluster],
            "proposed_category": proposals[cluster].name,
            "category": passed.get(cluster, proposals[cluster].name),
            "reviewed": cluster in passed,
            "evidence": proposals[cluster].why,
            "exemplar_image_ids": list(exemplars[cluster]),
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
    fresh = local_frame(lake.spark, rows, "cluster_id int, name string, why string")
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
