"""Thumbnails: square, small, upright, and None for what is no picture."""

from __future__ import annotations

import io

import numpy as np
import skimage.data
from PIL import Image

from udfs.thumbnails import thumbnail

MANY = 100_000_000


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def test_a_photograph_becomes_a_small_square_jpeg_of_its_middle() -> None:
    coffee = Image.fromarray(skimage.data.coffee())  # 600 x 400
    made = thumbnail(encoded(coffee, "JPEG"), 112, MANY)
    assert made is not None
    assert len(made) < 8_000
    shown = Image.open(io.BytesIO(made))
    assert (shown.format, shown.size, shown.mode) == ("JPEG", (112, 112), "RGB")
    expected = np.asarray(coffee.crop((100, 0, 500, 400)).resize((112, 112), Image.Resampling.LANCZOS), dtype=float)
    assert np.abs(np.asarray(shown, dtype=float) - expected).mean() < 6


def test_a_portrait_is_cut_above_its_middle() -> None:
    rows = np.linspace(0, 255, 300).astype(np.uint8)
    portrait = Image.fromarray(np.repeat(rows[:, None], 100, axis=1))
    made = thumbnail(encoded(portrait), 50, MANY)
    assert made is not None
    # 200 of 300 rows are cut away, 40 % of them above: rows 80 to 180 stay
    assert abs(float(np.asarray(Image.open(io.BytesIO(made)).convert("L")).mean()) - rows[80:180].mean()) < 3


def test_alpha_lies_over_white_and_small_pictures_grow() -> None:
    made = thumbnail(encoded(Image.new("RGBA", (3, 3), (0, 0, 0, 0))), 112, MANY)
    assert made is not None
    assert np.asarray(Image.open(io.BytesIO(made))).min() > 250


def test_what_cannot_be_decoded_has_no_thumbnail() -> None:
    whole = encoded(Image.fromarray(skimage.data.coffee()), "JPEG")
    assert thumbnail(whole[: len(whole) // 2], 112, MANY) is None
    assert thumbnail(b"<svg onload=alert(1)>", 112, MANY) is None
    assert thumbnail(b"", 112, MANY) is None
    assert thumbnail(None, 112, MANY) is None
    assert thumbnail(whole, 112, 600 * 400 - 1) is None
    assert thumbnail(whole, 112, 600 * 400) is not None
