"""The benchmark of k-means: that it runs, and that what it says follows from what it measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.kmeans.data import vectors
from benchmarks.kmeans.sizes import SMALL
from benchmarks.kmeans.targets import ML, OURS, RATIO, SECONDS, SKLEARN, targets
from benchmarks.overlay import ROOT
from benchmarks.rows import Row

SWEPT = f"sweep, {SMALL.rows:,} x {SMALL.widths[0]:,}"


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


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_small_run_measures_every_case(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.kmeans", "--small", "--no-faiss", "--out", str(tmp_path)],
        cwd=ROOT, env={**os.environ, "SPARK_CONF_DIR": str(ROOT / "conf")}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [Row(**row) for row in json.loads((tmp_path / "kmeans.json").read_text(encoding="utf-8"))]
    found = {(row.case, row.subject, row.metric): row for row in rows}
    assert len(found) == len(rows)
    assert all(row.min <= row.median <= row.max for row in rows)
    for target in targets(SMALL):
        assert (target.case, target.subject, target.metric) in found
    for peer in (ML, SKLEARN):
        ours, theirs = found[OURS, SWEPT, SECONDS], found[peer, SWEPT, SECONDS]
        assert found[f"{peer} / {OURS}", "sweep", RATIO].median == pytest.approx(theirs.median / ours.median)
        measured = [found[peer, SWEPT, f"seconds of k = {k}"].median for k in SMALL.modelled]
        slope, base = np.polyfit(SMALL.modelled, measured, 1)
        assert theirs.median == pytest.approx(sum(base + slope * k for k in SMALL.ks))
    assert (tmp_path / "kmeans.png").stat().st_size > 0
