"""What runs the networks: uint8 squares in, vectors out. Runs on executors.

`Runtime` is the seam between the pass and whatever computes: numpy arrays on both sides, no tensor of any framework.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from udfs.networks import BACKBONES
from udfs.weights import WeightsFile, load

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

Vectors = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

DEVICES = ("auto", "cpu", "cuda")


class DeviceError(Exception):
    """The device that was asked for is not there. The message is one sentence: what, where, what to do."""


@dataclass(frozen=True, slots=True)
class Output:
    """embeddings: (n, width) float32; logits: (n, 1000) float32."""

    embeddings: Vectors
    logits: Vectors


class Runtime(Protocol):
    """Networks that are ready to run, by name."""

    def forward(self, name: str, pixels: Pixels) -> Output:
        """Run one network once.

        Args:
            name: one of `BACKBONES`.
            pixels: (n, crop, crop, 3) uint8, the network's own crop; n >= 1. A picture's vector does not depend on
                which others it comes with (cosine above 0.9999).
        """
        ...


class TorchRuntime:
    """Networks in torch: float32, evaluation mode, batch norms folded, channels last. A network loads at its first use.

    Args:
        weights: the verified file of each network, by name.
        device: `cpu`, `cuda` or `cuda:<index>`.
        batch_size: pictures that go through a network together at most.
    """

    def __init__(self, weights: Mapping[str, WeightsFile], device: str, batch_size: int) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        self._weights = dict(weights)
        self._device = device
        self._batch_size = batch_size
        self._networks: dict[str, torch.nn.Module] = {}
        self._lock = threading.Lock()

    def forward(self, name: str, pixels: Pixels) -> Output:
        """See `Runtime`.

        Raises:
            KeyError: the network is not among the weights.
            ValueError: the pixels are not of the network's size.
            WeightsError: its weights cannot be loaded.
        """
        import torch

        backbone = BACKBONES[name]
        side = backbone.crop
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != (side, side, 3) or not len(pixels):
            raise ValueError(f"{name} takes (n, {side}, {side}, 3) uint8, not {pixels.shape} {pixels.dtype}")
        network = self._network(name)
        mean = torch.tensor(backbone.mean, device=self._device).view(1, 3, 1, 1)
        std = torch.tensor(backbone.std, device=self._device).view(1, 3, 1, 1)
        embeddings, logits = [], []
        with torch.inference_mode():
            for at in range(0, len(pixels), self._batch_size):
                # Channels last is how decoded pixels lie already: the permuted view is not copied again.
                batch = torch.from_numpy(pixels[at : at + self._batch_size]).to(self._device).permute(0, 3, 1, 2)
                embedding, scores = network(batch.float().sub_(mean).div_(std))
                embeddings.append(embedding.float().cpu().numpy())
                logits.append(scores.float().cpu().numpy())
        return Output(np.concatenate(embeddings), np.concatenate(logits))

    def _network(self, name: str) -> torch.nn.Module:
        with self._lock:
            if name not in self._networks:
                self._networks[name] = self._load(name)
            return self._networks[name]

    def _load(self, name: str) -> torch.nn.Module:
        import torch

        from udfs.networks.embedding import fold_batch_norms

        network = load(name, self._weights[name])
        fold_batch_norms(network)
        return network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def use_threads(threads: int) -> None:
    """Threads that torch uses in this process: one a worker where several workers share the cores."""
    import torch

    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def device(setting: str) -> str:
    """The device of this task: `cpu` or `cuda:<index>`. Runs on executors, and anywhere else without a task.

    `auto` takes the GPU that Spark gave the task, else the CPU. `cuda` takes the GPU that Spark gave, else the first
    that torch sees.

    Raises:
        DeviceError: Spark gave a GPU that torch cannot use, or `cuda` was asked for and there is none.
        ValueError: another setting.
    """
    if setting not in DEVICES:
        raise ValueError(f"images.device must be one of {', '.join(DEVICES)}, not {setting!r}")
    if setting == "cpu":
        return "cpu"
    given = _given_gpu()
    if given is None and setting == "auto":
        return "cpu"
    import torch

    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if given is None:
        if not seen:
            raise DeviceError(
                "images.device is cuda, but Spark gave this task no GPU (spark.task.resource.gpu.amount) and torch "
                f"{torch.__version__} sees none on this machine: give executors GPUs, or set images.device=cpu"
            )
        return "cuda:0"
    if given >= seen:
        raise DeviceError(
            f"Spark gave this task GPU {given}, but torch {torch.__version__} sees {seen} on this machine: install a "
            "torch that fits its CUDA driver, or set images.device=cpu"
        )
    return f"cuda:{given}"


def _given_gpu() -> int | None:
    from pyspark import TaskContext

    context: Any = TaskContext.get()
    resources = context.resources() if context is not None else {}
    if "gpu" not in resources or not resources["gpu"].addresses:
        return None
    return int(resources["gpu"].addresses[0])
