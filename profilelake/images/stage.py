"""The picture pass: decode once on an executor, run every configured network and the face detector, write.

What a picture still needs is told by the tables: a vector, labels or faces of the configured weights, preprocessing
and settings that are there are not made again. The pass runs in chunks, each committed, so that a killed run goes on
where it stopped.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pyarrow as pa
from delta.tables import DeltaTable
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from profilelake.config import Config
from profilelake.errors import ConfigError, TooManyBadRecords
from profilelake.images.classes import imagenet_labels
from profilelake.lake import Lake
from profilelake.ledger import Context, StageReport, stage
from profilelake.session import settings
from udfs import guarded, picture_pass, weights
from udfs.picture_pass import FaceSettings, PassSpec
from udfs.runtime import DeviceError, device, runtime
from udfs.weights import WeightsError

logger = logging.getLogger(__name__)

STAGE = "images"

# Reasons that another try may heal; but for a limit that was raised since, the others lie in the picture.
_WORTH_ANOTHER_TRY = ("image_crashed", "image_timeout")
# A task's share: enough to be worth a Python worker, few enough that the last task is soon done.
_PICTURES_A_TASK = 16
_BYTES_A_TASK = 64 * 2**20
# The same where tasks are ranges of files, of two row groups each: nothing is moved, so smaller ones cost little.
_BYTES_A_RANGE = 32 * 2**20
# The property of the table `images` that keeps its row groups small (see `tables`).
_ROW_GROUP = "parquet.block.size"
# What share of a table's bytes makes it worth it to look at its files one by one.
_MOST = 0.5
# What decides the chunk of a picture: the first eight hex digits of its sha256.
_PREFIX = 8
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
        precision=images.precision,
        decode_margin=0 if images.decode_margin == "full" else images.decode_margin,
        threads=0 if images.threads == "auto" else images.threads,
        cache=images.compiled_cache or "",
        picture_timeout=images.picture_timeout,
        torch_compile=images.torch_compile,
        device_decode=images.device_decode,
    )


def check(config: Config) -> None:
    """Hash the weights of every configured network, and load those that are yours.

    Raises:
        ConfigError: weights are missing, hash to something else than they must, or are not of their network; or this
            machine, where it does the work itself, lacks the device or the precision.
    """
    spec = pass_spec(config)
    if "PYSPARK_GATEWAY_PORT" not in os.environ:  # spark-submit may know another master
        _check_device(spec, config.spark.master)
    try:
        picture_pass.describe(spec)
        for name, path in config.images.weights.items():
            if name in spec.networks:
                weights.load(name, weights.find(name, path, config.images.weights_sha256.get(name)))
    except WeightsError as error:
        raise ConfigError(str(error)) from error


def _check_device(spec: PassSpec, master: str) -> None:
    """On a local master the driver's machine is the executors'; elsewhere the first task says what it lacks."""
    if not master.startswith("local"):
        return
    try:
        runtime(device(spec.device), spec.settled_precision, 1, None)
    except DeviceError as error:
        raise ConfigError(str(error)) from error


def needs(lake: Lake, config: Config, *, refused: bool) -> DataFrame:
    """Pictures that lack something, in columns image_id, n_bytes and need array<string>: names of networks whose
    vector or labels are missing, and `faces`. Pictures that can't be decoded are left out.

    Args:
        refused: whether this stage has refused any (`_has_refused`).
    """
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
        faces = lake.read("image_faces").where(F.col("detector_sha256") == spec.faces_sha256)
        found = found.join(faces.select("image_id").withColumn("_faces", F.lit(True)), on="image_id", how="left")
        lacking.append(F.when(F.col("_faces").isNull(), F.lit(picture_pass.FACES)))
    found = found.select("image_id", "n_bytes", F.array_compact(F.array(*lacking)).alias("need"))
    lacking_something = found.where(F.size("need") > 0)
    if not refused:
        return lacking_something
    sizes = lake.read("images").select("image_id", (F.col("width").cast("bigint") * F.col("height")).alias("pixels"))
    small_enough = (F.col("reason") == "image_too_many_pixels") & (F.col("pixels") <= config.crawl.max_image_pixels)
    worth = F.col("reason").isin(*_WORTH_ANOTHER_TRY) & (F.col("attempts") < config.quarantine.max_attempts)
    hopeless = (
        failed(lake).join(sizes, on="image_id", how="left").where(~worth & ~F.coalesce(small_enough, F.lit(False)))
    )
    return lacking_something.join(hopeless.select("image_id"), on="image_id", how="left_anti")


def _has_refused(lake: Lake) -> bool:
    """Whether quarantine holds pictures of this stage: most lakes' doesn't, and need no look-ups then."""
    return not lake.read("quarantine").where(F.col("stage") == STAGE).isEmpty()


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
    return {"pictures": needs(lake, config, refused=_has_refused(lake)).count()}


@stage(STAGE)
def run(context: Context) -> StageReport:
    """Look at every picture that lacks something. Bad pictures go to quarantine and leave no row."""
    lake, config = context.lake, context.config
    spec = pass_spec(config)
    _check_device(spec, str(context.spark.sparkContext.master))
    # Not `persist`: a write to a table throws away all that is cached and was read from it. So after the vectors were
    # written, every picture of the chunk would be looked at again for its labels, and again for its faces.
    refused = _has_refused(lake)
    todo = needs(lake, config, refused=refused).localCheckpoint()
    stats = todo.agg(
        F.count("*").alias("n"),
        F.coalesce(F.sum("n_bytes"), F.lit(0)).alias("sum"),
        F.percentile_approx("n_bytes", 0.95).alias("bytes"),
    ).first()
    assert stats is not None
    total, seen = int(stats["n"]), _Seen()
    bad, tried = 0, 0
    if total:
        logger.info("%s: networks compute in %s", STAGE, spec.settled_precision)
        _size_batches(context.spark, config, int(stats["bytes"]))
        detail = DeltaTable.forName(context.spark, lake.name("images")).detail().select("sizeInBytes", "properties")
        table = detail.first()
        assert table is not None
        in_ranges = _ROW_GROUP in table["properties"]  # a table of an older version has its rows in few large groups
        work = _Work(total, int(stats["sum"]), int(table["sizeInBytes"]), in_ranges, refused)
        seen = _all_chunks(context, todo, work)
        bad, tried = _among_new(lake, config, todo, seen.bad, total)
    elif refused:
        _quarantine(lake, None)
    if bad > config.quarantine.max_share * tried:
        raise TooManyBadRecords(
            f"{bad:,} of {tried:,} new pictures ({bad / tried:.1%}) cannot be decoded, more than quarantine.max_share "
            f"({config.quarantine.max_share:.1%}) allows; select * from quarantine where stage = 'images' shows them",
            total,
            seen.bad,
        )
    return StageReport(
        STAGE,
        rows_in=total,
        rows_out=total - seen.bad,
        rows_quarantined=seen.bad,
        images=total,
        counters=seen.counters(),
    )


@dataclass(frozen=True, slots=True)
class _Work:
    """What there is to do: pictures that lack something, their bytes, those of the whole table `images`, whether its
    files can be cut into even tasks, and whether quarantine holds pictures of this stage."""

    pictures: int
    n_bytes: int
    table_bytes: int
    in_ranges: bool
    refused: bool

    def share(self, chunks: int) -> _Work:
        """About what one of the chunks has of it."""
        return replace(
            self,
            pictures=-(-self.pictures // chunks),
            n_bytes=self.n_bytes // chunks,
            table_bytes=self.table_bytes // chunks,
        )


@dataclass(frozen=True, slots=True)
class _Seen:
    """What became of pictures: how many, how many are refused, seconds of workers by step, a worker's peak memory."""

    n: int = 0
    bad: int = 0
    decode_seconds: float = 0.0
    network_seconds: float = 0.0
    face_seconds: float = 0.0
    peak_bytes: int = 0

    def __add__(self, other: _Seen) -> _Seen:
        return _Seen(
            self.n + other.n,
            self.bad + other.bad,
            self.decode_seconds + other.decode_seconds,
            self.network_seconds + other.network_seconds,
            self.face_seconds + other.face_seconds,
            max(self.peak_bytes, other.peak_bytes),
        )

    def counters(self) -> dict[str, int]:
        """For the ledger, which counts in whole numbers."""
        if not self.n:
            return {}
        return {
            "worker_decode_ms": round(self.decode_seconds * 1000),
            "worker_network_ms": round(self.network_seconds * 1000),
            "worker_face_ms": round(self.face_seconds * 1000),
            "worker_peak_mib": self.peak_bytes // 2**20,
        }


def _among_new(lake: Lake, config: Config, todo: DataFrame, bad: int, total: int) -> tuple[int, int]:
    """(bad, all) among pictures that were never tried before: those of old are looked at alone, so they would fail
    every run that tries them once more."""
    if bad <= config.quarantine.max_share * total:
        return bad, total
    again = failed(lake).where(F.col("attempts") > 1).join(todo, on="image_id", how="left_semi").count()
    return bad - again, total - again


def _size_batches(spark: SparkSession, config: Config, picture_bytes: int) -> None:
    """An Arrow batch holds pictures of about spark.arrow_batch_bytes, however large this crawl's pictures are."""
    rows = max(1, min(1024, config.spark.arrow_batch_bytes // max(1, picture_bytes)))
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(rows))


def _all_chunks(context: Context, todo: DataFrame, work: _Work) -> _Seen:
    chunks = -(-work.pictures // context.config.images.chunk)
    progress = context.progress(work.pictures, "pictures")
    seen = _Seen()
    for chunk in range(chunks):
        # A range of image_id, as even as any hash since it is one, lets a table that is clustered by it skip files.
        low, high = (f"{at * 16**_PREFIX // chunks:0{_PREFIX}x}" for at in (chunk, chunk + 1))
        mine = (F.col("image_id") >= low) & (F.lit(chunk + 1 == chunks) | (F.col("image_id") < high))
        found = _one_chunk(context, mine, todo.where(mine), work.share(chunks))
        seen += found
        progress.advance(found.n)
    return seen


def _one_chunk(context: Context, mine: Column, todo: DataFrame, work: _Work) -> _Seen:
    """Look at the chunk's pictures and commit what was seen."""
    lake, config = context.lake, context.config
    spec = pass_spec(config)
    # The ids are few (images.chunk) and the pictures heavy: the ids go to the pictures.
    pictures = (
        lake.read("images")
        .where(mine)
        .select("image_id", "content")
        .join(F.broadcast(todo.select("image_id", "need")), on="image_id", how="inner")
    )
    cores = context.spark.sparkContext.defaultParallelism
    tasks = min(cores, -(-work.pictures // _PICTURES_A_TASK))
    if tasks < cores or not work.in_ranges or work.n_bytes < _MOST * work.table_bytes:
        if tasks == cores:  # whole rounds, or some cores would be idle in the last
            tasks *= -(-work.n_bytes // (_BYTES_A_TASK * cores)) or 1
        pictures = pictures.repartition(tasks, "image_id")
    # Else the files' own ranges are as even, and the pictures need not move at all.
    with settings(context.spark, {"spark.sql.files.maxPartitionBytes": _BYTES_A_RANGE}):
        made, seen = _look_at(pictures, picture_pass.pin(spec))
    try:
        # A vector is a hundredth of its picture: as many files as tasks would be too small.
        _write(lake, spec, made.where(F.col("error").isNull()).coalesce(cores))
        if seen.bad or work.refused:
            _quarantine(lake, made)
    finally:
        made.unpersist()
    return seen


def _look_at(pictures: DataFrame, spec: PassSpec) -> tuple[DataFrame, _Seen]:
    """What the pass makes of the pictures, persisted, and counted. Pictures that end their worker are looked at again
    in processes of their own, which tells which of them they are."""
    try:
        return _counted(pictures, functools.partial(_on_executor, spec=spec))
    except Exception as error:
        if not any(words in str(error) for words in _ENDED):
            raise
        logger.warning("a picture ended the worker that looked at it: looking at this chunk again, with care (slower)")
    return _counted(pictures, functools.partial(_with_care, spec=spec))


def _counted(
    pictures: DataFrame, run_pass: Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]
) -> tuple[DataFrame, _Seen]:
    made = pictures.mapInArrow(run_pass, picture_pass.OUTPUT_DDL).persist(StorageLevel.DISK_ONLY)
    try:
        row = made.agg(
            F.count("*").alias("n"),
            F.count("error").alias("bad"),
            *[
                F.coalesce(F.sum(name), F.lit(0.0)).alias(name)
                for name in ("decode_seconds", "network_seconds", "face_seconds")
            ],
            F.coalesce(F.max("peak_bytes"), F.lit(0)).alias("peak_bytes"),
        ).first()
    except Exception:
        made.unpersist()
        raise
    assert row is not None
    return made, _Seen(**row.asDict())


def _on_executor(batches: Iterable[pa.RecordBatch], *, spec: PassSpec) -> Iterator[pa.RecordBatch]:
    return picture_pass.run_pass(iter(batches), spec)


def _with_care(batches: Iterable[pa.RecordBatch], *, spec: PassSpec) -> Iterator[pa.RecordBatch]:
    return guarded.run_guarded(iter(batches), spec)


def _write(lake: Lake, spec: PassSpec, seen: DataFrame) -> None:
    made = picture_pass.describe(spec)
    hashes = F.create_map(*[F.lit(part) for name in made for part in (name, made[name].weights_sha256)])
    preprocessing = F.create_map(*[F.lit(part) for name in made for part in (name, made[name].preprocessing)])
    vectors = seen.select("image_id", F.explode("embeddings").alias("made")).select(
        "image_id",
        "made.backbone",
        "made.embedding",
        hashes[F.col("made.backbone")].alias("weights_sha256"),
        preprocessing[F.col("made.backbone")].alias("preprocessing"),
    )
    labels = seen.select("image_id", F.explode("labels").alias("made")).select(
        "image_id",
        "made.*",
        F.get(F.lit(list(imagenet_labels())), F.col("made.class_index")).alias("label"),
        hashes[F.col("made.network")].alias("weights_sha256"),
    )
    tables = {"image_embeddings": vectors, "image_labels": labels}
    if spec.faces is not None:
        tables["image_faces"] = seen.where(F.col("faces").isNotNull()).select(
            "image_id", "faces.*", F.lit(spec.faces_sha256).alias("detector_sha256")
        )
    # None waits for another; a killed run is made up for by the next one, whichever of them were written.
    with ThreadPoolExecutor(len(tables)) as lanes:
        for written in [lanes.submit(lake.write, *table) for table in tables.items()]:
            written.result()


def _quarantine(lake: Lake, seen: DataFrame | None) -> None:
    """One row a place of every refused picture. Places that are gone leave, and so do pictures of which another look
    made something; those refused again keep their first time."""
    known = failed(lake)
    if seen is not None:
        refused = seen.where(F.col("error").isNotNull())
        known = known.join(seen.select("image_id"), on="image_id", how="left_anti").unionByName(
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
