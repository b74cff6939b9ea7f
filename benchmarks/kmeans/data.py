"""Vectors that are as hard to cluster as a network's: groups of many sizes that run into each other."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

_GROUPS, _LATENT, _SEED = 300, 40, 1
_FILES = 4


def vectors(cache: Path, n: int, width: int) -> Path:
    """A folder with n vectors as vectors.npy, (n, width) float32, and as Parquet (image_id, embedding); made once."""
    folder = cache / f"vectors-{_SEED}-{n}-{width}"
    if not (folder / "vectors.npy").exists():
        rows = _made(n, width)
        parquet = folder / "parquet"
        parquet.mkdir(parents=True, exist_ok=True)
        ids = np.array([hashlib.sha256(f"{n} {at}".encode()).hexdigest() for at in range(n)])
        for at, some in enumerate(np.array_split(np.arange(n), _FILES)):
            flat = pa.array(rows[some].ravel())
            lists = pa.FixedSizeListArray.from_arrays(flat, width).cast(pa.list_(pa.float32()))
            pq.write_table(pa.table({"image_id": ids[some], "embedding": lists}), parquet / f"{at}.parquet")
        unfinished = folder / "unfinished.npy"
        np.save(unfinished, rows)
        unfinished.rename(folder / "vectors.npy")
    return folder


def _made(n: int, width: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    rng = np.random.default_rng(_SEED)
    centres = rng.normal(size=(_GROUPS, _LATENT)).astype(np.float32)
    shares = rng.dirichlet(np.full(_GROUPS, 0.7))
    spread = rng.normal(size=(_LATENT, width)).astype(np.float32) / np.float32(np.sqrt(_LATENT))
    rows = np.empty((n, width), np.float32)
    for at in range(0, n, 10_000):
        some = min(10_000, n - at)
        latent = centres[rng.choice(_GROUPS, some, p=shares)] + rng.normal(size=(some, _LATENT)) * 0.8
        made = latent.astype(np.float32) @ spread + rng.normal(size=(some, width)).astype(np.float32) * 0.5
        rows[at : at + some] = np.maximum(made, 0)  # as behind a network's last activation
    return rows
