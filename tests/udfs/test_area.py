"""Areas against torch's own mean over windows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from udfs.area import AreaTable

PIXELS = np.random.default_rng(0).integers(0, 256, (61, 83, 3), dtype=np.uint8)


def area(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    given = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None]
    made: np.ndarray = interpolate(given, size=(height, width), mode="area")[0].permute(1, 2, 0).numpy()
    return made


@pytest.mark.parametrize("size", [(1, 1), (12, 17), (30, 41), (60, 82), (61, 83), (90, 100), (200, 3)])
def test_a_resized_picture(size: tuple[int, int]) -> None:
    np.testing.assert_allclose(AreaTable(PIXELS).resized(*size), area(PIXELS, *size), atol=1e-3)


@pytest.mark.parametrize("side", [24, 48])
def test_patches(side: int) -> None:
    rng = np.random.default_rng(side)
    first = np.stack([rng.integers(0, 82, 40), rng.integers(0, 60, 40)], axis=1)
    last = np.minimum(first + rng.integers(1, 60, (40, 2)), [83, 61])
    boxes = np.concatenate([first, last], axis=1)
    found = AreaTable(PIXELS).patches(boxes, side)
    for patch, (left, top, right, bottom) in zip(found, boxes.tolist(), strict=True):
        np.testing.assert_allclose(patch, area(PIXELS[top:bottom, left:right], side, side), atol=1e-3)
    assert AreaTable(PIXELS).patches(boxes[:0], side).shape == (0, side, side, 3)


def test_sums_of_the_largest_picture_are_exact() -> None:
    white = np.full((2**10, 2**13, 3), 255, np.uint8)
    assert (AreaTable(white).resized(1, 1) == 255).all()
    with pytest.raises(ValueError, match="too many for 32-bit sums"):
        AreaTable(np.zeros((2**12, 2**12, 3), np.uint8))
