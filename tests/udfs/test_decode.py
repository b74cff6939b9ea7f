"""Bytes to pixels: against numpy's own turning and scaling, and against the picture that was encoded."""

from __future__ import annotations

import io
import random
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image, ImageFile
from sklearn.datasets import load_sample_images

from udfs.decode import DecodeError, decode

Pixels = npt.NDArray[np.uint8]

PIXELS = 100_000_000
REASONS = {"image_failed", "image_truncated", "image_too_many_pixels"}


def photo(width: int = 120, height: int = 80) -> Image.Image:
    """A real photograph, reduced; not symmetric, so every turn shows."""
    return Image.fromarray(load_sample_images().images[0]).resize((width, height))


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """A PNG by hand: what Pillow cannot write, and headers that lie."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def pixels(content: bytes | memoryview, max_pixels: int, min_side: int = 0) -> Pixels:
    image = decode(content, max_pixels, min_side)
    assert image.mode == "RGB"
    return np.asarray(image)


def refused(content: bytes | None, max_pixels: int = PIXELS, min_side: int = 0) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        decode(content, max_pixels, min_side)
    assert caught.value.detail
    return caught.value


def distance(found: Pixels, expected: Image.Image | Pixels) -> float:
    """Mean difference of the samples, of 255."""
    reference = np.asarray(expected).astype(float)
    assert found.shape == reference.shape
    return float(np.abs(found.astype(float) - reference).mean())


@pytest.mark.parametrize(
    ("kind", "options", "limit"),
    [
        ("PNG", {}, 0.0),
        ("BMP", {}, 0.0),
        ("TIFF", {}, 0.0),
        ("TIFF", {"compression": "tiff_lzw"}, 0.0),
        ("WEBP", {"lossless": True}, 0.0),
        ("JPEG", {"quality": 95}, 4.0),
        ("JPEG", {"quality": 95, "progressive": True}, 4.0),
        ("WEBP", {"quality": 95}, 5.0),
    ],
)
def test_every_format_gives_the_picture_back(kind: str, options: dict[str, Any], limit: float) -> None:
    found = pixels(saved(photo(), kind, **options), PIXELS)
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    assert distance(found, photo()) <= limit


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_greyscale_has_three_equal_channels(kind: str) -> None:
    found = pixels(saved(photo().convert("L"), kind), PIXELS)
    assert found.shape == (80, 120, 3)
    assert np.abs(found.astype(int) - found[:, :, :1]).max() <= 1
    assert distance(found[:, :, 0], photo().convert("L")) < 5


def test_one_bit_is_black_and_white() -> None:
    found = pixels(saved(photo().convert("1"), "PNG"), PIXELS)
    assert set(np.unique(found)) == {0, 255}


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk(kind: str) -> None:
    assert distance(pixels(saved(photo().convert("CMYK"), kind), PIXELS), photo()) < 5


def test_ycck_of_an_adobe_program() -> None:
    """Inverted CMYK with an Adobe marker, as Photoshop writes it: white paper stays white."""
    inverted = Image.new("CMYK", (64, 64), (255, 255, 255, 255))
    content = saved(inverted, "JPEG", quality=95)
    plain = content.find(b"Adobe")
    assert plain > 0
    # Pillow writes inverted samples with that marker and undoes it: full ink is black.
    assert pixels(content, PIXELS).max() < 10
    assert pixels(saved(Image.new("CMYK", (64, 64), (0, 0, 0, 0)), "JPEG"), PIXELS).min() > 245


def test_16_bit_grey_is_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 256 * 64).astype(np.uint16).reshape(64, 256)
    expected = np.rint(ramp / 257.0).astype(np.uint8)
    for kind in ("PNG", "TIFF"):
        found = pixels(saved(Image.fromarray(ramp), kind), PIXELS)
        assert np.array_equal(found[:, :, 0], expected), kind
        assert len(np.unique(found)) == 256


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_colour_tiff(order: Any) -> None:
    deep = np.asarray(photo()).astype(np.uint16) * 257
    out = io.BytesIO()
    tifffile.imwrite(out, deep, photometric="rgb", byteorder=order)
    assert np.abs(pixels(out.getvalue(), PIXELS).astype(int) - np.asarray(photo())).max() <= 1


def test_16_bit_colour_png() -> None:
    deep = (np.asarray(photo()).astype(np.uint16) * 257).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in deep)
    assert np.abs(pixels(png(120, 80, 16, 2, rows), PIXELS).astype(int) - np.asarray(photo())).max() <= 1


def test_float_tiff_from_0_to_1_is_scaled() -> None:
    out = io.BytesIO()
    tifffile.imwrite(out, np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64))
    found = pixels(out.getvalue(), PIXELS)
    assert found.min() == 0
    assert found.max() == 255


def test_alpha_lies_over_white() -> None:
    layered = photo().convert("RGBA")
    alpha = np.zeros((80, 120), np.uint8)
    alpha[:, 40:80], alpha[:, 80:] = 128, 255
    layered.putalpha(Image.fromarray(alpha))
    share = alpha[:, :, None] / 255.0
    expected = np.asarray(photo()) * share + 255 * (1 - share)
    for kind in ("PNG", "TIFF"):
        found = pixels(saved(layered, kind), PIXELS)
        assert np.abs(found - expected).max() <= 1, kind
        assert (found[:, :40] == 255).all()


def test_grey_with_alpha_lies_over_white() -> None:
    layered = photo().convert("LA")
    layered.putalpha(0)
    assert (pixels(saved(layered, "PNG"), PIXELS) == 255).all()


def test_palette() -> None:
    flat = photo().quantize(64)
    assert np.array_equal(pixels(saved(flat, "PNG"), PIXELS), np.asarray(flat.convert("RGB")))


def test_palette_with_a_transparent_colour_lies_over_white() -> None:
    flat = Image.new("P", (40, 20))
    flat.putpalette([10, 20, 30, 200, 100, 50])
    flat.paste(1, (20, 0, 40, 20))
    found = pixels(saved(flat, "PNG", transparency=0), PIXELS)
    assert (found[:, :20] == 255).all()
    assert (found[:, 20:] == [200, 100, 50]).all()


def test_a_transparent_colour_of_rgb_lies_over_white() -> None:
    image = Image.new("RGB", (8, 8), (1, 2, 3))
    image.putpixel((0, 0), (9, 9, 9))
    found = pixels(saved(image, "PNG", transparency=(1, 2, 3)), PIXELS)
    assert (found[0, 0] == 9).all()
    assert (found[1:] == 255).all()


# Exif 2.3, tag 0x0112: what the viewer does to the stored pixels, in numpy.
UPRIGHT = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_exif_orientation_is_applied(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    found = pixels(saved(photo(), kind, exif=exif, **options), PIXELS)
    limit = 4 if kind == "JPEG" else 0
    assert distance(found, UPRIGHT[orientation](np.asarray(photo()))) <= limit


def test_orientation_of_a_jpeg_that_is_decoded_smaller() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    found = pixels(saved(photo(1200, 800), "JPEG", exif=exif), PIXELS, min_side=100)
    assert found.shape == (150, 100, 3)


def test_damaged_exif_does_not_cost_the_picture() -> None:
    content = saved(photo(), "JPEG", quality=95, exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert distance(pixels(content, PIXELS), photo()) < 4


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_frame_of_several(kind: str) -> None:
    red, blue = Image.new("RGB", (32, 16), (255, 0, 0)), Image.new("RGB", (32, 16), (0, 0, 255))
    options = {"lossless": True} if kind == "WEBP" else {}
    found = pixels(saved(red, kind, save_all=True, append_images=[blue], **options), PIXELS)
    assert (found == [255, 0, 0]).all()


def test_min_side_reduces_only_jpegs_and_never_below() -> None:
    big = photo(2000, 1200)
    for side, shape in (
        (0, (1200, 2000)),
        (100, (150, 250)),
        (150, (150, 250)),
        (151, (300, 500)),
        (601, (1200, 2000)),
    ):
        assert pixels(saved(big, "JPEG"), PIXELS, min_side=side).shape == (*shape, 3)
    assert pixels(saved(big, "PNG"), PIXELS, min_side=100).shape == (1200, 2000, 3)
    assert distance(pixels(saved(big, "JPEG"), PIXELS, min_side=150), big.resize((250, 150))) < 4


def test_null_image() -> None:
    assert refused(None).reason == "image_failed"
    assert refused(b"").reason == "image_failed"


@pytest.mark.parametrize(
    "content", [b"not a picture", b"<html></html>" * 100, b"\0" * 4096, b"%PDF-1.7\n", b"\xff\xd8"]
)
def test_no_picture(content: bytes) -> None:
    assert refused(content).reason == "image_failed"


CUT = {
    "JPEG": {},
    "PNG": {},
    "GIF": {},
    "BMP": {},
    "TIFF": {"compression": "tiff_lzw"},
    "WEBP": {"quality": 80},
}


@pytest.mark.parametrize("kind", CUT)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("min_side", [0, 40])
def test_truncated_file(kind: str, share: float, min_side: int) -> None:
    content = saved(photo(400, 300), kind, **CUT[kind])
    error = refused(content[: int(len(content) * share)], min_side=min_side)
    assert error.reason == "image_truncated"


def test_a_process_that_loads_half_pictures_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    content = saved(photo(400, 300), "JPEG")
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert "LOAD_TRUNCATED_IMAGES" in refused(content[: len(content) // 2]).detail


def test_bomb_is_refused_before_it_is_decompressed() -> None:
    # 20,000 x 20,000 zeros are 400 MB of pixels in 400 KB.
    bomb = png(20_000, 20_000, 8, 0, b"\0" * 20_001 * 20)
    assert refused(bomb).reason == "image_too_many_pixels"
    assert refused(png(60_000, 60_000, 8, 2, b"\0")).reason == "image_too_many_pixels"
    gif = struct.pack("<6sHH", b"GIF89a", 60_000, 60_000) + saved(photo(), "GIF")[10:]
    assert refused(gif).reason == "image_too_many_pixels"


def test_max_pixels_is_of_the_stored_size() -> None:
    content = saved(photo(200, 100), "JPEG")
    assert pixels(content, 20_000).shape == (100, 200, 3)
    assert pixels(content, 20_000, min_side=20).shape == (25, 50, 3)
    error = refused(content, 19_999, min_side=20)
    assert error.reason == "image_too_many_pixels"
    assert "200 x 100" in error.detail


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (5, 2000)])
def test_odd_sizes(size: tuple[int, int]) -> None:
    for kind in ("PNG", "JPEG"):
        assert pixels(saved(photo().resize(size), kind), PIXELS, min_side=320).shape == (size[1], size[0], 3)


@pytest.mark.parametrize("kind", CUT)
def test_mutated_bytes_are_pixels_or_a_reason(kind: str) -> None:
    dice = random.Random(kind)
    content = saved(photo(60, 40), kind, **CUT[kind])
    for _ in range(150):
        damaged = bytearray(content)
        for _ in range(dice.randint(1, 6)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        reason, shape = None, (1, 1, 3)
        try:
            shape = pixels(bytes(damaged), 1_000_000, dice.choice([0, 16])).shape
        except DecodeError as error:
            reason = error.reason
        assert reason in {None, *REASONS}
        assert len(shape) == 3
        assert shape[2] == 3
