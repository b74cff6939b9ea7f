"""Distributed k-means: every k at once. Callers see vectors in and fits out; `fit` is the one way in."""

from __future__ import annotations

import functools
import itertools
import logging
import math
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from pyspark import RDD, StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from sklearn.cluster import kmeans_plusplus

from profilelake.errors import ConfigError, ProfilelakeError
from udfs import kmeans as udf
from udfs.kmeans import Arithmetic, Block, Centres, Partial, Precision, Told, Work
from udfs.runtime import has_bf16

log = logging.getLogger("profilelake.clusters")

# Part of every fit's id: another engine, or this one changed, makes other clusters from the same pictures.
ENGINE = "profilelake-3"

# Rows of a block at most, and into what number of blocks the rows of so many blocks are cut at least: that many
# executors have even shares.
_ROWS, _SHARES = 4096, 16
# Rows below which a block is not worth a file of its own.
_FEWEST = 64
# The origin of distances is made without rows whose squared distance from a median of some is so many times the usual.
_OF_MEDIAN, _FAR_OFF = 1000, 100
# Results that come to the driver at a time: those of more tasks are added up by executors first. Spark refuses more
# than `spark.driver.maxResultSize`, a GiB where nobody has set it.
_FEW_RESULTS, _RESULT_BYTES = 4, 2**29

Vectors = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
P = TypeVar("P", bound=Partial)
T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """How k-means runs.

    seed: of the start. max_iterations: of a k. tolerance: a k is done when a smaller share of rows than this changes
    its cluster, or none does. precision: of the matrix product; auto is bf16 where the driver's processor has it.
    seed_rows: rows that the start is drawn from. memory: bytes that a task may use (see `fit`). exemplars: rows
    remembered a cluster.
    """

    seed: int
    max_iterations: int = 20
    tolerance: float = 0.0
    precision: str = "auto"
    seed_rows: int = 10_000
    memory: int = 2**30
    exemplars: int = 0

    @property
    def settled_precision(self) -> Precision:
        """The precision with auto settled."""
        if self.precision == "auto":
            return "bf16" if has_bf16() else "fp32"
        return "bf16" if self.precision == "bf16" else "fp32"


@dataclass(frozen=True)
class Fit:
    """One k-means fit.

    k was asked for; centroids is (k or fewer, d) float32: clusters that ran empty in the last pass are left out, and
    the rest is ordered by size, the largest first. sizes: rows a cluster; silhouette: S(k), the mean simplified
    silhouette; inertia: the sum of squared distances to the own centroid; mean_distance: their mean distance;
    exemplars: of each cluster the image_ids nearest to its centroid, nearest first. reason: why there is no fit; then
    all else is empty or NaN.
    """

    k: int
    centroids: Vectors
    sizes: npt.NDArray[np.int64]
    silhouette: float
    inertia: float
    mean_distance: float
    iterations: int
    exemplars: tuple[tuple[str, ...], ...]
    reason: str | None = None


def fit(
    vectors: DataFrame,
    ks: Sequence[int],
    settings: Settings,
    *,
    start: Mapping[int, Vectors] | None = None,
    partitions: int | None = None,
    on_pass: Callable[[], None] = lambda: None,
) -> list[Fit]:
    """k-means (Lloyd) for every k at once, with Euclidean distance and the simplified silhouette.

    The start is greedy k-means++ on a seeded sample of the rows, once for the largest k: its first k rows start k.
    Clusters that run empty begin anew from the rows that are farthest from their centroids, as scikit-learn's do.

    What it costs, with n rows of width d, K = the sum of all ks that still run, and p tasks at a time:

    - once: n d 4 bytes written by a shuffle, and again as blocks on executors' disks, from where they are mapped into
      memory. Executors need that much for their share of the rows to be read from memory in every pass.
    - a pass: 2 n d K operations in matrix products, shared by p (bf16 has two to four times the speed of float32), n K
      comparisons, additions for the rows that changed their cluster. Broadcast: 4 K d bytes. Back: at most 8 K d bytes
      a task (512 K where d is below 64), added up by executors where there are many.
    - passes: one that reads the rows once, for the start; max_iterations at most; and one, in float32, for all that a
      `Fit` tells.
    - memory of a task: K (44 d + 2048) + 16 d x 4096 bytes, 256 KiB for each k and 128 MiB, within `settings.memory`,
      and before that three times its share of the sample, which has 4 d seed_rows bytes; of the driver: four such
      results, which are kept below 512 MiB, and the sample in doubles. The ks are cut into groups that keep to both,
      each of which has passes of its own. Neither depends on n.

    The same vectors, settings and start give the same fits to the last bit, whatever the partitions and executors, and
    whichever of them are lost on the way, on processors of one kind: blocks depend on the image_ids alone, sums are
    exact, and a block that is not where it was is laid again.

    Args:
        vectors: image_id string, embedding array<float>, one row a picture. Evaluated twice (counted, laid), and again
            for blocks that got lost.
        ks: how many clusters to look for, each at least 1.
        start: centroids (k, d) to begin from instead, for some of the ks: of an earlier fit.
        partitions: tasks of a pass; None: as many as the cluster has cores.
        on_pass: called after every pass, for a progress line.

    Returns:
        A fit for every k, in order. Where there are fewer distinct rows than k there is none, and `reason` says so.

    Raises:
        ProfilelakeError: there is no row, or a vector is NULL, of another width, or holds NaN (the picture is named);
            a k needs more than `settings.memory`; bf16 was asked for and a processor lacks it.
    """
    if not ks or min(ks) < 1:
        raise ValueError(f"ks must be numbers from 1, not {list(ks)}")
    n = vectors.count()
    if not n:
        raise ProfilelakeError("there is no vector to cluster")
    precision = settings.settled_precision
    with _laid(vectors, n, settings.seed, precision, partitions) as laid:
        # before anything is drawn for a k that is too large
        groups = _groups(sorted({*ks}), laid.width, settings.memory)
        seeds = _seeds(_sample(laid, settings), n, ks, settings, start or {})
        laid.origin = seeds.origin
        found = {k: _unfitted(k, reason) for k, reason in seeds.refused.items()}
        how = Arithmetic(precision, 0, udf.grid(laid.largest, n))
        for group, some in enumerate(groups):
            begun = {k: seeds.of[k] for k in some if k in seeds.of}
            if not begun:
                continue
            fitted = _lloyd(laid, begun, group, how, settings, on_pass)
            found |= {k: _unfitted(k, reason) for k, reason in fitted.refused.items()}
            if fitted.of:
                found |= _summarised(laid, fitted, replace(how, precision="fp32"), settings.exemplars)
            on_pass()
    return [found[k] for k in ks]


def _unfitted(k: int, reason: str) -> Fit:
    none = np.zeros((0, 0), np.float32)
    return Fit(k, none, np.zeros(0, np.int64), math.nan, math.nan, math.nan, 0, (), reason)


def _centres(of: Mapping[int, Doubles], origin: Vectors) -> Centres:
    centroids = np.concatenate(list(of.values()))
    around = np.subtract(centroids, origin, out=centroids).astype(np.float32)
    return Centres(tuple(of), tuple(len(some) for some in of.values()), around, origin)


def _groups(ks: Sequence[int], width: int, memory: int) -> list[list[int]]:
    """The ks in groups whose tasks keep to the memory, and whose results to what the driver takes."""
    most = _RESULT_BYTES // (_FEW_RESULTS * 8 * max(width, 64))

    def needed(group: Sequence[int]) -> int:
        return sum(group) * (44 * width + 2048) + len(group) * 64 * _ROWS + 16 * width * _ROWS + 2**27

    groups: list[list[int]] = []
    for k in ks:
        if k > most or needed([k]) > memory:
            raise ConfigError(
                f"k = {k} with vectors of {width} numbers needs {math.ceil(needed([k]) / 2**20)} MiB a task, and "
                f"clusters.memory allows {memory // 2**20}: raise it, or take a smaller k (above {most:,} none fits)"
            )
        if not groups or sum(groups[-1]) + k > most or needed([*groups[-1], k]) > memory:
            groups.append([])
        groups[-1].append(k)
    return groups


# --- start ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Seeds:
    """Where each k begins; `origin`: a point amid the rows; `refused`: why some k don't begin."""

    origin: Vectors
    of: Mapping[int, Doubles]
    refused: Mapping[int, str]


def _seeds(sample: Vectors, n: int, ks: Sequence[int], settings: Settings, start: Mapping[int, Vectors]) -> _Seeds:
    origin = _origin(sample)
    for k, centroids in start.items():
        if centroids.shape != (k, len(origin)):
            raise ValueError(f"the start of k = {k} has the shape {centroids.shape}, not {(k, len(origin))}")
    wanted = sorted({k for k in ks if k not in start})
    # by their bytes, which takes a tenth of a sort; -0.0 is 0.0
    distinct, drawn = len({row.tobytes() for row in sample + np.float32(0)}), sample[:0]
    if wanted:
        # of doubles, which is how scikit-learn reckons: it would convert all of the sample for every seed
        around = np.subtract(sample, origin, dtype=np.float64)
        _, rows = kmeans_plusplus(around, min(wanted[-1], distinct), random_state=settings.seed)
        drawn = sample[rows]
        drawn = drawn[: _distinct_prefix(drawn)]
    whose = "vectors" if len(sample) == n else f"vectors in the sample of {len(sample):,} (clusters.seed_sample)"
    refused = {k: f"only {len(drawn)} of the {whose} can be told apart" for k in wanted if k > len(drawn)}
    begun = {k: np.asarray(start.get(k, drawn[:k]), np.float64) for k in ks if k not in refused}
    return _Seeds(origin, begun, refused)


def _origin(sample: Vectors) -> Vectors:
    """The mean of the rows (d,), but for those so far off that they would pull it away from all others, whose distances
    it would cost digits."""
    around = sample - np.median(sample[:_OF_MEDIAN], axis=0)
    squares = np.einsum("ij,ij->i", around, around, dtype=np.float64)
    near = squares <= _FAR_OFF * np.median(squares)
    return np.asarray(sample.mean(axis=0, dtype=np.float64, where=near[:, None]).astype(np.float32))


def _distinct_prefix(rows: Vectors) -> int:
    """How many rows there are before the first that repeats an earlier one."""
    _, first = np.unique(rows, axis=0, return_index=True)
    repeated = sorted(set(range(len(rows))) - set(first.tolist()))
    return repeated[0] if repeated else len(rows)


def _sample(laid: _Laid, settings: Settings) -> Vectors:
    """The rows whose seeded hash is smallest: the same ones however they lie. (rows, d)."""
    share, limit = settings.seed_rows / laid.n, 2**63 - 1
    if share < 1:  # more than are wanted, since hashes are not quite even: of one wanted row none might be found
        few = min(1.0, share + 5 * math.sqrt(share / laid.n) + 32 / laid.n)
        limit = min(limit, -(2**63) + int(few * 2**64))
    return laid.run(udf.Draw(settings.seed_rows, limit)).rows


# --- blocks -----------------------------------------------------------------------------------------------------------


class _Laid:
    """Vectors that lie in blocks on executors. n, width: how many they are and how many numbers each has; largest: of
    each of these the largest absolute one; origin: what distances are reckoned around (see `Centres`)."""

    def __init__(self, source: DataFrame, n: int, precision: Precision) -> None:
        self.n, self.width = n, 0
        self.largest, self.origin = np.zeros(0, np.float32), np.zeros(0, np.float32)
        self._source, self._precision = source, precision
        self._context = source.sparkSession.sparkContext
        self._sent: list[Any] = []
        self._kept: list[tuple[str, DataFrame]] = []

    def lay(self) -> None:
        """Lay all of them.

        Raises:
            ProfilelakeError: see `fit`.
        """
        self._blocks, widths = self._lay(self._source, self.n)
        narrow, wide = min(widths), max(widths)
        if narrow != wide:
            raise ProfilelakeError(
                f"these vectors cannot be clustered: that of picture {widths[wide][0]} has {wide} numbers, that of "
                f"picture {widths[narrow][0]} {narrow}"
            )
        self.width, self.largest = wide, widths[wide][1]

    def _lay(self, source: DataFrame, wanted: int) -> tuple[RDD[Block], dict[int, tuple[str, Vectors]]]:
        # its own, so that no two layings have one plan: Spark would answer the second from what is kept of the first
        folder = secrets.token_hex(8)
        lay = functools.partial(udf.lay, folder=folder, precision=self._precision)
        rows = source.mapInArrow(lay, udf.LAID_DDL).persist(StorageLevel.MEMORY_AND_DISK)
        self._kept.append((folder, rows))
        rows.count()  # first: what reads the blocks would run beside what lays them, two Python workers a task
        blocks = rows.rdd.map(_block)
        found = _reduced(blocks.mapPartitions(udf.layout), udf.Layout.add, udf.Layout())
        if found.fault:
            raise ProfilelakeError(f"these vectors cannot be clustered: {found.fault}")
        if found.n != wanted:
            raise ProfilelakeError(f"the vectors changed while they were read: {wanted:,} rows first, then {found.n:,}")
        return blocks, found.widths

    def send(self, value: Any) -> Any:
        """A broadcast, which lives until `forget`, or until the blocks do not."""
        self._sent.append(self._context.broadcast(value))
        return self._sent[-1]

    def forget(self, sent: Any) -> None:
        """End a broadcast."""
        self._sent.remove(sent)
        sent.destroy()

    def run(self, work: Work[P]) -> P:
        """What a pass over all blocks makes."""
        told = _told(self._blocks, work)
        if told.missing:
            told = told.add(self._again(told.missing, work))
        return told.made

    def _again(self, lost: dict[int, int], work: Work[P]) -> Told[P]:
        """Lay blocks anew that are not where they were: their executor is gone, or the task ran elsewhere."""
        log.warning("%d of the blocks of vectors are gone from executors: they are laid again", len(lost))
        missing = sorted(lost)
        anew, _ = self._lay(self._source.where(F.col("block").isin(missing)), sum(lost.values()))
        told = _told(anew, work)
        if told.missing:
            raise ProfilelakeError(
                f"{len(told.missing)} blocks of vectors vanish from the executors' disks as soon as they are written: "
                "is there room in spark.local.dir?"
            )
        self._blocks = self._blocks.filter(functools.partial(_is_other, numbers=frozenset(missing))).union(anew)
        return told

    def close(self) -> None:
        """Remove all that lies on executors; where that fails it goes with the session."""
        for folder, rows in self._kept:
            try:
                rows.rdd.mapPartitions(functools.partial(udf.forget, folder=folder)).count()
            except Exception as error:  # noqa: BLE001  what ended the fit must be heard, not this
                log.debug("blocks could not be removed: %s", error)
            rows.unpersist()
        for sent in list(self._sent):
            self.forget(sent)


def _told(blocks: RDD[Block], work: Work[P]) -> Told[P]:
    return _reduced(blocks.mapPartitions(functools.partial(udf.each, work=work)), Told.add)


def _reduced(parts: RDD[T], add: Callable[[T, T], T], *nothing: T) -> T:
    """The sum of what each partition has, which is one at most; `nothing` where none has any."""
    n = parts.getNumPartitions()
    if n > _FEW_RESULTS:
        return parts.treeReduce(add, depth=math.ceil(math.log2(n)))  # four are left for the driver
    return functools.reduce(add, parts.collect(), *nothing)  # one a partition


def _block(row: Any) -> Block:
    return Block(**row.asDict() | {"largest": bytes(row["largest"])})


def _is_other(block: Block, numbers: frozenset[int]) -> bool:
    return block.number not in numbers


@contextmanager
def _laid(vectors: DataFrame, n: int, seed: int, precision: Precision, partitions: int | None) -> Iterator[_Laid]:
    blocks = min(_SHARES * math.ceil(n / (_SHARES * _ROWS)), math.ceil(n / _FEWEST))
    tasks = min(blocks, partitions or vectors.sparkSession.sparkContext.defaultParallelism)
    keys = _keys(vectors, tasks)
    block = F.pmod(F.xxhash64("image_id"), F.lit(blocks)).cast("int")
    source = (
        vectors.select(
            block.alias("block"), "image_id", F.xxhash64(F.lit(seed), "image_id").alias("drawn"), "embedding"
        )
        .repartition(tasks, F.get(F.lit(keys), F.pmod(F.col("block"), F.lit(tasks))))
        .sortWithinPartitions("block", "image_id")
    )
    laid = _Laid(source, n, precision)
    try:
        laid.lay()
        yield laid
    finally:
        laid.close()


def _keys(vectors: DataFrame, partitions: int) -> list[int]:
    """A number for each partition that Spark's hash partitioning puts there."""
    spark = vectors.sparkSession
    found: dict[int, int] = {}
    tried = 64 * partitions
    while len(found) < partitions:
        numbers = spark.range(0, tried, 1, 1).select(F.col("id").cast("int").alias("key"))
        placed = numbers.groupBy(F.pmod(F.hash("key"), F.lit(partitions)).alias("at")).agg(F.min("key").alias("key"))
        found = {row["at"]: row["key"] for row in placed.collect()}  # one a partition
        tried *= 4
    return [found[at] for at in range(partitions)]


# --- passes -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Fitted:
    """Centroids of each k and the iterations that they took; `refused`: why some have none."""

    of: Mapping[int, Doubles]
    iterations: Mapping[int, int]
    refused: Mapping[int, str]


def _lloyd(
    laid: _Laid,
    means: dict[int, Doubles],
    group: int,
    how: Arithmetic,
    settings: Settings,
    on_pass: Callable[[], None],
) -> _Fitted:
    """Iterate from the given centroids until each k of a group is done."""
    done: dict[int, Doubles] = {}
    iterations: dict[int, int] = {}
    refused: dict[int, str] = {}
    centres = _centres(means, laid.origin)
    sums = np.zeros(centres.centroids.shape)
    now, before = laid.send(centres), None
    before_ks: tuple[int, ...] = ()
    for iteration in range(1, settings.max_iterations + 1):
        moved = laid.run(udf.Step(now, before, before_ks, group, iteration, how))
        sums += moved.sums
        renewed, relocated, faults = _renewed(laid, means, sums, moved.counts, how)
        refused |= faults
        on_pass()
        going = []
        for at, k in enumerate(centres.ks):
            iterations[k] = iteration
            changed = int(moved.changed[at])
            if k in faults:
                continue
            still = k not in relocated and (not changed or changed < settings.tolerance * laid.n)
            if still or iteration == settings.max_iterations:
                done[k] = renewed[k]
            else:
                going.append(at)
        if before is not None:
            laid.forget(before)
        before, before_ks = now, centres.ks
        if not going:
            break
        sums = np.concatenate([sums[slice(*centres.bounds[at])] for at in going])
        means = {centres.ks[at]: renewed[centres.ks[at]] for at in going}
        centres = _centres(means, laid.origin)
        now = laid.send(centres)
    if before is not None:
        laid.forget(before)
    return _Fitted(done, iterations, refused)


def _renewed(
    laid: _Laid, means: Mapping[int, Doubles], sums: Doubles, counts: npt.NDArray[np.int64], how: Arithmetic
) -> tuple[dict[int, Doubles], set[int], dict[int, str]]:
    """The new means of the clusters, by k; the k of which some began anew; and why some k have none. Clusters without
    rows begin anew from the rows that are farthest from their centroids, which leave theirs (scikit-learn's
    `_relocate_empty_clusters`)."""
    ends = itertools.accumulate(map(len, means.values()))
    spans = {k: (end - len(means[k]), end) for k, end in zip(means, ends, strict=True)}
    empty = {k: np.flatnonzero(counts[slice(*of)] == 0) for k, of in spans.items()}
    hungry = [k for k in means if len(empty[k])]
    far: dict[int, list[tuple[float, str, int, Vectors]]] = {}
    if hungry:
        now = laid.send(_centres({k: means[k] for k in hungry}, laid.origin))
        made = laid.run(udf.Farthest(now, tuple(2 * len(empty[k]) for k in hungry), how))
        laid.forget(now)
        far = dict(zip(hungry, made.rows, strict=True))
    renewed: dict[int, Doubles] = {}
    faults: dict[int, str] = {}
    for k, (begin, end) in spans.items():
        total, size = sums[begin:end], counts[begin:end]
        if k in far:
            rows = far[k]
            total, size = total.copy(), size.copy()
            if sum(distance > 0 for distance, *_ in rows) < len(empty[k]):
                faults[k] = f"there are fewer than {k} distinct vectors"
                continue
            # A row that is alone in its cluster stays: that one would be the next without any.
            movable = ((old, row) for _, _, old, row in rows if size[old] > 1)
            for cluster, (old, row) in zip(empty[k], movable, strict=False):
                own = udf.on_grid(row, how.step)
                total[old] -= own
                size[old] -= 1
                total[cluster], size[cluster] = own, 1
        renewed[k] = np.where(size[:, None] > 0, total / np.maximum(size, 1)[:, None], means[k])
    return renewed, set(hungry), faults


def _summarised(laid: _Laid, fitted: _Fitted, how: Arithmetic, exemplars: int) -> dict[int, Fit]:
    """The last pass. A k of which a cluster ran empty in it has another one, without that cluster: an empty cluster's
    centroid must not be anybody's other one."""
    waiting = dict(fitted.of)
    found: dict[int, Fit] = {}
    while waiting:
        centres = _centres(waiting, laid.origin)
        now = laid.send(centres)
        made = laid.run(udf.Summarise(now, exemplars, how))
        laid.forget(now)
        for k, (begin, end) in zip(centres.ks, centres.bounds, strict=True):
            sizes = made.sizes[begin:end]
            if not sizes.all():
                waiting[k] = waiting[k][sizes > 0]
                continue
            sums, named = made.sums[begin:end], _named(made, begin, end)
            found[k] = _fit(k, waiting.pop(k), sizes, sums, named, fitted.iterations[k])
    return found


def _named(made: udf.Summary, begin: int, end: int) -> list[tuple[str, ...]]:
    cuts = np.searchsorted(made.cluster, np.arange(begin, end + 1))
    return [tuple(map(str, made.image_id[low:high])) for low, high in itertools.pairwise(cuts)]


def _fit(
    k: int,
    centroids: Doubles,
    sizes: npt.NDArray[np.int64],
    sums: npt.NDArray[np.object_],
    exemplars: Sequence[tuple[str, ...]],
    iterations: int,
) -> Fit:
    # by size, then by the centroid itself, so that numbers of clusters don't depend on the start's order
    order = np.lexsort((*centroids.T[::-1], -sizes))
    n = int(sizes.sum())
    silhouettes, distances, squares = sums.T
    return Fit(
        k,
        centroids[order].astype(np.float32),
        sizes[order],
        silhouette=float(udf.rounded(silhouettes[sizes > 1].sum())) / n,  # 0 in a cluster of one row
        inertia=float(udf.rounded(squares.sum())),
        mean_distance=float(udf.rounded(distances.sum())) / n,
        iterations=iterations,
        exemplars=tuple(exemplars[at] for at in order),
    )
