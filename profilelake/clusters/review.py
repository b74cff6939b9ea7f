"""People name the clusters: a CSV and a contact sheet a cluster go out, the edited CSV comes back.

Clusters of one name are one category: the paper's 60 clusters became 47 categories so (paper 1, 4.1).
"""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

from profilelake.clusters import csvs, sheets, store
from profilelake.clusters.names import name_fault
from profilelake.config import Config
from profilelake.errors import ConfigError
from profilelake.frames import local_frame
from profilelake.lake import Lake, open_lake
from profilelake.ledger import Context, StageReport, stage
from profilelake.reports.publish import copy_folder

log = logging.getLogger("profilelake.clusters")

STAGE = "review_categories"

COLUMNS = (
    "purpose", "fit_id", "cluster_id", "size", "proposed_category", "category", "reviewed", "evidence", "sheet",
    "exemplar_image_ids",
)  # fmt: skip
_NEEDED = ("purpose", "fit_id", "cluster_id", "category")


def export(spark: SparkSession, config: Config, out: str, purpose: str = "categories") -> dict[str, Any]:
    """Write `<out>/<purpose>.csv`, a row a cluster, and `<out>/<purpose>/<cluster>.jpg`, its nearest pictures.

    A person edits the column `category`; the others say what is being named.

    Args:
        spark: the session.
        config: of the lake.
        out: a folder, local or any Hadoop URI; it is made, files of the same names are replaced.
        purpose: `categories`, or `selfie` for the kinds of selfie.

    Returns:
        For the job's summary: clusters, categories, the CSV's path.

    Raises:
        ConfigError: the lake has no current fit of this purpose.
    """
    lake = open_lake(spark, config)
    fit = current_fit(lake, purpose)
    clusters = store.clusters(lake, purpose, fit["fit_id"]).orderBy("cluster_id").collect()
    max_pixels = config.crawl.max_image_pixels
    shown = _thumbnails(lake, clusters, max_pixels)
    with tempfile.TemporaryDirectory(prefix="profilelake-review-") as scratch:
        folder = Path(scratch)
        (folder / purpose).mkdir()
        rows = []
        for cluster in clusters:
            file = f"{purpose}/{cluster['cluster_id']:03d}.jpg"
            title = f"{cluster['cluster_id']}: {cluster['category']} ({cluster['size']:,} pictures)"
            pictures = [shown.get(image_id) for image_id in cluster["exemplar_image_ids"]]
            (folder / file).write_bytes(sheets.sheet(pictures, max_pixels=max_pixels, title=title, columns=6))
            rows.append(
                (
                    purpose,
                    fit["fit_id"],
                    cluster["cluster_id"],
                    cluster["size"],
                    cluster["proposed_category"],
                    cluster["category"],
                    "yes" if cluster["reviewed"] else "no",
                    cluster["evidence"],
                    file,
                    " ".join(cluster["exemplar_image_ids"]),
                )
            )
        (folder / f"{purpose}.csv").write_bytes(csvs.render(COLUMNS, rows))
        copy_folder(spark, folder, out)
    path = f"{out.rstrip('/')}/{purpose}.csv"
    log.info("edit the column category in %s, then apply it", path)
    return {
        "purpose": purpose,
        "fit_id": fit["fit_id"],
        "clusters": len(clusters),
        "categories": len({cluster["category"] for cluster in clusters}),
        "csv": path,
    }


def apply(spark: SparkSession, config: Config, csv: str, purpose: str = "categories") -> dict[str, Any]:
    """Use the names of an edited CSV; every cluster in it counts as reviewed.

    Nothing is written unless the whole file is right. Takes the lake's lock and leaves a row in `runs`.

    Args:
        spark: the session.
        config: of the lake.
        csv: path of the CSV that `export` wrote.
        purpose: what it names.

    Returns:
        For the job's summary: clusters, categories, renamed clusters.

    Raises:
        ConfigError: the file is no such CSV, is of another fit or purpose, names an unknown cluster, lacks one, has one
            twice, or a name is empty or unusable; every fault with its line.
    """
    lines = csvs.read(spark, csv, _NEEDED)

    @stage(STAGE)
    def use(context: Context) -> StageReport:
        lake = context.lake
        fit = current_fit(lake, purpose)
        held = store.clusters(lake, purpose, fit["fit_id"]).select("cluster_id", "category").collect()
        names = _checked(csv, lines, purpose, fit["fit_id"], [row["cluster_id"] for row in held])
        chosen = local_frame(lake.spark, sorted(names.items()), "cluster_id int, chosen string")
        named = (
            store.clusters(lake, purpose, fit["fit_id"])
            .drop("run_id")
            .join(chosen, on="cluster_id", how="inner")
            .withColumn("category", F.col("chosen"))
            .withColumn("reviewed", F.lit(True))
            .drop("chosen")
        )
        lake.write("cluster_centroids", named, scope=store.scope(lake, purpose, fit["fit_id"]))
        renamed = sum(names[row["cluster_id"]] != row["category"] for row in held)
        return StageReport(
            STAGE,
            rows_in=len(lines),
            rows_out=len(names),
            counters={"clusters": len(names), "categories": len(set(names.values())), "renamed": renamed},
        )

    report = use(spark, config)
    log.info("the next build carries the names into the profiles")
    return {"purpose": purpose, **report.counters}


def current_fit(lake: Lake, purpose: str) -> Row:
    """The current fit of a purpose, a row of `cluster_fits`.

    Raises:
        ConfigError: there is none.
    """
    found = store.current(lake, purpose) if lake.exists("cluster_fits") else None
    if found is None:
        where = lake.path or lake.schema
        raise ConfigError(f"the lake at {where} has no {purpose} clusters yet: run jobs/build_profiles.py first")
    return found


def _thumbnails(lake: Lake, clusters: Sequence[Row], max_pixels: int) -> dict[str, bytes | None]:
    """Small copies of the exemplars, by image_id; `clusters.exemplars` a cluster at most."""
    ids = sorted({image_id for cluster in clusters for image_id in cluster["exemplar_image_ids"]})
    wanted = local_frame(lake.spark, [(image_id,) for image_id in ids], "image_id string")
    images = lake.read("images").select("image_id", "content").join(F.broadcast(wanted), on="image_id", how="left_semi")
    return {row["image_id"]: row["thumbnail"] for row in sheets.thumbnails(images, max_pixels).collect()}


def _checked(path: str, lines: Sequence[csvs.Line], purpose: str, fit_id: str, known: Sequence[int]) -> dict[int, str]:
    """{cluster_id: name}; raises ConfigError with every fault."""
    faults: list[str] = []
    names: dict[int, str] = {}
    counted: Counter[int] = Counter()
    for line in lines:
        where = f"{path} line {line.number}"
        cells = {name: line.cells[name].strip() for name in _NEEDED}
        if cells["purpose"] != purpose:
            faults.append(f"{where}: this row is for {cells['purpose']!r}, not for {purpose!r}")
            continue
        if cells["fit_id"] != fit_id:
            faults.append(
                f"{where}: this row is of fit {cells['fit_id']}, but the current one is {fit_id}: export again"
            )
            break  # every other row is of that fit too
        if not cells["cluster_id"].isascii() or not cells["cluster_id"].isdigit():
            faults.append(f"{where}: {cells['cluster_id']!r} is no cluster number")
            continue
        cluster = int(cells["cluster_id"])
        counted[cluster] += 1
        if cluster not in known:
            faults.append(f"{where}: there is no cluster {cluster}; they are 0 to {max(known)}")
        elif counted[cluster] == 2:
            faults.append(f"{where}: cluster {cluster} is there twice")
        fault = name_fault(cells["category"])
        if fault:
            faults.append(f"{where}: {fault}")
        names.setdefault(cluster, cells["category"])
    else:
        missing = sorted(set(known) - set(counted))
        if missing:
            listed = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
            faults.append(f"{path}: {len(missing)} of {len(known)} clusters are missing: {listed}")
    if faults:
        raise ConfigError("\n".join(faults))
    return names
