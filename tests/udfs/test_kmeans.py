"""The passes on blocks without Spark, against plain numpy in float64."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from udfs import kmeans
from udfs.kmeans import (
    Arithmetic,
    Block,
    Centres,
    Draw,
    Farthest,
    Layout,
    Step,
    Summarise,
    each,
    grid,
    lay,
    layout,
    on_grid,
    rounded,
    whole,
)

HOW = Arithmetic("fp32", 1, np.array([2.0**-30]))  # of each of the width the same


def held(value: Any) -> Any:
    """As a broadcast."""
    return SimpleNamespace(value=value)


def centres(*of: npt.ArrayLike, origin: npt.ArrayLike | None = None) -> Centres:
    """Of centroids as they are."""
    arrays = [np.asarray(one, np.float32) for one in of]
    sizes, rows = tuple(map(len, arrays)), np.concatenate(arrays)
    origin = np.zeros(rows.shape[1], np.float32) if origin is None else np.asarray(origin, np.float32)
    return Centres(sizes, sizes, rows - origin, origin)


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("SPARK_LOCAL_DIRS", f"{tmp_path},elsewhere")
    return tmp_path


def numbers_of(n: int) -> npt.NDArray[np.int64]:
    return (np.arange(n, dtype=np.int64) * 7919) % 101 - 50


def batches(blocks: Sequence[int], ids: Sequence[str], x: npt.ArrayLike, cut: int = 7) -> list[pa.RecordBatch]:
    rows = pa.RecordBatch.from_pydict(
        {
            "block": pa.array(blocks, pa.int32()),
            "image_id": pa.array(ids),
            "drawn": pa.array(numbers_of(len(ids))),
            "embedding": pa.array([list(map(float, row)) for row in np.asarray(x)], pa.list_(pa.float32())),
        }
    )
    return [rows.slice(at, cut) for at in range(0, rows.num_rows, cut)]


def laid(x: npt.NDArray[Any], blocks: Sequence[int]) -> list[Block]:
    ids = [f"picture {at:04d}" for at in range(len(x))]
    found = lay(batches(blocks, ids, x), folder="test")
    return [Block(*(batch.column(at)[0].as_py() for at in range(batch.num_columns))) for batch in found]


def squared_distances(x: npt.NDArray[Any], centroids: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return ((x[:, None, :].astype(np.float64) - centroids[None].astype(np.float64)) ** 2).sum(axis=2)


def points(n: int, d: int, seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


# --- sums -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_sums_on_the_grid_are_the_same_in_any_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=5000) * 10.0 ** rng.integers(-6, 4, 5000)
    step = grid(float(np.abs(values).max()), len(values))
    terms = on_grid(values, step)
    assert np.abs(terms - values).max() <= step / 2
    forward, backward, shuffled = terms.sum(), terms[::-1].sum(), rng.permutation(terms).cumsum()[-1]
    assert forward == backward == shuffled


def test_the_grid_of_zeros() -> None:
    assert on_grid(np.zeros(3), grid(0.0, 3)).tolist() == [0.0, 0.0, 0.0]


def test_every_column_has_a_grid_of_its_own() -> None:
    steps = grid([1e12, 3.0, 0.0], 40_000)
    assert steps.tolist() == [grid(number, 40_000).item() for number in (1e12, 3.0, 0.0)]
    assert np.abs(on_grid(np.float32([7, 0.1, 0]), steps) - [0, 0.1, 0]).max() < 1e-8


@pytest.mark.parametrize("seed", range(3))
def test_sums_of_whole_numbers_are_exact_whatever_is_among_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(400, 3)) * 10.0 ** rng.integers(-300, 300, (400, 3))
    values[:3] = [[0.0, -0.0, 5e-324], [1e300, -1e300, 2.0**-1022], [1.0, 0.1, -5e-324]]
    exact = [float(sum(map(Fraction, column))) for column in values.T]
    for order in (values, values[::-1], rng.permutation(values)):
        assert rounded(whole(order).sum(axis=0)).tolist() == exact
    assert rounded(whole(values)).tolist() == values.tolist()


# --- layout -----------------------------------------------------------------------------------------------------------


def test_blocks_are_cut_where_their_number_changes_whatever_the_batches(own_folder: Path) -> None:
    x = points(40, 3)
    found = laid(x, [0] * 5 + [2] * 20 + [3] * 15)
    assert [(block.number, block.n, block.fault) for block in found] == [(0, 5, None), (2, 20, None), (3, 15, None)]
    rows = np.concatenate([np.load(block.path) for block in found])
    np.testing.assert_array_equal(rows, x)
    assert all(Path(block.path).is_relative_to(own_folder) for block in found)
    (whole_layout,) = layout(found)
    assert (whole_layout.n, whole_layout.fault, list(whole_layout.widths)) == (40, None, [3])
    np.testing.assert_array_equal(whole_layout.widths[3][1], np.abs(x).max(axis=0))
    assert [(block.width, block.first) for block in found] == [(3, f"picture {at:04d}") for at in (0, 5, 25)]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_none_is_told_with_its_picture(bad: float) -> None:
    x = points(20, 4)
    x[13, 2] = bad
    (block,) = laid(x, [0] * 20)
    assert block.fault is not None
    assert "picture 0013" in block.fault


def test_vectors_of_another_width_are_told() -> None:
    ids, drawn = [f"picture {at}" for at in range(9)], pa.array(range(9), pa.int64())
    cases = [
        ([[1.0]] * 6 + [[1.0, 2.0]] * 3, "vectors beside picture picture 6 differ in length, or one is NULL"),
        ([[1.0]] * 8 + [None], "vectors beside picture picture 6 differ in length, or one is NULL"),
        ([[]] * 9, "the vector of picture picture 0 holds no number"),
    ]
    for vectors, fault in cases:
        columns = {"block": pa.array([0] * 9, pa.int32()), "image_id": ids, "drawn": drawn}
        rows = pa.RecordBatch.from_pydict(columns | {"embedding": pa.array(vectors, pa.list_(pa.float32()))})
        (told,) = lay([rows.slice(at, 3) for at in (0, 3, 6)], folder="test")
        assert told.column("fault")[0].as_py() == fault


def test_no_rows_no_block() -> None:
    assert laid(np.zeros((0, 3), np.float32), []) == []
    assert list(layout([])) == [Layout()]


def test_layouts_of_partitions_add_up() -> None:
    x, y = points(30, 3, seed=1), points(20, 2, seed=2)
    y[4, 1] = np.nan
    narrow, wide, bad = laid(y[:4], [0] * 4), laid(x, [1] * 10 + [2] * 20), laid(y[4:], [3] * 8 + [4] * 8)
    parts = [next(layout(blocks)) for blocks in ([*wide[:1], *bad], [*wide[1:], *narrow], [])]
    once = functools.reduce(Layout.add, pickle.loads(pickle.dumps(parts)), Layout())  # noqa: S301
    again = functools.reduce(Layout.add, parts[::-1], Layout())
    for found in (once, again):
        assert found.n == 30 + 4 + 8  # a block that cannot be clustered has no rows
        assert found.fault == "the vector of picture picture 0000 holds NaN or infinity"
        assert {width: first for width, (first, _) in found.widths.items()} == {2: "picture 0000", 3: "picture 0000"}
        np.testing.assert_array_equal(found.widths[3][1], np.abs(x).max(axis=0))
        np.testing.assert_array_equal(found.widths[2][1], np.abs(np.concatenate([y[:4], y[12:]])).max(axis=0))


# --- the rows that a fit begins from ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("most", "limit"), [(7, 2**63 - 1), (30, -10), (100, 0), (1, -48)])
def test_rows_are_drawn_by_their_numbers_ties_by_picture(most: int, limit: int) -> None:
    x = points(300, 3, seed=2)  # every number comes three times
    blocks = laid(x, [at // 30 for at in range(300)])
    told = [next(each(some, Draw(most, limit))) for some in (blocks[5:], blocks[:5])]
    first, second = (pickle.loads(pickle.dumps(part)) for part in told)  # noqa: S301  as Spark hands them on
    made = first.add(second).made
    numbers = numbers_of(300)
    wanted = sorted((at for at in range(300) if numbers[at] <= limit), key=lambda at: (numbers[at], at))[:most]
    np.testing.assert_array_equal(made.rows, x[wanted])
    ((found, names, _),) = made.parts
    np.testing.assert_array_equal(found, numbers[wanted])
    assert names.tolist() == [f"picture {at:04d}" for at in wanted]


def test_a_draw_keeps_no_more_than_twice_what_it_wants() -> None:
    x = points(300, 3)
    made = Draw(20, 2**62).start()
    for block in laid(x, [at // 10 for at in range(300)]):
        Draw(20, 2**62).look(np.load(block.path), block, made)
        assert sum(len(number) for number, _, _ in made.parts) <= 40
    assert made.rows.shape == (20, 3)


# --- iterations -------------------------------------------------------------------------------------------------------


def run_step(blocks: list[Block], step: Step) -> kmeans.Moved:
    (told,) = each(blocks, step)
    assert not told.missing
    return pickle.loads(pickle.dumps(told.made))  # noqa: S301  as Spark hands it on


def test_an_iteration_gives_the_sums_of_the_nearest() -> None:
    x = points(60, 5)
    blocks = laid(x, [0] * 25 + [1] * 35)
    now = centres(x[:3], x[:7])
    moved = run_step(blocks, Step(held(now), None, (), 0, 1, HOW))
    for (begin, end), k in zip(now.bounds, now.ks, strict=True):
        labels = squared_distances(x, x[:k]).argmin(axis=1)
        np.testing.assert_array_equal(moved.counts[begin:end], np.bincount(labels, minlength=k))
        expected = np.stack([x[labels == at].sum(axis=0, dtype=np.float64) for at in range(k)])
        np.testing.assert_allclose(moved.sums[begin:end], expected, atol=1e-7)
    assert moved.changed.tolist() == [60, 60]


def test_every_column_is_summed_on_its_own_grid() -> None:
    scales = 10.0 ** np.random.default_rng(5).integers(-3, 6, 130)  # more columns than are summed at a time
    x = (points(60, 130) * scales).astype(np.float32)
    how = replace(HOW, step=grid(np.abs(x).max(axis=0), 60))
    now = centres(x[:4])
    moved = run_step(laid(x, [0] * 60), Step(held(now), None, (), 0, 1, how))
    (labels,) = kmeans.labels_of(x, now, how)
    expected = np.stack([on_grid(x[labels == at], how.step).sum(axis=0) for at in range(4)])
    np.testing.assert_array_equal(moved.sums, expected)
    exact = np.stack([x[labels == at].sum(axis=0, dtype=np.float64) for at in range(4)])
    assert (np.abs(moved.sums - exact) <= 30 * how.step).all()


def iterate(blocks: list[Block], x: npt.NDArray[np.float32], spoil: Any) -> list[npt.NDArray[np.float64]]:
    """Three iterations of k = 3, 5; after the second only k = 5 goes on. What each told."""
    first, second = centres(x[:3], x[:5]), centres(x[3:6], x[4:9])
    third = centres(x[10:15])
    told = []
    for iteration, (now, before) in enumerate([(first, None), (second, first), (third, second)], 1):
        spoil(iteration)
        step = Step(held(now), before and held(before), before.ks if before else (), 0, iteration, HOW)
        moved = run_step(blocks, step)
        told += [moved.sums, moved.counts, moved.changed]
    return told


def spoilers(blocks: list[Block]) -> dict[str, Any]:
    folder = Path(blocks[0].path).parent

    def gone(_: int) -> None:
        for path in folder.glob("*.0-*.npy"):
            path.unlink()

    def cut(_: int) -> None:
        for path in folder.glob("1.0-*.npy"):
            path.write_bytes(path.read_bytes()[:50])

    def of_another_shape(iteration: int) -> None:
        for path in folder.glob(f"0.0-{iteration - 1}.npy"):
            np.save(path, np.zeros((2, 3), np.int32))

    return {"gone": gone, "cut": cut, "of another shape": of_another_shape}


@pytest.mark.parametrize("how", ["gone", "cut", "of another shape"])
def test_state_that_is_lost_or_spoilt_changes_nothing(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kmeans, "_SCORES", 1)
    monkeypatch.setattr(kmeans, "_SCORED", 8)  # rows of a product: several a block
    x = points(50, 4)
    blocks = laid(x, [0] * 20 + [1] * 30)
    expected = iterate(blocks, x, lambda _: None)
    found = iterate(blocks, x, spoilers(blocks)[how])
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_attempt_that_comes_again_tells_the_same() -> None:
    x = points(50, 4)
    blocks = laid(x, [0] * 50)
    first, second = centres(x[:5]), centres(x[5:10])
    run_step(blocks, Step(held(first), None, (), 0, 1, HOW))
    step = Step(held(second), held(first), first.ks, 0, 2, HOW)
    once, again = run_step(blocks, step), run_step(blocks, step)
    np.testing.assert_array_equal(once.sums, again.sums)
    np.testing.assert_array_equal(once.changed, again.changed)


def test_changes_add_up_to_the_sums(own_folder: Path) -> None:
    x = points(80, 6, seed=3)
    blocks = laid(x, [0] * 80)
    running = np.zeros((4, 6))
    before: Centres | None = None
    for iteration in range(1, 5):
        now = centres(points(4, 6, seed=10 + iteration))
        step = Step(held(now), before and held(before), (4,) if before else (), 0, iteration, HOW)
        running += run_step(blocks, step).sums
        labels = squared_distances(x, now.centroids).argmin(axis=1)
        exact = np.stack([on_grid(x[labels == at], HOW.step).sum(axis=0) for at in range(4)])
        np.testing.assert_array_equal(running, exact)
        before = now
    assert len(list(own_folder.glob("**/0.0-*.npy"))) == 2  # older state is gone


def test_blocks_that_are_not_there_are_missing_and_the_others_counted() -> None:
    x = points(30, 3)
    blocks = laid(x, [0] * 10 + [1] * 20)
    Path(blocks[0].path).unlink()
    Path(blocks[1].path).with_suffix(".other.npy").write_bytes(b"stranger")
    (told,) = each([*blocks, replace(blocks[1], n=7)], Step(held(centres(x[:2])), None, (), 0, 1, HOW))
    # the last has another number of rows than it was laid with
    assert told.missing == {0: 10, 1: 7}
    assert told.made.counts.sum() == 20


def test_an_empty_partition_tells_nothing() -> None:
    assert list(each([], Step(held(centres(points(2, 2))), None, (), 0, 1, HOW))) == []


# --- rows for empty clusters ------------------------------------------------------------------------------------------


def test_the_farthest_rows_in_order_ties_by_picture() -> None:
    x = np.float32([[0, 0], [3, 0], [0, 3], [1, 0], [9, 9]])
    blocks = laid(x, [0, 0, 1, 1, 1])
    (told,) = each(blocks, Farthest(held(centres([[0, 0]], [[0, 0], [9, 9]])), (3, 2), HOW))
    found = [[(round(distance, 4), name, old) for distance, name, old, _ in rows] for rows in told.made.rows]
    assert found[0] == [(12.7279, "picture 0004", 0), (3.0, "picture 0001", 0), (3.0, "picture 0002", 0)]
    assert found[1] == [(3.0, "picture 0001", 0), (3.0, "picture 0002", 0)]
    np.testing.assert_array_equal(told.made.rows[0][0][3], [9, 9])


# --- the last pass ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_the_summary_is_that_of_all_pairs(seed: int) -> None:
    x = points(90, 7, seed)
    x[10:20] = x[5]  # duplicates
    at_centroids = np.concatenate([x[:4], points(3, 7, seed + 50)])
    blocks = laid(x, [0] * 40 + [1] * 50)
    now = centres(at_centroids[:1], at_centroids[:2], at_centroids)
    made = summarised(blocks, now, exemplars=3)
    for begin, end in now.bounds:
        distances = np.sqrt(squared_distances(x, now.centroids[begin:end]))
        label = distances.argmin(axis=1)
        ordered = np.sort(distances, axis=1)
        own = ordered[:, 0]
        other = ordered[:, 1] if end - begin > 1 else own
        scores = np.divide(other - own, other, out=np.zeros(len(x)), where=other > 0)
        for at in range(end - begin):
            mine = label == at
            assert made.sizes[begin + at] == mine.sum()
            expected = [scores[mine].sum(), own[mine].sum(), (own[mine] ** 2).sum()]
            np.testing.assert_allclose(rounded(made.sums[begin + at]), expected, rtol=2e-5, atol=1e-9)
            nearest = sorted((round(own[row], 4), f"picture {row:04d}") for row in np.flatnonzero(mine))[:3]
            assert made.image_id[made.cluster == begin + at].tolist() == [name for _, name in nearest]


def test_scores_of_a_few_rows_at_a_time_tell_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    x = points(60, 5)
    blocks = laid(x, [0] * 25 + [1] * 35)
    now = centres(x[:3], x[:7])
    labels, summary = kmeans.labels_of(x, now, HOW), summarised(blocks, now, exemplars=2)
    monkeypatch.setattr(kmeans, "_SCORES", 1)
    monkeypatch.setattr(kmeans, "_SCORED", 8)
    assert [len(scores) for _, scores in kmeans._scores(x, now, HOW)] == [8] * 7 + [4]
    np.testing.assert_array_equal(kmeans.labels_of(x, now, HOW), labels)
    again = summarised(blocks, now, exemplars=2)
    np.testing.assert_array_equal(again.sizes, summary.sizes)
    np.testing.assert_allclose(rounded(again.sums), rounded(summary.sums), rtol=1e-5)
    np.testing.assert_array_equal(again.image_id, summary.image_id)


def summarised(blocks: list[Block], now: Centres, exemplars: int) -> kmeans.Summary:
    parts = []
    for block in blocks:  # in partitions of their own
        (told,) = each([block], Summarise(held(now), exemplars, HOW))
        parts.append(told)
    return functools.reduce(lambda one, other: one.add(other), reversed(parts)).made


def test_a_row_on_its_centroid_is_at_distance_zero_far_from_the_origin() -> None:
    x = (points(20, 16) * 1e-3 + 100).astype(np.float32)
    origin = x.mean(axis=0)  # around it no digits are lost
    made = summarised(laid(x, [0] * 20), centres(x, origin=origin), exemplars=1)
    silhouettes, distances, _ = rounded(made.sums).T
    assert distances.max() == 0.0
    np.testing.assert_array_equal(silhouettes, 1.0)


def test_bf16_without_the_instructions_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False, raising=False)
    with pytest.raises(kmeans.NoBf16Error, match=r"clusters\.precision=fp32"):
        kmeans.labels_of(points(4, 3), centres(points(2, 3)), replace(HOW, precision="bf16"))


def test_bf16_that_the_executor_lacks_is_told_before_the_first_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kmeans, "_has_bf16", lambda: False)
    (told,) = lay(batches([0] * 5, list("abcde"), points(5, 3)), folder="test", precision="bf16")
    assert "set clusters.precision=fp32" in told.column("fault")[0].as_py()


def test_forgetting_removes_the_fits_own_folder_and_nothing_else(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = own_folder / "here"
    here.mkdir()
    (here / "mine").write_text("precious", encoding="utf-8")
    (own_folder / "profilelake-kmeans" / "other").mkdir(parents=True)
    monkeypatch.chdir(here)
    (block,) = laid(points(10, 2), [0] * 10)
    # A block that could not be laid has no path, and one may name any place.
    odd = [replace(block, path=""), replace(block, path="0.npy"), replace(block, path=str(here / "mine"))]
    folder = str(Path(block.path).parent)
    assert list(kmeans.forget([block, *odd], "test")) == [folder]
    assert not Path(folder).exists()
    assert (here / "mine").read_text(encoding="utf-8") == "precious"
    assert (own_folder / "profilelake-kmeans" / "other").is_dir()


@pytest.mark.parametrize("name", ["", ".", "..", "../other", "/etc", "a/b"])
def test_a_fits_folder_lies_in_no_other_place(name: str) -> None:
    with pytest.raises(ValueError, match="letters and digits"):
        list(kmeans.forget([], name))
