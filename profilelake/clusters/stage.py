"""The clusters stage: fit categories once, assign what arrives, cluster selfies again (paper 1, 4.1 and 5.2.2).

A fit is written in this order: `cluster_sweeps`, `cluster_centroids` (with the names), `figure_data`, `cluster_fits`
(it becomes the current one), `image_clusters`. Each is one commit, and readers find names through the fit_id of
`image_clusters`: whenever a run dies they see the old categories or the new ones, and the next run goes on. A fit whose
clusters are there isn't made again, pictures that the current fit has not seen are assigned.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from pyspark.sql import Row
from pyspark.sql import functions as F

from profilelake.clusters import refit, silhouette, store, vectors
from profilelake.clusters.names import SELFIE, Names
from profilelake.clusters.names import load as load_names
from profilelake.clusters.refit import CATEGORIES, KINDS, Wish
from profilelake.clusters.vectors import Source
from profilelake.config import Config
from profilelake.lake import Lake
from profilelake.ledger import Context, StageReport, skipped, stage

log = logging.getLogger("profilelake.clusters")

STAGE = "clusters"
_ALL = "all pictures"


@dataclass(frozen=True)
class Outcome:
    """What became of a wish; `fit_id` is None where there is too little to cluster, and `reason` says so."""

    fit_id: str | None
    reason: str | None = None
    fits: int = 0
    assigned: int = 0
    unclear: int = 0
    warnings: tuple[str, ...] = ()


def check(config: Config) -> None:
    """Everything about names and evidence that can be found wrong before Spark starts.

    Raises:
        ConfigError: see `names.load`.
    """
    load_names(config)


@stage(STAGE)
def run(context: Context) -> StageReport:
    """Bring categories and kinds of selfie up to date with the vectors that are there."""
    config, lake = context.config, context.lake
    names = load_names(config)
    source = vectors.current(lake, config)
    if source is None:
        return skipped(STAGE, f"no picture has a vector of {config.images.embed[0]} yet")
    categories = _fulfil(context, _categories(source, config), names)
    if categories.fit_id is None:
        return skipped(STAGE, str(categories.reason))
    kinds = _kinds(context, source, categories.fit_id, names)
    named = store.clusters(lake, CATEGORIES, categories.fit_id).select("category").collect()
    warnings = [*categories.warnings, *kinds.warnings]
    if source.others:
        warnings.append(
            f"{source.others:,} pictures have {source.backbone} vectors of other weights or preprocessing only and get "
            "no category until the images stage has replaced them"
        )
    if kinds.reason:
        warnings.append(f"no kinds of selfie: {kinds.reason}")
    return StageReport(
        STAGE,
        rows_in=source.images,
        rows_out=store.assigned(lake, CATEGORIES).count(),
        counters={
            "clusters": len(named),
            "categories": len({row["category"] for row in named}),
            "fits": categories.fits + kinds.fits,
            "assigned": categories.assigned,
            "assigned_selfies": kinds.assigned,
            "unclear_names": categories.unclear + kinds.unclear,
        },
        warnings=warnings,
    )


def pending(lake: Lake, config: Config) -> dict[str, int]:
    """Rows that a run would touch now: pictures to assign, and fits of the categories. Writes nothing."""
    if not all(lake.exists(table) for table in ("image_embeddings", "image_clusters", "cluster_fits")):
        return {"pictures_to_assign": 0, "fits": 0}
    source = vectors.current(lake, config)
    if source is None:
        return {"pictures_to_assign": 0, "fits": 0}
    wish, current = _categories(source, config), store.current(lake, CATEGORIES)
    if current is None or _is_due(wish, current, config):
        return {"pictures_to_assign": source.images, "fits": 1}
    return {"pictures_to_assign": _differences(lake, wish, current["fit_id"]).new, "fits": 0}


def _categories(source: Source, config: Config) -> Wish:
    return Wish(
        purpose=CATEGORIES,
        source=source,
        vectors=source.vectors,
        basis=_ALL,
        ks=config.clusters.tried,
        searched=config.clusters.k == "auto",
        least=2,
    )


def _kinds(context: Context, source: Source, fit_id: str, names: Names) -> Outcome:
    """Cluster the pictures of the category Selfie again (paper 1, 5.2.2); anew when other clusters are called so."""
    lake, config = context.lake, context.config
    named = store.clusters(lake, CATEGORIES, fit_id).where(F.col("category") == SELFIE).select("cluster_id").collect()
    clusters = sorted(row["cluster_id"] for row in named)
    if not clusters:
        store.retire(lake, KINDS)
        return Outcome(None, f"no cluster is called {SELFIE}")
    selfies = store.assigned(lake, CATEGORIES).where(F.col("cluster_id").isin(clusters)).select("image_id")
    wish = Wish(
        purpose=KINDS,
        source=source,
        vectors=source.vectors.join(selfies, on="image_id", how="left_semi"),
        basis=f"{SELFIE}: {fit_id}, clusters {', '.join(map(str, clusters))}",
        ks=[config.clusters.selfie_k],
        searched=False,
        least=config.clusters.selfie_k,
    )
    return _fulfil(context, wish, names)


def _fulfil(context: Context, wish: Wish, names: Names) -> Outcome:
    lake, config = context.lake, context.config
    current = store.current(lake, wish.purpose)
    if current is not None and not _is_due(wish, current, config):
        return _assign_new(lake, wish, current)
    digest = vectors.digest(wish.vectors)
    if digest.distinct < wish.least:
        store.retire(lake, wish.purpose)
        counted = "picture is" if digest.distinct == 1 else "distinct pictures are"
        return Outcome(None, f"{digest.distinct} {counted} too few to cluster, {wish.least} are needed")
    planned = refit.plan(wish, digest, config, refit.earlier(lake, wish) if config.clusters.warm_start else None)
    if current is not None and current["fit_id"] == planned.fit_id:
        # a refit that would find the same clusters; what their names rest on may have changed
        outcome = _assign_new(lake, wish, current)
        refit.renew_names(context, wish.purpose, planned.fit_id, names)
        return outcome
    made = refit.make(context, planned, names, current or store.latest(lake, wish.purpose))
    fresh = store.current(lake, wish.purpose)
    assert fresh is not None
    outcome = _assign_new(lake, wish, fresh)
    store.drop_orphans(lake, wish.purpose)
    return Outcome(
        fit_id=planned.fit_id,
        fits=1,
        assigned=outcome.assigned,
        unclear=made.unclear,
        warnings=(*outcome.warnings, *made.warnings),
    )


def _is_due(wish: Wish, current: Row, config: Config) -> bool:
    """Whether a fit is asked for, or the current one is of other vectors or other pictures."""
    return config.clusters.refit or not wish.source.made(current) or current["basis"] != wish.basis


def _assign_new(lake: Lake, wish: Wish, current: Row) -> Outcome:
    """Assign pictures that the current fit has not seen, and forget those that are gone.

    A fit that has seen none (it is new, or the run that made it died) takes all of them as those it was fitted on.
    """
    fit_id, purpose = current["fit_id"], wish.purpose
    found = _differences(lake, wish, fit_id)
    if found.new or found.gone:
        centroids = store.clusters(lake, purpose, fit_id).orderBy("cluster_id").collect()
        matrix = np.array([row["centroid"] for row in centroids], np.float32)
        held, first = store.assigned(lake, purpose).select("image_id", "fit_id"), not found.seen
        seen = held.where(F.col("fit_id") == fit_id)
        unseen = wish.vectors.join(seen.select("image_id"), on="image_id", how="left_anti")
        # 0 in a cluster of one picture; what comes later joins that one, and is not alone
        alone = [row["cluster_id"] for row in centroids if row["size"] == 1] if first else []
        rows = silhouette.assign(unseen, matrix).select(
            "image_id",
            F.lit(purpose).alias("purpose"),
            F.lit(fit_id).alias("fit_id"),
            "cluster_id",
            "distance",
            F.when(F.col("cluster_id").isin(alone), 0.0).otherwise(F.col("silhouette")).alias("silhouette"),
            F.lit(first).alias("fitted"),
        )
        gone = held.join(wish.vectors, on="image_id", how="left_anti")
        touched = unseen.select("image_id").unionByName(gone.select("image_id"))
        scope = store.scope(lake, purpose) if first else touched.withColumn("purpose", F.lit(purpose))
        lake.write("image_clusters", rows, scope=scope)
    drift = _keep_drift(lake, purpose, current)
    if drift is not None and found.new:
        log.info("%s: pictures assigned since the fit are %+.1f %% farther from their centroid", purpose, 100 * drift)
    warning = current["warning"]
    return Outcome(fit_id, assigned=found.new, warnings=(f"{purpose}: {warning}",) if warning else ())


@dataclass(frozen=True)
class Differences:
    """`new`: pictures that a fit has not seen; `gone`: assigned ones without a vector; `seen`: assigned by the fit."""

    new: int
    gone: int
    seen: int


def _differences(lake: Lake, wish: Wish, fit_id: str) -> Differences:
    there = wish.vectors.select("image_id", F.lit(True).alias("there"))
    held = store.assigned(lake, wish.purpose).select("image_id", (F.col("fit_id") == fit_id).alias("seen"))
    seen = F.coalesce("seen", F.lit(False))
    row = (
        there.join(held, on="image_id", how="full")
        .agg(
            F.count(F.when(F.col("there") & ~seen, 1)).alias("new"),
            F.count(F.when(F.col("there").isNull(), 1)).alias("gone"),
            F.count(F.when(seen, 1)).alias("seen"),
        )
        .first()
    )
    assert row is not None  # an aggregate always has a row
    return Differences(**row.asDict())


def _keep_drift(lake: Lake, purpose: str, current: Row) -> float | None:
    """Mean distance of pictures assigned since the fit / of those fitted, minus 1; written where it has changed. None
    when nothing was assigned since."""
    # an exact decimal: a sum whose last digit changed with the order of the rows would be a change of the table
    total = F.sum(F.col("distance").cast("decimal(28, 10)")).cast("double")
    later = store.assigned(lake, purpose).where(~F.col("fitted"))
    since = later.agg(total.alias("total"), F.count("*").alias("images")).first()
    assert since is not None  # an aggregate always has a row
    drift = None
    if since["images"] and current["mean_distance"] > 0:
        drift = float(since["total"] / since["images"] / current["mean_distance"] - 1)
    if drift != current["drift"]:
        fits = lake.read("cluster_fits")
        row = fits.where((F.col("purpose") == purpose) & (F.col("fit_id") == current["fit_id"])).drop("run_id")
        lake.write("cluster_fits", row.withColumn("drift", F.lit(drift).cast("double")))
    return drift
