"""Backbones by name: squares in, embeddings and logits out. Runs on executors."""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from udfs.networks import BACKBONES, CLASSES
from udfs.runtime import Compiled, Network, Runtime
from udfs.weights import WeightsFile, load

if TYPE_CHECKING:
    from udfs.networks.embedding import EmbeddingNet

Vectors = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Output:
    """embeddings: (n, width) float32; logits: (n, 1000) float32."""

    embeddings: Vectors
    logits: Vectors


class Embedder:
    """Networks on a runtime; each is compiled at its first use.

    Args:
        weights: the verified file of each network, by name.
        runtime: what runs them.
        batch_size: pictures that go through a network together at most.
    """

    def __init__(self, weights: Mapping[str, WeightsFile], runtime: Runtime, batch_size: int) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        self._weights = dict(weights)
        self._runtime = runtime
        self._batch_size = batch_size
        self._compiled: dict[str, Compiled] = {}
        self._lock = threading.Lock()

    def forward(self, name: str, pixels: Pixels) -> Output:
        """Run one network once.

        Args:
            name: one of `BACKBONES`.
            pixels: (n, crop, crop, 3) uint8, the network's own crop; n >= 1. A picture's vector does not depend on
                which others it comes with (cosine above 0.9999).

        Raises:
            KeyError: the network is not among the weights.
            ValueError: the pixels are not of the network's size, or what comes out is not of the width that the
                network's embeddings have.
            WeightsError: its weights cannot be loaded.
        """
        network = self._network(name)
        parts = [network(pixels[at : at + self._batch_size]) for at in range(0, max(1, len(pixels)), self._batch_size)]
        embeddings, logits = (np.concatenate(part) for part in zip(*parts, strict=True))
        shapes, expected = (embeddings.shape[1:], logits.shape[1:]), ((BACKBONES[name].width,), (CLASSES,))
        if shapes != expected:
            raise ValueError(f"{name} gave vectors of shape {shapes[0]} and {shapes[1]} scores, expected {expected}")
        return Output(embeddings, logits)

    def _network(self, name: str) -> Compiled:
        with self._lock:
            if name not in self._compiled:
                self._compiled[name] = self._runtime.compile(described(name, self._weights[name]))
            return self._compiled[name]


def described(name: str, file: WeightsFile) -> Network:
    """A backbone as a runtime takes it."""
    backbone = BACKBONES[name]
    build = functools.partial(_built, name, file)
    return Network(name, file.sha256, build, backbone.mean, backbone.std, size=(backbone.crop, backbone.crop))


def _built(name: str, file: WeightsFile) -> EmbeddingNet:
    from udfs.networks.embedding import fold_batch_norms

    network = load(name, file)
    fold_batch_norms(network)
    return network
