"""JPEGs decoded, turned upright and resized on a GPU, where torchvision offers it. Runs on executors.

The other half of the seam to a GPU, beside `udfs.runtime`: what the networks are fed is a numpy array as ever.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from udfs.networks import Interpolation

if TYPE_CHECKING:
    import torch

Pixels = npt.NDArray[np.uint8]

_ORIENTATION = 0x0112
# Exif's eight orientations, undone: how often a quarter turn to the left, after the picture was mirrored left to right.
_MIRRORED = (2, 4, 5, 7)
_QUARTERS = {1: 0, 2: 0, 3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}


@dataclass(frozen=True)
class DeviceImage:
    """A picture on a device, upright. pixels: (3, height, width) uint8."""

    pixels: torch.Tensor

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, as PIL has them."""
        return int(self.pixels.shape[2]), int(self.pixels.shape[1])

    def middle(self, resize: int, side: int, interpolation: Interpolation) -> Pixels:
        """As `udfs.networks.preprocess.middle`: torchvision's Resize and CenterCrop, on the device."""
        from torchvision.transforms.v2 import functional as tv

        square = tv.center_crop(_resized(self.pixels, _short_side(self.size, resize), interpolation), [side, side])
        return _array(square)

    def reduced(self, long_side: int) -> Pixels:
        """As `udfs.faces.reduced`."""
        width, height = self.size
        if max(width, height) <= long_side:
            return _array(self.pixels)
        scale = long_side / max(width, height)
        return _array(_resized(self.pixels, (max(1, round(width * scale)), max(1, round(height * scale))), "bilinear"))


def decode_on(content: bytes | memoryview | None, where: str, max_pixels: int) -> DeviceImage | None:
    """A JPEG at full size, decoded on a device.

    Args:
        content: the encoded bytes.
        where: `cuda:<index>`; `cpu` is torchvision's own decoder.
        max_pixels: of what is decoded at all.

    Returns:
        The picture; None for whatever is no plain JPEG, is too large, or cannot be decoded here: `udfs.decode` takes it
        over, and says what is wrong with it where something is.
    """
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg

    orientation = _plain_jpeg(content, max_pixels)
    if content is None or orientation is None:
        return None
    try:
        # A copy that torch may write to, as it demands.
        encoded = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        pixels = decode_jpeg(encoded, mode=ImageReadMode.RGB, device=where)
    except RuntimeError:
        return None
    if orientation in _MIRRORED:
        pixels = pixels.flip(2)
    return DeviceImage(torch.rot90(pixels, _QUARTERS[orientation], (1, 2)).contiguous())


def _plain_jpeg(content: bytes | memoryview | None, max_pixels: int) -> int | None:
    """The orientation of a JPEG in grey or YCbCr that isn't too large; None for all else. Reads the header alone."""
    if not content or bytes(content[:2]) != b"\xff\xd8":
        return None
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG",)) as header:
            if header.mode not in ("RGB", "L") or header.width * header.height > max_pixels:
                return None
            orientation = header.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001  whatever ails the header, `udfs.decode` has the word for it
        return None
    return orientation if orientation in _QUARTERS else 1


def _short_side(size: tuple[int, int], resize: int) -> tuple[int, int]:
    width, height = size
    return (resize, int(resize * height / width)) if width <= height else (int(resize * width / height), resize)


def _resized(pixels: torch.Tensor, size: tuple[int, int], interpolation: Interpolation) -> torch.Tensor:
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2 import functional as tv

    made: torch.Tensor = tv.resize(pixels, [size[1], size[0]], InterpolationMode(interpolation), antialias=True)
    return made


def _array(pixels: torch.Tensor) -> Pixels:
    return np.ascontiguousarray(pixels.permute(1, 2, 0).cpu().numpy())
