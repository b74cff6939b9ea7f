"""How the demo's pictures are stored: every format and variant that a crawl brings."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

_ORIENTATION = 0x0112
_UPRIGHT_TO_STORED = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}


def png_file(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """A PNG file of unfiltered rows (each behind its filter byte), which Pillow cannot write at 16 bits a colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 6)) + chunk(b"IEND", b"")


def _save(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _jpeg(image: Image.Image, rng: np.random.Generator) -> bytes:
    return _save(image, "JPEG", quality=int(rng.integers(78, 91)), progressive=bool(rng.random() < 0.15))


def _jpeg_turned(image: Image.Image, rng: np.random.Generator) -> bytes:
    orientation = (3, 6, 8)[int(rng.integers(3))]
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    return _save(image.transpose(_UPRIGHT_TO_STORED[orientation]), "JPEG", quality=85, exif=exif)


def _jpeg_cmyk(image: Image.Image, rng: np.random.Generator) -> bytes:
    return _save(image.convert("CMYK"), "JPEG", quality=85)


def _jpeg_grey(image: Image.Image, rng: np.random.Generator) -> bytes:
    return _save(image.convert("L"), "JPEG", quality=85)


def _png(image: Image.Image, rng: np.random.Generator) -> bytes:
    return _save(image, "PNG", compress_level=3)


def _png_palette(image: Image.Image, rng: np.random.Generator) -> bytes:
    return _save(image.quantize(128, Image.Quantize.FASTOCTREE), "PNG", compress_level=3)


def _png_alpha(image: Image.Image, rng: np.random.Generator) -> bytes:
    across = np.linspace(-1, 1, image.width)[None, :] ** 8 + np.linspace(-1, 1, image.height)[:, None] ** 8
    round_corners = Image.fromarray((np.clip(1.6 - across, 0, 1) * 255).astype(np.uint8), "L")
    result = image.convert("RGBA")
    result.putalpha(round_corners)
    return _save(result, "PNG", compress_level=3)


def _png_16_bit(image: Image.Image, rng: np.random.Generator) -> bytes:
    wide = np.asarray(image).astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in wide.astype(">u2"))
    return png_file(image.width, image.height, 16, 2, rows)


def _webp(image: Image.Image, rng: np.random.Generator) -> bytes:
    return _save(image, "WEBP", quality=80, method=2)


def _gif(image: Image.Image, rng: np.random.Generator) -> bytes:
    return _save(image.quantize(128, Image.Quantize.FASTOCTREE), "GIF")


def _bmp(image: Image.Image, rng: np.random.Generator) -> bytes:
    return _save(image, "BMP")


def _tiff(image: Image.Image, rng: np.random.Generator) -> bytes:
    return _save(image, "TIFF", compression="tiff_lzw")


# name: (share of the pictures, the end of the file's name, the encoder). The shares add up to 1.
ENCODINGS: dict[str, tuple[float, str, Callable[[Image.Image, np.random.Generator], bytes]]] = {
    "jpeg": (0.83, ".jpg", _jpeg),
    "jpeg_turned": (0.03, ".jpg", _jpeg_turned),
    "jpeg_cmyk": (0.005, ".jpg", _jpeg_cmyk),
    "jpeg_grey": (0.005, ".JPEG", _jpeg_grey),
    "png": (0.04, ".png", _png),
    "png_palette": (0.01, ".png", _png_palette),
    "png_alpha": (0.01, ".png", _png_alpha),
    "png_16_bit": (0.005, ".png", _png_16_bit),
    "webp": (0.035, ".webp", _webp),
    "webp_named_jpg": (0.005, ".jpg", _webp),
    "gif": (0.01, ".gif", _gif),
    "bmp": (0.005, ".bmp", _bmp),
    "tiff": (0.01, ".tif", _tiff),
}


def encode(image: Image.Image, encoding: str, rng: np.random.Generator) -> bytes:
    """The picture (RGB) as a file of the encoding."""
    return ENCODINGS[encoding][2](image, rng)
