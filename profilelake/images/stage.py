"""The picture pass: decode once on an executor, run every configured network and the face detector, write.

What a picture still needs is told by the tables: a vector, labels or faces of the configured weights, preprocessing
and settings that are there are not made again. The pass runs in chunks, each committed, so that a killed run goes on
where it stopped.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from profilelake.config import Config
from profilelake.errors import ConfigError, TooManyBadRecords
from profilelake.lake import Lake, WriteResult
from profilelake.ledger import Context, StageReport, stage
from udfs import guarded, picture_pass
from udfs.picture_pass import FaceSettings, PassSpec
from udfs.weights import WeightsError

logger = logging.getLogger(__name__)

STAGE = "images"

# Reasons that another try may heal; the others lie in the picture.
_WORTH_ANOTHER_TRY = ("image_crashed", "image_timeout")
_PARTITIONS_PER_CORE = 2
# What Spark says of a job whose Python worker, or whose executor, ended under it.
_ENDED = ("Python worker exited unexpectedly", "ExecutorLostFailure")


def pass_spec(config: Config) -> PassSpec:
    """The pass that a configuration asks for."""
    images = config.images
    faces = FaceSettings(min_score=images.face_min_score, long_side=images.face_long_side) if images.faces else None
    return PassSpec(
        embed=tuple(images.embed),
        label=tuple(images.label),
        faces=faces,
        weights=tuple(sorted(images.weights.items())),
        weights_sha256=tuple(sorted(images.weights_sha256.items())),
        device=images.device,
        batch_size=images.batch_size,
        max_pixels=config.crawl.max_image_pixels,
        decode_min_side=images.decode_min_side,
        threads=images.threads,
        picture_timeout=images.picture_timeout,
    )


def check(config: Config) -> None:
    """Hash the weights of every configured network.

    Raises:
        ConfigError: weights are missing or hash to something else than they must.
    """
    try:
        picture_pass.describe(pass_spec(config))
    except WeightsError as error:
        raise ConfigError(str(error)) from error


def needs(lake: Lake, config: Config) -> DataFrame:
    """Pictures that lack something, in columns image_id, n_bytes and need array<string>: names of networks whose
    vector or labels are missing, and `faces`. Pictures that can't be decoded are left out."""
    spec = pass_spec(config)
    made = picture_pass.describe(spec)
    found = lake.read("images").select("image_id", "n_bytes")
    lacking = []
    for name in dict.fromkeys([*spec.embed, *spec.label]):
        has = []
        if name in spec.embed:
            vectors = lake.read("image_embeddings").where(
                (F.col("backbone") == name)
                & (F.col("weights_sha256") == made[name].weights_sha256)
                & (F.col("preprocessing") == made[name].preprocessing)
            )
            has.append((f"_vector_{name}", vectors.select("image_id")))
        if name in spec.label:
            labels = lake.read("image_labels").where(
                (F.col("network") == name)
                & (F.col("weights_sha256") == made[name].weights_sha256)
                & (F.col("rank") == 1)
            )
            has.append((f"_label_{name}", labels.select("image_id")))
        for flag, done in has:
            found = found.join(done.withColumn(flag, F.lit(True)), on="image_id", how="left")
        missing = functools.reduce(lambda a, b: a | b, [F.col(flag).isNull() for flag, _ in has])
        lacking.append(F.when(missing, F.lit(name)))
    if spec.faces is not None:
        faces = lake.read("image_faces").where(F.col("detector_sha256") == picture_pass.detector_sha256(spec.faces))
        found = found.join(faces.select("image_id").withColumn("_faces", F.lit(True)), on="image_id", how="left")
        lacking.append(F.when(F.col("_faces").isNull(), F.lit(picture_pass.FACES)))
    found = found.select("image_id", "n_bytes", F.array_compact(F.array(*lacking)).alias("need"))
    hopeless = failed(lake).where(
        ~F.col("reason").isin(*_WORTH_ANOTHER_TRY) | (F.col("attempts") >= config.quarantine.max_attempts)
    )
    return found.where(F.size("need") > 0).join(hopeless.select("image_id"), on="image_id", how="left_anti")


def failed(lake: Lake) -> DataFrame:
    """Pictures that this stage refused: image_id, reason, detail, attempts, first_seen_at; one row each."""
    refused = lake.read("quarantine").where(F.col("stage") == STAGE)
    placed = lake.read("post_images").select(
        "image_id", F.concat_ws("#", "post_id", F.col("position").cast("string")).alias("record_id")
    )
    return (
        refused.join(placed, on="record_id", how="inner")
        .groupBy("image_id")
        .agg(
            F.min(F.struct("first_seen_at", "reason", "detail", "attempts")).alias("first"),
            F.max("attempts").alias("attempts"),
        )
        .select("image_id", "first.reason", "first.detail", "attempts", "first.first_seen_at")
    )


def pending(lake: Lake, config: Config) -> dict[str, int]:
    """Pictures that a run would look at."""
    if not lake.exists("images"):
        return {"pictures": 0}
    return {"pictures": needs(lake, config).count()}


@stage(STAGE)
def run(context: Context) -> StageReport:
    """Look at every picture that lacks something. Bad pictures go to quarantine and leave no row."""
    lake, config = context.lake, context.config
    # Not `persist`: a write to a table throws away all that is cached and was read from it. So after the vectors were
    # written, every picture of the chunk would be looked at again for its labels, and again for its faces.
    todo = needs(lake, config).localCheckpoint()
    stats = todo.agg(F.count("*").alias("n"), F.percentile_approx("n_bytes", 0.95).alias("bytes")).first()
    assert stats is not None
    total = int(stats["n"])
    bad, share = 0, 0.0
    if total:
        _size_batches(context.spark, config, int(stats["bytes"]))
        bad = _all_chunks(context, todo, total)
        share = _bad_share(lake, config, todo, bad, total)
    else:
        _quarantine(lake, None)
    if share > config.quarantine.max_share:
        raise TooManyBadRecords(
            f"{bad:,} of {total:,} new pictures ({share:.1%}) cannot be decoded, more than quarantine.max_share "
            f"({config.quarantine.max_share:.1%}) allows; select * from quarantine where stage = 'images' shows them"
        )
    return StageReport(STAGE, rows_in=total, rows_out=total - bad, rows_quarantined=bad, images=total)


def _bad_share(lake: Lake, config: Config, todo: DataFrame, bad: int, total: int) -> float:
    """Share of the bad among pictures that were never tried before: those of old are looked at alone, so they would
    fail every run that tries them once more."""
    if bad / total <= config.quarantine.max_share:
        return bad / total
    again = failed(lake).where(F.col("attempts") > 1).join(todo, on="image_id", how="left_semi").count()
    return (bad - again) / max(1, total - again)


def _size_batches(spark: SparkSession, config: Config, picture_bytes: int) -> None:
    """An Arrow batch holds pictures of about spark.arrow_batch_bytes, however large this crawl's pictures are."""
    rows = max(1, min(1024, config.spark.arrow_batch_bytes // max(1, picture_bytes)))
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(rows))


def _all_chunks(context: Context, todo: DataFrame, total: int) -> int:
    chunks = -(-total // context.config.images.chunk)
    progress = context.progress(total, "pictures")
    bad = 0
    for chunk in range(chunks):
        mine = todo.where(F.pmod(F.xxhash64("image_id"), F.lit(chunks)) == chunk)
        seen, refused = _one_chunk(context, mine)
        bad += refused
        progress.advance(seen)
    return bad


def _one_chunk(context: Context, todo: DataFrame) -> tuple[int, int]:
    """Look at the chunk's pictures and commit what was seen. Returns (pictures, refused pictures)."""
    lake, config = context.lake, context.config
    spec = pass_spec(config)
    partitions = context.spark.sparkContext.defaultParallelism * _PARTITIONS_PER_CORE
    pictures = (
        lake.read("images")
        .select("image_id", "content")
        .join(todo.select("image_id", "need"), on="image_id", how="inner")
        .repartition(partitions, "image_id")
    )
    seen, n, bad = _look_at(pictures, picture_pass.pin(spec))
    try:
        _write(lake, spec, seen.where(F.col("error").isNull()))
        _quarantine(lake, seen.where(F.col("error").isNotNull()))
    finally:
        seen.unpersist()
    return n, bad


def _look_at(pictures: DataFrame, spec: PassSpec) -> tuple[DataFrame, int, int]:
    """What the pass makes of the pictures, persisted; how many there are, and how many are refused. Pictures that end
    their worker are looked at again in processes of their own, which tells which of them they are."""
    try:
        return _counted(pictures, functools.partial(_on_executor, spec=spec))
    except Exception as error:
        if not any(words in str(error) for words in _ENDED):
            raise
        logger.warning("a picture ended the worker that looked at it: looking at this chunk again, with care (slower)")
    return _counted(pictures, functools.partial(_with_care, spec=spec))


def _counted(
    pictures: DataFrame, run_pass: Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]
) -> tuple[DataFrame, int, int]:
    seen = pictures.mapInArrow(run_pass, picture_pass.OUTPUT_DDL).persist(StorageLevel.DISK_ONLY)
    try:
        counts = seen.agg(F.count("*").alias("n"), F.count("error").alias("bad")).first()
    except Exception:
        seen.unpersist()
        raise
    assert counts is not None
    return seen, int(counts["n"]), int(counts["bad"])


def _on_executor(batches: Iterable[pa.RecordBatch], *, spec: PassSpec) -> Iterator[pa.RecordBatch]:
    return picture_pass.run_pass(iter(batches), spec)


def _with_care(batches: Iterable[pa.RecordBatch], *, spec: PassSpec) -> Iterator[pa.RecordBatch]:
    return guarded.run_guarded(iter(batches), spec)


def _write(lake: Lake, spec: PassSpec, seen: DataFrame) -> WriteResult:
    made = picture_pass.describe(spec)
    weights = F.create_map(*[F.lit(part) for name in made for part in (name, made[name].weights_sha256)])
    preprocessing = F.create_map(*[F.lit(part) for name in made for part in (name, made[name].preprocessing)])
    vectors = seen.select("image_id", F.explode("embeddings").alias("made")).select(
        "image_id",
        "made.backbone",
        "made.embedding",
        weights[F.col("made.backbone")].alias("weights_sha256"),
        preprocessing[F.col("made.backbone")].alias("preprocessing"),
    )
    labels = seen.select("image_id", F.explode("labels").alias("made")).select(
        "image_id", "made.*", weights[F.col("made.network")].alias("weights_sha256")
    )
    result = lake.write("image_embeddings", vectors) + lake.write("image_labels", labels)
    if spec.faces is not None:
        faces = seen.where(F.col("faces").isNotNull()).select(
            "image_id", "faces.*", F.lit(picture_pass.detector_sha256(spec.faces)).alias("detector_sha256")
        )
        result += lake.write("image_faces", faces)
    return result


def _quarantine(lake: Lake, refused: DataFrame | None) -> None:
    """One row a place of every refused picture; places that are gone leave, pictures seen again keep their first
    time."""
    known = failed(lake)
    if refused is not None:
        known = known.join(refused.select("image_id"), on="image_id", how="left_anti").unionByName(
            refused.join(
                known.select("image_id", F.col("attempts").alias("before"), "first_seen_at"), on="image_id", how="left"
            ).select(
                "image_id",
                "error.reason",
                "error.detail",
                (F.coalesce("before", F.lit(0)) + 1).cast("int").alias("attempts"),
                F.coalesce("first_seen_at", F.current_timestamp()).alias("first_seen_at"),
            )
        )
    placed = lake.read("post_images").join(known, on="image_id", how="inner")
    posts = lake.read("posts").select("post_id", "user_id")
    rows = placed.join(posts, on="post_id", how="left").select(
        F.lit(STAGE).alias("stage"),
        F.concat_ws("#", "post_id", F.col("position").cast("string")).alias("record_id"),
        "user_id",
        "source_ref",
        "reason",
        "detail",
        "attempts",
        "first_seen_at",
    )
    scope = lake.spark.range(1).select(F.lit(STAGE).alias("stage"))
    lake.write("quarantine", rows, scope=scope)
