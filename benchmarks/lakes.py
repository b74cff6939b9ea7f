"""A lake to measure a stage on: laid from Parquet files once, and a copy of it for every measurement."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.asked import Answer, Request

_FILES = 4  # of a table of the lake


def lay(request: Request, same: Mapping[str, Mapping[str, str]]) -> Answer:
    """Lay Parquet files down as a lake's tables, past `Lake.write`, which is not what is measured.

    Args:
        request: `crawl`, a folder with <table>.parquet, and `lake`.
        same: by table its columns that are the same in every row, as SQL; one that is neither here nor in the file is
            NULL.
    """
    from pyspark.sql import functions as F

    from profilelake.lake import open_lake
    from profilelake.tables import TABLES

    lake_path = Path(request["lake"])
    with tempfile.TemporaryDirectory(dir=lake_path.parent) as scratch:
        unfinished = Path(scratch) / "lake"
        with session_on(request, unfinished) as (spark, config):
            lake = open_lake(spark, config, run_id="bench")
            for table, given in same.items():
                rows = spark.read.parquet(str(Path(request["crawl"]) / f"{table}.parquet"))
                values = {**dict.fromkeys(TABLES[table].schema.names, "NULL"), **given, "run_id": "'bench'"}
                made = [
                    (F.col(c.name) if c.name in rows.columns else F.expr(values[c.name])).cast(c.type).alias(c.name)
                    for c in TABLES[table].columns
                ]
                laid = rows.select(made).repartition(_FILES)
                laid.write.format("delta").mode("append").saveAsTable(lake.name(table))
        unfinished.rename(lake_path)
    return {}


@contextmanager
def held_run(request: Request, stage: Callable[[Any, Any], object]) -> Iterator[Any]:
    """A run that holds a copy of the lake `request["lake"]`.

    Where `request["warm"]` names another lake, `stage`(spark, config) has been run on a copy of that one before, in the
    same session: what is compiled once by a JVM and by Spark is compiled then, as it is where a job has come to its
    later stages.
    """
    from profilelake import config as configuration
    from profilelake import ledger

    with _copy(Path(request["lake"])) as lake, session_on(request, lake) as (spark, config):
        if request.get("warm"):
            with _copy(Path(request["warm"])) as other:
                changed = configuration.load(arguments=[*_arguments(request, other), "lake.schema=warm"])
                with ledger.run(spark, changed, "bench"):
                    stage(spark, changed)
        with ledger.run(spark, config, "bench") as run:
            yield run


@contextmanager
def _copy(whole: Path) -> Iterator[Path]:
    """A lake of its own for one measurement. Data files, which nothing changes, are links."""

    def laid(source: str, target: str) -> None:
        if source.endswith(".parquet") and "_delta_log" not in source:
            Path(target).hardlink_to(source)
        else:
            shutil.copy2(source, target)

    with tempfile.TemporaryDirectory(prefix="bench-", dir=whole.parent) as scratch:
        yield Path(shutil.copytree(whole, Path(scratch) / "lake", copy_function=laid))


@contextmanager
def session_on(request: Request, lake: Path) -> Iterator[tuple[Any, Any]]:
    """A session on `request["master"]`, and the configuration of the lake with the arguments `request["settings"]`."""
    from profilelake import config as configuration
    from profilelake.session import session

    config = configuration.load(arguments=_arguments(request, lake))
    with session(config, "bench") as spark:
        yield spark, config


def _arguments(request: Request, lake: Path) -> list[str]:
    return [f"spark.master={request['master']}", f"lake.path={lake}", *request.get("settings", ())]


@contextmanager
def taken_in() -> Iterator[Answer]:
    """By the clock, and of processors by this process and all that it started: what of the clock was another's."""
    taken: Answer = {}
    began, spent = time.perf_counter(), _spent()
    yield taken
    taken |= {"seconds": time.perf_counter() - began, "processor_seconds": _spent() - spent}


def _spent() -> float:
    import psutil

    me, spent = psutil.Process(), 0.0
    for process in (me, *me.children(recursive=True)):
        try:
            # with those of its children that have ended
            spent += sum(process.cpu_times()[:4])
        except psutil.NoSuchProcess:  # its parent has its seconds now
            continue
    return spent
