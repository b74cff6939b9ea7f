"""What one run of ingest keeps between its steps: Parquet below the lake, gone when the run ends."""

from __future__ import annotations

import hashlib
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from profilelake.config import Config
from profilelake.ingest.crawl import escaped, qualified
from profilelake.lake import Lake


class Staging:
    """A folder of intermediate results. Use as a context manager: it is emptied at both ends, and so is what a killed
    run left (the lake's lock is held, no other run is alive)."""

    def __init__(self, spark: SparkSession, lake: Lake, config: Config) -> None:
        self._spark = spark
        own = hashlib.sha256((lake.path or lake.schema).encode()).hexdigest()[:12]
        if config.crawl.staging is not None:
            folder = f"{config.crawl.staging.rstrip('/')}/profilelake-{own}"
        elif lake.path is not None:
            folder = f"{lake.path.rstrip('/')}/_staging"
        else:
            # A managed lake has no folder of its own; Spark on YARN keeps its staging in the user's home folder too.
            jvm: Any = spark._jvm
            file_system = jvm.org.apache.hadoop.fs.FileSystem.get(spark._jsc.hadoopConfiguration())
            folder = f"{file_system.getHomeDirectory().toString()}/.profilelake-staging-{own}"
        path, self._file_system = qualified(spark, folder)
        self.path = str(path.toString())
        self._hadoop_path = path

    def __enter__(self) -> Staging:
        self._clear()
        return self

    def __exit__(self, *error: object) -> None:
        self._clear()

    def _clear(self) -> None:
        if self._file_system.exists(self._hadoop_path):
            self._file_system.delete(self._hadoop_path, True)

    def keep(self, name: str, rows: DataFrame, by: str | None = None) -> DataFrame:
        """Write rows once (more of the same name are added) and read them back: what follows no longer depends on the
        crawl, which may change while it is read. by: an int column; who looks for one value of it reads no other
        rows."""
        rows.write.mode("append").parquet(f"{self.path}/{name}", partitionBy=by)
        return self.read(name, rows)

    def read(self, name: str, like: DataFrame) -> DataFrame:
        """What was kept under a name."""
        return self._spark.read.schema(like.schema).parquet(escaped(f"{self.path}/{name}"))
