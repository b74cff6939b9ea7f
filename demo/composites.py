"""Pictures put together from the photographs: selfies, groups, screenshots, very long pictures.

The packages hold two frontal faces. Each is cut out by hand-drawn outlines, dressed in other colours, given another
complexion and shape, and set in front of other photographs. All coordinates are pixels of the original photograph.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

from demo.photographs import affine, crop, font_path, load, tint

Point = tuple[float, float]
Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]
Place = Callable[[tuple[int, int], np.random.Generator], Image.Image]


@dataclass(frozen=True, slots=True)
class Sitter:
    """Who a cut-out shows: `outline` of head and shoulders, `face` (left, top, right, bottom), what a mask covers,
    where eyes and ears are, and where the cut-out ends."""

    photograph: str
    outline: tuple[Point, ...]
    face: Box
    mask: tuple[Point, ...]
    eyes: tuple[Point, Point]
    ears: tuple[Point, Point]
    bottom: int


SITTERS = (
    Sitter(
        "astronaut",
        (
            (20, 345), (24, 330), (40, 290), (60, 257), (86, 230), (112, 208), (116, 190), (128, 166), (150, 152),
            (176, 149), (182, 146), (179, 134), (172, 131), (162, 116), (156, 97), (155, 76), (160, 60), (174, 47),
            (188, 38), (200, 27), (218, 19), (238, 16), (258, 21), (275, 30), (288, 44), (296, 61), (300, 82),
            (297, 102), (289, 117), (279, 128), (272, 135), (266, 137), (261, 152), (257, 172), (280, 190), (297, 214),
            (305, 242), (322, 249), (340, 269), (351, 300), (360, 345),
        ),
        (178, 72, 270, 183),
        (
            (180, 135), (200, 133), (214, 128), (224, 127), (234, 128), (248, 133), (268, 135), (266, 152), (257, 170),
            (240, 184), (224, 188), (208, 184), (192, 170), (183, 152),
        ),
        ((203, 101), (246, 103)),
        ((177, 116), (270, 116)),
        345,
    ),
    Sitter(
        "hopper",
        (
            (12, 600), (20, 520), (28, 440), (46, 388), (72, 368), (130, 355), (172, 340), (196, 320), (199, 306),
            (186, 292), (170, 276), (161, 250), (159, 216), (154, 196), (156, 176), (154, 150), (153, 120), (156, 100),
            (167, 90), (176, 82), (184, 64), (200, 50), (217, 42), (223, 31), (255, 24), (289, 29), (303, 43),
            (329, 55), (347, 72), (354, 88), (368, 91), (372, 130), (370, 166), (374, 188), (369, 226), (360, 262),
            (352, 290), (340, 306), (333, 320), (352, 331), (400, 356), (450, 379), (490, 394), (502, 425), (511, 455),
            (511, 600),
        ),
        (180, 140, 350, 335),
        (
            (166, 254), (205, 254), (240, 247), (264, 242), (288, 247), (322, 254), (362, 254), (358, 280), (345, 305),
            (312, 336), (264, 348), (216, 336), (184, 305), (170, 280),
        ),
        ((222, 188), (305, 187)),
        ((160, 214), (368, 214)),
        600,
    ),
)  # fmt: skip

_CLOTHES = (
    None,
    (190, 40, 60),
    (40, 130, 90),
    (60, 90, 180),
    (230, 190, 60),
    (240, 240, 240),
    (140, 70, 160),
    (70, 170, 190),
    (230, 130, 170),
)
# Factors of red, green and blue that turn one complexion into others.
_COMPLEXIONS = ((1.0, 1.0, 1.0), (1.02, 0.94, 0.86), (0.88, 0.78, 0.70), (0.74, 0.62, 0.54), (1.04, 1.02, 1.0))
_MASKS: tuple[Colour, ...] = ((150, 205, 225), (240, 244, 246), (248, 190, 205), (130, 170, 215), (120, 190, 160))
_SKINS: tuple[Colour, ...] = ((226, 172, 146), (208, 152, 122), (170, 116, 88), (120, 80, 60))


@dataclass(frozen=True, slots=True)
class Bust:
    """A cut-out: RGBA, where its face is in it, and by how much it is to be widened when placed."""

    image: Image.Image
    face: Box
    stretch: float

    @property
    def slenderness(self) -> float:
        """Height / width of the face as placed."""
        left, top, right, bottom = self.face
        return (bottom - top) / (right - left) / self.stretch


@functools.cache
def _cut_out(sitter: Sitter) -> tuple[Image.Image, Image.Image]:
    """(RGB, alpha) down to the sitter's bottom."""
    image = load(sitter.photograph)
    image = image.crop((0, 0, image.width, sitter.bottom))
    alpha = Image.new("L", (image.width * 2, image.height * 2))
    ImageDraw.Draw(alpha).polygon([(2 * x, 2 * y) for x, y in sitter.outline], fill=255)
    alpha = alpha.resize(image.size, Image.Resampling.BOX).filter(ImageFilter.MinFilter(3))
    return image, alpha.filter(ImageFilter.GaussianBlur(1.2))


@functools.cache
def _dressed(sitter: Sitter, clothes: int) -> Image.Image:
    """The cut-out's RGB in other clothes: what is suit, uniform or hat takes the colour, its folds stay."""
    image, _ = _cut_out(sitter)
    colour = _CLOTHES[clothes]
    if colour is None:
        return image
    pixels = np.asarray(image, dtype=np.float32)
    brightness = pixels.max(axis=2)
    rows = np.arange(image.height)[:, None] + np.zeros((1, image.width))
    if sitter.photograph == "astronaut":
        orange = (pixels[..., 0] - pixels[..., 2] > 60) & (rows > 190)
        where, folds = orange.astype(np.float32), brightness / 225
    else:
        dark = np.clip((95 - brightness) / 35, 0, 1)
        chin = Image.new("L", image.size)
        ImageDraw.Draw(chin).polygon([(198, 300), (337, 300), (325, 350), (298, 402), (250, 406), (210, 365)], fill=255)
        where = dark * (((rows > 318) & (np.asarray(chin) == 0)) | (rows < 138))
        folds = 0.35 + brightness / 75
    where_image = Image.fromarray((where * 255).astype(np.uint8), "L").filter(ImageFilter.GaussianBlur(1.0))
    dyed = np.clip(folds[..., None] * np.asarray(colour, dtype=np.float32), 0, 255).astype(np.uint8)
    return Image.composite(Image.fromarray(dyed, "RGB"), image, where_image)


def _draw_mask(image: Image.Image, sitter: Sitter, colour: Colour) -> Image.Image:
    """A surgical mask over nose, mouth and chin, with pleats, shade and ear loops; the eyes stay free."""
    size = (image.width * 2, image.height * 2)
    shape = Image.new("L", size)
    outline = [(2 * x, 2 * y) for x, y in sitter.mask]
    ImageDraw.Draw(shape).polygon(outline, fill=255)
    left, top = min(x for x, _ in outline), min(y for _, y in outline)
    right, bottom = max(x for x, _ in outline), max(y for _, y in outline)
    cloth = Image.new("RGB", size, colour)
    draw = ImageDraw.Draw(cloth)
    darker = (int(colour[0] * 0.84), int(colour[1] * 0.84), int(colour[2] * 0.84))
    for pleat in range(1, 5):
        y = top + (bottom - top) * (0.15 + 0.16 * pleat)
        sag = (bottom - top) * 0.05
        points = [(left, y), ((left + right) / 2, y + sag), (right, y)]
        draw.line(points, fill=darker, width=max(2, round((bottom - top) / 40)), joint="curve")
    # The cloth bends away from the light to both sides.
    ramp = np.abs(np.linspace(-1, 1, max(2, round(right - left)))) ** 2 * 70
    shade = Image.new("L", size)
    shade.paste(
        Image.fromarray(np.tile(ramp.astype(np.uint8), (round(bottom - top) + 1, 1)), "L"), (round(left), round(top))
    )
    cloth = Image.composite(Image.new("RGB", size, (0, 0, 0)), cloth, shade)
    cloth, shape = cloth.resize(image.size), shape.resize(image.size).filter(ImageFilter.GaussianBlur(0.8))
    result = image.copy()
    strings = ImageDraw.Draw(result)
    width = max(1, round((bottom - top) / 80))
    for ear, corner in zip(sitter.ears, (sitter.mask[0], sitter.mask[6]), strict=True):
        strings.line([ear, corner], fill=(236, 236, 236), width=width)
    result.paste(cloth, (0, 0), shape)
    return result


def _draw_sunglasses(image: Image.Image, sitter: Sitter) -> Image.Image:
    """Dark glasses with a bridge, temples to the ears and the sky in the lenses."""
    (left_x, left_y), (right_x, right_y) = sitter.eyes
    apart = right_x - left_x
    lenses = Image.new("RGBA", (image.width * 2, image.height * 2))
    draw = ImageDraw.Draw(lenses)
    frame = (24, 22, 24, 255)
    for (x, y), ear in zip(sitter.eyes, sitter.ears, strict=True):
        draw.line(
            [(2 * x, 2 * y - apart * 0.2), (2 * ear[0], 2 * ear[1] - apart * 0.3)], fill=frame, width=round(apart / 10)
        )
        box = (2 * x - apart * 0.84, 2 * y - apart * 0.6, 2 * x + apart * 0.84, 2 * y + apart * 0.72)
        draw.rounded_rectangle(box, radius=apart * 0.5, fill=(30, 28, 34, 238), outline=frame, width=round(apart / 12))
        draw.line([(box[0] + apart * 0.4, box[3] - apart * 0.4), (box[0] + apart * 0.9, box[1] + apart * 0.25)],
                  fill=(140, 170, 200, 150), width=round(apart / 8))  # fmt: skip
    draw.line(
        [(2 * left_x + apart * 0.8, 2 * left_y - 8), (2 * right_x - apart * 0.8, 2 * right_y - 8)],
        fill=frame,
        width=round(apart / 6),
    )
    lenses = lenses.resize(image.size, Image.Resampling.BOX)
    result = image.copy()
    result.paste(lenses, (0, 0), lenses)
    return result


def _draw_straw_hat(image: Image.Image, sitter: Sitter) -> Image.Image:
    """A straw hat with a ribbon over the hair; RGBA in and out, since the brim is wider than the head."""
    left, top, right, _ = sitter.face
    wide, middle = right - left, (left + right) / 2
    shape = Image.new("L", (image.width * 2, image.height * 2))
    draw = ImageDraw.Draw(shape)
    brim = top + 0.04 * wide
    draw.ellipse(
        [2 * v for v in (middle - 1.2 * wide, brim - 0.24 * wide, middle + 1.2 * wide, brim + 0.2 * wide)], fill=255
    )
    crown = (middle - 0.7 * wide, brim - 0.8 * wide, middle + 0.7 * wide, brim + 0.5 * wide)
    draw.pieslice([2 * v for v in crown], 180, 360, fill=255)
    shape = shape.resize(image.size, Image.Resampling.BOX)
    straw = tint(load("grass").resize((image.width, image.height)), (150, 112, 60), (250, 224, 160))
    ribbon = ImageDraw.Draw(straw)
    ribbon.rectangle(
        (middle - 0.7 * wide, brim - 0.3 * wide, middle + 0.7 * wide, brim - 0.12 * wide), fill=(150, 40, 44)
    )
    ribbon.arc(
        (middle - 1.2 * wide, brim - 0.24 * wide, middle + 1.2 * wide, brim + 0.2 * wide),
        0,
        180,
        fill=(120, 88, 48),
        width=3,
    )
    result = image.copy()
    result.paste(straw, (0, 0), shape)
    alpha = ImageChops.lighter(image.getchannel("A"), shape)
    result.putalpha(alpha)
    return result


def _draw_cap(image: Image.Image, sitter: Sitter, colour: Colour) -> Image.Image:
    """A gathered cap, as in hospitals and kitchens, over the hair; RGBA in and out."""
    left, top, right, _ = sitter.face
    wide, middle = right - left, (left + right) / 2
    brow = top + 0.03 * wide
    scale = 2
    shape = Image.new("L", (image.width * scale, image.height * scale))
    draw = ImageDraw.Draw(shape)
    dome = (middle - 0.86 * wide, brow - 0.88 * wide, middle + 0.86 * wide, brow + 1.0 * wide)
    draw.pieslice([scale * value for value in dome], 180, 360, fill=255)
    rim = (middle - 0.86 * wide, brow - 0.1 * wide, middle + 0.86 * wide, brow + 0.12 * wide)
    draw.pieslice([scale * value for value in rim], 180, 360, fill=255)
    shape = shape.resize(image.size, Image.Resampling.BOX)
    cloth = Image.new("RGB", image.size, colour)
    folds = ImageDraw.Draw(cloth)
    darker = (int(colour[0] * 0.86), int(colour[1] * 0.86), int(colour[2] * 0.86))
    for fold in range(-6, 7):
        x = middle + fold * 0.13 * wide
        folds.line([(x, brow + 0.1 * wide), (middle + fold * 0.09 * wide, brow - 0.9 * wide)], fill=darker, width=3)
    folds.rectangle((left - wide, brow - 0.1 * wide, right + wide, brow - 0.04 * wide), fill=darker)
    cloth = cloth.filter(ImageFilter.GaussianBlur(1.5))
    result = image.copy()
    result.paste(cloth, (0, 0), shape)
    result.putalpha(ImageChops.lighter(image.getchannel("A"), shape))
    return result


@functools.cache
def _reduced(sitter: Sitter, clothes: int, mask: int, sunglasses: bool, hat: bool, reduction: int) -> Image.Image:
    """RGBA in some clothes, with mask number `mask` (-1: none), `reduction` times smaller than the photograph."""
    image, (_, alpha) = _dressed(sitter, clothes), _cut_out(sitter)
    if sunglasses:
        image = _draw_sunglasses(image, sitter)
    if mask >= 0:
        image = _draw_mask(image, sitter, _MASKS[mask])
    result = image.convert("RGBA")
    result.putalpha(alpha)
    if hat:
        result = _draw_straw_hat(result, sitter) if mask < 0 else _draw_cap(result, sitter, _MASKS[mask])
    return result.reduce(reduction) if reduction > 1 else result


def bust(
    rng: np.random.Generator,
    face_width: float,
    masked: bool = False,
    sunny: bool = False,
    sitter: Sitter | None = None,
) -> Bust:
    """Head and shoulders of one of the two sitters as somebody else: clothes, complexion, shape, side.

    `masked`: in a surgical mask, mostly with a cap; `sunny`: mostly in a straw hat, often in sunglasses. Not smaller
    than what a face of `face_width` pixels needs.
    """
    if sitter is None:
        sitter = SITTERS[rng.integers(len(SITTERS))]
    left, top, right, bottom = sitter.face
    reduction = max(1, int((right - left) / face_width))
    clothes = int(rng.integers(len(_CLOTHES)))
    mask = int(rng.integers(len(_MASKS))) if masked else -1
    sunglasses, hat = sunny and rng.random() < 0.6, (sunny or masked) and rng.random() < 0.9
    image = _reduced(sitter, clothes, mask, sunglasses, hat, reduction)
    complexion = _COMPLEXIONS[rng.integers(len(_COMPLEXIONS))]
    brightness = float(np.exp(rng.normal(0.03, 0.08)))
    levels = np.arange(256) * brightness
    tables = [np.minimum(np.rint(levels * factor), 255).astype(int) for factor in complexion]
    result = image.point([*np.concatenate(tables).tolist(), *range(256)])
    scale_x = result.width / _cut_out(sitter)[0].width
    scale_y = result.height / sitter.bottom
    stretch = float(rng.uniform(0.9, 1.1))
    if rng.random() < 0.5:
        result = result.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        left, right = result.width / scale_x - right, result.width / scale_x - left
    return Bust(result, (left * scale_x, top * scale_y, right * scale_x, bottom * scale_y), stretch)


def _place(scene: Image.Image, person: Bust, face_width: float, centre: Point, tilt: float = 0.0) -> Box:
    """Pastes a bust so that its face is `face_width` wide with its middle at `centre`; returns the face's box."""
    left, top, right, bottom = person.face
    scale_x = face_width / (right - left)
    scale_y = scale_x / person.stretch
    face_x, face_y = (left + right) / 2, (top + bottom) / 2
    # The upright cut-out's place in the scene, with room for the tilt.
    image = person.image
    room = abs(tilt) * 0.018 * max(image.width * scale_x, image.height * scale_y)
    x0 = max(0, int(centre[0] - face_x * scale_x - room))
    y0 = max(0, int(centre[1] - face_y * scale_y - room))
    x1 = min(scene.width, int(centre[0] + (image.width - face_x) * scale_x + room) + 1)
    y1 = min(scene.height, int(centre[1] + (image.height - face_y) * scale_y + room) + 1)
    at = ((centre[0] - x0) / (x1 - x0), (centre[1] - y0) / (y1 - y0))
    size = (x1 - x0, y1 - y0)
    piece = affine(image, size, (face_x, face_y), (1 / scale_x, 1 / scale_y), float(np.radians(tilt)), at)
    scene.paste(piece, (x0, y0), piece)
    half_height = (bottom - top) * scale_y / 2
    return (
        centre[0] - face_width / 2,
        centre[1] - half_height,
        centre[0] + face_width / 2,
        centre[1] + half_height,
    )


# --- places -----------------------------------------------------------------------------------------------------------


def _wall(size: tuple[int, int], colour: Colour, rng: np.random.Generator) -> Image.Image:
    """A plastered wall in a colour, lit from one side."""
    dark = (int(colour[0] * 0.78), int(colour[1] * 0.78), int(colour[2] * 0.78))
    # All of it is soft: a quarter of the pixels is enough.
    small = (max(1, size[0] // 4), max(1, size[1] // 4))
    texture = crop(load("gravel"), small, rng, tilt=0).filter(ImageFilter.GaussianBlur(1.5))
    wall = tint(ImageEnhance.Contrast(texture).enhance(0.5), dark, colour)
    light = np.linspace(1, 0, small[0])[None, :] * np.linspace(1, 0.5, small[1])[:, None] * 90
    if rng.random() < 0.5:
        light = light[:, ::-1]
    warm = Image.new("RGB", small, (255, 244, 224))
    lit = Image.composite(warm, wall, Image.fromarray(light.astype(np.uint8).copy(), "L"))
    return lit.resize(size, Image.Resampling.BILINEAR)


def _hang(wall: Image.Image, name: str, box: tuple[int, int, int, int], frame: Colour) -> None:
    """A framed photograph on a wall, with its shadow."""
    left, top, right, bottom = box
    shadow = Image.new("L", (right - left + 40, bottom - top + 40))
    ImageDraw.Draw(shadow).rectangle((20, 20, shadow.width - 20, shadow.height - 20), fill=110)
    wall.paste((0, 0, 0), (left - 17, top - 16), shadow.filter(ImageFilter.BoxBlur(3)))
    ImageDraw.Draw(wall).rectangle(box, fill=frame)
    edge = max(2, (right - left) // 14)
    ImageDraw.Draw(wall).rectangle((left + edge, top + edge, right - edge, bottom - edge), fill=(244, 242, 236))
    mat = edge * 2
    inside = (max(8, right - left - 2 * mat), max(8, bottom - top - 2 * mat))
    picture = load(name)
    wall.paste(ImageOps.fit(picture, inside, Image.Resampling.BICUBIC), (left + mat, top + mat))


_WALLS: tuple[Colour, ...] = ((232, 222, 204), (214, 196, 170), (188, 200, 206), (222, 190, 176), (196, 206, 184))
_FRAMED = ("cat", "coffee", "flower", "temple", "galaxies", "coins", "writing", "retina")


def _behind(place: Callable[[tuple[int, int], np.random.Generator], Image.Image]) -> Place:
    """The place out of focus: drawn at half the size and enlarged."""

    def drawn(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
        scene = place((size[0] // 2, size[1] // 2), rng).filter(ImageFilter.BoxBlur(rng.uniform(0.0, 0.6)))
        return scene.resize(size, Image.Resampling.BILINEAR)

    return functools.update_wrapper(drawn, place)


@_behind
def indoors(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """A room: a wall with framed photographs, and sometimes a shelf."""
    width, height = size
    room = _wall(size, _WALLS[rng.integers(len(_WALLS))], rng)
    shelf = rng.random() < 0.5
    for column in (0.02, 0.68):
        side = round(width * rng.uniform(0.26, 0.32))
        left = round(width * (column + rng.uniform(-0.04, 0.03)))
        top = round(height * rng.uniform(0.04, 0.2))
        tall = round(side * rng.uniform(0.8, 1.35))
        frame: Colour = ((70, 48, 34), (30, 30, 32), (236, 232, 224))[rng.integers(3)]
        _hang(room, _FRAMED[rng.integers(len(_FRAMED))], (left, top, left + side, top + tall), frame)
        if shelf:
            board = round(height * 0.6)
            ImageDraw.Draw(room).rectangle((left - 5, board, left + side + 5, board + 5), fill=(122, 84, 56))
            at = left
            while at < left + side:
                thick, tall_book = int(rng.integers(4, 10)), int(height * rng.uniform(0.09, 0.15))
                cover = tuple(int(value) for value in rng.integers(40, 210, 3))
                ImageDraw.Draw(room).rectangle((at, board - tall_book, at + thick - 2, board - 1), fill=cover)
                at += thick
    return room


@_behind
def outdoors(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """A temple garden, a launch pad at dusk, a meadow under the sky, a flower bed, or a park."""
    place = int(rng.integers(5))
    if place == 0:
        scene = crop(load("temple"), size, rng, closest=0.75, tilt=2)
    elif place == 1:
        scene = crop(load("rocket"), size, rng, closest=0.8, tilt=2)
        scene = ImageEnhance.Brightness(scene).enhance(1.5)
    elif place == 2:
        scene = _sky(size, rng)
        horizon = round(size[1] * rng.uniform(0.35, 0.5))
        meadow = crop(load("grass"), (size[0], size[1] - horizon), rng, closest=0.8, tilt=0)
        scene.paste(ImageEnhance.Brightness(meadow).enhance(1.25), (0, horizon))
    elif place == 3:
        scene = crop(load("flower"), size, rng, closest=0.85, tilt=3)
        scene = ImageEnhance.Brightness(scene).enhance(1.3)
    else:
        scene = crop(load("temple").crop((400, 0, 640, 427)), size, rng, closest=0.8, tilt=2)
    return scene


def _sky(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    piece = load("temple").crop((0, 0, 240, 60)) if rng.random() < 0.5 else load("temple").crop((400, 0, 640, 60))
    return piece.resize(size, Image.Resampling.BICUBIC).filter(ImageFilter.BoxBlur(3))


# --- what a hand holds ------------------------------------------------------------------------------------------------


@functools.cache
def _thing(name: str) -> Image.Image:
    """An object cut out of its photograph, RGBA."""
    if name == "coffee":
        image, box = load("coffee"), (70, 0, 500, 400)
        shape = Image.new("L", image.size)
        draw = ImageDraw.Draw(shape)
        draw.ellipse((82, 82, 484, 398), fill=255)
        draw.polygon(
            [(165, 60), (200, 26), (262, 10), (340, 12), (396, 34), (418, 62), (410, 140), (180, 200)], fill=255
        )
    elif name == "flower":
        image, box = load("flower"), (170, 70, 400, 300)
        shape = Image.new("L", image.size)
        ImageDraw.Draw(shape).ellipse((192, 84, 374, 282), fill=255)
    else:
        raise ValueError(f"nobody can hold {name!r}: coffee or flower")
    result = image.convert("RGBA")
    result.putalpha(shape.filter(ImageFilter.MinFilter(3)).filter(ImageFilter.GaussianBlur(1.5)))
    return result.crop(box)


def _hold(scene: Image.Image, name: str, width: float, centre: Point, rng: np.random.Generator) -> None:
    """Pastes an object and the fingers that hold it."""
    thing = _thing(name)
    size = (round(width), round(width * thing.height / thing.width))
    thing = thing.resize(size, Image.Resampling.BICUBIC)
    if rng.random() < 0.5:
        thing = thing.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    at = (round(centre[0] - size[0] / 2), round(centre[1] - size[1] / 2))
    skin = _SKINS[rng.integers(len(_SKINS))]
    scene.paste(thing, at, thing)
    # The hand is drawn around the object's middle, twice as large, then made smaller for smooth edges.
    side = -1 if centre[0] > scene.width / 2 else 1
    reach = round(width * 0.7)
    fingers = Image.new("RGBA", (4 * reach, 4 * reach), (*skin, 0))
    draw = ImageDraw.Draw(fingers)
    thick = width * 0.2
    for finger in range(4):
        x = 2 * (reach + side * width * (0.02 + 0.03 * finger))
        y = 2 * (reach + size[1] * (0.12 + 0.12 * finger))
        colour = tuple(int(value * (1 - 0.05 * finger)) for value in skin)
        end = x - side * width * (0.84 - 0.08 * finger)
        draw.line([(x, y), (end, y + thick * 0.5)], fill=(*colour, 255), width=round(thick))
        draw.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), fill=(*colour, 255))
        nail = x + side * thick * 0.18
        draw.ellipse(
            (nail - thick * 0.2, y - thick * 0.26, nail + thick * 0.2, y + thick * 0.1), fill=(244, 214, 200, 255)
        )
    fingers = fingers.resize((2 * reach, 2 * reach), Image.Resampling.BOX)
    scene.paste(fingers, (round(centre[0]) - reach, round(centre[1]) - reach), fingers)


# --- selfies and groups -----------------------------------------------------------------------------------------------

# Face widths from the middle of a face to the end of its cut-out, tilted and widened.
_BODY = 1.75
SELFIE_ASPECTS = (3 / 4, 3 / 4, 9 / 16, 1.0, 4 / 5)


def selfie(
    size: tuple[int, int],
    rng: np.random.Generator,
    *,
    outdoor: bool = False,
    holding: bool = False,
    masked: bool = False,
    sitter: Sitter | None = None,
) -> tuple[Image.Image, list[Box]]:
    """One face that fills 12-23 % of the picture; returns it with the face's box in pixels.

    Outdoors and with an object it is about 14 %, otherwise 17-23 %.
    """
    width, height = size
    scene = outdoors(size, rng) if outdoor else indoors(size, rng)
    # Where the surroundings or an object matter, the camera is farther away.
    share = rng.uniform(0.135, 0.16) if holding or outdoor else rng.uniform(0.17, 0.23)
    person = bust(rng, 0.4 * width, masked, outdoor, sitter)
    face_width = min(float(np.sqrt(share * width * height / person.slenderness)), 0.56 * width)
    sideways = rng.choice((-1.0, 1.0)) * 0.1 if holding else rng.uniform(-0.08, 0.08)
    # Low enough for the body to reach the lower edge.
    y = max(height * rng.uniform(0.38, 0.46), height - _BODY * face_width)
    box = _place(scene, person, face_width, (width * (0.5 + sideways), y), tilt=float(rng.uniform(-8, 8)))
    if holding:
        name = ("coffee", "coffee", "flower")[rng.integers(3)]
        wide = width * rng.uniform(0.68, 0.82)
        beside = (width * (0.5 - 1.6 * sideways), height - wide * 0.4)
        _hold(scene, name, wide, beside, rng)
    return scene, [box]


def group(size: tuple[int, int], people: int, rng: np.random.Generator) -> tuple[Image.Image, list[Box]]:
    """`people` in one row, or from four on in two, the back row first; returns the boxes of their faces in pixels."""
    width, height = size
    scene = outdoors(size, rng) if rng.random() < 0.5 else indoors(size, rng)
    back = 0 if people <= 3 else (people - 1) // 2
    front = people - back
    tallest = height * (0.34 if not back else 0.22)
    pitch = width / front
    face_width = min(pitch * rng.uniform(0.44, 0.5), tallest)
    level = height - _BODY * face_width * rng.uniform(0.85, 0.98)
    boxes: list[Box] = []
    first = int(rng.integers(len(SITTERS)))
    # Who stands behind looks through between two heads in front.
    places = [(place + 1 + (front - 1 - back) / 2, 1) for place in range(back)]
    places += [(place + 0.5, 0) for place in range(front)]
    for number, (place, row) in enumerate(places):
        size_here = face_width * rng.uniform(0.94, 1.06) * (0.94 if row else 1)
        person = bust(rng, size_here, sitter=SITTERS[(first + number) % len(SITTERS)])
        x = pitch * (place + rng.uniform(-0.04, 0.04))
        y = level - row * 1.55 * face_width + rng.uniform(-0.06, 0.02) * face_width
        boxes.append(_place(scene, person, size_here, (x, y), float(rng.uniform(-5, 5))))
    return scene, boxes


# --- screens and pages ------------------------------------------------------------------------------------------------

_WORDS = (
    "the",
    "a",
    "of",
    "light",
    "morning",
    "river",
    "small",
    "garden",
    "letter",
    "window",
    "never",
    "again",
    "quiet",
    "road",
    "summer",
    "winter",
    "friend",
    "walk",
    "coffee",
    "rain",
    "song",
    "open",
    "door",
    "home",
    "year",
    "story",
    "paper",
    "green",
    "blue",
    "slow",
    "bright",
    "city",
    "train",
    "mountain",
    "sea",
    "stone",
    "bread",
    "time",
)
SAYINGS = (
    "Begin anywhere.",
    "Small steps, every day.",
    "The sea is never the same twice.",
    "Keep your face to the sun.",
    "Nothing good was ever hurried.",
    "Home is where the kettle is.",
    "Be kind. Rewind.",
    "Stay curious.",
)


@functools.cache
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(font_path(name), size, layout_engine=ImageFont.Layout.BASIC)


def _sentence(rng: np.random.Generator, words: int) -> str:
    picked = [_WORDS[index] for index in rng.integers(len(_WORDS), size=words)]
    return " ".join(picked).capitalize() + "."


def _lines(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and font.getlength(longer) > width:
            lines.append(line)
            line = word
        else:
            line = longer
    return [*lines, line]


def chat(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """A screenshot of a conversation."""
    width, height = size
    themes: tuple[tuple[Colour, Colour, Colour], ...] = (
        ((236, 236, 236), (149, 236, 105), (255, 255, 255)),
        ((229, 221, 213), (220, 248, 198), (255, 255, 255)),
        ((255, 255, 255), (60, 140, 250), (232, 232, 236)),
    )
    ground, mine, theirs = themes[rng.integers(len(themes))]
    scene = Image.new("RGB", size, ground)
    draw = ImageDraw.Draw(scene)
    font = _font("DejaVuSans.ttf", max(11, width // 24))
    bar = round(height * 0.08)
    draw.rectangle((0, 0, width, bar), fill=(246, 246, 246))
    draw.text((width * 0.4, bar * 0.3), _WORDS[rng.integers(len(_WORDS))].capitalize(), fill=(20, 20, 20), font=font)
    draw.text((width * 0.03, bar * 0.3), "<", fill=(60, 60, 60), font=font)
    y, line_height = bar + 12.0, font.size * 1.3
    icon = round(width * 0.09)
    faces = ("cat", "flower", "coffee", "rocket", "temple")
    theirs_icon, mine_icon = (load(faces[index]).resize((icon, icon)) for index in rng.integers(len(faces), size=2))
    while y < height:
        own = rng.random() < 0.5
        lines = _lines(_sentence(rng, int(rng.integers(2, 14))), font, width * 0.6)
        wide = max(font.getlength(line) for line in lines) + 18
        tall = len(lines) * line_height + 12
        x = width - icon - 16 - wide if own else icon + 16
        scene.paste(mine_icon if own else theirs_icon, (width - icon - 8 if own else 8, round(y)))
        draw.rounded_rectangle((x, y, x + wide, y + tall), radius=8, fill=mine if own else theirs)
        for number, line in enumerate(lines):
            draw.text((x + 9, y + 5 + number * line_height), line, fill=(18, 18, 18), font=font)
        y += tall + 12
    return scene


def motto(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """A saying in large letters on a coloured ground."""
    colours: tuple[Colour, ...] = ((36, 52, 80), (196, 84, 72), (240, 226, 200), (64, 104, 88), (24, 24, 26))
    ground = colours[rng.integers(len(colours))]
    scene = Image.new("RGB", size, ground)
    ink: Colour = (250, 248, 240) if sum(ground) < 420 else (40, 36, 34)
    font = _font(("DejaVuSerif.ttf", "DejaVuSans-Bold.ttf")[rng.integers(2)], max(18, size[0] // 10))
    lines = _lines(SAYINGS[rng.integers(len(SAYINGS))], font, size[0] * 0.76)
    draw = ImageDraw.Draw(scene)
    top = size[1] / 2 - len(lines) * font.size * 0.65
    for number, line in enumerate(lines):
        draw.text(((size[0] - font.getlength(line)) / 2, top + number * font.size * 1.3), line, fill=ink, font=font)
    edge = size[0] // 18
    draw.rectangle((edge, edge, size[0] - edge, size[1] - edge), outline=ink, width=2)
    return scene


def long_article(rng: np.random.Generator) -> Image.Image:
    """An article captured in one piece, 3.2-4.4 times as high as wide, with photographs between the paragraphs."""
    width = int(rng.choice((180, 200, 220)))
    size = (width, round(width * rng.uniform(3.2, 4.4)))
    scene = Image.new("RGB", size, (252, 252, 250))
    draw = ImageDraw.Draw(scene)
    title, body = _font("DejaVuSans-Bold.ttf", width // 13), _font("DejaVuSerif.ttf", width // 19)
    names = ("temple", "coffee", "flower", "cat", "rocket")
    y = 12.0
    for line in _lines(_sentence(rng, 7), title, width - 24):
        draw.text((12, y), line, fill=(20, 20, 20), font=title)
        y += title.size * 1.3
    y += 8
    while y < size[1]:
        for line in _lines(" ".join(_sentence(rng, 9) for _ in range(int(rng.integers(3, 6)))), body, width - 24):
            draw.text((12, y), line, fill=(52, 52, 52), font=body)
            y += body.size * 1.35
        y += 8
        picture = load(names[rng.integers(len(names))])
        inset = picture.resize((width - 24, round((width - 24) * 0.6)), Image.Resampling.BICUBIC)
        if rng.random() < 0.6:
            scene.paste(inset, (12, round(y)))
            y += inset.height + 10
    return scene


def long_collage(rng: np.random.Generator, names: Sequence[str]) -> Image.Image:
    """Photographs below each other in one picture, 3.1-4 times as high as wide."""
    width = int(rng.choice((180, 200, 220)))
    pieces = int(rng.integers(4, 6))
    part = (width, round(width * rng.uniform(3.1, 4.0) / pieces))
    scene = Image.new("RGB", (width, part[1] * pieces + 4 * (pieces - 1)), "white")
    for piece in range(pieces):
        picture = crop(load(names[rng.integers(len(names))]), part, rng, closest=0.8)
        scene.paste(picture, (0, piece * (part[1] + 4)))
    return scene
