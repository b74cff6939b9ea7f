"""Pictures made smaller by the mean of whole pixels, many times over from one table. Runs on executors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Means = npt.NDArray[np.float32]
Edges = npt.NDArray[np.int64]


class AreaTable:
    """A summed-area table (Crow 1984): the mean of any box of a picture in four look-ups.

    Boxes are cut and windows laid as torch's `interpolate(mode="area")` does: window i of n over a side of s pixels is
    from floor(i s / n) to ceil((i + 1) s / n), every pixel in it counts once. Sums are exact.

    Args:
        pixels: (height, width, 3) uint8, at most 8 million pixels.
    """

    def __init__(self, pixels: Pixels) -> None:
        self.height, self.width = pixels.shape[:2]
        if self.height * self.width > 2**23:
            raise ValueError(f"{self.height} x {self.width} pixels are too many for 32-bit sums")
        self._sums = np.zeros((self.height + 1, self.width + 1, 3), np.int32)
        inner = self._sums[1:, 1:]
        np.cumsum(pixels, axis=0, dtype=np.int32, out=inner)
        np.cumsum(inner, axis=1, out=inner)

    def resized(self, height: int, width: int) -> Means:
        """The whole picture as (height, width, 3), 0-255."""
        top, bottom = _windows(self.height, height)
        left, right = _windows(self.width, width)
        # `take` is three times as fast as an index array.
        rows = self._sums.take(bottom, axis=0)
        rows -= self._sums.take(top, axis=0)
        sums = rows.take(right, axis=1)
        sums -= rows.take(left, axis=1)
        means: Means = sums.astype(np.float32)
        means /= ((bottom - top)[:, None] * (right - left)).astype(np.float32)[..., None]
        return means

    def patches(self, boxes: Edges, side: int) -> Means:
        """What n boxes show: (n, side, side, 3), 0-255.

        Args:
            boxes: (n, 4) left, top, right, bottom in pixels, inside the picture and not empty.
        """
        steps = np.arange(side + 1)
        spans = boxes[:, 2:] - boxes[:, :2]
        first = boxes[:, :2, None] + steps[:-1] * spans[..., None] // side
        last = boxes[:, :2, None] - (-steps[1:] * spans[..., None] // side)
        sums = self._sums.reshape(-1, 3)
        above, below = first[:, 1, :, None] * (self.width + 1), last[:, 1, :, None] * (self.width + 1)
        left, right = first[:, 0, None], last[:, 0, None]
        made = sums.take(below + right, axis=0)
        made -= sums.take(above + right, axis=0)
        made -= sums.take(below + left, axis=0)
        made += sums.take(above + left, axis=0)
        counts = (last - first).astype(np.float32)
        means: Means = made.astype(np.float32)
        means /= (counts[:, 1, :, None] * counts[:, 0, None])[..., None]
        return means


def _windows(side: int, n: int) -> tuple[Edges, Edges]:
    steps = np.arange(n + 1)
    return steps[:-1] * side // n, -(-steps[1:] * side // n)
