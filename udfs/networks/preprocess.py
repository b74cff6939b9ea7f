"""Pixels -> what a network is fed. Runs on executors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from udfs.device_decode import DeviceImage
from udfs.networks import Backbone, Interpolation

Pixels = npt.NDArray[np.uint8]

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def crop(image: Image.Image | DeviceImage, backbone: Backbone) -> Pixels:
    """The network's square of a picture: (crop, crop, 3) uint8. The pixels that torchvision's
    `Compose([Resize(resize, interpolation), CenterCrop(crop)])` gives for a PIL image, up to rounding (2 of 255)."""
    if isinstance(image, DeviceImage):
        return image.middle(backbone.resize, backbone.crop, backbone.interpolation)
    return middle(image, backbone.resize, backbone.crop, backbone.interpolation)


def middle(image: Image.Image, resize: int, side: int, interpolation: Interpolation) -> Pixels:
    """Short side to `resize` pixels, then the middle square of `side` pixels: (side, side, 3) uint8.

    Only the pixels of the square are made: it takes half the time, and 1 x 50,000 pixels resized whole would take
    gigabytes.
    """
    width, height = image.size
    if width <= height:
        wide, high = resize, int(resize * height / width)
    else:
        wide, high = int(resize * width / height), resize
    left, top = round((wide - side) / 2.0), round((high - side) / 2.0)
    across, down = width / wide, height / high
    # Across, then down, as Pillow resizes a whole picture: it rounds in between, and would begin with the other
    # direction for a square of an upright picture.
    strip = image.resize(
        (side, height), _FILTERS[interpolation], box=(left * across, 0, min((left + side) * across, width), height)
    )
    square = strip.resize(
        (side, side), _FILTERS[interpolation], box=(0, top * down, side, min((top + side) * down, height))
    )
    return np.array(square)
