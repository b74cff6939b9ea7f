"""Pixels -> what a network is fed. Runs on executors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from udfs.networks import Backbone, Interpolation

Pixels = npt.NDArray[np.uint8]

# Pillow rounds a part of a picture otherwise than the whole, so usual pictures are resized whole.
_LONG = 4
_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def crop(image: Image.Image, backbone: Backbone) -> Pixels:
    """The network's square of a picture: (crop, crop, 3) uint8. The same pixels as torchvision's
    `Compose([Resize(resize, interpolation), CenterCrop(crop)])` gives for a PIL image; up to rounding (2 of 255) where
    one side is more than four times the other."""
    return middle(image, backbone.resize, backbone.crop, backbone.interpolation)


def middle(image: Image.Image, resize: int, side: int, interpolation: Interpolation) -> Pixels:
    """Short side to `resize` pixels, then the middle square of `side` pixels: (side, side, 3) uint8.

    Of a long picture only the pixels of the square are made: 1 x 50,000 pixels resized whole would take gigabytes.
    """
    width, height = image.size
    if width <= height:
        wide, high = resize, int(resize * height / width)
    else:
        wide, high = int(resize * width / height), resize
    left, top = round((wide - side) / 2.0), round((high - side) / 2.0)
    if max(wide, high) <= _LONG * resize:
        whole = image.resize((wide, high), _FILTERS[interpolation])
        return np.array(whole.crop((left, top, left + side, top + side)))
    across, down = width / wide, height / high
    box = (left * across, top * down, min((left + side) * across, width), min((top + side) * down, height))
    return np.array(image.resize((side, side), _FILTERS[interpolation], box=box))
