"""Every case of the benchmark: what is asked of which process, and which rows it makes."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.asked import ask
from benchmarks.kmeans import targets as t
from benchmarks.kmeans.data import vectors
from benchmarks.kmeans.sizes import Sizes
from benchmarks.rows import Row, Rows, ratio
from profilelake.clusters.silhouette import choose
from udfs.runtime import has_bf16

_TWO = "local[2]"


@dataclass(frozen=True, slots=True)
class Bench:
    """What all cases share. faiss: its interpreter, None where its environment cannot be made. keep: called after each
    measurement, as all of them take an hour and more."""

    sizes: Sizes
    cache: Path
    faiss: Path | None
    rows: Rows
    keep: Callable[[], None] = lambda: None

    def ask(self, case: str, n: int, width: int, ks: Sequence[int], **more: Any) -> dict[str, Any]:
        """What a process of its own measured."""
        folder = vectors(self.cache, n, width)
        request = {"case": case, "folder": str(folder), "ks": list(ks), "iterations": self.sizes.iterations,
                   "master": _TWO, "precision": "auto", **more}  # fmt: skip
        python = self.faiss if case == "faiss" and self.faiss is not None else Path(sys.executable)
        return ask(python, "benchmarks.kmeans.measure", request)

    def seconds(self, case: str, subject: str, value: float) -> None:
        """A row of seconds."""
        print(f"{subject}, {case}: {value:.1f} s", file=sys.stderr)
        self.rows.add(case, subject, t.SECONDS, "s", value)
        self.keep()

    def memory(self, case: str, subject: str, found: Mapping[str, Any]) -> None:
        """A row of what all processes of a measurement held."""
        self.rows.add(case, subject, "memory of all processes", "GB", found["bytes"] / 1e9)


def subject(n: int, width: int, what: str) -> str:
    """How rows call what is clustered."""
    return f"{what}, {n:,} x {width:,}"


PARTS = ("sweeps", "single", "passes", "growth", "masters")


def run_all(bench: Bench, parts: Collection[str] = PARTS) -> None:
    """All of it, or some parts; what targets rest on in rounds, so that whatever else the machine does meets all of
    it."""
    swept: dict[str, Any] | None = None
    for _ in range(bench.sizes.rounds):
        if "sweeps" in parts:
            swept = sweeps(bench)
        if "single" in parts:
            single_fits(bench)
        if "sweeps" in parts:
            peers_sweeps(bench)
    if swept is not None:
        quality(bench, swept)
    for part, measure in (("passes", passes), ("growth", growth), ("masters", masters)):
        if part in parts:
            measure(bench)
    _ratios(bench)


def sweep(bench: Bench, case: str, n: int, width: int, **more: Any) -> dict[str, Any]:
    """Our sweep, from a Delta table to all fits and silhouettes."""
    found = bench.ask("ours", n, width, bench.sizes.ks, **more)
    name = subject(n, width, t.SWEEP)
    bench.seconds(case, name, found["seconds"][0])
    bench.memory(case, name, found)
    for k in bench.sizes.modelled:
        bench.rows.add(case, name, f"inertia of k = {k}", "1", found["inertia"][bench.sizes.ks.index(k)])
    bench.rows.add(case, name, "passes", "passes", len(found["passes"]) + 1)
    bench.rows.add(case, name, "memory of workers", "GB", found["workers_bytes"] / 1e9)
    bench.rows.add(case, name, "memory of the driver's Python", "GB", found["driver_bytes"] / 1e9)
    bench.rows.add(case, name, "memory of workers / vectors", "1", found["workers_bytes"] / (4 * n * width))
    return found


def sweeps(bench: Bench) -> dict[str, Any]:
    """Ours in both precisions, which are one where the processor has no bf16. Returns what the first said."""
    sizes = bench.sizes
    found = sweep(bench, t.OURS, sizes.rows, sizes.widths[0])
    if has_bf16():
        sweep(bench, t.OURS_FP32, sizes.rows, sizes.widths[0], precision="fp32")
    else:
        bench.seconds(t.OURS_FP32, subject(sizes.rows, sizes.widths[0], t.SWEEP), found["seconds"][0])
    return found


def peers_sweeps(bench: Bench) -> None:
    """Peers have no sweep: they are measured for three k, and seconds are linear in k."""
    sizes = bench.sizes
    name = subject(sizes.rows, sizes.widths[0], t.SWEEP)
    peers = [(t.SKLEARN, "scikit-learn", {}), (t.ML, "pyspark.ml", {"silhouette": True})]
    if bench.faiss is not None:
        peers.append((t.FAISS, "faiss", {}))
    for case, peer, more in peers:
        if case == t.ML and bench.rows.values(case, name, t.SECONDS):
            continue  # minutes, and hardly another the second time
        found = bench.ask(peer, sizes.rows, sizes.widths[0], sizes.modelled, **more)
        measured = found["seconds"]
        bench.memory(case, name, found)
        for k, seconds, inertia in zip(sizes.modelled, measured, found["inertia"], strict=True):
            bench.rows.add(case, name, f"seconds of k = {k}", "s", seconds)
            bench.rows.add(case, name, f"inertia of k = {k}", "1", inertia)
        slope, base = np.polyfit(sizes.modelled, measured, 1)
        bench.seconds(case, name, float(sum(base + slope * k for k in sizes.ks)))


def single_fits(bench: Bench) -> None:
    """One fit."""
    sizes = bench.sizes
    wide, many = (sizes.rows, sizes.widths[1]), (sizes.many, sizes.widths[0])
    asked = [(t.OURS, "ours", wide), (t.OURS, "ours", many), (t.SKLEARN, "scikit-learn", many)]
    if bench.faiss is not None:
        asked.append((t.FAISS, "faiss", many))
    if not bench.rows.values(t.ML, subject(*wide, t.SINGLE), t.SECONDS):
        asked += [(t.ML, "pyspark.ml", wide), (t.SKLEARN, "scikit-learn", wide)]
    for case, peer, of in asked:
        found = bench.ask(peer, *of, [sizes.single])
        bench.seconds(case, subject(*of, t.SINGLE), found["seconds"][0])
        bench.memory(case, subject(*of, t.SINGLE), found)
        bench.rows.add(case, subject(*of, t.SINGLE), "inertia", "1", found["inertia"][0])


def growth(bench: Bench) -> None:
    """How a sweep's time and memory grow with rows; what 300 rows take is its start-up."""
    sizes = bench.sizes
    if not bench.rows.values(t.OURS, subject(sizes.rows, sizes.widths[0], t.SWEEP), t.SECONDS):
        sweep(bench, t.OURS, sizes.rows, sizes.widths[0])
    sweep(bench, t.OURS, sizes.few, sizes.widths[0])
    sweep(bench, t.OURS, sizes.many, sizes.widths[0])
    sweep(bench, t.OURS, sizes.rows, sizes.widths[1])
    begun = bench.ask("ours", 300, sizes.widths[0], [k for k in sizes.ks if k <= 100])
    start = begun["seconds"][0]
    bench.rows.add(t.OURS, t.SWEEP, "start-up", "s", start)
    of = [bench.rows.values(t.OURS, subject(n, sizes.widths[0], t.SWEEP), t.SECONDS) for n in (sizes.rows, sizes.many)]
    rows, many = (statistics.median(values) - start for values in of)
    bench.rows.add(t.OURS, t.SWEEP, t.GROWTH, "1", many / rows)
    peaks = [
        bench.rows.values(t.OURS, subject(n, sizes.widths[0], t.SWEEP), "memory of the driver's Python")[0]
        for n in (sizes.few, sizes.many)
    ]
    bench.rows.add(t.OURS, t.SWEEP, t.DRIVER, "1", peaks[1] / peaks[0])
    bench.rows.add(
        t.OURS, t.SWEEP, t.WORKERS, "1",
        bench.rows.values(t.OURS, subject(sizes.many, sizes.widths[0], t.SWEEP), "memory of workers / vectors")[0],
    )  # fmt: skip


def masters(bench: Bench) -> None:
    """The same sweep on one core, and on executors in JVMs of their own."""
    sizes = bench.sizes
    for master in ("local[1]", "local-cluster[2,1,2048]"):
        sweep(bench, f"ours, {master}", sizes.rows, sizes.widths[0], master=master)


def passes(bench: Bench) -> None:
    """Passes over the same rows with the same number of centroids, in Spark and in one process without it."""
    sizes = bench.sizes
    name = subject(sizes.rows, sizes.widths[0], "a pass")
    few = min(6, sizes.iterations)
    for case, peer in ((t.OURS, "ours"), (t.ALONE, "one process")):
        found = bench.ask(peer, sizes.rows, sizes.widths[0], sizes.ks, iterations=few)
        # The first pass has sums of all rows to make; in ours what ends the list is the last pass.
        own = found["passes"][: few - 1] if peer == "ours" else found["passes"][1:]
        bench.rows.add_all(case, name, t.SECONDS, "s", own)


def quality(bench: Bench, found: dict[str, Any]) -> None:
    """The inertia of the k that a sweep of ours chooses against scikit-learn's best of ten."""
    sizes = bench.sizes
    k = choose(sizes.ks, found["silhouette"], smoothing=5, decline=0.02).k
    theirs = bench.ask("scikit-learn", sizes.rows, sizes.widths[0], [k], n_init=10)
    mine = found["inertia"][list(sizes.ks).index(k)]
    bench.rows.add(t.OURS, t.SWEEP, "chosen k", "clusters", k)
    bench.rows.add(t.OURS, t.SWEEP, t.INERTIA, "1", mine / theirs["inertia"][0])


def _ratios(bench: Bench) -> None:
    sizes, rows = bench.sizes, bench.rows
    swept = subject(sizes.rows, sizes.widths[0], t.SWEEP)
    wide = subject(sizes.rows, sizes.widths[1], t.SINGLE)
    many = subject(sizes.many, sizes.widths[0], t.SINGLE)
    a_pass = subject(sizes.rows, sizes.widths[0], "a pass")
    pairs = [(t.ML, t.OURS, swept), (t.SKLEARN, t.OURS, swept), (t.SKLEARN, t.OURS_FP32, swept),
             (t.FAISS, t.OURS, swept), (t.ML, t.OURS, wide), (t.OURS, t.SKLEARN, many), (t.FAISS, t.OURS, many),
             (t.ALONE, t.OURS, a_pass)]  # fmt: skip
    for over, under, name in pairs:
        above, below = rows.row(over, name, t.SECONDS), rows.row(under, name, t.SECONDS)
        if above is not None and below is not None:
            made = ratio(f"{over} / {under}", _short(name), above, below)
            rows.keep(Row(made.case, made.subject, "ratio of seconds", "1", made.runs, made.min, made.median, made.max))


def _short(name: str) -> str:
    return name.split(", ", 1)[0] if name.startswith((t.SWEEP, "a pass")) else name
