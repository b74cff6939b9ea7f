"""Memory of a worker with a picture of 100 million pixels among small ones."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

ROOT = Path(__file__).resolve().parents[2]

# A process of its own, since the peak of memory is a process's.
LOOK = """
import json, sys
from pathlib import Path
import pyarrow as pa
from udfs.faces import FaceSettings
from udfs.picture_pass import PassSpec, run_pass

paths = [Path(path) for path in sys.argv[1:]]
spec = PassSpec(embed=("efficientnet_lite0",), label=(), faces=FaceSettings(), device="cpu", decode_margin=1)
rows = []
for path in paths:
    batch = pa.RecordBatch.from_arrays(
        [pa.array([path.name]), pa.array([path.read_bytes()]), pa.nulls(1, pa.list_(pa.string()))],
        names=["image_id", "content", "need"],
    )
    rows += [batch]
made = [row for out in run_pass(iter(rows), spec) for row in out.to_pylist()]
print(json.dumps([
    {"name": row["image_id"], "error": row["error"], "n": len(row["embeddings"]), "peak": row["peak_bytes"]}
    for row in made
]))
"""


def looked(*paths: Path) -> list[dict[str, object]]:
    done = subprocess.run([sys.executable, "-c", LOOK, *map(str, paths)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    rows: list[dict[str, object]] = json.loads(done.stdout)
    return rows


@pytest.mark.slow
@pytest.mark.model
def test_a_huge_picture_among_small_ones(tmp_path: Path) -> None:
    photo = Image.fromarray(load_sample_images().images[0])

    def put(name: str, size: tuple[int, int], kind: str, **options: object) -> Path:
        path = tmp_path / name
        photo.resize(size).save(path, kind, **options)
        return path

    small = [put(f"small{n}.jpg", (400, 300), "JPEG") for n in range(16)]
    looked(*small)  # the networks are compiled now, which takes more memory than looking does
    usual = int(str(looked(*small)[-1]["peak"]))
    huge = [
        put("baseline.jpg", (12_000, 8_300), "JPEG"),
        put("progressive.jpg", (12_000, 8_300), "JPEG", progressive=True),
        put("long.jpg", (1080, 20_000), "JPEG"),
        put("grey.png", (12_000, 8_300), "PNG", compress_level=1),
    ]
    for path in huge:
        rows = looked(*small[:8], path, *small[8:])
        assert [row["error"] for row in rows] == [None] * 17
        assert [row["n"] for row in rows] == [1] * 17
        assert int(str(rows[-1]["peak"])) < 1.5e9, path.name
    assert usual < 0.8e9


@pytest.mark.slow
@pytest.mark.model
def test_memory_does_not_grow_with_the_pictures(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    paths = []
    for n in range(240):
        out = io.BytesIO()
        side = int(rng.integers(300, 900))
        Image.fromarray(rng.integers(0, 256, (side // 8, side // 6, 3), dtype=np.uint8)).resize((side, side)).save(
            out, "JPEG"
        )
        path = tmp_path / f"{n}.jpg"
        path.write_bytes(out.getvalue())
        paths.append(path)
    looked(*paths[:2])
    few, many = (int(str(looked(*some)[-1]["peak"])) for some in (paths[:120], paths))
    assert many < 1.1 * few
