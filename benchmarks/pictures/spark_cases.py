"""The cases that run in Spark: our stage from a Delta table to Delta tables, and what people do instead.

One session, `local[2]` as set-up finds it, for all of them. Lakes are laid down once; before every run of the stage the
tables that it writes are put back as they were, so that every run does the same work.
"""

from __future__ import annotations

import functools
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks.pictures import udf_peers
from benchmarks.pictures.photographs import Photographs
from benchmarks.pictures.subjects import Subject, settings
from profilelake import config as configuration
from profilelake.config import Config
from profilelake.images import stage as images
from profilelake.ingest import stage as ingest
from profilelake.lake import Lake, open_lake
from profilelake.ledger import StageReport
from profilelake.session import settings as session_settings
from udfs import picture_pass
from udfs.embed_udf import embed_udf
from udfs.picture_pass import PassSpec

CORES = 2
# What the picture stage writes, the ledger included.
_WRITTEN = ("image_embeddings", "image_labels", "image_faces", "quarantine", "runs")
# A photograph of 1,080 pixels, about.
_PICTURE_BYTES = 210_000
# Spark's own cases read so that both cores have work: a few Parquet files a task.
_READ = {"spark.sql.files.maxPartitionBytes": str(32 * 2**20)}


@dataclass(frozen=True, slots=True)
class StageRun:
    """A run of the stage. seconds: of it all; write_seconds: in `Lake.write`, of it; report: the stage's own."""

    seconds: float
    write_seconds: float
    report: StageReport

    @property
    def rate(self) -> float:
        """Pictures a second."""
        return self.report.rows_in / self.seconds

    @property
    def peak_bytes(self) -> int:
        return self.report.counters["worker_peak_mib"] * 2**20


class SparkCases:
    """Args: scratch: folder for lakes; resnet: ResNet-50's weights."""

    def __init__(self, spark: SparkSession, photographs: Photographs, scratch: Path, resnet: Path) -> None:
        self._spark = spark
        self._photographs = photographs
        self._scratch = scratch
        self._resnet = resnet
        self._workers = 0

    def config(self, subject: Subject, lake: str) -> Config:
        """The shipped configuration for a subject and one of the lakes."""
        return configuration.load(
            arguments=[
                f"lake.path={self._scratch / lake}",
                f"lake.schema=bench_{lake}",
                f"crawl.path={self._photographs.crawl}",
                f"spark.master=local[{CORES}]",
                *settings(subject, self._resnet),
            ]
        )

    def spec(self, subject: Subject) -> PassSpec:
        """The pass that the stage runs, with what it settles on the driver, one thread a worker."""
        return picture_pass.pin(images.pass_spec(self.config(subject, "all")))

    # --- lakes --------------------------------------------------------------------------------------------------------

    def lay_lake(self, subject: Subject, name: str, n: int) -> None:
        """A lake of n pictures that no network has seen. Above the number of photographs they come again under other
        ids."""
        held = open_lake(self._spark, self.config(subject, name), run_id="bench")
        part, every = self._photographs.part, self._photographs.n
        whole = min(every, -(-n // part) * part)
        rows = self._spark.read.parquet(*self._photographs.parquet(whole)).limit(min(n, whole))
        if n > every:
            ids = F.sha2(F.concat("image_id", F.col("copy").cast("string")), 256)
            copies = self._spark.range(-(-n // every)).withColumnRenamed("id", "copy")
            rows = rows.crossJoin(copies).withColumn("image_id", ids).drop("copy").limit(n)
        sides = [F.col(side).cast("int").alias(side) for side in ("width", "height")]
        pictures = rows.select("image_id", "content", "n_bytes", *sides, F.lit("jpeg").alias("format"))
        held.write("images", pictures, n_bytes=n * _PICTURE_BYTES)  # in files as ingest makes them
        self._keep(name)

    def _keep(self, lake: str) -> None:
        for table in _WRITTEN:
            shutil.copytree(self._scratch / lake / table, self._scratch / f"{lake}.before" / table)

    def _put_back(self, lake: str) -> None:
        for table in _WRITTEN:
            shutil.rmtree(self._scratch / lake / table)
            shutil.copytree(self._scratch / f"{lake}.before" / table, self._scratch / lake / table)
        assert self._spark._jvm is not None
        self._spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()

    # --- workers ------------------------------------------------------------------------------------------------------

    def fresh_workers(self) -> None:
        """What runs from now on gets new Python workers: Spark keeps one pool for each environment of theirs."""
        self._workers += 1
        self._spark.sparkContext.environment["PROFILELAKE_BENCH_WORKERS"] = str(self._workers)

    def warm_workers(self, spec: PassSpec) -> None:
        """Every core has a worker with the pass's models in memory; Spark ends workers that were idle for a minute."""
        run = functools.partial(udf_peers.warm, spec=spec)
        self._spark.range(CORES, numPartitions=CORES).mapInArrow(run, "id bigint").collect()

    # --- cases --------------------------------------------------------------------------------------------------------

    def stage(self, subject: Subject, lake: str, *, warm: bool = True) -> StageRun:
        """(c) our stage, on a lake. warm: with workers that have the models in memory."""
        self._put_back(lake)
        config = self.config(subject, lake)
        if warm:
            self.warm_workers(self.spec(subject))
        with _write_seconds() as written:
            began = time.perf_counter()
            report = images.run(self._spark, config)
            seconds = time.perf_counter() - began
        return StageRun(seconds, sum(written), report)

    def ingest_and_stage(self, subject: Subject) -> dict[str, float]:
        """From files: seconds of ingest, and of the stage behind it. The lake has its tables already."""
        config = self.config(subject, "files")
        open_lake(self._spark, config, run_id="bench")
        self.warm_workers(self.spec(subject))
        began = time.perf_counter()
        ingest.run(self._spark, config)
        between = time.perf_counter()
        images.run(self._spark, config)
        return {"ingest": between - began, "stage": time.perf_counter() - between}

    def read_seconds(self, lake: str) -> dict[str, float]:
        """Seconds to read a lake's pictures (`read`), and to hand them to Python besides (`transfer`)."""
        pictures = self._spark.table(f"bench_{lake}.images").select("image_id", "content")
        began = time.perf_counter()
        pictures.write.format("noop").mode("overwrite").save()
        between = time.perf_counter()
        pictures.mapInArrow(udf_peers.swallow, "n bigint").write.format("noop").mode("overwrite").save()
        read = between - began
        return {"read": read, "transfer": max(0.0, time.perf_counter() - between - read)}

    def recipe(self, subject: Subject, n: int) -> float:
        """(d) seconds of the usual recipe for n pictures, without a sink."""
        path = str(self._resnet) if subject.network == "resnet50" else None
        return self._vectors(udf_peers.recipe_udf(subject.network, path), n, batch=64)

    def batch_udf(self, subject: Subject, n: int) -> float:
        """(e) seconds of `predict_batch_udf` with our decode and runtime for n pictures, without a sink."""
        spec = self.spec(subject)
        self.warm_workers(spec)
        return self._vectors(udf_peers.batch_udf(spec), n, batch=spec.batch_size)

    def own_udf(self, subject: Subject, n: int) -> float:
        """Seconds of our pandas UDF for n pictures, without a sink."""
        spec = self.spec(subject)
        self.warm_workers(spec)
        return self._vectors(embed_udf(spec), n, batch=spec.batch_size)

    def _vectors(self, udf: Any, n: int, batch: int) -> float:
        with session_settings(self._spark, {**_READ, "spark.sql.execution.arrow.maxRecordsPerBatch": str(batch)}):
            pictures: DataFrame = self._spark.read.parquet(*self._photographs.parquet(n))
            made = pictures.select("image_id", udf("content").alias("embedding"))
            began = time.perf_counter()
            made.write.format("noop").mode("overwrite").save()
            return time.perf_counter() - began


@contextmanager
def _write_seconds() -> Iterator[list[float]]:
    """The seconds of each write to the lake while it lasts."""
    spent: list[float] = []
    write = Lake.write

    @functools.wraps(write)
    def timed(self: Lake, table: str, rows: DataFrame, *rest: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            return write(self, table, rows, *rest, **named)
        finally:
            spent.append(time.perf_counter() - began)

    with patch.object(Lake, "write", timed):
        yield spent
