"""What the benchmark measures: `python -m benchmarks.behaviour.measure <request.json> <answer.json>`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks import lakes
from benchmarks.asked import Answer, Request, answer_with
from benchmarks.behaviour.data import SAME
from benchmarks.behaviour.definitions import INPUTS, RESULTS, statements
from benchmarks.lakes import held_run, taken_in
from benchmarks.watch import watched

_EVERY = 0.5  # seconds between two looks at the driver's memory


def lay(request: Request) -> Answer:
    """Lay the crawl's Parquet files down as a lake's tables."""
    return lakes.lay(request, SAME)


def stage(request: Request) -> Answer:
    """The stage as shipped, within a run: from Delta tables to Delta tables, all of it, in a session that is warm where
    `warm` is given.

    Its results are written to the folder `results` as Parquet afterwards, if one is given.
    """
    from profilelake.behaviour import stage as behaviour

    with held_run(request, behaviour.run) as run:
        with _memory(run.spark) if request.get("memory") else nullcontext({}) as held, taken_in() as taken:
            report = behaviour.run(run.spark, run.config)
        if request.get("results"):
            for name in RESULTS:
                run.lake.read(name).write.parquet(f"{request['results']}/{name}")
    return {**taken, "users": report.rows_out, **held}


def frames(request: Request) -> Answer:
    """The same work, but what the stage writes goes nowhere. request: `types`, whether users get theirs."""
    from profilelake.behaviour import stage as behaviour
    from profilelake.lake import Lake, WriteResult
    from profilelake.ledger import Context

    def evaluated(lake: Lake, table: str, rows: Any) -> WriteResult:
        rows.write.format("noop").mode("overwrite").save()
        return WriteResult()

    with held_run(request, behaviour.run) as run, ExitStack() as stack:
        stack.enter_context(patch.object(Lake, "write", evaluated))
        if not request["types"]:
            stack.enter_context(patch.object(behaviour, "_write_types", lambda *_: (0, [])))
        # past what enters the stage in the ledger, which misses the rows
        work = behaviour.run.__wrapped__  # type: ignore[attr-defined]
        with taken_in() as taken:
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
    with taken_in() as taken:
        for statement in statements():
            db.execute(statement)
    if request.get("results"):
        for name in RESULTS:
            folder = Path(request["results"]) / name
            folder.mkdir(parents=True)
            db.execute(f"COPY {name} TO '{folder}/0.parquet' (FORMAT parquet)")
    return taken


CASES: Mapping[str, Callable[[Request], Answer]] = {"lay": lay, "stage": stage, "frames": frames, "duckdb": duckdb}


def _memory(spark: Any) -> AbstractContextManager[dict[str, int]]:
    """The most that the driver's JVM holds on its heap, right after it was asked to collect its garbage each time, and
    the most resident memory of its Python."""
    import psutil

    java, me = spark._jvm.java.lang, psutil.Process()

    def look() -> dict[str, int]:
        java.System.gc()
        heap = java.Runtime.getRuntime()
        return {"jvm_bytes": heap.totalMemory() - heap.freeMemory(), "python_bytes": me.memory_info().rss}

    return watched(look, _EVERY)


if __name__ == "__main__":
    answer_with(CASES)
