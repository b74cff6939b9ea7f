"""Encoded bytes -> RGB pixels as a person sees them, or the reason why not. Runs on executors."""

from __future__ import annotations

import io
import struct
import warnings
import zlib

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, UnidentifiedImageError

from udfs.pictures import Picture, inspect

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")

_ORIENTATION = 0x0112
# How Exif's eight orientations are undone (Exif 2.3, tag 0x0112); 1 is upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow's plugins raise for bytes that end too early or contradict themselves.
_DAMAGED = (OSError, EOFError, SyntaxError, struct.error, zlib.error, IndexError, KeyError)


class DecodeError(Exception):
    """A picture that cannot be looked at.

    reason: `image_truncated` (of a known type, cannot be decoded whole), `image_too_many_pixels`, or `image_failed`
    (everything else: no bytes, no picture, a variant that the decoder does not know). detail: one sentence.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def decode(content: bytes | memoryview | None, max_pixels: int, min_side: int = 0) -> Image.Image:
    """The first frame of a picture, upright.

    Exif or XMP orientation is applied, alpha lies over white, 16 bits a channel are scaled to 8, CMYK and palettes
    become RGB; colour profiles are not applied.

    Args:
        content: JPEG, PNG, WebP, GIF, BMP or TIFF.
        max_pixels: a header that promises more is refused before anything is decompressed.
        min_side: JPEGs are decoded at the smallest of 1/8, 1/4, 1/2 and 1 at which no side is shorter than this
            (libjpeg's scaled inverse transform, up to five times faster); 0: always at full size.

    Returns:
        The pixels in memory, mode RGB.

    Raises:
        DecodeError: see there. No bytes raise anything else but MemoryError.
    """
    if not content:
        raise DecodeError("image_failed", "there are no bytes")
    with warnings.catch_warnings():
        # Pillow warns of sizes, which are checked here, and of flaws that do not keep it from decoding.
        warnings.simplefilter("ignore")
        try:
            image = _open(content, max_pixels)
        except UnidentifiedImageError:
            raise _unidentified(content, max_pixels) from None
        except Image.DecompressionBombError as error:
            raise DecodeError("image_too_many_pixels", str(error)) from None
        except _DAMAGED as error:
            raise DecodeError("image_truncated", _sentence(error)) from None
        except (ValueError, TypeError, OverflowError, ArithmeticError, RuntimeError) as error:
            raise DecodeError("image_failed", _sentence(error)) from None
        with image:
            kind = str(image.format).lower()
            try:
                if min_side:
                    image.draft(None, (min_side, min_side))
                _load(image)
                return _rgb(_upright(image))
            except Image.DecompressionBombError as error:
                raise DecodeError("image_too_many_pixels", f"{kind}: {error}") from None
            except _DAMAGED as error:
                raise DecodeError("image_truncated", f"{kind}: {_sentence(error)}") from None
            except (ValueError, TypeError, OverflowError, ArithmeticError, RuntimeError) as error:
                raise DecodeError("image_failed", f"{kind}: {_sentence(error)}") from None


def _open(content: bytes | memoryview, max_pixels: int) -> Image.Image:
    if Image.MAX_IMAGE_PIXELS is not None and max_pixels > Image.MAX_IMAGE_PIXELS:
        # Pillow's own limit stands before ours; it is raised to what was asked for and never lowered.
        Image.MAX_IMAGE_PIXELS = max_pixels
    image = Image.open(io.BytesIO(content), formats=FORMATS)
    width, height = image.size
    if width * height > max_pixels:
        image.close()
        raise DecodeError("image_too_many_pixels", f"{width:,} x {height:,} pixels, more than {max_pixels:,}")
    if width <= 0 or height <= 0:
        image.close()
        raise DecodeError("image_truncated", f"the header gives a size of {width} x {height}")
    return image


def _unidentified(content: bytes | memoryview, max_pixels: int) -> DecodeError:
    # Pillow says the same of a picture whose header is damaged and of what is no picture.
    found = inspect(bytes(content), len(content), max_pixels)
    if isinstance(found, Picture):
        return DecodeError("image_failed", f"{found.format}: the decoder does not know this variant")
    if found.reason in ("image_truncated", "image_too_many_pixels"):
        return DecodeError(found.reason, found.detail)
    return DecodeError("image_failed", found.detail)


def _load(image: Image.Image) -> None:
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise DecodeError(
            "image_failed", "PIL.ImageFile.LOAD_TRUNCATED_IMAGES is on in this process: half pictures would pass"
        )
    image.load()


def _upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except (*_DAMAGED, ValueError, TypeError):  # damaged Exif data says nothing, and the pixels are whole
        return image
    turn = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return _grey(np.asarray(image).astype(np.float64) / 257.0)
    if image.mode in ("I", "F"):
        return _grey(_scaled(np.asarray(image).astype(np.float64)))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layered = image.convert("RGBA")
        white = Image.new("RGBA", layered.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layered).convert("RGB")
    return image.convert("RGB")


def _scaled(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    # 32-bit samples have no white of their own: it is the smallest usual one that holds them all.
    top = float(np.nanmax(values, initial=0.0))
    white = next((usual for usual in (1.0, 255.0, 65535.0) if top <= usual), top)
    return np.nan_to_num(values, posinf=white) * (255.0 / white)


def _grey(values: npt.NDArray[np.float64]) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8)).convert("RGB")


def _sentence(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
