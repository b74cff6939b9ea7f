"""Every case of the benchmark: what is asked of which process, and which rows it makes."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.asked import Answer, ask
from benchmarks.behaviour import targets as t
from benchmarks.behaviour.compare import compare
from benchmarks.behaviour.data import crawl
from benchmarks.behaviour.definitions import RESULTS
from benchmarks.behaviour.sizes import Sizes
from benchmarks.rows import RATIO, Rows, ratio
from profilelake.behaviour import attributes
from profilelake.tables import FORMAT

_MODULE = "benchmarks.behaviour.measure"
_CORES = 2
_LOCAL = f"local[{_CORES}]"
# Executors in JVMs of their own: with a local master the driver does their work, too.
_APART = f"local-cluster[{_CORES},1,2048]"


@dataclass(frozen=True, slots=True)
class Bench:
    """What all cases share. duckdb: its interpreter, None where its environment cannot be made."""

    sizes: Sizes
    cache: Path
    duckdb: Path | None
    rows: Rows

    def lake(self, posts: int) -> Path:
        """A lake of so many posts, clustered and with faces, whose users nobody has measured; laid once."""
        path = self.cache / f"lake-{posts}-{FORMAT[0]}.{FORMAT[1]}"
        if not path.is_dir():
            request = {"case": "lay", "crawl": str(crawl(self.cache, posts)), "lake": str(path), "master": _LOCAL}
            ask(Path(sys.executable), _MODULE, request)
        return path

    def ask(self, case: str, posts: int, **more: Any) -> Answer:
        """What a process of its own measured."""
        request = {"case": case, "lake": str(self.lake(posts)), "master": _LOCAL, **more}
        python = self.duckdb if case == "duckdb" and self.duckdb is not None else Path(sys.executable)
        return ask(python, _MODULE, request)

    def timed(self, name: str, case: str, posts: int, **more: Any) -> None:
        """The same, and its seconds as a row."""
        found = self.ask(case, posts, **more)
        print(f"{t.subject(posts)}, {name}: {found['seconds']:.1f} s", file=sys.stderr)
        self.rows.add(name, t.subject(posts), t.SECONDS, "s", found["seconds"])
        self.rows.add(name, t.subject(posts), t.PROCESSORS, "s", found["processor_seconds"])


def run_all(bench: Bench) -> None:
    """All of it; what targets rest on in rounds, so that whatever else the machine does meets all of it."""
    sizes = bench.sizes
    agree(bench)
    for _ in range(sizes.rounds):
        for posts in (sizes.tiny, sizes.few, sizes.posts):
            bench.timed(t.STAGE, "stage", posts)
        bench.timed(t.WARM, "stage", sizes.posts, warm=str(bench.lake(sizes.tiny)))
        bench.timed(t.FRAMES, "frames", sizes.posts, types=True)
        bench.timed(t.WITHOUT_TYPES, "frames", sizes.posts, types=False)
        if bench.duckdb is not None:
            bench.timed(t.DUCKDB, "duckdb", sizes.few, **_yardstick())
            bench.timed(t.DUCKDB, "duckdb", sizes.posts, **_yardstick())
    memory(bench)
    _ratios(bench)


def agree(bench: Bench) -> None:
    """Raises DifferError where DuckDB finds anything else than the stage."""
    if bench.duckdb is None:
        return
    for posts in (bench.sizes.few, bench.sizes.posts):
        with tempfile.TemporaryDirectory(prefix="bench-behaviour-") as scratch:
            ours, theirs = f"{scratch}/ours", f"{scratch}/theirs"
            bench.ask("stage", posts, results=ours)
            bench.ask("duckdb", posts, results=theirs, **_yardstick())
            for name in RESULTS:
                compare(name, pq.read_table(f"{ours}/{name}"), pq.read_table(f"{theirs}/{name}"))


def _yardstick() -> dict[str, Any]:
    return {"threads": _CORES, "attributes": attributes.load(None)}


def memory(bench: Bench) -> None:
    """What the driver holds while the stage runs, which takes longer so: its garbage is collected all the time."""
    sizes = bench.sizes
    held = []
    for posts in (sizes.few, sizes.posts):
        found = bench.ask("stage", posts, master=_APART, memory=True)
        for name, key in (("heap of the JVM", "jvm_bytes"), ("Python", "python_bytes")):
            bench.rows.add(t.DRIVER, t.subject(posts), f"{t.MEMORY}, {name}", "GB", found[key] / 1e9)
        held.append(found["jvm_bytes"] + found["python_bytes"])
        bench.rows.add(t.DRIVER, t.subject(posts), t.MEMORY, "GB", held[-1] / 1e9)
    bench.rows.add(t.DRIVER, t.grown(sizes), RATIO, "1", held[1] / held[0])


def _ratios(bench: Bench) -> None:
    sizes, rows = bench.sizes, bench.rows
    many, few, start = (
        rows.values(t.STAGE, t.subject(posts), t.SECONDS) for posts in (sizes.posts, sizes.few, sizes.tiny)
    )
    rows.add_all(t.STAGE, t.grown(sizes), RATIO, "1", t.growth(many, few, start))
    for case in (t.STAGE, t.FRAMES, t.WITHOUT_TYPES):
        for posts in (sizes.few, sizes.posts):
            ours, theirs = (rows.row(name, t.subject(posts), t.SECONDS) for name in (case, t.DUCKDB))
            if ours is not None and theirs is not None:
                rows.keep(ratio(f"{case} / {t.DUCKDB}", t.subject(posts), ours, theirs))
