"""What decoding JPEGs at a reduced scale gains, and what it does to vectors and labels."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from udfs.decode import decode
from udfs.networks import BACKBONES
from udfs.networks.preprocess import crop
from udfs.picture_pass import PassSpec, ready

MARGINS = {"1": 1, "2": 2, "full": 0}


@dataclass(frozen=True, slots=True)
class Seen:
    """Pictures at one margin. seconds: of decoding and cropping each; embeddings: (n, width); best: (n,), the class of
    the highest score."""

    seconds: list[float]
    embeddings: npt.NDArray[np.float32]
    best: npt.NDArray[np.int64]

    def cosines(self, other: Seen) -> npt.NDArray[np.float64]:
        """Of each picture's vector to the other's, (n,)."""
        a, b = (seen.embeddings.astype(np.float64) for seen in (self, other))
        cosines: npt.NDArray[np.float64] = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
        return cosines

    def agreement(self, other: Seen) -> float:
        """Share of the pictures with the same best class."""
        return float((self.best == other.best).mean())


def see(spec: PassSpec, margin: int, files: Sequence[Path]) -> Seen:
    """Pictures through a pass's one network at a decode margin (0: full size)."""
    spec = replace(spec, decode_margin=margin)
    models = ready(spec)
    (name,) = spec.networks
    seconds, embeddings, best = [], [], []
    for at in range(0, len(files), spec.batch_size):
        crops = []
        for path in files[at : at + spec.batch_size]:
            content = path.read_bytes()
            began = time.perf_counter()
            crops.append(crop(decode(content, spec.max_pixels, spec.min_side), BACKBONES[name]))
            seconds.append(time.perf_counter() - began)
        output = models.networks.forward(name, np.stack(crops))
        embeddings.append(output.embeddings)
        best.append(output.logits.argmax(1))
    return Seen(seconds, np.concatenate(embeddings), np.concatenate(best))
