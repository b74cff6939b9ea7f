"""The engine on Spark, against scikit-learn and plain numpy."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs

from profilelake.clusters import kmeans
from profilelake.clusters.kmeans import Fit, Settings, fit
from profilelake.clusters.silhouette import choose
from profilelake.errors import ConfigError, ProfilelakeError
from tests.conftest import ROOT
from udfs.runtime import has_bf16

SETTINGS = Settings(seed=7, max_iterations=8, precision="fp32", exemplars=3)
Points = npt.NDArray[np.float32]


def frame(spark: SparkSession, x: npt.ArrayLike, names: Sequence[str] | None = None) -> DataFrame:
    rows = np.asarray(x, np.float32)
    names = [hashlib.sha256(str(at).encode()).hexdigest() for at in range(len(rows))] if names is None else names
    values = [(name, [float(value) for value in row]) for name, row in zip(names, rows, strict=True)]
    return spark.createDataFrame(values, "image_id string, embedding array<float>")


def points(n: int, d: int, seed: int = 0) -> Points:
    """Blobs that overlap: k-means has something to do."""
    made, _ = make_blobs(n, d, centers=12, cluster_std=3.0, random_state=seed)
    return np.asarray(made, np.float32)


def distances(x: Points, centroids: Points) -> npt.NDArray[np.float64]:
    return np.sqrt(((x[:, None].astype(np.float64) - centroids[None].astype(np.float64)) ** 2).sum(axis=2))


def silhouette(x: Points, centroids: Points) -> float:
    """The simplified silhouette in plain numpy (paper 1, 4.1): 0 in clusters of one."""
    ordered = np.sort(distances(x, centroids), axis=1)
    a, b = ordered[:, 0], ordered[:, 1]
    scores = np.divide(b - a, b, out=np.zeros(len(x)), where=b > 0)
    labels = distances(x, centroids).argmin(axis=1)
    scores[np.bincount(labels, minlength=len(centroids))[labels] == 1] = 0
    return float(scores.mean())


def same(found: Sequence[Fit], expected: Sequence[Fit]) -> None:
    """To the last bit."""
    for one, other in zip(found, expected, strict=True):
        assert (one.k, one.iterations, one.reason) == (other.k, other.iterations, other.reason)
        np.testing.assert_array_equal(one.centroids, other.centroids)
        np.testing.assert_array_equal(one.sizes, other.sizes)
        assert one.exemplars == other.exemplars
        numbers = [(of.silhouette, of.inertia, of.mean_distance) for of in (one, other)]
        assert numbers[0] == numbers[1]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many blocks of few rows, as a large lake has."""
    monkeypatch.setattr(kmeans, "_FEWEST", 8)
    monkeypatch.setattr(kmeans, "_ROWS", 16)


@pytest.mark.parametrize(("n", "d", "seed"), [(500, 6, 0), (700, 20, 1), (300, 1, 2), (120, 4096, 3)])
def test_it_is_lloyds_from_the_same_start(spark: SparkSession, n: int, d: int, seed: int) -> None:
    x = points(n, d, seed)
    rng = np.random.default_rng(seed)
    ks = [2, 5, 9]
    start = {k: x[rng.choice(n, k, replace=False)] for k in ks}
    for found in fit(frame(spark, x), ks, SETTINGS, start=start):
        theirs = KMeans(found.k, init=start[found.k], n_init=1, tol=0, max_iter=8, algorithm="lloyd").fit(
            x.astype(np.float64)
        )
        assert found.inertia == pytest.approx(theirs.inertia_, rel=1e-4)
        assert found.iterations == theirs.n_iter_
        own = distances(x, found.centroids).argmin(axis=1)
        order = np.argsort(distances(theirs.cluster_centers_.astype(np.float32), found.centroids).argmin(axis=1))
        expected = np.argsort(order)[theirs.labels_]
        assert (own == expected).mean() >= 0.999
        np.testing.assert_array_equal(found.sizes, np.bincount(own, minlength=len(found.centroids)))
        assert found.silhouette == pytest.approx(silhouette(x, found.centroids), abs=2e-5)
        assert found.mean_distance == pytest.approx(distances(x, found.centroids).min(axis=1).mean(), rel=1e-5)


def test_exemplars_are_nearest_first(spark: SparkSession) -> None:
    x = points(400, 5)
    names = [f"{at:04d}" for at in range(400)]
    (found,) = fit(frame(spark, x, names), [6], SETTINGS)
    all_pairs = distances(x, found.centroids)
    labels = all_pairs.argmin(axis=1)
    for cluster, exemplars in enumerate(found.exemplars):
        own = sorted((all_pairs[at, cluster], names[at]) for at in np.flatnonzero(labels == cluster))
        assert list(exemplars) == [name for _, name in own[:3]]
    assert (np.diff(found.sizes) <= 0).all()


@pytest.mark.parametrize(
    "precision",
    ["fp32", pytest.param("bf16", marks=pytest.mark.skipif(not has_bf16(), reason="this processor has no bf16"))],
)
def test_partitions_order_and_lies_of_the_table_change_nothing(
    spark: SparkSession, small_blocks: None, precision: str
) -> None:
    x = points(600, 16, seed=5)
    table = frame(spark, x)
    settings = replace(SETTINGS, precision=precision, max_iterations=5)
    expected = fit(table, [3, 7, 12], settings, partitions=1)
    for partitions, lies in ((2, table.repartition(5)), (7, table.orderBy("image_id"))):
        same(fit(lies, [3, 7, 12], settings, partitions=partitions), expected)
    other = fit(table, [7], replace(settings, seed=8))[0]
    assert not np.array_equal(other.centroids, expected[1].centroids)  # the seed is what changes something


def test_the_start_of_a_smaller_k_is_the_beginning_of_a_largers() -> None:
    x = points(300, 4)
    seeds = kmeans._seeds(x, 300, [2, 5, 9], SETTINGS, {})
    np.testing.assert_array_equal(seeds.of[2], seeds.of[9][:2])
    np.testing.assert_array_equal(seeds.of[5], seeds.of[9][:5])
    rows = {tuple(row) for row in x}
    assert all(tuple(row) in rows for row in seeds.of[9])


def test_the_start_is_drawn_from_a_bounded_sample_that_rests_on_ids_alone(spark: SparkSession) -> None:
    table = frame(spark, points(2000, 3))
    settings = replace(SETTINGS, seed_rows=150)
    drawn = F.xxhash64(F.lit(settings.seed), "image_id")
    first = [row["embedding"] for row in table.orderBy(drawn, "image_id").limit(150).collect()]
    np.testing.assert_array_equal(sample(table, settings), first)
    np.testing.assert_array_equal(sample(table.repartition(7), settings, partitions=5), first)
    assert not np.array_equal(sample(table, replace(settings, seed=8)), first)


def sample(table: DataFrame, settings: Settings, partitions: int | None = None) -> npt.NDArray[np.float32]:
    with kmeans._laid(table, table.count(), settings.seed, "fp32", partitions) as laid:
        return kmeans._sample(laid, settings)


class Spoiler:
    """Removes files of blocks after some passes, as an executor's end does."""

    def __init__(self, folder: Path, passes: Sequence[int], pattern: str) -> None:
        self._folder, self._passes, self._pattern = folder, passes, pattern
        self.seen = self.removed = 0

    def __call__(self) -> None:
        self.seen += 1
        if self.seen in self._passes:
            self.spoil()

    def spoil(self) -> None:
        for path in sorted(self._folder.glob(f"**/{self._pattern}")):
            if path.is_file():
                path.unlink()
                self.removed += 1


def _then(first: Callable[..., None], after: Callable[..., None]) -> Callable[..., None]:
    def both(*given: object) -> None:
        first(*given)
        after(*given)

    return both


@pytest.fixture
def local_files(spark: SparkSession) -> Path:
    """Where this test's blocks lie."""
    jvm = spark._jvm
    assert jvm is not None
    folders = jvm.org.apache.spark.SparkEnv.get().blockManager().diskBlockManager().localDirsString()
    return Path(str(folders[0])) / "profilelake-kmeans"


@pytest.mark.parametrize("pattern", ["1.npy", "*.ids.npy", "*-*.npy", "*"])
def test_what_is_lost_on_the_way_is_made_again(
    spark: SparkSession, small_blocks: None, local_files: Path, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    table = frame(spark, points(100, 8, seed=2))
    settings = replace(SETTINGS, max_iterations=4)
    expected = fit(table, [4, 9], settings, partitions=3)
    spoiler = Spoiler(local_files, (2, expected[-1].iterations), pattern)
    # before the first pass too
    monkeypatch.setattr(kmeans._Laid, "lay", _then(kmeans._Laid.lay, lambda _: spoiler.spoil()))
    same(fit(table, [4, 9], settings, partitions=3, on_pass=spoiler), expected)
    assert spoiler.removed


def test_nothing_stays_on_executors(spark: SparkSession, local_files: Path) -> None:
    fit(frame(spark, points(200, 3)), [3], SETTINGS)
    assert not list(local_files.iterdir())


def test_nothing_stays_when_a_fit_fails(
    spark: SparkSession, local_files: Path, small_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    laid: list[kmeans._Laid] = []

    def failing(self: kmeans._Laid, work: object) -> None:
        assert list(local_files.glob("**/*.npy"))
        laid.append(self)
        raise ProfilelakeError("the third reason")

    monkeypatch.setattr(kmeans._Laid, "run", failing)
    x = points(200, 3)
    with pytest.raises(ProfilelakeError, match="the third reason"):
        fit(frame(spark, x), [3], SETTINGS)
    x[50, 1] = math.nan
    with pytest.raises(ProfilelakeError, match="NaN"):
        fit(frame(spark, x), [3], replace(SETTINGS, seed_rows=5))
    assert not list(local_files.iterdir())
    assert not laid[0]._sent
    assert not any(rows.is_cached for _, rows in laid[0]._kept)


def test_blocks_that_cannot_be_removed_are_kept_no_longer(
    spark: SparkSession, local_files: Path, small_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    laid: list[kmeans._Laid] = []
    monkeypatch.setattr(kmeans._Laid, "lay", _then(laid.append, kmeans._Laid.lay))
    monkeypatch.setattr(kmeans.udf, "forget", _failing)
    (found,) = fit(frame(spark, points(100, 3)), [3], SETTINGS)
    assert found.reason is None
    assert list(local_files.glob("**/*.npy"))
    assert not any(rows.is_cached for _, rows in laid[0]._kept)
    shutil.rmtree(local_files)


def _failing(blocks: object, folder: str) -> None:
    raise OSError(f"{folder} lies on a disk that is gone")


def test_rows_that_vanish_before_they_are_laid_are_an_error(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = frame(spark, np.zeros((0, 3)))
    monkeypatch.setattr(type(table), "count", lambda self: 5)
    with pytest.raises(ProfilelakeError, match="changed while they were read: 5 rows first, then 0"):
        fit(table, [2], SETTINGS)


def test_a_lake_that_changes_meanwhile_is_an_error(
    spark: SparkSession, small_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = frame(spark, points(120, 3))
    monkeypatch.setattr(type(table), "count", lambda self: 119)
    with pytest.raises(ProfilelakeError, match="changed while they were read: 119 rows first, then 120"):
        fit(table, [2], SETTINGS)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_executor_that_dies_changes_nothing(spark: SparkSession, tmp_path: Path) -> None:
    """Executors in JVMs of their own, one of which is killed after the second pass."""
    environ = {**os.environ, "SPARK_CONF_DIR": str(ROOT / "conf"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.clusters.dying", str(tmp_path / "fits.json")],
        cwd=tmp_path, env=environ, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "fits.json").read_text(encoding="utf-8"))
    assert told["killed"] == 1
    expected = fit(frame(spark, points(3000, 8, seed=2)), [4, 9], SETTINGS)
    assert [one["centroids"] for one in told["fits"]] == [one.centroids.tolist() for one in expected]
    assert [one["inertia"] for one in told["fits"]] == [one.inertia for one in expected]


def test_blocks_that_vanish_again_and_again_are_an_error(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, small_blocks: None
) -> None:
    monkeypatch.setattr(kmeans, "_block", _nowhere)
    with pytest.raises(ProfilelakeError, match=r"blocks of vectors vanish.*spark\.local\.dir"):
        fit(frame(spark, points(50, 3)), [2], SETTINGS)


def _nowhere(row: Sequence[object]) -> kmeans.Block:
    return replace(kmeans.Block(*row), path="/nowhere/1.npy")  # type: ignore[arg-type]


def test_a_k_leaves_when_few_rows_change(spark: SparkSession) -> None:
    x = points(900, 5, seed=4)
    ks = [2, 10]
    strict = fit(frame(spark, x), ks, replace(SETTINGS, max_iterations=100))
    loose = fit(frame(spark, x), ks, replace(SETTINGS, max_iterations=100, tolerance=0.02))
    assert all(one.iterations < other.iterations for one, other in zip(loose, strict, strict=True))
    assert all(one.inertia < 1.02 * other.inertia for one, other in zip(loose, strict, strict=True))
    assert all(one.inertia >= other.inertia for one, other in zip(loose, strict, strict=True))


def test_groups_that_keep_to_the_memory_have_the_same_clusters(spark: SparkSession) -> None:
    table = frame(spark, points(300, 6))
    ks = [2, 3, 4, 5, 6]
    tight = taken([2, 3, 4], 6)
    assert kmeans._groups(ks, 6, tight) == [[2, 3, 4], [5, 6]]
    assert kmeans._groups(ks, 6, tight - 1) == [[2, 3], [4, 5], [6]]
    cut, whole = fit(table, ks, replace(SETTINGS, memory=tight)), fit(table, ks, SETTINGS)
    for one, other in zip(cut, whole, strict=True):
        np.testing.assert_allclose(one.centroids, other.centroids, atol=1e-5)
        assert one.sizes.tolist() == other.sizes.tolist()
        assert one.silhouette == pytest.approx(other.silhouette)
    with pytest.raises(ConfigError, match=r"k = 6 .* 6 numbers needs 129 MiB a task.*clusters\.memory"):
        fit(table, ks, replace(SETTINGS, memory=taken([5], 6)))


def taken(ks: Sequence[int], width: int) -> int:
    """Bytes of a task, as docs/categories.md has them."""
    return sum(ks) * (44 * width + 2048) + len(ks) * 2**18 + 65_536 * width + 2**27


def test_results_that_the_driver_takes_bound_a_group_too() -> None:
    for width, most in ((1280, 2**29 // (4 * 8 * 1280)), (6, 2**29 // (4 * 512))):
        assert kmeans._groups([most - 1, 1, 2], width, 2**50) == [[most - 1, 1], [2]]
        with pytest.raises(ConfigError, match=f"above {most:,} none fits"):
            kmeans._groups([most + 1], width, 2**50)


def test_groups_of_which_some_k_or_all_are_refused(spark: SparkSession) -> None:
    table = frame(spark, np.repeat(points(12, 3), 5, axis=0))
    ks = [30, 4, 2, 20, 3]
    tight = taken([20, 30], 3)
    assert kmeans._groups(sorted(ks), 3, tight) == [[2, 3], [4, 20], [30]]
    cut, whole = fit(table, ks, replace(SETTINGS, memory=tight)), fit(table, ks, SETTINGS)
    assert [one.reason is None for one in cut] == [False, True, True, False, True]
    for one, other in zip(cut, whole, strict=True):
        assert (one.k, one.reason, one.sizes.tolist()) == (other.k, other.reason, other.sizes.tolist())


@pytest.mark.parametrize("seed", range(4))
def test_clusters_that_run_empty_begin_anew_as_scikit_learns_do(spark: SparkSession, seed: int) -> None:
    x = points(200, 3, seed)
    far = np.float32([[500, 500, 500], [-400, 300, 0]])
    start = {5: np.concatenate([x[:3], far])}
    (found,) = fit(frame(spark, x), [5], SETTINGS, start=start)
    theirs = KMeans(5, init=start[5], n_init=1, tol=0, max_iter=8, algorithm="lloyd").fit(x.astype(np.float64))
    assert found.inertia == pytest.approx(theirs.inertia_, rel=1e-4)
    assert len(found.centroids) == 5


def test_an_earlier_fit_is_a_start(spark: SparkSession) -> None:
    table = frame(spark, points(500, 4))
    (first,) = fit(table, [6], replace(SETTINGS, max_iterations=100))
    (again,) = fit(table, [6], SETTINGS, start={6: first.centroids})
    assert again.iterations <= 2
    np.testing.assert_allclose(again.centroids, first.centroids, atol=1e-4)
    with pytest.raises(ValueError, match=r"start of k = 6 has the shape \(5, 4\)"):
        fit(table, [6], SETTINGS, start={6: first.centroids[:5]})


# --- degenerate data --------------------------------------------------------------------------------------------------


def test_numbers_whose_squares_are_none_are_refused(spark: SparkSession) -> None:
    x = points(60, 3)
    x[17, 1] = 1e20
    for seed_rows in (5, 100):
        with pytest.raises(ProfilelakeError, match=r"above 1e\+15"):
            fit(frame(spark, x), [2], replace(SETTINGS, seed_rows=seed_rows))


def test_fewer_distinct_rows_than_k_is_no_fit_and_said(spark: SparkSession) -> None:
    x = np.repeat(np.float32([[0, 0], [5, 5], [9, 0]]), 20, axis=0)
    two, three, four = fit(frame(spark, x), [2, 3, 4], SETTINGS)
    assert (two.reason, three.reason) == (None, None)
    assert three.inertia == 0
    assert three.silhouette == 1
    assert three.sizes.tolist() == [20, 20, 20]
    assert four.reason == "only 3 of the vectors can be told apart"
    assert (len(four.centroids), four.exemplars) == (0, ())
    assert math.isnan(four.silhouette)


def test_one_row(spark: SparkSession) -> None:
    one, two = fit(frame(spark, [[3.0, 4.0]]), [1, 2], SETTINGS)
    assert one.centroids.tolist() == [[3.0, 4.0]]
    assert (one.silhouette, one.inertia, one.sizes.tolist()) == (0.0, 0.0, [1])
    assert two.reason == "only 1 of the vectors can be told apart"


def test_rows_that_are_alone_or_on_their_centroid(spark: SparkSession) -> None:
    (found,) = fit(frame(spark, [[0, 0], [0, 0], [0, 0], [9, 9]]), [2], SETTINGS)
    assert found.sizes.tolist() == [3, 1]
    assert found.silhouette == pytest.approx(0.75)  # three have s = 1, the one that is alone has 0
    assert found.inertia == 0


def test_no_row_is_an_error(spark: SparkSession) -> None:
    with pytest.raises(ProfilelakeError, match="no vector to cluster"):
        fit(frame(spark, np.zeros((0, 3))), [2], SETTINGS)


def test_constant_columns_and_large_offsets(spark: SparkSession) -> None:
    x = points(300, 4, seed=9)
    wide = np.concatenate([x, np.full((300, 3), 1000, np.float32)], axis=1)
    narrow, broad = (fit(frame(spark, of), [5], SETTINGS)[0] for of in (x, wide))
    assert broad.inertia == pytest.approx(narrow.inertia, rel=1e-5)
    np.testing.assert_array_equal(broad.centroids[:, 4:], np.full((5, 3), 1000))


def test_the_origin_is_the_mean_but_for_rows_that_are_far_off() -> None:
    x = points(2000, 5)
    assert kmeans._origin(x) == pytest.approx(x.mean(axis=0, dtype=np.float64), abs=1e-6)
    odd = np.concatenate([np.full((2, 5), 1e12, np.float32), x])
    assert kmeans._origin(odd) == pytest.approx(x.mean(axis=0, dtype=np.float64), abs=1e-6)
    same = np.repeat(np.float32([[1, 2], [7, 7]]), [5, 4], axis=0)
    assert kmeans._origin(same).tolist() == [1, 2]  # most are one row
    assert kmeans._origin(np.float32([[3, 4]])).tolist() == [3, 4]


@pytest.mark.parametrize("far", [1e6, 1e12])
def test_a_row_that_is_far_off_leaves_the_others_as_they_would_be(spark: SparkSession, far: float) -> None:
    x = points(300, 4, seed=9)
    odd = np.concatenate([x, np.float32([[1, 2, far, 3]])])
    alone, beside = fit(frame(spark, x), [5], SETTINGS)[0], fit(frame(spark, odd), [2, 6], SETTINGS)
    assert [one.sizes[-1] for one in beside] == [1, 1]
    theirs = KMeans(6, n_init=10, tol=0, algorithm="lloyd", random_state=0).fit(odd.astype(np.float64))
    assert beside[1].inertia < 1.3 * theirs.inertia_
    own = distances(x, beside[1].centroids)
    np.testing.assert_array_equal(np.bincount(own.argmin(axis=1), minlength=6), [*beside[1].sizes[:-1], 0])
    assert beside[1].inertia == pytest.approx((own.min(axis=1) ** 2).sum(), rel=1e-4)
    assert beside[1].inertia < 2 * alone.inertia


@pytest.mark.parametrize("seed_rows", [10_000, 5])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_numbers_that_are_none_are_refused_by_name(spark: SparkSession, bad: float, seed_rows: int) -> None:
    x = points(60, 3)
    names = [f"picture {at}" for at in range(60)]
    x[17, 1] = bad
    with pytest.raises(ProfilelakeError, match=r"vector of picture picture 17 holds NaN"):
        fit(frame(spark, x, names), [2], replace(SETTINGS, seed_rows=seed_rows))


def test_vectors_of_another_width_and_null_are_refused(spark: SparkSession) -> None:
    schema = "image_id string, embedding array<float>"
    told = r"differ in length, or one is NULL|has 2 numbers, that of picture odd 1$"
    for odd in ([1.0], None):
        rows = [(str(at), [float(at), 1.0]) for at in range(40)] + [("odd", odd)]
        with pytest.raises(ProfilelakeError, match=told):
            fit(spark.createDataFrame(rows, schema), [2], SETTINGS)


# --- precision and choice ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(not has_bf16(), reason="this processor has no bf16: its product can't be tested here")
def test_bf16_is_near(spark: SparkSession) -> None:
    table = frame(spark, points(2000, 64, seed=3))
    exact = fit(table, [4, 9, 14], replace(SETTINGS, max_iterations=20))
    near = fit(table, [4, 9, 14], replace(SETTINGS, max_iterations=20, precision="bf16"))
    for one, other in zip(near, exact, strict=True):
        assert one.inertia == pytest.approx(other.inertia, rel=2e-3)
        assert one.silhouette == pytest.approx(other.silhouette, abs=4e-3)


def test_37_planted_groups_are_found(spark: SparkSession) -> None:
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(37, 20)) * 10
    x = (centres[rng.integers(0, 37, 3000)] + rng.normal(size=(3000, 20))).astype(np.float32)
    ks = list(range(10, 61))
    found = fit(frame(spark, x), ks, replace(SETTINGS, max_iterations=20))
    scores = [of.silhouette for of in found]
    assert choose(ks, scores, smoothing=1, decline=0.0).k == 37
    assert choose(ks, scores, smoothing=5, decline=0.02).k in (37, 38, 39, 40)


def test_what_is_asked_wrongly(spark: SparkSession) -> None:
    table = frame(spark, points(10, 2))
    for ks in ([], [0], [3, -1]):
        with pytest.raises(ValueError, match="ks must be numbers from 1"):
            fit(table, ks, SETTINGS)
