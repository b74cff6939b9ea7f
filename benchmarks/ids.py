"""Ids as a crawl has them, and whose posts are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa


def ids_of(rng: np.random.Generator, n: int) -> pa.StringArray:
    """As sha256 prints: 64 hexadecimal digits each."""
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    drawn = rng.integers(0, 256, (n, 32), np.uint8)
    text = digits[np.stack([drawn >> 4, drawn & 15], axis=-1)]
    offsets = np.arange(0, 64 * n + 1, 64, dtype=np.int32)
    return pa.StringArray.from_buffers(n, pa.py_buffer(offsets), pa.py_buffer(text.tobytes()))


def numbered(prefix: str, n: int) -> pa.StringArray:
    """<prefix>0000000, and so on."""
    return pa.array(np.char.add(prefix, np.char.zfill(np.arange(n).astype(str), 7)))


def owners(rng: np.random.Generator, posts: int, users: int, skew: float) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The number of the user of each post; everybody has one at least, and the user of rank r the more in proportion to
    r to the power of minus skew."""
    shares = np.arange(1, users + 1) ** -skew
    others = rng.choice(users, posts - users, p=shares / shares.sum())
    return rng.permutation(np.concatenate([np.arange(users), others]))
