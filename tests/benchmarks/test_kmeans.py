"""The benchmark of k-means: its vectors, and what it measures without Spark."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.kmeans.data import vectors
from benchmarks.kmeans.measure import CASES


def test_vectors_are_the_same_in_both_forms_and_made_once(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    folder = vectors(tmp_path, 100, 6)
    table = pq.read_table(folder / "parquet")
    rows = np.load(folder / "vectors.npy")
    np.testing.assert_array_equal(np.array(table.column("embedding").to_pylist(), np.float32), rows)
    assert len(set(table.column("image_id").to_pylist())) == 100
    before = (folder / "vectors.npy").stat().st_mtime_ns
    assert vectors(tmp_path, 100, 6) == folder
    assert (folder / "vectors.npy").stat().st_mtime_ns == before


def test_what_needs_no_spark_measures(tmp_path: Path) -> None:
    request = {"folder": str(vectors(tmp_path, 600, 8)), "ks": [2, 4], "iterations": 3, "precision": "fp32"}
    theirs = CASES["scikit-learn"](request)
    assert len(theirs["seconds"]) == len(theirs["inertia"]) == 2
    assert theirs["inertia"][0] > theirs["inertia"][1]
    alone = CASES["one process"](request)
    assert len(alone["passes"]) == 3
    assert min(alone["passes"]) > 0
