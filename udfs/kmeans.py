"""k-means on blocks of vectors: what an executor does in a pass, for every k at once. Runs on executors.

A block is a file of float32 rows in the executor's own folder, mapped into memory by every pass; which pictures it
holds depends on the pictures alone, never on partitions. So all that is computed for it comes out the same to the last
bit wherever and whenever it is computed. Sums over blocks do too: either their terms are rounded to a grid so coarse
that no sum of them is ever rounded (`grid`), or they are whole numbers of any length (`whole`). What a pass leaves
behind for the next one (which cluster each row was in) only saves work: where it is not there, it is made again from
the centroids of the pass before.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udfs.centroids import matrix, silhouettes
from udfs.runtime import threads
from udfs.worker_start import settle

Vectors = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int32]
Precision = Literal["fp32", "bf16"]

LAID_DDL = "number int, n bigint, width int, first string, path string, largest binary, fault string"

# Larger numbers' squares are none in float32.
LARGEST = 1e15
_NO_BF16 = "a processor among the executors does not compute in bf16: set clusters.precision=fp32"
# Digits of a double; a sum of whole multiples of a power of two below this many of them is exact.
_DIGITS = 52
# `whole` counts in units of 2**-_SMALLEST: the smallest double is 2**-1074, and 53 digits of it are made whole.
_SMALLEST = 1074 + 53
# Numbers of a row that are summed at a time: what is read again and again stays near the processor, three times as
# fast.
_COLUMNS = 128
# A squared distance below this share of |x|^2 has lost digits in the product, and is taken from the difference.
_CANCELLED = 1e-3
_AT_ONCE = 512  # rows whose distances are computed anew at a time
# Scores of a product, of which two are held at a time, and rows that it is of at least: one of fewer is slower. Smaller
# ones would stay in malloc's heap, which gives back at once only what is above 32 MiB.
_SCORES, _SCORED = 2**24, 256
# float32 numbers of a cache line. Where rows of a product don't begin at one, MKL takes 1.5 times as long.
_LINE = 16


class NoBf16Error(Exception):
    """bf16 was asked for on a processor without its instructions."""


# --- layout -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Block:
    """A block that was laid. n: its rows; width: of each; first: the image_id of the first; path: where it lies on the
    executor that wrote it; largest: of each of the width the largest absolute number, the bytes of float32s; fault: why
    it cannot be clustered, or None."""

    number: int
    n: int
    width: int
    first: str
    path: str
    largest: bytes
    fault: str | None


def grid(largest: npt.ArrayLike, n: int) -> Doubles:
    """For each number a power of two so that the sum of n whole multiples of it, none above the number, is a double
    without rounding."""
    numbers = np.asarray(largest, np.float64)
    digits = np.ceil(np.log2(np.where(numbers > 0, numbers, 1.0)))
    return np.asarray(2.0 ** (digits + math.ceil(math.log2(max(1, n))) - _DIGITS))


def on_grid(values: npt.ArrayLike, step: Doubles) -> Doubles:
    """The nearest whole multiples of `step`."""
    return np.asarray(np.rint(np.asarray(values, np.float64) / step) * step)


def whole(values: Doubles) -> npt.NDArray[np.object_]:
    """Finite doubles as Python's ints, in units of which every double is a whole number: their sums are exact."""
    mantissa, exponent = np.frexp(values)
    digits = (mantissa * 2.0**53).astype(np.int64).astype(object)
    return np.asarray(digits << (exponent + (_SMALLEST - 53)).astype(object))


def rounded(sums: npt.NDArray[np.object_]) -> Doubles:
    """The doubles nearest to sums of what `whole` makes."""
    return np.asarray(sums / 2**_SMALLEST, np.float64)


def _has_bf16() -> bool:
    import torch

    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def lay(batches: Iterable[pa.RecordBatch], *, folder: str, precision: Precision = "fp32") -> Iterator[pa.RecordBatch]:
    """Write blocks. For `mapInArrow` over (block int, image_id string, drawn bigint, embedding array<float>), ordered
    by block and then by image_id.

    Args:
        folder: name of the fit's folder in the executor's own.
        precision: that later passes will ask for.

    Yields:
        The fields of a `Block` each, as `LAID_DDL`; the fault names the picture, or what the processor lacks.
    """
    settle()
    own = _own_folder(folder)
    lacks = _NO_BF16 if precision == "bf16" and not _has_bf16() else None
    for number, ids, drawn, rows in _by_block(batches):
        fault = lacks or _fault(ids, rows)
        if fault is not None:
            yield _laid(Block(number, 0, 0, ids[0], "", b"", fault))
            continue
        vectors = np.concatenate([part for part in rows if part is not None])
        path = own / f"{number}.npy"
        _save(path, vectors)
        named = np.empty(len(ids), [("image_id", np.array(ids, np.str_).dtype), ("drawn", np.int64)])
        named["image_id"], named["drawn"] = ids, np.concatenate(drawn)
        _save(_ids_path(str(path)), named)
        n, width = vectors.shape
        largest = np.abs(vectors).max(axis=0)
        yield _laid(Block(number, n, width, ids[0], str(path), largest.tobytes(), None))


def _by_block(
    batches: Iterable[pa.RecordBatch],
) -> Iterator[tuple[int, list[str], list[npt.NDArray[np.int64]], list[Vectors | None]]]:
    number: int | None = None
    ids: list[str] = []
    drawn: list[npt.NDArray[np.int64]] = []
    rows: list[Vectors | None] = []
    for batch in batches:
        blocks = batch.column("block").to_numpy()
        for begin, end in _runs(blocks):
            if blocks[begin] != number:
                if number is not None:
                    yield number, ids, drawn, rows
                number, ids, drawn, rows = int(blocks[begin]), [], [], []
            part = batch.slice(begin, end - begin)
            ids += part.column("image_id").to_pylist()
            drawn.append(part.column("drawn").to_numpy())
            rows.append(_rows(part.column("embedding")))
    if number is not None:
        yield number, ids, drawn, rows


def _runs(values: npt.NDArray[Any]) -> Iterator[tuple[int, int]]:
    edges = [0, *(np.flatnonzero(values[1:] != values[:-1]) + 1).tolist(), len(values)]
    return ((begin, end) for begin, end in itertools.pairwise(edges) if end > begin)


def _rows(column: pa.Array) -> Vectors | None:
    try:
        return matrix(column).astype(np.float32)
    except ValueError:
        return None  # told by `_fault`


def _fault(ids: Sequence[str], rows: Sequence[Vectors | None]) -> str | None:
    at, width = 0, next((part.shape[1] for part in rows if part is not None), 0)
    for part in rows:
        if part is None or part.shape[1] != width:
            return f"vectors beside picture {ids[at]} differ in length, or one is NULL"
        if not width:
            return f"the vector of picture {ids[at]} holds no number"
        bad = ~np.isfinite(part).all(axis=1)
        if bad.any():
            return f"the vector of picture {ids[at + int(bad.argmax())]} holds NaN or infinity"
        large = np.abs(part).max(axis=1, initial=0) > LARGEST
        if large.any():
            return f"the vector of picture {ids[at + int(large.argmax())]} holds a number above {LARGEST:g}"
        at += len(part)
    return None


def _laid(block: Block) -> pa.RecordBatch:
    kinds = (pa.int32(), pa.int64(), pa.int32(), pa.string(), pa.string(), pa.binary(), pa.string())
    values = astuple(block)
    return pa.RecordBatch.from_arrays(
        [pa.array([value], kind) for value, kind in zip(values, kinds, strict=True)],
        names=[of.name for of in fields(Block)],
    )


def _own_folder(name: str) -> Path:
    """A folder that goes with the executor: below Spark's own, which it empties when it ends."""
    if not re.fullmatch(r"\w+", name):  # what is removed later must lie in no other place
        raise ValueError(f"a fit's folder has a name of letters and digits, not {name!r}")
    local = os.environ.get("SPARK_LOCAL_DIRS", "").split(",")[0] or tempfile.gettempdir()
    folder = Path(local) / "profilelake-kmeans" / name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _save(path: Path, array: npt.NDArray[Any]) -> None:
    """Whole or not at all, whoever else writes the same."""
    handle, unfinished = tempfile.mkstemp(dir=path.parent, suffix=".unfinished")
    try:
        with os.fdopen(handle, "wb") as out:
            np.save(out, array, allow_pickle=False)
        os.replace(unfinished, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(unfinished)
        raise


def _ids_path(path: str) -> Path:
    return Path(path).with_suffix(".ids.npy")


def _named(block: Block) -> npt.NDArray[Any]:
    """Of every row the fields `image_id` and `drawn`."""
    return np.asarray(np.load(_ids_path(block.path), allow_pickle=False))


@dataclass
class Layout:
    """What some blocks are, together. n: their rows; widths: for each width of a vector that there is one picture's
    image_id, and the largest absolute number of each of the width, (width,) float32; fault: why they cannot be
    clustered: the first in order of the alphabet, or None."""

    n: int = 0
    widths: dict[int, tuple[str, Vectors]] = field(default_factory=dict)
    fault: str | None = None

    def add(self, other: Layout) -> Layout:
        """This and the other."""
        self.n += other.n
        for width, (first, largest) in other.widths.items():
            known, held = self.widths.get(width, (first, largest))
            self.widths[width] = min(known, first), np.maximum(held, largest)
        self.fault = min((fault for fault in (self.fault, other.fault) if fault is not None), default=None)
        return self


def layout(blocks: Iterable[Block]) -> Iterator[Layout]:
    """What was laid. For `mapPartitions`; one result a partition."""
    found = Layout()
    for block in blocks:
        known = {} if block.fault else {block.width: (block.first, np.frombuffer(block.largest, np.float32))}
        found.add(Layout(block.n, known, block.fault))
    yield found


# --- a pass over blocks -----------------------------------------------------------------------------------------------


class Partial(Protocol):
    """What a pass makes of some blocks. `add` takes another's in; the order makes no difference."""

    def add(self, other: Any) -> None:
        """Take in what was made of other blocks."""
        ...


P = TypeVar("P", bound=Partial)


class Work(Protocol[P]):
    """A pass: picklable."""

    def start(self) -> P:
        """What the pass makes of no block."""
        ...

    def look(self, x: Vectors, block: Block, into: P) -> None:
        """Add what it makes of a block's rows (n, d). State may be kept beside the block's file."""
        ...


@dataclass
class Told(Generic[P]):
    """What a pass tells of some blocks. missing: of those that do not lie where it ran the number, and their rows."""

    made: P
    missing: dict[int, int] = field(default_factory=dict)

    def add(self, other: Told[P]) -> Told[P]:
        """This and the other."""
        self.made.add(other.made)
        self.missing |= other.missing
        return self


def each(blocks: Iterable[Block], work: Work[P]) -> Iterator[Told[P]]:
    """Run a pass over blocks that were laid. For `mapPartitions`; one result a partition that has any."""
    settle()
    told: Told[P] | None = None
    for block in blocks:
        told = told or Told(work.start())
        x = _load(block.path, block.n)
        if x is None or not _ids_path(block.path).exists():
            told.missing[block.number] = block.n
        else:
            work.look(x, block, told.made)
    if told is not None:
        yield told


def _load(path: str | Path, n: int) -> npt.NDArray[Any] | None:
    try:
        # Copy on write, though nothing writes: torch takes no array that is read-only.
        held = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return held if held.ndim and len(held) == n else None


def forget(blocks: Iterable[Block], folder: str) -> Iterator[str]:
    """Remove what a fit has laid on this executor. For `mapPartitions`.

    Args:
        blocks: not looked at: a path that a block brings along must never decide what is removed.
        folder: name of the fit's folder, as `lay` was given it.
    """
    for _ in blocks:
        pass  # a worker that leaves its input unread is not used again
    own = _own_folder(folder)
    for path in own.iterdir():
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # another task may write or remove beside this one
        own.rmdir()
    yield str(own)


# --- the rows that a fit begins from ---------------------------------------------------------------------------------


@dataclass
class Drawn:
    """Rows that were drawn: those with the smallest numbers, `most` of them. parts: of some blocks each, (m,) int64
    numbers, (m,) image_ids, (m, d) float32 rows; cut down to what is wanted when there is twice as much."""

    most: int
    parts: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.str_], Vectors]] = field(default_factory=list)

    def add(self, other: Drawn) -> None:
        """See `Partial`."""
        self.parts += other.parts
        if sum(len(number) for number, _, _ in self.parts) > 2 * self.most:
            self._cut()

    def _cut(self) -> None:
        if self.parts:
            number, image_id, rows = map(np.concatenate, zip(*self.parts, strict=True))
            order = np.lexsort((image_id, number))[: self.most]
            self.parts = [(number[order], image_id[order], rows[order])]

    def __getstate__(self) -> dict[str, Any]:
        """No more than is wanted."""
        self._cut()
        return self.__dict__

    @property
    def rows(self) -> Vectors:
        """The rows wanted, in the order of their numbers, ties by image_id; of a draw that found any."""
        self._cut()
        ((_, _, rows),) = self.parts
        return rows


@dataclass(frozen=True)
class Draw:
    """Draws the `most` rows with the smallest numbers, of those up to `limit`."""

    most: int
    limit: int

    def start(self) -> Drawn:
        """See `Work`."""
        return Drawn(self.most)

    def look(self, x: Vectors, block: Block, into: Drawn) -> None:
        """See `Work`."""
        named = _named(block)
        (at,) = np.nonzero(named["drawn"] <= self.limit)
        if len(at):
            into.add(Drawn(self.most, [(named["drawn"][at], named["image_id"][at], np.asarray(x[at]))]))


# --- distances --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Centres:
    """The centroids of several k, one after the other.

    ks: in order. sizes: clusters of each (k, or fewer where some ran empty). centroids: (sum of sizes, d) float32,
    around `origin`, (d,) float32, which is taken off every row too before the two are multiplied: nearest is nearest
    around any origin, and digits are lost by how far away it is.
    """

    ks: tuple[int, ...]
    sizes: tuple[int, ...]
    centroids: Vectors
    origin: Vectors

    @cached_property
    def bounds(self) -> list[tuple[int, int]]:
        """Where each k's centroids lie: (begin, end)."""
        ends = np.cumsum(self.sizes).tolist()
        return list(zip([0, *ends[:-1]], ends, strict=True))

    @cached_property
    def terms(self) -> tuple[Vectors, Vectors]:
        """-2 c and |c|^2 of every centroid, and zeros up to a whole number of cache lines."""
        n, d = self.centroids.shape
        wide = -(-n // _LINE) * _LINE
        factors, norms = np.zeros((wide, d), np.float32), np.zeros(wide, np.float32)
        np.multiply(self.centroids, -2.0, out=factors[:n])
        norms[:n] = np.einsum("ij,ij->i", self.centroids, self.centroids, dtype=np.float64)
        return factors, norms


@dataclass(frozen=True)
class Arithmetic:
    """How a pass computes. precision: of the product; its terms are summed in float32 in any case. threads: of one
    task, 0 for as many as it has cores. step: of the grid for sums of rows (see `grid`), (d,)."""

    precision: Precision
    threads: int
    step: Doubles


def labels_of(around: Vectors, centres: Centres, how: Arithmetic) -> Labels:
    """The nearest centroid for every k, the lowest number on ties, of rows around the origin: (ks, rows)."""
    found = np.empty((len(centres.ks), len(around)), np.int32)
    for rows, scores in _scores(around, centres, how):
        for at, (begin, end) in enumerate(centres.bounds):
            found[at, rows] = scores[:, begin:end].argmin(axis=1)
    return found


def _scores(x: Vectors, centres: Centres, how: Arithmetic) -> Iterator[tuple[slice, Vectors]]:
    """|c|^2 - 2 x.c: the squared distance but for |x|^2, which is the same for all centroids of a row. (rows,
    centroids) float32, some rows after the others, of all ks in one matrix product."""
    import torch

    if how.precision == "bf16" and not _has_bf16():
        raise NoBf16Error(_NO_BF16)
    torch.set_num_threads(threads(how.threads))
    torch.backends.mkldnn.matmul.fp32_precision = "bf16" if how.precision == "bf16" else "ieee"  # type: ignore[attr-defined]
    factors, norms = (torch.from_numpy(of) for of in centres.terms)
    at_once = max(_SCORED, _SCORES // len(norms))
    for begin in range(0, len(x), at_once):
        rows = slice(begin, begin + at_once)
        scores = (torch.from_numpy(x[rows]) @ factors.T).add_(norms)
        yield rows, scores.numpy()[:, : len(centres.centroids)]


# --- one Lloyd iteration ----------------------------------------------------------------------------------------------


@dataclass
class Moved:
    """What an iteration makes of some blocks.

    sums: what is to be added to the sum of each cluster's rows since the iteration before, (clusters, d) float64,
    exact; counts: rows of each cluster now; changed: of each k the rows that are in another cluster than before.
    """

    sums: Doubles
    counts: npt.NDArray[np.int64]
    changed: npt.NDArray[np.int64]

    def add(self, other: Moved) -> None:
        """See `Partial`."""
        self.sums += other.sums
        self.counts += other.counts
        self.changed += other.changed

    def __getstate__(self) -> tuple[Any, ...]:
        """Without the sums of clusters that nothing joined or left: towards the end that is most of them."""
        touched = np.flatnonzero(self.sums.any(axis=1))
        rows = self.sums if len(touched) == len(self.sums) else self.sums[touched]
        return self.sums.shape, touched, rows, self.counts, self.changed

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        shape, touched, rows, self.counts, self.changed = state
        self.sums = np.zeros(shape)
        self.sums[touched] = rows


@dataclass(frozen=True)
class Step:
    """One Lloyd iteration, for every k at once.

    now: broadcast of `Centres`; before: of those of the iteration before, None in the first one, and looked at only
    where the state is not there that it left; before_ks: their k; group, iteration: tell its state from others'.
    """

    now: Any
    before: Any
    before_ks: tuple[int, ...]
    group: int
    iteration: int
    how: Arithmetic

    def start(self) -> Moved:
        """See `Work`."""
        centres: Centres = self.now.value
        clusters, ks = len(centres.centroids), len(centres.ks)
        return Moved(np.zeros(centres.centroids.shape), np.zeros(clusters, np.int64), np.zeros(ks, np.int64))

    def look(self, x: Vectors, block: Block, into: Moved) -> None:
        """See `Work`."""
        centres: Centres = self.now.value
        around = x - centres.origin
        labels = labels_of(around, centres, self.how)
        old = None if self.before is None else self._old(around, block, centres.ks)
        del around
        _save(self._state(block, self.iteration), labels)
        with contextlib.suppress(OSError):  # an attempt that comes late makes its own
            os.unlink(self._state(block, self.iteration - 2))
        for (begin, end), of in zip(centres.bounds, labels, strict=True):
            into.counts[begin:end] += np.bincount(of, minlength=end - begin)
        into.changed += _move(x, labels, old, centres, self.how.step, into.sums)

    def _old(self, around: Vectors, block: Block, ks: Sequence[int]) -> Labels:
        """Labels of the iteration before, of the k that go on."""
        held = _load(self._state(block, self.iteration - 1), len(self.before_ks))
        if held is None or held.shape != (len(self.before_ks), len(around)):
            held = labels_of(around, self.before.value, self.how)
        return np.asarray(held[[self.before_ks.index(k) for k in ks]])

    def _state(self, block: Block, iteration: int) -> Path:
        return Path(block.path).with_suffix(f".{self.group}-{iteration}.npy")


def _move(
    x: Vectors, labels: Labels, old: Labels | None, centres: Centres, step: Doubles, sums: Doubles
) -> npt.NDArray[np.int64]:
    """Add to `sums` the rows that came to each cluster, take off those that left it. Returns how many moved, by k."""
    from scipy.sparse import csr_array

    moved = np.ones(labels.shape, bool) if old is None else labels != old
    k, row = np.nonzero(moved)
    offsets = np.array([begin for begin, _ in centres.bounds])[k]
    where, sign, rows = labels[k, row] + offsets, np.ones(len(row)), row
    if old is not None:
        where = np.concatenate([where, old[k, row] + offsets])
        sign, rows = np.concatenate([sign, -sign]), np.concatenate([row, row])
    if len(rows):
        used, rows = np.unique(rows, return_inverse=True)
        touched, where = np.unique(where, return_inverse=True)
        signs = csr_array((sign, (where, rows)), shape=(len(touched), len(used)))
        for at in range(0, x.shape[1], _COLUMNS):
            columns = slice(at, at + _COLUMNS)
            sums[touched, columns] += signs @ on_grid(x[used, columns], step[columns])
    return np.asarray(moved.sum(axis=1), np.int64)


# --- rows for clusters that ran empty ---------------------------------------------------------------------------------


@dataclass
class Far:
    """Of each k the rows that are farthest from their centroid, the farthest first: (distance, image_id, cluster,
    row), as many as asked for."""

    most: tuple[int, ...]
    rows: list[list[tuple[float, str, int, Vectors]]]

    def add(self, other: Far) -> None:
        """See `Partial`."""
        for at, (most, mine, more) in enumerate(zip(self.most, self.rows, other.rows, strict=True)):
            self.rows[at] = sorted([*mine, *more], key=lambda row: (-row[0], row[1]))[:most]


@dataclass(frozen=True)
class Farthest:
    """Looks for rows that clusters without any can begin anew from. now: broadcast of `Centres`; most: rows a k."""

    now: Any
    most: tuple[int, ...]
    how: Arithmetic

    def start(self) -> Far:
        """See `Work`."""
        return Far(self.most, [[] for _ in self.most])

    def look(self, x: Vectors, block: Block, into: Far) -> None:
        """See `Work`."""
        centres: Centres = self.now.value
        around, ids = x - centres.origin, _ids(block)
        labels = labels_of(around, centres, self.how)
        found = []
        for most, (begin, end), of in zip(self.most, centres.bounds, labels, strict=True):
            distances = np.linalg.norm(around - centres.centroids[begin:end][of], axis=1)
            best = np.lexsort((ids, -distances))[:most]
            found.append([(float(distances[at]), str(ids[at]), int(of[at]), np.array(x[at])) for at in best])
        into.add(Far(self.most, found))


def _ids(block: Block) -> npt.NDArray[np.str_]:
    return np.asarray(_named(block)["image_id"])


# --- the last pass ----------------------------------------------------------------------------------------------------


@dataclass
class Summary:
    """What the last pass makes of some blocks. sizes: rows of each cluster; sums: (clusters, 3) of silhouettes,
    distances and squared distances, as `whole` has them; nearest: of each cluster the rows that are nearest to its
    centroid, the nearest first: arrays of cluster, distance and image_id, ordered by cluster."""

    most: int
    sizes: npt.NDArray[np.int64]
    sums: npt.NDArray[np.object_]
    cluster: npt.NDArray[np.int64]
    distance: Doubles
    image_id: npt.NDArray[np.str_]

    def add(self, other: Summary) -> None:
        """See `Partial`."""
        self.sizes += other.sizes
        self.sums += other.sums
        self.keep(
            np.concatenate([self.cluster, other.cluster]),
            np.concatenate([self.distance, other.distance]),
            np.concatenate([self.image_id, other.image_id]),
        )

    def keep(self, cluster: npt.NDArray[np.int64], distance: Doubles, image_id: npt.NDArray[np.str_]) -> None:
        """Of these rows the nearest of each cluster."""
        order = np.lexsort((image_id, distance, cluster))
        chosen = order[_first(cluster[order], self.most)]
        self.cluster, self.distance, self.image_id = cluster[chosen], distance[chosen], image_id[chosen]


def _first(ordered: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.bool_]:
    """Which of ordered numbers are among the first `most` of their kind."""
    begins = np.searchsorted(ordered, ordered, side="left")
    return np.asarray(np.arange(len(ordered)) - begins < most)


@dataclass(frozen=True)
class Summarise:
    """The last pass: sums of simplified silhouettes and distances (paper 1, 4.1), and exemplars, for every k.

    now: broadcast of `Centres`; exemplars: rows kept a cluster; how: always in float32.
    """

    now: Any
    exemplars: int
    how: Arithmetic

    def start(self) -> Summary:
        """See `Work`."""
        clusters = len(self.now.value.centroids)
        sizes, sums = np.zeros(clusters, np.int64), np.zeros((clusters, 3), object)
        return Summary(self.exemplars, sizes, sums, np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.str_))

    def look(self, x: Vectors, block: Block, into: Summary) -> None:
        """See `Work`."""
        centres: Centres = self.now.value
        around, ids = x - centres.origin, _ids(block)
        squares = np.einsum("ij,ij->i", around, around, dtype=np.float64)
        labels = np.empty((len(centres.ks), len(x)), np.int64)
        owns, others = np.empty(labels.shape), np.empty(labels.shape)
        for rows, scores in _scores(around, centres, self.how):
            for at, (begin, end) in enumerate(centres.bounds):
                found = two_nearest(around[rows], squares[rows], centres.centroids[begin:end], scores[:, begin:end])
                labels[at, rows], owns[at, rows], others[at, rows] = found
        sums = np.zeros(into.sums.shape)
        clusters, distances, names = [into.cluster], [into.distance], [into.image_id]
        for (begin, end), label, own, other in zip(centres.bounds, labels, owns, others, strict=True):
            into.sizes[begin:end] += np.bincount(label, minlength=end - begin)
            for column, value in enumerate((silhouettes(own, other), own, own**2)):
                sums[begin:end, column] = np.bincount(label, value, minlength=end - begin)
            order = np.lexsort((own, label))  # rows are in the order of their ids, and the sort is stable
            best = order[_first(label[order], self.exemplars)]
            clusters.append(label[best] + begin)
            distances.append(own[best])
            names.append(ids[best])
        into.sums += whole(sums)
        into.keep(np.concatenate(clusters), np.concatenate(distances), np.concatenate(names))


def two_nearest(
    x: Vectors, squares: Doubles, centroids: Vectors, scores: Vectors
) -> tuple[npt.NDArray[np.int64], Doubles, Doubles]:
    """The nearest centroid of every row, its distance and that of the next one; `scores` are spoilt.

    Args:
        x: (n, d); squares: |x|^2 (n,); centroids: (k, d); scores: |c|^2 - 2 x.c (n, k).

    Returns:
        The centroid's number (n,), the lowest on ties; its Euclidean distance (n,); the next one's (n,), infinity where
        there is no other centroid.
    """
    rows = np.arange(len(x))
    first = scores.argmin(axis=1)
    own = _distance(x, squares, centroids, first, scores[rows, first])
    if len(centroids) == 1:
        return first, own, np.full(len(x), np.inf)
    scores[rows, first] = np.inf
    second = scores.argmin(axis=1)
    other = _distance(x, squares, centroids, second, scores[rows, second])
    # Where digits were lost the order can be the other way round.
    swap = (other < own) | ((other == own) & (second < first))
    first[swap], own[swap], other[swap] = second[swap], other[swap], own[swap]
    return first, own, other


def _distance(
    x: Vectors, squares: Doubles, centroids: Vectors, which: npt.NDArray[np.int64], scores: Vectors
) -> Doubles:
    squared = squares + scores
    (lost,) = np.nonzero(squared < _CANCELLED * squares)
    for begin in range(0, len(lost), _AT_ONCE):  # near-duplicates: all rows, perhaps
        some = lost[begin : begin + _AT_ONCE]
        difference = x[some].astype(np.float64) - centroids[which[some]]
        squared[some] = np.einsum("ij,ij->i", difference, difference)
    return np.asarray(np.sqrt(squared))
