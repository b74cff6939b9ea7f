"""What the benchmark measures: `python -m benchmarks.behaviour.measure <request.json> <answer.json>`."""

from __future__ import annotations

import resource
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.asked import Answer, Request, answer_with
from benchmarks.behaviour.data import SAME
from benchmarks.behaviour.definitions import INPUTS, RESULTS, statements

_FILES = 4  # of a table of the lake
_EVERY = 0.5  # seconds between two looks at the driver's memory


def lay(request: Request) -> Answer:
    """Lay the crawl's Parquet files down as a lake's tables, past `Lake.write`, which is not what is measured."""
    from pyspark.sql import functions as F

    from profilelake.lake import open_lake
    from profilelake.tables import TABLES

    lake_path = Path(request["lake"])
    with tempfile.TemporaryDirectory(dir=lake_path.parent) as scratch:
        unfinished = Path(scratch) / "lake"
        with _spark(request, unfinished) as (spark, config):
            lake = open_lake(spark, config, run_id="bench")
            for table, same in SAME.items():
                rows = spark.read.parquet(str(Path(request["crawl"]) / f"{table}.parquet"))
                same = {**dict.fromkeys(TABLES[table].schema.names, "NULL"), **same, "run_id": "'bench'"}
                made = [
                    (F.col(c.name) if c.name in rows.columns else F.expr(same[c.name])).cast(c.type).alias(c.name)
                    for c in TABLES[table].columns
                ]
                laid = rows.select(made).repartition(_FILES)
                laid.write.format("delta").mode("append").saveAsTable(lake.name(table))
        unfinished.rename(lake_path)
    return {}


def stage(request: Request) -> Answer:
    """The stage as shipped, within a run: from Delta tables to Delta tables, all of it.

    Its results are written to the folder `results` as Parquet afterwards, if one is given.
    """
    from profilelake.behaviour import stage as behaviour

    with _run(request) as run:
        with _peak(run.spark) if request.get("memory") else _unwatched() as peak, _taken() as taken:
            report = behaviour.run(run.spark, run.config)
        if request.get("results"):
            for name in RESULTS:
                run.lake.read(name).write.parquet(f"{request['results']}/{name}")
    return {**taken, "users": report.rows_out, **peak()}


def frames(request: Request) -> Answer:
    """The same work, but what the stage writes goes nowhere. request: `types`, whether users get theirs."""
    from profilelake.behaviour import stage as behaviour
    from profilelake.lake import Lake, WriteResult
    from profilelake.ledger import Context

    def evaluated(lake: Lake, table: str, rows: Any) -> WriteResult:
        rows.write.format("noop").mode("overwrite").save()
        return WriteResult()

    with _run(request) as run, ExitStack() as stack:
        stack.enter_context(patch.object(Lake, "write", evaluated))
        if not request["types"]:
            stack.enter_context(patch.object(behaviour, "_write_types", lambda *_: (0, [])))
        # past what enters the stage in the ledger, which misses the rows
        work = behaviour.run.__wrapped__  # type: ignore[attr-defined]
        with _taken() as taken:
            work(Context(run.spark, run.config, run.lake, run.run_id, behaviour.NAME))
    return taken


def duckdb(request: Request) -> Answer:
    """DuckDB with two threads, from the data files of the same Delta tables to tables in memory.

    request: `attributes`, the categories of each.
    """
    import duckdb as library

    db = library.connect(config={"threads": request["threads"]})
    for name in INPUTS:
        # Nothing was ever deleted from these tables: their data files are what they hold.
        db.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{request['lake']}/{name}/*.parquet')")
    db.execute("CREATE TABLE attributes (attribute VARCHAR, category VARCHAR)")
    listed = [[attribute, name] for attribute, names in request["attributes"].items() for name in names]
    db.executemany("INSERT INTO attributes VALUES (?, ?)", listed)
    with _taken() as taken:
        for statement in statements():
            db.execute(statement)
    if request.get("results"):
        for name in RESULTS:
            folder = Path(request["results"]) / name
            folder.mkdir(parents=True)
            db.execute(f"COPY {name} TO '{folder}/0.parquet' (FORMAT parquet)")
    return taken


CASES: Mapping[str, Callable[[Request], Answer]] = {"lay": lay, "stage": stage, "frames": frames, "duckdb": duckdb}


@contextmanager
def _run(request: Request) -> Iterator[Any]:
    """A run that holds a lake of its own."""
    from profilelake import ledger

    with _copy(request) as lake, _spark(request, lake) as (spark, config), ledger.run(spark, config, "bench") as run:
        yield run


@contextmanager
def _copy(request: Request) -> Iterator[Path]:
    """A lake of its own for one measurement. Data files, which nothing changes, are links."""

    def laid(source: str, target: str) -> None:
        if source.endswith(".parquet") and "_delta_log" not in source:
            Path(target).hardlink_to(source)
        else:
            shutil.copy2(source, target)

    whole = Path(request["lake"])
    with tempfile.TemporaryDirectory(prefix="bench-behaviour-", dir=whole.parent) as scratch:
        yield Path(shutil.copytree(whole, Path(scratch) / "lake", copy_function=laid))


@contextmanager
def _spark(request: Request, lake: Path) -> Iterator[tuple[Any, Any]]:
    from profilelake import config as configuration
    from profilelake.session import session

    config = configuration.load(arguments=[f"spark.master={request['master']}", f"lake.path={lake}"])
    with session(config, "bench-behaviour") as spark:
        yield spark, config


@contextmanager
def _taken() -> Iterator[Answer]:
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


@contextmanager
def _unwatched() -> Iterator[Callable[[], Answer]]:
    yield dict


@contextmanager
def _peak(spark: Any) -> Iterator[Callable[[], Answer]]:
    """The most that the driver's JVM holds on its heap, right after it was asked to collect its garbage each time, and
    the most resident memory of its Python."""
    java, most, done = spark._jvm.java.lang, [0], threading.Event()

    def watch() -> None:
        while not done.wait(_EVERY):
            java.System.gc()
            heap = java.Runtime.getRuntime()
            most[0] = max(most[0], heap.totalMemory() - heap.freeMemory())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield lambda: {
            "jvm_bytes": most[0],
            "python_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
    finally:
        done.set()
        thread.join()


if __name__ == "__main__":
    answer_with(CASES)
