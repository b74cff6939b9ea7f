"""Encoded pictures to vectors in one call: as tutorials write it in torch, and with our decode and runtime."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from udfs import weights
from udfs.decode import decode
from udfs.networks import BACKBONES
from udfs.networks.preprocess import crop
from udfs.picture_pass import PassSpec, ready

Embed = Callable[[Sequence[bytes]], npt.NDArray[np.float32]]


def torch_network(name: str, path: str | None) -> Embed:
    """Encoded pictures to vectors, (n, width), the way tutorials write it. path: of the weights, None: their own."""
    import torch

    network = weights.load(name, weights.find(name, path)).trunk
    transform = torch_transform(name)

    def embed(contents: Sequence[bytes]) -> npt.NDArray[np.float32]:
        pixels = torch.stack([transform(Image.open(io.BytesIO(content)).convert("RGB")) for content in contents])
        with torch.inference_mode():
            vectors: npt.NDArray[np.float32] = network(pixels).numpy()
        return vectors

    return embed


def torch_transform(name: str) -> Any:
    """torchvision's transforms of a network: a PIL picture to a normalised tensor (3, crop, crop)."""
    from torchvision import transforms

    backbone = BACKBONES[name]
    return transforms.Compose(
        [
            transforms.Resize(backbone.resize, transforms.InterpolationMode(backbone.interpolation)),
            transforms.CenterCrop(backbone.crop),
            transforms.ToTensor(),
            transforms.Normalize([m / 255 for m in backbone.mean], [s / 255 for s in backbone.std]),
        ]
    )


def our_network(spec: PassSpec) -> Embed:
    """Encoded pictures to vectors, (n, width), with our decode and runtime."""
    models = ready(spec)
    (name,) = spec.networks

    def embed(contents: Sequence[bytes]) -> npt.NDArray[np.float32]:
        crops = [crop(decode(content, spec.max_pixels, spec.min_side), BACKBONES[name]) for content in contents]
        return models.networks.forward(name, np.stack(crops)).embeddings

    return embed
