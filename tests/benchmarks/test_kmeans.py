"""The benchmark of k-means: its vectors, and what it measures without Spark."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from benchmarks.kmeans import cases
from benchmarks.kmeans.__main__ import main
from benchmarks.kmeans.data import vectors
from benchmarks.kmeans.measure import CASES
from benchmarks.kmeans.targets import ML, OURS, RATIO, SKLEARN
from benchmarks.rows import Row


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


@pytest.mark.slow
def test_one_fit_is_measured_of_everyone(tmp_path: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    # in this session: processes of their own, which measurements have otherwise, take minutes to start
    monkeypatch.setattr(cases, "ask", lambda python, module, request: CASES[request["case"]](request))
    main(["--small", "--no-faiss", "--only", "single", "--out", str(tmp_path)])
    rows = [Row(**row) for row in json.loads((tmp_path / "kmeans.json").read_text(encoding="utf-8"))]
    inertia = {(row.case, row.subject): row.median for row in rows if row.metric == "inertia"}
    wide, many = "one fit, 1,500 x 48", "one fit, 3,000 x 32"
    assert set(inertia) == {(OURS, wide), (ML, wide), (SKLEARN, wide), (OURS, many), (SKLEARN, many)}
    for (_, subject), value in inertia.items():
        assert value == pytest.approx(inertia[OURS, subject], rel=0.2)
    ratios = {(row.case, row.subject) for row in rows if row.metric == RATIO}
    assert ratios == {(f"{ML} / {OURS}", wide), (f"{OURS} / {SKLEARN}", many)}
