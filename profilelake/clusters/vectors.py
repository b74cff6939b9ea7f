"""The vectors that categories rest on, and what identifies a set of them."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from profilelake.config import Config
from profilelake.lake import Lake

# Weights and preprocessings of one backbone that a lake can hold at once; more than a few are a defect elsewhere.
_KINDS = 100


@dataclass(frozen=True)
class Source:
    """Vectors that one network, with one set of weights and one preprocessing, made: only these can be compared.

    `vectors`: image_id, embedding; `images`: how many; `others`: pictures with vectors of other weights only.
    """

    backbone: str
    weights_sha256: str
    preprocessing: str
    vectors: DataFrame
    images: int
    others: int

    def made(self, fit: Row) -> bool:
        """Whether a row of `cluster_fits` clusters vectors of this network, weights and preprocessing."""
        return all(fit[key] == getattr(self, key) for key in ("backbone", "weights_sha256", "preprocessing"))


@dataclass(frozen=True)
class Digest:
    """What identifies a set of pictures, whatever order they lie in.

    `images`: how many; `distinct`: different vectors among them; `total`, `xor`: of the hashes of their ids.
    """

    images: int
    distinct: int
    total: str
    xor: int


def current(lake: Lake, config: Config) -> Source | None:
    """The vectors of the first configured backbone that were written last, if there are any.

    With `images.weights_sha256` set for it, only vectors of these weights count.
    """
    backbone = config.images.embed[0]
    rows = lake.read("image_embeddings").where(F.col("backbone") == backbone)
    kinds = (
        rows.groupBy("weights_sha256", "preprocessing")
        .agg(F.count("*").alias("images"), F.max("run_id").alias("run_id"))
        .orderBy(F.desc("run_id"), F.desc("images"), "weights_sha256", "preprocessing")
        .limit(_KINDS)
        .collect()
    )
    wanted = config.images.weights_sha256.get(backbone)
    usable = [kind for kind in kinds if wanted is None or kind["weights_sha256"] == wanted]
    if not usable:
        return None
    weights, preprocessing = usable[0]["weights_sha256"], usable[0]["preprocessing"]
    same = (F.col("weights_sha256") == weights) & (F.col("preprocessing") == preprocessing)
    return Source(
        backbone=backbone,
        weights_sha256=weights,
        preprocessing=preprocessing,
        vectors=rows.where(same).select("image_id", "embedding"),
        images=usable[0]["images"],
        others=sum(kind["images"] for kind in kinds) - usable[0]["images"],
    )


def digest(vectors: DataFrame) -> Digest:
    """The digest of (image_id, embedding) rows, in one aggregation."""
    hashed = F.xxhash64("image_id")
    row = vectors.agg(
        F.count("*").alias("images"),
        F.count_distinct(F.xxhash64("embedding")).alias("distinct"),
        F.coalesce(F.sum(hashed.cast("decimal(20, 0)")), F.lit(0)).cast("string").alias("total"),
        F.coalesce(F.bit_xor(hashed), F.lit(0)).alias("xor"),
    ).first()
    assert row is not None  # an aggregate always has a row
    return Digest(**row.asDict())
