"""How well two detectors' boxes agree."""

from __future__ import annotations

from collections.abc import Sequence

# left, top, width, height, in fractions of the picture
Box = Sequence[float]


def agreement(ours: Sequence[Sequence[Box]], theirs: Sequence[Sequence[Box]]) -> tuple[float, list[float]]:
    """Of boxes by picture.

    Returns:
        (share of their faces that ours has too, overlapping by half of the union or more; the overlap of each of those)
    """
    overlaps = [
        max((overlap(box, other) for other in mine), default=0.0)
        for mine, them in zip(ours, theirs, strict=True)
        for box in them
    ]
    found = [value for value in overlaps if value >= 0.5]
    return (len(found) / len(overlaps) if overlaps else 1.0), found


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    high = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    both = max(0.0, wide) * max(0.0, high)
    return both / (a[2] * a[3] + b[2] * b[3] - both)
