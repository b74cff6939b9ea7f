"""The kinds of pictures in the demo: how each is drawn, how many there are, how well people like it.

A kind is what a person would call the picture; the categories that profilelake finds are not read from here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from demo import composites
from demo.photographs import ASPECTS, crop, load


@dataclass(frozen=True, slots=True)
class Facts:
    """What is in a picture: faces, one in profile included; of a selfie, if it is outdoors, with an object, a mask."""

    faces: int = 0
    outdoor: bool = False
    holding: bool = False
    mask: bool = False


Draw = Callable[[tuple[int, int], np.random.Generator], tuple[Image.Image, Facts]]


@dataclass(frozen=True, slots=True)
class Kind:
    """`pictures`: how many the full crawl has; `appeal`: its term in the rule for likes (natural logarithm)."""

    name: str
    pictures: int
    appeal: float
    draw: Draw
    aspects: tuple[float, ...] = ASPECTS
    graded: bool = True


def _photo(
    name: str,
    closest: float = 0.6,
    focus: tuple[float, float] | None = None,
    box: tuple[int, int, int, int] | None = None,
    tilt: float = 4.0,
    faces: int = 0,
) -> Draw:
    def draw(size: tuple[int, int], rng: np.random.Generator) -> tuple[Image.Image, Facts]:
        image = load(name) if box is None else load(name).crop(box)
        return crop(image, size, rng, closest, focus, tilt=tilt), Facts(faces)

    return draw


def _selfie(outdoor: bool = False, holding: bool = False, mask: bool = False) -> Draw:
    def draw(size: tuple[int, int], rng: np.random.Generator) -> tuple[Image.Image, Facts]:
        image, boxes = composites.selfie(size, rng, outdoor=outdoor, holding=holding, masked=mask)
        return image, Facts(len(boxes), outdoor, holding, mask)

    return draw


def _group(fewest: int, most: int) -> Draw:
    def draw(size: tuple[int, int], rng: np.random.Generator) -> tuple[Image.Image, Facts]:
        image, boxes = composites.group(size, int(rng.integers(fewest, most + 1)), rng)
        return image, Facts(len(boxes))

    return draw


def _screen(paint: Callable[[tuple[int, int], np.random.Generator], Image.Image]) -> Draw:
    return lambda size, rng: (paint(size, rng), Facts())


def _long(size: tuple[int, int], rng: np.random.Generator) -> tuple[Image.Image, Facts]:
    del size  # its own: long pictures have no usual one
    if rng.random() < 0.75:
        return composites.long_article(rng), Facts()
    return composites.long_collage(rng, ("temple", "flower", "coffee", "rocket", "cat")), Facts()


_SQUARISH = (1.0, 1.0, 4 / 5, 4 / 3, 4 / 3)
_WIDE = (4 / 3, 4 / 3, 16 / 9, 3 / 2)

KINDS = (
    Kind("selfie_indoor", 170, 0.15, _selfie(), composites.SELFIE_ASPECTS),
    Kind("selfie_outdoor", 130, 0.35, _selfie(outdoor=True), composites.SELFIE_ASPECTS),
    Kind("selfie_holding", 120, 0.25, _selfie(holding=True), composites.SELFIE_ASPECTS),
    Kind("selfie_mask", 100, -0.1, _selfie(mask=True), composites.SELFIE_ASPECTS),
    Kind("group_small", 130, 0.45, _group(2, 5), _WIDE),
    Kind("group_large", 80, 0.3, _group(6, 9), _WIDE),
    Kind("cat", 150, 0.6, _photo("cat", 0.72, (0.42, 0.5)), _SQUARISH),
    Kind("coffee", 150, 0.1, _photo("coffee", 0.72, (0.47, 0.52), tilt=9)),
    Kind("temple", 140, 0.4, _photo("temple", 0.62, (0.4, 0.5))),
    Kind("flower", 130, 0.2, _photo("flower", 0.5, (0.45, 0.45), tilt=12)),
    Kind("rocket", 110, 0.5, _photo("rocket", 0.62, (0.48, 0.55))),
    Kind("photographer", 100, 0.0, _photo("camera", 0.85, (0.45, 0.5), faces=1)),
    Kind("galaxies", 90, 0.3, _photo("galaxies", 0.35, tilt=14)),
    Kind("coins", 80, -0.2, _photo("coins", 0.45)),
    Kind("pavement", 80, -0.4, _photo("brick", 0.5, tilt=8)),
    Kind("meadow", 80, -0.15, _photo("grass", 0.5)),
    Kind("gravel", 60, -0.45, _photo("gravel", 0.5, tilt=10)),
    Kind("microscope", 80, -0.1, _photo("tissue", 0.45, tilt=14)),
    Kind("retina", 60, -0.2, _photo("retina", 0.75, (0.5, 0.5), tilt=10)),
    Kind("uniform", 80, 0.05, _photo("hopper", 0.7, box=(130, 335, 500, 600))),
    Kind("horse", 60, 0.1, _photo("horse", 0.85, (0.5, 0.5), tilt=6)),
    Kind("handwriting", 60, -0.3, _photo("writing", 0.55, tilt=5)),
    Kind("chat", 100, -0.5, _screen(composites.chat), (9 / 16, 9 / 16, 3 / 4), graded=False),
    Kind("motto", 90, -0.25, _screen(composites.motto), (1.0, 1.0, 4 / 5), graded=False),
    Kind("long", 80, -0.35, _long, graded=False),
)
KIND_NAMES = tuple(kind.name for kind in KINDS)
BY_NAME = {kind.name: kind for kind in KINDS}
