"""The page's own drawings: a colour a category, and the silhouette curve as coordinates for an inline SVG."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from profilelake.reports.facts import Fit

# Hues 15 degrees apart in OKLCH, the twelve lighter ones first, then the twelve darker ones between them; each has a
# contrast of 3:1 or more (WCAG 2.2, 1.4.11) to the page in both its schemes.
PALETTE = (
    "#e05860", "#d8670e", "#b5820c", "#929213", "#4ba435", "#0ba480",
    "#179fa5", "#0f99c9", "#4a89f2", "#8d75eb", "#b865cb", "#d4599b",
    "#c0401f", "#a0600b", "#86700a", "#607e09", "#04884d", "#0a8379",
    "#0b7f94", "#0b77ba", "#5863d3", "#8951bf", "#aa4298", "#bd3964",
)  # fmt: skip
_TIER = 12
_STEP = 5  # coprime to the tier; the next place that is looked at is far away in hue


@dataclass(frozen=True)
class Paint:
    """What a category looks like: a colour, and stripes where the colour is another category's already."""

    colour: str
    striped: bool


def paints(names: Sequence[str]) -> dict[str, Paint]:
    """A look for each category, in order of importance.

    The name decides: it has the same look in every report as long as no more important category wants it too, in which
    case it takes the next free one. The first 12 are lighter, the next 12 darker, the 24 after them have stripes, then
    looks come again.
    """
    taken: dict[str, Paint] = {}
    for start in range(0, len(names), _TIER):
        tier = start // _TIER
        first = tier % 2 * _TIER
        free = set(range(_TIER))
        for name in names[start : start + _TIER]:
            place = int.from_bytes(hashlib.sha256(name.encode("utf-8")).digest()[:4], "big") % _TIER
            while place not in free:
                place = (place + _STEP) % _TIER
            free.remove(place)
            taken[name] = Paint(PALETTE[first + place], striped=tier // 2 % 2 == 1)
    return taken


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: its place in the drawing, its text."""

    at: float
    text: str


@dataclass(frozen=True)
class Curve:
    """The silhouette S(k) against k in the drawing's own units, y downwards.

    `raw` and `smoothed` are points of an SVG polyline; `chosen` is the mark on the smoothed line, None where no tried k
    is marked.
    """

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    raw: str
    smoothed: str
    dots: Sequence[tuple[float, float]]
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    chosen: tuple[float, float] | None
    chosen_k: int | None


def curve(fit: Fit, width: int, height: int) -> Curve | None:
    """The sweep of a fit in a drawing of `width` x `height`; None with fewer than two tried k, which make no line."""
    tried = fit.tried
    if len(tried) < 2:
        return None
    left, right, top, bottom = 52, width - 14, 18, height - 44
    values = [value for point in tried for value in (point.silhouette, point.smoothed)]
    marks = nice_ticks(min(values), max(values), 5)
    low, high = marks[0], marks[-1]
    first, last = tried[0].k, tried[-1].k

    def x(k: float) -> float:
        return round(left + (right - left) * (k - first) / (last - first), 1)

    def y(value: float) -> float:
        return round(bottom - (bottom - top) * (value - low) / (high - low), 1)

    chosen = next((point for point in tried if point.chosen), None)
    decimals = max(0, -math.floor(math.log10(marks[1] - marks[0])))
    return Curve(
        width=width,
        height=height,
        left=left,
        right=right,
        top=top,
        bottom=bottom,
        raw=" ".join(f"{x(point.k)},{y(point.silhouette)}" for point in tried),
        smoothed=" ".join(f"{x(point.k)},{y(point.smoothed)}" for point in tried),
        dots=tuple((x(point.k), y(point.silhouette)) for point in tried),
        x_ticks=tuple(
            Tick(x(k), f"{k:g}") for k in nice_ticks(first, last, width // 80) if first <= k <= last and k == int(k)
        ),
        y_ticks=tuple(Tick(y(mark), f"{mark:.{decimals}f}") for mark in marks),
        chosen=None if chosen is None else (x(chosen.k), y(chosen.smoothed)),
        chosen_k=None if chosen is None else chosen.k,
    )


def nice_ticks(low: float, high: float, about: int) -> list[float]:
    """About `about` round numbers, evenly spaced, that enclose low and high (1, 2 or 5 times a power of ten apart)."""
    span = high - low or abs(high) or 1.0
    rough = span / max(1, about)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough * (1 - 1e-9))
    start, stop = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    if start == stop:
        stop += 1
    return [round(n * step, 12) for n in range(start, stop + 1)]
