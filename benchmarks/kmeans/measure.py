"""One measurement in a process of its own: `python -m benchmarks.kmeans.measure <request.json> <answer.json>`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.asked import Answer, Request, answer_with
from benchmarks.watch import watched

_SEED = 20160501
_CORES = 2


def ours(request: Request) -> Answer:
    """Our engine on a Delta table: seconds from the table to all fits, and how they went."""
    from profilelake.clusters.kmeans import Settings, fit

    with _spark(request) as spark:
        table = _table(spark, request)
        settings = Settings(
            _SEED, request["iterations"], precision=request["precision"], exemplars=12, seed_rows=10_000
        )
        fit(table.limit(300), [3], settings)  # workers import what they need
        passes: list[float] = []
        with _memory() as held:
            began = time.perf_counter()
            fits = fit(table, request["ks"], settings, on_pass=lambda: passes.append(time.perf_counter()))
            seconds = time.perf_counter() - began
    return {
        "seconds": [seconds],
        "passes": np.diff(passes).tolist(),
        "inertia": [one.inertia for one in fits],
        "silhouette": [one.silhouette for one in fits],
        "iterations": [one.iterations for one in fits],
        **held,
    }


def one_process(request: Request) -> Answer:
    """The engine's own passes in one process without Spark, a thread a core: what of their rate survives in Spark."""
    from sklearn.cluster import kmeans_plusplus

    from profilelake.clusters.kmeans import Settings
    from udfs import kmeans

    x, ks = _rows(request), tuple(request["ks"])
    origin = x[:10_000].mean(axis=0)
    around, _ = kmeans_plusplus(np.subtract(x[:10_000], origin, dtype=np.float64), max(ks), random_state=_SEED)
    precision = Settings(_SEED, precision=request["precision"]).settled_precision
    how = kmeans.Arithmetic(precision, 1, kmeans.grid(np.abs(x).max(axis=0), len(x)))
    with tempfile.TemporaryDirectory(prefix="bench-kmeans-") as folder, ThreadPoolExecutor(_CORES) as pool:
        parts = np.array_split(x, 16 * -(-len(x) // (16 * 4096)))
        blocks = [
            kmeans.Block(at, len(some), some.shape[1], "", f"{folder}/{at}.npy", b"", None)
            for at, some in enumerate(parts)
        ]
        for block, some in zip(blocks, parts, strict=True):
            np.save(block.path, some)
            np.save(
                Path(block.path).with_suffix(".ids.npy"), np.zeros(len(some), [("image_id", "U1"), ("drawn", "i8")])
            )
        sizes = tuple(ks)
        centres = kmeans.Centres(ks, sizes, np.concatenate([around[:k] for k in ks]).astype(np.float32), origin)
        sums, before, seconds = np.zeros(centres.centroids.shape), None, []
        for iteration in range(1, request["iterations"] + 1):
            began = time.perf_counter()
            work = kmeans.Step(_held(centres), before and _held(before), ks, 0, iteration, how)
            shares = [blocks[at::_CORES] for at in range(_CORES)]
            told = list(pool.map(next, [kmeans.each(some, work) for some in shares]))
            whole = told[0].add(told[1])
            assert not whole.missing
            made = whole.made
            sums += made.sums
            seconds.append(time.perf_counter() - began)
            before = centres
            means = sums / np.maximum(made.counts, 1)[:, None]
            centres = kmeans.Centres(ks, sizes, (means - origin).astype(np.float32), origin)
    return {"passes": seconds}


def _held(value: object) -> Any:
    return SimpleNamespace(value=value)


def pyspark_ml(request: Request) -> Answer:
    """pyspark.ml on the same Delta table, cached beforehand: seconds of each fit, its silhouette included if asked."""
    from pyspark.ml.clustering import KMeans
    from pyspark.ml.evaluation import ClusteringEvaluator
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import functions as F

    with _spark(request) as spark:
        points = _table(spark, request).select(array_to_vector(F.col("embedding")).alias("features")).cache()
        points.count()
        answer: Answer = {"seconds": [], "inertia": []}
        with _memory() as held:
            for k in request["ks"]:
                began = time.perf_counter()
                model = KMeans(k=k, seed=_SEED, maxIter=request["iterations"], tol=0.0, solver="block").fit(points)
                if request.get("silhouette"):
                    ClusteringEvaluator().evaluate(model.transform(points))
                answer["seconds"].append(time.perf_counter() - began)
                answer["inertia"].append(model.summary.trainingCost)
    return {**answer, **held}


def scikit_learn(request: Request) -> Answer:
    """scikit-learn in one process, the data in its memory: seconds of each fit."""
    from sklearn.cluster import KMeans

    x = _rows(request)
    answer: Answer = {"seconds": [], "inertia": []}
    with _memory() as held:
        for k in request["ks"]:
            began = time.perf_counter()
            model = KMeans(
                k, n_init=request.get("n_init", 1), max_iter=request["iterations"], tol=0, algorithm="lloyd",
                random_state=_SEED,
            ).fit(x)  # fmt: skip
            answer["seconds"].append(time.perf_counter() - began)
            answer["inertia"].append(float(model.inertia_))
    return {**answer, **held}


def faiss(request: Request) -> Answer:
    """faiss in one process, the data in its memory, all of it in every iteration: seconds of each fit."""
    import faiss as library  # type: ignore[import-not-found]

    x = _rows(request)
    answer: Answer = {"seconds": [], "inertia": []}
    with _memory() as held:
        for k in request["ks"]:
            began = time.perf_counter()
            model = library.Kmeans(
                x.shape[1], k, niter=request["iterations"], seed=_SEED % 2**31, max_points_per_centroid=len(x)
            )
            model.train(x)
            answer["seconds"].append(time.perf_counter() - began)
            answer["inertia"].append(float(model.obj[-1]))
    return {**answer, **held}


CASES: Mapping[str, Callable[[Request], Answer]] = {
    "ours": ours,
    "one process": one_process,
    "pyspark.ml": pyspark_ml,
    "scikit-learn": scikit_learn,
    "faiss": faiss,
}


def _rows(request: Request) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.asarray(np.load(Path(request["folder"]) / "vectors.npy"))


@contextmanager
def _spark(request: Request) -> Iterator[Any]:
    from profilelake import config as configuration
    from profilelake.session import session

    config = configuration.load(arguments=[f"spark.master={request['master']}"])
    with session(config, "bench-kmeans") as spark:
        yield spark


def _table(spark: Any, request: Request) -> Any:
    folder = Path(request["folder"])
    delta = folder / "delta"
    if not (delta / "_delta_log").is_dir():
        spark.read.parquet(str(folder / "parquet")).write.format("delta").save(str(delta))
    return spark.read.format("delta").load(str(delta))


def _memory() -> AbstractContextManager[dict[str, int]]:
    """What is held meanwhile, at most: `bytes` by this process and all that it has started, `driver_bytes` by this one,
    `workers_bytes` by Python workers. Pages that several share count once."""
    import psutil

    me = psutil.Process()

    def look() -> dict[str, int]:
        now = dict.fromkeys(("bytes", "driver_bytes", "workers_bytes"), 0)
        for process in (me, *me.children(recursive=True)):
            try:
                size = process.memory_full_info().pss
                now["bytes"] += size
                if process == me:
                    now["driver_bytes"] += size
                elif process.name().startswith("python"):
                    now["workers_bytes"] += size
            except psutil.Error:  # it has just ended
                continue
        return now

    return watched(look, 0.25)


if __name__ == "__main__":
    answer_with(CASES)
