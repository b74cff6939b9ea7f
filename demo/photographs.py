"""The real photographs that the demo is made of, read from installed packages, and how they are taken again.

No photograph is in the repository: each is opened where its package carries it, without importing the package.
Only photographs with a stated free licence are listed; README.md repeats licence and author.
"""

from __future__ import annotations

import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageEnhance, ImageFilter


@dataclass(frozen=True, slots=True)
class Photograph:
    """A packaged photograph: `path` is below the package's folder, `shows` and `licence` are for people."""

    name: str
    package: str
    path: str
    shows: str
    licence: str
    author: str


_CC0 = "CC0"
_FREE = "no known copyright restrictions"

PHOTOGRAPHS = (
    Photograph(
        "astronaut", "skimage", "data/astronaut.png", "Eileen Collins, astronaut", f"public domain, {_FREE}", "NASA"
    ),
    Photograph("brick", "skimage", "data/brick.png", "a pavement of bricks", _CC0, "CC0Textures, Bricks25"),
    Photograph("camera", "skimage", "data/camera.png", "a man with a camera on a tripod", _CC0, "Lav Varshney"),
    Photograph("cat", "skimage", "data/chelsea.png", "Chelsea the cat", _CC0, "Stefan van der Walt"),
    Photograph("coffee", "skimage", "data/coffee.png", "a cup of espresso", _CC0, "Rachel Michetti"),
    Photograph("coins", "skimage", "data/coins.png", "Greek coins from Pompeii", _FREE, "Brooklyn Museum"),
    Photograph("grass", "skimage", "data/grass.png", "grass", _CC0, "linolafett, Grass 01"),
    Photograph("gravel", "skimage", "data/gravel.png", "gravel", _CC0, "CC0Textures, Gravel04"),
    Photograph("horse", "skimage", "data/horse.png", "the silhouette of a horse (a drawing)", _CC0, "Andreas Preuss"),
    Photograph(
        "galaxies",
        "skimage",
        "data/hubble_deep_field.jpg",
        "the Hubble eXtreme Deep Field",
        "public domain",
        "NASA, ESA",
    ),
    Photograph("tissue", "skimage", "data/ihc.png", "stained tissue under a microscope", _FREE, "CMMI"),
    Photograph("retina", "skimage", "data/retina.jpg", "the retina of a left eye", _CC0, "Mikael Häggström"),
    Photograph("rocket", "skimage", "data/rocket.jpg", "Falcon 9 on its launch pad", "public domain", "SpaceX"),
    Photograph(
        "writing", "skimage", "data/text.png", "handwriting on paper", f"public domain, {_FREE}", "Wikimedia Commons"
    ),
    Photograph(
        "temple",
        "sklearn",
        "datasets/images/china.jpg",
        "a pagoda above a lake",
        "CC BY 2.0",
        "danielbuechele (Flickr)",
    ),
    Photograph("flower", "sklearn", "datasets/images/flower.jpg", "a dahlia", "CC BY 2.0", "vultilion (Flickr)"),
    Photograph(
        "hopper",
        "matplotlib",
        "mpl-data/sample_data/grace_hopper.jpg",
        "Rear Admiral Grace Hopper",
        "public domain",
        "James S. Davis, US Navy",
    ),
)
_BY_NAME = {photograph.name: photograph for photograph in PHOTOGRAPHS}
# Grey in the package: the colours that they are printed in here, (shadow, light).
_TINTS = {
    "brick": ((58, 26, 20), (232, 176, 146)),
    "grass": ((14, 34, 8), (176, 206, 110)),
    "gravel": ((44, 38, 32), (226, 212, 190)),
    "writing": ((30, 34, 60), (238, 230, 210)),
}
_FONT_PACKAGE = "matplotlib"
_FONTS = "mpl-data/fonts/ttf"


def _package_folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"the package {package}, whose photographs the demo uses, is not installed: make setup")
    return Path(spec.submodule_search_locations[0])


def path_of(name: str) -> Path:
    """Where the photograph lies. Raises FileNotFoundError where its package is not installed or has no such file."""
    photograph = _BY_NAME[name]
    path = _package_folder(photograph.package) / photograph.path
    if not path.is_file():
        raise FileNotFoundError(
            f"{photograph.package} carries no {photograph.path} (the demo's photograph {name!r}): "
            "install the locked version with make setup"
        )
    return path


@functools.cache
def font_path(name: str = "DejaVuSans.ttf") -> str:
    """A font that matplotlib carries, so that text looks the same on every machine."""
    return str(_package_folder(_FONT_PACKAGE) / _FONTS / name)


@functools.cache
def load(name: str) -> Image.Image:
    """The photograph in RGB, read once a process; grey textures in natural colours. Callers must not change it."""
    with Image.open(path_of(name)) as opened:
        if "A" in opened.getbands():
            white = Image.new("RGBA", opened.size, "white")
            image = Image.alpha_composite(white, opened.convert("RGBA")).convert("RGB")
        else:
            image = opened.convert("RGB")
    if name in _TINTS:
        image = tint(image, *_TINTS[name])
    return image


def tint(image: Image.Image, shadow: tuple[int, int, int], light: tuple[int, int, int]) -> Image.Image:
    """The picture's brightness, from black to white, as a run of colours from `shadow` to `light`."""
    table = [
        round(low + (high - low) * level / 255) for low, high in zip(shadow, light, strict=True) for level in range(256)
    ]
    grey = image.convert("L")
    return Image.merge("RGB", (grey, grey, grey)).point(table)


# --- taking a photograph again ----------------------------------------------------------------------------------------

# What a phone's camera and its square, portrait and story crops give: width / height.
ASPECTS = (3 / 4, 3 / 4, 1.0, 1.0, 4 / 5, 9 / 16, 4 / 3, 4 / 3, 16 / 9)
LONG_SIDES = (320, 320, 360, 400, 400, 480, 480, 560, 640)


def frame_size(rng: np.random.Generator, aspects: tuple[float, ...] = ASPECTS) -> tuple[int, int]:
    """A phone-like (width, height) in pixels, long side 320-640."""
    aspect = aspects[rng.integers(len(aspects))]
    long_side = LONG_SIDES[rng.integers(len(LONG_SIDES))]
    if aspect >= 1:
        return long_side, round(long_side / aspect)
    return round(long_side * aspect), long_side


def crop(
    image: Image.Image,
    size: tuple[int, int],
    rng: np.random.Generator,
    closest: float = 0.6,
    focus: tuple[float, float] | None = None,
    flip: bool = True,
    tilt: float = 4.0,
) -> Image.Image:
    """A window of the photograph in the wanted size: its side is `closest`-1 of the largest that fits.

    `focus` (fractions of the photograph) stays near the middle of the window; None: anywhere. `tilt` in degrees.
    """
    width, height = image.size
    # A thousandth less than fits, so that no rounding leaves the photograph.
    scale = min(width / size[0], height / size[1]) * rng.uniform(closest, 0.999)
    window_width, window_height = size[0] * scale, size[1] * scale
    if focus is None:
        left = rng.uniform(0, width - window_width)
        top = rng.uniform(0, height - window_height)
    else:
        left = focus[0] * width - window_width * rng.uniform(0.38, 0.62)
        top = focus[1] * height - window_height * rng.uniform(0.38, 0.62)
    left = min(max(left, 0.0), width - window_width)
    top = min(max(top, 0.0), height - window_height)
    reduction = int(scale)
    if reduction > 1:
        image = image.reduce(reduction)
        left, top, scale = left / reduction, top / reduction, scale / reduction
    angle = float(np.radians(rng.uniform(-tilt, tilt)))
    mirror = -1.0 if flip and rng.random() < 0.5 else 1.0
    # Drawn nearer by as much as keeps the corners of the turned window inside the straight one.
    long_to_short = max(size) / min(size)
    step = scale / (np.cos(angle) + long_to_short * abs(np.sin(angle)))
    return affine(
        image, size, (left + size[0] * scale / 2, top + size[1] * scale / 2), (mirror * step, step), angle, (0.5, 0.5)
    )


def affine(
    image: Image.Image,
    size: tuple[int, int],
    point: tuple[float, float],
    step: tuple[float, float],
    angle: float,
    at: tuple[float, float],
) -> Image.Image:
    """The picture turned by `angle` radians and scaled, in one resampling.

    `point` of it comes to lie at the fraction `at` of the result of `size`; a pixel to the right or down in the result
    is `step` pixels in it. Outside of it the result is black, or transparent where there is alpha.
    """
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    a, b = step[0] * cos, step[0] * sin
    d, e = -step[1] * sin, step[1] * cos
    x, y = size[0] * at[0], size[1] * at[1]
    matrix = (a, b, point[0] - a * x - b * y, d, e, point[1] - d * x - e * y)
    return image.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


@dataclass(frozen=True, slots=True)
class Look:
    """How a picture is developed: gains of red, green, blue; saturation; contrast; gamma (> 1: darker); lift 0-255."""

    name: str
    gains: tuple[float, float, float]
    saturation: float
    contrast: float
    gamma: float
    lift: float


LOOKS = (
    Look("natural", (1.0, 1.0, 1.0), 1.0, 1.0, 1.0, 0),
    Look("warm", (1.12, 1.0, 0.80), 1.1, 1.02, 0.95, 4),
    Look("cool", (0.84, 1.0, 1.16), 0.95, 1.02, 1.0, 4),
    Look("faded", (1.02, 1.0, 0.98), 0.5, 0.72, 0.9, 44),
    Look("vivid", (1.0, 1.0, 1.0), 1.5, 1.15, 0.95, 0),
    Look("moody", (0.95, 0.97, 1.05), 0.7, 1.1, 1.5, 0),
)


def develop(image: Image.Image, look: Look, rng: np.random.Generator, noise: float = 1.0) -> Image.Image:
    """The picture exposed anew in a look, with a slightly different exposure, white balance and grain each time."""
    gamma = look.gamma * np.exp(rng.normal(0, 0.1))
    contrast = look.contrast * np.exp(rng.normal(0, 0.05))
    levels = np.arange(256) / 255
    tables = []
    for gain in look.gains:
        curve = np.clip(levels * gain * np.exp(rng.normal(0, 0.025)), 0, 1) ** gamma
        curve = (curve - 0.5) * contrast + 0.5 + look.lift / 255
        tables.append(np.clip(np.rint(curve * 255), 0, 255).astype(int))
    result = ImageEnhance.Color(image).enhance(look.saturation * float(np.exp(rng.normal(0, 0.06))))
    result = result.point(np.concatenate(tables).tolist())
    if rng.random() < 0.15:
        result = result.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 0.9)))
    return grain(result, rng) if noise else result


@functools.cache
def _grain_tile() -> Image.Image:
    values = np.random.default_rng(1839).normal(128, 4.0, (1024, 768, 1)) + np.zeros(3)
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8), "RGB")


def grain(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Sensor noise of four grey levels; for pictures of at most 768 x 1,024 pixels."""
    tile = _grain_tile()
    x = int(rng.integers(tile.width - image.width + 1))
    y = int(rng.integers(tile.height - image.height + 1))
    return ImageChops.add(image, tile.crop((x, y, x + image.width, y + image.height)), 1, -128)
