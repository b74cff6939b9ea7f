"""Contact sheets: many small pictures on one page, so that a person sees what a cluster holds."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from udfs.thumbnails import thumbnail

SIDE = 144
COLUMNS = 10
# A page that is still easy to look at, and small enough to be built in memory.
PAGE = 100

_GAP = 6
_CAPTION = 14
_TITLE = 30
_PAPER, _INK, _FAINT, _EMPTY = (255, 255, 255), (28, 32, 40), (104, 112, 126), (232, 235, 240)


def sheet(
    pictures: Sequence[bytes | None],
    *,
    max_pixels: int,
    title: str = "",
    captions: Sequence[str] = (),
    columns: int = COLUMNS,
    side: int = SIDE,
    format: str = "JPEG",
) -> bytes:
    """One page with the middle square of every picture, row by row.

    Args:
        pictures: encoded pictures, in order; None and bytes that cannot be decoded leave a grey square.
        max_pixels: a picture with more is not decoded.
        title: a line above them; none when empty.
        captions: a line below each picture; none at all when empty.
        columns: pictures a row.
        side: of a square, in pixels.
        format: JPEG or PNG.

    Returns:
        The encoded page.

    Raises:
        ValueError: there are captions, but not one a picture.
    """
    if captions and len(captions) != len(pictures):
        raise ValueError(f"{len(captions)} captions for {len(pictures)} pictures")
    columns = max(1, min(columns, len(pictures)))
    rows = -(-len(pictures) // columns)
    top = _GAP + (_TITLE if title else 0)
    step = side + _GAP + (_CAPTION if captions else 0)
    width = max(_GAP + columns * (side + _GAP), 360 if title else 0)
    page = Image.new("RGB", (width, top + rows * step), _PAPER)
    draw = ImageDraw.Draw(page)
    if title:
        draw.text((_GAP, _GAP), _cut(draw, title, _font(18), width - 2 * _GAP), _INK, _font(18))
    for place, picture in enumerate(pictures):
        x, y = _GAP + place % columns * (side + _GAP), top + place // columns * step
        small = thumbnail(picture, side, max_pixels)
        if small is None:
            draw.rectangle((x, y, x + side - 1, y + side - 1), _EMPTY)
        else:
            page.paste(Image.open(io.BytesIO(small)), (x, y))
        if captions:
            draw.text((x, y + side), _cut(draw, captions[place], _font(11), side), _FAINT, _font(11))
    out = io.BytesIO()
    page.save(out, format, **({"quality": 82, "optimize": True} if format == "JPEG" else {}))
    return out.getvalue()


def thumbnails(images: DataFrame, max_pixels: int, side: int = SIDE) -> DataFrame:
    """Columns of `images` with `content` replaced by `thumbnail` (a JPEG, NULL where the picture cannot be decoded).

    Decoding happens on executors. The UDF takes rows, not Arrow batches: a batch of ten thousand whole pictures would
    not fit a worker.
    """
    small = F.udf(functools.partial(thumbnail, side=side, max_pixels=max_pixels), T.BinaryType(), useArrow=False)
    return images.withColumn("thumbnail", small("content")).drop("content")


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _cut(draw: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """The text, or as much of it as fits, with an ellipsis."""
    if draw.textlength(text, font) <= width:
        return text
    while text and draw.textlength(text + "...", font) > width:
        text = text[:-1]
    return text + "..."
